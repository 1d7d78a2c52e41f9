"""A table of file formats: which one a file has, and what reads and writes it.

`workbench.geometry.formats` fills the table of the geometry formats. `Geometry.read` and
`Geometry.write`, the command line and the documentation read it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from workbench.errors import FileFormatError, GeometryError, cannot_read
from workbench.files import read_regular

G = TypeVar("G")
START_BYTES = 1 << 16
"""A format is recognised by so many first bytes of a file."""


class GeometryWarning(UserWarning):
    """Something of a geometry could not be carried over."""


class GeometryFile(NamedTuple, Generic[G]):
    """What a geometry file says; None where it does not."""

    geometry: G
    distance_mm: float | None = None
    wavelength_angstrom: float | None = None


@dataclass(frozen=True)
class WriteOptions:
    """What a format may write beside the geometry.

    Attributes
    ----------
    distance_mm, wavelength_angstrom : of the beamline; None if not known.
    like : a file of the same format whose other lines are kept (CrystFEL).
    overwrite : whether a file that exists may be replaced.
    """

    distance_mm: float | None = None
    wavelength_angstrom: float | None = None
    like: str | os.PathLike[str] | None = None
    overwrite: bool = True


@dataclass(frozen=True)
class GeometryFormat(Generic[G]):
    """One kind of geometry file.

    Attributes
    ----------
    name : e.g. ``crystfel``.
    endings : of files that are written in it, unless another format is named.
    text : what it is, for people.
    write : writes a geometry to a path.
    recognises : whether a file that starts with these bytes has this format; None if it is not
        read.
    read : reads a file that `recognises`.
    """

    name: str
    endings: tuple[str, ...]
    text: str
    write: Callable[[G, Path, WriteOptions], None]
    recognises: Callable[[bytes], bool] | None = None
    read: Callable[[Path], GeometryFile[G]] | None = None


class FormatTable(Generic[G]):
    """Formats by name, in the order in which a file's content is tried."""

    def __init__(self) -> None:
        self._formats: dict[str, GeometryFormat[G]] = {}

    def add(self, new: GeometryFormat[G]) -> None:
        """Add a format, after those that are there."""
        self._formats[new.name] = new

    def __iter__(self) -> Iterator[GeometryFormat[G]]:
        return iter(self._formats.values())

    def read(self, path: str | os.PathLike[str]) -> GeometryFile[G]:
        """Read a file in the format that its content has.

        Raises
        ------
        FileFormatError
            If it cannot be read; the message names file and line.
        """
        try:
            start = read_regular(path, START_BYTES)
            if not start:
                raise FileFormatError(path, "the file is empty; expected a geometry.")
            for format_entry in self:
                if format_entry.read and format_entry.recognises and format_entry.recognises(start):
                    return format_entry.read(Path(path))
        except OSError as error:
            raise FileFormatError(path, cannot_read("geometry", error)) from error
        raise FileFormatError(path, "this is not a known geometry format.")

    def of_path(self, path: str | os.PathLike[str], format: str | None = None) -> GeometryFormat[G]:
        """Format of a name, else of a file's ending; ``0-end.data.v3`` ends in ``.data``.

        Raises
        ------
        GeometryError
            If no format has this name or ending; the message lists them.
        """
        if format is not None and format in self._formats:
            return self._formats[format]
        file = re.sub(r"(?<=\.data)\.v\d+$", "", Path(path).name.lower())
        for format_entry in self:
            if format is None and file.endswith(format_entry.endings):
                return format_entry
        endings = ", ".join(
            f"{format_entry.endings[0]} ({format_entry.text})" for format_entry in self
        )
        raise GeometryError(
            f"{path}: cannot write {format or Path(path).suffix or 'this'}; known are {endings}."
        )
