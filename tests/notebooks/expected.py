"""Expected outputs of the notebooks, kept apart so that the notebooks are stored without any.

``python tests/notebooks/expected.py`` executes the notebooks on a small sample experiment and
writes what their cells print to ``expected/NAME.json``, by cell id; look at the difference before
you commit it. Pictures are not kept, their alternative texts are.
"""

import copy
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NOTEBOOKS = ROOT / "notebooks"
COMPARED = ("scripting", "tutorial", "real_frames")
"""Notebooks whose outputs are stable text; `calibration` shows widgets."""
EVENTS = 4


def path_of(name):
    """File with the expected outputs of a notebook."""
    return HERE / "expected" / f"{name}.json"


def text_of(outputs):
    """Outputs without pictures: streams, and the plain text of results."""
    kept = []
    for output in outputs:
        if output["output_type"] == "stream":
            text = "".join(output["text"])
            if kept and kept[-1].get("stream") == output["name"]:  # how it is cut is chance
                kept[-1]["text"] += text
            else:
                kept.append({"stream": output["name"], "text": text})
        else:
            kept.append({"text/plain": "".join(output["data"]["text/plain"])})
    return kept


def with_expected(notebook, expected):
    """Notebook (plain JSON) with the expected outputs in its cells, as nbval compares them."""
    notebook = copy.deepcopy(notebook)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        cell["outputs"] = [_output(one) for one in expected[cell["id"]]]
        cell["execution_count"] = number
    return notebook


def _output(one):
    if "stream" in one:
        return {"output_type": "stream", "name": one["stream"], "text": one["text"]}
    data = {"text/plain": one["text/plain"]}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def checkout(folder):
    """Notebooks beside a small sample experiment; gives the folder of the notebooks."""
    from workbench.simulate.experiment import write_experiment

    write_experiment(folder / "sample_data", events=EVENTS)
    shutil.copytree(NOTEBOOKS, folder / "notebooks", ignore=shutil.ignore_patterns("*_output"))
    return folder / "notebooks"


def environment(private):
    """Environment of the kernels: this package, its commands, and none of the user's settings."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(private),
        "IPYTHONDIR": str(Path(private, "ipython")),
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": os.pathsep.join(programs),
        "COLUMNS": "100",
    }


def main():
    """Execute the notebooks and write what they print."""
    import nbformat
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        private = Path(folder, "jupyter")
        private.mkdir()
        os.environ.update(environment(private))
        notebooks = checkout(Path(folder))
        for name in COMPARED:
            notebook = nbformat.read(notebooks / f"{name}.ipynb", 4)
            NotebookClient(notebook, resources={"metadata": {"path": str(notebooks)}}).execute()
            outputs = {
                cell.id: text_of(cell.outputs)
                for cell in notebook.cells
                if cell.cell_type == "code"
            }
            text = json.dumps(outputs, indent=1, ensure_ascii=False)
            path_of(name).write_text(text + "\n", encoding="utf-8")
            print(f"wrote {path_of(name)}")


if __name__ == "__main__":
    main()
