"""Joint refinement: the four offsets that make one radial profile describe all quadrants.

Each pixel is modelled by ``a P(r)``: P, common to all quadrants, is a cubic B-spline without any
assumption about the rings; a is the strength of the rings in the pixel's ASIC (polarisation,
shadow); r is the pixel's distance from where its quadrant sees the centre. Offsets, profile and
strengths are fitted together by Gauss-Newton steps, with Tukey's biweight against spots. The
profile is eliminated from the normal equations (they are banded), so a step costs one pass over
the pixels.

Rings have their centre in the lab's origin by definition, so a common offset of all quadrants is
determined (the rings cannot tell whether beam or detector moved). Two things are not:

* An in-plane rotation of a quadrant about the beam leaves all radii as they are; a rotation about
  the quadrant's own middle acts like an offset. Rotations are therefore taken from the geometry.
* All quadrants moving outwards together nearly changes only the radii of the rings, which are
  free: this combination rests on the spread of azimuth within a quadrant alone. Its uncertainty
  is computed like any other and told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.prepare import Prepared
from workbench.alignment.ring_fit import KNOT_PX, TUKEY_CUT, RingFit, spline
from workbench.alignment.uncertainty import Uncertainty, uncertainty
from workbench.detector import ASICS_PER_QUADRANT, QUADRANTS, SENSORS_PER_QUADRANT
from workbench.progress import Progress, raise_if_cancelled

MAX_STEP_PX = 1.5
OUTWARD_ERROR_PX, EACH_ERROR_PX = 0.002, 0.001
"""Errors that no statistics see, outwards in common and of each offset alone: the finite pixels,
the flattening at the sensors' edges (simulations without noise)."""
JACKKNIFE_FACTOR = 0.9
"""Leaving out whole ASICs overstates sigmas, as a jackknife does (B. Efron, C. Stein, Ann. Stat. 9
(1981) 586): so much in simulations, but for the combination below (benchmarks/alignment.py)."""
OUTWARD_FACTOR, FAINT_GAIN = 1.1, 25_000.0
"""The statistical error outwards in common is larger than computed by the first factor, and by
``sqrt(1 + second / gain)``, gain what the rings explain in units of the noise's variance: where
rings are faint, the curvature is itself mostly noise (simulations, benchmarks/alignment.py)."""
COARSE_UNTIL_PX = 0.05
OPEN_SIGMA_PX = 0.5
AMPLITUDE_STEPS = 2
"""Full steps after which the strengths stay, so that offsets and strengths do not chase another."""
MAX_STEPS = 24
MAX_COARSE_STEPS = 4
MAX_ROUNDS, SHARP_SIGMA_PX = 2, 0.06
"""The background is measured anew beside the settled rings this often if the rings tell the
weakest combination of offsets better than this: what the first rings took from their background
still pulls the offsets by hundredths of a pixel. With weak rings it would take noise for rings."""


@dataclass(frozen=True)
class Refinement:
    """Result of the joint refinement.

    Attributes
    ----------
    offsets_px : float64 ``(4, 2)``.
    covariance_px2 : float64 ``(8, 8)`` of (x0, y0, x1, … y3), by leaving out one ASIC at a time.
    used : bool ``(4,)``, quadrants that took part.
    halves_px : float64 ``(2, 4, 2)``, offsets from even and from odd sensors alone.
    sensor_shift_px : float64 ``(32, 2)``, further offset each sensor alone would like, NaN if it
        says nothing.
    radius_px, profile : float64 ``(n,)``, the common radial profile (transformed, flattened).
    iterations : steps taken.
    converged : whether the last step was below 0.005 px.
    explained : share of the variance of the flattened values that the rings explain.
    undetermined : sentences about combinations of offsets the rings leave open.
    """

    offsets_px: NDArray[np.float64]
    covariance_px2: NDArray[np.float64]
    used: NDArray[np.bool_]
    halves_px: NDArray[np.float64]
    sensor_shift_px: NDArray[np.float64]
    radius_px: NDArray[np.float64]
    profile: NDArray[np.float64]
    iterations: int
    converged: bool
    explained: float
    undetermined: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def sigmas_px(self) -> NDArray[np.float64]:
        """Standard deviations of the offsets, float64 ``(4, 2)``."""
        return np.sqrt(np.diag(self.covariance_px2)).reshape(QUADRANTS, 2)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        from workbench.alignment.result import plain

        return {
            name: plain(getattr(self, name))
            for name in (
                "offsets_px", "sigmas_px", "covariance_px2", "used", "halves_px",
                "sensor_shift_px", "iterations", "converged", "explained", "undetermined",
            )
        }  # fmt: skip


def refine_rings(
    prepared: Prepared,
    start_px: NDArray[np.float64],
    used: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
) -> Refinement | None:
    """Refine the offsets of all quadrants together.

    Parameters
    ----------
    prepared : image as `prepare` gives it.
    start_px : offsets to start from, float64 ``(4, 2)``, right to about a ring's width.
    used : quadrants to take part, bool ``(4,)``; the others keep their start.
    progress : asked before each step whether to stop.

    Returns
    -------
    Refinement, or None if nothing can be fitted.

    Raises
    ------
    Cancelled
        If `progress` is cancelled.
    """
    used = np.ones(QUADRANTS, bool) if used is None else np.asarray(used, dtype=bool)
    used = used & np.array(
        [np.count_nonzero(prepared.quadrant(q).value) > 5000 for q in range(QUADRANTS)]
    )
    if not used.any():
        return None
    fit = RingFit(prepared, start_px, used)
    converged, iterations, fine, rounds = False, 0, 0, 0
    fit.start_profile()
    equations = fit.equations(TUKEY_CUT)
    for iterations in range(1, MAX_STEPS + 1):
        raise_if_cancelled(progress, "The alignment")
        reduced = fit.reduced(equations)
        step = reduced.newton_step()
        if fit.coarse:  # too few pixels to say anything about the weakest combination
            weakest = reduced.weakest()[0]
            step -= weakest * (weakest @ step)
        longest = max(float(np.abs(step).max()), 1e-12)
        fit.move(reduced, step * min(1.0, MAX_STEP_PX / longest))
        if fit.coarse or iterations - fine <= AMPLITUDE_STEPS:
            fit.update_amplitudes(equations["amplitude"])
        if fit.coarse and (longest < COARSE_UNTIL_PX or iterations >= MAX_COARSE_STEPS):
            fit.refine_background()
            fit.start_profile()
            fine = iterations
        elif not fit.coarse and reduced.is_small(step):
            sharp = reduced.weakest()[1] * SHARP_SIGMA_PX**2 > 1
            if not sharp or rounds == MAX_ROUNDS or (rounds and iterations == fine + 1):
                converged = True
                break
            rounds += 1
            fit.refine_background()
            fit.start_profile()
            fine = iterations
        equations = fit.equations(TUKEY_CUT)
    return _finish(fit, iterations, converged, used)


def _finish(fit: RingFit, iterations: int, converged: bool, used: NDArray[np.bool_]) -> Refinement:
    sums = fit.block_sums()
    known = uncertainty(sums)
    own = fit.own()
    size = 2 * QUADRANTS
    covariance = np.full((size, size), np.nan)
    floor = _systematic(fit.outwards())
    left, total = sums.squares.sum(axis=0)
    explained = 1 - float(left) / max(float(total), 1e-30)
    gain = explained * sum(p.value.size for p in fit.pixels.values())
    factor = OUTWARD_FACTOR * np.sqrt(1 + FAINT_GAIN / max(gain, 1.0))
    computed = JACKKNIFE_FACTOR**2 * known.covariance
    widened = _widened(computed, fit.outwards().ravel()[own], factor)
    covariance[np.ix_(own, own)] = widened + floor[np.ix_(own, own)]
    halves = np.full((2, QUADRANTS, 2), np.nan)
    sensor = np.tile(np.repeat(np.arange(SENSORS_PER_QUADRANT), 2), len(fit.quadrants))
    for half in (0, 1):
        part = sensor % 2 == half
        shift = np.zeros(size)
        information, score = known.information[part].sum(axis=0), known.score[part].sum(axis=0)
        shift[own] = np.linalg.lstsq(information, score, rcond=1e-9)[0]
        halves[half] = fit.offsets + shift.reshape(QUADRANTS, 2)
    radius = np.arange(0, (fit.knots - 6) * KNOT_PX, 0.5)
    return Refinement(
        offsets_px=fit.offsets,
        covariance_px2=covariance,
        used=used,
        halves_px=halves,
        sensor_shift_px=_sensor_shifts(fit, known),
        radius_px=radius,
        profile=spline(radius, fit.profile),
        iterations=iterations,
        converged=converged,
        explained=explained,
        undetermined=open_combinations(covariance, used, fit.outwards()),
        extra={
            "outwards": fit.outwards(),
            "amplitude": fit.amplitude,
            "noise": fit.noise,
            "alike": known.alike,
        },
    )


def _widened(
    covariance: NDArray[np.float64], outwards: NDArray[np.float64], factor: float
) -> NDArray[np.float64]:
    """Covariance with a larger error outwards in common; what depends on it follows."""
    together = outwards / np.linalg.norm(outwards)
    along = covariance @ together
    more = (factor**2 - 1) / float(together @ along)
    return np.asarray(covariance + more * np.outer(along, along))


def _systematic(outwards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance ``(8, 8)`` of what no statistics see: finite pixels, the flattening at edges."""
    together = outwards.ravel()
    return np.asarray(
        OUTWARD_ERROR_PX**2 * np.outer(together, together)
        + EACH_ERROR_PX**2 * np.eye(together.size)
    )


def open_combinations(
    covariance: NDArray[np.float64], used: NDArray[np.bool_], outwards: NDArray[np.float64]
) -> tuple[str, ...]:
    """Sentences about combinations of offsets known to worse than half a pixel.

    `outwards` ``(4, 2)``: unit vectors from the beam to the middles of the quadrants.
    """
    own = np.flatnonzero(np.repeat(used, 2))
    values, vectors = np.linalg.eigh(covariance[np.ix_(own, own)])
    together = (outwards * used[:, None]).ravel()[own] / np.sqrt(used.sum())
    found = []
    for value, vector in zip(values, vectors.T, strict=True):
        if value <= OPEN_SIGMA_PX**2:
            continue
        known = f"known to ±{np.sqrt(value):.1f} px only"
        if abs(vector @ together) > 0.9:
            each = np.sqrt(value / used.sum())
            found.append(
                "All quadrants moving outwards together hardly changes the sharpness of the rings, "
                f"only their radii: this is known to ±{each:.1f} px for each quadrant."
            )
            continue
        parts = []
        for place, q in enumerate(np.flatnonzero(used)):
            x, y = vector[2 * place : 2 * place + 2]
            if np.hypot(x, y) > 0.3:
                parts.append(f"quadrant {q} by ({x:+.1f}, {y:+.1f})")
        found.append(f"Moving {' with '.join(parts)} hardly changes the rings: {known}.")
    return tuple(found)


def _sensor_shifts(fit: RingFit, known: Uncertainty) -> NDArray[np.float64]:
    """Further offset each sensor alone would like, the others fixed, float64 ``(32, 2)``."""
    shifts = np.full((QUADRANTS, SENSORS_PER_QUADRANT, 2), np.nan)
    for place, q in enumerate(fit.quadrants):
        own = slice(2 * place, 2 * place + 2)
        for s in range(SENSORS_PER_QUADRANT):
            both = slice(place * ASICS_PER_QUADRANT + 2 * s, place * ASICS_PER_QUADRANT + 2 * s + 2)
            a = known.information[both, own, own].sum(axis=0)
            g = known.score[both, own].sum(axis=0)
            values = np.linalg.eigvalsh(a)
            if values[0] > 1e-4 * max(values[1], 1e-30) and values[0] > 1.0:
                shifts[q, s] = np.linalg.solve(a, g)
    return shifts.reshape(-1, 2)
