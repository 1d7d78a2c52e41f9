"""What a calibration is judged by: each criterion with what was found and what is wanted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.report.text import Shown, enumerated, table

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
    found : the value of this calibration.
    wanted : what it should be.
    level : ``good``, ``care`` or ``poor``.
    reasons : sentences if the level is not good.
    """

    what: str
    found: str
    wanted: str
    level: Level = "good"
    reasons: tuple[str, ...] = ()


def checks(calibration: Any, evidence: Any = None, other_version: str = "") -> list[Check]:
    """Every criterion that applies to a calibration.

    Parameters
    ----------
    evidence : profiles before and after, if there is a powder image and an alignment.
    other_version : sentence, if the version made by this recipe holds another geometry.
    """
    found = [_masked(calibration)] if calibration.mask is not None else []
    if calibration.alignment is not None:
        found += [_determined(calibration.alignment), *_certain(calibration.alignment)]
        found += _sharper(calibration.alignment, evidence)
    if calibration.mask is None and calibration.alignment is None:
        nothing = "Neither a mask nor quadrant offsets were made."
        found.append(Check("results", "none", "a mask or offsets", "poor", (nothing,)))
    if other_version:
        words = ("the deployed version", "another geometry", "this result")
        found.append(Check(*words, "care", (other_version,)))
    found.append(_warnings(calibration))
    return found


def show(found: Iterable[Check]) -> Shown:
    """Table of the criteria; a mark and not only a colour tells which are met."""
    rows = [[MARKS[one.level], one.what, one.found, one.wanted] for one in found]
    return table(["", "checked", "found", "wanted"], rows)


def _masked(calibration: Any) -> Check:
    fraction = 1 - float(np.mean(calibration.mask.good))
    words = ("pixels masked", f"{100 * fraction:.2f} %", f"at most {100 * LARGEST_MASK:.0f} %")
    if fraction <= LARGEST_MASK:
        return Check(*words)
    reason = (
        f"The mask removes {100 * fraction:.0f} % of all pixels; look at the thresholds, and"
        " whether dark and bright runs are swapped."
    )
    return Check(*words, "poor", (reason,))


def _determined(alignment: Any) -> Check:
    quadrants = list(enumerate(alignment.quadrants))
    missing = [number for number, one in quadrants if one.verdict == "not determined"]
    have = len(quadrants) - len(missing)
    words = ("quadrant offsets determined", f"{have} of {len(quadrants)}", "all")
    if not missing:
        return Check(*words)
    return Check(*words, "poor", (f"{_offsets_of(missing)} not determined.",))


def _certain(alignment: Any) -> Iterator[Check]:
    quadrants = [
        (number, one)
        for number, one in enumerate(alignment.quadrants)
        if one.verdict != "not determined"
    ]
    if not quadrants:
        return
    reasons: list[str] = []
    for verdict, words in (("uncertain", "uncertain"), ("overruled", "set by hand")):
        named = [number for number, one in quadrants if one.verdict == verdict]
        reasons += [f"{_offsets_of(named)} {words}."] if named else []
    left = [number for number, one in quadrants if not one.accepted]
    reasons += [f"{_offsets_of(left)} not accepted: not applied."] if left else []
    unknown = [
        number
        for number, one in quadrants
        if one.verdict == "good" and not np.isfinite(one.sigma_px).all()
    ]
    if unknown:
        reasons.append(
            f"The uncertainty of the offsets is not known (quadrants {enumerated(unknown)})."
        )
    sigmas = np.array([one.sigma_px for _, one in quadrants], dtype=float)
    largest = f"{sigmas.max():.2f} px" if np.isfinite(sigmas).all() else "not known"
    level: Level = "care" if reasons else "good"
    yield Check("largest uncertainty (σ)", largest, "good by their own measures", level,
                tuple(reasons))  # fmt: skip


def _sharper(alignment: Any, evidence: Any) -> Iterator[Check]:
    if evidence is None or not math.isfinite(evidence.gain):
        return
    moved = float(np.hypot(*np.asarray(alignment.applied_px, dtype=float).T).max())
    wanted = f"above {LEAST_GAIN:g} if a quadrant moves by over {MOVED_PX:g} px"
    words = ("ring contrast, after / before", f"{evidence.gain:.2f}", wanted)
    if moved <= MOVED_PX or evidence.gain >= LEAST_GAIN:
        yield Check(*words)
        return
    reason = (
        "Rings are less sharp in the corrected geometry than in the deployed one (contrast"
        f" × {evidence.gain:.2f}); the offsets are probably wrong."
    )
    yield Check(*words, "poor", (reason,))


def _warnings(calibration: Any) -> Check:
    found = list(calibration.warnings)
    for part in (calibration.mask, calibration.alignment):
        found += getattr(part, "warnings", ())
    quadrants = getattr(calibration.alignment, "quadrants", ())
    by_text: dict[str, list[int]] = {}
    for number, one in enumerate(quadrants):
        for text in one.warnings:
            by_text.setdefault(text, []).append(number)
    found += [
        f"Quadrant{'s' if len(numbers) > 1 else ''} {enumerated(numbers)}: {text}"
        for text, numbers in by_text.items()
    ]
    reasons = tuple(dict.fromkeys(found))
    words = ("warnings of averages, mask, alignment", str(len(reasons) or "none"), "none")
    return Check(*words, "care" if reasons else "good", reasons)


def _offsets_of(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"The offset of quadrant {numbers[0]} is"
    return f"The offsets of quadrants {enumerated(numbers)} are"
