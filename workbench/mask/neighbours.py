"""Rules that look at neighbours: growing, islands, local outliers (the last two are compiled).

All stay within a sensor ``(185, 388)``, whose ASICs are neighbours across the wide columns;
outliers stay within an ASIC, since the wide columns collect more.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.detector import ASIC_COLUMNS


def grown(masked: NDArray[np.bool_], pixels: int, neighbours: int) -> NDArray[np.bool_]:
    """Masked pixels and those up to `pixels` steps away, 4 or 8 directions a step."""
    now = masked
    for _ in range(pixels):
        upright = now.copy()
        upright[:, 1:] |= now[:, :-1]
        upright[:, :-1] |= now[:, 1:]
        source = upright if neighbours == 8 else now
        after = upright.copy()
        after[..., 1:] |= source[..., :-1]
        after[..., :-1] |= source[..., 1:]
        now = after
    return now


@njit(nogil=True, cache=True)
def _root(parent, run):  # type: ignore[no-untyped-def]
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@njit(nogil=True, cache=True)
def _islands(good, smaller_than, reach, island):  # type: ignore[no-untyped-def]
    """Join runs of good pixels with those of the row above that they touch (union-find).

    `reach` is 1 if runs also touch at a corner, else 0.
    """
    sensors, rows, columns = good.shape
    most = rows * (columns // 2 + 1)
    parent, size = np.empty(most, np.int32), np.empty(most, np.int32)
    row_of, first, last = (
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
    )
    for sensor in range(sensors):
        runs, above, above_end = 0, 0, 0  # runs[above:above_end] are those of the row above
        for row in range(rows):
            start_of_row = runs
            column = 0
            while column < columns:
                if not good[sensor, row, column]:
                    column += 1
                    continue
                begin = column
                while column < columns and good[sensor, row, column]:
                    column += 1
                parent[runs], size[runs], row_of[runs] = runs, column - begin, row
                first[runs], last[runs] = begin, column - 1
                while above < above_end and last[above] < begin - reach:
                    above += 1
                touching = above
                while touching < above_end and first[touching] <= column - 1 + reach:
                    a, b = _root(parent, runs), _root(parent, touching)
                    if a != b:
                        parent[a] = b
                        size[b] += size[a]
                    touching += 1
                runs += 1
            above, above_end = start_of_row, runs
        for run in range(runs):
            if size[_root(parent, run)] < smaller_than:
                island[sensor, row_of[run], first[run] : last[run] + 1] = True


def islands(good: NDArray[np.bool_], smaller_than: int, neighbours: int) -> NDArray[np.bool_]:
    """Good pixels of connected regions with fewer than `smaller_than` pixels."""
    island = np.zeros(good.shape, np.bool_)
    _islands(np.ascontiguousarray(good), smaller_than, 1 if neighbours == 8 else 0, island)
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
