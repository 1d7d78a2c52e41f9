"""The floors of the house: imports go down, never up, and heavy libraries stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

PACKAGE = Path(workbench.__file__).parent
FLOORS = {
    "errors": 0, "detector": 0, "detectors": 0, "progress": 0, "provenance": 0, "files": 0,
    "recipe": 0, "calibrants": 0, "memory": 0, "quantities": 0,
    "runs": 1, "constants": 1,
    "geometry": 2, "images": 2, "corrections": 2,
    "averages": 3, "mask": 3, "alignment": 3,
    "pipeline": 4,
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


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, workbench;"
        "print([m for m in ('numba','scipy','matplotlib','h5py','ipywidgets') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
