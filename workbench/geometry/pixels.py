"""Positions of pixels: exact, and snapped to a grid of whole pixels for display."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detectors import Detector
from workbench.errors import GeometryError

LARGEST_PICTURE = 2**27
"""Cells; modules flung apart by a wrong number would need more."""


# positions of a few geometries only: each is 55 MB, and an undo history holds many geometries
@lru_cache(maxsize=4)
def positions_um(
    detector: Detector, transforms: bytes, wide_pixel_centre: bool = False
) -> NDArray[np.float64]:
    """Pixel positions ``(modules, rows, columns, 3)`` in µm, read-only.

    `transforms` are the bytes of float64 ``(modules, 3, 4)``: rotation and origin of each module.
    """
    x, y = detector.module_coordinates_um(wide_pixel_centre)
    positions = np.empty((*detector.shape, 3))
    for module, matrix in enumerate(_matrices(transforms)):
        for axis in range(3):
            along_y = matrix[axis, 1] * y + matrix[axis, 3]
            np.add.outer(along_y, matrix[axis, 0] * x, out=positions[module, :, :, axis])
    positions.flags.writeable = False
    return positions


@dataclass(frozen=True, eq=False)
class Snapped:
    """Assembled picture: each cell is as large as a pixel and shows one pixel.

    Rows go along psana x (down), columns along psana y (right), as psana draws them.

    Attributes
    ----------
    shape : (rows, columns) of the picture.
    index : int32 ``shape``, flat index of the pixel shown in each cell, -1 where there is none.
    rows, columns : int32 ``(modules, rows, columns)``, the cell in which each pixel lies (psana's
        rule ``int((x - x_min + pixel / 2) / pixel)``).
    origin_um : x, y of the centre of cell (0, 0).
    """

    shape: tuple[int, int]
    index: NDArray[np.int32]
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    origin_um: tuple[float, float]

    def assemble(self, array: ArrayLike, fill: float = np.nan) -> NDArray[Any]:
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


@lru_cache(maxsize=4)
def snap(detector: Detector, transforms: bytes, fill: bool = True) -> Snapped:
    """Assembly of the modules whose transforms are given (see `positions_um`).

    Snapping tilted modules leaves single empty cells, and wide pixels cover more than one cell;
    with `fill` a cell that lies on a module shows the pixel it lies on.
    """
    matrices = _matrices(transforms)
    pixel_um = detector.pixel_um
    x, y = detector.module_coordinates_um()
    u, v = np.array([x[0], x[-1], x[0], x[-1]]), np.array([y[0], y[0], y[-1], y[-1]])
    corners = matrices[:, :2, 0, None] * u + matrices[:, :2, 1, None] * v + matrices[:, :2, 3, None]
    lowest = corners.min(axis=(0, 2))  # of a flat rectangle a corner is the lowest
    rows, columns = (np.empty(detector.shape, np.int32) for _ in range(2))
    for module, matrix in enumerate(matrices):  # one at a time: it stays in the cache
        for axis, cells in enumerate((rows, columns)):
            across = matrix[axis, 1] * y + (matrix[axis, 3] - lowest[axis] + pixel_um / 2)
            place = np.add.outer(across, matrix[axis, 0] * x)
            place /= pixel_um
            cells[module] = place
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    if shape[0] * shape[1] > LARGEST_PICTURE:
        raise GeometryError(
            f"the modules are spread over {shape[0]} × {shape[1]} pixels; this is not a usable "
            "geometry."
        )
    index = np.full(shape, -1, dtype=np.int32)
    index[rows, columns] = np.arange(rows.size, dtype=np.int32).reshape(rows.shape)
    if fill:
        for module, matrix in enumerate(matrices):
            _fill(index, detector, module, matrix, lowest, rows[module], columns[module])
    for array in (index, rows, columns):
        array.flags.writeable = False
    return Snapped(shape, index, rows, columns, (float(lowest[0]), float(lowest[1])))


def _matrices(transforms: bytes) -> NDArray[np.float64]:
    return np.frombuffer(transforms).reshape(-1, 3, 4)


def _fill(
    index: NDArray[np.int32],
    detector: Detector,
    module: int,
    matrix: NDArray[np.float64],
    lowest: NDArray[np.float64],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> None:
    """Give empty cells that lie on a module the pixel they lie on."""
    area = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    empty_rows, empty_columns = np.nonzero(index[area] < 0)
    if empty_rows.size == 0:
        return
    plane = matrix[:2, :2]
    if abs(np.linalg.det(plane)) < 0.1:  # seen edge-on: nothing sensible to fill
        return
    places = np.stack([empty_rows + area[0].start, empty_columns + area[1].start])
    u, v = np.linalg.solve(
        plane, places * detector.pixel_um + lowest[:, None] - matrix[:2, 3][:, None]
    )
    row, column = detector.pixel_at_um(u, v)
    inside = (row >= 0) & (column >= 0)
    flat = (module * detector.rows + row) * detector.columns + column
    index[places[0][inside], places[1][inside]] = flat[inside]
