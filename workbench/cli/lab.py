"""``workbench lab``: JupyterLab on the calibration notebook."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.cli.arguments import add_folder_arguments
from workbench.detectors import DEFAULT_ADDRESS
from workbench.errors import WorkbenchError
from workbench.files import parse_json, replacing
from workbench.progress import Terminal

DEFAULT_NAME = "calibration.ipynb"
SAMPLE = "sample_data"
EXTENSIONS = Path(__file__).parents[1] / "ui" / "static" / "lab"
"""What is added to JupyterLab: it runs a notebook of the workbench when it is opened."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "what",
        nargs="?",
        metavar="NOTEBOOK|RECIPE|EXPERIMENT",
        help="notebook to open, or a recipe (.toml) or an experiment to open a notebook for; by "
        f"default notebooks/{DEFAULT_NAME} or ./{DEFAULT_NAME}, written if it is not there",
    )
    parser.add_argument(
        "--sample", action="store_true", help=f"write a sample experiment into ./{SAMPLE} (400 MB, "
        "simulated) and open it",
    )  # fmt: skip
    parser.add_argument("--dark", type=int, metavar="N", help="dark run of the experiment")
    parser.add_argument("--bright", type=int, nargs="+", metavar="N", help="its bright runs")
    parser.add_argument("-a", "--address", help=f"detector (default {DEFAULT_ADDRESS})")
    add_folder_arguments(parser)
    parser.add_argument("--port", type=int, help="port of the server (default: a free one)")
    parser.add_argument(
        "--no-browser",
        action="store_true",
        help="only print the address (the default where there is no display)",
    )


def run(args: argparse.Namespace) -> int:
    """Become the JupyterLab server."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise WorkbenchError(
            "JupyterLab is not installed; install it with: pip install 'cspad-workbench[lab]'"
        )
    notebook = choose(args.what, _experiment_options(args), args.sample)
    browser = has_display() and not args.no_browser
    command = lab_command(notebook, browser, args.port)
    print(f"JupyterLab on {notebook}", flush=True)
    if not browser:
        print("Open the address below that begins with http://127.0.0.1 (Ctrl+C ends):", flush=True)
    os.execve(sys.executable, command, environment())


def _experiment_options(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of ``Workbench`` that were given, by name."""
    names = ("dark", "bright", "address", "psdm_dir", "xtc_dir", "calib_dir")
    options = {name: getattr(args, name) for name in names}
    return {name: value for name, value in options.items() if value is not None}


def choose(given: str | None, options: dict[str, Any] | None = None, sample: bool = False) -> Path:
    """Notebook to open; it is written if it does not exist yet.

    Parameters
    ----------
    given : path of a notebook or a recipe, or the name of an experiment.
    options : runs and folders of that experiment, as arguments of ``Workbench``.
    sample : write a sample experiment, and a notebook for it.

    Raises
    ------
    WorkbenchError
        If what was given is none of these, or the notebook of the experiment's name has other runs
        or folders.
    """
    if sample:
        if given is not None or options:
            raise WorkbenchError("--sample opens a sample experiment; name no other beside it.")
        return choose(str(_sample_recipe()))
    if given is not None and re.fullmatch(r"\w+", given):
        return _experiment_notebook(given, options or {})
    if options:
        first = next(iter(options)).replace("_", "-")
        raise WorkbenchError(
            f"--{first} is for an experiment; name it: workbench lab cxim1416 --{first} …"
        )
    if given is None:
        places = (Path("notebooks", DEFAULT_NAME), Path(DEFAULT_NAME))
        path = next((place for place in places if place.exists()), places[1])
        if path.exists() and path.stat().st_uid == os.getuid():  # nobody else's
            _trust(path)
    else:
        path = Path(given)
        if path.suffix == ".toml":
            if not path.is_file():
                raise WorkbenchError(f"{path}: there is no such recipe; check the path.")
            notebook = path.with_suffix(".ipynb")
            if not notebook.exists():
                # a JSON string is a literal of Python too, whatever the name is
                write_notebook(notebook, f"RECIPE = {json.dumps(path.name)}", "RECIPE")
            return notebook
    if path.suffix != ".ipynb":
        raise WorkbenchError(
            f"{path} is not a notebook; give a .ipynb, a recipe (.toml) or an experiment's name."
        )
    if not path.exists():
        if given is not None and not path.parent.is_dir():
            raise WorkbenchError(f"{path}: there is no such folder; check the path.")
        write_notebook(path)
    return path


HEADING = (
    "# Calibration\n\nThe workbench opens below; if it does not, choose *Run ▸ Run All Cells*. The "
    "line under its tabs says what to do next."
)


def _sample_recipe() -> Path:
    """Recipe of the sample experiment in this folder, which is written if it is not there."""
    from workbench.simulate.experiment import RECIPE, write_experiment

    recipe = Path(SAMPLE, RECIPE)
    if not recipe.exists():
        with Terminal("simulate") as progress:
            write_experiment(SAMPLE, progress=progress)
    return recipe


def _experiment_notebook(name: str, options: dict[str, Any]) -> Path:
    """Notebook of an experiment in this folder."""
    runs = "".join(f"_r{run:04d}" for run in options.get("bright", [])[:1])
    path = Path(f"{name}{runs}.ipynb")
    folders = {key: os.path.abspath(options[key]) for key in options if key.endswith("_dir")}
    values = {"experiment": name, **options, **folders}
    choice = "\n".join(f"{key} = {value!r}" for key, value in values.items())
    arguments = ", ".join(key if key == "experiment" else f"{key}={key}" for key in values)
    if not path.exists():
        write_notebook(path, choice, arguments)
    elif choice not in _sources(path):
        raise WorkbenchError(
            f"{path} is there already, with other runs or folders; open it with "
            f"workbench lab {path}, or move it."
        )
    return path


def _sources(path: Path) -> list[str]:
    """Sources of a notebook's cells."""
    try:
        cells = parse_json(path.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkbenchError(f"{path} is there already and is no notebook; move it.") from error


def write_notebook(path: Path, choice: str = "", arguments: str = "") -> None:
    """Write a notebook that opens the workbench: heading and two cells.

    Parameters
    ----------
    choice : Python lines that name what is opened.
    arguments : arguments of ``Workbench``, of these names.
    """
    choice = choice or "# runs and files are chosen in the first panel"
    show = f"import workbench as wb\n\nbench = wb.Workbench({arguments})\nbench.show();"
    code: dict[str, object] = {"cell_type": "code", "execution_count": None, "outputs": []}
    hidden = {"jupyter": {"source_hidden": True}}
    content = {
        "cells": [
            {"cell_type": "markdown", "id": "heading", "metadata": {}, "source": HEADING},
            {**code, "id": "recipe", "metadata": {"tags": ["parameters"]}, "source": choice},
            {**code, "id": "workbench", "metadata": hidden, "source": show},
        ],
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
            "workbench": {"runs_on_opening": True},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    with replacing(path, overwrite=False) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _trust(path)


def _trust(notebook: Path) -> None:
    """Sign a notebook of ours as ``jupyter trust`` does: JupyterLab runs only what is trusted."""
    # where it cannot be signed, or is no notebook of this version, it does not run by itself
    with contextlib.suppress(Exception):
        import nbformat
        from nbformat.sign import NotebookNotary

        NotebookNotary().sign(nbformat.read(notebook, as_version=4))


def has_display() -> bool:
    """Whether a browser can be opened here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def environment() -> dict[str, str]:
    """Environment of the server: ``!workbench`` in a notebook is the command of this Python."""
    here = os.path.dirname(sys.executable)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return {**os.environ, "PATH": os.pathsep.join([here, *(p for p in path if p != here)])}


def lab_command(notebook: Path, browser: bool, port: int | None) -> list[str]:
    """Command line of the server; its root is the folder above the notebook's."""
    absolute = notebook.absolute()
    root = absolute.parent.parent if absolute.parent.name == "notebooks" else absolute.parent
    address = "/lab/tree/" + quote(absolute.relative_to(root).as_posix())
    command = [
        sys.executable, "-m", "jupyterlab",
        f"--ServerApp.root_dir={root}", f"--LabApp.default_url={address}",
        f"--LabApp.extra_labextensions_path={EXTENSIONS}",
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    if not browser:
        command.append("--no-browser")
    if port is not None:
        command.append(f"--port={port}")
    return command
