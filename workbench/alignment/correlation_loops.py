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
def _nearest(value: float) -> int:
    """Nearest whole number, halves away from zero."""
    return int(value + 0.5) if value >= 0 else int(value - 0.5)


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

    `scores` ``(n, n)`` is set to the maximum over `angles` (radians).
    """
    rows, columns = array.shape
    count = trials.size
    for place in prange(count * count):
        cx, cy = trials[place // count], trials[place % count]
        best = -np.inf
        for angle in angles:
            sine, cosine = np.sin(angle), np.cos(angle)
            ox, oy = origin_x - cx, origin_y - cy
            tx = sine * ox - cosine * oy + cx - origin_x
            ty = cosine * ox + sine * oy + cy - origin_y
            n, sa, sb, saa, sbb, sab = 0, 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(rows):
                for j in range(columns):
                    a = array[i, j]
                    if not a >= lowest:
                        continue
                    u = _nearest(sine * i - cosine * j + tx)
                    v = _nearest(cosine * i + sine * j + ty)
                    if u < 0 or v < 0 or u >= rows or v >= columns:
                        continue
                    b = array[u, v]
                    if not b >= lowest:
                        continue
                    n += 1
                    sa += a
                    sb += b
                    saa += a * a
                    sbb += b * b
                    sab += a * b
            score = 0.0
            if n > 0:
                spread_a, spread_b = saa - sa * sa / n, sbb - sb * sb / n
                if spread_a > 0 and spread_b > 0:
                    score = (sab - sa * sb / n) / np.sqrt(spread_a * spread_b)
            best = max(best, score)
        scores[place // count, place % count] = best
