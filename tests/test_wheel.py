"""The wheel holds all that is needed: it works where there is no checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
STORY = """
import json, sys
from pathlib import Path
import numpy as np
import workbench as wb
from workbench.cli import lab
from workbench.ui.app import Workbench

assert Path(wb.__file__).is_relative_to(sys.argv[1]), wb.__file__
notebook = lab.choose(None)  # shipped as code, written where the user is
assert json.loads(notebook.read_text())["cells"]
assert Workbench()  # with all that runs in the browser
geometry = wb.Geometry.ideal()
store = wb.GeometryStore("calib", "CxiDs1.0:Cspad.0")
assert store.deploy(geometry, comment="design").number == 0
mask = wb.make_mask(*(np.full((32, 185, 388), value) for value in (10.0, 1.0, 500.0)))
wb.write_mask(mask, "mask.pickle")
assert wb.read_mask("mask.pickle").good.any()
recipe = wb.Recipe()
wb.write_recipe(recipe, "mine.toml")
assert wb.read_recipe("mine.toml") == recipe
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder into which the wheel is unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", folder, CHECKOUT],
        check=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_folder(site, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", STORY, site], cwd=tmp_path, env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_but_the_sources_of_the_front_end(site):
    tracked = subprocess.run(
        ["git", "ls-files", "workbench"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    expected = {name for name in tracked if not name.startswith("workbench/ui/frontend/")}
    packed = {path.relative_to(site).as_posix() for path in (site / "workbench").rglob("*.*")}
    assert expected <= packed
