"""Loops over the neighbours of each pixel, compiled when first used: outliers and small islands."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.quantities import MAD_TO_SIGMA


@njit(nogil=True, cache=True)
def _median(values, count):  # type: ignore[no-untyped-def]
    """Median of ``values[:count]``, which it sorts."""
    for place in range(1, count):
        value = values[place]
        before = place - 1
        while before >= 0 and values[before] > value:
            values[before + 1] = values[before]
            before -= 1
        values[before + 1] = value
    if count % 2:
        return values[count // 2]
    return 0.5 * (values[count // 2 - 1] + values[count // 2])


@njit(nogil=True, cache=True)
def _outliers(image, usable, radius, sigmas, at_least, height, width, outlier):  # type: ignore[no-untyped-def]
    modules, rows, columns = image.shape
    around = np.empty((2 * radius + 1) ** 2, np.float64)
    for module in range(modules):
        for row in range(rows):
            top = row // height * height
            for column in range(columns):
                value = image[module, row, column]
                if not usable[module, row, column]:
                    continue
                first = column // width * width
                count = 0
                for r in range(max(row - radius, top), min(row + radius + 1, top + height)):
                    for c in range(
                        max(column - radius, first), min(column + radius + 1, first + width)
                    ):
                        if usable[module, r, c] and not (r == row and c == column):
                            around[count] = image[module, r, c]
                            count += 1
                if count < 3:
                    continue
                middle = _median(around, count)
                for place in range(count):
                    around[place] = abs(around[place] - middle)
                spread = MAD_TO_SIGMA * _median(around, count)
                difference = abs(value - middle)
                if difference > at_least and difference > sigmas * spread:
                    outlier[module, row, column] = True


def outliers(
    image: NDArray[np.float64],
    usable: NDArray[np.bool_],
    asic_shape: tuple[int, int],
    radius: int,
    sigmas: float,
    at_least: float,
) -> NDArray[np.bool_]:
    """Pixels further than `sigmas` robust σ, and than `at_least`, from their neighbours' median.

    The neighbours are the usable pixels of the same ASIC, since wide pixels at a seam collect more,
    in a square of ``2 radius + 1``; σ is 1.4826 times the median of their absolute deviations from
    their median. Pixels with fewer than three neighbours, and those not usable, are never outliers.
    """
    outlier = np.zeros(image.shape, np.bool_)
    _outliers(image, usable, radius, sigmas, at_least, *asic_shape, outlier)
    return outlier


_MASKED, _UNKNOWN, _LARGE, _ISLAND = 0, 1, 2, 3


@njit(nogil=True, cache=True)
def _islands(good, smaller_than, corners, state, stack):  # type: ignore[no-untyped-def]
    modules, rows, columns = good.shape
    for module in range(modules):
        here = state[module]
        for row in range(rows):  # a long run of good pixels is no island
            start = 0
            for column in range(columns + 1):
                if column < columns and good[module, row, column]:
                    here[row, column] = _UNKNOWN
                    continue
                if column - start >= smaller_than:
                    here[row, start:column] = _LARGE
                start = column + 1
        for row in range(rows):
            for column in range(columns):
                if here[row, column] != _UNKNOWN:
                    continue
                here[row, column] = _ISLAND
                stack[0] = row * columns + column
                size, place, large = 1, 0, False
                while place < size:  # all pixels of the region that are not known to be large
                    r, c = divmod(stack[place], columns)
                    place += 1
                    for down in range(-1, 2):
                        for right in range(-1, 2):
                            if down != 0 and right != 0 and not corners:
                                continue
                            y, x = r + down, c + right
                            if not (0 <= y < rows and 0 <= x < columns):
                                continue
                            if here[y, x] == _LARGE:
                                large = True
                            elif here[y, x] == _UNKNOWN:
                                here[y, x] = _ISLAND
                                stack[size] = y * columns + x
                                size += 1
                if large or size >= smaller_than:
                    for place in range(size):
                        r, c = divmod(stack[place], columns)
                        here[r, c] = _LARGE


def islands(good: NDArray[np.bool_], smaller_than: int, corners: bool) -> NDArray[np.bool_]:
    """Good pixels of connected regions with fewer than `smaller_than` pixels, module by module.

    Parameters
    ----------
    corners : pixels that touch at a corner are connected too.
    """
    state = np.zeros(good.shape, np.uint8)
    _islands(good, smaller_than, corners, state, np.empty(good[0].size, np.int64))
    result: NDArray[np.bool_] = state == _ISLAND
    return result
