"""``workbench lab``: which notebook, which server."""

import ast
import json
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from workbench.cli import lab
from workbench.errors import WorkbenchError

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "calibration.ipynb"


@pytest.fixture(autouse=True)
def _own_signatures(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("jupyter")))


def is_trusted(path):
    return NotebookNotary().check_signature(nbformat.read(path, as_version=4))


def test_the_calibration_notebook_is_a_heading_and_two_cells_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    heading, recipe, show = notebook.cells
    assert heading.source.startswith("# Calibration")
    assert all(cell.outputs == [] and cell.execution_count is None for cell in (recipe, show))
    assert "parameters" in recipe.metadata.tags
    assert show.metadata.jupyter.source_hidden


def test_without_a_name_the_notebook_of_the_folder_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lab.choose(None) == Path("calibration.ipynb")
    notebook = nbformat.read("calibration.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert "wb.Workbench()" in notebook.cells[2].source
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "calibration.ipynb").write_text("{}")
    assert lab.choose(None) == Path("notebooks/calibration.ipynb")


def test_what_is_written_here_may_run_as_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = lab.choose(None)
    assert nbformat.read(path, as_version=4).metadata.workbench.runs_on_opening
    assert nbformat.read(NOTEBOOK, as_version=4).metadata.workbench.runs_on_opening
    assert is_trusted(path)


def test_a_notebook_of_somebody_else_may_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = nbformat.read(NOTEBOOK, as_version=4)
    content.cells[1].source = "evil = True"
    nbformat.write(content, "calibration.ipynb")
    lab.choose("calibration.ipynb")  # named: whatever it is
    assert not is_trusted("calibration.ipynb")
    with monkeypatch.context() as patched:
        patched.setattr(lab.os, "getuid", lambda: 12345)
        lab.choose(None)
    assert not is_trusted("calibration.ipynb")
    lab.choose(None)  # the user's own
    assert is_trusted("calibration.ipynb")


def test_a_recipe_gets_a_notebook_beside_it(tmp_path):
    recipe = tmp_path / "mine.calibration.toml"
    recipe.write_text("")
    notebook = lab.choose(str(recipe))
    assert notebook == tmp_path / "mine.calibration.ipynb"
    cells = json.loads(notebook.read_text())["cells"]
    assert cells[1]["source"] == 'RECIPE = "mine.calibration.toml"'


def test_the_name_of_a_recipe_is_not_run(tmp_path):
    name = 'x";import sys;sys.evil="y.toml'
    (tmp_path / name).write_text("")
    notebook = json.loads(lab.choose(str(tmp_path / name)).read_text())
    (line,) = ast.parse(notebook["cells"][1]["source"]).body
    assert ast.literal_eval(line.value) == name


def test_an_existing_notebook_is_left_as_it_is(tmp_path):
    path = tmp_path / "mine.ipynb"
    path.write_text("kept")
    assert lab.choose(str(path)) == path
    assert path.read_text() == "kept"


def test_an_experiment_gets_a_notebook_of_its_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"dark": 54, "bright": [74, 75], "psdm_dir": "tree"}
    path = lab.choose("cxim1416", options)
    assert path == Path("cxim1416_r0074.ipynb")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    values = {}
    exec(notebook.cells[1].source, values)
    assert (values["dark"], values["bright"]) == (54, [74, 75])
    assert values["psdm_dir"] == str(tmp_path / "tree")
    assert "wb.Workbench(experiment, dark=dark, bright=bright, psdm_dir=psdm_dir)" in (
        notebook.cells[2].source
    )
    notebook.cells.append(nbformat.v4.new_code_cell("mine"))
    nbformat.write(notebook, path)
    assert lab.choose("cxim1416", options) == path  # and what was added is kept
    assert "mine" in path.read_text()
    with pytest.raises(WorkbenchError, match="other runs or folders"):
        lab.choose("cxim1416", {**options, "dark": 55})


def test_runs_without_an_experiment_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkbenchError, match="workbench lab cxim1416 --dark"):
        lab.choose(None, {"dark": 54})
    with pytest.raises(WorkbenchError, match="name no other"):
        lab.choose("cxim1416", sample=True)


def test_a_sample_experiment_is_written_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(folder, **_):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cxim1416_r0074.calibration.toml").write_text("")

    monkeypatch.setattr("workbench.simulate.experiment.write_experiment", write)
    for _ in range(2):  # the second time it is there
        path = lab.choose(None, sample=True)
        assert path == Path("sample_data/cxim1416_r0074.calibration.ipynb")


@pytest.mark.parametrize("name", ["none.toml", "picture.png", "no/such/folder/x.ipynb"])
def test_what_is_no_notebook_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkbenchError):
        lab.choose(name)
    assert list(tmp_path.iterdir()) == []


def test_without_a_display_no_browser_is_opened(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert not lab.has_display()
    command = lab.lab_command(tmp_path / "notebooks" / "a.ipynb", browser=False, port=8899)
    assert "--no-browser" in command
    assert "--port=8899" in command
    assert f"--ServerApp.root_dir={tmp_path}" in command


def test_commands_in_a_notebook_are_those_of_the_environment_of_the_server(monkeypatch):
    here = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", f"/usr/bin:{here}:/bin")
    assert lab.environment()["PATH"] == f"{here}:/usr/bin:/bin"
    monkeypatch.delenv("PATH")
    assert lab.environment()["PATH"].startswith(f"{here}:")
