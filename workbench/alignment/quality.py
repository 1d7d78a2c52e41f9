"""What an alignment is worth: verdicts, and sensors that would overlap."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.evidence import RingEvidence
from workbench.alignment.refine import Refinement
from workbench.alignment.result import QuadrantAlignment, Verdict
from workbench.detector import SENSORS_PER_QUADRANT
from workbench.geometry import Geometry, overlapping_modules

MIN_EVIDENCE_SIGMAS = 15.0
"""Agreement with the other quadrants' rings below this is what structure without rings reaches."""
CLEAR_EVIDENCE_SIGMAS, MIN_CONSISTENCY = 60.0, 4.0
"""Agreement below the first needs most ASICs to share in it: this many standard errors. Stripes
and plaids reach 22 sigmas through a few ASICs (consistency up to 2)."""
FAINT_EVIDENCE_SIGMAS = 40.0
"""Agreement below this is of rings so faint that noise in the curvature can fake a small sigma
(Si and CeO2 under 40 times their photons of water: errors up to 1 px)."""
MAX_SIGMA_PX = 1.5
"""An offset less certain than this is not determined."""
SURE_SIGMA_PX = 0.5
"""An offset less certain than this, in any direction, is called uncertain."""
MAX_OVERLAP_PX = 2.0
"""Sensors are measured to better than this, so deeper overlap is impossible."""
WEAK = "use the maximum or the average of several runs"


def judge(
    one: QuadrantAlignment, refined: Refinement, evidence: RingEvidence, range_px: float
) -> QuadrantAlignment:
    """One quadrant's final answer from the joint refinement."""
    q = one.quadrant
    block = slice(2 * q, 2 * q + 2)
    offset, covariance = refined.offsets_px[q], refined.covariance_px2[block, block]
    halves = refined.halves_px[:, q]
    apart = float(np.hypot(*(halves[0] - halves[1])))
    sigma = largest_sigma(covariance)
    measures = dict(one.measures)
    measures |= {
        "ring_evidence_sigmas": float(evidence.sigmas[q]),
        "ring_consistency": float(evidence.consistency[q]),
        "halves_apart_px": apart,
        "largest_sigma_px": sigma,
    }
    one = dataclasses.replace(one, measures=measures)
    problem = _refusal(refined, float(evidence.sigmas[q]), sigma, apart)
    if problem:
        return undetermined(one, problem)
    warnings = [text for text in one.warnings if "Rings too weak" not in text]
    verdict: Verdict = "good"
    if (
        not evidence.sigmas[q] >= CLEAR_EVIDENCE_SIGMAS
        and not evidence.consistency[q] >= MIN_CONSISTENCY
    ):
        warnings.append(
            "Few of the quadrant's ASICs see the rings of the others; look at the picture whether "
            "they are rings."
        )
        verdict = "uncertain"
    if not evidence.sigmas[q] >= FAINT_EVIDENCE_SIGMAS:
        warnings.append(
            f"The rings are faint: agreement with the other quadrants is {evidence.sigmas[q]:.0f} "
            f"sigmas ({FAINT_EVIDENCE_SIGMAS:.0f} are clear); {WEAK}."
        )
        verdict = "uncertain"
    if sigma > SURE_SIGMA_PX:
        warnings.append(
            f"The offset is known to {sigma:.1f} px only in its weakest direction; {WEAK}."
        )
        verdict = "uncertain"
    if apart > max(0.5, 5 * sigma):
        warnings.append(
            f"Even and odd sensors give offsets {apart:.1f} px apart; look for a shadow or a "
            "sensor out of place."
        )
        verdict = "uncertain"
    if np.abs(offset).max() > range_px + 1:
        warnings.append("The offset lies beyond the searched range; widen it.")
        verdict = "uncertain"
    if not refined.converged:
        warnings.append("The refinement did not settle; the uncertainty may be larger.")
        verdict = "uncertain"
    return dataclasses.replace(
        one,
        offset_px=offset,
        covariance_px2=covariance,
        verdict=verdict,
        warnings=tuple(warnings),
        accepted=True,
    )


def _refusal(refined: Refinement, agreement: float, sigma: float, apart: float) -> str:
    if not agreement >= MIN_EVIDENCE_SIGMAS:
        return (
            f"Rings too weak: agreement with the other quadrants is {max(agreement, 0):.0f} "
            f"sigmas ({MIN_EVIDENCE_SIGMAS:.0f} are needed); {WEAK}."
        )
    if not sigma <= MAX_SIGMA_PX:
        return f"The offset is uncertain by {sigma:.1f} px in its weakest direction; {WEAK}."
    if apart > max(3.0, 8 * sigma):
        return f"Even and odd sensors give offsets {apart:.1f} px apart; nothing is decided."
    return ""


def undetermined(one: QuadrantAlignment, reason: str) -> QuadrantAlignment:
    """The same quadrant without an offset; it stays where it is."""
    others = tuple(text for text in one.warnings if "Rings too weak" not in text)
    return dataclasses.replace(
        one,
        offset_px=np.zeros(2),
        covariance_px2=np.full((2, 2), np.nan),
        verdict="not determined",
        warnings=(reason, *(text for text in others if text != reason)),
        accepted=False,
    )


def largest_sigma(covariance: NDArray[np.float64]) -> float:
    if not np.isfinite(covariance).all():
        return float("inf")
    return float(np.sqrt(max(np.linalg.eigvalsh(covariance)[-1], 0.0)))


def overlaps_px(geometry: Geometry) -> dict[tuple[int, int], float]:
    """Depth in pixels by which pairs of modules overlap; pairs that do not are absent."""
    pixel_um = geometry.detector.pixel_um
    return {pair: depth / pixel_um for pair, depth in overlapping_modules(geometry).items()}


def overlap_warnings(before: Any, after: Any) -> dict[int, str]:
    """Warnings per quadrant about sensors that overlap after the shift by over 2 px more."""
    already = overlaps_px(before)
    found: dict[int, str] = {}
    for (a, b), depth in overlaps_px(after).items():
        if depth - already.get((a, b), 0.0) <= MAX_OVERLAP_PX:
            continue
        first, second = a // SENSORS_PER_QUADRANT, b // SENSORS_PER_QUADRANT
        text = (
            f"After the shift sensor {a % SENSORS_PER_QUADRANT} of quadrant {first} and sensor "
            f"{b % SENSORS_PER_QUADRANT} of quadrant {second} would overlap by {depth:.1f} px."
        )
        found.setdefault(first, text)
        found.setdefault(second, text)
    return found
