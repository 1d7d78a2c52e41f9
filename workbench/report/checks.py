"""What a calibration is judged by: each criterion with what was found and what is wanted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from workbench.alignment import Alignment
from workbench.errors import enumerated
from workbench.mask import Mask
from workbench.pipeline import Calibration
from workbench.report.ring_comparison import RingComparison
from workbench.report.text import Shown, table

Level = Literal["good", "care", "poor"]
MARKS: dict[Level, str] = {"good": "✓", "care": "!", "poor": "✗"}

LARGEST_MASK = 0.3
"""A mask that removes more than this fraction of the detector is not believable."""
LEAST_GAIN = 1.0
MOVED_PX = 0.5


@dataclass(frozen=True)
class Check:
    """One criterion.

    Attributes
    ----------
    what : the criterion.
    value : of this calibration.
    wanted : what it should be.
    level : ``good``, ``care`` or ``poor``.
    reasons : sentences if the level is not good.
    """

    what: str
    value: str
    wanted: str
    level: Level = "good"
    reasons: tuple[str, ...] = ()


def checks(
    calibration: Calibration, rings: RingComparison | None = None, other_version: str = ""
) -> list[Check]:
    """Every criterion that applies to a calibration.

    Parameters
    ----------
    rings : profiles before and after, if there is a powder image and an alignment.
    other_version : sentence, if the version made by this recipe holds another geometry.
    """
    mask, alignment = calibration.mask, calibration.alignment
    made = [_masked(mask)] if mask is not None else []
    if alignment is not None:
        made += [_determined(alignment), *_certain(alignment), *_sharper(alignment, rings)]
    if mask is None and alignment is None:
        nothing = "Neither a mask nor quadrant offsets were made."
        made.append(Check("results", "none", "a mask or offsets", "poor", (nothing,)))
    if other_version:
        words = ("the deployed version", "another geometry", "this result")
        made.append(Check(*words, "care", (other_version,)))
    return [*made, _warnings(calibration)]


def show(made: Iterable[Check]) -> Shown:
    """Table of the criteria; a mark and not only a colour shows which are met."""
    rows = [[MARKS[check.level], check.what, check.value, check.wanted] for check in made]
    return table(["", "checked", "found", "wanted"], rows)


def _masked(mask: Mask) -> Check:
    fraction = mask.masked_fraction
    words = ("pixels masked", f"{100 * fraction:.2f} %", f"at most {100 * LARGEST_MASK:.0f} %")
    if fraction <= LARGEST_MASK:
        return Check(*words)
    reason = (
        f"The mask removes {100 * fraction:.0f} % of all pixels; look at the thresholds, and"
        " whether dark and bright runs are swapped."
    )
    return Check(*words, "poor", (reason,))


def _determined(alignment: Alignment) -> Check:
    quadrants = list(enumerate(alignment.quadrants))
    missing = [number for number, quadrant in quadrants if quadrant.verdict == "not determined"]
    have = len(quadrants) - len(missing)
    words = (f"{_word(alignment)} offsets determined", f"{have} of {len(quadrants)}", "all")
    if not missing:
        return Check(*words)
    return Check(*words, "poor", (f"{_offsets_of(_word(alignment), missing)} not determined.",))


def _certain(alignment: Alignment) -> Iterator[Check]:
    quadrants = [
        (number, quadrant)
        for number, quadrant in enumerate(alignment.quadrants)
        if quadrant.verdict != "not determined"
    ]
    if not quadrants:
        return
    reasons: list[str] = []
    for verdict, words in (("uncertain", "uncertain"), ("overruled", "set by hand")):
        named = [number for number, quadrant in quadrants if quadrant.verdict == verdict]
        reasons += [f"{_offsets_of(_word(alignment), named)} {words}."] if named else []
    left = [number for number, quadrant in quadrants if not quadrant.accepted]
    reasons += [f"{_offsets_of(_word(alignment), left)} not accepted: not applied."] if left else []
    unknown = [
        number
        for number, quadrant in quadrants
        if quadrant.verdict == "good" and not np.isfinite(quadrant.sigma_px).all()
    ]
    if unknown:
        reasons.append(
            f"The uncertainty of the offsets is not known ({_word(alignment)}s"
            f" {enumerated(unknown)})."
        )
    sigmas = np.array([quadrant.sigma_px for _, quadrant in quadrants], dtype=float)
    largest = f"{sigmas.max():.2f} px" if np.isfinite(sigmas).all() else "not known"
    level: Level = "care" if reasons else "good"
    yield Check("largest uncertainty (σ)", largest, "good by their own measures", level,
                tuple(reasons))  # fmt: skip


def _sharper(alignment: Alignment, rings: RingComparison | None) -> Iterator[Check]:
    if rings is None or not math.isfinite(rings.gain):
        return
    moved = float(np.hypot(*alignment.applied_px.T).max())
    wanted = f"above {LEAST_GAIN:g} if a {_word(alignment)} moves by over {MOVED_PX:g} px"
    words = ("ring contrast, after / before", f"{rings.gain:.2f}", wanted)
    if moved <= MOVED_PX or rings.gain >= LEAST_GAIN:
        yield Check(*words)
        return
    reason = (
        "Rings are less sharp in the corrected geometry than in the deployed one (contrast"
        f" × {rings.gain:.2f}); the offsets are probably wrong."
    )
    yield Check(*words, "poor", (reason,))


def _warnings(calibration: Calibration) -> Check:
    warnings = list(calibration.warnings)
    by_text: dict[str, list[int]] = {}
    word = "quadrant"
    if calibration.alignment is not None:
        word = _word(calibration.alignment)
        for number, quadrant in enumerate(calibration.alignment.quadrants):
            for text in quadrant.warnings:
                by_text.setdefault(text, []).append(number)
    warnings += [
        f"{word.capitalize()}{'s' if len(numbers) > 1 else ''} {enumerated(numbers)}: {text}"
        for text, numbers in by_text.items()
    ]
    reasons = tuple(dict.fromkeys(warnings))
    words = ("warnings of averages, mask, alignment", str(len(reasons) or "none"), "none")
    return Check(*words, "care" if reasons else "good", reasons)


def _word(alignment: Alignment) -> str:
    """What is moved is called ``quadrant``, ``side`` or ``module``."""
    return alignment.detector.group_word


def _offsets_of(word: str, numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"The offset of {word} {numbers[0]} is"
    return f"The offsets of {word}s {enumerated(numbers)} are"
