"""Which geometry format a file has: told by its content when read, by its suffix when written."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import NamedTuple

from workbench.errors import FileFormatError, GeometryError
from workbench.geometry import cif, coordinates, crystfel, exports, imgcif, imgcif_header, slac
from workbench.geometry.tree import Geometry

WRITTEN = {
    ".data": "SLAC geometry",
    ".cbf": "CSPAD CBF header",
    ".geom": "CrystFEL",
    ".npy": "psana pixel coordinates",
    ".h5": "pyFAI detector",
    ".expt": "DIALS experiment",
}


def read_geometry(path: str | os.PathLike[str]) -> Geometry:
    """Geometry of a SLAC, CSPAD CBF, CrystFEL or pixel-coordinate file.

    Raises
    ------
    FileFormatError
        If it cannot be read; the message names file and line.
    """
    return read_with_beam(path).geometry


class GeometryFile(NamedTuple):
    """What a geometry file says; None where it does not."""

    geometry: Geometry
    distance_mm: float | None = None
    wavelength_angstrom: float | None = None


def read_with_beam(path: str | os.PathLike[str]) -> GeometryFile:
    """Geometry of a file, with the distance and the wavelength if it gives them.

    Warns
    -----
    GeometryWarning
        If the file says something that a tree of rigid sensors cannot.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(1 << 16)
    except OSError as error:
        raise FileFormatError(path, f"cannot read this geometry ({error.strerror}).") from error
    if not start:
        raise FileFormatError(path, "the file is empty; expected a geometry.")
    if start.startswith(cif.MAGIC):
        found = imgcif.read_geometry(path)
        return GeometryFile(found.geometry, found.distance_mm, found.wavelength_angstrom)
    if start.startswith(coordinates.MAGIC):
        return GeometryFile(coordinates.read_coordinates(path))
    if crystfel.looks_like_crystfel(start):
        panels = crystfel.read_crystfel(path)
        if panels.left_um > 1.0:
            warnings.warn(
                f"{path}: its ASICs are not those of rigid sensors; pixels are up to "
                f"{panels.left_um:.1f} µm from where the file has them.",
                imgcif.GeometryWarning,
                stacklevel=2,
            )
        return GeometryFile(panels.geometry, panels.distance_mm)
    return GeometryFile(slac.read(path))


def write_geometry(
    geometry: Geometry,
    path: str | os.PathLike[str],
    *,
    distance_mm: float | None = None,
    wavelength_angstrom: float | None = None,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
    kind: str | None = None,
) -> None:
    """Write a geometry in the format of the suffix (`WRITTEN`), or of the suffix `kind`.

    `like` is a CrystFEL file whose lines other than the panels' places are kept.

    Raises
    ------
    GeometryError
        If the suffix is not known or the format cannot hold the geometry.
    """
    suffix = kind or Path(path).suffix.lower()
    if suffix == ".data" or re.search(r"\.data\.v\d+$", os.fspath(path)):
        geometry.write(path, overwrite=overwrite)
    elif suffix in (".cbf", ".def"):  # cctbx's users call header-only files .def
        imgcif_header.write_header(geometry, path, distance_mm=distance_mm, overwrite=overwrite)
    elif suffix == ".geom":
        crystfel.write_crystfel(
            geometry, path, distance_mm=distance_mm, like=like, overwrite=overwrite
        )
    elif suffix == ".npy":
        coordinates.write_coordinates(geometry, path, overwrite=overwrite)
    elif suffix == ".h5":
        exports.write_pyfai(geometry, path, overwrite=overwrite)
    elif suffix == ".expt":
        exports.write_expt(
            geometry, path, distance_mm=distance_mm, wavelength_angstrom=wavelength_angstrom,
            overwrite=overwrite,
        )  # fmt: skip
    else:
        known = ", ".join(f"{end} ({what})" for end, what in WRITTEN.items())
        raise GeometryError(f"{path}: cannot write {suffix or 'this'}; known are {known}.")
