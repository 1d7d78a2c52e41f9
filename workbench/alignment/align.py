"""Find the offsets of the four quadrants."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from workbench.alignment import halves as compare
from workbench.alignment import quality
from workbench.alignment.calibrant import CalibrantFit, fit_calibrant, with_calibrant
from workbench.alignment.cctbx import MULTI_ANGLES, SINGLE_ANGLE, align_as_cctbx
from workbench.alignment.correlation import CorrelationMap, correlation_map, trial_offsets
from workbench.alignment.evidence import ring_evidence
from workbench.alignment.peak import Peak, find_peak
from workbench.alignment.prepare import Prepared, image_data, prepare
from workbench.alignment.refine import Refinement, refine_rings
from workbench.alignment.result import Alignment, QuadrantAlignment, Verdict
from workbench.alignment.search import search_offsets
from workbench.alignment.sharpness import ring_sharpness
from workbench.alignment.swapped import polarisation_check
from workbench.alignment.unseen import middles_px, turns_alike_deg, unseen_by_rings
from workbench.detector import QUADRANTS
from workbench.errors import AlignmentError
from workbench.progress import Progress, raise_if_cancelled
from workbench.recipe import AlignmentSettings
from workbench.recipe.alignment import Method

WIDEST_RANGE_PX = 60
"""A peak on the edge of the grid widens the grid up to this."""
MIN_SIGNIFICANCE = 8.0
"""Correlation over its standard deviation for unrelated noise that counts as rings."""
HOPELESS_SIGMAS = 4.0
"""If no quadrant agrees with the others by more after the search, there is nothing to refine."""
CLEAR_SIGNIFICANCE = 40.0
"""Maps this clear start the joint refinement; below it all offsets are searched together."""
MAP_ERROR_PX = 0.25
"""Systematic part of a map's peak, mostly radial (benchmarks/alignment.py)."""
_STEPS = QUADRANTS + 2


def align_quadrants(
    image: Any,
    geometry: Any = None,
    mask: Any = None,
    method: str | None = None,
    settings: AlignmentSettings | None = None,
    progress: Progress | None = None,
    halves: Sequence[Any] | None = None,
) -> Alignment:
    """Find where each quadrant sees the centre of the powder rings.

    Parameters
    ----------
    image : DetectorImage, or array ``(32, 185, 388)`` in ADU
        Average or maximum of a run with powder rings (averages are less noisy).
    geometry : Geometry, default that of the image.
    mask : Mask, or bool array ``(32, 185, 388)``, True = good; default: all pixels.
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
    Cancelled
        If `progress` is cancelled.
    """
    settings = settings or AlignmentSettings()
    if method is not None:
        if method not in ("quadrant", "cctbx"):
            raise AlignmentError(f"There is no method {method!r}; use 'quadrant' or 'cctbx'.")
        settings = dataclasses.replace(settings, method=cast(Method, method))
    of_halves = tuple(() if halves is None else halves)
    if len(of_halves) not in (0, 2):
        raise AlignmentError(f"Halves of the events are two images, not {len(of_halves)}.")
    present = geometry if geometry is not None else getattr(image, "geometry", None)
    started = time.perf_counter()
    if settings.method == "cctbx":
        return _as_cctbx(image, present, mask, settings, progress, bool(of_halves))
    prepared = prepare(image, present, mask, settings)
    quadrants = []
    for quadrant in range(QUADRANTS):
        raise_if_cancelled(progress, "The alignment")
        quadrants.append(_from_map(prepared.quadrant(quadrant), quadrant, settings))
        if progress is not None:
            progress.update(quadrant + 1, _STEPS, f"map of quadrant {quadrant}")
    seconds = {"maps": time.perf_counter() - started}
    refined, told = None, None
    if settings.refine == "rings":
        raise_if_cancelled(progress, "The alignment")
        refined, quadrants, told = _refined(prepared, quadrants, settings, image, progress)
        raise_if_cancelled(progress, "The alignment")
        seconds["refinement"] = time.perf_counter() - started - seconds["maps"]
    if of_halves and refined is not None:
        apart = [compare.refined_half(one, refined, present, mask, settings) for one in of_halves]
        quadrants = compare.compared_halves(quadrants, refined, apart, compare.origin(of_halves))
    middles = middles_px(present)
    quadrants = _with_turns(_without_overlap(quadrants, present), middles)
    swapped = polarisation_check(image, present, mask).warning()
    if progress is not None:
        progress.update(_STEPS, _STEPS, "aligned")
    applied = np.array([one.offset_px if one.accepted else (0.0, 0.0) for one in quadrants])
    details = {
        "seconds": seconds,
        "ring_sharpness": {
            "before": ring_sharpness(prepared, np.zeros((QUADRANTS, 2))).to_dict(),
            "after": ring_sharpness(prepared, applied).to_dict(),
        },
        "calibrant": told.to_dict() if isinstance(told, CalibrantFit) else told,
        "saturated_pixels": prepared.saturated,
        "usable_pixels": int(np.count_nonzero(prepared.good)),
    }
    unused = of_halves and settings.refine == "none"
    return Alignment(
        tuple(quadrants),
        present,
        settings.method,
        settings,
        warnings=_open_combinations(refined, quadrants)
        + ((told,) if isinstance(told, str) else ())
        + ((swapped,) if swapped else ())
        + ((compare.UNUSED,) if unused else ()),
        refinement=refined,
        details=details,
        notes=_notes(refined, quadrants, middles),
    )


def _as_cctbx(
    image: Any,
    present: Any,
    mask: Any,
    settings: AlignmentSettings,
    progress: Progress | None,
    divided: bool,
) -> Alignment:
    image_data(image)
    if present is None:
        raise AlignmentError("The image has no geometry; give one with geometry=…")
    raise_if_cancelled(progress, "The alignment")
    angles = MULTI_ANGLES if settings.multi_angle else SINGLE_ANGLE
    started = time.perf_counter()
    quadrants, names = align_as_cctbx(image, present, settings.range_px, angles)
    if progress is not None:
        progress.update(_STEPS, _STEPS, "aligned")
    told = "Method cctbx looks at no mask; the one given is unused."
    warnings = ((told,) if mask is not None else ()) + ((compare.UNUSED,) if divided else ())
    details = {"panels": names, "seconds": {"maps": time.perf_counter() - started}}
    return Alignment(
        tuple(quadrants), present, settings.method, settings, warnings=warnings, details=details
    )


def _from_map(pixels: Prepared, quadrant: int, settings: AlignmentSettings) -> QuadrantAlignment:
    """Answer of one quadrant's correlation map alone."""
    reach = float(settings.range_px)
    widened = False
    while True:
        trials = trial_offsets(reach, settings.step_px)
        found = correlation_map(pixels, trials, settings.angles_deg, settings.min_overlap)
        peak = find_peak(found.cc, trials)
        if peak is None or not peak.at_edge or reach >= WIDEST_RANGE_PX:
            break
        if _significance(found, peak) < MIN_SIGNIFICANCE:
            break
        reach, widened = min(2 * reach, WIDEST_RANGE_PX), True
    return _judged(found, peak, quadrant, int(np.count_nonzero(pixels.good)), widened)


def _judged(
    found: CorrelationMap, peak: Peak | None, quadrant: int, usable: int, widened: bool
) -> QuadrantAlignment:
    nothing = QuadrantAlignment(
        quadrant=quadrant,
        offset_px=np.zeros(2),
        covariance_px2=np.full((2, 2), np.nan),
        cc=0.0,
        map=found.cc,
        trials_px=found.trials_px,
        peak_px=np.full(2, np.nan),
        pairs=0,
        verdict="not determined",
        accepted=False,
    )
    if peak is None:
        reason = (
            f"only {usable} usable pixels; look at the mask"
            if not found.by_angle
            else "no correlation with the rotated quadrant: the image shows no rings"
        )
        return dataclasses.replace(nothing, warnings=(reason.capitalize() + ".",))
    significance = _significance(found, peak)
    curved = np.isfinite(peak.curvature).all()
    known = dataclasses.replace(
        nothing,
        cc=peak.cc,
        pairs=int(found.pairs[peak.trial]),
        peak_px=peak.offset_px,
        measures={
            "significance": significance,
            "second_peak_ratio": peak.second_ratio,
            "peak_height_sigmas": peak.height_sigmas,
            "curvature_weak": float(-np.linalg.eigvalsh(peak.curvature)[-1]) if curved else np.nan,
        },
    )
    if significance < MIN_SIGNIFICANCE or not curved:
        return quality.undetermined(
            known,
            f"Rings too weak: correlation {peak.cc:.4f} is {significance:.1f} times its noise; "
            f"{quality.WEAK}.",
        )
    warnings = []
    verdict: Verdict = "good"
    if peak.at_edge:
        warnings.append("The peak lies at the edge of the grid; the offset may be larger.")
        verdict = "uncertain"
    if widened:
        warnings.append(
            "The peak lay at the edge of the grid, which was widened to "
            f"±{found.trials_px[-1]:g} px."
        )
    if peak.second_ratio > 0.9:
        warnings.append(
            f"The map alone is ambiguous: a second peak is {100 * peak.second_ratio:.0f} % as high."
        )
        verdict = "uncertain"
    return dataclasses.replace(
        known,
        offset_px=peak.offset_px,
        covariance_px2=_map_covariance(found, peak),
        verdict=verdict,
        warnings=tuple(warnings),
        accepted=True,
    )


def _significance(found: CorrelationMap, peak: Peak) -> float:
    """Correlation over the standard deviation it has for unrelated noise.

    Grid points share pixels with their neighbours, so a pair counts as about half a pair.
    """
    return float(peak.cc * np.sqrt(_independent_pairs(found, peak)))


def _independent_pairs(found: CorrelationMap, peak: Peak) -> float:
    return float(found.pairs[peak.trial]) / max(len(found.by_angle), 1) / 2


def _map_covariance(found: CorrelationMap, peak: Peak) -> NDArray[np.float64]:
    """Covariance of a map's peak from its curvature, noise and the map's systematic error.

    For a matched filter the log-likelihood is about ``n cc² / (2 (1 - cc²))``.
    """
    cc = min(peak.cc, 0.999)
    scale = (1 - cc * cc) / (_independent_pairs(found, peak) * cc)
    return np.asarray(scale * np.linalg.inv(-peak.curvature) + MAP_ERROR_PX**2 * np.eye(2))


def _refined(
    prepared: Prepared,
    quadrants: list[QuadrantAlignment],
    settings: AlignmentSettings,
    image: Any,
    progress: Progress | None,
) -> tuple[Refinement | None, list[QuadrantAlignment], CalibrantFit | str | None]:
    """All quadrants together, from the maps where they are clear, else from a joint search."""
    used = np.array([np.count_nonzero(prepared.quadrant(q).value) > 5000 for q in range(QUADRANTS)])
    present = [one for one in quadrants if used[one.quadrant]]
    if not present:
        return None, quadrants, None
    start = np.array([one.offset_px for one in quadrants])
    clear = all(
        one.verdict == "good" and one.measures["significance"] > CLEAR_SIGNIFICANCE
        for one in present
    )
    reach = float(max(one.trials_px[-1] for one in quadrants))
    if not clear:
        found = search_offsets(prepared, used, reach)
        if found is not None:
            start = found.offsets_px
        if not (ring_evidence(prepared, start, used).sigmas >= HOPELESS_SIGMAS).any():
            return None, [_hopeless(one) if used[one.quadrant] else one for one in quadrants], None
    refined = refine_rings(prepared, start, used, progress)
    if refined is None:
        return None, quadrants, None
    told = _calibrant(refined, settings, image)
    if isinstance(told, CalibrantFit):
        refined = with_calibrant(refined, told)
    evidence = ring_evidence(prepared, refined.offsets_px, refined.used)
    judged = [
        quality.judge(one, refined, evidence, reach) if used[one.quadrant] else one
        for one in quadrants
    ]
    return refined, judged, told


def _hopeless(one: QuadrantAlignment) -> QuadrantAlignment:
    """A quadrant of an image in which no offsets make the quadrants agree."""
    return quality.undetermined(
        one,
        f"Rings too weak: no offsets make the quadrants agree on rings by {HOPELESS_SIGMAS:.0f} "
        f"sigmas; {quality.WEAK}.",
    )


def _calibrant(
    refined: Refinement, settings: AlignmentSettings, image: Any
) -> CalibrantFit | str | None:
    if settings.calibrant == "unknown":
        return None
    distance = getattr(image, "distance_mm", None)
    wavelength = getattr(image, "wavelength_angstrom", None)
    if not distance or not wavelength:
        return f"Rings of {settings.calibrant} need the image's distance and wavelength."
    return fit_calibrant(refined, settings.calibrant, distance, wavelength)


def _open_combinations(
    refined: Refinement | None, quadrants: list[QuadrantAlignment]
) -> tuple[str, ...]:
    """What the rings leave open, where they say anything at all."""
    if refined is None or all(one.verdict == "not determined" for one in quadrants):
        return ()
    return refined.undetermined


def _with_turns(
    quadrants: list[QuadrantAlignment], middles: NDArray[np.float64]
) -> list[QuadrantAlignment]:
    """Beside each offset the turn about the quadrant's middle that rings cannot tell from it."""
    turns = turns_alike_deg(np.array([one.offset_px for one in quadrants]), middles)
    return [
        one
        if one.verdict == "not determined"
        else dataclasses.replace(one, measures=one.measures | {"turn_alike_deg": float(turn)})
        for one, turn in zip(quadrants, turns, strict=True)
    ]


def _notes(
    refined: Refinement | None,
    quadrants: list[QuadrantAlignment],
    middles: NDArray[np.float64],
) -> tuple[str, ...]:
    if refined is None:
        return ()
    known = np.array([one.verdict != "not determined" for one in quadrants]) & refined.used
    return unseen_by_rings(refined.offsets_px, refined.covariance_px2, known, middles)


def _without_overlap(quadrants: list[QuadrantAlignment], present: Any) -> list[QuadrantAlignment]:
    """Do not accept offsets that would put one sensor on another."""
    applied = np.array([one.offset_px if one.accepted else (0.0, 0.0) for one in quadrants])
    if not applied.any():
        return quadrants
    warnings = quality.overlap_warnings(present, present.move_quadrants(applied))
    changed = []
    for one in quadrants:
        if one.quadrant in warnings and one.accepted:
            one = dataclasses.replace(
                one,
                verdict="uncertain",
                accepted=False,
                warnings=(*one.warnings, warnings[one.quadrant]),
            )
        changed.append(one)
    return changed
