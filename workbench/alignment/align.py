"""Find the offsets of the quadrants: of the groups of a detector."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from workbench.alignment import event_halves, quality
from workbench.alignment.calibrant import (
    CalibrantFit,
    CalibrantMismatch,
    fit_calibrant,
    with_calibrant,
)
from workbench.alignment.cctbx import MULTI_ANGLES, SINGLE_ANGLE, align_as_cctbx
from workbench.alignment.correlation import CorrelationMap, correlation_map, trial_offsets
from workbench.alignment.degeneracies import degeneracy_notes, turns_alike_deg
from workbench.alignment.overlap import overlap_warnings
from workbench.alignment.peak import Peak, find_peak
from workbench.alignment.polarisation import polarisation_check
from workbench.alignment.prepare import (
    GroupPixels,
    ImageLike,
    MaskOrArray,
    Prepared,
    detector_data,
    distance_mm,
    geometry_of,
    prepare,
    wavelength_angstrom,
)
from workbench.alignment.refine import Refinement, refine_rings
from workbench.alignment.result import (
    Alignment,
    Measures,
    QuadrantAlignment,
    Seconds,
    SharpnessChange,
    Verdict,
    in_words_of,
    moved_groups,
)
from workbench.alignment.ring_fit import RING_FIT
from workbench.alignment.ring_significance import ring_significance
from workbench.alignment.search import search_offsets
from workbench.alignment.sharpness import ring_sharpness
from workbench.detectors import Detector
from workbench.errors import AlignmentError
from workbench.geometry import Geometry
from workbench.progress import Progress, raise_if_cancelled
from workbench.recipe import AlignmentSettings
from workbench.recipe.alignment import Method


@dataclass(frozen=True)
class MapVerdict:
    """What a correlation map is worth.

    Attributes
    ----------
    widest_range_px : a peak on the edge of the grid widens the grid up to this.
    least_significance : correlation over its standard deviation for unrelated noise that counts
        as rings.
    clear_significance : maps this clear start the joint refinement; below it all offsets are
        searched together.
    hopeless_sigmas : if no quadrant agrees with the others by more after the search, there is
        nothing to refine.
    ambiguous_ratio : a second peak higher than this share of the first makes a map ambiguous.
    error_px : systematic part of a map's peak, mostly radial (benchmarks/alignment.py).
    alone_error_px : the same without a joint refinement: on the broad, uneven rings of a real
        detector maps are wrong by up to 2.7 px.
    """

    widest_range_px: float = 60.0
    least_significance: float = 8.0
    clear_significance: float = 40.0
    hopeless_sigmas: float = 4.0
    ambiguous_ratio: float = 0.9
    error_px: float = 0.25
    alone_error_px: float = 1.2


MAP_VERDICT = MapVerdict()

MAPS_AT_A_TIME = 2
"""Maps computed side by side."""

NOT_TOGETHER = "None of the quadrants that are not held fixed sees the rings of the others."

RANKS_ALONE = (
    "From the map of ranks alone, which broad rings pull by up to 8 px. Use the joint refinement, "
    "or the transform sqrt."
)
RANKS = "Of broad rings ranks keep little; try the transform sqrt."

NO_PIXELS = (
    "No pixel can be used: all are masked, saturated or have no value. Look at the counts of the "
    "mask, and whether its limits fit the image."
)


@dataclass(frozen=True)
class Joint:
    """What the joint refinement gives.

    Attributes
    ----------
    quadrants : judged by it.
    refinement : None if nothing could be fitted.
    calibrant : None without a calibrant, or if its rings do not fit.
    warnings : sentences.
    """

    quadrants: tuple[QuadrantAlignment, ...]
    refinement: Refinement | None = None
    calibrant: CalibrantFit | None = None
    warnings: tuple[str, ...] = ()


def align_quadrants(
    image: ImageLike,
    geometry: Geometry | None = None,
    mask: MaskOrArray | None = None,
    method: str | None = None,
    settings: AlignmentSettings | None = None,
    progress: Progress | None = None,
    halves: Sequence[ImageLike] | None = None,
) -> Alignment:
    """Find where each quadrant sees the centre of the powder rings.

    A quadrant is a group of the detector: what is mounted and moves as one piece.

    Parameters
    ----------
    image : DetectorImage, or array ``(modules, rows, columns)`` in ADU
        Average or maximum of a run with powder rings (averages are less noisy).
    geometry : Geometry, default that of the image.
    mask : Mask, or bool array of the image's shape, True = good; default: all pixels.
    method : ``quadrant`` (default: all sensors, sub-pixel) or ``cctbx`` (as cspad.quadrants_cbf).
    settings : default `AlignmentSettings()`; `method` takes precedence over the one in it.
    progress : told after each quadrant and after the joint refinement.
    halves : images like `image` from one and from the other half of the events, e.g. of
        ``average_run(…, halves="odd-even").halves``. Each is refined alone; quadrants whose offsets
        differ by more than their uncertainty are warned of. They do not change the offsets.

    Returns
    -------
    Alignment
        Images without usable rings give quadrants "not determined", never an error.

    Raises
    ------
    AlignmentError
        If a shape is wrong, there is no geometry or the method is unknown.
    WorkbenchError
        If the detector does not have the groups of the settings.
    Cancelled
        If `progress` is cancelled.
    """
    settings = settings or AlignmentSettings()
    if method is not None:
        if method not in ("quadrant", "cctbx"):
            raise AlignmentError(f"There is no method {method!r}; use 'quadrant' or 'cctbx'.")
        settings = dataclasses.replace(settings, method=cast(Method, method))
    divided = tuple(() if halves is None else halves)
    if len(divided) not in (0, 2):
        raise AlignmentError(f"Halves of the events are two images, not {len(divided)}.")
    detector_data(image)
    present = geometry_of(image, geometry)
    _refuse_held(settings, present.detector.grouped(settings.groups))
    if settings.method == "cctbx":
        return _as_cctbx(image, present, mask, settings, progress, bool(divided))
    started = time.perf_counter()
    prepared = prepare(image, present, mask, settings)
    detector = prepared.detector
    steps = prepared.groups + 2
    quadrants = []
    # of groups too small for maps, what a map is worth says nothing of the joint fit
    warns = settings.refine == "none" or detector.self_rotation
    with ThreadPoolExecutor(MAPS_AT_A_TIME) as pool:
        maps = pool.map(
            lambda group: _from_map(prepared.group(group), group, settings, progress, warns),
            range(prepared.groups),
        )
        for group, quadrant in enumerate(maps):
            quadrants.append(quadrant)
            if progress is not None:
                progress.update(group + 1, steps, f"map of {detector.group_word} {group}")
    middle = time.perf_counter()
    joint, seconds = Joint(tuple(quadrants)), Seconds(middle - started)
    if settings.refine == "rings":
        raise_if_cancelled(progress, "The alignment")
        joint = _refined(prepared, joint.quadrants, settings, image, progress)
        raise_if_cancelled(progress, "The alignment")
        seconds = Seconds(seconds.maps, time.perf_counter() - middle)
    else:
        joint = Joint(tuple(_map_alone(quadrant, settings) for quadrant in quadrants))
    refined, judged = joint.refinement, list(joint.quadrants)
    if divided and refined is not None:
        apart = [
            event_halves.refined_half(half, refined, present, mask, settings) for half in divided
        ]
        judged = event_halves.compared_halves(judged, refined, apart, event_halves.origin(divided))
    middles = present.middles_px(detector.groups)
    judged = _with_turns(_without_overlap(judged, present, detector), middles)
    judged = [
        dataclasses.replace(quadrant, warnings=in_words_of(detector, quadrant.warnings))
        for quadrant in judged
    ]
    swapped = polarisation_check(image, present, mask).warning()
    if progress is not None:
        progress.update(steps, steps, "aligned")
    applied = np.array(
        [quadrant.offset_px if quadrant.accepted else (0.0, 0.0) for quadrant in judged]
    )
    unused = (event_halves.UNUSED,) if divided and settings.refine == "none" else ()
    return Alignment(
        tuple(judged),
        present,
        settings.method,
        settings,
        warnings=in_words_of(detector, _open_combinations(refined, judged) + joint.warnings)
        + (() if refined is None else refined.tilted(settings.tilt))
        + ((swapped,) if swapped else ())
        + unused
        + (_unused(settings) if settings.refine == "none" else ())
        + (() if prepared.good.any() else (NO_PIXELS,)),
        notes=in_words_of(detector, _notes(refined, judged, middles))
        + _without_maps(refined, detector),
        refinement=refined,
        calibrant=joint.calibrant,
        sharpness=SharpnessChange(
            ring_sharpness(prepared, np.zeros_like(applied)), ring_sharpness(prepared, applied)
        ),
        usable_pixels=int(np.count_nonzero(prepared.good)),
        saturated_pixels=prepared.saturated,
        seconds=seconds,
    )


def _as_cctbx(
    image: ImageLike,
    present: Geometry,
    mask: MaskOrArray | None,
    settings: AlignmentSettings,
    progress: Progress | None,
    divided: bool,
) -> Alignment:
    raise_if_cancelled(progress, "The alignment")
    angles = MULTI_ANGLES if settings.multi_angle else SINGLE_ANGLE
    started = time.perf_counter()
    quadrants = align_as_cctbx(image, present, settings.range_px, angles)
    if progress is not None:
        progress.update(len(quadrants) + 2, len(quadrants) + 2, "aligned")
    quadrants = tuple(
        dataclasses.replace(quadrant, accepted=False)
        if quadrant.quadrant in settings.fixed
        else quadrant
        for quadrant in quadrants
    )
    warnings = []
    if mask is not None:
        warnings.append("Method cctbx looks at no mask; the one given is unused.")
    if divided:
        warnings.append(event_halves.UNUSED)
    warnings += _unused(settings)
    return Alignment(
        quadrants, present, settings.method, settings, warnings=tuple(warnings),
        seconds=Seconds(time.perf_counter() - started),
    )  # fmt: skip


def _from_map(
    pixels: GroupPixels,
    quadrant: int,
    settings: AlignmentSettings,
    progress: Progress | None,
    warns: bool,
) -> QuadrantAlignment:
    """Answer of one quadrant's correlation map alone; `warns` of a peak that is not clear."""
    raise_if_cancelled(progress, "The alignment")
    reach = float(settings.range_px)
    widened = False
    while True:
        trials = trial_offsets(reach, settings.step_px)
        surface = correlation_map(pixels, trials, settings.angles_deg, settings.min_overlap)
        peak = find_peak(surface.cc, trials)
        if peak is None or not peak.at_edge or reach >= MAP_VERDICT.widest_range_px:
            break
        if _significance(surface, peak) < MAP_VERDICT.least_significance:
            break
        reach, widened = min(2 * reach, MAP_VERDICT.widest_range_px), True
    usable = int(np.count_nonzero(pixels.good))
    return _judged(surface, peak, quadrant, usable, widened, warns)


def _judged(
    surface: CorrelationMap,
    peak: Peak | None,
    quadrant: int,
    usable: int,
    widened: bool,
    warns: bool,
) -> QuadrantAlignment:
    nothing = QuadrantAlignment(
        quadrant=quadrant,
        offset_px=np.zeros(2),
        covariance_px2=np.full((2, 2), np.nan),
        cc=0.0,
        map=surface.cc,
        trials_px=surface.trials_px,
        peak_px=np.full(2, np.nan),
        pairs=0,
        verdict="not determined",
        accepted=False,
    )
    if peak is None:
        reason = (
            f"usable pixels: {usable}, too few for a map; look at the mask"
            if not surface.by_angle
            else "no correlation with the rotated quadrant: the image shows no rings"
        )
        return dataclasses.replace(nothing, warnings=(reason.capitalize() + ".",))
    significance = _significance(surface, peak)
    curved = np.isfinite(peak.curvature).all()
    known = dataclasses.replace(
        nothing,
        cc=peak.cc,
        pairs=int(surface.pairs[peak.trial]),
        peak_px=peak.offset_px,
        measures=Measures(
            significance=significance,
            second_peak_ratio=peak.second_ratio,
            peak_height_sigmas=peak.height_sigmas,
            curvature_weak=float(-np.linalg.eigvalsh(peak.curvature)[-1]) if curved else np.nan,
        ),
    )
    if round(significance, 1) < MAP_VERDICT.least_significance or not curved:
        return quality.undetermined(
            known,
            f"Rings too weak: correlation {peak.cc:.4f} is {significance:.1f} times its noise "
            f"({MAP_VERDICT.least_significance:.0f} are needed); {quality.WEAK}.",
        )
    warnings = []
    verdict: Verdict = "good"
    if peak.at_edge:
        warnings.append("The peak lies at the edge of the grid; the offset may be larger.")
        verdict = "uncertain"
    if widened:
        warnings.append(
            "The peak lay at the edge of the grid, which was widened to "
            f"±{surface.trials_px[-1]:g} px."
        )
    if peak.second_ratio > MAP_VERDICT.ambiguous_ratio:
        warnings.append(
            f"The map alone is ambiguous: a second peak is {100 * peak.second_ratio:.0f} % as high."
        )
        verdict = "uncertain"
    return dataclasses.replace(
        known,
        offset_px=peak.offset_px,
        covariance_px2=_map_covariance(surface, peak),
        verdict=verdict,
        warnings=tuple(warnings) if warns else (),
        accepted=True,
    )


def _refuse_held(settings: AlignmentSettings, detector: Detector) -> None:
    """Refuse quadrants held fixed that do not exist, or that leave nothing to align."""
    count, word = len(detector.groups), detector.group_word
    for group in settings.fixed:
        if group not in range(count):
            raise AlignmentError(
                f"There is no {word} {group} to hold fixed; they are 0 to {count - 1}."
            )
    if len(set(settings.fixed)) == count:
        raise AlignmentError(f"All {word}s are held fixed; leave at least one to be aligned.")


def _unused(settings: AlignmentSettings) -> tuple[str, ...]:
    """Sentence about settings that only the joint refinement uses, where there is none."""
    default = AlignmentSettings()
    names = [
        name
        for name in ("calibrant", "outward", "sensors", "tilt")
        if getattr(settings, name) != getattr(default, name)
    ]
    if not names:
        return ()
    return (f"Without the joint refinement these settings are unused: {', '.join(names)}.",)


def _held(quadrant: QuadrantAlignment) -> QuadrantAlignment:
    """A quadrant that is held fixed."""
    return dataclasses.replace(
        quadrant, offset_px=np.zeros(2), covariance_px2=np.zeros((2, 2)), verdict="good",
        warnings=(), accepted=True,
    )  # fmt: skip


def _map_alone(quadrant: QuadrantAlignment, settings: AlignmentSettings) -> QuadrantAlignment:
    """What a map is worth without the joint refinement; a fixed quadrant stays where it is."""
    if quadrant.quadrant in settings.fixed:
        return _held(quadrant)
    if quadrant.verdict == "not determined":
        return quadrant
    if settings.transform == "rank":
        return quality.undetermined(quadrant, RANKS_ALONE)
    more = MAP_VERDICT.alone_error_px**2 - MAP_VERDICT.error_px**2
    advice = (
        "Use the joint refinement."
        if settings.refine == "none"
        else "The quadrant has too few usable pixels for the joint refinement; look at the mask."
    )
    warning = f"From the map alone; broad rings pull it by pixels. {advice}"
    return dataclasses.replace(
        quadrant, verdict="uncertain", covariance_px2=quadrant.covariance_px2 + more * np.eye(2),
        warnings=(*quadrant.warnings, warning),
    )  # fmt: skip


def _significance(surface: CorrelationMap, peak: Peak) -> float:
    """Correlation over the standard deviation it has for unrelated noise.

    Grid points share pixels with their neighbours, so a pair counts as about half a pair.
    """
    return float(peak.cc * np.sqrt(_independent_pairs(surface, peak)))


def _independent_pairs(surface: CorrelationMap, peak: Peak) -> float:
    return float(surface.pairs[peak.trial]) / max(len(surface.by_angle), 1) / 2


def _map_covariance(surface: CorrelationMap, peak: Peak) -> NDArray[np.float64]:
    """Covariance of a map's peak from its curvature, noise and the map's systematic error.

    For a matched filter the log-likelihood is about ``n cc² / (2 (1 - cc²))``.
    """
    cc = min(peak.cc, 0.999)
    scale = (1 - cc * cc) / (_independent_pairs(surface, peak) * cc)
    noise = scale * np.linalg.inv(-peak.curvature)
    return np.asarray(noise + MAP_VERDICT.error_px**2 * np.eye(2))


def _refined(
    prepared: Prepared,
    quadrants: tuple[QuadrantAlignment, ...],
    settings: AlignmentSettings,
    image: ImageLike,
    progress: Progress | None,
) -> Joint:
    """All quadrants together, from the maps where they are clear, else from a joint search."""
    used = prepared.filled(RING_FIT.least_pixels)
    present = [quadrant for quadrant in quadrants if used[quadrant.quadrant]]
    alone = tuple(
        quadrant if used[quadrant.quadrant] else _map_alone(quadrant, settings)
        for quadrant in quadrants
    )
    if not present:
        return Joint(alone)
    reach = float(max(quadrant.trials_px[-1] for quadrant in quadrants))
    start = _start(prepared, quadrants, used, reach)
    agreement = ring_significance(prepared, start, used)
    stray = used & ~(agreement.height >= quality.LIMITS.least_height)
    if stray.any() and (used & ~stray).any():
        start = _led_by_others(prepared, start, used, stray, reach)
        agreement = ring_significance(prepared, start, used)
    seeing = agreement.sigmas >= MAP_VERDICT.hopeless_sigmas
    if not seeing.any():
        return Joint(
            tuple(
                _hopeless(quadrant) if used[quadrant.quadrant] else quadrant for quadrant in alone
            )
        )
    same = seeing & (agreement.height >= quality.LIMITS.least_height)
    refined = _of_common_rings(
        prepared, start, same if np.count_nonzero(same) > 1 else seeing, progress
    )
    if refined is None:
        return Joint(tuple(_map_alone(quadrant, settings) for quadrant in quadrants))
    warnings: tuple[str, ...] = ()
    amiss = False
    if settings.fixed:
        warnings, hopeless = quality.held_amiss(refined, settings.fixed)
        amiss = bool(warnings)
        held = None
        if not hopeless:
            held = _of_common_rings(
                prepared, refined.offsets_px, refined.used, progress, settings.fixed
            )
        if held is None:
            reason = quality.AMISS if hopeless else NOT_TOGETHER
            return Joint(
                tuple(
                    _held(q) if q.quadrant in settings.fixed else quality.undetermined(q, reason)
                    for q in alone
                ),
                warnings=warnings,
            )
        refined = held
    calibrant = None
    try:
        calibrant = _calibrant(refined, settings, image, prepared.detector.pixel_um)
    except CalibrantMismatch as problem:
        warnings = (*warnings, str(problem))
    if calibrant is not None:
        refined = with_calibrant(refined, calibrant)
    if settings.outward == "supported":
        refined = refined.supported()
    significance = ring_significance(prepared, refined.offsets_px, refined.used)
    judged = tuple(
        quality.judge(quadrant, refined, significance, reach)
        if used[quadrant.quadrant]
        else quadrant
        for quadrant in alone
    )
    if settings.transform == "rank" and any(q.verdict == "not determined" for q in judged):
        warnings = (*warnings, RANKS)
    if amiss:
        judged = tuple(q if q.quadrant in settings.fixed else quality.doubted(q) for q in judged)
    return Joint(judged, refined, calibrant, warnings)


def _start(
    prepared: Prepared,
    quadrants: tuple[QuadrantAlignment, ...],
    used: NDArray[np.bool_],
    reach: float,
) -> NDArray[np.float64]:
    """Offsets to start from, ``(groups, 2)``: those of clear maps, the others from a search.

    Where groups are too small for maps, all are from the search.
    """
    clear = {
        quadrant.quadrant: quadrant.offset_px
        for quadrant in quadrants
        if used[quadrant.quadrant]
        and prepared.detector.self_rotation
        and quadrant.verdict == "good"
        and quadrant.measures.significance > MAP_VERDICT.clear_significance
    }
    if len(clear) < np.count_nonzero(used):
        searched = search_offsets(prepared, used, reach, clear)
        if searched is not None:
            return searched.offsets_px
    return np.array([quadrant.offset_px for quadrant in quadrants])


def _led_by_others(
    prepared: Prepared,
    start: NDArray[np.float64],
    used: NDArray[np.bool_],
    stray: NDArray[np.bool_],
    reach: float,
) -> NDArray[np.float64]:
    """Start of groups whose map leads away from the others' rings: where they agree best.

    A slope of the background can pull a clear map by several pixels.
    """
    known = {int(group): start[group] for group in np.flatnonzero(used & ~stray)}
    searched = search_offsets(prepared, used, reach, known)
    return start if searched is None else searched.offsets_px


def _of_common_rings(
    prepared: Prepared,
    start: NDArray[np.float64],
    used: NDArray[np.bool_],
    progress: Progress | None,
    fixed: tuple[int, ...] = (),
) -> Refinement | None:
    """Joint refinement of the groups that see the same rings.

    A group that does not see the rings of the others only disturbs them. Which ones do shows once
    the others are refined; then all of these are refined together.
    """
    tried = [used]
    while True:
        refined = refine_rings(prepared, start, used, progress, fixed)
        if refined is None:
            return None
        used = quality.sees_rings(ring_significance(prepared, refined.offsets_px, refined.used))
        if not used.any() or any((used == before).all() for before in tried):
            return refined
        start = refined.offsets_px
        tried.append(used)


def _hopeless(quadrant: QuadrantAlignment) -> QuadrantAlignment:
    """A quadrant of an image in which no offsets make the quadrants agree."""
    return quality.undetermined(
        quadrant,
        "Rings too weak: no offsets make the quadrants agree on rings by "
        f"{MAP_VERDICT.hopeless_sigmas:.0f} sigmas; {quality.WEAK}.",
    )


def _calibrant(
    refined: Refinement, settings: AlignmentSettings, image: ImageLike, pixel_um: float
) -> CalibrantFit | None:
    if settings.calibrant == "unknown":
        return None
    distance, wavelength = distance_mm(image), wavelength_angstrom(image)
    if not distance or not wavelength:
        raise CalibrantMismatch(
            f"Rings of {settings.calibrant} need the image's distance and wavelength."
        )
    return fit_calibrant(refined, settings.calibrant, distance, wavelength, pixel_um)


def _open_combinations(
    refined: Refinement | None, quadrants: list[QuadrantAlignment]
) -> tuple[str, ...]:
    """What the rings leave open, where they say anything at all."""
    if refined is None or all(quadrant.verdict == "not determined" for quadrant in quadrants):
        return ()
    return refined.undetermined


def _with_turns(
    quadrants: list[QuadrantAlignment], middles: NDArray[np.float64]
) -> list[QuadrantAlignment]:
    """Beside each offset the turn about the quadrant's middle that rings cannot tell from it."""
    turns = turns_alike_deg(np.array([quadrant.offset_px for quadrant in quadrants]), middles)
    return [
        quadrant
        if quadrant.verdict == "not determined"
        else dataclasses.replace(
            quadrant, measures=dataclasses.replace(quadrant.measures, turn_alike_deg=float(turn))
        )
        for quadrant, turn in zip(quadrants, turns, strict=True)
    ]


def _notes(
    refined: Refinement | None,
    quadrants: list[QuadrantAlignment],
    middles: NDArray[np.float64],
) -> tuple[str, ...]:
    if refined is None:
        return ()
    known = np.array([q.verdict != "not determined" for q in quadrants]) & refined.used
    notes = degeneracy_notes(
        refined.offsets_px, refined.covariance_px2, known, middles, refined.weak is None
    )
    return notes + refined.notes() if known.any() else ()


def _without_maps(refined: Refinement | None, detector: Detector) -> tuple[str, ...]:
    """Say so where groups are too small for maps and the joint fit alone gives the offsets."""
    if refined is None or detector.self_rotation:
        return ()
    return (
        f"A {detector.group_word} of the {detector.name} spans too small an angle for its map to "
        "tell its place; offsets are those of the joint ring fit alone.",
    )


def _without_overlap(
    quadrants: list[QuadrantAlignment], present: Geometry, detector: Detector
) -> list[QuadrantAlignment]:
    """Do not accept offsets that would put one sensor on another."""
    applied = np.array(
        [quadrant.offset_px if quadrant.accepted else (0.0, 0.0) for quadrant in quadrants]
    )
    if not applied.any():
        return quadrants
    overlaps = overlap_warnings(present, moved_groups(present, detector, applied), detector)
    return [
        dataclasses.replace(
            quadrant, verdict="uncertain", accepted=False,
            warnings=(*quadrant.warnings, overlaps[quadrant.quadrant]),
        )
        if quadrant.quadrant in overlaps and quadrant.accepted else quadrant
        for quadrant in quadrants
    ]  # fmt: skip
