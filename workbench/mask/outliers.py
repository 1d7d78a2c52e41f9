"""Pixels far from their neighbours, compiled.

The neighbours are those of the same ASIC, since the wide columns at the seam collect more.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.detector import ASIC_COLUMNS


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
