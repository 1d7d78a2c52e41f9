"""Joint refinement: the offsets that make one radial profile describe all groups.

Each pixel is modelled by ``a P(r)``: P, common to all groups, is a cubic B-spline without any
assumption about the rings; a is the strength of the rings in the pixel's ASIC (polarisation,
shadow); r is the pixel's distance from where its group sees the centre. Offsets, profile and
strengths are fitted together by Gauss-Newton steps, with Tukey's biweight against spots. The
profile is eliminated from the normal equations (they are banded), so a step costs one pass over
the pixels.

Rings have their centre in the lab's origin by definition, so a common offset of all groups is
determined (the rings cannot tell whether beam or detector moved). Two things are not:

* An in-plane rotation of a group about the beam leaves all radii as they are; a rotation about
  the group's own middle acts like an offset. Rotations are therefore taken from the geometry.
* All groups moving outwards together nearly changes only the radii of the rings, which are
  free: this combination rests on the spread of azimuth within a group alone. Its uncertainty
  is computed like any other and told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.plain import plain
from workbench.alignment.prepare import Prepared
from workbench.alignment.ring_fit import RING_FIT, RingFit, RingFitSettings, spline
from workbench.alignment.uncertainty import Uncertainty, uncertainty
from workbench.progress import Progress, raise_if_cancelled


@dataclass(frozen=True)
class ErrorSettings:
    """What the covariance of the ring fit is corrected by.

    Attributes
    ----------
    outward_px, each_px : errors that no statistics see, outwards in common and of each offset
        alone: the finite pixels, the flattening at the modules' edges (simulations without noise).
    jackknife_factor : leaving out whole ASICs overstates sigmas, as a jackknife does (B. Efron,
        C. Stein, Ann. Stat. 9 (1981) 586): so much in simulations, but for the combination below
        (benchmarks/alignment.py).
    outward_factor, faint_gain : the statistical error outwards in common is larger than computed
        by the first factor, and by ``sqrt(1 + second / gain)``, gain what the rings explain in
        units of the noise's variance: where rings are faint, the curvature is itself mostly noise
        (simulations, benchmarks/alignment.py).
    open_sigma_px : a combination of offsets known to worse than this is said to be open.
    """

    outward_px: float = 0.002
    each_px: float = 0.001
    jackknife_factor: float = 0.9
    outward_factor: float = 1.1
    faint_gain: float = 25_000.0
    open_sigma_px: float = 0.5


ERRORS = ErrorSettings()


@dataclass(frozen=True)
class Refinement:
    """Result of the joint refinement.

    Attributes
    ----------
    offsets_px : float64 ``(groups, 2)``.
    covariance_px2 : float64 ``(2 groups, 2 groups)`` of (x0, y0, x1, …), by leaving out one ASIC
        at a time; NaN for groups that took no part.
    used : bool ``(groups,)``, groups that took part.
    outwards : float64 ``(groups, 2)``, unit vectors from the beam to the middles of the groups.
    sensor_split_px : float64 ``(2, groups, 2)``, offsets from even and from odd modules alone.
    sensor_shift_px : float64 ``(modules, 2)``, further offset each module alone would like, NaN if
        it says nothing.
    radius_px, profile : float64 ``(n,)``, the common radial profile (transformed, flattened).
    iterations : steps taken.
    converged : whether the last step was below 0.005 px.
    explained : share of the variance of the flattened values that the rings explain.
    undetermined : sentences about combinations of offsets the rings leave open.
    """

    offsets_px: NDArray[np.float64]
    covariance_px2: NDArray[np.float64]
    used: NDArray[np.bool_]
    outwards: NDArray[np.float64]
    sensor_split_px: NDArray[np.float64]
    sensor_shift_px: NDArray[np.float64]
    radius_px: NDArray[np.float64]
    profile: NDArray[np.float64]
    iterations: int
    converged: bool
    explained: float
    undetermined: tuple[str, ...] = ()

    @property
    def sigmas_px(self) -> NDArray[np.float64]:
        """Standard deviations of the offsets, float64 ``(groups, 2)``."""
        return np.asarray(np.sqrt(np.diag(self.covariance_px2)).reshape(-1, 2))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            name: plain(getattr(self, name))
            for name in (
                "offsets_px", "sigmas_px", "covariance_px2", "used", "sensor_split_px",
                "sensor_shift_px", "iterations", "converged", "explained", "undetermined",
            )
        }  # fmt: skip


def refine_rings(
    prepared: Prepared,
    start_px: NDArray[np.float64],
    used: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
    settings: RingFitSettings = RING_FIT,
) -> Refinement | None:
    """Refine the offsets of all groups together.

    Parameters
    ----------
    prepared : image as `prepare` gives it.
    start_px : offsets to start from, float64 ``(groups, 2)``, right to about a ring's width.
    used : groups to take part, bool ``(groups,)``; the others keep their start.
    progress : asked before each step whether to stop.

    Returns
    -------
    Refinement, or None if nothing can be fitted.

    Raises
    ------
    Cancelled
        If `progress` is cancelled.
    """
    used = np.ones(prepared.groups, bool) if used is None else np.asarray(used, dtype=bool)
    used = used & prepared.filled(settings.least_pixels)
    if not used.any():
        return None
    fit = RingFit(prepared, start_px, used, settings)
    converged, iterations, fine, rounds = False, 0, 0, 0
    fit.start_profile()
    equations = fit.equations(settings.tukey_cut)
    for iterations in range(1, settings.most_steps + 1):
        raise_if_cancelled(progress, "The alignment")
        reduced = fit.reduced(equations)
        step = reduced.newton_step()
        if fit.coarse:  # too few pixels to say anything about the weakest combination
            weakest = reduced.weakest()[0]
            step -= weakest * (weakest @ step)
        longest = max(float(np.abs(step).max()), 1e-12)
        fit.move(reduced, step * min(1.0, settings.most_step_px / longest))
        if fit.coarse or iterations - fine <= settings.strength_steps:
            fit.update_amplitudes(equations.amplitude)
        if fit.coarse and (
            longest < settings.coarse_until_px or iterations >= settings.most_coarse_steps
        ):
            fit.refine_background()
            fit.start_profile()
            fine = iterations
        elif not fit.coarse and reduced.is_small(step):
            sharp = reduced.weakest()[1] * settings.sharp_sigma_px**2 > 1
            enough = rounds == settings.most_rounds or (rounds and iterations == fine + 1)
            if not sharp or enough:
                converged = True
                break
            rounds += 1
            fit.refine_background()
            fit.start_profile()
            fine = iterations
        equations = fit.equations(settings.tukey_cut)
    return _finish(fit, iterations, converged, used)


def _finish(fit: RingFit, iterations: int, converged: bool, used: NDArray[np.bool_]) -> Refinement:
    blocks = fit.block_sums()
    known = uncertainty(blocks)
    own, outwards = fit.own(), fit.outwards()
    size = fit.offsets.size
    covariance = np.full((size, size), np.nan)
    floor = _systematic(outwards, ERRORS)
    left, total = blocks.sums.squares.sum(axis=0)
    explained = 1 - float(left) / max(float(total), 1e-30)
    gain = explained * sum(p.value.size for p in fit.pixels.values())
    factor = ERRORS.outward_factor * np.sqrt(1 + ERRORS.faint_gain / max(gain, 1.0))
    computed = ERRORS.jackknife_factor**2 * known.covariance
    widened = _widened(computed, outwards.ravel()[own], factor)
    covariance[np.ix_(own, own)] = widened + floor[np.ix_(own, own)]
    radius = np.arange(0, (fit.knots - 6) * fit.settings.knot_px, 0.5)
    return Refinement(
        offsets_px=fit.offsets,
        covariance_px2=covariance,
        used=used,
        outwards=outwards,
        sensor_split_px=_sensor_split(fit, known),
        sensor_shift_px=_sensor_shifts(fit, known),
        radius_px=radius,
        profile=spline(radius, fit.profile, fit.settings.knot_px),
        iterations=iterations,
        converged=converged,
        explained=explained,
        undetermined=open_combinations(covariance, used, outwards),
    )


def _sensor_split(fit: RingFit, known: Uncertainty) -> NDArray[np.float64]:
    """Offsets from even and from odd modules alone, float64 ``(2, groups, 2)``."""
    own = fit.own()
    each = fit.detector.asics_per_module
    module = np.concatenate([np.arange(part.asics) // each for part in fit.parts.values()])
    split = np.full((2, *fit.offsets.shape), np.nan)
    for half in (0, 1):
        part = module % 2 == half
        shift = np.zeros(fit.offsets.size)
        information, score = known.information[part].sum(axis=0), known.score[part].sum(axis=0)
        shift[own] = np.linalg.lstsq(information, score, rcond=1e-9)[0]
        split[half] = fit.offsets + shift.reshape(-1, 2)
    return split


def _widened(
    covariance: NDArray[np.float64], outwards: NDArray[np.float64], factor: float
) -> NDArray[np.float64]:
    """Covariance with a larger error outwards in common; what depends on it follows."""
    together = outwards / np.linalg.norm(outwards)
    along = covariance @ together
    more = (factor**2 - 1) / float(together @ along)
    return np.asarray(covariance + more * np.outer(along, along))


def _systematic(outwards: NDArray[np.float64], errors: ErrorSettings) -> NDArray[np.float64]:
    """Covariance of what no statistics see: finite pixels, the flattening at edges."""
    together = outwards.ravel()
    return np.asarray(
        errors.outward_px**2 * np.outer(together, together)
        + errors.each_px**2 * np.eye(together.size)
    )


def open_combinations(
    covariance: NDArray[np.float64], used: NDArray[np.bool_], outwards: NDArray[np.float64]
) -> tuple[str, ...]:
    """Sentences about combinations of offsets known to worse than half a pixel.

    `outwards` ``(groups, 2)``: unit vectors from the beam to the middles of the groups.
    """
    own = np.flatnonzero(np.repeat(used, 2))
    values, vectors = np.linalg.eigh(covariance[np.ix_(own, own)])
    together = (outwards * used[:, None]).ravel()[own] / np.sqrt(used.sum())
    sentences = []
    for value, vector in zip(values, vectors.T, strict=True):
        if value <= ERRORS.open_sigma_px**2:
            continue
        known = f"known to ±{np.sqrt(value):.1f} px only"
        if abs(vector @ together) > 0.9:
            each = np.sqrt(value / used.sum())
            sentences.append(
                "All quadrants moving outwards together hardly changes the sharpness of the rings, "
                f"only their radii: this is known to ±{each:.1f} px for each quadrant."
            )
            continue
        parts = []
        for place, q in enumerate(np.flatnonzero(used)):
            x, y = vector[2 * place : 2 * place + 2]
            if np.hypot(x, y) > 0.3:
                parts.append(f"quadrant {q} by ({x:+.1f}, {y:+.1f})")
        sentences.append(f"Moving {' with '.join(parts)} hardly changes the rings: {known}.")
    return tuple(sentences)


def _sensor_shifts(fit: RingFit, known: Uncertainty) -> NDArray[np.float64]:
    """Further offset each module alone would like, the others fixed, float64 ``(modules, 2)``."""
    each = fit.detector.asics_per_module
    shifts = np.full((fit.detector.modules, 2), np.nan)
    first = 0
    for place, g in enumerate(fit.groups):
        own = slice(2 * place, 2 * place + 2)
        for module in fit.detector.groups[g].modules:
            asics = slice(first, first + each)
            first += each
            a = known.information[asics, own, own].sum(axis=0)
            gradient = known.score[asics, own].sum(axis=0)
            values = np.linalg.eigvalsh(a)
            if values[0] > 1e-4 * max(values[1], 1e-30) and values[0] > 1.0:
                shifts[module] = np.linalg.solve(a, gradient)
    return shifts
