"""``workbench lab``: JupyterLab on the calibration notebook."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

from workbench.errors import WorkbenchError
from workbench.files import replacing

DEFAULT_NAME = "calibration.ipynb"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "notebook",
        nargs="?",
        metavar="NOTEBOOK",
        help="notebook to open, or a recipe (.toml) to open a notebook for; by default "
        f"notebooks/{DEFAULT_NAME} or ./{DEFAULT_NAME}, which is written if it is not there",
    )
    parser.add_argument("--port", type=int, help="port of the server (default: a free one)")
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address (default without display)"
    )


def run(args: argparse.Namespace) -> int:
    """Become the JupyterLab server."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise WorkbenchError(
            "JupyterLab is not installed; install it with: pip install 'cspad-workbench[lab]'"
        )
    notebook = choose(args.notebook)
    browser = has_display() and not args.no_browser
    command = lab_command(notebook, browser, args.port)
    print(f"JupyterLab on {notebook}", flush=True)
    if not browser:
        print("Open the address below that begins with http://127.0.0.1 (Ctrl+C ends):", flush=True)
    os.execve(sys.executable, command, environment())


def choose(given: str | None) -> Path:
    """Notebook to open; it is written if it does not exist yet.

    Raises
    ------
    WorkbenchError
        If what was given is neither a notebook nor a recipe.
    """
    if given is None:
        places = (Path("notebooks", DEFAULT_NAME), Path(DEFAULT_NAME))
        path = next((place for place in places if place.exists()), places[1])
    else:
        path = Path(given)
        if path.suffix == ".toml":
            if not path.is_file():
                raise WorkbenchError(f"{path}: there is no such recipe; check the path.")
            notebook = path.with_suffix(".ipynb")
            if not notebook.exists():
                write_notebook(notebook, path.name)
            return notebook
    if path.suffix != ".ipynb":
        raise WorkbenchError(f"{path} is not a notebook; give a .ipynb or a recipe (.toml).")
    if not path.exists():
        if given is not None and not path.parent.is_dir():
            raise WorkbenchError(f"{path}: there is no such folder; check the path.")
        write_notebook(path, "")
    return path


HEADING = (
    "# Calibration\n\nChoose *Run ▸ Run All Cells*; the workbench opens below. The line under its "
    "tabs says what to do next."
)


def write_notebook(path: Path, recipe: str) -> None:
    """Write a notebook that opens the workbench (on a recipe, or empty): heading and two cells."""
    choice = "# runs and files are chosen in the first panel"
    if recipe:
        choice = f"RECIPE = {json.dumps(recipe)}"  # a literal of Python too, whatever the name is
    argument = "RECIPE" if recipe else ""
    show = f"import workbench as wb\n\nbench = wb.Workbench({argument})\nbench.show();"
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
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    with replacing(path, overwrite=False) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


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
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    if not browser:
        command.append("--no-browser")
    if port is not None:
        command.append(f"--port={port}")
    return command
