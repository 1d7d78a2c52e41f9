"""Loops over the pixels of a mask, compiled when first used: outliers, small islands, counts."""

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
                count = np.int64(0)  # numba would compile `_median` for a plain 0 too
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


@njit(nogil=True, cache=True)
def _root(parents, run):  # type: ignore[no-untyped-def]
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@njit(nogil=True, cache=True)
def _islands(masked, smaller_than, corners, starts, ends, parents, sizes, island):  # type: ignore[no-untyped-def]
    modules, rows, columns = masked.shape
    for module in range(modules):
        above = here = count = 0  # first run of the row above and of this row; all runs
        for row in range(rows):
            above, here = here, count
            column = 0
            while column < columns:  # runs of good pixels, as flat places
                if masked[module, row, column]:
                    column += 1
                    continue
                starts[count] = row * columns + column
                while column < columns and not masked[module, row, column]:
                    column += 1
                ends[count] = row * columns + column
                sizes[count] = ends[count] - starts[count]
                parents[count] = count
                count += 1
            first = above
            for run in range(here, count):  # joined with the runs they touch in the row above
                low, high = starts[run] - columns - corners, ends[run] - columns + corners
                while first < here and ends[first] <= low:
                    first += 1
                other = first
                while other < here and starts[other] < high:
                    root, joined = _root(parents, run), _root(parents, other)
                    if root != joined:
                        parents[root] = joined
                        sizes[joined] += sizes[root]
                    other += 1
        for run in range(count):
            if sizes[_root(parents, run)] < smaller_than:
                island[module, starts[run] : ends[run]] = True


def islands(masked: NDArray[np.bool_], smaller_than: int, corners: bool) -> NDArray[np.bool_]:
    """Good pixels of connected regions with fewer than `smaller_than` pixels, module by module.

    Parameters
    ----------
    masked : bool ``(modules, rows, columns)``.
    corners : pixels that touch at a corner are connected too.
    """
    island = np.zeros(masked.shape, np.bool_)
    _, rows, columns = masked.shape
    most = rows * (columns + 1) // 2 + 1
    starts, ends, parents, sizes = (np.empty(most, np.int32) for _ in range(4))
    flat = island.reshape(len(masked), -1)
    _islands(masked, smaller_than, int(corners), starts, ends, parents, sizes, flat)
    return island


@njit(nogil=True, cache=True)
def _look_up(flags, keys, bits, looked_up):  # type: ignore[no-untyped-def]
    for pixel in range(keys.size):
        looked_up[pixel] = flags[keys[pixel] | bits[pixel]]


def look_up(
    flags: NDArray[np.bool_], keys: NDArray[np.integer], bits: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Flag of each pixel, whose place in `flags` is its key with its bits; all flat."""
    looked_up = np.empty(keys.size, np.bool_)
    _look_up(flags, keys, bits, looked_up)
    return looked_up


@njit(nogil=True, cache=True)
def _count_keys(keys, bits, counts):  # type: ignore[no-untyped-def]
    for pixel in range(keys.size):
        counts[keys[pixel] | bits[pixel]] += 1


def count_keys(
    keys: NDArray[np.integer], bits: NDArray[np.integer], size: int
) -> NDArray[np.int64]:
    """How many pixels have each key with bits: int64 ``(size,)``."""
    counts = np.zeros(size, np.int64)
    _count_keys(keys, bits, counts)
    return counts
