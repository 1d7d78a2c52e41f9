"""Pixel coordinates of psana: a numpy file of x, y, z in µm, ``(3, modules, rows, columns)``."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from workbench.detectors import DETECTORS
from workbench.errors import FileFormatError, GeometryError
from workbench.files import replacing
from workbench.geometry.fit import modules_from_positions, tree_from_modules
from workbench.geometry.registry import GeometryFile, GeometryWarning, WriteOptions
from workbench.geometry.tree import Geometry
from workbench.numpy_files import read_array

MAGIC = b"\x93NUMPY"
LARGEST_MISFIT_UM = 1.0
"""Pixels further than this from a flat, regular module are said."""


def write_coordinates(geometry: Geometry, path: Path, options: WriteOptions) -> None:
    """Write the pixel coordinates (float64, psana frame, regular wide-pixel convention)."""
    coordinates = np.ascontiguousarray(np.moveaxis(geometry.pixel_positions_um(), -1, 0))
    with replacing(path, overwrite=options.overwrite) as temporary, temporary.open("wb") as file:
        np.save(file, coordinates)


def read_coordinates(path: Path) -> GeometryFile[Geometry]:
    """Geometry whose pixels are at the coordinates of a file.

    Raises
    ------
    FileFormatError
        If it is not an array of three coordinates for each pixel of a known detector.
    """
    name = os.fspath(path)
    values = read_array(path)
    if values.dtype.kind != "f":
        raise FileFormatError(path, "expected an array of coordinates (real numbers).")
    candidates = [candidate for candidate in DETECTORS if 3 * candidate.pixels == values.size]
    same_shape = [d for d in candidates if d.shape in (values.shape[1:], values.shape[:-1])]
    detector = next(iter(same_shape + candidates), None)
    if detector is None or 3 not in (values.shape[0], values.shape[-1]):
        shape = " × ".join(map(str, values.shape))
        expected = " or ".join(f"3 × {candidate.shape_text}" for candidate in DETECTORS)
        raise FileFormatError(path, f"expected coordinates of {expected}, found {shape}.")
    if values.shape[0] == 3:
        positions = np.moveaxis(values.reshape(3, *detector.shape), 0, -1)
    else:
        positions = values.reshape(*detector.shape, 3)
    try:
        frames, misfit = modules_from_positions(detector, positions.astype(np.float64), name)
        geometry = tree_from_modules(detector, frames, name, [f"from {os.path.basename(name)}"])
    except GeometryError as error:
        raise FileFormatError(path, str(error).removeprefix(f"{name}: ")) from error
    if misfit > LARGEST_MISFIT_UM:
        warnings.warn(
            f"{name}: its pixels are up to {misfit:.1f} µm from those of flat, regular modules.",
            GeometryWarning,
            stacklevel=2,
        )
    return GeometryFile(geometry)
