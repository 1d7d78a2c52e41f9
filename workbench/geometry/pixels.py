"""Positions of pixels: exact, and snapped to a grid of whole pixels for display.

Pixel layout of a sensor: PSCalib ``SegGeometryCspad2x1V1`` (lcls-psana/PSCalib@b9f60ba):
row r at ``y = (92 - r) · 109.92 µm``; column c ≥ 194 at ``x = 219.84 + 109.92 · (c - 194) µm``,
the others mirrored; the columns 193 and 194 are 274.80 µm wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detector import ASIC_COLUMNS, COLUMNS, PIXEL_SIZE_UM, ROWS, WIDE_PIXEL_SIZE_UM
from workbench.errors import GeometryError


def sensor_coordinates_um(
    wide_pixel_centre: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel coordinates in a sensor's own frame: x of each column (388,), y of each row (185,)."""
    outer = 2 * PIXEL_SIZE_UM + PIXEL_SIZE_UM * np.arange(ASIC_COLUMNS)
    if wide_pixel_centre:
        outer[0] = WIDE_PIXEL_SIZE_UM / 2
    x: NDArray[np.float64] = np.concatenate([-outer[::-1], outer])
    y: NDArray[np.float64] = PIXEL_SIZE_UM * ((ROWS - 1) / 2 - np.arange(ROWS, dtype=float))
    return x, y


# positions of a few geometries only: each is 55 MB, and an undo history holds many geometries
@lru_cache(maxsize=4)
def positions_um(transforms: bytes, wide_pixel_centre: bool = False) -> NDArray[np.float64]:
    """Pixel positions ``(sensors, 185, 388, 3)`` in µm, read-only.

    `transforms` are the bytes of float64 ``(sensors, 3, 4)``: rotation and origin of each sensor.
    """
    matrices = np.frombuffer(transforms).reshape(-1, 3, 4)
    x, y = sensor_coordinates_um(wide_pixel_centre)
    positions = np.empty((len(matrices), ROWS, COLUMNS, 3))
    for sensor, matrix in enumerate(matrices):
        for axis in range(3):
            along_y = matrix[axis, 1] * y + matrix[axis, 3]
            np.add.outer(along_y, matrix[axis, 0] * x, out=positions[sensor, :, :, axis])
    positions.flags.writeable = False
    return positions


@dataclass(frozen=True, eq=False)
class Snapped:
    """Assembled picture: each cell is 109.92 µm square and shows one pixel.

    Rows go along psana x (down), columns along psana y (right), as psana draws them.

    Attributes
    ----------
    shape : (rows, columns) of the picture.
    index : int32 ``shape``, flat index of the pixel shown in each cell, -1 where there is none.
    rows, columns : int32 ``(sensors, 185, 388)``, the cell in which each pixel lies (psana's rule
        ``int((x - x_min + pixel / 2) / pixel)``).
    origin_um : x, y of the centre of cell (0, 0).
    """

    shape: tuple[int, int]
    index: NDArray[np.int32]
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    origin_um: tuple[float, float]

    def assemble(self, array: ArrayLike, fill: float = np.nan) -> NDArray:
        """Picture of a pixel array, shape `shape`; `fill` where there is no pixel.

        The type is that of the array, or float if `fill` needs it.
        """
        values = np.asarray(array)
        if values.shape != self.rows.shape:
            raise GeometryError(
                f"expected an array of shape {self.rows.shape}, found {values.shape}."
            )
        picture = values.reshape(-1)[self.index]
        empty = self.index < 0
        kind = np.result_type(picture.dtype, np.min_scalar_type(fill))
        whole = np.isfinite(fill) and float(fill).is_integer()
        if picture.dtype.kind == "f" or (whole and picture.dtype.kind in "iub"):
            kind = picture.dtype
        picture = picture.astype(kind, copy=False)
        picture[empty] = fill
        return picture

    def cell_of_um(self, x_um: float, y_um: float) -> tuple[float, float]:
        """(row, column), fractional, of a place in the top frame."""
        return (
            (x_um - self.origin_um[0]) / PIXEL_SIZE_UM,
            (y_um - self.origin_um[1]) / PIXEL_SIZE_UM,
        )


@lru_cache(maxsize=4)
def snap(transforms: bytes, fill: bool = True) -> Snapped:
    """Assembly of the sensors whose transforms are given (see `positions_um`).

    Snapping tilted sensors leaves single empty cells, and the wide columns cover two and a half
    cells; with `fill` a cell that lies on a sensor shows the pixel it lies on.
    """
    matrices = np.frombuffer(transforms).reshape(-1, 3, 4)
    x, y = sensor_coordinates_um()
    u, v = np.array([x[0], x[-1], x[0], x[-1]]), np.array([y[0], y[0], y[-1], y[-1]])
    corners = matrices[:, :2, 0, None] * u + matrices[:, :2, 1, None] * v + matrices[:, :2, 3, None]
    lowest = corners.min(axis=(0, 2))  # of a flat rectangle a corner is the lowest
    rows, columns = (np.empty((len(matrices), ROWS, COLUMNS), np.int32) for _ in range(2))
    for sensor, matrix in enumerate(matrices):  # one at a time: it stays in the cache
        for axis, cells in enumerate((rows, columns)):
            across = matrix[axis, 1] * y + (matrix[axis, 3] - lowest[axis] + PIXEL_SIZE_UM / 2)
            place = np.add.outer(across, matrix[axis, 0] * x)
            place /= PIXEL_SIZE_UM
            cells[sensor] = place
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    if shape[0] * shape[1] > 2**27:
        raise GeometryError(
            f"the sensors are spread over {shape[0]} × {shape[1]} pixels; this is no usable "
            "geometry."
        )
    index = np.full(shape, -1, dtype=np.int32)
    index[rows, columns] = np.arange(rows.size, dtype=np.int32).reshape(rows.shape)
    if fill:
        _fill(index, np.frombuffer(transforms).reshape(-1, 3, 4), lowest, rows, columns)
    for array in (index, rows, columns):
        array.flags.writeable = False
    return Snapped(shape, index, rows, columns, (float(lowest[0]), float(lowest[1])))


def _fill(
    index: NDArray[np.int32],
    transforms: NDArray[np.float64],
    lowest: NDArray[np.float64],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> None:
    """Give empty cells that lie on a sensor the pixel they lie on."""
    half = WIDE_PIXEL_SIZE_UM + PIXEL_SIZE_UM * (ASIC_COLUMNS - 1)
    for sensor, matrix in enumerate(transforms):
        area = np.s_[
            rows[sensor].min() : rows[sensor].max() + 1,
            columns[sensor].min() : columns[sensor].max() + 1,
        ]
        empty_rows, empty_columns = np.nonzero(index[area] < 0)
        if empty_rows.size == 0:
            continue
        plane = matrix[:2, :2]
        if abs(np.linalg.det(plane)) < 0.1:  # seen edge-on: nothing sensible to fill
            continue
        places = np.stack([empty_rows + area[0].start, empty_columns + area[1].start])
        u, v = np.linalg.solve(
            plane, places * PIXEL_SIZE_UM + lowest[:, None] - matrix[:2, 3][:, None]
        )
        row = np.rint((ROWS - 1) / 2 - v / PIXEL_SIZE_UM).astype(int)
        outward = np.floor((np.abs(u) - WIDE_PIXEL_SIZE_UM) / PIXEL_SIZE_UM).astype(int) + 1
        outward = np.maximum(outward, 0)
        column = np.where(u < 0, ASIC_COLUMNS - 1 - outward, ASIC_COLUMNS + outward)
        inside = (np.abs(u) <= half) & (row >= 0) & (row < ROWS)
        inside &= (column >= 0) & (column < COLUMNS)
        flat = (sensor * ROWS + row) * COLUMNS + column
        index[places[0][inside], places[1][inside]] = flat[inside]
