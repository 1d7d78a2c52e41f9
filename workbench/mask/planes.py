"""Sets of pixels as bits: one of a full CSPAD takes 331 kB, and two are combined in microseconds.

A *plane* is a ``uint64`` array ``(sensors, 185, 7)``: bit ``b`` of word ``w`` of a row is the
pixel in column ``64 w + b``. The 60 bits after column 387 are always 0.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from workbench.detector import COLUMNS, ROWS, SENSORS

WORDS = 7
PLANE_SHAPE = (SENSORS, ROWS, WORDS)
Plane = NDArray[np.uint64]

_BYTES = (COLUMNS + 7) // 8
_ONES = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)


def pack(pixels: NDArray[np.bool_]) -> Plane:
    """Plane of a bool array ``(sensors, 185, 388)``."""
    plane = np.zeros((*pixels.shape[:-1], 8 * WORDS), np.uint8)
    plane[..., :_BYTES] = np.packbits(pixels, axis=-1, bitorder="little")
    return plane.view("<u8")


def unpack(plane: Plane) -> NDArray[np.bool_]:
    """Bool array ``(sensors, 185, 388)`` of a plane."""
    bits = np.unpackbits(plane.view(np.uint8), axis=-1, count=COLUMNS, bitorder="little")
    return bits.view(np.bool_)


def empty() -> Plane:
    """Plane of no pixels."""
    return np.zeros(PLANE_SHAPE, np.uint64)


def count(plane: Plane) -> int:
    """How many pixels a plane has."""
    return int(_ONES[plane.view(np.uint16)].sum(dtype=np.int64))


def union(planes: Iterable[Plane], like: Plane) -> Plane:
    """Pixels that are in any of the planes (of the shape of `like`)."""
    joined = np.zeros_like(like)
    for plane in planes:
        joined |= plane
    return joined


def holds(plane: Plane, row: int, column: int, sensor: int) -> bool:
    """Whether a plane has a pixel."""
    return bool(int(plane[sensor, row, column >> 6]) >> (column & 63) & 1)


VALID = pack(np.ones((1, ROWS, COLUMNS), np.bool_))
"""All pixels of one sensor; ``~plane & VALID`` are the pixels a plane lacks."""
