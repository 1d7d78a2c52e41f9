"""Wheel and source distribution hold all that is needed, where there is no checkout."""

import os
import subprocess
import sys
import tarfile
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


def build(source, folder, *targets):
    """Build there what is named, with nothing but Python: no git, no compiler, no network."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder, *(f"-t{t}" for t in targets)],
        cwd=source, env={"PATH": "", "http_proxy": "http://127.0.0.1:9", "HOME": str(folder)},
        check=True, capture_output=True,
    )  # fmt: skip


def content(wheel):
    """Files of a wheel with their bytes."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of the source distribution and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    build(CHECKOUT, folder, "sdist", "wheel")
    return folder


@pytest.fixture(scope="module")
def site(built):
    """Folder into which the wheel is unpacked."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site")
    return built / "site"


@pytest.fixture(scope="module")
def source(built):
    """Folder into which the source distribution is unpacked."""
    (packed,) = built.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(built / "source", filter="data")
    (folder,) = (built / "source").iterdir()
    return folder


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_folder(site, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", STORY, site], cwd=tmp_path, env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_source_distribution_gives_the_same_wheel(built, source, tmp_path):
    build(source, tmp_path, "wheel")
    (again,) = tmp_path.glob("*.whl")
    (wheel,) = built.glob("*.whl")
    assert content(again) == content(wheel)


@pytest.mark.slow
def test_the_source_distribution_holds_every_tracked_file(source):
    missing = [name for name in tracked() if not (source / name).exists()]
    assert not [name for name in missing if not name.startswith(".")]


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_but_the_sources_of_the_front_end(site):
    expected = {
        name for name in tracked("workbench") if not name.startswith("workbench/ui/frontend/")
    }
    packed = {path.relative_to(site).as_posix() for path in (site / "workbench").rglob("*.*")}
    assert expected == packed


def tracked(*folders):
    """Files of the repository."""
    return subprocess.run(
        ["git", "ls-files", *folders], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
