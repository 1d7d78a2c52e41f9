"""Compiled loops of the joint ring fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class AsicPixels(NamedTuple):
    """Pooled pixels of one ASIC, each array ``(rows, columns)``.

    Attributes
    ----------
    x, y : lab position, pixels.
    stretch : projects radii to the detector's mean plane.
    value : transformed intensity.
    weight : share of the pool that is usable, 0 … 1.
    residual : what of the value neither rings nor background explain.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    stretch: NDArray[np.float32]
    value: NDArray[np.float32]
    weight: NDArray[np.float32]
    residual: NDArray[np.float32]


class AsicModel(NamedTuple):
    """State of the fit for one ASIC.

    Attributes
    ----------
    offset : float64 ``(2,)``, where its group sees the centre of the rings, pixels.
    knot_px : distance of the knots of the profile.
    profile : float64 ``(k,)``, coefficients of the radial profile, a cubic B-spline.
    strength : of the rings in this ASIC.
    """

    offset: NDArray[np.float64]
    knot_px: float
    profile: NDArray[np.float64]
    strength: float


class Basis(NamedTuple):
    """Cubic B-splines of the background along the rows or columns of an ASIC.

    Attributes
    ----------
    first : int64 ``(n,)``, first spline of each place that is not 0.
    value : float64 ``(n, 4)``, it and the next three.
    """

    first: NDArray[np.int64]
    value: NDArray[np.float64]


class Background(NamedTuple):
    """The background of one ASIC: splines along rows times splines along columns.

    Attributes
    ----------
    down, across : splines along the rows and the columns.
    whiten : float64 ``(b, b)``, inverse of the lower Cholesky factor of its equations.
    """

    down: Basis
    across: Basis
    whiten: NDArray[np.float64]


class AsicSums(NamedTuple):
    """Weighted products over the pixels of one ASIC.

    D are the splines of the profile times the strength, J the derivatives of the model by the
    offset, v the values, B the background; the knots are counted from the first one the ASIC
    reaches.

    Attributes
    ----------
    band : ``(n, 4)``, D'D (entry ``[i, j - i]``).
    dv : ``(n,)``. dj : ``(n, 2)``. jj : ``(2, 2)``. jv : ``(2,)``.
    smooth : ``(b, n + 3)``, B'D, B'J and B'v.
    rd : ``(n, 2)``, residual times the derivatives of D by the offset.
    rj : ``(2, 2)``, residual times the second derivatives of the model by the offset.
    """

    band: NDArray[np.float64]
    dv: NDArray[np.float64]
    dj: NDArray[np.float64]
    jj: NDArray[np.float64]
    jv: NDArray[np.float64]
    smooth: NDArray[np.float64]
    rd: NDArray[np.float64]
    rj: NDArray[np.float64]

    @classmethod
    def zeros(cls, knots: int, background: int) -> AsicSums:
        """Sums of no pixels."""
        return cls(
            np.zeros((knots, 4)), np.zeros(knots), np.zeros((knots, 2)), np.zeros((2, 2)),
            np.zeros(2), np.zeros((background, knots + 3)), np.zeros((knots, 2)),
            np.zeros((2, 2)),
        )  # fmt: skip


@njit(cache=True, nogil=True, inline="always")
def _splines(f: float, b: NDArray[np.float64], d: NDArray[np.float64]) -> None:
    """Values `b` and derivatives `d` of the four cubic B-splines, `f` beyond a knot."""
    g = 1.0 - f
    b[0] = g * g * g / 6
    b[1] = (3 * f * f * f - 6 * f * f + 4) / 6
    b[2] = (3 * g * g * g - 6 * g * g + 4) / 6
    b[3] = f * f * f / 6
    d[0] = -g * g / 2
    d[1] = (3 * f * f - 4 * f) / 2
    d[2] = -(3 * g * g - 4 * g) / 2
    d[3] = f * f / 2


@njit(cache=True, nogil=True)
def accumulate(
    pixels: AsicPixels, model: AsicModel, background: Background, first: int, sums: AsicSums
) -> None:
    """Add the pixels of one ASIC to `sums`; `first` is the first knot it reaches."""
    x, y, stretch, value, weight, residual = pixels
    offset, knot_px, profile, strength = model
    band, dv, dj, jj, jv, smooth, rd, rj = sums
    down, across = background.down, background.across
    n = dv.size
    b, d = np.empty(4), np.empty(4)
    width = across.first[-1] + 4
    last = first + n - 4
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            w = np.float64(weight[row, column])
            if w == 0:
                continue
            px, py = x[row, column] - offset[0], y[row, column] - offset[1]
            distance = np.sqrt(px * px + py * py)
            t = distance * stretch[row, column] / knot_px
            j = int(t)
            if j > last or j < first or distance < 1.0:
                continue
            _splines(t - j, b, d)
            f = t - j
            slope = 0.0
            for m in range(4):
                slope += d[m] * profile[j + m]
            bend = (
                (1 - f) * profile[j]
                + (3 * f - 2) * profile[j + 1]
                + (1 - 3 * f) * profile[j + 2]
                + f * profile[j + 3]
            )
            v = np.float64(value[row, column])
            inwards = -stretch[row, column] / (knot_px * distance)  # of t, by x over x
            scale = strength * slope * inwards
            jx, jy = scale * px, scale * py
            k = j - first
            wr = w * residual[row, column] * strength
            along = wr * bend * inwards * inwards + wr * slope * inwards / distance**2
            across_ring = -wr * slope * inwards
            rj[0, 0] += along * px * px + across_ring
            rj[0, 1] += along * px * py
            rj[1, 1] += along * py * py + across_ring
            wr *= inwards
            jj[0, 0] += w * jx * jx
            jj[0, 1] += w * jx * jy
            jj[1, 1] += w * jy * jy
            jv[0] += w * jx * v
            jv[1] += w * jy * v
            for m in range(4):
                wd = w * strength * b[m]
                dv[k + m] += wd * v
                dj[k + m, 0] += wd * jx
                dj[k + m, 1] += wd * jy
                rd[k + m, 0] += wr * d[m] * px
                rd[k + m, 1] += wr * d[m] * py
                for o in range(m, 4):
                    band[k + m, o - m] += wd * strength * b[o]
            for q in range(4):
                wq = w * down.value[row, q]
                start = (down.first[row] + q) * width + across.first[column]
                for m in range(4):
                    wb = wq * across.value[column, m]
                    place = start + m
                    ws = wb * strength
                    for o in range(4):
                        smooth[place, k + o] += ws * b[o]
                    smooth[place, n] += wb * jx
                    smooth[place, n + 1] += wb * jy
                    smooth[place, n + 2] += wb * v
    jj[1, 0] = jj[0, 1]
    rj[1, 0] = rj[0, 1]


@njit(cache=True, nogil=True)
def ring_values(
    pixels: AsicPixels, model: AsicModel, profiles: NDArray[np.float64], derivative: bool
) -> NDArray[np.float64]:
    """``strength P(r)`` of n profiles at pixels, ``(rows, columns, n)``; 0 beyond the profile.

    Parameters
    ----------
    model : its own profile does not matter.
    profiles : float64 ``(k, n)``, coefficients as in `AsicModel`.
    derivative : give the derivative by the pixel's distance instead.
    """
    x, y, stretch = pixels.x, pixels.y, pixels.stretch
    knots, count = profiles.shape
    b, d = np.empty(4), np.empty(4)
    rings = np.zeros((*x.shape, count))
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            px, py = x[row, column] - model.offset[0], y[row, column] - model.offset[1]
            scale = stretch[row, column] / model.knot_px
            t = np.sqrt(px * px + py * py) * scale
            j = int(t)
            if j <= knots - 4:
                _splines(t - j, b, d)
                for m in range(4):
                    factor = model.strength * (scale * d[m] if derivative else b[m])
                    for n in range(count):
                        rings[row, column, n] += factor * profiles[j + m, n]
    return rings


@njit(cache=True, nogil=True)
def smooth_part(
    fields: NDArray[np.float64], weight: NDArray[np.float32], background: Background
) -> NDArray[np.float64]:
    """The background that fits each of n fields best, ``(rows, columns, n)`` as they are."""
    down, across, whiten = background
    rows, columns, count = fields.shape
    width = across.first[-1] + 4
    products = np.zeros((whiten.shape[0], count))
    line = np.empty((width, count))
    for row in range(rows):
        line[:] = 0.0
        for column in range(columns):
            w = np.float64(weight[row, column])
            if w == 0:
                continue
            for m in range(4):
                wa = w * across.value[column, m]
                for n in range(count):
                    line[across.first[column] + m, n] += wa * fields[row, column, n]
        for q in range(4):
            start = (down.first[row] + q) * width
            for place in range(width):
                for n in range(count):
                    products[start + place, n] += down.value[row, q] * line[place, n]
    coefficients = np.dot(whiten.T, np.dot(whiten, products))
    smooth = np.zeros(fields.shape)
    for row in range(rows):
        line[:] = 0.0
        for q in range(4):
            start = (down.first[row] + q) * width
            for place in range(width):
                for n in range(count):
                    line[place, n] += down.value[row, q] * coefficients[start + place, n]
        for column in range(columns):
            for m in range(4):
                for n in range(count):
                    smooth[row, column, n] += (
                        across.value[column, m] * line[across.first[column] + m, n]
                    )
    return smooth


@njit(cache=True, nogil=True)
def residuals(
    pixels: AsicPixels,
    raw: NDArray[np.float64],
    model: AsicModel,
    profiles: NDArray[np.float64],
    background: Background,
    prior: float,
    limits: tuple[float, float],
) -> tuple[NDArray[np.float64], float, float]:
    """What neither rings nor background explain of `raw`, with the strength that fits best.

    Parameters
    ----------
    raw : float64 ``(rows, columns)``, values that are not pulled in.
    profiles : float64 ``(k, 2)``, the profile and what of it is sharp.
    prior : what is told beforehand of the strength; infinite: it stays.
    limits : least and largest strength.

    Returns
    -------
    residuals : float64 ``(rows, columns)``.
    strength : of the rings.
    power : what the pixels tell of the strength.
    """
    value, weight = pixels.value, pixels.weight
    strength, power, overlap = model.strength, 0.0, 0.0
    plain = AsicModel(model.offset, model.knot_px, model.profile, 1.0)
    rings = ring_values(pixels, plain, profiles, False)
    # what is smooth in the profile is background, whose strength is another one
    field = np.empty((*value.shape, 1))
    for row in range(value.shape[0]):
        for column in range(value.shape[1]):
            field[row, column, 0] = rings[row, column, 1]
    smooth = smooth_part(field, weight, background)
    for row in range(value.shape[0]):
        for column in range(value.shape[1]):
            sharp = rings[row, column, 1]
            broad = rings[row, column, 0] - sharp
            beside = weight[row, column] * (sharp - smooth[row, column, 0])
            power += beside * sharp
            overlap += beside * (value[row, column] - strength * broad)
    if np.isfinite(prior):
        strength = min(max((overlap + prior) / (power + prior), limits[0]), limits[1])
    for row in range(value.shape[0]):
        for column in range(value.shape[1]):
            rings[row, column, 0] *= strength
            field[row, column, 0] = value[row, column] - rings[row, column, 0]
    smooth = smooth_part(field, weight, background)
    left = np.empty(value.shape)
    for row in range(value.shape[0]):
        for column in range(value.shape[1]):
            explained = rings[row, column, 0] + smooth[row, column, 0]
            left[row, column] = raw[row, column] - explained
    return left, strength, power


@njit(cache=True, nogil=True)
def products_by_band(
    fields: NDArray[np.float64], weight: NDArray[np.float64], band: NDArray[np.int64], bands: int
) -> NDArray[np.float64]:
    """Weighted products ``(bands, n, n)`` of fields ``(pixels, n)``, summed over each band."""
    count = fields.shape[1]
    sums = np.zeros((bands, count, count))
    for pixel in range(weight.size):
        w = weight[pixel]
        if w == 0:
            continue
        own = sums[band[pixel]]
        for i in range(count):
            wi = w * fields[pixel, i]
            for j in range(i, count):
                own[i, j] += wi * fields[pixel, j]
    for place in range(bands):
        for i in range(count):
            for j in range(i):
                sums[place, i, j] = sums[place, j, i]
    return sums
