"""Joint refinement: the offsets that make one radial profile describe all groups.

ring_fit.py has the model: one profile of the rings, free of any assumption about them, a smooth
background and a strength of the rings for each ASIC, and the offsets, fitted together by least
squares with spots pulled in. Steps begin with pixels averaged in large squares and end with small
ones; the answer does not depend on where they began.

Rings have their centre in the lab's origin by definition, so a common offset of all groups is
determined (the rings cannot tell whether beam or detector moved). Two things are not:

* An in-plane rotation of a group about the beam leaves all radii as they are; a rotation about
  the group's own middle acts like an offset. Rotations are therefore taken from the geometry.
* All groups moving outwards together nearly changes only the radii of the rings, which are free:
  this combination, the weak direction, rests on the spread of azimuth within a group alone. It is
  told with its own uncertainty, and applied as far as the rings support it: a move c known to
  ±s is shortened to ``c (1 - s²/c²)``, to nothing where s exceeds it (W. James, C. Stein, Proc.
  4th Berkeley Symp. 1 (1961) 361). A calibrant, or a group that is held fixed, settles it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from workbench.alignment.module_fit import module_shifts
from workbench.alignment.plain import plain
from workbench.alignment.prepare import Prepared
from workbench.alignment.ring_fit import RING_FIT, RingFit, RingFitSettings, spline
from workbench.alignment.uncertainty import HeldOut, uncertainty
from workbench.progress import Progress, raise_if_cancelled


@dataclass(frozen=True)
class ErrorSettings:
    """What the covariance of the ring fit is corrected by.

    Attributes
    ----------
    outward_px, each_px : errors that no division sees, outwards in common and of each offset
        alone, such as of finite pixels (simulations with hardly any noise).
    displaced_px, displaced_sigmas, displaced_sigma_px : a module farther from its place than the
        first two is named, if it is known to better than the last: where one ring hardly reaches a
        module, scatter shifts it by 1 px.
    unsettled_steps : a fit that did not settle is wrong by this many of its last steps.
    tilt_deg, tilt_sigmas : a detector turned by more than both about either axis is said to be.
    open_sigma_px : a combination of offsets known to worse than this is said to be open.
    """

    outward_px: float = 0.002
    each_px: float = 0.001
    displaced_px: float = 0.15
    displaced_sigmas: float = 4.0
    displaced_sigma_px: float = 0.2
    unsettled_steps: float = 10.0
    tilt_deg: float = 0.005
    tilt_sigmas: float = 4.0
    open_sigma_px: float = 0.5


ERRORS = ErrorSettings()


@dataclass(frozen=True)
class WeakDirection:
    """All groups moving outwards together.

    Attributes
    ----------
    offset_px, sigma_px : mean outward part of the offsets as fitted, and its standard deviation.
    applied_px : the part that is in the offsets.
    """

    offset_px: float
    sigma_px: float
    applied_px: float


@dataclass(frozen=True)
class Refinement:
    """Result of the joint refinement.

    Attributes
    ----------
    offsets_px : float64 ``(groups, 2)``.
    covariance_px2 : float64 ``(2 groups, 2 groups)`` of (x0, y0, x1, …); NaN for groups that took
        no part.
    used : bool ``(groups,)``, groups that took part.
    outwards : float64 ``(groups, 2)``, unit vectors from the beam to the middles of the groups.
    weak : the weak direction; None where a group was held fixed.
    sensor_split_px : float64 ``(2, groups, 2)``, offsets from even and from odd modules alone.
    sensor_offset_px, sensor_sigma_px, sensor_move_px : of the modules beside their groups, as
        `ModuleShifts` has them: offset outwards and along the rings, its standard deviation, and
        in lab x and y what of it is supported.
    held_out : how far rings lie from where the other modules put them.
    tilt_deg, tilt_sigma_deg : float64 ``(2,)``, turn of the whole detector about lab x and y that
        the geometry lacks, and its standard deviation; NaN without the distance.
    division : what was left out in turn for the covariance: ``ASICs``, ``sensors`` or ``radii``.
    excess : variance from that over the one for independent errors of the pixels.
    radius_px, profile : float64 ``(n,)``, the common radial profile (transformed, flattened).
    iterations : steps taken.
    converged : whether the last step was small.
    explained : share of the variance beside the background that the rings explain.
    undetermined : sentences about combinations of offsets the rings leave open.
    """

    offsets_px: NDArray[np.float64]
    covariance_px2: NDArray[np.float64]
    used: NDArray[np.bool_]
    outwards: NDArray[np.float64]
    weak: WeakDirection | None
    sensor_split_px: NDArray[np.float64]
    sensor_offset_px: NDArray[np.float64]
    sensor_sigma_px: NDArray[np.float64]
    sensor_move_px: NDArray[np.float64]
    held_out: HeldOut
    tilt_deg: NDArray[np.float64]
    tilt_sigma_deg: NDArray[np.float64]
    division: str
    excess: float
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

    @property
    def clear_tilt_deg(self) -> NDArray[np.float64] | None:
        """The tilt as float64 ``(2,)``; None where it is small or the rings leave it open."""
        size = np.abs(self.tilt_deg)
        with np.errstate(invalid="ignore"):
            clear = (size > ERRORS.tilt_deg) & (size > ERRORS.tilt_sigmas * self.tilt_sigma_deg)
        return self.tilt_deg if clear.any() else None

    @property
    def outward_row(self) -> NDArray[np.float64]:
        """Row ``(2 groups,)`` that gives the mean outward part of offsets."""
        together = self.outwards * self.used[:, None]
        return np.asarray(together.ravel() / max(float(np.count_nonzero(self.used)), 1.0))

    def with_outward(self, measured_px: float, sigma_px: float) -> Refinement:
        """Offsets in which the mean outward part is measured otherwise to be `measured_px`.

        Offsets and covariance follow as in a Kalman update.
        """
        own = np.flatnonzero(np.repeat(self.used, 2))
        row, covariance = self.outward_row[own], self.covariance_px2[np.ix_(own, own)]
        offsets = self.offsets_px.copy().ravel()
        gain = covariance @ row / (row @ covariance @ row + sigma_px**2)
        offsets[own] += gain * (measured_px - row @ offsets[own])
        better = self.covariance_px2.copy()
        better[np.ix_(own, own)] = covariance - np.outer(gain, row @ covariance)
        return dataclasses.replace(
            self,
            offsets_px=offsets.reshape(-1, 2),
            covariance_px2=better,
            undetermined=open_combinations(better, self.used, self.outwards),
        )

    def supported(self) -> Refinement:
        """The same with the weak direction applied as far as the rings support it."""
        if self.weak is None:
            return self
        move, sigma = self._outward()
        left = max(move**2 - sigma**2, 0.0)
        moved = self.with_outward(0.0, float(np.sqrt(left)))
        weak = WeakDirection(move, sigma, move * left / max(move**2, 1e-30))
        return dataclasses.replace(self, offsets_px=moved.offsets_px, weak=weak)

    def _outward(self) -> tuple[float, float]:
        own = np.flatnonzero(np.repeat(self.used, 2))
        row, covariance = self.outward_row[own], self.covariance_px2[np.ix_(own, own)]
        return float(row @ self.offsets_px.ravel()[own]), float(np.sqrt(row @ covariance @ row))

    def notes(self) -> tuple[str, ...]:
        """Sentences about the residual, the weak direction and modules out of place."""
        held = self.held_out
        sentence = (
            f"Rings lie {held.rms_px:.2f} px (RMS) from where the rings of the other sensors put "
            f"them. Uncertainties are from leaving out {self.division} in turn."
        )
        sentences = [sentence]
        if self.weak is not None:
            weak = self.weak
            sentences.append(
                f"All quadrants together are seen {weak.offset_px:+.2f} ± {weak.sigma_px:.2f} px "
                f"outwards; of this {weak.applied_px:+.2f} px are applied."
            )
        if text := self._displaced():
            sentences.append(text)
        return tuple(sentences)

    def tilted(self, applied: bool) -> tuple[str, ...]:
        """Sentence about a tilt that the rings clearly ask for; none otherwise."""
        if self.clear_tilt_deg is None:
            return ()
        about_x, about_y = (
            f"{tilt:+.2f} ± {sigma:.2f}°"
            for tilt, sigma in zip(self.tilt_deg, self.tilt_sigma_deg, strict=True)
        )
        what = (
            "The corrected geometry has it; align the image again in that geometry."
            if applied
            else "Until the geometry has it, offsets are less certain; set “tilt” (--tilt)."
        )
        return (
            f"The rings fit better with the whole detector tilted by {about_x} about x and "
            f"{about_y} about y. {what}",
        )

    def _displaced(self) -> str:
        """Sentence about modules that are clearly not in their place."""
        offset, sigma = self.sensor_offset_px[:, 0], self.sensor_sigma_px[:, 0]
        with np.errstate(invalid="ignore"):
            clear = (
                (np.abs(offset) > ERRORS.displaced_sigmas * sigma)
                & (np.abs(offset) > ERRORS.displaced_px)
                & (sigma < ERRORS.displaced_sigma_px)
            )
        named = [
            f"sensor {module} by {-offset[module]:+.2f} ± {sigma[module]:.2f} px"
            for module in np.flatnonzero(clear)
        ]
        if not named:
            return ""
        return (
            f"Out of place, outwards from the beam: {', '.join(named)} (along the rings less is "
            "known). Sensors are moved only on request: set “sensors” (--sensors)."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            name: plain(getattr(self, name))
            for name in (
                "offsets_px", "sigmas_px", "covariance_px2", "used", "weak", "sensor_split_px",
                "sensor_offset_px", "sensor_sigma_px", "sensor_move_px", "held_out",
                "tilt_deg", "tilt_sigma_deg", "division", "excess", "iterations",
                "converged", "explained", "undetermined",
            )
        }  # fmt: skip


def refine_rings(
    prepared: Prepared,
    start_px: NDArray[np.float64],
    used: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
    fixed: tuple[int, ...] = (),
    settings: RingFitSettings = RING_FIT,
) -> Refinement | None:
    """Refine the offsets of all groups together.

    Parameters
    ----------
    prepared : image as `prepare` gives it.
    start_px : offsets to start from, float64 ``(groups, 2)``, right to about a ring's width.
    used : groups to take part, bool ``(groups,)``; the others keep their start.
    progress : asked before each step whether to stop.
    fixed : groups whose offset is (0, 0): they are where they should be.

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
    held = np.isin(np.arange(prepared.groups), fixed)
    if not (used & ~held).any():
        return None
    start = np.where(held[:, None], 0.0, start_px)
    # the fit has threads of its own; with those of BLAS they would wait for each other
    with threadpool_limits(limits=1, user_api="blas"):
        fit = RingFit(prepared, start, used, held, settings)
        return _settled(fit, used, progress) if fit.asics else None


def _settled(fit: RingFit, used: NDArray[np.bool_], progress: Progress | None) -> Refinement:
    """Step until the steps are small, first with large squares of pixels, then with small ones."""
    settings = fit.settings
    converged, iterations = False, 0
    for iterations in range(1, settings.most_steps + 1):
        raise_if_cancelled(progress, "The alignment")
        step = fit.step()
        last = fit.pool == settings.pools[-1]
        if last and step.is_small(settings):
            converged = True
            break
        if not last and (
            step.longest_px < settings.coarse_px or iterations >= settings.coarse_steps
        ):
            fit.begin(settings.pools[settings.pools.index(fit.pool) + 1])
    return _finish(fit, iterations, converged, used, 0.0 if converged else step.longest_px)


def _finish(
    fit: RingFit, iterations: int, converged: bool, used: NDArray[np.bool_], unsettled_px: float
) -> Refinement:
    known = uncertainty(fit)
    size = fit.offsets.size
    own = np.concatenate([[2 * g, 2 * g + 1] for g in fit.free])
    covariance = np.full((size, size), np.nan)
    in_use = np.flatnonzero(np.repeat(used, 2))
    covariance[np.ix_(in_use, in_use)] = 0.0
    together = fit.outwards.ravel()[own]
    outward = ERRORS.outward_px + ERRORS.unsettled_steps * unsettled_px
    floor = outward**2 * np.outer(together, together)
    covariance[np.ix_(own, own)] = known.covariance + floor + ERRORS.each_px**2 * np.eye(len(own))
    split = np.tile(fit.offsets, (2, 1, 1)).reshape(2, -1)
    split[:, own] += known.split_px
    radius = np.arange(0, (fit.knots - 6) * fit.knot_px, 0.5)
    explained, profile = fit.explained(), spline(radius, fit.profile, fit.knot_px)
    modules = module_shifts(fit, known.module_sigma_px)  # the fit is done with its pixels
    refined = Refinement(
        offsets_px=fit.offsets,
        covariance_px2=covariance,
        used=used,
        outwards=fit.outwards,
        weak=WeakDirection(0.0, 0.0, 0.0) if len(fit.free) == len(fit.groups) else None,
        sensor_split_px=split.reshape(2, -1, 2),
        sensor_offset_px=modules.offset_px,
        sensor_sigma_px=modules.sigma_px,
        sensor_move_px=modules.supported_px,
        held_out=known.held_out,
        tilt_deg=known.tilt_deg,
        tilt_sigma_deg=known.tilt_sigma_deg,
        division=known.division,
        excess=known.excess,
        radius_px=radius,
        profile=profile,
        iterations=iterations,
        converged=converged,
        explained=explained,
        undetermined=open_combinations(covariance, used, fit.outwards),
    )
    if refined.weak is None:
        return refined
    move, sigma = refined._outward()
    return dataclasses.replace(refined, weak=WeakDirection(move, sigma, move))


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
