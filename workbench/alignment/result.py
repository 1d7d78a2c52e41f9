"""The answer of an alignment: offsets with their uncertainty, and what speaks against them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline, RegularGridInterpolator

from workbench.alignment.calibrant import CalibrantFit
from workbench.alignment.degeneracies import degeneracy_notes, turns_alike_deg
from workbench.alignment.overlap import overlap_warnings
from workbench.alignment.plain import plain
from workbench.alignment.refine import Refinement
from workbench.alignment.sharpness import RingSharpness
from workbench.detectors import Detector
from workbench.errors import AlignmentError
from workbench.geometry import Geometry
from workbench.geometry.fit import turned
from workbench.quantities import plus_minus
from workbench.recipe import AlignmentSettings, Decisions

Verdict = Literal["good", "uncertain", "not determined", "overruled"]


@dataclass(frozen=True)
class Measures:
    """Numbers behind the verdict on a quadrant; NaN where not measured.

    Attributes
    ----------
    significance : correlation of the map's peak over its standard deviation for unrelated noise.
    second_peak_ratio : highest other local maximum of the map over the peak.
    peak_height_sigmas : peak above the map's median in robust standard deviations.
    curvature_weak : least curvature of the peak, per px².
    ring_significance : agreement with the rings that the other quadrants see, standard deviations.
    ring_consistency : the same as Student's t over the quadrant's ASICs.
    sensor_split_px : distance of the offsets from even and from odd sensors alone.
    largest_sigma_px : standard deviation of the offset in its weakest direction.
    event_halves_apart_px : distance of the offsets from the two halves of the events.
    turn_alike_deg : turn about the quadrant's middle that would look like the offset.
    cc_here : correlation of the map at an offset set by hand, NaN outside the map; None without
        one.
    """

    significance: float = np.nan
    second_peak_ratio: float = np.nan
    peak_height_sigmas: float = np.nan
    curvature_weak: float = np.nan
    ring_significance: float = np.nan
    ring_consistency: float = np.nan
    sensor_split_px: float = np.nan
    largest_sigma_px: float = np.nan
    event_halves_apart_px: float = np.nan
    turn_alike_deg: float = np.nan
    cc_here: float | None = None


@dataclass(frozen=True)
class QuadrantAlignment:
    """What is known of one quadrant, a group of the detector.

    Attributes
    ----------
    quadrant : its index among the groups, 0 … 3.
    offset_px : float64 ``(2,)``
        Displacement (x, y) of the ring centre as seen in the present geometry; (0, 0) where it is
        not determined.
    covariance_px2 : float64 ``(2, 2)``
        Of `offset_px`; NaN where unknown.
    cc : largest correlation of the map, 0 if there is none.
    map : float64 ``(n, n)``
        Correlation at trial offset [x index, y index]; NaN where too few pixels overlap.
    trials_px : float64 ``(n,)``
        Trial offsets along both axes.
    peak_px : float64 ``(2,)``
        Sub-pixel peak of the map alone (before any joint refinement); NaN if there is none.
    pairs : pixel pairs the largest correlation rests on.
    verdict : ``good``, ``uncertain``, ``not determined`` or ``overruled`` (set by a person).
    warnings : sentences for a person.
    measures : numbers behind the verdict.
    accepted : whether the corrected geometry uses the offset.
    panel : ASIC that was correlated, with method ``cctbx``.
    """

    quadrant: int
    offset_px: NDArray[np.float64]
    covariance_px2: NDArray[np.float64]
    cc: float
    map: NDArray[np.float64]
    trials_px: NDArray[np.float64]
    peak_px: NDArray[np.float64]
    pairs: int
    verdict: Verdict
    warnings: tuple[str, ...] = ()
    measures: Measures = field(default_factory=Measures)
    accepted: bool = True
    panel: str = ""

    @property
    def sigma_px(self) -> NDArray[np.float64]:
        """Standard deviation of `offset_px` along x and y, float64 ``(2,)``; NaN where unknown."""
        return np.sqrt(np.diag(self.covariance_px2))

    @property
    def trial(self) -> tuple[int, int]:
        """Index (x, y) of the largest correlation; that of offset (0, 0) if there is none."""
        if not np.isfinite(self.map).any() or self.cc <= 0:
            return len(self.trials_px) // 2, len(self.trials_px) // 2
        i, j = np.unravel_index(np.nanargmax(self.map), self.map.shape)
        return int(i), int(j)

    @property
    def trial_px(self) -> tuple[float, float]:
        """Trial offset (x, y) with the largest correlation."""
        i, j = self.trial
        return float(self.trials_px[i]), float(self.trials_px[j])

    @property
    def halves_text(self) -> str:
        """How far apart the halves of the events put it, in words; empty if that is not known."""
        apart = self.measures.event_halves_apart_px
        known = np.isfinite(apart) and self.verdict in ("good", "uncertain")
        return f"halves of the events {apart:.2f} px apart" if known else ""

    def cc_at(self, offset_px: Iterable[float]) -> float:
        """Correlation of the map at an offset (x, y), cubic; NaN outside or where unknown.

        Next to trials without a value it is linear.
        """
        trials, grid = self.trials_px, np.asarray(self.map, dtype=float)
        x, y = (float(value) for value in offset_px)
        inside = len(trials) > 1 and all(trials[0] <= at <= trials[-1] for at in (x, y))
        if not inside:
            return np.nan
        if len(trials) > 3 and np.isfinite(grid).all():
            return float(RectBivariateSpline(trials, trials, grid)(x, y)[0, 0])
        return float(RegularGridInterpolator((trials, trials), grid)((x, y)))

    def to_dict(self, maps: bool = False) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers become None. `maps` adds the map."""
        values = {
            "quadrant": self.quadrant,
            "offset_px": plain(self.offset_px),
            "sigma_px": plain(self.sigma_px),
            "covariance_px2": plain(self.covariance_px2),
            "cc": plain(self.cc),
            "trial_px": plain(self.trial_px),
            "peak_px": plain(self.peak_px),
            "pairs": int(self.pairs),
            "verdict": self.verdict,
            "accepted": self.accepted,
            "warnings": list(self.warnings),
            "measures": plain(self.measures),
        }
        if maps:
            values |= {"map": plain(self.map), "trials_px": plain(self.trials_px)}
        return values


@dataclass(frozen=True)
class Seconds:
    """Time taken, seconds: for the correlation maps, and for the joint refinement."""

    maps: float
    refinement: float | None = None


@dataclass(frozen=True)
class SharpnessChange:
    """Sharpness of the rings in the present and in the corrected geometry."""

    before: RingSharpness
    after: RingSharpness


@dataclass(frozen=True)
class Alignment:
    """Offsets of the quadrants (groups of the detector) and the geometry corrected by them.

    Attributes
    ----------
    quadrants : the quadrants in order.
    present : geometry the offsets refer to.
    method : ``quadrant`` or ``cctbx``.
    settings : everything the answer depends on besides image, geometry and mask.
    warnings : sentences about the alignment as a whole.
    notes : what rings cannot tell, as sentences; no fault of this alignment.
    refinement : the joint refinement of all quadrants, if there was one.
    calibrant : what the rings of a calibrant tell, None without one or if they do not fit.
    sharpness : of the rings, before and after; None with method ``cctbx``.
    usable_pixels, saturated_pixels : pixels that took part, and that were left out because they
        reached the ADC's limit; None with method ``cctbx``, which looks at no mask.
    seconds : time taken.
    """

    quadrants: tuple[QuadrantAlignment, ...]
    present: Geometry
    method: str
    settings: AlignmentSettings
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refinement: Refinement | None = None
    calibrant: CalibrantFit | None = None
    sharpness: SharpnessChange | None = None
    usable_pixels: int | None = None
    saturated_pixels: int | None = None
    seconds: Seconds | None = None

    @property
    def offsets_px(self) -> NDArray[np.float64]:
        """Offsets (x, y) of the quadrants, float64 ``(groups, 2)``."""
        return np.array([quadrant.offset_px for quadrant in self.quadrants])

    @property
    def sigmas_px(self) -> NDArray[np.float64]:
        """Standard deviations of the offsets, float64 ``(groups, 2)``."""
        return np.array([quadrant.sigma_px for quadrant in self.quadrants])

    @property
    def applied_px(self) -> NDArray[np.float64]:
        """Offsets the corrected geometry uses: (0, 0) for quadrants not accepted."""
        return np.array(
            [quadrant.offset_px if quadrant.accepted else (0.0, 0.0) for quadrant in self.quadrants]
        )

    @property
    def geometry(self) -> Geometry:
        """Corrected Geometry: accepted quadrants moved by minus their offset.

        With ``settings.tilt`` the whole detector is turned if the rings clearly ask for it, with
        ``settings.sensors`` each sensor is moved, as far as the rings support it.
        """
        moved = moved_groups(self.present, self.detector, self.applied_px)
        if self.settings.tilt and self.refinement is not None:
            tilt_deg = self.refinement.clear_tilt_deg
            if tilt_deg is not None:
                moved = turned(moved, *tilt_deg.tolist())
        return self._with_sensors(moved) if self.settings.sensors else moved

    @property
    def sensor_moves_px(self) -> NDArray[np.float64]:
        """Further offset (x, y) that `geometry` takes from each module, float64 ``(modules, 2)``.

        0 without ``settings.sensors`` and in quadrants that are not moved.
        """
        if not self.settings.sensors or self.refinement is None:
            return np.zeros((self.detector.modules, 2))
        moved = [
            quadrant.accepted
            and quadrant.verdict != "not determined"
            and quadrant.quadrant not in self.settings.fixed
            for quadrant in self.quadrants
        ]
        which = self.detector.by_module(np.array(moved))
        return np.where(which[:, None], self.refinement.sensor_move_px, 0.0)

    @property
    def sensors_line(self) -> str:
        """How many sensors are moved, and how far; empty if that is not asked for."""
        if not self.settings.sensors or self.refinement is None:
            return ""
        far = np.hypot(*self.sensor_moves_px.T)
        count, word = int(np.count_nonzero(far)), self.detector.group_word
        if not count:
            return f"No sensor is moved within its {word}: the rings do not support it."
        return (
            f"Moved within their {word}s: {count} of {far.size} sensors, by up to "
            f"{far.max():.2f} px (sensor {int(np.argmax(far))})."
        )

    def _with_sensors(self, geometry: Geometry) -> Geometry:
        """Geometry in which the modules are moved to their place."""
        moves_um = self.sensor_moves_px * self.detector.pixel_um
        for module in np.flatnonzero(moves_um.any(axis=1)):
            geometry = geometry.move(geometry.sensors[module], [*-moves_um[module], 0.0])
        return geometry

    @property
    def detector(self) -> Detector:
        """The detector, in the groups that were aligned."""
        return self.present.detector.grouped(self.settings.groups)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the groups, e.g. ``Q0``."""
        return tuple(group.name for group in self.detector.groups)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Row and column of each group as drawn, from 0 (`Geometry.places`)."""
        return self.present.places(self.detector.groups)

    @property
    def mean_cc(self) -> float:
        """Mean of the largest correlations ("Average CC")."""
        return float(np.mean([quadrant.cc for quadrant in self.quadrants]))

    @property
    def calibrant_line(self) -> str:
        """What a calibrant's rings tell of distance and wavelength; empty without them."""
        return "" if self.calibrant is None else self.calibrant.line()

    @property
    def method_text(self) -> str:
        """The method in words of the detector, a clause."""
        if self.method == "cctbx":
            return "Method: as cspad.quadrants_cbf"
        if self.refinement is not None and not self.detector.self_rotation:
            return f"Method: one fit of the rings of all {self.detector.group_word}s, sub-pixel"
        return f"Method: each {self.detector.group_word} turned about the beam, sub-pixel"

    @property
    def determined(self) -> bool:
        """Whether every quadrant has an offset."""
        return all(quadrant.verdict != "not determined" for quadrant in self.quadrants)

    def with_offset(
        self, quadrant: int, offset_px: Iterable[float], sigma_px: float | None = None
    ) -> Alignment:
        """Copy in which a person's offset (x, y) overrules that of one quadrant.

        Parameters
        ----------
        sigma_px : uncertainty the person states; unknown by default.

        Raises
        ------
        AlignmentError
            If there is no such quadrant or the offset is not two finite numbers.
        """
        offset = np.array([float(value) for value in offset_px])
        if offset.shape != (2,) or not np.isfinite(offset).all():
            raise AlignmentError(f"An offset is two numbers (x, y) in pixels, not {offset_px!r}.")
        covariance = np.eye(2) * (np.nan if sigma_px is None else float(sigma_px) ** 2)
        if sigma_px is None:
            covariance[:] = np.nan
        present = self._quadrant(quadrant)
        middle = self.present.middles_px(self.detector.groups)[quadrant : quadrant + 1]
        measures = dataclasses.replace(
            present.measures,
            cc_here=present.cc_at(offset),
            turn_alike_deg=float(turns_alike_deg(offset[None], middle)[0]),
        )
        return self._with(
            quadrant, offset_px=offset, covariance_px2=covariance, measures=measures,
            verdict="overruled", accepted=True,
        )  # fmt: skip

    def nudged(self, quadrant: int, step_px: Iterable[float]) -> Alignment:
        """Copy with one quadrant's offset moved by (x, y) pixels."""
        present = self._quadrant(quadrant).offset_px
        return self.with_offset(quadrant, present + np.array([float(value) for value in step_px]))

    def with_accepted(self, quadrant: int, accepted: bool = True) -> Alignment:
        """Copy in which the corrected geometry uses one quadrant's offset, or does not."""
        return self._with(quadrant, accepted=bool(accepted))

    def decided(self, decisions: Decisions) -> Alignment:
        """Copy with what a person decided: offsets set by hand, quadrants left in place."""
        result = self
        for quadrant, x, y in decisions.overruled:
            result = result.with_offset(int(quadrant), (x, y))
        for quadrant in decisions.rejected:
            result = result.with_accepted(quadrant, False)
        return result._checked() if decisions.overruled else result

    def lines(self) -> list[str]:
        """What a terminal shows; the first lines are those of cspad.quadrants_cbf."""
        return report_lines(self)

    def to_dict(self, maps: bool = False) -> dict[str, Any]:
        """Plain values for JSON; `maps` adds the correlation maps."""
        values = {
            "method": self.method,
            "mean_cc": plain(self.mean_cc),
            "determined": self.determined,
            "quadrants": [quadrant.to_dict(maps) for quadrant in self.quadrants],
            "applied_px": plain(self.applied_px),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "settings": plain(dataclasses.asdict(self.settings)),
            "details": self._details(),
        }
        if self.refinement is not None:
            values["refinement"] = self.refinement.to_dict()
        return values

    def _details(self) -> dict[str, Any]:
        return {
            "calibrant": None if self.calibrant is None else self.calibrant.to_dict(),
            "ring_sharpness": plain(self.sharpness),
            "usable_pixels": self.usable_pixels,
            "saturated_pixels": self.saturated_pixels,
            "panels": [quadrant.panel for quadrant in self.quadrants if quadrant.panel],
            "seconds": plain(self.seconds),
        }

    def _checked(self) -> Alignment:
        """Copy that warns of sensors that offsets set by hand would put on each other."""
        overlaps = overlap_warnings(self.present, self.geometry, self.detector)
        quadrants = [
            dataclasses.replace(q, warnings=(*q.warnings, overlaps[q.quadrant]))
            if q.verdict == "overruled" and q.accepted and q.quadrant in overlaps
            and overlaps[q.quadrant] not in q.warnings else q
            for q in self.quadrants
        ]  # fmt: skip
        return dataclasses.replace(self, quadrants=tuple(quadrants), notes=self._notes())

    def _notes(self) -> tuple[str, ...]:
        """Notes about the offsets as they are now."""
        if not self.notes or self.refinement is None:
            return self.notes
        known = np.array([quadrant.verdict != "not determined" for quadrant in self.quadrants])
        by_hand = np.array([quadrant.verdict == "overruled" for quadrant in self.quadrants])
        covariance = self.refinement.covariance_px2.copy()
        covariance[np.repeat(by_hand, 2)] = np.nan
        middles = self.present.middles_px(self.detector.groups)
        notes = degeneracy_notes(
            self.offsets_px, covariance, known, middles, self.refinement.weak is None
        )
        return in_words_of(self.detector, notes + self.refinement.notes())

    def _quadrant(self, quadrant: int) -> QuadrantAlignment:
        if quadrant not in range(len(self.quadrants)):
            last = len(self.quadrants) - 1
            word = self.detector.group_word
            raise AlignmentError(f"There is no {word} {quadrant}; they are 0 to {last}.")
        return self.quadrants[quadrant]

    def _with(self, quadrant: int, **changes: Any) -> Alignment:
        changed = dataclasses.replace(self._quadrant(quadrant), **changes)
        rest = list(self.quadrants)
        rest[quadrant] = changed
        return dataclasses.replace(self, quadrants=tuple(rest))


def moved_groups(
    geometry: Geometry, detector: Detector, offsets_px: NDArray[np.float64]
) -> Geometry:
    """Geometry whose groups are moved by minus their offsets, as `Geometry.move_quadrants`.

    Parameters
    ----------
    detector : that of the geometry, in the groups that the offsets ``(groups, 2)`` are of.
    """
    of_modules = detector.by_module(offsets_px)
    return geometry.move_quadrants(
        of_modules[[group.modules.start for group in geometry.detector.groups]]
    )


def in_words_of(detector: Detector, sentences: Iterable[str]) -> tuple[str, ...]:
    """Sentences about quadrants, for a detector whose groups are modules or sides."""
    word = detector.group_word
    return tuple(
        text.replace("quadrant", word).replace("Quadrant", word.capitalize()) for text in sentences
    )


def report_lines(alignment: Alignment) -> list[str]:
    """Lines of a printed alignment: those of cspad.quadrants_cbf, then ours."""
    return program_lines(alignment) + own_lines(alignment)


def program_lines(alignment: Alignment) -> list[str]:
    """Lines that cspad.quadrants_cbf prints too (public tools read "max cc" and "Average CC").

    With method ``cctbx`` they are the program's, character by character.
    """
    lines = []
    for quadrant in alignment.quadrants:
        if alignment.method == "cctbx":
            lines.append(f"Doing cross-correlation on panel {quadrant.panel}")
        else:
            word = alignment.detector.group_word
            lines.append(f"Doing cross-correlation on {word} {quadrant.quadrant}")
        lines.append(f"Searching a grid with dimensions {quadrant.map.shape}")
        if alignment.method == "cctbx":
            lines.append("Rastering row " + "".join(f"{trial:g} " for trial in quadrant.trials_px))
        x, y = quadrant.trial_px
        lines.append(f"max cc {quadrant.cc:7.4F} is at ({x:g}, {y:g})")
    return [*lines, f"Average CC: {alignment.mean_cc:7.4f}"]


def own_lines(alignment: Alignment) -> list[str]:
    """Offsets with their uncertainty, what a calibrant tells, warnings and notes."""
    lines = []
    word = alignment.detector.group_word
    if alignment.method != "cctbx":
        lines += [_offset_line(quadrant, word) for quadrant in alignment.quadrants]
    for quadrant in alignment.quadrants:
        name = f"{word.capitalize()} {quadrant.quadrant}"
        lines += [f"{name}: {warning}" for warning in quadrant.warnings]
    lines += [line for line in (alignment.calibrant_line, alignment.sensors_line) if line]
    return lines + list(alignment.warnings) + [f"Note: {note}" for note in alignment.notes]


def _offset_line(quadrant: QuadrantAlignment, word: str) -> str:
    """One quadrant's offset, uncertainty and verdict in a line."""
    name = f"{word.capitalize()} {quadrant.quadrant}"
    if quadrant.verdict == "not determined":
        return f"{name}: offset not determined; the {word} stays where it is"
    if not (quadrant.offset_px.any() or quadrant.covariance_px2.any()):
        return f"{name}: held where it is"
    x, y = quadrant.offset_px
    error = plus_minus(quadrant.sigma_px)
    halves = quadrant.halves_text
    return f"{name}: offset ({x:+.2f}, {y:+.2f}){error} px, {quadrant.verdict}" + (
        f"; {halves}" if halves else ""
    )
