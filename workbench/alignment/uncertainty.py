"""How well the rings determine the offsets, from the model and from dividing the arc.

The covariance of the model assumes that the pixels err independently. Real rings do not: sensors
are not where the geometry puts them, intensities vary along a ring, a shadow bends its flank. So
the rings are divided, by ASIC, by module and by radius; each piece in turn is left out, and the
scatter of the offsets is the covariance (a jackknife: B. Efron, C. Stein, Ann. Stat. 9 (1981)
586). Of the divisions the one whose pieces disagree most counts, and never less than the model.
For a group's few modules this exaggerates, by a factor of two for the four of an AGIPD, so
changes by leaving out modules are scaled to be right on the mean (R. M. Bell, D. F. McCaffrey,
Surv. Methodol. 28 (2002) 169). Bands of radii end between rings, as the two flanks of one ring pull
in opposite directions.

Leaving out a piece takes no new fit: with the derivatives freed of what profile, background and
strengths can follow, gradient and curvature are sums over the pixels of the pieces.

That curvature is made of squares of slopes, and the slopes of a fitted profile are partly noise,
which looks like information. With the second derivatives of the model (the observed information: B.
Efron, D. V. Hinkley, Biometrika 65 (1978) 457) the curvature of weak rings is smaller, in the weak
direction down to a half, so the covariance is scaled by the ratio of both. For clear rings it is 1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.ndimage import gaussian_filter1d

from workbench.alignment.ring_fit import Asic, RingFit, each, spline
from workbench.alignment.ring_loops import products_by_band, ring_values


@dataclass(frozen=True)
class UncertaintySettings:
    """How the covariance is computed.

    Attributes
    ----------
    band_px : usual width of the radial bands.
    band_reach_px, flank_px : an edge of a band is moved by up to the first to where the profile,
        its slopes smoothed over the second, is flattest.
    most_leverage : a piece counts as having at most this share of the curvature.
    least_share : a piece with less of the information of the largest one is not counted.
    tilt_blurred_share : of a tilt of the detector that it may be wrong by.
    least_curvature : the curvature counts as at least this share of that from slopes alone; where
        modules are off their place their misfit makes it smaller still.
    """

    band_px: float = 40.0
    band_reach_px: float = 15.0
    flank_px: float = 4.0
    most_leverage: float = 0.9
    least_share: float = 1e-3
    least_curvature: float = 0.5
    tilt_blurred_share: float = 0.2


UNCERTAINTY = UncertaintySettings()


@dataclass(frozen=True)
class HeldOut:
    """How far rings lie from where the other modules' rings put them, pixels.

    Attributes
    ----------
    rms_px : root of the mean square over all rings and modules, weighted by what each tells.
    ring_radius_px, ring_rms_px : float64 ``(rings,)``, the same for each ring: each band of radii
        that tells something.
    residual_px : float64 ``(modules, rings)``, of each module in each ring, positive outwards; NaN
        where it says nothing.
    module_px : float64 ``(modules,)``, mean of each module, positive outwards; NaN if it says
        nothing.
    """

    rms_px: float
    ring_radius_px: NDArray[np.float64]
    ring_rms_px: NDArray[np.float64]
    residual_px: NDArray[np.float64]
    module_px: NDArray[np.float64]


@dataclass(frozen=True)
class Uncertainty:
    """What the rings tell of the offsets.

    Attributes
    ----------
    model : float64 ``(m, m)``, covariance for independent errors of the pixels.
    covariance : float64 ``(m, m)``, from dividing the arc.
    excess : variance by dividing over that of the model, mean over all combinations.
    division : the division that counts: ``ASICs``, ``sensors`` or ``radii``.
    split_px : float64 ``(2, m)``, moves of the offsets from even and from odd modules alone; of
        groups of one module from even and from odd ASICs.
    module_sigma_px : float64 ``(modules,)``, standard deviation of each module's shift outwards
        from the beam if all else stays; NaN if it says nothing.
    held_out : residual of the rings.
    tilt_deg, tilt_sigma_deg : ``(2,)``, turn of the whole detector about lab x and y that the rings
        ask for, and its standard deviation; NaN where the distance is not known.
    """

    model: NDArray[np.float64]
    covariance: NDArray[np.float64]
    excess: float
    division: str
    split_px: NDArray[np.float64]
    module_sigma_px: NDArray[np.float64]
    held_out: HeldOut
    tilt_deg: NDArray[np.float64]
    tilt_sigma_deg: NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """Sums over the pixels of each ASIC and radial band.

    Attributes
    ----------
    asic, band : int ``(n,)``.
    score, information : ``(n, m)``, ``(n, m, m)``, gradient and curvature by the offsets.
    shift_score, shift_information : ``(n, 2)``, ``(n, 2, 2)``, by a shift of the ASIC alone,
        outwards and along the rings, with the profile as it is.
    radius : ``(n,)``, mean radius, weighted by what the pixels tell.
    """

    asic: NDArray[np.int64]
    band: NDArray[np.int64]
    score: NDArray[np.float64]
    information: NDArray[np.float64]
    shift_score: NDArray[np.float64]
    shift_information: NDArray[np.float64]
    radius: NDArray[np.float64]


def uncertainty(fit: RingFit, settings: UncertaintySettings = UNCERTAINTY) -> Uncertainty:
    """What the rings tell of the offsets, at the end of a fit."""
    solved = fit.solved
    plain, exact = solved.plain(), solved.exact(fit.profile)
    cells = _cells(fit, plain.response, settings)
    m = cells.score.shape[1]
    total = cells.information.sum(axis=0) + np.eye(m) * fit.settings.widest_px**-2
    model = np.linalg.inv(total)
    each_module = fit.detector.asics_per_module
    divisions = {
        "ASICs": cells.asic,
        "sensors": cells.asic // each_module,
        "radii": cells.band,
    }
    together = np.concatenate([fit.outwards[g] for g in fit.free])
    scatter = {
        name: _scatter(cells, piece, total, together, 0.5 if name == "sensors" else 1.0, settings)
        for name, piece in divisions.items()
    }
    lower = np.linalg.cholesky(total)
    white = {name: lower.T @ part @ lower for name, part in scatter.items()}
    division = max(white, key=lambda name: float(np.trace(white[name])))
    values, axes = np.linalg.eigh(white[division])
    back = np.linalg.solve(lower.T, axes)
    widening = _widening(plain.matrix, exact.matrix, settings)
    covariance = widening @ (back * np.maximum(values, 1.0) @ back.T) @ widening.T
    excess = float(np.trace(white[division])) / m
    table = _residuals(fit, cells, settings)
    tilt_deg, tilt_sigma_deg = _tilt(fit, table, settings)
    # a group of one module is divided by its ASICs: the other modules do not see its place
    divided = 1 if fit.detector.group_word == "module" else each_module
    parity = cells.asic // divided % 2
    return Uncertainty(
        model=model,
        covariance=np.asarray(covariance),
        excess=excess,
        division=division,
        split_px=np.array([_half(cells, parity == h) for h in (0, 1)]),
        module_sigma_px=_module_sigmas(fit, cells, settings),
        held_out=_held_out(table),
        tilt_deg=tilt_deg,
        tilt_sigma_deg=tilt_sigma_deg,
    )


def _widening(
    slopes: NDArray[np.float64], observed: NDArray[np.float64], settings: UncertaintySettings
) -> NDArray[np.float64]:
    """Factor ``(m, m)`` on either side of the covariance, for the observed curvature."""
    shares, axes = eigh(observed, slopes)
    counted = np.clip(shares, settings.least_curvature, 1.0)
    return np.asarray(axes / np.sqrt(counted) @ axes.T @ slopes)


def _cells(fit: RingFit, response: NDArray[np.float64], settings: UncertaintySettings) -> Cells:
    bands = _bands(fit, settings)
    parts = each(lambda asic: _cells_of(fit, asic, response, bands), fit.asics)
    names = [field.name for field in dataclasses.fields(Cells)]
    return Cells(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )


def _bands(fit: RingFit, settings: UncertaintySettings) -> NDArray[np.int64]:
    """Band of radii to which each whole pixel of the radius belongs, ``(n,)``; no ring is cut."""
    radius = np.arange(fit.knots * fit.knot_px)
    slope = np.gradient(np.nan_to_num(spline(radius, fit.profile, fit.knot_px)))
    steep = gaussian_filter1d(slope**2, settings.flank_px)
    reach, edges = int(settings.band_reach_px), []
    for middle in np.arange(settings.band_px, len(radius), settings.band_px).astype(int):
        near = steep[middle - reach : middle + reach + 1]
        edges.append(middle - reach + int(np.argmin(near)))
    return np.searchsorted(edges, radius, side="right")


def _cells_of(
    fit: RingFit, asic: Asic, response: NDArray[np.float64], band_of: NDArray[np.int64]
) -> Cells:
    """Cells of one ASIC, with the bands as `_bands` gives them."""
    p, model, m = asic.pixels, fit.model(asic), response.shape[1]
    x, y = p.x - fit.offsets[asic.group, 0], p.y - fit.offsets[asic.group, 1]
    distance = np.maximum(np.hypot(x, y), 1.0)
    profile = fit.profile[:, None]
    slopes = ring_values(p, model, profile, True)[0] / distance
    values = ring_values(p, model, np.hstack([-response, profile]), False)
    fields = np.empty((m + 4, *p.x.shape))  # offsets, shift of the ASIC, its rings, the rest
    fields[:m] = values[:m]
    if asic.group in fit.free:
        own = 2 * fit.free.index(asic.group)
        fields[own] -= slopes * x
        fields[own + 1] -= slopes * y
    middle = fit.module_outwards[asic.number // fit.detector.asics_per_module]
    fields[m] = -slopes * (x * middle[0] + y * middle[1])
    fields[m + 1] = -slopes * (y * middle[0] - x * middle[1])
    fields[m + 2] = values[m]
    fields[m + 3] = p.value - values[m]
    flat = asic.without_background(fields).reshape(m + 4, -1)
    weight = p.weight.reshape(-1).astype(np.float64) / asic.noise**2
    strength = flat[m + 2] / asic.strength
    along = flat @ (weight * strength)
    prior = asic.prior / asic.noise**2
    flat -= np.outer(along / (float((weight * strength) @ strength) + prior + 1e-30), strength)
    radius = (distance * p.stretch).reshape(-1)
    place = band_of[np.minimum(radius.astype(np.int64), len(band_of) - 1)]
    first = int(place.min())
    bands = int(place.max()) - first + 1
    sums = products_by_band(flat, weight, place - first, bands)
    radial = weight * flat[m] ** 2
    middles = np.bincount(place - first, radial * radius, bands) / np.maximum(sums[:, m, m], 1e-300)
    kept = np.bincount(place - first, weight, bands) > 0
    return Cells(
        np.full(bands, asic.number)[kept], (np.arange(bands) + first)[kept],
        sums[kept, :m, m + 3], sums[kept, :m, :m],
        sums[kept, m : m + 2, m + 3], sums[kept, m : m + 2, m : m + 2], middles[kept],
    )  # fmt: skip


def _scatter(
    cells: Cells,
    piece: NDArray[np.int64],
    total: NDArray[np.float64],
    together: NDArray[np.float64],
    power: float,
    settings: UncertaintySettings,
) -> NDArray[np.float64]:
    """Covariance of the offsets from leaving out each piece.

    Parameters
    ----------
    piece : ``(n,)``, to which piece each cell belongs.
    total : ``(m, m)``, curvature of all.
    together : ``(m,)``, offsets of all groups outwards.
    power : of what is left of the curvature, by which changes are divided; 1: a jackknife.
    """
    _, place = np.unique(piece, return_inverse=True)
    n, m = int(place.max()) + 1, len(total)
    score, information = np.zeros((n, m)), np.zeros((n, m, m))
    np.add.at(score, place, cells.score)
    np.add.at(information, place, cells.information)
    share = np.trace(information, axis1=1, axis2=2)
    score, information = (
        a[share > settings.least_share * share.max()] for a in (score, information)
    )
    lower = np.linalg.cholesky(total)
    back = np.linalg.inv(lower)
    changes = np.empty_like(score)  # in units of the model's standard deviations
    for k, gradient in enumerate(score):
        leverage, axes = np.linalg.eigh(back @ information[k] @ back.T)
        rest = 1 - np.clip(leverage, 0.0, settings.most_leverage)
        changes[k] = axes @ ((axes.T @ (back @ gradient)) / rest**power)
    return np.asarray(back.T @ _shrunk(changes, back @ together) @ back)


def _shrunk(changes: NDArray[np.float64], together: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance ``(m, m)`` from changes ``(n, m)`` by leaving out, drawn towards a simple one.

    Few pieces decide about each offset, so the plain sum of squares exaggerates the differences
    between combinations of offsets. It is drawn as far as its own scatter asks for (O. Ledoit, M.
    Wolf, J. Multivar. Anal. 88 (2004) 365) to one variance for all combinations but the one in
    which all groups move outwards, `together` ``(m,)``: all pieces tell of that one, so it has its
    own if that is larger.
    """
    n, m = changes.shape
    if n < 3:
        return np.zeros((m, m))
    changes = changes - changes.mean(axis=0)
    white = changes * np.sqrt(n - 1)
    plain = white.T @ white / n
    outwards = np.outer(together, together) / (together @ together)
    own = float(np.sum(outwards * plain))
    level = (np.trace(plain) - own) / (m - 1)
    simple = level * np.eye(m) + max(own - level, 0.0) * outwards
    scatter = np.mean(np.sum(white**2, axis=1) ** 2) - np.sum(plain**2)
    apart = np.sum((plain - simple) ** 2)
    weight = float(np.clip(scatter / n / max(apart, 1e-30), 0.0, 1.0))
    return np.asarray((1 - weight) * plain + weight * simple)


def _half(cells: Cells, part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Move of the offsets that some of the cells alone would like."""
    information, score = cells.information[part].sum(axis=0), cells.score[part].sum(axis=0)
    return np.asarray(np.linalg.lstsq(information, score, rcond=1e-9)[0])


def _module_sigmas(
    fit: RingFit, cells: Cells, settings: UncertaintySettings
) -> NDArray[np.float64]:
    """Standard deviation ``(modules,)`` of each module's shift outwards if all else stays.

    It is from leaving out each ASIC and band of radii.
    """
    module = cells.asic // fit.detector.asics_per_module
    sigma = np.full(fit.detector.modules, np.nan)
    prior = np.eye(2) * fit.settings.widest_px**-2
    for k in np.unique(module):
        score, information = cells.shift_score[module == k], cells.shift_information[module == k]
        covariance = np.linalg.inv(information.sum(axis=0) + prior)
        shift = covariance @ score.sum(axis=0)
        changes = (score - information @ shift) @ covariance[:, 0]
        leverage = np.minimum(information[:, 0, 0] * covariance[0, 0], settings.most_leverage)
        outwards = max(float(np.sum(changes**2 / (1 - leverage))), covariance[0, 0])
        sigma[k] = np.sqrt(outwards)
    return sigma


@dataclass(frozen=True)
class Residuals:
    """Residual of the rings, each module against the profile of the others; by band of radii.

    Attributes
    ----------
    residual_px, information : ``(modules, bands)``, positive outwards, and what it is known by.
    radius_px : ``(bands,)``, mean radius.
    """

    residual_px: NDArray[np.float64]
    information: NDArray[np.float64]
    radius_px: NDArray[np.float64]

    @property
    def says(self) -> NDArray[np.bool_]:
        """Modules that say something of a ring, bool ``(modules, bands)``."""
        least = 0.02 * self.information.max(axis=0, initial=0.0)
        return np.asarray(self.information > least)


def _residuals(fit: RingFit, cells: Cells, settings: UncertaintySettings) -> Residuals:
    count = fit.detector.modules
    module = cells.asic // fit.detector.asics_per_module
    bands = int(cells.band.max()) + 1
    place = module * bands + cells.band
    size = count * bands
    score = np.bincount(place, cells.shift_score[:, 0], size).reshape(count, bands)
    information = np.bincount(place, cells.shift_information[:, 0, 0], size).reshape(count, bands)
    radius = np.bincount(place, cells.shift_information[:, 0, 0] * cells.radius, size)
    total = information.sum(axis=0)
    share = np.clip(information / np.maximum(total, 1e-300), 0.0, settings.most_leverage)
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = np.where(information > 0, score / information / (1 - share), 0.0)
        where = radius.reshape(count, bands).sum(axis=0) / total
    return Residuals(residual, information.astype(np.float64), where)


def _held_out(table: Residuals) -> HeldOut:
    """Residual of the rings, each module against the profile of the others."""
    residual, information = table.residual_px, table.information
    total = information.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_module = np.sum(information * residual, axis=1) / information.sum(axis=1)
        ring = np.sqrt(np.sum(information * residual**2, axis=0) / total)
    rings = total > 0.02 * total.max(initial=0.0)
    rms = float(np.sqrt(np.sum(information * residual**2) / max(float(information.sum()), 1e-300)))
    picture = np.where(table.says, residual, np.nan)[:, rings]
    return HeldOut(rms, table.radius_px[rings], ring[rings], picture, by_module)


def _tilt(
    fit: RingFit, table: Residuals, settings: UncertaintySettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn ``(2,)`` of the detector about lab x and y, degrees, and its standard deviation.

    A pixel that is h closer to the sample than thought sees a ring of radius r by ``r h / D``
    farther in. Heights of a turn a about x and b about y are ``a y - b x``, so the residual of a
    module in the direction n is ``r² (b n_x - a n_y) / D``; beside it offsets of the groups and
    the radius of each ring are free. The deviation is from the scatter between modules, as each may
    be off its place (K.-Y. Liang, S. L. Zeger, Biometrika 73 (1986) 13), widened by a share of
    the tilt, which blurs the profile.
    """
    unknown = np.full(2, np.nan)
    distance_px = fit.prepared.distance_px
    module, band = np.nonzero(table.says & (table.information > 0))
    if distance_px is None or not module.size:
        return unknown, unknown
    radius, out = table.radius_px[band], fit.module_outwards[module]
    group = fit.detector.by_module(np.arange(len(fit.detector.groups)))[module]
    lever = np.radians(radius**2 / distance_px)
    terms = np.column_stack(
        [
            -lever * out[:, 1],
            lever * out[:, 0],
            *((group == g) * out[:, axis] for g in fit.free for axis in (0, 1)),
            *((band == ring).astype(float) for ring in np.unique(band)),
        ]
    )
    weight = table.information[module, band]
    residual = table.residual_px[module, band]
    # nothing is known beforehand but that no pixel is farther off than the fit looks for
    widest = np.full(terms.shape[1], fit.settings.widest_px)
    widest[:2] /= lever.max()
    curvature = (terms * weight[:, None]).T @ terms + np.diag(widest**-2.0)
    covariance = np.linalg.inv(curvature)
    answer = covariance @ (terms.T @ (weight * residual))
    left = weight * (residual - terms @ answer)
    changes = np.zeros((fit.detector.modules, 2))
    np.add.at(changes, module, left[:, None] * (terms @ covariance[:, :2]))
    free, modules = 2 + 2 * len(fit.free), np.unique(module).size
    scatter = np.sum(changes**2, axis=0) * modules / max(modules - free, 1)
    variance = np.maximum(scatter, np.diag(covariance)[:2])
    return answer[:2], np.sqrt(variance + (settings.tilt_blurred_share * answer[:2]) ** 2)
