"""Compiled loops of the correlation maps, the search, and the scores of cctbx."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray


class TrialPixels(NamedTuple):
    """Pixels for `trial_profiles`: position, stretch, summed value, number of good pixels."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    stretch: NDArray[np.float32]
    value: NDArray[np.float32]
    weight: NDArray[np.float32]


@njit(cache=True, nogil=True)
def deposit(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    value: NDArray[np.float32],
    good: NDArray[np.bool_],
    turn: NDArray[np.float64],
    origin: NDArray[np.float64],
    values: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> None:
    """Add turned pixels to a grid with bilinear weights; `values`, `weights` are ``(rows, cols)``.

    A pixel at p goes to ``turn @ p - origin``; what falls outside the grid is left out.
    """
    rows, columns = values.shape
    for i in range(x.size):
        if not good[i]:
            continue
        u = turn[0, 0] * x[i] + turn[0, 1] * y[i] - origin[0]
        v = turn[1, 0] * x[i] + turn[1, 1] * y[i] - origin[1]
        row, column = int(np.floor(u)), int(np.floor(v))
        if row < 0 or column < 0 or row >= rows - 1 or column >= columns - 1:
            continue
        a, b = np.float32(u - row), np.float32(v - column)
        whole = np.float32(1)
        w00, w01, w10, w11 = (whole - a) * (whole - b), (whole - a) * b, a * (whole - b), a * b
        weights[row, column] += w00
        weights[row, column + 1] += w01
        weights[row + 1, column] += w10
        weights[row + 1, column + 1] += w11
        values[row, column] += w00 * value[i]
        values[row, column + 1] += w01 * value[i]
        values[row + 1, column] += w10 * value[i]
        values[row + 1, column + 1] += w11 * value[i]


@njit(cache=True, nogil=True)
def trial_profiles(
    pixels: TrialPixels,
    trials: NDArray[np.float64],
    bin_px: float,
    sums: NDArray[np.float32],
    counts: NDArray[np.float32],
) -> None:
    """Radial profile about each trial centre: `sums` and `counts` are ``(trials, bins)``."""
    x, y, stretch, value, weight = pixels
    bins = sums.shape[1]
    for t in range(trials.shape[0]):
        cx, cy = np.float32(trials[t, 0]), np.float32(trials[t, 1])
        for i in range(x.size):
            dx, dy = x[i] - cx, y[i] - cy
            k = int(np.sqrt(dx * dx + dy * dy) * stretch[i] / np.float32(bin_px))
            if k < bins:
                sums[t, k] += value[i]
                counts[t, k] += weight[i]


@njit(cache=True, nogil=True, inline="always")
def _inside(x: float, size: int) -> bool:
    """Whether the nearest whole number, halves away from zero, is one of ``0 … size - 1``."""
    return x > -0.5 and x + 0.5 < size


@njit(cache=True, nogil=True, inline="always")
def _overlap(
    x: float, y: float, sine: float, cosine: float, shape: tuple[int, int]
) -> tuple[int, int]:
    """First and one past the last element j of a row with ``(x - cosine j, y + sine j)`` inside.

    Sine and cosine are positive.
    """
    rows, columns = shape
    low = max((x + 0.5 - rows) / cosine, (-0.5 - y) / sine)
    high = min((x + 0.5) / cosine, (columns - 0.5 - y) / sine)
    first, end = max(int(low) - 1, 0), min(int(high) + 2, columns)
    while first < end and not (
        _inside(x - cosine * first, rows) and _inside(y + sine * first, columns)
    ):
        first += 1
    while first < end and not (
        _inside(x - cosine * (end - 1), rows) and _inside(y + sine * (end - 1), columns)
    ):
        end -= 1
    return first, end


# Finding the partners and adding the pairs are loops of their own, without branches: so both
# are compiled to vector instructions.


@njit(cache=True, nogil=True)
def _partners(
    x: float, y: float, sine: float, cosine: float, first: int, columns: int,
    partners: NDArray[np.int32],
) -> None:  # fmt: skip
    """Place in the flat array where each element of a row, from `first` on, is turned to."""
    for k in range(partners.size):
        j = first + k
        u = np.int32(x - cosine * j + 0.5)
        v = np.int32(y + sine * j + 0.5)
        partners[k] = u * np.int32(columns) + v


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _add_pairs(
    values: NDArray[np.float64],
    partners: NDArray[np.int32],
    flat: NDArray[np.float64],
    lowest: float,
    sums: NDArray[np.float64],
) -> None:
    """Add number, values, partners' values, squares of both and products of trusted pairs."""
    n, sa, sb, saa, sbb, sab = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(values.size):
        a, b = values[k], flat[partners[k]]
        both = (a >= lowest) & (b >= lowest)
        a = a if both else 0.0
        b = b if both else 0.0
        n += 1.0 if both else 0.0
        sa += a
        sb += b
        saa += a * a
        sbb += b * b
        sab += a * b
    sums += np.array((n, sa, sb, saa, sbb, sab))


@njit(cache=True, nogil=True, parallel=True)
def cctbx_scores(
    array: NDArray[np.float64],
    origin_x: float,
    origin_y: float,
    trials: NDArray[np.float64],
    angles: NDArray[np.float64],
    lowest: float,
    scores: NDArray[np.float64],
) -> None:
    """Pearson correlation of `array` with itself rotated, nearest neighbour; see cctbx.py.

    `scores` ``(n, n)`` is set to the maximum over `angles` (radians, between 0 and a right angle).
    """
    rows, columns = array.shape
    flat = array.ravel()
    count = trials.size
    for place in prange(count * count):
        partners, sums = np.empty(columns, np.int32), np.empty(6)
        cx, cy = trials[place // count], trials[place % count]
        best = -np.inf
        for angle in angles:
            sine, cosine = np.sin(angle), np.cos(angle)
            ox, oy = origin_x - cx, origin_y - cy
            tx = sine * ox - cosine * oy + cx - origin_x
            ty = cosine * ox + sine * oy + cy - origin_y
            sums[:] = 0
            for i in range(rows):
                x, y = sine * i + tx, cosine * i + ty
                first, end = _overlap(x, y, sine, cosine, (rows, columns))
                if first < end:
                    these = partners[: end - first]
                    _partners(x, y, sine, cosine, first, columns, these)
                    _add_pairs(array[i, first:end], these, flat, lowest, sums)
            n, sa, sb, saa, sbb, sab = sums
            score = 0.0
            if n > 0:
                spread_a, spread_b = saa - sa * sa / n, sbb - sb * sb / n
                if spread_a > 0 and spread_b > 0:
                    score = (sab - sa * sb / n) / np.sqrt(spread_a * spread_b)
            best = max(best, score)
        scores[place // count, place % count] = best
