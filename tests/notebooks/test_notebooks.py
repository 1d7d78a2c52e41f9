"""The notebooks run from beginning to end on a small sample experiment."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.simulate.experiment import write_experiment

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
STORED = sorted(NOTEBOOKS.glob("*.ipynb"))
PUBLISHED = "scripting"
"""Executed by nbconvert and shown as a static page; the others by nbval."""


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Notebooks beside a sample experiment, as in a checkout but small."""
    home = tmp_path_factory.mktemp("checkout")
    write_experiment(home / "sample_data", events=4)
    shutil.copytree(NOTEBOOKS, home / "notebooks", ignore=shutil.ignore_patterns("*_output"))
    return home / "notebooks"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Leaves the user's own Jupyter and IPython settings alone."""
    private = tmp_path_factory.mktemp("jupyter")
    root = str(NOTEBOOKS.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    changed = {"JUPYTER_CONFIG_DIR": str(private), "IPYTHONDIR": str(private / "ipython")}
    return {**os.environ, **changed, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert "widgets" not in notebook["metadata"]


@pytest.mark.parametrize(
    "path", [path for path in STORED if path.stem != PUBLISHED], ids=lambda path: path.stem
)
def test_notebook_runs(path, copies, environment):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env",
         "-p", "no:cacheprovider", "--rootdir", str(copies), str(copies / path.name)],
        capture_output=True, text=True, env=environment, cwd=copies,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\d+ passed", done.stdout)


def test_executed_notebook_shows_its_pictures_on_a_static_page(copies, environment):
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", "--template", "basic",
         str(copies / f"{PUBLISHED}.ipynb"), "--output", f"{PUBLISHED}.html"],
        check=True, capture_output=True, env=environment, cwd=copies,
    )  # fmt: skip
    page = (copies / f"{PUBLISHED}.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert 'alt="' in page
