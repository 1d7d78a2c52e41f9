"""State and normal equations of the joint ring fit (see refine.py for the model)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
RIDGE_WIDTH_PX = 15.0
SPLINE_NOISE = 3.0  # variance of a B-spline coefficient over 1 / its diagonal, about
COARSE_STRIDE = 4
"""Steps use one pixel in this many until they are below `COARSE_UNTIL_PX`."""
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
    def of(cls, part: Prepared) -> RingPixels:
        use = part.good & (part.value != 0)
        number = np.arange(SENSORS_PER_QUADRANT, dtype=np.uint8)[:, None, None] * 2
        second = (np.arange(part.x.shape[-1]) >= ASIC_COLUMNS).astype(np.uint8)
        asic = np.broadcast_to(number + second, part.x.shape)
        return cls(part.x[use], part.y[use], part.stretch[use], part.value[use], asic[use])

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
    """State of the fit: offsets, profile coefficients, strengths and noise per ASIC."""

    def __init__(self, prepared: Prepared, offsets: NDArray[np.float64], used: NDArray[np.bool_]):
        self.quadrants = [q for q in range(QUADRANTS) if used[q]]
        self.pixels = {q: RingPixels.of(prepared.quadrant(q)) for q in self.quadrants}
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

    def reduced(self, equations: dict[str, Any]) -> ReducedEquations:
        """Equations of the offsets alone, the profile eliminated."""
        from scipy.linalg import solveh_banded

        both = np.column_stack([equations["cross"], equations["right"]])
        solved = solveh_banded(equations["band"], both)
        response, change = solved[:, :-1], solved[:, -1]
        matrix = equations["matrix"] - equations["cross"].T @ response
        right = equations["shift"] - equations["cross"].T @ change
        return ReducedEquations(matrix, right, response, change, self.own())

    def move(self, reduced: ReducedEquations, step: NDArray[np.float64]) -> None:
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
class ReducedEquations:
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
