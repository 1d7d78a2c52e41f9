"""Geometry files: one module per format, chosen by content when read, by the ending when written.

=========  ============  ==========================================  ====
name       ending        file                                        read
=========  ============  ==========================================  ====
cbf        ``.cbf``      header of a CSPAD CBF (also ``.def``)       yes
npy        ``.npy``      pixel coordinates of psana                  yes
crystfel   ``.geom``     CrystFEL geometry                           yes
pyfai      ``.h5``       detector for pyFAI                          no
dials      ``.expt``     DIALS experiment                            no
slac       ``.data``     SLAC geometry (also ``.data.v3``)           yes
=========  ============  ==========================================  ====
"""

from __future__ import annotations

import os
from pathlib import Path

from workbench.files import replacing
from workbench.geometry import slac
from workbench.geometry.formats import (
    cif,
    coordinates,
    crystfel,
    dials,
    imgcif,
    imgcif_header,
    pyfai,
)
from workbench.geometry.registry import GeometryFile, GeometryFormat, WriteOptions
from workbench.geometry.tree import FORMATS, Geometry

__all__ = ["FORMATS", "GeometryFile", "read_geometry_file", "write_geometry"]


def read_geometry_file(path: str | os.PathLike[str]) -> GeometryFile[Geometry]:
    """Geometry of a file, with the distance and the wavelength if it gives them.

    Raises
    ------
    FileFormatError
        If it cannot be read; the message names file and line.

    Warns
    -----
    GeometryWarning
        If the file says something that a tree of rigid modules cannot.
    """
    return FORMATS.read(path)


def write_geometry(
    geometry: Geometry,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    distance_mm: float | None = None,
    wavelength_angstrom: float | None = None,
    like: str | os.PathLike[str] | None = None,
    overwrite: bool = True,
) -> None:
    """Write a geometry file, atomically.

    Parameters
    ----------
    path : where; its ending decides the format if `format` is None.
    format : a name of the table above.
    distance_mm, wavelength_angstrom : written where the format has a place for them.
    like : a CrystFEL file whose lines other than the panels' places are kept.

    Raises
    ------
    GeometryError
        If the ending is not known or the format cannot hold the geometry.
    """
    options = WriteOptions(distance_mm, wavelength_angstrom, like, overwrite)
    FORMATS.write(geometry, path, format, options)


def _read_slac(path: Path) -> GeometryFile[Geometry]:
    with path.open("rb") as file:
        content = file.read(slac.LARGEST_FILE + 1)
    name = os.fspath(path)
    return GeometryFile(Geometry.parse(slac.decode(content, name), name))


def _write_slac(geometry: Geometry, path: Path, options: WriteOptions) -> None:
    content = geometry.to_text().encode("utf-8", "surrogateescape")
    with replacing(path, overwrite=options.overwrite) as temporary:
        temporary.write_bytes(content)


FORMATS.add(
    GeometryFormat(
        "cbf", (".cbf", ".def"), "CSPAD CBF header", imgcif_header.write_header,
        lambda start: start.startswith(cif.MAGIC), imgcif.read_geometry,
    )
)  # fmt: skip
FORMATS.add(
    GeometryFormat(
        "npy", (".npy",), "psana pixel coordinates", coordinates.write_coordinates,
        lambda start: start.startswith(coordinates.MAGIC), coordinates.read_coordinates,
    )
)  # fmt: skip
FORMATS.add(
    GeometryFormat(
        "crystfel", (".geom",), "CrystFEL", crystfel.write_crystfel,
        crystfel.looks_like_crystfel, crystfel.read_geometry,
    )
)  # fmt: skip
FORMATS.add(GeometryFormat("pyfai", (".h5",), "pyFAI detector", pyfai.write_pyfai))
FORMATS.add(GeometryFormat("dials", (".expt",), "DIALS experiment", dials.write_expt))
FORMATS.add(  # the last: whatever is none of the others is read as a SLAC file
    GeometryFormat("slac", (".data",), "SLAC geometry", _write_slac, lambda start: True, _read_slac)
)
