"""State and normal equations of the joint ring fit (see refine.py for the model)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import solveh_banded
from scipy.ndimage import gaussian_filter1d

from workbench.alignment.background import LocalPlane
from workbench.alignment.correlation_loops import (
    NormalSums,
    RingModel,
    RingPixels,
    block_sums,
    normal_equations,
    ring_model,
)
from workbench.alignment.prepare import WORKERS, GroupPixels, Prepared
from workbench.alignment.uncertainty import BlockSums, observed_curvature
from workbench.quantities import MAD_TO_SIGMA

T = TypeVar("T")


@dataclass(frozen=True)
class RingFitSettings:
    """How the joint ring fit goes.

    Attributes
    ----------
    knot_px : distance of the profile's knots; powder rings are several pixels wide.
    tukey_cut : residuals beyond this many noise sigmas have no weight. A spot on a ring says where
        the ring is, so the cut is far wider than the usual 4.7: with 8 the maximum of coarse
        grains is known half as well, with 30 spots off the rings begin to matter
        (benchmarks/alignment.py).
    ridge_width_px : radii within about this share the variance of the profile.
    spline_noise : variance of a B-spline coefficient over 1 / its diagonal, about.
    strength_prior : weight of 1 in the strength of an ASIC's rings, in shares of an average ASIC's.
    coarse_stride : steps use one pixel in this many until they are below `coarse_until_px`.
    coarse_until_px, most_coarse_steps : when the steps with all pixels begin.
    most_step_px, most_steps : limits of the steps.
    strength_steps : full steps after which the strengths stay, so that offsets and strengths do
        not chase another.
    least_step_curvature : curvature below this share of the Gauss-Newton one is taken for it.
    converged_px, converged_gain : a step is small below this length, or if the cost falls by less.
    most_rounds, sharp_sigma_px : the background is measured anew beside the settled rings this
        often if the rings tell the weakest combination of offsets better than this: what the first
        rings took from their background still pulls the offsets by hundredths of a pixel. With
        weak rings it would take noise for rings.
    least_pixels : groups with fewer values take no part.
    """

    knot_px: float = 1.5
    tukey_cut: float = 20.0
    ridge_width_px: float = 15.0
    spline_noise: float = 3.0
    strength_prior: float = 0.02
    coarse_stride: int = 4
    coarse_until_px: float = 0.05
    most_coarse_steps: int = 4
    most_step_px: float = 1.5
    most_steps: int = 24
    strength_steps: int = 2
    least_step_curvature: float = 0.2
    converged_px: float = 5e-3
    converged_gain: float = 2e-3
    most_rounds: int = 2
    sharp_sigma_px: float = 0.06
    least_pixels: int = 5000


RING_FIT = RingFitSettings()


def ring_pixels(part: GroupPixels, value: NDArray[np.float32], stride: int = 1) -> RingPixels:
    """Pixels of a group with these values, one in `stride`."""
    use = np.flatnonzero(part.good & (value != 0))[::stride]
    x, y, stretch, value = (a.ravel()[use] for a in (part.x, part.y, part.stretch, value))
    return RingPixels(x, y, stretch, value, part.asic().ravel()[use])


@dataclass(frozen=True)
class Equations:
    """Normal equations of all groups at one state; `NormalSums` says what the sums are.

    Attributes
    ----------
    cross, matrix, shift, bend_cross, bend : over the offsets (x0, y0, x1, …) of all groups.
    amplitude : of each group that takes part.
    """

    cost: float
    band: NDArray[np.float64]
    right: NDArray[np.float64]
    cross: NDArray[np.float64]
    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    bend_cross: NDArray[np.float64]
    bend: NDArray[np.float64]
    amplitude: dict[int, NDArray[np.float64]]


class RingFit:
    """State of the fit: offsets, profile coefficients, strengths and noise per ASIC.

    It starts `coarse`, with one pixel in four; `refine_background` brings in all of them.
    """

    def __init__(
        self,
        prepared: Prepared,
        offsets: NDArray[np.float64],
        used: NDArray[np.bool_],
        settings: RingFitSettings = RING_FIT,
    ) -> None:
        self.settings = settings
        self.detector = prepared.detector
        self.parts = {g: prepared.group(g) for g in range(prepared.groups) if used[g]}
        self.groups = list(self.parts)
        self.offsets = np.array(offsets, dtype=np.float64)
        self.coarse = True
        self.planes: dict[int, LocalPlane] = {}
        self.pixels = self._each(
            lambda g: ring_pixels(self.parts[g], self.parts[g].value, settings.coarse_stride)
        )
        farthest = max(
            float(np.hypot(p.x, p.y).max(initial=0) * p.stretch.max(initial=1))
            for p in self.pixels.values()
        )
        self.knots = int((farthest + 30) / settings.knot_px) + 6
        self.profile = np.zeros(self.knots)
        self.ridge = np.full(self.knots, 1e-6)
        self.amplitude = {g: np.ones(part.asics) for g, part in self.parts.items()}
        self.noise = {g: _noise(p.value[::2], p.asic[::2], self.parts[g].asics)
                      for g, p in self.pixels.items()}  # fmt: skip

    def _each(self, act: Callable[[int], T]) -> dict[int, T]:
        """What `act` gives for each group, in threads."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return dict(zip(self.groups, pool.map(act, self.groups), strict=True))

    def model(self, group: int, robust: float) -> RingModel:
        """What the fit knows of one group."""
        return RingModel(
            self.offsets[group], self.settings.knot_px, self.profile, self.amplitude[group],
            self.noise[group], robust,
        )  # fmt: skip

    def refine_background(self) -> None:
        """Take all pixels, with their background measured beside the rings found so far."""
        if not self.planes:
            self.planes = self._each(lambda g: LocalPlane(self.parts[g].good, self.parts[g].width))

        def pixels(g: int) -> RingPixels:
            part = self.parts[g]
            rings = ring_model(part.x, part.y, part.stretch, part.asic(),
                               self.model(g, self.settings.tukey_cut))  # fmt: skip
            return ring_pixels(part, self.planes[g].flattened(part.transformed, rings))

        self.pixels = self._each(pixels)
        self.coarse = False

    def equations(self, robust: float) -> Equations:
        """Normal equations of all groups at the present state."""

        def of(g: int) -> tuple[float, NormalSums]:
            sums = NormalSums.zeros(self.knots, self.parts[g].asics)
            return normal_equations(self.pixels[g], self.model(g, robust), sums), sums

        sums = self._each(of)
        size = self.offsets.size
        cross, bend_cross = np.zeros((self.knots, size)), np.zeros((self.knots, size))
        matrix, bend, shift = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
        for g, (_, part) in sums.items():
            own = slice(2 * g, 2 * g + 2)
            cross[:, own], matrix[own, own] = part.cross, part.shift_matrix
            shift[own] = part.shift_right
            bend_cross[:, own], bend[own, own] = part.bend_cross, part.bend
        band = np.sum([part.band for _, part in sums.values()], axis=0)
        right = np.sum([part.right for _, part in sums.values()], axis=0)
        band[3] += self.ridge
        right -= self.ridge * self.profile
        return Equations(
            sum(cost for cost, _ in sums.values()), band, right, cross, matrix, shift, bend_cross,
            bend, {g: part.amplitude_sums for g, (_, part) in sums.items()},
        )  # fmt: skip

    def update_ridge(self, diagonal: NDArray[np.float64]) -> None:
        """Draw the profile towards 0 as much as its noise asks for.

        Without it the noise of a weak profile is taken for slopes of rings, which makes steps too
        short and uncertainties too small. The coefficients around a radius are taken for drawn
        from one normal distribution; its variance is the mean of their squares over the share of
        each that the data determine (D. J. C. MacKay, Neural Comput. 4 (1992) 415). Unlike a
        difference of squares and noise it stays where it is when it is repeated.
        """
        unknown = diagonal <= 1e-6 * diagonal.max()
        known = np.where(unknown, 0.0, 1.0)
        noise = (
            np.where(unknown, 0.0, 1 / np.where(unknown, 1.0, diagonal))
            * self.settings.spline_noise
        )

        def around(value: NDArray[np.float64]) -> NDArray[np.float64]:
            width = self.settings.ridge_width_px / self.settings.knot_px
            return np.asarray(gaussian_filter1d(known * value, width, mode="constant"))

        determined = around(1 / (1 + self.ridge * noise))
        power = around(self.profile**2) / np.maximum(determined, 1e-9)
        least = 0.02 * around(noise) / np.maximum(around(known), 1e-3)
        power = np.maximum(power, least)
        self.ridge = np.where(unknown | (power <= 0), diagonal.max(), 1 / np.maximum(power, 1e-30))

    def start_profile(self) -> None:
        """Fit profile, noise and ridge at the present offsets."""
        for _ in range(2):  # at the very start first without robust weights, then with them
            equations = self.equations(self.settings.tukey_cut if self.profile.any() else 1e3)
            self.profile = self.profile + solveh_banded(equations.band, equations.right)
            self.update_noise()
            self.update_ridge(equations.band[3] - self.ridge)

    def reduced(self, equations: Equations) -> ReducedEquations:
        """Equations of the offsets alone, the profile eliminated."""
        cross = equations.cross
        bent = cross + equations.bend_cross
        both = np.column_stack([cross, bent, equations.right])
        solved = solveh_banded(equations.band, both)
        size = cross.shape[1]
        response, change = solved[:, size:-1], solved[:, -1]
        matrix = equations.matrix - cross.T @ solved[:, :size]
        curved = equations.matrix + equations.bend - bent.T @ response
        right = equations.shift - bent.T @ change
        return ReducedEquations(matrix, curved, right, response, change, self.own(), self.settings)

    def move(self, reduced: ReducedEquations, step: NDArray[np.float64]) -> None:
        """Take a step of the offsets ``(2 groups,)``; the profile follows."""
        self.offsets = self.offsets + step.reshape(-1, 2)
        self.profile = self.profile + reduced.change - reduced.response @ step

    def block_sums(self) -> BlockSums:
        """Sums per ASIC at the present state, for `uncertainty`."""
        sums = BlockSums.empty(
            {g: part.asics for g, part in self.parts.items()},
            self.detector.asics_per_module, self.profile, self.ridge,
        )  # fmt: skip
        cut = self.settings.tukey_cut
        self._each(lambda g: block_sums(self.pixels[g], self.model(g, cut), sums.of(g)))
        return sums

    def own(self) -> NDArray[np.int64]:
        """Indices of the offsets of the groups that take part."""
        return np.concatenate([[2 * q, 2 * q + 1] for q in self.groups])

    def outwards(self) -> NDArray[np.float64]:
        """Unit vectors from the beam to the middles of the groups, float64 ``(groups, 2)``."""
        outwards = np.zeros_like(self.offsets)
        for g, p in self.pixels.items():
            middle = np.array([p.x.mean(dtype=np.float64), p.y.mean(dtype=np.float64)])
            outwards[g] = middle / max(float(np.linalg.norm(middle)), 1e-9)
        return outwards

    def update_amplitudes(self, sums: dict[int, NDArray[np.float64]]) -> None:
        """Strength of the rings per ASIC, drawn towards 1 where an ASIC says little."""
        total = sum(float(s[:, 1].sum()) for s in sums.values())
        prior = self.settings.strength_prior * total / sum(len(s) for s in sums.values())
        for q, s in sums.items():
            fitted = (s[:, 0] + prior) / (s[:, 1] + prior)
            self.amplitude[q] = np.clip(fitted, 0.05, 5.0)

    def update_noise(self) -> None:
        """Noise per ASIC from the residuals of the present model."""
        for g, p in self.pixels.items():
            p = p.thinned(2 if self.coarse else 7)
            radius = np.hypot(p.x - self.offsets[g, 0], p.y - self.offsets[g, 1]) * p.stretch
            model = self.amplitude[g][p.asic] * spline(radius, self.profile, self.settings.knot_px)
            self.noise[g] = _noise(p.value - model, p.asic, self.parts[g].asics)


@dataclass(frozen=True)
class ReducedEquations:
    """Equations of the offsets; `response` and `change` say how the profile follows.

    `matrix` is the Gauss-Newton matrix, `curved` the same with second derivatives.
    """

    matrix: NDArray[np.float64]
    curved: NDArray[np.float64]
    right: NDArray[np.float64]
    response: NDArray[np.float64]
    change: NDArray[np.float64]
    own: NDArray[np.int64]
    settings: RingFitSettings

    def newton_step(self) -> NDArray[np.float64]:
        """Step of the offsets ``(2 groups,)``, 0 for groups that take no part.

        Where rings are weak the Gauss-Newton matrix takes the slopes of noise for information and
        the steps would be too short; where the true curvature is not positive it keeps them safe.
        """
        matrix = self.matrix[np.ix_(self.own, self.own)].copy()
        matrix[np.diag_indices_from(matrix)] += 1e-6 * np.trace(matrix) / len(self.own) + 1e-12
        curved = observed_curvature(
            self.curved[np.ix_(self.own, self.own)], matrix, self.settings.least_step_curvature
        )
        step = np.zeros(len(self.right))
        step[self.own] = np.linalg.solve(curved, self.right[self.own])
        return step

    def weakest(self) -> tuple[NDArray[np.float64], float]:
        """Direction ``(2 groups,)`` with the least curvature, and that curvature."""
        values, vectors = np.linalg.eigh(self.matrix[np.ix_(self.own, self.own)])
        direction = np.zeros(len(self.right))
        direction[self.own] = vectors[:, 0]
        return direction, float(values[0])

    def is_small(self, step: NDArray[np.float64]) -> bool:
        """Whether a step is below 0.005 px, or far below what the data can tell."""
        gain = float(step @ self.matrix @ step)
        return bool(
            np.abs(step).max() < self.settings.converged_px or gain < self.settings.converged_gain
        )


def spline(
    radius_px: NDArray[np.floating], coefficients: NDArray[np.float64], knot_px: float
) -> NDArray[np.float64]:
    """Cubic B-spline with knots `knot_px` apart at radii, same shape."""
    knots = np.arange(-3, coefficients.size + 1) * knot_px
    return np.asarray(BSpline(knots, coefficients, 3, extrapolate=False)(radius_px))


def _noise(
    values: NDArray[np.floating], asic: NDArray[np.uint16], asics: int
) -> NDArray[np.float64]:
    """Robust standard deviation per ASIC, float64 ``(asics,)``."""
    noise = np.zeros(asics)
    for k in range(asics):
        own = values[asic == k]
        own = own[np.isfinite(own)]
        noise[k] = MAD_TO_SIGMA * float(np.median(np.abs(own))) if own.size > 20 else np.nan
    typical = float(np.nanmedian(noise)) if np.isfinite(noise).any() else 1.0
    noise = np.where(np.isfinite(noise), noise, max(typical, 1e-9))
    return np.clip(noise, 0.1 * max(typical, 1e-9), None)
