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
from workbench.detector import ASIC_COLUMNS, QUADRANTS, SENSORS_PER_QUADRANT

KNOT_PX = 1.5
"""Distance of the profile's knots; powder rings are several pixels wide."""
TUKEY_CUT = 8.0
"""Residuals beyond this many noise sigmas have no weight. A spot on a ring says where the ring
is, so the cut is wider than the usual 4.7."""
ASICS_PER_QUADRANT = 2 * SENSORS_PER_QUADRANT
MAX_STEP_PX = 1.5
OUTWARD_ERROR_PX = 0.02
"""Error common to the outward direction of all quadrants that no statistics see: the finite
pixels, the flattening at the sensors' edges (simulations without noise)."""
VARIANCE_FACTOR = 1.5
"""The jackknife's variances times this hold in simulations (benchmarks/alignment.py)."""
RIDGE_WIDTH_PX = 15.0
SPLINE_NOISE = 3.0  # variance of a B-spline coefficient over 1 / its diagonal, about
COARSE_STRIDE = 4
"""Steps use one pixel in this many until they are below `COARSE_UNTIL_PX`."""
COARSE_UNTIL_PX = 0.05
CONVERGED_PX = 5e-3
OPEN_SIGMA_PX = 0.5
CONVERGED_GAIN = 2e-3
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


@dataclass
class _Pixels:
    """Usable pixels of one quadrant, flat."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    stretch: NDArray[np.float32]
    value: NDArray[np.float32]
    asic: NDArray[np.uint8]

    @classmethod
    def of(cls, part: Prepared) -> _Pixels:
        use = part.good & (part.value != 0)
        number = np.arange(SENSORS_PER_QUADRANT, dtype=np.uint8)[:, None, None] * 2
        second = (np.arange(part.x.shape[-1]) >= ASIC_COLUMNS).astype(np.uint8)
        asic = np.broadcast_to(number + second, part.x.shape)
        return cls(part.x[use], part.y[use], part.stretch[use], part.value[use], asic[use])

    def thinned(self, stride: int) -> _Pixels:
        """One pixel in `stride`."""
        return _Pixels(
            self.x[::stride].copy(),
            self.y[::stride].copy(),
            self.stretch[::stride].copy(),
            self.value[::stride].copy(),
            self.asic[::stride].copy(),
        )


class _Fit:
    """State of the fit: offsets, profile coefficients, strengths and noise per ASIC."""

    def __init__(self, prepared: Prepared, offsets: NDArray[np.float64], used: NDArray[np.bool_]):
        self.quadrants = [q for q in range(QUADRANTS) if used[q]]
        self.pixels = {q: _Pixels.of(prepared.quadrant(q)) for q in self.quadrants}
        self.coarse = True
        self.offsets = np.array(offsets, dtype=np.float64)
        self.thinned = {q: p.thinned(COARSE_STRIDE) for q, p in self.pixels.items()}
        farthest = max(
            float(np.hypot(p.x, p.y).max(initial=0) * p.stretch.max(initial=1))
            for p in self.pixels.values()
        )
        self.knots = int((farthest + 30) / KNOT_PX) + 6
        self.profile = np.zeros(self.knots)
        self.ridge = np.full(self.knots, 1e-6)
        self.amplitude = np.ones((QUADRANTS, ASICS_PER_QUADRANT))
        self.noise = np.ones((QUADRANTS, ASICS_PER_QUADRANT))
        for q, p in self.pixels.items():
            self.noise[q] = _noise(p.value[::7], p.asic[::7])

    def equations(self, robust: float) -> dict[str, Any]:
        """Normal equations of all quadrants at the present state."""
        from workbench.alignment.kernels import normal_equations

        def one(q: int) -> tuple[float, list[NDArray]]:
            p = self.thinned[q] if self.coarse else self.pixels[q]
            sums = [
                np.zeros((4, self.knots)),
                np.zeros((self.knots, 2)),
                np.zeros(self.knots),
                np.zeros((2, 2)),
                np.zeros(2),
                np.zeros((ASICS_PER_QUADRANT, 2)),
            ]
            cost = normal_equations(
                p.x, p.y, p.stretch, p.value, p.asic, self.offsets[q], KNOT_PX, self.profile,
                self.amplitude[q], self.noise[q], robust, *sums,
            )  # fmt: skip
            return cost, sums

        with ThreadPoolExecutor(QUADRANTS) as pool:
            found = list(pool.map(one, self.quadrants))
        total: dict[str, Any] = {
            "cost": sum(cost for cost, _ in found),
            "band": sum(sums[0] for _, sums in found),
            "right": sum(sums[2] for _, sums in found),
            "cross": np.zeros((self.knots, 2 * QUADRANTS)),
            "matrix": np.zeros((2 * QUADRANTS, 2 * QUADRANTS)),
            "shift": np.zeros(2 * QUADRANTS),
            "amplitude": {},
        }
        for q, (_, sums) in zip(self.quadrants, found, strict=True):
            own = slice(2 * q, 2 * q + 2)
            total["cross"][:, own] = sums[1]
            total["matrix"][own, own] = sums[3]
            total["shift"][own] = sums[4]
            total["amplitude"][q] = sums[5]
        total["band"][3] += self.ridge
        total["right"] -= self.ridge * self.profile
        return total

    def update_ridge(self, diagonal: NDArray[np.float64]) -> None:
        """Draw the profile towards 0 as much as its noise asks for (empirical Bayes).

        Without it the noise of a weak profile is taken for slopes of rings, which makes steps too
        short and uncertainties too small. The expected square of a coefficient at a radius is the
        mean of what was found around it minus what noise alone gives.
        """
        from scipy.ndimage import gaussian_filter1d

        unknown = diagonal <= 1e-6 * diagonal.max()
        known = np.where(unknown, 0.0, 1.0)
        noise = np.where(unknown, 0.0, 1 / np.where(unknown, 1.0, diagonal)) * SPLINE_NOISE
        width = RIDGE_WIDTH_PX / KNOT_PX
        share = np.maximum(gaussian_filter1d(known, width, mode="constant"), 1e-3)
        excess = gaussian_filter1d(known * (self.profile**2 - noise), width, mode="constant")
        typical = gaussian_filter1d(known * noise, width, mode="constant")
        power = np.maximum(excess, 0.02 * typical) / share
        self.ridge = np.where(unknown | (power <= 0), diagonal.max(), 1 / np.maximum(power, 1e-30))

    def start_profile(self) -> None:
        """Fit profile, noise and ridge at the present offsets."""
        from scipy.linalg import solveh_banded

        for _ in range(2):  # at the very start first without robust weights, then with them
            equations = self.equations(TUKEY_CUT if self.profile.any() else 1e3)
            self.profile = self.profile + solveh_banded(equations["band"], equations["right"])
            self.update_noise()
            self.update_ridge(equations["band"][3] - self.ridge)

    def reduced(self, equations: dict[str, Any]) -> _Reduced:
        """Equations of the offsets alone, the profile eliminated."""
        from scipy.linalg import solveh_banded

        both = np.column_stack([equations["cross"], equations["right"]])
        solved = solveh_banded(equations["band"], both)
        response, change = solved[:, :-1], solved[:, -1]
        matrix = equations["matrix"] - equations["cross"].T @ response
        right = equations["shift"] - equations["cross"].T @ change
        return _Reduced(matrix, right, response, change, self.own())

    def move(self, reduced: _Reduced, step: NDArray[np.float64]) -> None:
        """Take a step of the offsets ``(8,)``; the profile follows."""
        self.offsets = self.offsets + step.reshape(QUADRANTS, 2)
        self.profile = self.profile + reduced.change - reduced.response @ step

    def weakest_direction(self, equations: dict[str, Any]) -> tuple[NDArray[np.float64], float]:
        """The least determined combination of offsets, and by how much it is overestimated.

        Noise in the profile looks like slopes of rings, so the Gauss-Newton matrix promises more
        curvature than the fit has where the rings say little. The true curvature along the weakest
        direction comes from the gradient a little way along it, with the profile fitted there.

        Returns
        -------
        Unit vector ``(8,)`` and the factor promised / true curvature, 1 … 5.
        """
        from scipy.linalg import solveh_banded

        here = self.reduced(equations)
        direction, promised = here.weakest()
        kept = self.offsets, self.profile
        way = 0.3
        self.offsets = kept[0] + way * direction.reshape(QUADRANTS, 2)
        self.profile = kept[1] + here.change - here.response @ (way * direction)
        there = self.equations(TUKEY_CUT)
        self.profile = self.profile + solveh_banded(there["band"], there["right"])
        slope = float(direction @ self.reduced(self.equations(TUKEY_CUT)).right)
        self.offsets, self.profile = kept
        true = (float(direction @ here.right) - slope) / way
        return direction, float(np.clip(promised / max(true, 1e-12), 1.0, 5.0))

    def own(self) -> NDArray[np.int64]:
        """Indices of the offsets of the quadrants that take part."""
        return np.concatenate([[2 * q, 2 * q + 1] for q in self.quadrants])

    def outwards(self) -> NDArray[np.float64]:
        """Unit vectors from the beam to the middles of the quadrants, float64 ``(4, 2)``."""
        found = np.zeros((QUADRANTS, 2))
        for q, p in self.pixels.items():
            middle = np.array([p.x.mean(dtype=np.float64), p.y.mean(dtype=np.float64)])
            found[q] = middle / max(float(np.linalg.norm(middle)), 1e-9)
        return found

    def update_amplitudes(self, sums: dict[int, NDArray[np.float64]]) -> None:
        """Strength of the rings per ASIC, drawn towards 1 where an ASIC says little."""
        total = sum(float(s[:, 1].sum()) for s in sums.values())
        prior = 0.02 * total / (len(sums) * ASICS_PER_QUADRANT)
        for q, s in sums.items():
            fitted = (s[:, 0] + prior) / (s[:, 1] + prior)
            self.amplitude[q] = np.clip(fitted, 0.05, 5.0)

    def update_noise(self) -> None:
        """Noise per ASIC from the residuals of the present model."""
        for q, p in self.pixels.items():
            p = p.thinned(7)
            radius = np.hypot(p.x - self.offsets[q, 0], p.y - self.offsets[q, 1]) * p.stretch
            model = self.amplitude[q][p.asic] * spline(radius, self.profile)
            self.noise[q] = _noise(p.value - model, p.asic)


@dataclass(frozen=True)
class _Reduced:
    """Equations of the eight offsets; `response` and `change` say how the profile follows."""

    matrix: NDArray[np.float64]
    right: NDArray[np.float64]
    response: NDArray[np.float64]
    change: NDArray[np.float64]
    own: NDArray[np.int64]

    def newton_step(self) -> NDArray[np.float64]:
        """Step of the offsets ``(8,)``, 0 for quadrants that take no part."""
        matrix = self.matrix[np.ix_(self.own, self.own)].copy()
        matrix[np.diag_indices_from(matrix)] += 1e-6 * np.trace(matrix) / len(self.own) + 1e-12
        step = np.zeros(len(self.right))
        step[self.own] = np.linalg.solve(matrix, self.right[self.own])
        return step

    def weakest(self) -> tuple[NDArray[np.float64], float]:
        """Direction ``(8,)`` with the least curvature, and that curvature."""
        values, vectors = np.linalg.eigh(self.matrix[np.ix_(self.own, self.own)])
        direction = np.zeros(len(self.right))
        direction[self.own] = vectors[:, 0]
        return direction, float(values[0])

    def is_small(self, step: NDArray[np.float64]) -> bool:
        """Whether a step is below 0.005 px, or far below what the data can tell."""
        gain = float(step @ self.matrix @ step)
        return bool(np.abs(step).max() < CONVERGED_PX or gain < CONVERGED_GAIN)


def spline(radius_px: NDArray, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic B-spline with knots `KNOT_PX` apart at radii, same shape."""
    from scipy.interpolate import BSpline

    knots = np.arange(-3, coefficients.size + 1) * KNOT_PX
    return BSpline(knots, coefficients, 3, extrapolate=False)(radius_px)


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
    fit = _Fit(prepared, start_px, used)
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
    fit: _Fit,
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
    stretch = (np.eye(size) + (boost - 1) * np.outer(weakest, weakest))[np.ix_(own, own)]
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


def _noise(values: NDArray[np.float32], asic: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Robust standard deviation per ASIC, float64 ``(16,)``."""
    noise = np.zeros(ASICS_PER_QUADRANT)
    for k in range(ASICS_PER_QUADRANT):
        own = values[asic == k]
        own = own[np.isfinite(own)]
        noise[k] = 1.4826 * float(np.median(np.abs(own))) if own.size > 20 else np.nan
    typical = float(np.nanmedian(noise)) if np.isfinite(noise).any() else 1.0
    noise = np.where(np.isfinite(noise), noise, max(typical, 1e-9))
    return np.clip(noise, 0.1 * max(typical, 1e-9), None)
