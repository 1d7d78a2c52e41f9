"""Compiled inner loops of the alignment."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray


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
        one = np.float32(1)
        w00, w01, w10, w11 = (one - a) * (one - b), (one - a) * b, a * (one - b), a * b
        weights[row, column] += w00
        weights[row, column + 1] += w01
        weights[row + 1, column] += w10
        weights[row + 1, column + 1] += w11
        values[row, column] += w00 * value[i]
        values[row, column + 1] += w01 * value[i]
        values[row + 1, column] += w10 * value[i]
        values[row + 1, column + 1] += w11 * value[i]


@njit(cache=True, nogil=True, inline="always")
def _basis(t: float, b: NDArray[np.float64], d: NDArray[np.float64]) -> int:
    """Four cubic B-splines at `t` (in knots): values `b`, derivatives `d`; gives the first one."""
    j = int(np.floor(t))
    f = t - j
    g = 1.0 - f
    b[0] = g * g * g / 6
    b[1] = (3 * f * f * f - 6 * f * f + 4) / 6
    b[2] = (3 * g * g * g - 6 * g * g + 4) / 6
    b[3] = f * f * f / 6
    d[0] = -g * g / 2
    d[1] = (3 * f * f - 4 * f) / 2
    d[2] = -(3 * g * g - 4 * g) / 2
    d[3] = f * f / 2
    return j


@njit(cache=True, nogil=True)
def normal_equations(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    stretch: NDArray[np.float32],
    value: NDArray[np.float32],
    asic: NDArray[np.uint8],
    offset: NDArray[np.float64],
    knot_px: float,
    profile: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    noise: NDArray[np.float64],
    robust: float,
    band: NDArray[np.float64],
    cross: NDArray[np.float64],
    right: NDArray[np.float64],
    shift_matrix: NDArray[np.float64],
    shift_right: NDArray[np.float64],
    amplitude_sums: NDArray[np.float64],
) -> float:
    """Accumulate one quadrant's normal equations of the joint ring fit; returns its cost.

    The model of a pixel is ``amplitude[asic] * P(r)``, P a cubic B-spline with coefficients
    `profile` ``(k,)`` and knots `knot_px` apart, r the stretched distance from `offset`.
    Accumulated: `band` ``(4, k)`` (upper band of B'WB, diagonal last, as scipy.linalg
    solveh_banded takes it), `cross` ``(k, 2)`` = B'WJ, `right` ``(k,)`` = B'W res,
    `shift_matrix` ``(2, 2)`` = J'WJ, `shift_right` ``(2,)`` = J'W res, `amplitude_sums`
    ``(asics, 2)`` = sums of W value P and W P². Weights W are Tukey's biweight with the cut at
    `robust` times `noise[asic]`, over noise².
    """
    b, d = np.empty(4), np.empty(4)
    knots = profile.size
    cost = 0.0
    for i in range(x.size):
        px, py = x[i] - offset[0], y[i] - offset[1]
        distance = np.sqrt(px * px + py * py)
        t = distance * stretch[i] / knot_px
        if t >= knots - 4 or distance < 1.0:
            continue
        j = _basis(t, b, d)
        p, slope = 0.0, 0.0
        for m in range(4):
            p += b[m] * profile[j + m]
            slope += d[m] * profile[j + m]
        k = asic[i]
        a = amplitude[k]
        residual = value[i] - a * p
        scaled = residual / (robust * noise[k])
        variance = noise[k] * noise[k]
        if scaled * scaled >= 1:
            cost += robust * robust / 6
            continue
        rest = 1 - scaled * scaled
        w = rest * rest / variance
        cost += robust * robust / 6 * (1 - rest * rest * rest)
        amplitude_sums[k, 0] += w * value[i] * p
        amplitude_sums[k, 1] += w * p * p
        slope *= -a * stretch[i] / (knot_px * distance)
        jx, jy = slope * px, slope * py
        for m in range(4):
            weighted = w * a * b[m]
            right[j + m] += weighted * residual
            cross[j + m, 0] += weighted * jx
            cross[j + m, 1] += weighted * jy
            for n in range(m, 4):
                band[3 - (n - m), j + n] += weighted * a * b[n]
        shift_matrix[0, 0] += w * jx * jx
        shift_matrix[0, 1] += w * jx * jy
        shift_matrix[1, 1] += w * jy * jy
        shift_right[0] += w * jx * residual
        shift_right[1] += w * jy * residual
    shift_matrix[1, 0] = shift_matrix[0, 1]
    return cost


@njit(cache=True, nogil=True)
def scores(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    stretch: NDArray[np.float32],
    value: NDArray[np.float32],
    asic: NDArray[np.uint8],
    quadrant: int,
    offset: NDArray[np.float64],
    knot_px: float,
    profile: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    noise: NDArray[np.float64],
    robust: float,
    response: NDArray[np.float64],
    score: NDArray[np.float64],
    information: NDArray[np.float64],
    residuals: NDArray[np.float32],
) -> None:
    """Score and information of the offsets per ASIC, the profile eliminated.

    `response` ``(k, 8)`` is the change of the profile's coefficients with the offsets,
    (B'WB)⁻¹B'WJ. Accumulated: `score` ``(asics, 8)``, `information` ``(asics, 8, 8)``;
    `residuals` ``(n,)`` are set (NaN where a pixel takes no part).
    """
    b, d = np.empty(4), np.empty(4)
    derivative = np.empty(8)
    knots = profile.size
    for i in range(x.size):
        residuals[i] = np.nan
        px, py = x[i] - offset[0], y[i] - offset[1]
        distance = np.sqrt(px * px + py * py)
        t = distance * stretch[i] / knot_px
        if t >= knots - 4 or distance < 1.0:
            continue
        j = _basis(t, b, d)
        p, slope = 0.0, 0.0
        for m in range(4):
            p += b[m] * profile[j + m]
            slope += d[m] * profile[j + m]
        k = asic[i]
        a = amplitude[k]
        residual = value[i] - a * p
        residuals[i] = residual
        scaled = residual / (robust * noise[k])
        if scaled * scaled >= 1:
            continue
        rest = 1 - scaled * scaled
        w = rest * rest / (noise[k] * noise[k])
        slope *= -a * stretch[i] / (knot_px * distance)
        for c in range(8):
            total = 0.0
            for m in range(4):
                total += b[m] * response[j + m, c]
            derivative[c] = -a * total
        derivative[2 * quadrant] += slope * px
        derivative[2 * quadrant + 1] += slope * py
        for c in range(8):
            score[k, c] += w * residual * derivative[c]
            for e in range(c, 8):
                information[k, c, e] += w * derivative[c] * derivative[e]


@njit(cache=True, nogil=True)
def trial_profiles(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    stretch: NDArray[np.float32],
    value: NDArray[np.float32],
    weight: NDArray[np.float32],
    trials: NDArray[np.float64],
    bin_px: float,
    sums: NDArray[np.float32],
    counts: NDArray[np.float32],
) -> None:
    """Radial profile about each trial centre: `sums` and `counts` are ``(trials, bins)``."""
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
