"""What the documentation tells people to type runs, and prints what the page says.

Commands of a page run in a folder that holds what the page speaks of: the sample experiment and
files made from it.
"""

import contextlib
import importlib.util
import io
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("aligned_once")

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("pages", Path(__file__).with_name("pages.py"))
pages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pages)

WITH_COMMANDS = [
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if page.name != "tutorial.md"
    and any(any(pages.blocks(page.read_text("utf-8"), one)) for one in ("console", "python"))
]


@pytest.fixture(scope="module")
def prepared(own_copy, tmp_path_factory):
    """Folder with the sample experiment and the averages and mask that pages speak of."""
    folder = tmp_path_factory.mktemp("prepared")
    own_copy(folder / "sample_data")
    text = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    lines = [command.line for command in pages.commands(text)]
    needed = ("workbench average", "workbench merge", "workbench mask")
    with contextlib.chdir(folder):
        environment = {"SIT_PSDM_DATA": "sample_data"}
        for line in lines:
            if line.startswith(needed) and "--explain" not in line and "--suggest" not in line:
                pages.execute(line, environment)
    for path in (folder / "out").iterdir():
        path.rename(folder / path.name)
    for short, name in (("avg", "avg-r0054"), ("stddev", "stddev-r0054"), ("max", "max-r0074")):
        shutil.copy(folder / f"cxim1416_{name}.cbf", folder / f"{short}.cbf")
    return folder


@pytest.fixture
def place(prepared, own_copy, tmp_path, monkeypatch):
    """A copy of the prepared folder to work in; images are linked."""
    for path in prepared.iterdir():
        if path.is_file():
            (tmp_path / path.name).symlink_to(path)
    experiment = own_copy(tmp_path / "sample_data")
    (tmp_path / "calib").symlink_to(experiment.calib_dir)
    shutil.copy(experiment.geometry, tmp_path / "0-end.data")
    recipe = experiment.recipe.read_text("utf-8")
    at = tmp_path / experiment.recipe.name
    at.write_text(recipe.replace('psdm_dir = "."', 'psdm_dir = "sample_data"'), "utf-8")
    strict = at.read_text("utf-8").replace("maxproj_min = 300", "maxproj_min = 600")
    (tmp_path / "strict.calibration.toml").write_text(strict, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIT_PSDM_DATA", "sample_data")
    return tmp_path


def type_commands(text):
    """Type the commands of a page; fails where one fails or prints something else."""
    environment = {}
    for command in pages.commands(text):
        printed = pages.execute(command.line, environment).rstrip().splitlines()
        if command.output:
            assert pages.agrees(command.output, printed), "\n".join(
                [f"$ {command.line}", "--- the page says", *command.output, "--- printed", *printed]
            )


LONG = ("howto/hand-over.md", "howto/weak-rings.md", "howto/at-slac-and-nersc.md",
        "howto/many-runs.md", "howto/mask-by-eye.md", "reference/python/alignment.md",
        "reference/python/recipes.md")  # fmt: skip
PAGES = [
    pytest.param(page, id=name, marks=[pytest.mark.slow] if name in LONG else [])
    for page in WITH_COMMANDS
    for name in [str(page.relative_to(ROOT / "docs"))]
]


@pytest.mark.parametrize("page", PAGES)
def test_page_can_be_followed(page, place):
    text = page.read_text("utf-8")
    type_commands(text)
    namespace = {"__name__": "page"}
    with contextlib.redirect_stdout(io.StringIO()):
        for number, body in enumerate(pages.blocks(text, "python")):
            exec(compile(body, f"{page.name}, block {number}", "exec"), namespace)


@pytest.mark.slow
def test_tutorial_can_be_followed_in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    type_commands((ROOT / "docs" / "tutorial.md").read_text("utf-8"))


def test_a_difference_is_noticed():
    shown = ("Saving out/a.cbf", "...", "offset (+5.73, +1.10) px")
    assert pages.agrees(shown, ["Saving out/a.cbf", "x", "y", "offset (+5.71,  +1.12) px"])
    assert not pages.agrees(shown, ["Saving out/b.cbf", "offset (+5.71,  +1.12) px"])
    assert not pages.agrees(shown, ["Saving out/a.cbf", "offset (+5.71,  +1.12) px", "more"])
