"""The model of the rings and one step of its fit (see refine.py).

A pixel is ``a P(r) + B(x, y)``: P, common to all groups, is a cubic B-spline in the radius without
any assumption about the rings; a is the strength of the rings in the pixel's ASIC (polarisation,
shadow); B is the background, a smooth surface on each ASIC, also a spline; r is the distance from
where the pixel's group sees the centre. Background and strength are eliminated ASIC by ASIC, so
what is left are equations of the profile and the offsets alone, solved in one go: the background
is neither measured before the rings nor through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_toeplitz, solve_triangular
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dtrtri
from scipy.ndimage import gaussian_filter1d

from workbench.alignment.prepare import WORKERS, Prepared
from workbench.alignment.ring_loops import (
    AsicModel,
    AsicPixels,
    AsicSums,
    Background,
    Basis,
    accumulate,
    pull_in,
    ring_values,
    smooth_part,
    squares,
)
from workbench.quantities import MAD_TO_SIGMA

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class RingFitSettings:
    """How the joint ring fit goes.

    Attributes
    ----------
    pools : pixels are averaged in squares of this side, multiples of the last; the fit goes on with
        the next one once its steps are small.
    knots_per_pool : distance of the profile's knots, in sides of the squares.
    background_knots : distance of the background's knots, in widths of the running means of the
        maps: this is about as flexible as they are.
    clip_sigmas : residuals are pulled in to this many standard deviations of their ASIC. A spot
        on a ring says where the ring is, so it is not left out.
    strength_share : weight of the strength 1, in shares of what a usual ASIC tells.
    strengths : least and largest strength of the rings in an ASIC.
    least_squares : an ASIC with fewer usable squares takes no part.
    variance_width_px : radii within about this share the variance of the profile.
    lengths_px : over such a length the profile is alike; the image says over which.
    least_held : a knot with a smaller share of the usual information says nothing of the variance.
    least_told : where the knots tell less than this of the variance, that of all radii is taken.
    smooth_px, smooth_share : what of the profile is smoother than this belongs to the background,
        which follows it; it is drawn to 0 with this share of the usual stiffness.
    widest_px : standard deviation of a move before anything is known.
    most_step_px, most_steps : limits of the steps.
    coarse_steps : after so many steps smaller squares are taken in any case.
    back_share : a step that takes back more than this share of the last one goes back and forth.
    least_pace : least share of a step that is taken where steps go back and forth.
    converged_px, converged_sigmas : a step is small if it is below one of both.
    coarse_px : steps small enough to go on with smaller squares.
    newton_px : once a step is below this, steps take the second derivatives of the model too, but
        no step longer than `newton_stretch` times the one without them.
    least_pixels : groups with fewer values take no part.
    """

    pools: tuple[int, ...] = (4, 2)
    knots_per_pool: float = 0.75
    background_knots: float = 1.2
    clip_sigmas: float = 4.0
    strength_share: float = 0.2
    strengths: tuple[float, float] = (0.2, 3.0)
    least_squares: int = 60
    variance_width_px: float = 15.0
    lengths_px: tuple[float, ...] = (1.0, 1.5, 2.25, 3.4, 5.0, 7.5)
    least_held: float = 0.03
    least_told: float = 1e-3
    smooth_px: float = 40.0
    smooth_share: float = 0.03
    widest_px: float = 30.0
    most_step_px: float = 3.0
    most_steps: int = 48
    coarse_steps: int = 20
    back_share: float = 0.3
    least_pace: float = 0.2
    converged_px: float = 1e-3
    converged_sigmas: float = 0.03
    coarse_px: float = 0.1
    newton_px: float = 0.5
    newton_stretch: float = 4.0
    least_pixels: int = 5000


RING_FIT = RingFitSettings()


@dataclass
class Asic:
    """One ASIC in the fit.

    Attributes
    ----------
    number : among all ASICs of the detector; group : the place of its group in the fit.
    pixels : pooled; `value` and `residual` are replaced where residuals are pulled in.
    raw : its values as they are.
    background : its splines.
    reach_px : least and largest radius of its pixels in the present geometry.
    strength, noise : of its rings; standard deviation of a pixel.
    power, prior : what its pixels tell of the strength, and what is told beforehand (that it is 1).
    """

    number: int
    group: int
    pixels: AsicPixels
    raw: NDArray[np.float64]
    background: Background
    reach_px: tuple[float, float]
    strength: float = 1.0
    noise: float = 1.0
    power: float = 0.0
    prior: float = np.inf

    def knots_reached(
        self, offset: NDArray[np.float64], knot_px: float, knots: int
    ) -> tuple[int, int]:
        """First knot of the profile its pixels may reach, and the number of knots."""
        near, far = self.reach_px
        way = float(np.hypot(*offset)) * float(self.pixels.stretch.max())
        first = min(int(max(near - way, 0.0) / knot_px), knots - 5)
        last = min(int((far + way) / knot_px), knots - 4)
        return first, last - first + 4

    def without_background(self, fields: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fields ``(n, rows, columns)`` less the background that fits each best."""
        return np.asarray(fields - smooth_part(fields, self.pixels.weight, self.background))


@dataclass(frozen=True)
class AsicEquations:
    """Equations of one ASIC.

    Attributes
    ----------
    first : first knot of the profile it reaches.
    matrix, right : ``(n + 2, n + 2)``, ``(n + 2,)`` over the n coefficients of the profile it
        reaches and the offset of its group; of the matrix the lower triangle.
    curvature : ``(n + 2, 2)``, what the second derivatives of the model add to the last columns.
    """

    first: int
    matrix: NDArray[np.float64]
    right: NDArray[np.float64]
    curvature: NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """Longest part of a step, and the largest in standard deviations."""

    longest_px: float
    sigmas: float

    def is_small(self, settings: RingFitSettings) -> bool:
        """Whether no further step is worth it."""
        return self.longest_px < settings.converged_px or self.sigmas < settings.converged_sigmas


@dataclass(frozen=True)
class Reduced:
    """Equations of profile and offsets, the background eliminated.

    Attributes
    ----------
    matrix : ``(k + m, k + m)`` over the k coefficients of the profile and the m offsets, without
        the ridge; of the profile's part the lower triangle alone.
    right : ``(k + m,)``, for the coefficients themselves and the change of the offsets.
    curvature : ``(k + m, m)``, what the second derivatives of the model, times the residual, add to
        the last columns of `matrix` (and, transposed, to its last rows).
    """

    matrix: NDArray[np.float64]
    right: NDArray[np.float64]
    curvature: NDArray[np.float64]

    @property
    def knots(self) -> int:
        """Number of coefficients of the profile."""
        return int(self.curvature.shape[0] - self.curvature.shape[1])


@dataclass(frozen=True)
class Eliminated:
    """Equations of the offsets alone, the profile eliminated.

    Attributes
    ----------
    matrix, right : ``(m, m)``, ``(m,)``.
    profile : ``(k,)``, for offsets that stay.
    response : ``(k, m)``, by which it is smaller where they move.
    """

    matrix: NDArray[np.float64]
    right: NDArray[np.float64]
    profile: NDArray[np.float64]
    response: NDArray[np.float64]

    def solved(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Move of the offsets, and its standard deviations.

        Raises
        ------
        LinAlgError
            If the matrix is not positive definite.
        """
        factor = cho_factor(self.matrix, lower=True, check_finite=False)
        move = cho_solve(factor, self.right, check_finite=False)
        covariance = cho_solve(factor, np.eye(len(move)), check_finite=False)
        return move, np.sqrt(np.diag(covariance))


class Factored:
    """Equations whose profile part, with its prior, is factored.

    Parameters
    ----------
    reduced : the equations.
    prior : ``(k, k)``, inverse covariance of the profile before the image is seen.
    widest_px : standard deviation of a move before anything is known.
    """

    def __init__(self, reduced: Reduced, prior: NDArray[np.float64], widest_px: float) -> None:
        k = reduced.knots
        self.reduced, self._widest_px = reduced, widest_px
        ridged = reduced.matrix[:k, :k] + prior
        self.factor = cho_factor(ridged, lower=True, overwrite_a=True, check_finite=False)
        sides = [reduced.right[:k, None], reduced.matrix[:k, k:], reduced.curvature[:k]]
        self._solved = cho_solve(self.factor, np.hstack(sides), check_finite=False)

    @property
    def profile(self) -> NDArray[np.float64]:
        """The profile that fits best with the offsets as they are, ``(k,)``."""
        return np.asarray(self._solved[:, 0])

    def diagonal(self) -> NDArray[np.float64]:
        """Variances ``(k,)`` of the profile with the offsets as they are."""
        half = np.tril(dtrtri(self.factor[0], lower=True)[0])
        return np.asarray(np.einsum("ij,ij->j", half, half))

    def plain(self) -> Eliminated:
        """Equations of the offsets from the slopes of the model alone."""
        reduced, k = self.reduced, self.reduced.knots
        m = len(reduced.right) - k
        return self._without_profile(
            reduced.matrix[:k, k:], reduced.matrix[k:, k:], reduced.right[k:],
            self._solved[:, 1 : m + 1],
        )  # fmt: skip

    def exact(self, profile: NDArray[np.float64]) -> Eliminated:
        """The same with the second derivatives of the model at a profile: a step of Newton's.

        Without them the noise of the profile counts as slopes of rings: the curvature along the
        weak direction is up to three times too large, steps as much too short.
        """
        reduced, k = self.reduced, self.reduced.knots
        m = len(reduced.right) - k
        curvature = reduced.curvature
        return self._without_profile(
            reduced.matrix[:k, k:] + curvature[:k],
            reduced.matrix[k:, k:] + curvature[k:],
            reduced.right[k:] + curvature[:k].T @ profile,
            self._solved[:, 1 : m + 1] + self._solved[:, m + 1 :],
        )

    def _without_profile(
        self,
        cross: NDArray[np.float64],
        own: NDArray[np.float64],
        right: NDArray[np.float64],
        response: NDArray[np.float64],
    ) -> Eliminated:
        wide = np.eye(len(own)) * self._widest_px**-2
        matrix = own + wide - cross.T @ response
        return Eliminated(matrix, right - cross.T @ self.profile, self.profile, response)


class RingFit:
    """State of the fit: offsets, profile, strengths and noise.

    Parameters
    ----------
    prepared : image.
    offsets : float64 ``(groups, 2)``, where the groups see the centre.
    used : bool ``(groups,)``, groups that take part.
    fixed : bool ``(groups,)``, groups whose offset stays as it is.
    """

    def __init__(
        self,
        prepared: Prepared,
        offsets: NDArray[np.float64],
        used: NDArray[np.bool_],
        fixed: NDArray[np.bool_] | None = None,
        settings: RingFitSettings = RING_FIT,
    ) -> None:
        self.prepared, self.settings = prepared, settings
        self.detector = prepared.detector
        self.groups = [g for g in range(prepared.groups) if used[g]]
        self.free = [g for g in self.groups if fixed is None or not fixed[g]]
        self.offsets = np.array(offsets, dtype=np.float64)
        self.pool = 0
        self.strengths = np.ones(self.detector.asics)
        self.outwards = np.array([_outwards(prepared, g.slice) for g in self.detector.groups])
        self.module_outwards = np.array(
            [_outwards(prepared, slice(m, m + 1)) for m in range(self.detector.modules)]
        )
        self.length_px = settings.lengths_px[len(settings.lengths_px) // 2]
        self.knots, self.knot_px = 0, 1.0
        self.profile = self.variance = np.zeros(0)
        self.solved: Factored
        self.begin(settings.pools[0])

    # ---- pixels ------------------------------------------------------------------------------

    def begin(self, pool: int) -> None:
        """Average the pixels in squares of side `pool` and go on from the profile known so far."""
        before = self._middles_px()
        self.pool = pool
        self._last_move, self._pace = np.zeros(2 * len(self.free)), 1.0
        self.knot_px = self.settings.knots_per_pool * pool
        self.asics = [asic for part in each(self._pooled, self.groups) for asic in part]
        self.knots = int((max(a.reach_px[1] for a in self.asics) + 30) / self.knot_px) + 6
        self.running = gaussian_filter1d(
            np.eye(self.knots), self.settings.smooth_px / self.knot_px, axis=0, mode="constant"
        )
        self.smoothing = self.running @ self.running
        self.stiffness = _stiffness(self.knots, self.length_px / self.knot_px)
        for asic in self.asics:
            asic.strength = float(self.strengths[asic.number])
        self._length_open = before.size > 0
        if before.size:
            self.profile, self.variance = (
                np.interp(self._middles_px(), before, known)
                for known in (self.profile, self.variance)
            )
            self._pull_in()
            return
        self.profile = np.zeros(self.knots)
        self._pull_in()
        reduced = self.reduced()
        largest = float(np.diag(reduced.matrix)[: self.knots].max())
        self.variance = np.full(self.knots, 1e6 / max(largest, 1e-30))
        self.profile = self._factored(reduced).profile
        self._pull_in()
        self.profile = self._with_length(self.reduced()).profile
        self._pull_in()

    def _middles_px(self) -> NDArray[np.float64]:
        """Radius at which each coefficient of the profile counts most."""
        return np.asarray((np.arange(self.knots) - 1.0) * self.knot_px)

    def _pooled(self, group: int) -> list[Asic]:
        """ASICs of a group that have usable pixels."""
        part, pool = self.prepared.group(group), self.pool
        first = self.detector.asics_of(self.detector.groups[group]).start
        arrays = [
            self.detector.by_asic(array)
            for array in (part.good, part.x, part.y, part.stretch, part.despiked)
        ]
        step = part.width * self.settings.background_knots / pool
        asics = []
        for k in range(part.asics):
            place = divmod(k, part.asics_per_module)
            good, *fields = (array[place] for array in arrays)
            count, means = squares(good, np.stack(fields), pool)
            used = count > 0
            if np.count_nonzero(used) < self.settings.least_squares:
                continue
            down, across = (_basis(length, step) for length in count.shape)
            weight = (count / pool**2).astype(np.float32)
            x, y, stretch, value = means.astype(np.float32)
            radius = (np.hypot(x, y) * stretch)[used]
            pixels = AsicPixels(x, y, stretch, value, weight, np.zeros_like(weight))
            background = _background(weight, down, across)
            reach = float(radius.min()), float(radius.max())
            asics.append(Asic(first + k, group, pixels, means[3], background, reach))
        return asics

    # ---- equations ---------------------------------------------------------------------------

    def model(self, asic: Asic) -> AsicModel:
        """State of the fit for one ASIC."""
        return AsicModel(self.offsets[asic.group], self.knot_px, self.profile, asic.strength)

    def reduced(self) -> Reduced:
        """Equations of profile and offsets at the present state."""
        return self.together(self.of_asics())

    def of_asics(self) -> list[AsicEquations]:
        """Equations of each ASIC at the present state."""
        return each(self._eliminated, self.asics)

    def together(self, of_asics: list[AsicEquations]) -> Reduced:
        """Equations of profile and offsets, from those of the ASICs."""
        size = self.knots + 2 * len(self.free)
        matrix, right = np.zeros((size, size)), np.zeros(size)
        curvature = np.zeros((size, size - self.knots))
        for asic, equations in zip(self.asics, of_asics, strict=True):
            knots, own = equations.first, equations.matrix
            n = len(own) - 2
            near = slice(knots, knots + n)
            matrix[near, near] += own[:n, :n]
            right[near] += equations.right[:n]
            if asic.group in self.free:
                start = self.knots + 2 * self.free.index(asic.group)
                own_group = slice(start, start + 2)
                matrix[near, own_group] += own[n:, :n].T
                matrix[own_group, near] += own[n:, :n]
                matrix[own_group, own_group] += own[n:, n:]
                right[own_group] += equations.right[n:]
                columns = slice(start - self.knots, start - self.knots + 2)
                curvature[near, columns] += equations.curvature[:n]
                curvature[own_group, columns] += equations.curvature[n:]
        return Reduced(matrix, right, curvature)

    def _eliminated(self, asic: Asic) -> AsicEquations:
        """Equations of one ASIC, its background eliminated."""
        first, n = asic.knots_reached(self.offsets[asic.group], self.knot_px, self.knots)
        sums = AsicSums.zeros(n, len(asic.background.whiten))
        accumulate(asic.pixels, self.model(asic), asic.background, first, sums)
        half = asic.background.whiten @ sums.smooth
        # profile, offsets, values; the lower triangle
        products = dsyrk(-(asic.noise**-2), half.T, lower=False).T
        weight = asic.noise**-2
        for o in range(4):
            diagonal = np.arange(n - o)
            products[diagonal + o, diagonal] += weight * sums.band[: n - o, o]
        products[n : n + 2, :n] += weight * sums.dj.T
        products[n : n + 2, n : n + 2] += weight * sums.jj
        products[n + 2, :n] += weight * sums.dv
        products[n + 2, n : n + 2] += weight * sums.jv
        products[n, n + 1] = products[n + 1, n]
        curvature = -weight * np.vstack([sums.rd, sums.rj])
        return AsicEquations(first, products[: n + 2, : n + 2], products[n + 2, : n + 2], curvature)

    def explained(self) -> float:
        """Share of the variance beside the background that the rings explain."""

        def sums(asic: Asic) -> NDArray[np.float64]:
            p = asic.pixels
            rings = ring_values(p, self.model(asic), self.profile[:, None], False)[0]
            value, explained = asic.without_background(np.stack([p.value, rings]))
            rest = value - explained
            both = np.array([np.sum(p.weight * rest**2), np.sum(p.weight * value**2)])
            return both / asic.noise**2

        left, total = np.sum(each(sums, self.asics), axis=0)
        return float(1 - left / max(total, 1e-30))

    # ---- steps -------------------------------------------------------------------------------

    def step(self) -> Step:
        """One step of all: offsets, profile, strengths, noise, and the values pulled in."""
        reduced = self.reduced()
        self.solved = self._with_length(reduced) if self._length_open else self._factored(reduced)
        best, move, sigmas = self._best(self.solved)
        longest = float(np.abs(move).max(initial=0.0))
        back = -float(move @ self._last_move)
        if back > self.settings.back_share * float(self._last_move @ self._last_move):
            # back and forth: strengths and spots lag behind
            self._pace = max(self._pace / 2, self.settings.least_pace)
        else:
            self._pace = min(1.5 * self._pace, 1.0)
        self._last_move = move
        move = move * min(self._pace, self.settings.most_step_px / max(longest, 1e-12))
        for place, g in enumerate(self.free):
            self.offsets[g] += move[2 * place : 2 * place + 2]
        self.profile = best.profile - best.response @ move
        self._pull_in()
        power = np.array([asic.power for asic in self.asics])
        usual = float(np.median(power))
        known = power / (power + usual + 1e-30) + 1e-30
        mean = float(np.average([asic.strength for asic in self.asics], weights=known))
        self.profile *= mean
        for asic in self.asics:
            asic.strength /= mean
            asic.prior = self.settings.strength_share * usual * mean**2
        self._update_variance(self.solved)
        relative = float((np.abs(self._last_move) / sigmas).max(initial=0.0))
        return Step(longest, relative)

    def _best(
        self, solved: Factored
    ) -> tuple[Eliminated, NDArray[np.float64], NDArray[np.float64]]:
        """Equations, move and its deviations; near the end with second derivatives."""
        plain = solved.plain()
        move, sigmas = plain.solved()
        if not 0 < float(np.abs(self._last_move).max(initial=0.0)) < self.settings.newton_px:
            return plain, move, sigmas
        exact = solved.exact(self.profile)
        try:
            other, sure = exact.solved()
        except LinAlgError:  # not yet near a maximum
            return plain, move, sigmas
        longest = self.settings.newton_stretch * float(np.abs(move).max())
        return exact, other * min(longest / max(float(np.abs(other).max()), 1e-12), 1.0), sure

    def _factored(self, reduced: Reduced) -> Factored:
        return Factored(reduced, self._prior(reduced.matrix), self.settings.widest_px)

    def _with_length(self, reduced: Reduced) -> Factored:
        """Equations with the variance and the length that the image asks for."""
        self._update_variance(self._factored(reduced))
        self._choose_length(reduced)
        self._length_open = False
        return self._factored(reduced)

    def _prior(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Inverse covariance of the profile before the image is seen, ``(knots, knots)``."""
        held = np.diag(matrix)[: self.knots]
        usual = float(np.median(held[held > 0])) if held.any() else 1.0
        wide = self.settings.smooth_share * usual * self.smoothing
        deviation = 1 / np.sqrt(self.variance)
        return np.asarray(wide + deviation[:, None] * self.stiffness * deviation)

    def _update_variance(self, solved: Factored) -> None:
        """Draw the profile towards 0 as much as its noise asks for.

        Without it the noise of a weak profile is taken for slopes of rings, which makes steps too
        short and uncertainties too small. The coefficients around a radius are taken for drawn
        from one normal distribution; its variance is the mean of their squares over the share of
        each that the data determine (D. J. C. MacKay, Neural Comput. 4 (1992) 415). Unlike a
        difference of squares and noise it stays where it is when it is repeated. Radii that few
        pixels reach have the variance of those beside them: an edge in it would hold the rings
        where the fit began.
        """
        if not self.profile.any():
            return
        settings = self.settings
        held = np.diag(solved.reduced.matrix)[: self.knots]
        share = np.clip(1 - solved.diagonal() / self.variance, 0.0, 1.0)
        share[held < settings.least_held * np.median(held[held > 0])] = 0.0

        def around(value: NDArray[np.float64]) -> NDArray[np.float64]:
            width = settings.variance_width_px / self.knot_px
            return np.asarray(gaussian_filter1d(value, width, mode="nearest"))

        power, weight = share * self.profile**2, share**2
        usual = float(power.sum() / max(float(weight.sum()), 1e-30))
        variance = (around(power) + settings.least_told * usual) / (
            around(weight) + settings.least_told
        )
        self.variance = np.maximum(variance, 1e-6 * usual + 1e-30)

    def _choose_length(self, reduced: Reduced) -> None:
        """Take the length over which the profile is alike that makes the image most probable.

        White noise in the profile has steep slopes. Without a length of about a ring's width it is
        taken for information about the offsets (D. J. C. MacKay, as in `_update_variance`).
        """
        matrix, right = reduced.matrix[: self.knots, : self.knots], reduced.right[: self.knots]

        def evidence(length_px: float) -> float:
            self.stiffness = _stiffness(self.knots, length_px / self.knot_px)
            prior = self._prior(matrix)
            factor = cho_factor(matrix + prior, lower=True, overwrite_a=True, check_finite=False)
            explained = 0.5 * float(right @ cho_solve(factor, right, check_finite=False))
            own = cho_factor(prior, lower=True, overwrite_a=True, check_finite=False)[0]
            return explained + float(np.sum(np.log(np.diag(own) / np.diag(factor[0]))))

        lengths = self.settings.lengths_px
        values: dict[int, float] = {}
        best = lengths.index(self.length_px)
        while True:  # uphill from the length known so far
            for place in {best, max(best - 1, 0), min(best + 1, len(lengths) - 1)} - set(values):
                values[place] = evidence(lengths[place])
            if (higher := max(values, key=lambda place: values[place])) == best:
                break
            best = higher
        self.length_px = lengths[best]
        self.stiffness = _stiffness(self.knots, self.length_px / self.knot_px)

    def _pull_in(self) -> None:
        """Strength, noise and values of each ASIC at the present state."""
        profiles = np.column_stack([self.profile, self.profile - self.running @ self.profile])
        settings = self.settings

        def act(asic: Asic) -> None:
            asic.strength, asic.power, spread, limit = pull_in(
                asic.pixels, asic.raw, self.model(asic), profiles, asic.background, asic.prior,
                settings.strengths, settings.clip_sigmas,
            )  # fmt: skip
            self.strengths[asic.number] = asic.strength
            asic.noise = max(MAD_TO_SIGMA * spread, 0.1 * limit / 4, 1e-9)

        each(act, self.asics)


@lru_cache(maxsize=16)
def _stiffness(knots: int, length: float) -> NDArray[np.float64]:
    """Inverse of a Matérn correlation (ν = 5/2), ``(knots, knots)``; the length is in knots.

    M. L. Stein, Interpolation of Spatial Data (1999), chapter 2; 1e-4 is added to its diagonal. The
    inverse of a symmetric Toeplitz matrix follows from its first column along the diagonals (W. F.
    Trench, J. SIAM 12 (1964) 515).
    """
    apart = np.sqrt(5.0) * np.arange(knots) / length
    correlation = (1 + apart + apart**2 / 3) * np.exp(-apart)
    correlation[0] += 1e-4
    first = solve_toeplitz(correlation, np.eye(knots, 1)[:, 0])
    inverse = np.empty((knots, knots))
    inverse[0] = first
    last = np.append(0.0, first[:0:-1])
    for k in range(1, knots):
        inverse[k, 0] = first[k]
        change = first[k] * first[1:] - last[k] * last[1:]
        inverse[k, 1:] = inverse[k - 1, :-1] + change / first[0]
    return inverse


def _outwards(prepared: Prepared, modules: slice) -> NDArray[np.float64]:
    """Unit vector from the beam to the middle of some modules, float64 ``(2,)``."""
    middle = np.array([a[modules].mean(dtype=np.float64) for a in (prepared.x, prepared.y)])
    return np.asarray(middle / max(float(np.linalg.norm(middle)), 1e-9))


def each(act: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """What `act` gives for each item, in threads."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(act, items))


def spline(
    radius_px: NDArray[np.floating], coefficients: NDArray[np.float64], knot_px: float
) -> NDArray[np.float64]:
    """Cubic B-spline with knots `knot_px` apart at radii, same shape."""
    knots = np.arange(-3, coefficients.size + 1) * knot_px
    return np.asarray(BSpline(knots, coefficients, 3, extrapolate=False)(radius_px))


@lru_cache(maxsize=16)
def _basis(length: int, step: float) -> Basis:
    """Cubic B-splines over `length` places with knots about `step` apart."""
    intervals = max(round(length / step), 1)
    t = (np.arange(length) + 0.5) / length * intervals
    first = np.minimum(t.astype(np.int64), intervals - 1)
    f = t - first
    g = 1 - f
    value = np.column_stack(
        [g**3 / 6, (3 * f**3 - 6 * f**2 + 4) / 6, (3 * g**3 - 6 * g**2 + 4) / 6, f**3 / 6]
    )
    return Basis(first, value)


def _background(weight: NDArray[np.float32], down: Basis, across: Basis) -> Background:
    """Background of an ASIC whose squares have these weights."""
    rows, columns = _products(down), _products(across)
    n, m = int(down.first[-1]) + 4, int(across.first[-1]) + 4
    both = rows.T @ (weight @ columns)
    matrix = both.reshape(n, n, m, m).transpose(0, 2, 1, 3).reshape(n * m, n * m)
    # more would leave so much of a strong background that it moves all groups outwards
    matrix[np.diag_indices(n * m)] += 1e-6 * float(np.trace(matrix)) / (n * m)
    lower = np.linalg.cholesky(matrix)
    whiten = solve_triangular(lower, np.eye(n * m), lower=True, check_finite=False)
    return Background(down, across, np.ascontiguousarray(whiten))


def _products(basis: Basis) -> NDArray[np.float64]:
    """Products of each two of n splines at each place, ``(places, n²)``."""
    matrix = np.zeros((len(basis.first), int(basis.first[-1]) + 4))
    for m in range(4):
        matrix[np.arange(len(matrix)), basis.first + m] = basis.value[:, m]
    return np.asarray((matrix[:, :, None] * matrix[:, None, :]).reshape(len(matrix), -1))
