"""From detector arrays to a picture: assembly in geometry, axes in pixels from the beam."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detector import ASIC_COLUMNS, PIXEL_SIZE_UM, QUADRANTS, ROWS, SHAPE
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.geometry import Geometry

_frames: WeakKeyDictionary[Any, Frame] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Frame:
    """A geometry prepared for drawing.

    Attributes
    ----------
    geometry : the geometry.
    index : int32 ``(rows, cols)``, the detector pixel shown there or −1.
    centre : row and column (float) of x = y = 0, the beam.
    quadrant_centres : float ``(4, 2)``, psana x, y of each quadrant's middle in pixels.
    """

    geometry: Any
    index: NDArray[np.int32]
    centre: tuple[float, float]
    quadrant_centres: NDArray[np.float64]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top for ``imshow``: y to the right, x down, pixels from the beam."""
        rows, columns = self.index.shape
        row, column = self.centre
        return (-0.5 - column, columns - 0.5 - column, rows - 0.5 - row, -0.5 - row)

    def assemble(self, array: NDArray[Any], fill: float = np.nan) -> NDArray[Any]:
        """Picture ``(rows, cols)`` of a detector array, `fill` where there is no pixel."""
        return self.geometry.snapped().assemble(array, fill)

    def grid(self) -> list[tuple[int, int]]:
        """Row and column (0 or 1) of each quadrant's place in a 2 × 2 arrangement."""
        order = np.argsort(self.quadrant_centres[:, 0], kind="stable")
        places = [(0, 0)] * QUADRANTS
        for row, pair in enumerate((order[:2], order[2:])):
            for column, quadrant in enumerate(sorted(pair, key=lambda q: self._y(int(q)))):
                places[int(quadrant)] = (row, column)
        return places

    def asic_centres(self) -> NDArray[np.float64]:
        """Psana x, y of each ASIC's middle, pixels: ``(32, 2, 2)``."""
        positions = self.geometry.pixel_positions_um()[..., :2] / PIXEL_SIZE_UM
        halves = positions[:, :, :ASIC_COLUMNS], positions[:, :, ASIC_COLUMNS:]
        return np.stack([half.mean(axis=(1, 2)) for half in halves], axis=1)

    def outlines(self) -> NDArray[np.float64]:
        """Psana x, y of the four corners of each sensor, pixels: ``(32, 4, 2)``."""
        return outlines_of(self.geometry)

    def _y(self, quadrant: int) -> float:
        return float(self.quadrant_centres[quadrant, 1])


def frame_of(geometry: Geometry | None) -> Frame:
    """Frame of a geometry (kept as long as the geometry lives); None means the ideal CSPAD."""
    if geometry is None:
        geometry = _ideal()
    if geometry in _frames:
        return _frames[geometry]
    snapped = geometry.snapped()
    x, y = snapped.origin_um
    positions = geometry.pixel_positions_um() / PIXEL_SIZE_UM
    middles = positions.reshape(QUADRANTS, -1, 3).mean(axis=1)[:, :2]
    centre = (-x / PIXEL_SIZE_UM, -y / PIXEL_SIZE_UM)
    frame = Frame(geometry, snapped.index, centre, middles)
    _frames[geometry] = frame
    return frame


def full(array: ArrayLike, what: str, dtype: Any = None) -> NDArray[Any]:
    """Check that `array` covers the whole detector, shape ``(32, 185, 388)``.

    Raises
    ------
    WorkbenchError
        If it has another shape.
    """
    checked = np.asarray(array, dtype=dtype)
    if checked.shape != SHAPE:
        raise WorkbenchError(
            f"{what} has the shape {checked.shape}; a picture of the detector needs {SHAPE}."
        )
    return checked


def blocks_with_any(picture: NDArray[np.bool_], pixels: int = 700) -> NDArray[np.bool_]:
    """Shrink a truth picture to at most about `pixels` a side; a block is True if any of it is.

    Single masked pixels would vanish in a picture drawn smaller than the detector.
    """
    step = max(1, -(-max(picture.shape) // pixels))
    rows, columns = (-(-length // step) for length in picture.shape)
    padded = np.zeros((rows * step, columns * step), dtype=bool)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    return np.asarray(padded.reshape(rows, step, columns, step).any(axis=(1, 3)), dtype=bool)


def block_means(picture: NDArray[Any], step: int = 2) -> NDArray[np.float32]:
    """Shrink a picture by `step`, each block the mean of its finite pixels (NaN if none).

    Masked pixels thus leave no holes larger than themselves in a picture drawn small.
    """
    rows, columns = (-(-length // step) for length in picture.shape)
    padded = np.full((rows * step, columns * step), np.nan, dtype=np.float32)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    blocks = padded.reshape(rows, step, columns, step)
    known = np.isfinite(blocks)
    pixels = known.sum(axis=(1, 3))
    sums = np.where(known, blocks, 0).sum(axis=(1, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums / pixels).astype(np.float32)


def outlines_of(geometry: Any) -> NDArray[np.float64]:
    """Psana x, y of the four outer corners of each sensor, pixels: ``(32, 4, 2)``."""
    positions = geometry.pixel_positions_um()[..., :2] / PIXEL_SIZE_UM
    corners = positions[:, [0, 0, -1, -1], [0, -1, -1, 0]]
    slow, fast = corners[:, 3] - corners[:, 0], corners[:, 1] - corners[:, 0]
    slow *= 0.5 / (ROWS - 1)
    fast *= 0.5 / np.linalg.norm(fast, axis=1, keepdims=True)
    return corners + np.stack((-slow - fast, -slow + fast, slow + fast, slow - fast), axis=1)


@cache
def _ideal() -> Any:
    from workbench.geometry import Geometry

    return Geometry.ideal()
