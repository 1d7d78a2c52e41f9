"""Offsets in one half of the events against those in the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.alignment.prepare import prepare
from workbench.alignment.quality import largest_sigma
from workbench.alignment.refine import Refinement, refine_rings
from workbench.alignment.result import QuadrantAlignment
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


def origin(halves: Sequence[Any]) -> Origin:
    """What two images of halves are, by their provenance.

    The variance of an offset goes with 1 / events: two equal halves differ by twice the standard
    deviation of the whole, unequal ones by more.
    """
    known = [getattr(half, "provenance", None) or {} for half in halves]
    splits = {one["half"].get("split") for one in known if isinstance(one.get("half"), dict)}
    split = str(splits.pop() or "") if len(splits) == 1 else ""
    counts = [one["count"] for one in known if isinstance(one.get("count"), int)]
    if len(counts) < len(known) or min(counts) < 1:
        return Origin(split)
    return Origin(split, float(np.sqrt(sum(counts) * sum(1 / count for count in counts))))


def refined_half(
    image: Any, refined: Refinement, present: Any, mask: Any, settings: AlignmentSettings
) -> Refinement | None:
    """Joint refinement of the image of one half, beginning where that of all events ended."""
    prepared = prepare(image, present, mask, settings)
    return refine_rings(prepared, refined.offsets_px, refined.used)


def compared_halves(
    quadrants: list[QuadrantAlignment],
    whole: Refinement,
    found: Sequence[Refinement | None],
    of: Origin,
) -> list[QuadrantAlignment]:
    """Quadrants with what the refinements of the two halves say about them."""
    return [
        _compared(one, found, of)
        if whole.used[one.quadrant] and one.verdict != "not determined"
        else one
        for one in quadrants
    ]


def _compared(
    one: QuadrantAlignment, found: Sequence[Refinement | None], of: Origin
) -> QuadrantAlignment:
    offsets = [half.offsets_px[one.quadrant] for half in found
               if half is not None and half.used[one.quadrant]]  # fmt: skip
    if len(offsets) < 2:
        apart, text = float("nan"), "One half of the events has no usable pixels here."
    else:
        apart = float(np.hypot(*(offsets[0] - offsets[1])))
        text = _moved(apart, of.split)
    one = dataclasses.replace(one, measures=one.measures | {"event_halves_apart_px": apart})
    if apart <= max(LEAST_PX, SIGMAS * of.factor * largest_sigma(one.covariance_px2)):
        return one
    return dataclasses.replace(one, verdict="uncertain", warnings=(*one.warnings, text))


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
