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

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.prepare import Prepared
from workbench.alignment.ring_fit import (
    ASICS_PER_QUADRANT,
    KNOT_PX,
    TUKEY_CUT,
    RingFit,
    spline,
)
from workbench.detector import QUADRANTS, SENSORS_PER_QUADRANT

MAX_STEP_PX = 1.5
OUTWARD_ERROR_PX = 0.025
"""Error common to the outward direction of all quadrants that no statistics see: the finite
pixels, the flattening at the sensors' edges (simulations without noise)."""
VARIANCE_FACTOR = 1.5
"""The jackknife's variances times this hold in simulations (benchmarks/alignment.py)."""
WEAKEST_FACTOR = 1.4
"""The same for the standard deviation along the least determined combination."""
COARSE_UNTIL_PX = 0.05
OPEN_SIGMA_PX = 0.5
MAX_STEPS = 14
MAX_COARSE_STEPS = 4


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
    prepared: Prepared, start_px: NDArray[np.float64], used: NDArray[np.bool_] | None = None
) -> Refinement | None:
    """Refine the offsets of all quadrants together.

    Parameters
    ----------
    prepared : image as `prepare` gives it.
    start_px : offsets to start from, float64 ``(4, 2)``, right to about a ring's width.
    used : quadrants to take part, bool ``(4,)``; the others keep their start.

    Returns
    -------
    Refinement, or None if nothing can be fitted.
    """
    used = np.ones(QUADRANTS, bool) if used is None else np.asarray(used, dtype=bool)
    used = used & np.array(
        [np.count_nonzero(prepared.quadrant(q).value) > 5000 for q in range(QUADRANTS)]
    )
    if not used.any():
        return None
    fit = RingFit(prepared, start_px, used)
    converged, iterations = False, 0
    fit.start_profile()
    equations = fit.equations(TUKEY_CUT)
    for iterations in range(1, MAX_STEPS + 1):
        reduced = fit.reduced(equations)
        step = reduced.newton_step()
        if fit.coarse:  # too few pixels to say anything about the weakest combination
            weakest = reduced.weakest()[0]
            step -= weakest * (weakest @ step)
        longest = max(float(np.abs(step).max()), 1e-12)
        fit.move(reduced, step * min(1.0, MAX_STEP_PX / longest))
        fit.update_amplitudes(equations["amplitude"])
        if fit.coarse and (longest < COARSE_UNTIL_PX or iterations >= MAX_COARSE_STEPS):
            fit.coarse = False
            fit.start_profile()
        elif not fit.coarse and reduced.is_small(step):
            converged = True
        elif iterations == 6:
            fit.start_profile()
        equations = fit.equations(TUKEY_CUT)
        if converged:
            break
    weakest, boost = fit.weakest_direction(equations)
    return _finish(fit, equations, iterations, converged, used, weakest, boost)


def _finish(
    fit: RingFit,
    equations: dict[str, Any],
    iterations: int,
    converged: bool,
    used: NDArray[np.bool_],
    weakest: NDArray[np.float64],
    boost: float,
) -> Refinement:
    from scipy.linalg import solveh_banded

    from workbench.alignment.kernels import scores

    response = solveh_banded(equations["band"], equations["cross"])
    size = 2 * QUADRANTS
    score = np.zeros((QUADRANTS, ASICS_PER_QUADRANT, size))
    information = np.zeros((QUADRANTS, ASICS_PER_QUADRANT, size, size))
    left, total = 0.0, 0.0

    def one(q: int) -> tuple[float, float]:
        p = fit.pixels[q]
        residuals = np.empty(p.x.size, dtype=np.float32)
        scores(
            p.x, p.y, p.stretch, p.value, p.asic, q, fit.offsets[q], KNOT_PX, fit.profile,
            fit.amplitude[q], fit.noise[q], TUKEY_CUT, response, score[q], information[q],
            residuals,
        )  # fmt: skip
        known = np.isfinite(residuals)
        return float(np.sum(residuals[known] ** 2)), float(np.sum(p.value[known] ** 2))

    with ThreadPoolExecutor(QUADRANTS) as pool:
        for a, b in pool.map(one, fit.quadrants):
            left, total = left + a, total + b
    own = fit.own()
    information += np.triu(information, 1).swapaxes(-1, -2)
    g = score[fit.quadrants].reshape(-1, size)[:, own]
    each = information[fit.quadrants].reshape(-1, size, size)[:, own][:, :, own]
    matrix = each.sum(axis=0)
    matrix[np.diag_indices_from(matrix)] += 1e-9 * np.trace(matrix) + 1e-12
    covariance = np.full((size, size), np.nan)
    stretch = (np.eye(size) + (WEAKEST_FACTOR * boost - 1) * np.outer(weakest, weakest))[
        np.ix_(own, own)
    ]
    covariance[np.ix_(own, own)] = (
        VARIANCE_FACTOR * stretch @ _jackknife(g, each, matrix) @ stretch.T
    )
    outward = (fit.outwards() * OUTWARD_ERROR_PX).ravel()
    covariance[np.ix_(own, own)] += np.outer(outward, outward)[np.ix_(own, own)]
    halves = np.full((2, QUADRANTS, 2), np.nan)
    sensor = np.tile(np.repeat(np.arange(SENSORS_PER_QUADRANT), 2), len(fit.quadrants))
    for half in (0, 1):
        part = sensor % 2 == half
        shift = np.zeros(size)
        shift[own] = np.linalg.lstsq(each[part].sum(axis=0), g[part].sum(axis=0), rcond=1e-9)[0]
        halves[half] = fit.offsets + shift.reshape(QUADRANTS, 2)
    radius = np.arange(0, (fit.knots - 6) * KNOT_PX, 0.5)
    return Refinement(
        offsets_px=fit.offsets,
        covariance_px2=covariance,
        used=used,
        halves_px=halves,
        sensor_shift_px=_sensor_shifts(score, information),
        radius_px=radius,
        profile=spline(radius, fit.profile),
        iterations=iterations,
        converged=converged,
        explained=1 - left / max(total, 1e-30),
        undetermined=open_combinations(covariance, used, fit.outwards()),
        extra={
            "outwards": fit.outwards(),
            "boost": boost,
            "weakest": weakest,
            "amplitude": fit.amplitude,
            "noise": fit.noise,
            "matrix": matrix,
        },
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


def _jackknife(
    score: NDArray[np.float64], information: NDArray[np.float64], matrix: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Covariance by leaving out one ASIC at a time (one Newton step each).

    It sees what a formula for independent pixels cannot: spots, texture, wrong strengths and
    sensors that are not quite where the geometry puts them.
    """
    count = len(score)
    changes = np.array(
        [
            -np.linalg.lstsq(matrix - a, g, rcond=1e-12)[0]
            for g, a in zip(score, information, strict=True)
        ]
    )
    changes -= changes.mean(axis=0)
    return (count - 1) / count * changes.T @ changes


def _sensor_shifts(
    score: NDArray[np.float64], information: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Further offset each sensor alone would like, the others fixed, float64 ``(32, 2)``."""
    shifts = np.full((QUADRANTS, SENSORS_PER_QUADRANT, 2), np.nan)
    for q in range(QUADRANTS):
        own = slice(2 * q, 2 * q + 2)
        for s in range(SENSORS_PER_QUADRANT):
            a = information[q, 2 * s : 2 * s + 2, own, own].sum(axis=0)
            g = score[q, 2 * s : 2 * s + 2, own].sum(axis=0)
            values = np.linalg.eigvalsh(a)
            if values[0] > 1e-4 * max(values[1], 1e-30) and values[0] > 1.0:
                shifts[q, s] = np.linalg.solve(a, g)
    return shifts.reshape(-1, 2)
