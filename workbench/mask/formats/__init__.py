"""Mask files: one module per format, chosen by name or by the file's ending."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import FileFormatError, MaskError
from workbench.mask.model import Mask


class Format(NamedTuple):
    """One kind of mask file."""

    module: str
    endings: tuple[str, ...]
    text: str


FORMATS: dict[str, Format] = {
    "dials": Format(
        "dials", (".pickle", ".pkl", ".pickle.gz", ".pkl.gz"), "DIALS/cctbx pickle, True = good"
    ),
}


def write_mask(mask: Mask, path: str | os.PathLike[str], format: str | None = None) -> None:
    """Write a mask file, atomically.

    Parameters
    ----------
    path : where; its ending decides the format if `format` is None.
    format : a name of `FORMATS`.

    Raises
    ------
    MaskError
        If the format is unknown.
    WorkbenchError
        If the file cannot be written.
    """
    _module(_format_for_writing(path, format)).write(mask, path)


def read_mask(path: str | os.PathLike[str], format: str | None = None) -> Mask:
    """Read a mask file; its format is recognised by the ending unless `format` names it.

    Nothing in the file is executed.

    Raises
    ------
    FileFormatError
        If it is not a readable mask of a full CSPAD; the message says what was found.
    MaskError
        If the format is unknown.
    """
    name = format or _format_of_ending(path)
    if name is None:
        raise FileFormatError(path, _unknown_ending(path), hint="Name the format.")
    if name not in FORMATS:
        raise MaskError(_unknown_format(name))
    return _module(name).read(path)


def _format_for_writing(path: str | os.PathLike[str], format: str | None) -> str:
    name = format or _format_of_ending(path)
    if name is None:
        raise MaskError(f"{path}: {_unknown_ending(path)} Name the format, or another ending.")
    if name not in FORMATS:
        raise MaskError(_unknown_format(name))
    return name


def _module(name: str) -> Any:
    return import_module(f"workbench.mask.formats.{FORMATS[name].module}")


def _format_of_ending(path: str | os.PathLike[str]) -> str | None:
    file = Path(path).name.lower()
    return next(
        (name for name, kind in FORMATS.items() if file.endswith(kind.endings)),
        None,
    )


def _unknown_ending(path: str | os.PathLike[str]) -> str:
    endings = ", ".join(ending for kind in FORMATS.values() for ending in kind.endings)
    return f"the ending {Path(path).suffix!r} is not that of a mask file (known: {endings})."


def _unknown_format(name: str) -> str:
    return f"There is no mask format {name!r}; known are {', '.join(FORMATS)}."
