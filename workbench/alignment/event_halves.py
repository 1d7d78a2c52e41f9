"""Offsets from one half of the events against those from the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from workbench.alignment.prepare import ImageLike, MaskOrArray, prepare
from workbench.alignment.quality import largest_sigma
from workbench.alignment.refine import Refinement, refine_rings
from workbench.alignment.result import QuadrantAlignment
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.recipe import AlignmentSettings

UNUSED = "Halves of the events are compared by the joint refinement only; here they are unused."
LEAST_PX, SIGMAS = 0.2, 4.0
"""Offsets further apart than both of these are told."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """What two halves are.

    Attributes
    ----------
    split : ``odd-even``, ``first-last``, or empty if the images do not tell.
    factor : standard deviation of the difference of their offsets over that of the offset from all
        events.
    """

    split: str = ""
    factor: float = 2.0


def origin(halves: Sequence[ImageLike]) -> Origin:
    """What two images of halves are, by their provenance.

    The variance of an offset goes with 1 / events: two equal halves differ by twice the standard
    deviation of the whole, unequal ones by more.
    """
    known = [half.provenance if isinstance(half, DetectorImage) else {} for half in halves]
    splits = {entry["half"].get("split") for entry in known if isinstance(entry.get("half"), dict)}
    split = str(splits.pop() or "") if len(splits) == 1 else ""
    counts = [entry["count"] for entry in known if isinstance(entry.get("count"), int)]
    if len(counts) < len(known) or min(counts) < 1:
        return Origin(split)
    return Origin(split, float(np.sqrt(sum(counts) * sum(1 / count for count in counts))))


def refined_half(
    image: ImageLike,
    refined: Refinement,
    present: Geometry,
    mask: MaskOrArray | None,
    settings: AlignmentSettings,
) -> Refinement | None:
    """Joint refinement of the image of one half, beginning where that of all events ended."""
    prepared = prepare(image, present, mask, settings)
    return refine_rings(prepared, refined.offsets_px, refined.used, fixed=settings.fixed)


def compared_halves(
    quadrants: list[QuadrantAlignment],
    whole: Refinement,
    refined: Sequence[Refinement | None],
    of: Origin,
) -> list[QuadrantAlignment]:
    """Quadrants with what the refinements of the two halves say about them."""
    return [
        _compared(quadrant, refined, of)
        if whole.used[quadrant.quadrant] and quadrant.verdict != "not determined"
        else quadrant
        for quadrant in quadrants
    ]


def _compared(
    quadrant: QuadrantAlignment, refined: Sequence[Refinement | None], of: Origin
) -> QuadrantAlignment:
    place = quadrant.quadrant
    offsets = [half.offsets_px[place] for half in refined if half is not None and half.used[place]]
    if len(offsets) < 2:
        apart, text = float("nan"), "One half of the events has no usable pixels here."
    else:
        apart = float(np.hypot(*(offsets[0] - offsets[1])))
        text = _moved(apart, of.split)
    measures = dataclasses.replace(quadrant.measures, event_halves_apart_px=apart)
    quadrant = dataclasses.replace(quadrant, measures=measures)
    if apart <= max(LEAST_PX, SIGMAS * of.factor * largest_sigma(quadrant.covariance_px2)):
        return quadrant
    warnings = (*quadrant.warnings, text)
    return dataclasses.replace(quadrant, verdict="uncertain", warnings=warnings)


def _moved(apart: float, split: str) -> str:
    if split == "odd-even":
        return (
            f"The odd and the even half of the events give offsets {apart:.1f} px apart; the rings "
            "differ from shot to shot by more than the uncertainty says."
        )
    which = "first and the last half" if split == "first-last" else "two halves"
    return (
        f"The {which} of the events give offsets {apart:.1f} px apart; the detector or the beam "
        "may have moved between them."
    )
