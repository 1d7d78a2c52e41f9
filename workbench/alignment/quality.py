"""What an alignment is worth: verdicts.

Numbers are compared with their limits as they are printed, and sentences name both: so none says
that 0.50 px are more than 0.50 px.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.refine import Refinement
from workbench.alignment.result import Measures, QuadrantAlignment, Verdict
from workbench.alignment.ring_significance import RingSignificance
from workbench.quantities import plus_minus


@dataclass(frozen=True)
class VerdictLimits:
    """When an offset is good, uncertain or not determined.

    Attributes
    ----------
    least_significance : agreement with the other groups' rings, in sigmas, below which structure
        without rings comes.
    clear_significance, least_consistency : agreement below the first needs most ASICs to share in
        it, by so many standard errors. Squares reach 58 sigmas through a few ASICs (consistency
        2.1) before their sigma gives them away, stripes and scatter 56.
    sure_significance, sure_consistency : agreement below both is uncertain, so that a little less
        of it never makes a good offset one that is not determined.
    least_height : rings lower than this share of the others' are other rings: a few of them
        coincide.
    faint_significance : agreement below this is of rings so faint that noise in the curvature can
        fake a small sigma (Si and CeO2 under 40 times their photons of water: errors up to 1 px).
    most_sigma_px, sure_sigma_px : an offset less certain than the first, in any direction, is not
        determined, less certain than the second is called uncertain.
    most_scatter_px : rings that lie farther than this (RMS) from where the other sensors put them,
        beside what noise explains, are no rings: scatter with the strong ring of the real image
        masked gives 1.9 px, coarse grains 0.3.
    doubtful_held_px, doubtful_held_sigmas : groups held fixed that the rings put farther off than
        both make the offsets of the others uncertain.
    most_held_px, most_held_sigmas : farther off than both, nothing is aligned to them.
    """

    least_significance: float = 15.0
    clear_significance: float = 60.0
    sure_significance: float = 90.0
    least_consistency: float = 3.2
    sure_consistency: float = 4.0
    least_height: float = 0.25
    faint_significance: float = 40.0
    most_sigma_px: float = 1.5
    sure_sigma_px: float = 0.25
    most_scatter_px: float = 1.0
    doubtful_held_px: float = 0.2
    doubtful_held_sigmas: float = 4.0
    most_held_px: float = 1.0
    most_held_sigmas: float = 8.0


LIMITS = VerdictLimits()
WEAK = "merge more runs, or try the other one of average and maximum"
AMISS = "A quadrant held fixed is not where it should be."
OPEN = "rings at more radii, more of the detector in use, or a calibrant would settle it"


def judge(
    quadrant: QuadrantAlignment,
    refined: Refinement,
    significance: RingSignificance,
    range_px: float,
    limits: VerdictLimits = LIMITS,
) -> QuadrantAlignment:
    """One quadrant's final answer from the joint refinement."""
    q = quadrant.quadrant
    block = slice(2 * q, 2 * q + 2)
    offset, covariance = refined.offsets_px[q], refined.covariance_px2[block, block]
    split = refined.sensor_split_px[:, q]
    sigma = largest_sigma(covariance)
    agreement = float(significance.sigmas[q])
    measures = dataclasses.replace(
        quadrant.measures,
        ring_significance=agreement,
        ring_consistency=float(significance.consistency[q]),
        sensor_split_px=float(np.hypot(*(split[0] - split[1]))),
        largest_sigma_px=sigma,
    )
    quadrant = dataclasses.replace(quadrant, measures=measures)
    problem = _refusal(measures, bool(refined.used[q]), limits) or _scattered(refined, limits)
    if not problem and not refined.converged:
        problem = (
            f"The fit did not settle in {refined.iterations} steps; mask shadows and scatter, or "
            "use an image with more rings."
        )
    if problem:
        return undetermined(quadrant, problem)
    doubts = _doubts(significance, q, sigma, limits)
    if np.abs(offset).max() > range_px + 1:
        doubts.append(f"The offset lies beyond the searched ±{range_px:g} px; search farther.")
    verdict: Verdict = "uncertain" if doubts else "good"
    return dataclasses.replace(
        quadrant,
        offset_px=offset,
        covariance_px2=covariance,
        verdict=verdict,
        warnings=(*_of_clear_map(quadrant), *doubts),
        accepted=True,
    )


def _of_clear_map(quadrant: QuadrantAlignment) -> tuple[str, ...]:
    """Warnings of a map; what makes it unclear says nothing of the joint refinement."""
    return quadrant.warnings if quadrant.verdict == "good" else ()


def _doubts(
    significance: RingSignificance, q: int, sigma: float, limits: VerdictLimits
) -> list[str]:
    """Reasons why an offset is uncertain."""
    doubts = []
    agreement, consistency = significance.sigmas[q], significance.consistency[q]
    if not agreement >= limits.sure_significance and consistency < limits.sure_consistency:
        doubts.append(
            "Not all of the quadrant's ASICs see the rings of the others; look at the picture "
            "whether they are rings."
        )
    if not agreement >= limits.faint_significance:
        doubts.append(
            f"The rings are faint: agreement with the other quadrants is {int(agreement)} "
            f"sigmas ({limits.faint_significance:.0f} are clear); {WEAK}."
        )
    if round(sigma, 2) > limits.sure_sigma_px:
        doubts.append(
            f"The offset is known to {sigma:.2f} px only in its weakest direction "
            f"({limits.sure_sigma_px:.2f} is good); {OPEN}."
        )
    return doubts


def sees_rings(significance: RingSignificance, limits: VerdictLimits = LIMITS) -> NDArray[np.bool_]:
    """Whether each group sees the rings of the others, bool ``(groups,)``."""
    clear = significance.sigmas >= limits.clear_significance
    shared = significance.consistency >= limits.least_consistency
    same = significance.height >= limits.least_height
    return np.asarray((significance.sigmas >= limits.least_significance) & (clear | shared) & same)


def _refusal(measures: Measures, used: bool, limits: VerdictLimits) -> str:
    agreement, sigma = measures.ring_significance, measures.largest_sigma_px
    if not agreement >= limits.least_significance:
        return (
            f"Rings too weak: agreement with the other quadrants is {int(max(agreement, 0))} "
            f"sigmas ({limits.least_significance:.0f} are needed); {WEAK}."
        )
    if (
        not agreement >= limits.clear_significance
        and not measures.ring_consistency >= limits.least_consistency
    ):
        return (
            "Few of the quadrant's ASICs see the rings of the others; what agrees may be scatter "
            "or structure of the detector."
        )
    if not used:
        return (
            "This quadrant hardly sees the rings of the others, if at all; it is left out of the "
            "fit. Look at its picture."
        )
    if not round(sigma, 2) <= limits.most_sigma_px:
        return (
            f"The offset is uncertain by {sigma:.2f} px in its weakest direction "
            f"({limits.most_sigma_px:.2f} is the most); {OPEN}."
        )
    return ""


def _scattered(refined: Refinement, limits: VerdictLimits) -> str:
    """Why rings that do not agree with one another decide nothing, empty if they do."""
    scatter = refined.held_out.rms_px * np.sqrt(max(1 - 1 / max(refined.excess, 1e-9), 0.0))
    if not round(scatter, 2) > limits.most_scatter_px:
        return ""
    return (
        f"Rings lie {scatter:.2f} px (RMS) from where the rings of the other sensors put them "
        f"({limits.most_scatter_px:.2f} is the most); what agrees may be scatter or structure of "
        "the detector."
    )


def held_amiss(
    free: Refinement, fixed: tuple[int, ...], limits: VerdictLimits = LIMITS
) -> tuple[tuple[str, ...], bool]:
    """Sentences about groups held fixed that are off their place, and whether this is hopeless.

    Parameters
    ----------
    free : refinement in which they were free.
    """
    sentences: list[str] = []
    hopeless = False
    for group in sorted(set(fixed)):
        block = slice(2 * group, 2 * group + 2)
        offset, covariance = free.offsets_px[group], free.covariance_px2[block, block]
        if not np.isfinite(covariance).all():
            continue
        far = float(np.hypot(*offset))
        sigmas = float(np.sqrt(offset @ np.linalg.solve(covariance, offset)))
        if far < limits.doubtful_held_px or sigmas < limits.doubtful_held_sigmas:
            continue
        error = plus_minus(np.sqrt(np.diag(covariance)))
        sentences.append(
            f"Quadrant {group} is held fixed, but its rings have an offset of "
            f"({offset[0]:+.2f}, {offset[1]:+.2f}){error} px; it is aligned too if it is left free."
        )
        hopeless |= far > limits.most_held_px and sigmas > limits.most_held_sigmas
    return tuple(sentences), hopeless


def doubted(quadrant: QuadrantAlignment) -> QuadrantAlignment:
    """The same quadrant, aligned to one that is off its place."""
    if quadrant.verdict == "not determined":
        return quadrant
    warnings = (*quadrant.warnings, AMISS)
    return dataclasses.replace(quadrant, verdict="uncertain", warnings=warnings)


def undetermined(quadrant: QuadrantAlignment, reason: str) -> QuadrantAlignment:
    """The same quadrant without an offset; it stays where it is."""
    return dataclasses.replace(
        quadrant,
        offset_px=np.zeros(2),
        covariance_px2=np.full((2, 2), np.nan),
        verdict="not determined",
        warnings=(reason, *_of_clear_map(quadrant)),
        accepted=False,
    )


def largest_sigma(covariance: NDArray[np.float64]) -> float:
    """Standard deviation in the weakest direction; infinite where unknown."""
    if not np.isfinite(covariance).all():
        return float("inf")
    return float(np.sqrt(max(np.linalg.eigvalsh(covariance)[-1], 0.0)))
