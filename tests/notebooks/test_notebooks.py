"""The notebooks run from beginning to end on a small sample experiment and print what they should.

They are stored without outputs; what their cells print is in ``expected/`` (see ``expected.py``).
"""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.geometry import GeometryStore

_spec = importlib.util.spec_from_file_location("expected", Path(__file__).with_name("expected.py"))
expected = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(expected)

STORED = sorted(expected.NOTEBOOKS.glob("*.ipynb"))
SANITISE = Path(__file__).with_name("sanitise.cfg")


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Notebooks beside a small sample experiment whose geometry was corrected already."""
    notebooks = expected.checkout(tmp_path_factory.mktemp("checkout"))
    sample = notebooks.parent / "sample_data"
    store = GeometryStore(sample / "CXI/cxim1416/calib", "CxiDs1.0:Cspad.0")
    store.deploy(sample / "geometry/true.data", comment="deployed before the notebooks are run")
    return notebooks


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return expected.environment(tmp_path_factory.mktemp("jupyter"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert "widgets" not in notebook["metadata"]
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def nbval(path, environment, *options):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "--nbval-current-env",
         "-p", "no:cacheprovider", "--rootdir", str(path.parent), str(path)],
        capture_output=True, text=True, env=environment, cwd=path.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"\d+ passed", done.stdout)


@pytest.mark.parametrize("name", expected.COMPARED)
@pytest.mark.slow
def test_notebook_prints_what_it_should(name, copies, environment):
    """Strict: every output of every cell, pictures by their alternative text."""
    outputs = json.loads(expected.path_of(name).read_text(encoding="utf-8"))
    notebook = json.loads((copies / f"{name}.ipynb").read_text(encoding="utf-8"))
    path = copies / f"{name}_expected.ipynb"
    path.write_text(json.dumps(expected.with_expected(notebook, outputs)), encoding="utf-8")
    nbval(path, environment, "--nbval", "--nbval-sanitize-with", str(SANITISE))


@pytest.mark.slow
def test_notebook_with_widgets_runs(copies, environment):
    nbval(copies / "calibration.ipynb", environment, "--nbval-lax")


@pytest.mark.slow
def test_executed_notebook_shows_its_pictures_on_a_static_page(copies, environment):
    name = "tutorial"
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", "--template", "classic",
         str(copies / f"{name}.ipynb"), "--output", f"{name}.html"],
        check=True, capture_output=True, env=environment, cwd=copies,
    )  # fmt: skip
    page = (copies / f"{name}.html").read_text(encoding="utf-8")
    pictures = re.findall(r"<img[^>]*>", page)
    assert len(pictures) >= 10
    for picture in pictures:
        assert "data:image/png;base64," in picture
        alt = re.search(r'alt\s*=\s*"([^"]*)"', picture)
        assert alt is not None
        assert len(alt[1]) > 20
