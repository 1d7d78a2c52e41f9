"""State and normal equations of the joint ring fit (see refine.py for the model)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.background import LocalPlane
from workbench.alignment.prepare import WORKERS, Prepared
from workbench.alignment.uncertainty import BlockSums, observed_curvature
from workbench.detector import ASIC_COLUMNS, ASICS_PER_QUADRANT, QUADRANTS, SENSORS_PER_QUADRANT

KNOT_PX = 1.5
"""Distance of the profile's knots; powder rings are several pixels wide."""
TUKEY_CUT = 20.0
"""Residuals beyond this many noise sigmas have no weight. A spot on a ring says where the ring
is, so the cut is far wider than the usual 4.7: with 8 the maximum of coarse grains is known half
as well, with 30 spots off the rings begin to matter (benchmarks/alignment.py)."""
RIDGE_WIDTH_PX = 15.0
SPLINE_NOISE = 3.0  # variance of a B-spline coefficient over 1 / its diagonal, about
COARSE_STRIDE = 4
"""Steps use one pixel in this many until they are below `COARSE_UNTIL_PX`."""
LEAST_STEP_CURVATURE = 0.2
CONVERGED_PX = 5e-3
CONVERGED_GAIN = 2e-3


@dataclass
class RingPixels:
    """Usable pixels of one quadrant, flat."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    stretch: NDArray[np.float32]
    value: NDArray[np.float32]
    asic: NDArray[np.uint8]

    @classmethod
    def of(cls, part: Prepared, value: NDArray[np.float32], stride: int = 1) -> RingPixels:
        """Pixels of a quadrant with these values, one in `stride`."""
        number = np.arange(SENSORS_PER_QUADRANT, dtype=np.uint8)[:, None, None] * 2
        second = (np.arange(part.x.shape[-1]) >= ASIC_COLUMNS).astype(np.uint8)
        asic = np.broadcast_to(number + second, part.x.shape)
        use = np.flatnonzero(part.good & (value != 0))[::stride]
        x, y, stretch, value = (a.ravel()[use] for a in (part.x, part.y, part.stretch, value))
        return cls(x, y, stretch, value, asic.ravel()[use])

    def thinned(self, stride: int) -> RingPixels:
        """One pixel in `stride`."""
        return RingPixels(
            self.x[::stride].copy(),
            self.y[::stride].copy(),
            self.stretch[::stride].copy(),
            self.value[::stride].copy(),
            self.asic[::stride].copy(),
        )


class RingFit:
    """State of the fit: offsets, profile coefficients, strengths and noise per ASIC.

    It starts `coarse`, with one pixel in four; `refine_background` brings in all of them.
    """

    def __init__(self, prepared: Prepared, offsets: NDArray[np.float64], used: NDArray[np.bool_]):
        self.parts = {q: prepared.quadrant(q) for q in range(QUADRANTS) if used[q]}
        self.quadrants = list(self.parts)
        self.offsets = np.array(offsets, dtype=np.float64)
        self.coarse = True
        self.planes: dict[int, LocalPlane] = {}
        self.pixels = self._each(
            lambda q: RingPixels.of(self.parts[q], self.parts[q].value, COARSE_STRIDE)
        )
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
            self.noise[q] = _noise(p.value[::2], p.asic[::2])

    def _each(self, act: Callable[[int], Any]) -> dict[int, Any]:
        """What `act` gives for each quadrant, in threads."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return dict(zip(self.quadrants, pool.map(act, self.quadrants), strict=True))

    def refine_background(self) -> None:
        """Take all pixels, with their background measured beside the rings found so far."""
        from workbench.alignment.kernels import ring_model

        if not self.planes:
            self.planes = self._each(lambda q: LocalPlane(self.parts[q].good, self.parts[q].width))

        def one(q: int) -> RingPixels:
            part = self.parts[q]
            model = np.empty_like(part.value)
            for sensor in range(SENSORS_PER_QUADRANT):
                for asic in (0, 1):
                    own = sensor, slice(None), slice(asic * ASIC_COLUMNS, (asic + 1) * ASIC_COLUMNS)
                    model[own] = ring_model(
                        part.x[own], part.y[own], part.stretch[own], self.offsets[q], KNOT_PX,
                        self.profile, self.amplitude[q, 2 * sensor + asic],
                    )  # fmt: skip
            return RingPixels.of(part, self.planes[q].flattened(part.transformed, model))

        self.pixels = self._each(one)
        self.coarse = False

    def equations(self, robust: float) -> dict[str, Any]:
        """Normal equations of all quadrants at the present state."""
        from workbench.alignment.kernels import normal_equations

        def one(q: int) -> tuple[float, list[NDArray]]:
            p = self.pixels[q]
            sums = [
                np.zeros((4, self.knots)),
                np.zeros((self.knots, 2)),
                np.zeros(self.knots),
                np.zeros((2, 2)),
                np.zeros(2),
                np.zeros((ASICS_PER_QUADRANT, 2)),
                np.zeros((self.knots, 2)),
                np.zeros((2, 2)),
            ]
            cost = normal_equations(
                p.x, p.y, p.stretch, p.value, p.asic, self.offsets[q], KNOT_PX, self.profile,
                self.amplitude[q], self.noise[q], robust, *sums,
            )  # fmt: skip
            return cost, sums

        found = list(self._each(one).values())
        total: dict[str, Any] = {
            "cost": sum(cost for cost, _ in found),
            "band": sum(sums[0] for _, sums in found),
            "right": sum(sums[2] for _, sums in found),
            "cross": np.zeros((self.knots, 2 * QUADRANTS)),
            "matrix": np.zeros((2 * QUADRANTS, 2 * QUADRANTS)),
            "shift": np.zeros(2 * QUADRANTS),
            "bend_cross": np.zeros((self.knots, 2 * QUADRANTS)),
            "bend": np.zeros((2 * QUADRANTS, 2 * QUADRANTS)),
            "amplitude": {},
        }
        for q, (_, sums) in zip(self.quadrants, found, strict=True):
            own = slice(2 * q, 2 * q + 2)
            total["cross"][:, own] = sums[1]
            total["matrix"][own, own] = sums[3]
            total["shift"][own] = sums[4]
            total["amplitude"][q] = sums[5]
            total["bend_cross"][:, own] = sums[6]
            total["bend"][own, own] = sums[7]
        total["band"][3] += self.ridge
        total["right"] -= self.ridge * self.profile
        return total

    def update_ridge(self, diagonal: NDArray[np.float64]) -> None:
        """Draw the profile towards 0 as much as its noise asks for.

        Without it the noise of a weak profile is taken for slopes of rings, which makes steps too
        short and uncertainties too small. The coefficients around a radius are taken for drawn
        from one normal distribution; its variance is the mean of their squares over the share of
        each that the data determine (D. J. C. MacKay, Neural Comput. 4 (1992) 415). Unlike a
        difference of squares and noise it stays where it is when it is repeated.
        """
        from scipy.ndimage import gaussian_filter1d

        unknown = diagonal <= 1e-6 * diagonal.max()
        known = np.where(unknown, 0.0, 1.0)
        noise = np.where(unknown, 0.0, 1 / np.where(unknown, 1.0, diagonal)) * SPLINE_NOISE

        def around(value: NDArray[np.float64]) -> NDArray[np.float64]:
            width = RIDGE_WIDTH_PX / KNOT_PX
            return np.asarray(gaussian_filter1d(known * value, width, mode="constant"))

        determined = around(1 / (1 + self.ridge * noise))
        power = around(self.profile**2) / np.maximum(determined, 1e-9)
        least = 0.02 * around(noise) / np.maximum(around(known), 1e-3)
        power = np.maximum(power, least)
        self.ridge = np.where(unknown | (power <= 0), diagonal.max(), 1 / np.maximum(power, 1e-30))

    def start_profile(self) -> None:
        """Fit profile, noise and ridge at the present offsets."""
        from scipy.linalg import solveh_banded

        for _ in range(2):  # at the very start first without robust weights, then with them
            equations = self.equations(TUKEY_CUT if self.profile.any() else 1e3)
            self.profile = self.profile + solveh_banded(equations["band"], equations["right"])
            self.update_noise()
            self.update_ridge(equations["band"][3] - self.ridge)

    def reduced(self, equations: dict[str, Any]) -> ReducedEquations:
        """Equations of the offsets alone, the profile eliminated."""
        from scipy.linalg import solveh_banded

        cross = equations["cross"]
        bent = cross + equations["bend_cross"]
        both = np.column_stack([cross, bent, equations["right"]])
        solved = solveh_banded(equations["band"], both)
        size = cross.shape[1]
        response, change = solved[:, size:-1], solved[:, -1]
        matrix = equations["matrix"] - cross.T @ solved[:, :size]
        curved = equations["matrix"] + equations["bend"] - bent.T @ response
        right = equations["shift"] - bent.T @ change
        return ReducedEquations(matrix, curved, right, response, change, self.own())

    def move(self, reduced: ReducedEquations, step: NDArray[np.float64]) -> None:
        """Take a step of the offsets ``(8,)``; the profile follows."""
        self.offsets = self.offsets + step.reshape(QUADRANTS, 2)
        self.profile = self.profile + reduced.change - reduced.response @ step

    def block_sums(self) -> BlockSums:
        """Sums per ASIC at the present state, for `uncertainty`."""
        from workbench.alignment.kernels import block_sums

        sums = BlockSums.empty(self.quadrants, self.profile, self.ridge)

        def one(q: int) -> None:
            p = self.pixels[q]
            block_sums(
                p.x, p.y, p.stretch, p.value, p.asic, self.offsets[q], KNOT_PX, self.profile,
                self.amplitude[q], self.noise[q], TUKEY_CUT, *sums.of(self.quadrants.index(q)),
            )  # fmt: skip

        self._each(one)
        return sums

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
            p = p.thinned(2 if self.coarse else 7)
            radius = np.hypot(p.x - self.offsets[q, 0], p.y - self.offsets[q, 1]) * p.stretch
            model = self.amplitude[q][p.asic] * spline(radius, self.profile)
            self.noise[q] = _noise(p.value - model, p.asic)


@dataclass(frozen=True)
class ReducedEquations:
    """Equations of the eight offsets; `response` and `change` say how the profile follows.

    `matrix` is the Gauss-Newton matrix, `curved` the same with second derivatives.
    """

    matrix: NDArray[np.float64]
    curved: NDArray[np.float64]
    right: NDArray[np.float64]
    response: NDArray[np.float64]
    change: NDArray[np.float64]
    own: NDArray[np.int64]

    def newton_step(self) -> NDArray[np.float64]:
        """Step of the offsets ``(8,)``, 0 for quadrants that take no part.

        Where rings are weak the Gauss-Newton matrix takes the slopes of noise for information and
        the steps would be too short; where the true curvature is not positive it keeps them safe.
        """
        matrix = self.matrix[np.ix_(self.own, self.own)].copy()
        matrix[np.diag_indices_from(matrix)] += 1e-6 * np.trace(matrix) / len(self.own) + 1e-12
        curved = observed_curvature(
            self.curved[np.ix_(self.own, self.own)], matrix, LEAST_STEP_CURVATURE
        )
        step = np.zeros(len(self.right))
        step[self.own] = np.linalg.solve(curved, self.right[self.own])
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
