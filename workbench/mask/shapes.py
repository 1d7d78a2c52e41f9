"""Which pixels' centres lie in a shape of the lab plane; x and y in mm, any array shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Point = Sequence[float]


def in_rectangle(x: NDArray, y: NDArray, x_range: Point, y_range: Point) -> NDArray[np.bool_]:
    """Inside or on the sides of an upright rectangle."""
    return (x >= x_range[0]) & (x <= x_range[1]) & (y >= y_range[0]) & (y <= y_range[1])


def in_circle(x: NDArray, y: NDArray, centre: Point, radius: float) -> NDArray[np.bool_]:
    """Inside or on a circle."""
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


def along_line(x: NDArray, y: NDArray, start: Point, end: Point, width: float) -> NDArray[np.bool_]:
    """Within half a width of the straight line from `start` to `end` (round at its ends)."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    square = dx * dx + dy * dy
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / square if square else np.zeros_like(x)
    along = np.clip(along, 0.0, 1.0)
    return np.hypot(x - start[0] - along * dx, y - start[1] - along * dy) <= width / 2


def in_polygon(x: NDArray, y: NDArray, points: Sequence[Point]) -> NDArray[np.bool_]:
    """Inside a polygon by the even-odd rule: a ray along +x crosses an odd number of sides."""
    corners = np.asarray(points, dtype=np.float64)
    inside = np.zeros(x.shape, dtype=bool)
    low, high = corners.min(axis=0), corners.max(axis=0)
    near = np.nonzero(in_rectangle(x, y, (low[0], high[0]), (low[1], high[1])))
    px, py = x[near], y[near]
    odd = np.zeros(px.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (py >= min(y0, y1)) & (py < max(y0, y1))
        crosses &= px < x0 + (py - y0) * ((x1 - x0) / (y1 - y0))
        odd ^= crosses
    inside[near] = odd
    return inside
