"""Find the offsets of the four quadrants."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, cast

import numpy as np

from workbench.alignment.correlation import CorrelationMap, correlation_map, trial_offsets
from workbench.alignment.peak import Peak, find_peak
from workbench.alignment.prepare import Prepared, prepare
from workbench.alignment.result import Alignment, QuadrantAlignment, Verdict
from workbench.detector import QUADRANTS
from workbench.errors import AlignmentError
from workbench.progress import Progress, raise_if_cancelled
from workbench.recipe import AlignmentSettings
from workbench.recipe.alignment import Method

WIDEST_RANGE_PX = 60
"""A peak on the edge of the grid widens the grid up to this."""
MIN_SIGNIFICANCE = 8.0
"""Correlation over its standard deviation for unrelated noise that counts as rings."""


def align_quadrants(
    image: Any,
    geometry: Any = None,
    mask: Any = None,
    method: str | None = None,
    settings: AlignmentSettings | None = None,
    progress: Progress | None = None,
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
    progress : told after each quadrant.

    Returns
    -------
    Alignment
        Images without usable rings give quadrants "not determined", never an error.

    Raises
    ------
    AlignmentError
        If a shape is wrong, there is no geometry or the method is unknown.
    """
    settings = settings or AlignmentSettings()
    if method is not None:
        if method not in ("quadrant", "cctbx"):
            raise AlignmentError(f"There is no method {method!r}; use 'quadrant' or 'cctbx'.")
        settings = dataclasses.replace(settings, method=cast(Method, method))
    present = geometry if geometry is not None else getattr(image, "geometry", None)
    started = time.perf_counter()
    prepared = prepare(image, present, mask, settings)
    quadrants = []
    for quadrant in range(QUADRANTS):
        raise_if_cancelled(progress, "The alignment")
        quadrants.append(_align_one(prepared.quadrant(quadrant), quadrant, settings))
        if progress is not None:
            progress.update(quadrant + 1, QUADRANTS, f"quadrant {quadrant}")
    details = {
        "seconds": time.perf_counter() - started,
        "saturated_pixels": prepared.saturated,
        "usable_pixels": int(np.count_nonzero(prepared.good)),
    }
    return Alignment(tuple(quadrants), present, settings.method, settings, details=details)


def _align_one(pixels: Prepared, quadrant: int, settings: AlignmentSettings) -> QuadrantAlignment:
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
    known = dataclasses.replace(
        nothing,
        cc=peak.cc,
        pairs=int(found.pairs[peak.trial]),
        peak_px=peak.offset_px,
        measures={
            "significance": significance,
            "second_peak_ratio": peak.second_ratio,
            "curvature_weak": float(-np.linalg.eigvalsh(peak.curvature)[-1])
            if np.isfinite(peak.curvature).all()
            else np.nan,
        },
    )
    if significance < MIN_SIGNIFICANCE or not np.isfinite(peak.curvature).all():
        warning = (
            f"Rings too weak: correlation {peak.cc:.4f} is {significance:.1f} times its noise; "
            "use the maximum or average of several runs."
        )
        return dataclasses.replace(known, warnings=(warning,))
    warnings = []
    verdict: Verdict = "good"
    if peak.at_edge:
        warnings.append("The peak lies at the edge of the grid; the offset may be larger.")
        verdict = "uncertain"
    if widened:
        warnings.append(f"The grid was widened to ±{found.trials_px[-1]:g} px.")
    if peak.second_ratio > 0.9:
        warnings.append(f"A second peak is {100 * peak.second_ratio:.0f} % as high.")
        verdict = "uncertain"
    return dataclasses.replace(
        known, offset_px=peak.offset_px, verdict=verdict, warnings=tuple(warnings), accepted=True
    )


def _significance(found: CorrelationMap, peak: Peak) -> float:
    """Correlation over the standard deviation it has for unrelated noise.

    Grid points share pixels with their neighbours, so a pair counts as about half a pair.
    """
    pairs = found.pairs[peak.trial]
    angles = max(len(found.by_angle), 1)
    return float(peak.cc * np.sqrt(pairs / angles / 2))
