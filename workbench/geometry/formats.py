"""Which geometry format a file has: told by its content when read, by its suffix when written."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.errors import FileFormatError, GeometryError
from workbench.geometry import cif, imgcif, imgcif_header, slac
from workbench.geometry.tree import Geometry

WRITTEN = {
    ".data": "SLAC geometry",
    ".cbf": "CSPAD CBF header",
}


def read_geometry(path: str | os.PathLike[str]) -> Geometry:
    """Geometry of a SLAC, CSPAD CBF or CrystFEL file.

    Raises
    ------
    FileFormatError
        If it cannot be read; the message names file and line.
    """
    return read_with_distance(path)[0]


def read_with_distance(path: str | os.PathLike[str]) -> tuple[Geometry, float | None]:
    """Geometry of a file, and the distance (mm) it gives; None where it gives none."""
    try:
        with open(path, "rb") as file:
            start = file.read(1 << 16)
    except OSError as error:
        raise FileFormatError(path, f"cannot read this geometry ({error.strerror}).") from error
    if not start:
        raise FileFormatError(path, "the file is empty; expected a geometry.")
    if start.startswith(cif.MAGIC):
        found = imgcif.read_geometry(path)
        return found.geometry, found.distance_mm
    return slac.read(path), None


def write_geometry(
    geometry: Geometry,
    path: str | os.PathLike[str],
    *,
    distance_mm: float | None = None,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
) -> None:
    """Write a geometry in the format of the suffix (`WRITTEN`).

    `like` is a CrystFEL file whose lines other than the panels' places are kept.

    Raises
    ------
    GeometryError
        If the suffix is not known or the format cannot hold the geometry.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".data":
        geometry.write(path, overwrite=overwrite)
    elif suffix == ".cbf":
        imgcif_header.write_header(geometry, path, distance_mm=distance_mm, overwrite=overwrite)
    else:
        known = ", ".join(f"{end} ({what})" for end, what in WRITTEN.items())
        raise GeometryError(f"{path}: cannot write {suffix or 'this'}; known are {known}.")
