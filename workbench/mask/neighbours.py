"""Rules that look at neighbours: growing, islands, local outliers. Compiled when first used.

All stay within a sensor ``(185, 388)``, whose ASICs are neighbours across the wide columns;
outliers stay within an ASIC, since the wide columns collect more.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.detector import ASIC_COLUMNS


@njit(nogil=True, cache=True)
def _dilate_once(source, out, diagonal):  # type: ignore[no-untyped-def]
    sensors, rows, columns = source.shape
    for sensor in range(sensors):
        for row in range(rows):
            above, below = max(row - 1, 0), min(row + 1, rows - 1)
            for column in range(columns):
                out[sensor, row, column] = (
                    source[sensor, row, column]
                    | source[sensor, above, column]
                    | source[sensor, below, column]
                )
        for row in range(rows):
            for column in range(columns - 1):
                right = source[sensor, row, column + 1]
                if diagonal:
                    above, below = max(row - 1, 0), min(row + 1, rows - 1)
                    right |= source[sensor, above, column + 1] | source[sensor, below, column + 1]
                out[sensor, row, column] |= right
            for column in range(1, columns):
                left = source[sensor, row, column - 1]
                if diagonal:
                    above, below = max(row - 1, 0), min(row + 1, rows - 1)
                    left |= source[sensor, above, column - 1] | source[sensor, below, column - 1]
                out[sensor, row, column] |= left


def grown(masked: NDArray[np.bool_], pixels: int, neighbours: int) -> NDArray[np.bool_]:
    """Masked pixels and those up to `pixels` steps away, 4 or 8 directions a step."""
    now = np.ascontiguousarray(masked).view(np.uint8)
    for _ in range(pixels):
        after = np.empty_like(now)
        _dilate_once(now, after, neighbours == 8)
        now = after
    return now.view(np.bool_)


@njit(nogil=True, cache=True)
def _islands(good, smaller_than, diagonal, island):  # type: ignore[no-untyped-def]
    sensors, rows, columns = good.shape
    seen = np.zeros((rows, columns), np.uint8)
    stack = np.empty(rows * columns, np.int32)
    for sensor in range(sensors):
        seen[:] = 0
        for start in range(rows * columns):
            if (
                seen[start // columns, start % columns]
                or not (good[sensor, start // columns, start % columns])
            ):
                continue
            # stack[:found] are the island's pixels, those from `next` on not yet looked around
            stack[0] = start
            seen[start // columns, start % columns] = 1
            found, following = 1, 0
            while following < found:
                row, column = stack[following] // columns, stack[following] % columns
                following += 1
                for down in range(-1, 2):
                    for right in range(-1, 2):
                        if (down == 0) == (right == 0) and not (diagonal and down != 0):
                            continue
                        r, c = row + down, column + right
                        if 0 <= r < rows and 0 <= c < columns and not seen[r, c]:
                            seen[r, c] = 1
                            if good[sensor, r, c]:
                                stack[found] = r * columns + c
                                found += 1
            if found < smaller_than:
                for place in range(found):
                    pixel = stack[place]
                    island[sensor, pixel // columns, pixel % columns] = True


def islands(good: NDArray[np.bool_], smaller_than: int, neighbours: int) -> NDArray[np.bool_]:
    """Good pixels of connected regions with fewer than `smaller_than` pixels."""
    island = np.zeros(good.shape, np.bool_)
    _islands(np.ascontiguousarray(good), smaller_than, neighbours == 8, island)
    return island


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
def _outliers(image, usable, radius, sigmas, at_least, asic, outlier):  # type: ignore[no-untyped-def]
    sensors, rows, columns = image.shape
    around = np.empty((2 * radius + 1) ** 2, np.float64)
    for sensor in range(sensors):
        for row in range(rows):
            for column in range(columns):
                value = image[sensor, row, column]
                if not usable[sensor, row, column]:
                    continue
                first = column // asic * asic
                count = 0
                for r in range(max(row - radius, 0), min(row + radius + 1, rows)):
                    for c in range(
                        max(column - radius, first), min(column + radius + 1, first + asic)
                    ):
                        if usable[sensor, r, c] and not (r == row and c == column):
                            around[count] = image[sensor, r, c]
                            count += 1
                if count < 3:
                    continue
                middle = _median(around, count)
                for place in range(count):
                    around[place] = abs(around[place] - middle)
                spread = 1.4826 * _median(around, count)
                difference = abs(value - middle)
                if difference > at_least and difference > sigmas * spread:
                    outlier[sensor, row, column] = True


def outliers(
    image: NDArray[np.float64],
    usable: NDArray[np.bool_],
    radius: int,
    sigmas: float,
    at_least: float,
) -> NDArray[np.bool_]:
    """Pixels further than `sigmas` robust σ, and than `at_least`, from their neighbours' median.

    The neighbours are the usable pixels of the same ASIC in a square of ``2 radius + 1``; σ is
    1.4826 times the median of their absolute deviations from their median. Pixels with fewer
    than three neighbours, and those not usable, are never outliers.
    """
    outlier = np.zeros(image.shape, np.bool_)
    _outliers(image, usable, radius, sigmas, at_least, ASIC_COLUMNS, outlier)
    return outlier
