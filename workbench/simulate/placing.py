"""Putting a sample experiment in its place: whole or not at all, and never over anything else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError

COMPLETE = ".complete"
MARKER = "SIMULATED"
_WRITING = ".writing"
_OLD = "replaced"
FEWEST_EVENTS = 4
"""So that both streams have both chunks."""
MOST_EVENTS = 20000


@dataclass(frozen=True)
class SamplePlaces:
    """Where the parts of a sample experiment are.

    Attributes
    ----------
    folder : it lies in.
    tree : folder of the experiment in the data tree, ``CXI/cxim1416``.
    recipe_name : of the recipe.
    """

    folder: Path
    tree: str
    recipe_name: str

    @property
    def xtc_dir(self) -> Path:
        """Folder of the runs' files."""
        return self.folder / self.tree / "xtc"

    @property
    def calib_dir(self) -> Path:
        """Calibration directory."""
        return self.folder / self.tree / "calib"

    @property
    def truth(self) -> Path:
        """Truth file."""
        return self.folder / "truth.json"

    @property
    def recipe(self) -> Path:
        """Recipe that calibrates the experiment."""
        return self.folder / self.recipe_name


def refuse_events(events: int) -> None:
    """Refuse a number of events that a run cannot have."""
    if not FEWEST_EVENTS <= events <= MOST_EVENTS:
        raise WorkbenchError(
            f"A run of {events} events cannot be made; choose {FEWEST_EVENTS} to {MOST_EVENTS}."
        )


def is_sample(folder: Path, tree: str) -> bool:
    """True if what lies in `folder` was written by `workbench simulate`."""
    return (folder / COMPLETE).is_file() or (folder / tree / MARKER).is_file()


def refuse_tree(folder: Path, overwrite: bool, tree: str) -> None:
    """Refuse what needs no look at the files: quick, before anything is computed."""
    if folder.exists() and not folder.is_dir():
        raise WorkbenchError(f"{folder} is a file; give a folder for the sample experiment.")
    if (folder / tree).exists() and not is_sample(folder, tree):
        # it may be the name of a real experiment
        raise WorkbenchError(
            f"{folder / tree} is not a simulated experiment and is left alone; choose another "
            "folder."
        )
    if is_sample(folder, tree) and not overwrite:
        raise WorkbenchError(
            f"{folder} holds a sample experiment already; nothing was written. Choose another "
            "folder, or give --overwrite to replace it with all that was deployed in it."
        )


def _refuse_other_files(folder: Path, texts: Mapping[str, str], overwrite: bool, tree: str) -> None:
    """Refuse to replace anything that is not a sample's; and, unless told otherwise, a folder
    that holds anything but the very texts that would be written."""
    for name, text in texts.items():
        path = folder / name
        if path.exists() and path.read_bytes() != text.encode("utf-8"):
            if overwrite and is_sample(folder, tree):
                continue
            raise WorkbenchError(
                f"{path} differs from the file that would be written; nothing was written. "
                "Choose another folder."
            )
    if overwrite:
        return
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(parent, name)
            if not name.startswith(".") and path.relative_to(folder).as_posix() not in texts:
                raise WorkbenchError(
                    f"{folder} holds other data ({path.relative_to(folder)}); nothing was "
                    "written. Choose another folder, or give --overwrite to write beside them."
                )


@contextmanager
def placed(
    folder: Path, tree: str, texts: Mapping[str, str], needed: int, overwrite: bool, words: str
) -> Iterator[Path]:
    """Hidden folder to make the experiment in; what is in it goes to `folder` at the end.

    Parameters
    ----------
    texts : small files of the experiment, by path; they are written first.
    needed : bytes that the experiment takes at most.
    words : of the file ``.complete``.
    """
    _refuse_other_files(folder, texts, overwrite, tree)
    with _workshop(folder, needed, overwrite) as hidden:
        for name, text in texts.items():
            path = hidden / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (hidden / tree).mkdir(parents=True)
        (hidden / tree / MARKER).write_text("Written by workbench simulate.\n")
        yield hidden
        _move_in(hidden, folder, tree)
        (folder / COMPLETE).write_text(f"{words}\n")


@contextmanager
def _workshop(folder: Path, needed: int, overwrite: bool) -> Iterator[Path]:
    """Hidden folder in which the experiment is made; it is gone afterwards in any case."""
    hidden = folder / _WRITING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if overwrite:
            shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir()
    except FileExistsError:
        raise WorkbenchError(
            f"{hidden} exists: another process is writing here, or one was killed; "
            "give --overwrite to start afresh."
        ) from None
    except OSError as error:
        raise WorkbenchError(f"{folder} cannot be written ({error.strerror}).") from error
    try:
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise WorkbenchError(
                f"{folder} has {free // 10**6} MB free, {needed // 10**6} MB are needed; choose "
                "another disk or fewer --events."
            )
        yield hidden
    except OSError as error:
        raise WorkbenchError(
            f"{folder} could not be written: {error.strerror or error}; nothing was left behind."
        ) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _move_in(hidden: Path, folder: Path, tree_name: str) -> None:
    """Move finished parts to their places: the experiment as a whole, other files one by one."""
    (folder / COMPLETE).unlink(missing_ok=True)
    tree = folder / tree_name
    if tree.exists():
        os.replace(tree, hidden / _OLD)
    tree.parent.mkdir(exist_ok=True)
    os.replace(hidden / tree_name, tree)
    shutil.rmtree(hidden / _OLD, ignore_errors=True)
    for part in [path for path in hidden.rglob("*") if path.is_file()]:
        place = folder / part.relative_to(hidden)
        place.parent.mkdir(exist_ok=True)
        os.replace(part, place)
