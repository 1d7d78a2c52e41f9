"""Compiled loops over pixels: correlation maps, ring fit, and the scores of cctbx."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray


class RingPixels(NamedTuple):
    """Usable pixels of one group, flat.

    Attributes
    ----------
    x, y, stretch : float32 ``(n,)``, lab position in pixels and projection to the mean plane.
    value : float32 ``(n,)``.
    asic : uint16 ``(n,)``, ASIC of the group.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    stretch: NDArray[np.float32]
    value: NDArray[np.float32]
    asic: NDArray[np.uint16]

    def thinned(self, stride: int) -> RingPixels:
        """One pixel in `stride`."""
        return RingPixels(
            self.x[::stride].copy(), self.y[::stride].copy(), self.stretch[::stride].copy(),
            self.value[::stride].copy(), self.asic[::stride].copy(),
        )  # fmt: skip


class TrialPixels(NamedTuple):
    """Pixels for `trial_profiles`: position, stretch, summed value, number of good pixels."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    stretch: NDArray[np.float32]
    value: NDArray[np.float32]
    weight: NDArray[np.float32]


class RingModel(NamedTuple):
    """What the ring fit knows of one group.

    Attributes
    ----------
    offset : float64 ``(2,)``, where the group sees the centre of the rings, pixels.
    knot_px : distance of the knots of the profile.
    profile : float64 ``(k,)``, coefficients of the radial profile, a cubic B-spline.
    amplitude, noise : float64 ``(asics,)``, strength of the rings and noise of each ASIC.
    robust : residuals beyond this many noise sigmas have no weight.
    """

    offset: NDArray[np.float64]
    knot_px: float
    profile: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    noise: NDArray[np.float64]
    robust: float


class NormalSums(NamedTuple):
    """Normal equations of one group; B the splines, J the derivatives by the offset.

    Attributes
    ----------
    band : ``(4, k)``, upper band of B'WB, diagonal last, as scipy.linalg.solveh_banded takes it.
    cross : ``(k, 2)`` = B'WJ. right : ``(k,)`` = B'W residual.
    shift_matrix : ``(2, 2)`` = J'WJ. shift_right : ``(2,)`` = J'W residual.
    amplitude_sums : ``(asics, 2)``, sums of W value P and W P².
    bend_cross, bend : ``(k, 2)``, ``(2, 2)``, what second derivatives of the model add to `cross`
        and `shift_matrix`.
    """

    band: NDArray[np.float64]
    cross: NDArray[np.float64]
    right: NDArray[np.float64]
    shift_matrix: NDArray[np.float64]
    shift_right: NDArray[np.float64]
    amplitude_sums: NDArray[np.float64]
    bend_cross: NDArray[np.float64]
    bend: NDArray[np.float64]

    @classmethod
    def zeros(cls, knots: int, asics: int) -> NormalSums:
        """Sums of no pixels."""
        return cls(
            np.zeros((4, knots)), np.zeros((knots, 2)), np.zeros(knots), np.zeros((2, 2)),
            np.zeros(2), np.zeros((asics, 2)), np.zeros((knots, 2)), np.zeros((2, 2)),
        )  # fmt: skip


class AsicSums(NamedTuple):
    """Sums of one group by ASIC.

    With b and d the four splines at a pixel and their derivatives, p their sum with the profile,
    a the ASIC's amplitude, v the value, w the weight, and u minus the derivative of the radius
    (in knots) by the offset:

    Attributes
    ----------
    band : ``(asics, k, 4)`` = w a² b b' (entry ``[j + m, n - m]``).
    right : ``(asics, k)`` = w a v b. slope : ``(asics, k, 2)`` = w a v d u.
    mixed : ``(asics, k, 7, 2)`` = w a² b d' u (entry ``[j + m, 3 + n - m]``).
    own : ``(asics, 2, 2)`` = w a² p'² u u'.
    bend_band, bend_cross, bend : ``(k, 4)``, ``(k, 2)``, ``(2, 2)``, second derivatives of the
        robust cost by the profile, by profile and offset, and by the offset, of the whole group.
    squares : ``(2,)``, sums of the squared residuals and values of the group.
    """

    band: NDArray[np.float64]
    right: NDArray[np.float64]
    slope: NDArray[np.float64]
    mixed: NDArray[np.float64]
    own: NDArray[np.float64]
    bend_band: NDArray[np.float64]
    bend_cross: NDArray[np.float64]
    bend: NDArray[np.float64]
    squares: NDArray[np.float64]


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


@njit(cache=True, nogil=True, inline="always")
def _bend(f: float, e: NDArray[np.float64]) -> None:
    """Second derivatives `e` of the four splines, `f` beyond the first one's knot."""
    e[0], e[1], e[2], e[3] = 1.0 - f, 3.0 * f - 2.0, 1.0 - 3.0 * f, f


@njit(cache=True, nogil=True)
def normal_equations(
    pixels: RingPixels,
    model: RingModel,
    sums: NormalSums,
) -> float:
    """Accumulate one group's normal equations of the joint ring fit; returns its cost.

    The model of a pixel is ``amplitude[asic] * P(r)``, P the profile, r the stretched distance
    from the offset. Weights W are Tukey's biweight with the cut at `robust` times `noise[asic]`,
    over noise².
    """
    x, y, stretch, value, asic = pixels
    offset, knot_px, profile, amplitude, noise, robust = model
    band, cross, right, shift_matrix, shift_right, amplitude_sums, bend_cross, bend = sums
    b, d, e = np.empty(4), np.empty(4), np.empty(4)
    knots = profile.size
    cost = 0.0
    for i in range(x.size):
        px, py = x[i] - offset[0], y[i] - offset[1]
        distance = np.sqrt(px * px + py * py)
        t = distance * stretch[i] / knot_px
        if t >= knots - 4 or distance < 1.0:
            continue
        j = _basis(t, b, d)
        _bend(t - j, e)
        p, slope, second = 0.0, 0.0, 0.0
        for m in range(4):
            p += b[m] * profile[j + m]
            slope += d[m] * profile[j + m]
            second += e[m] * profile[j + m]
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
        scale = -stretch[i] / (knot_px * distance)
        ux, uy = scale * px, scale * py
        jx, jy = slope * a * ux, slope * a * uy
        war = w * a * residual
        for m in range(4):
            weighted = w * a * b[m]
            right[j + m] += weighted * residual
            cross[j + m, 0] += weighted * jx
            cross[j + m, 1] += weighted * jy
            bend_cross[j + m, 0] -= war * d[m] * ux
            bend_cross[j + m, 1] -= war * d[m] * uy
            for n in range(m, 4):
                band[3 - (n - m), j + n] += weighted * a * b[n]
        shift_matrix[0, 0] += w * jx * jx
        shift_matrix[0, 1] += w * jx * jy
        shift_matrix[1, 1] += w * jy * jy
        shift_right[0] += w * jx * residual
        shift_right[1] += w * jy * residual
        war *= second
        bend[0, 0] -= war * ux * ux
        bend[0, 1] -= war * ux * uy
        bend[1, 1] -= war * uy * uy
    shift_matrix[1, 0] = shift_matrix[0, 1]
    bend[1, 0] = bend[0, 1]
    return cost


@njit(cache=True, nogil=True)
def ring_model(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    stretch: NDArray[np.float32],
    asic: NDArray[np.uint16],
    model: RingModel,
) -> NDArray[np.float32]:
    """``amplitude[asic] P(r)`` at pixels ``(modules, rows, columns)``; 0 beyond the profile."""
    offset, knot_px, profile, amplitude, _, _ = model
    b, d = np.empty(4), np.empty(4)
    rings = np.zeros(x.shape, np.float32)
    for module in range(x.shape[0]):
        for row in range(x.shape[1]):
            for column in range(x.shape[2]):
                place = module, row, column
                px, py = x[place] - offset[0], y[place] - offset[1]
                t = np.sqrt(px * px + py * py) * stretch[place] / knot_px
                if t < profile.size - 4:
                    j = _basis(t, b, d)
                    p = 0.0
                    for m in range(4):
                        p += b[m] * profile[j + m]
                    rings[place] = amplitude[asic[place]] * p
    return rings


@njit(cache=True, nogil=True)
def block_sums(
    pixels: RingPixels,
    model: RingModel,
    sums: AsicSums,
) -> None:
    """Accumulate what the ring fit needs of each ASIC of a group to do without the pixels."""
    x, y, stretch, value, asic = pixels
    offset, knot_px, profile, amplitude, noise, robust = model
    band, right, slope, mixed, own, bend_band, bend_cross, bend, squares = sums
    b, d, e = np.empty(4), np.empty(4), np.empty(4)
    knots = profile.size
    for i in range(x.size):
        px, py = x[i] - offset[0], y[i] - offset[1]
        distance = np.sqrt(px * px + py * py)
        t = distance * stretch[i] / knot_px
        if t >= knots - 4 or distance < 1.0:
            continue
        j = _basis(t, b, d)
        _bend(t - j, e)
        p, p1, p2 = 0.0, 0.0, 0.0
        for m in range(4):
            c = profile[j + m]
            p += b[m] * c
            p1 += d[m] * c
            p2 += e[m] * c
        k = asic[i]
        a = amplitude[k]
        residual = value[i] - a * p
        squares[0] += residual * residual
        squares[1] += value[i] * value[i]
        scaled = residual / (robust * noise[k])
        if scaled * scaled >= 1:
            continue
        rest = 1 - scaled * scaled
        w = rest * rest / (noise[k] * noise[k])
        h = rest * (1 - 5 * scaled * scaled) / (noise[k] * noise[k])
        scale = stretch[i] / (knot_px * distance)
        ux, uy = scale * px, scale * py
        wav, waa, war, haa = w * a * value[i], w * a * a, w * a * residual, h * a * a
        xx = waa * p1 * p1
        own[k, 0, 0] += xx * ux * ux
        own[k, 0, 1] += xx * ux * uy
        own[k, 1, 1] += xx * uy * uy
        second = haa * p1 * p1 - war * p2
        bend[0, 0] += second * ux * ux
        bend[0, 1] += second * ux * uy
        bend[1, 1] += second * uy * uy
        for m in range(4):
            row = j + m
            right[k, row] += wav * b[m]
            slope[k, row, 0] += wav * d[m] * ux
            slope[k, row, 1] += wav * d[m] * uy
            both = war * d[m] - haa * p1 * b[m]
            bend_cross[row, 0] += both * ux
            bend_cross[row, 1] += both * uy
            bx, by = waa * b[m] * ux, waa * b[m] * uy
            for n in range(4):
                mixed[k, row, 3 + n - m, 0] += bx * d[n]
                mixed[k, row, 3 + n - m, 1] += by * d[n]
            for n in range(m, 4):
                band[k, row, n - m] += waa * b[m] * b[n]
                bend_band[row, n - m] += haa * b[m] * b[n]
    for k in range(own.shape[0]):
        own[k, 1, 0] = own[k, 0, 1]
    bend[1, 0] = bend[0, 1]


@njit(cache=True, nogil=True)
def quadratic(
    slope: NDArray[np.float64], mixed: NDArray[np.float64], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gradient by the offset, ``p' E p - p' D`` of `mixed` ``(k, 7, 2)`` and `slope` ``(k, 2)``."""
    found = np.zeros(2)
    size = p.size
    for j in range(size):
        x, y = -slope[j, 0], -slope[j, 1]
        for o in range(max(0, 3 - j), min(7, size + 3 - j)):
            x += mixed[j, o, 0] * p[j + o - 3]
            y += mixed[j, o, 1] * p[j + o - 3]
        found[0] += p[j] * x
        found[1] += p[j] * y
    return found


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
