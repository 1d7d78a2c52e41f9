"""Geometry files, one module per format: `FORMATS` is the table of them.

A file's content says which format is read, its ending in which one it is written. ``.def`` is a
CBF header as well, and ``0-end.data.v3`` a SLAC file.
"""

from __future__ import annotations

import os
from pathlib import Path

from workbench.files import read_regular, replacing
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

__all__ = ["FORMATS"]


def _read_slac(path: Path) -> GeometryFile[Geometry]:
    content = read_regular(path, slac.LARGEST_FILE + 1)
    name = os.fspath(path)
    return GeometryFile(Geometry.parse(slac.decode(content, name), name))


def _write_slac(geometry: Geometry, path: Path, options: WriteOptions) -> None:
    content = geometry.to_text().encode("utf-8", "surrogateescape")
    with replacing(path, overwrite=options.overwrite) as temporary:
        temporary.write_bytes(content)


for known in (
    GeometryFormat(
        "cbf", (".cbf", ".def"), "CSPAD CBF header", imgcif_header.write_header,
        lambda start: start.startswith(cif.MAGIC), imgcif.read_geometry,
    ),
    GeometryFormat(
        "npy", (".npy",), "psana pixel coordinates", coordinates.write_coordinates,
        lambda start: start.startswith(coordinates.MAGIC), coordinates.read_coordinates,
    ),
    GeometryFormat(
        "crystfel", (".geom",), "CrystFEL", crystfel.write_crystfel,
        crystfel.looks_like_crystfel, crystfel.read_geometry,
    ),
    GeometryFormat("pyfai", (".h5",), "pyFAI detector", pyfai.write_pyfai),
    GeometryFormat("dials", (".expt",), "DIALS experiment", dials.write_expt),
    # the last: whatever is none of the others is read as a SLAC file
    GeometryFormat(
        "slac", (".data",), "SLAC geometry", _write_slac, lambda start: True, _read_slac
    ),
):  # fmt: skip
    FORMATS.add(known)
