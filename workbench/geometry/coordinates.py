"""Pixel coordinates as psana gives them: a numpy file of x, y, z in µm, ``(3, 32, 185, 388)``."""

from __future__ import annotations

import os
import warnings

import numpy as np

from workbench.detector import SHAPE
from workbench.errors import FileFormatError, GeometryError
from workbench.files import replacing
from workbench.geometry.fit import sensors_from_positions, tree_from_sensors
from workbench.geometry.imgcif import GeometryWarning
from workbench.geometry.tree import Geometry

MAGIC = b"\x93NUMPY"


def write_coordinates(
    geometry: Geometry, path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """Write the pixel coordinates (float64, psana frame, regular wide-pixel convention)."""
    coordinates = np.ascontiguousarray(np.moveaxis(geometry.pixel_positions_um(), -1, 0))
    with replacing(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        np.save(file, coordinates)


def read_coordinates(path: str | os.PathLike[str]) -> Geometry:
    """Geometry whose pixels are at the coordinates of a file.

    Raises
    ------
    FileFormatError
        If it is no array of three times 2 296 960 coordinates of flat sensors.
    """
    name = os.fspath(path)
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FileFormatError(path, "cannot read this array of coordinates.") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        raise FileFormatError(path, "expected an array of coordinates (real numbers).")
    if values.size != 3 * np.prod(SHAPE) or 3 not in (values.shape[0], values.shape[-1]):
        shape = " × ".join(map(str, values.shape))
        raise FileFormatError(path, f"expected coordinates of 3 × 32 × 185 × 388, found {shape}.")
    if values.shape[0] == 3:
        positions = np.moveaxis(values.reshape(3, *SHAPE), 0, -1)
    else:
        positions = values.reshape(*SHAPE, 3)
    try:
        sensors, worst = sensors_from_positions(positions.astype(np.float64), name)
        geometry = tree_from_sensors(sensors, name, [f"from {os.path.basename(name)}"])
    except GeometryError as error:
        raise FileFormatError(path, str(error).removeprefix(f"{name}: ")) from error
    if worst > 1.0:
        warnings.warn(
            f"{name}: its pixels are up to {worst:.1f} µm from those of flat, regular sensors.",
            GeometryWarning,
            stacklevel=2,
        )
    return geometry
