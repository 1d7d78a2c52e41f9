"""The floors of the house: imports go down, never up, and in no circle inside a room.

Heavy libraries stay in their rooms, and the numbers of a detector in its description.
"""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import workbench

PACKAGE = Path(workbench.__file__).parent
FLOORS = {
    "errors": 0, "detectors": 0, "progress": 0, "provenance": 0, "files": 0, "hdf5": 0,
    "hdf5_walk": 0, "guarded": 0, "numpy_files": 0, "recipe": 0, "calibrants": 0,
    "memory": 0, "quantities": 0,
    "runs": 1, "constants": 1,
    "geometry": 2, "images": 2, "corrections": 2,
    "averages": 3, "mask": 3, "alignment": 3,
    "pipeline": 4, "frames": 4,
    "figures": 5,
    "session": 6,
    "ui": 7, "cli": 7, "report": 7, "simulate": 7,
}  # fmt: skip
ONLY_IN = {
    "ipywidgets": {"ui"}, "ipympl": {"ui"}, "anywidget": {"ui"},
    "matplotlib": {"figures", "ui"},
    "papermill": {"report"}, "nbconvert": {"report"},
}  # fmt: skip
MODULES = sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "__init__.py", PACKAGE / "__main__.py"})
SAME_FLOOR = {("images", "geometry"), ("ui", "report"), ("cli", "report"), ("cli", "ui")}

SOURCES = sorted(
    path
    for ending in ("*.py", "*.js", "*.mjs", "*.ts", "*.css")
    for path in PACKAGE.rglob(ending)
    if not {"node_modules", "static"} & set(path.parts)
)
NUMBERS_OF_A_DETECTOR = re.compile(
    r"\b(185|388|194|193|370|5920|11840|1480|1552|16383|2296960|2_296_960|32 . 185)\b"
    r"|\b0?\.?(109\.92|10992|274\.80?|2748)\b|SENS2X1"
)
NAMES_THAT_SAY_NOTHING = {"found", "one", "told"}
HOLD_NUMBERS = ("detectors/", "runs/xtc/", "simulate/")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = room_of(path)
    for name in imports_of(path):
        parts = name.split(".")
        for library, rooms in ONLY_IN.items():
            assert parts[0] != library or room in rooms, f"{path} imports {library}"
        assert not name.startswith("matplotlib.pyplot"), f"{path} imports pyplot"
        if parts[0] == "workbench" and len(parts) > 1 and parts[1] in FLOORS and parts[1] != room:
            other = parts[1]
            if other == "simulate":
                assert room == "cli", f"{path} imports simulate"
            elif FLOORS[room] == FLOORS[other]:
                assert (room, other) in SAME_FLOOR or FLOORS[room] == 0, f"{path} imports {name}"
            else:
                assert FLOORS[room] > FLOORS[other], f"{path} imports {name}, a floor above"


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def executed(tree: ast.AST):
    """Every node of a file but those that only a type checker looks at."""
    yield tree
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield from executed(node)


def modules_imported(path: Path, known: set[str]) -> set[str]:
    """Modules that a file imports, inside its functions too."""
    names = set()
    for node in executed(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in known else node.module)
    return names & known - {module_of(path)}


@pytest.mark.parametrize("room", sorted({room_of(path) for path in MODULES}))
def test_no_circles_inside_a_room(room):
    files = {module_of(path): path for path in MODULES if room_of(path) == room}
    imported = {name: modules_imported(path, {*files}) for name, path in files.items()}
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        pytest.fail("a circle: " + " is imported by ".join(error.args[1]))


def test_numbers_of_a_detector_stand_in_its_description():
    holding = {
        name
        for path in SOURCES
        for name in [path.relative_to(PACKAGE).as_posix()]
        if not name.startswith(HOLD_NUMBERS) and NUMBERS_OF_A_DETECTOR.search(path.read_text())
    }
    assert not holding, "take the numbers from the detector of the value in hand"


def names_bound(tree: ast.AST) -> set[str]:
    """Variables, arguments, functions and classes that a file names, whatever they are."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


def own_names_changed(tree: ast.AST) -> set[str]:
    """Modules and names of this package that a file gives other names on import."""
    return {
        f"{alias.name} as {alias.asname}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.asname and (getattr(node, "module", None) or alias.name).startswith("workbench")
    }


def test_names_say_what_they_hold_and_stay_the_same_on_import():
    wrong = {
        path.relative_to(PACKAGE).as_posix(): names
        for path in MODULES
        for tree in [ast.parse(path.read_text())]
        if (names := names_bound(tree) & NAMES_THAT_SAY_NOTHING | own_names_changed(tree))
    }
    assert not wrong


def test_the_ways_told_in_the_documentation_are_short_and_name_what_there_is():
    """A table each: the files on the way of an event and of a limit, with what is called there."""
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    ways = [part for part in text.split("\n## ") if part.startswith("The way of")]
    assert len(ways) == 2
    for way in ways:
        steps = re.findall(r"^\| `([\w/]+\.\w+)` \| (.*?) \|", way, re.MULTILINE)
        assert 8 <= len({file for file, _ in steps}) == len(steps) <= 12
        for file, calls in steps:
            words = {*re.findall(r"\w+", (PACKAGE / file).read_text())}
            assert {*re.findall(r"\w+", calls)} <= words, file


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, workbench;"
        "print([m for m in ('numba','scipy','matplotlib','h5py','ipywidgets') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
