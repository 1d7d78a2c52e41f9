"""Putting a sample experiment in its place: whole or not at all, and never over anything else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import WorkbenchError

COMPLETE = ".complete"
MARKER = "SIMULATED"
_WRITING = ".writing"
_OLD = "replaced"


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


def refuse_other_files(folder: Path, texts: dict[str, str], overwrite: bool, tree: str) -> None:
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
def workshop(folder: Path, needed: int, overwrite: bool) -> Iterator[Path]:
    """Hidden folder in which the experiment is made; it is gone afterwards in any case.

    `needed` are the bytes that it will hold at most.
    """
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


def move_in(hidden: Path, folder: Path, tree_name: str) -> None:
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
