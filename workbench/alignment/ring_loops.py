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


SIXTH = 1 / 6
Splines = tuple[float, float, float, float]


@njit(cache=True, nogil=True, inline="always")
def _splines(f: float) -> Splines:
    """Values of the four cubic B-splines, `f` beyond a knot."""
    g = 1.0 - f
    return (
        g * g * g * SIXTH,
        ((3 * f - 6) * f * f + 4) * SIXTH,
        ((3 * g - 6) * g * g + 4) * SIXTH,
        f * f * f * SIXTH,
    )


@njit(cache=True, nogil=True, inline="always")
def _slopes(f: float) -> Splines:
    """Derivatives of the four cubic B-splines, `f` beyond a knot."""
    g = 1.0 - f
    return -g * g * 0.5, (3 * f - 4) * f * 0.5, -(3 * g - 4) * g * 0.5, f * f * 0.5


@njit(cache=True, nogil=True, error_model="numpy")
def accumulate(
    pixels: AsicPixels, model: AsicModel, background: Background, first: int, sums: AsicSums
) -> None:
    """Add the pixels of one ASIC to `sums`; `first` is the first knot it reaches."""
    x, y, stretch, value, weight, residual = pixels
    offset, knot_px, profile, strength = model
    band, dv, dj, jj, jv, smooth, rd, rj = sums
    down, across = background.down, background.across
    n = dv.size
    width = across.first[-1] + 4
    last = first + n - 4
    line = np.zeros((width, n + 3))  # products of a row with the splines along it
    columns = x.shape[1]
    px, py, distances, ts = np.empty((4, columns))
    own = np.zeros((n, 9))  # values, offsets, residuals by offsets, profile
    jxx = jxy = jyy = jvx = jvy = rxx = rxy = ryy = 0.0
    ox, oy, per_knot = offset[0], offset[1], 1 / knot_px
    for row in range(x.shape[0]):
        for column in range(columns):
            px[column] = x[row, column] - ox
            py[column] = y[row, column] - oy
            distances[column] = np.sqrt(px[column] * px[column] + py[column] * py[column])
            ts[column] = distances[column] * (stretch[row, column] * per_knot)
        low, high = n, 0
        for column in range(columns):
            w = np.float64(weight[row, column])
            if w == 0:
                continue
            distance, t = distances[column], ts[column]
            j = int(t)
            if j > last or j < first or distance < 1.0:
                continue
            f = t - j
            b, d = _splines(f), _slopes(f)
            p0, p1, p2, p3 = profile[j], profile[j + 1], profile[j + 2], profile[j + 3]
            slope = d[0] * p0 + d[1] * p1 + d[2] * p2 + d[3] * p3
            bend = (1 - f) * p0 + (3 * f - 2) * p1 + (1 - 3 * f) * p2 + f * p3
            v = np.float64(value[row, column])
            inverse = 1 / distance
            inwards = -(stretch[row, column] * per_knot) * inverse  # of t, by x over x
            cx, cy = px[column], py[column]
            scale = strength * slope * inwards
            jx, jy = scale * cx, scale * cy
            k = j - first
            low, high = min(low, k), max(high, k + 4)
            wr = w * residual[row, column] * strength
            across_ring = -wr * slope * inwards
            along = wr * bend * inwards * inwards - across_ring * inverse * inverse
            rxx += along * cx * cx + across_ring
            rxy += along * cx * cy
            ryy += along * cy * cy + across_ring
            wr *= inwards
            jxx += w * jx * jx
            jxy += w * jx * jy
            jyy += w * jy * jy
            jvx += w * jx * v
            jvy += w * jy * v
            ws = w * strength
            for m in range(4):
                wd = ws * b[m]
                wrd = wr * d[m]
                into = own[k + m]
                into[0] += wd * v
                into[1] += wd * jx
                into[2] += wd * jy
                into[3] += wrd * cx
                into[4] += wrd * cy
                wd *= strength
                for o in range(4 - m):
                    into[5 + o] += wd * b[m + o]
            start = across.first[column]
            for m in range(4):
                wb = w * across.value[column, m]
                wbs = wb * strength
                into = line[start + m]
                into[k] += wbs * b[0]
                into[k + 1] += wbs * b[1]
                into[k + 2] += wbs * b[2]
                into[k + 3] += wbs * b[3]
                into[n] += wb * jx
                into[n + 1] += wb * jy
                into[n + 2] += wb * v
        for q in range(4):
            share = down.value[row, q]
            for place in range(width):
                into = smooth[(down.first[row] + q) * width + place]
                for k in range(low, high):
                    into[k] += share * line[place, k]
                for k in range(n, n + 3):
                    into[k] += share * line[place, k]
        line[:, low:high] = 0.0
        line[:, n:] = 0.0
    dv += own[:, 0]
    dj += own[:, 1:3]
    rd += own[:, 3:5]
    band += own[:, 5:]
    jj += np.array([[jxx, jxy], [jxy, jyy]])
    rj += np.array([[rxx, rxy], [rxy, ryy]])
    jv += np.array([jvx, jvy])


@njit(cache=True, nogil=True, error_model="numpy")
def ring_values(
    pixels: AsicPixels, model: AsicModel, profiles: NDArray[np.float64], derivative: bool
) -> NDArray[np.float64]:
    """``strength P(r)`` of n profiles at pixels, ``(n, rows, columns)``; 0 beyond the profile.

    Parameters
    ----------
    model : its own profile does not matter.
    profiles : float64 ``(k, n)``, coefficients as in `AsicModel`.
    derivative : give the derivative by the pixel's distance instead.
    """
    x, y, stretch = pixels.x, pixels.y, pixels.stretch
    knots, count = profiles.shape
    rings = np.zeros((count, *x.shape))
    ox, oy, per_knot = model.offset[0], model.offset[1], 1 / model.knot_px
    ts = np.empty(x.shape[1])
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            px, py = x[row, column] - ox, y[row, column] - oy
            ts[column] = np.sqrt(px * px + py * py) * (stretch[row, column] * per_knot)
        for column in range(x.shape[1]):
            j = int(ts[column])
            if j > knots - 4:
                continue
            f = ts[column] - j
            b = _slopes(f) if derivative else _splines(f)
            factor = model.strength
            if derivative:
                factor *= stretch[row, column] * per_knot
            for n in range(count):
                value = b[0] * profiles[j, n] + b[1] * profiles[j + 1, n]
                value += b[2] * profiles[j + 2, n] + b[3] * profiles[j + 3, n]
                rings[n, row, column] = factor * value
    return rings


@njit(cache=True, nogil=True, error_model="numpy")
def smooth_part(
    fields: NDArray[np.float64], weight: NDArray[np.float32], background: Background
) -> NDArray[np.float64]:
    """The background that fits each of n fields best, ``(n, rows, columns)`` as they are."""
    down, across, whiten = background
    count, rows, columns = fields.shape
    width = across.first[-1] + 4
    products = np.zeros((whiten.shape[0], count))
    line = np.empty(width)
    for n in range(count):
        for row in range(rows):
            line[:] = 0.0
            for column in range(columns):
                value = weight[row, column] * fields[n, row, column]
                start = across.first[column]
                for m in range(4):
                    line[start + m] += across.value[column, m] * value
            for q in range(4):
                start = (down.first[row] + q) * width
                share = down.value[row, q]
                for place in range(width):
                    products[start + place, n] += share * line[place]
    coefficients = np.dot(whiten.T, np.dot(whiten, products))
    smooth = np.zeros(fields.shape)
    for n in range(count):
        for row in range(rows):
            line[:] = 0.0
            for q in range(4):
                start = (down.first[row] + q) * width
                share = down.value[row, q]
                for place in range(width):
                    line[place] += share * coefficients[start + place, n]
            for column in range(columns):
                start = across.first[column]
                value = 0.0
                for m in range(4):
                    value += across.value[column, m] * line[start + m]
                smooth[n, row, column] = value
    return smooth


@njit(cache=True, nogil=True, error_model="numpy")
def pull_in(
    pixels: AsicPixels,
    raw: NDArray[np.float64],
    model: AsicModel,
    profiles: NDArray[np.float64],
    background: Background,
    prior: float,
    limits: tuple[float, float],
    clip_sigmas: float,
) -> tuple[float, float, float, float]:
    """Set values and residuals of an ASIC to those with spots pulled in; see `Asic`.

    Parameters
    ----------
    raw : float64 ``(rows, columns)``, values that are not pulled in.
    profiles : float64 ``(k, 2)``, the profile and what of it is sharp.
    prior : what is told beforehand of the strength; infinite: it stays.
    limits : least and largest strength.
    clip_sigmas : residuals beyond so many standard deviations are pulled in.

    Returns
    -------
    strength : of the rings, that which fits best.
    power : what the pixels tell of the strength.
    spread : median of the absolute residuals, those beyond the limit pulled in.
    limit : to which they are.
    """
    value, weight = pixels.value, pixels.weight
    strength, power, overlap = model.strength, 0.0, 0.0
    plain = AsicModel(model.offset, model.knot_px, model.profile, 1.0)
    rings = ring_values(pixels, plain, profiles, False)
    # what is smooth in the profile is background, whose strength is another one
    smooth = smooth_part(rings[1:], weight, background)[0]
    usable = 0
    for row in range(value.shape[0]):
        for column in range(value.shape[1]):
            w = weight[row, column]
            usable += w > 0
            sharp = rings[1, row, column]
            broad = rings[0, row, column] - sharp
            beside = w * (sharp - smooth[row, column])
            power += beside * sharp
            overlap += beside * (value[row, column] - strength * broad)
    if np.isfinite(prior):
        strength = min(max((overlap + prior) / (power + prior), limits[0]), limits[1])
    field = rings[1:]  # its values are needed no more
    for row in range(value.shape[0]):
        for column in range(value.shape[1]):
            field[0, row, column] = value[row, column] - strength * rings[0, row, column]
    smooth = smooth_part(field, weight, background)[0]
    left = field[0]
    inside = np.empty(usable)
    k = 0
    for row in range(value.shape[0]):
        for column in range(value.shape[1]):
            explained = strength * rings[0, row, column] + smooth[row, column]
            left[row, column] = raw[row, column] - explained
            if weight[row, column] > 0:
                inside[k] = abs(left[row, column])
                k += 1
    limit = np.inf
    for _ in range(2):
        square = 0.0
        for k in range(usable):
            inside[k] = min(inside[k], limit)
            square += inside[k] * inside[k]
        limit = clip_sigmas * np.sqrt(square / max(usable, 1))
    for k in range(usable):
        inside[k] = min(inside[k], limit)
    for row in range(value.shape[0]):
        for column in range(value.shape[1]):
            rest = min(max(left[row, column], -limit), limit)
            pixels.residual[row, column] = rest
            value[row, column] = raw[row, column] - left[row, column] + rest
    return strength, power, np.median(inside), limit


@njit(cache=True, nogil=True, error_model="numpy")
def products_by_band(
    fields: NDArray[np.float64], weight: NDArray[np.float64], band: NDArray[np.int64], bands: int
) -> NDArray[np.float64]:
    """Weighted products ``(bands, n, n)`` of fields ``(n, pixels)``, summed over each band."""
    count = fields.shape[0]
    sums = np.zeros((bands, count, count))
    here = np.empty(count)
    for pixel in range(weight.size):
        w = weight[pixel]
        if w == 0:
            continue
        own = sums[band[pixel]]
        for i in range(count):
            here[i] = fields[i, pixel]
        for i in range(count):
            wi = w * here[i]
            for j in range(i, count):
                own[i, j] += wi * here[j]
    for place in range(bands):
        for i in range(count):
            for j in range(i):
                sums[place, i, j] = sums[place, j, i]
    return sums


@njit(cache=True, nogil=True, error_model="numpy")
def squares(
    good: NDArray[np.bool_], fields: NDArray[np.float32], side: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number of good pixels in squares of an ASIC, and means of n fields over them.

    Parameters
    ----------
    good, fields : ``(rows, columns)``, ``(n, rows, columns)``.
    side : of the squares, pixels; the last ones may be smaller.

    Returns
    -------
    number : ``(rows of squares, columns of squares)``.
    means : float64 ``(n, rows of squares, columns of squares)``, 0 without good pixels.
    """
    rows, columns = good.shape
    number = np.zeros(((rows + side - 1) // side, (columns + side - 1) // side), np.int64)
    means = np.zeros((len(fields), *number.shape))
    for row in range(rows):
        for column in range(columns):
            if good[row, column]:
                i, j = row // side, column // side
                number[i, j] += 1
                for n in range(len(fields)):
                    means[n, i, j] += fields[n, row, column]
    means /= np.maximum(number, 1)
    return number, means


@njit(cache=True, nogil=True, error_model="numpy")
def radial_sums(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    stretch: NDArray[np.float32],
    value: NDArray[np.float32],
    asic_of_pixel: NDArray[np.uint16],
    offset: NDArray[np.float64],
    bin_px: float,
    sums: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> None:
    """Add the pixels whose value is not 0 to radial bins of their ASIC.

    Parameters
    ----------
    x, y, stretch, value : ``(modules, rows, columns)``.
    asic_of_pixel : ``(rows, columns)``, ASIC of the module.
    offset : ``(2,)``, where the rings have their centre, pixels.
    bin_px : width of the bins; what lies beyond them is in the last one.
    sums, counts : ``(modules, ASICs of a module, bins)``, sums of the values, number of pixels.
    """
    last, per_bin = sums.shape[2] - 1, 1 / bin_px
    for module in range(x.shape[0]):
        for row in range(x.shape[1]):
            for column in range(x.shape[2]):
                v = value[module, row, column]
                if v == 0:
                    continue
                px, py = x[module, row, column] - offset[0], y[module, row, column] - offset[1]
                radius = np.sqrt(px * px + py * py) * stretch[module, row, column]
                place = min(int(radius * per_bin), last)
                asic = asic_of_pixel[row, column]
                sums[module, asic, place] += v
                counts[module, asic, place] += 1
