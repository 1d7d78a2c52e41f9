"""Which geometry format a file has, told by its content."""

from __future__ import annotations

import os

from workbench.errors import FileFormatError
from workbench.geometry import cif, imgcif, slac
from workbench.geometry.tree import Geometry


def read_geometry(path: str | os.PathLike[str]) -> Geometry:
    """Geometry of a SLAC, CSPAD CBF or CrystFEL file.

    Raises
    ------
    FileFormatError
        If it cannot be read; the message names file and line.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(1 << 16)
    except OSError as error:
        raise FileFormatError(path, f"cannot read this geometry ({error.strerror}).") from error
    if not start:
        raise FileFormatError(path, "the file is empty; expected a geometry.")
    if start.startswith(cif.MAGIC):
        return imgcif.read_geometry(path).geometry
    return slac.read(path)
