"""The notebooks run from beginning to end on a small sample experiment and print what they should.

They are stored without outputs; what their cells print is in ``expected/`` (see ``expected.py``).
"""

import functools
import importlib.util
import json
import os
import re
from pathlib import Path
from unittest.mock import patch

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from workbench.geometry import GeometryStore

pytestmark = pytest.mark.xdist_group("notebooks")  # its fixtures are made once

_spec = importlib.util.spec_from_file_location("expected", Path(__file__).with_name("expected.py"))
expected = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(expected)

STORED = sorted(expected.NOTEBOOKS.glob("*.ipynb"))


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


@pytest.fixture(scope="module")
def executed(copies, environment):
    """Execute a notebook, once however many tests look at it; an error in a cell is raised."""

    @functools.cache
    def run(name):
        notebook = nbformat.read(copies / f"{name}.ipynb", 4)
        with patch.dict(os.environ, environment):
            NotebookClient(notebook, resources={"metadata": {"path": str(copies)}}).execute()
        return notebook

    return run


@pytest.mark.parametrize("name", expected.COMPARED)
@pytest.mark.slow
def test_notebook_prints_what_it_should(name, executed):
    """Strict: every output of every cell, pictures by their alternative text."""
    shown = json.loads(expected.path_of(name).read_text(encoding="utf-8"))
    cells = {cell.id: cell for cell in executed(name).cells if cell.cell_type == "code"}
    assert cells.keys() == shown.keys()
    for identifier, cell in cells.items():
        printed = expected.text_of(cell.outputs)
        assert expected.plain(printed) == expected.plain(shown[identifier]), cell.source


def test_notebook_with_widgets_runs(executed):
    code = [cell for cell in executed("calibration").cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)


@pytest.mark.slow
def test_executed_notebook_shows_its_pictures_on_a_static_page(executed):
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(executed("tutorial"))
    pictures = re.findall(r"<img[^>]*>", page)
    assert len(pictures) >= 10
    for picture in pictures:
        assert "data:image/png;base64," in picture
        alt = re.search(r'alt\s*=\s*"([^"]*)"', picture)
        assert alt is not None
        assert len(alt[1]) > 20
