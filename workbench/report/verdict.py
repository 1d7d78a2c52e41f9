"""The first screen of a report: what was done, can it be trusted, what is installed."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.report.evidence import Evidence
from workbench.report.text import Shown, count, signed

if TYPE_CHECKING:
    from workbench.pipeline import Calibration

SUMMARY_TYPE = "application/vnd.cspad-workbench.summary+json"
Level = Literal["good", "care", "poor"]
WORDS: dict[Level, str] = {
    "good": "This calibration can be trusted.",
    "care": "Use this calibration with care.",
    "poor": "Do not use this calibration as it is.",
}
LARGEST_MASK = 0.3
"""A mask that removes more than this fraction of the detector is not believable."""
LEAST_GAIN = 1.0
MOVED_PX = 0.5


@dataclass(frozen=True)
class Verdict:
    """Judgement of a calibration.

    Attributes
    ----------
    level : ``good``, ``care`` or ``poor``.
    done : sentences: what was done.
    reasons : sentences: what speaks against it; empty if nothing does.
    """

    level: Level
    done: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def word(self) -> str:
        """One sentence."""
        return WORDS[self.level]


def judge(
    calibration: Calibration, evidence: Evidence | None = None, installed: str = ""
) -> Verdict:
    """Judge a calibration.

    Parameters
    ----------
    calibration : results of a recipe.
    evidence : profiles before and after, if there is a powder image and an alignment.
    installed : sentence on the version in the calibration directory.
    """
    poor: list[str] = []
    care: list[str] = list(calibration.warnings)
    for part in (calibration.mask, calibration.alignment):
        care += [text for text in getattr(part, "warnings", ()) if text not in care]
    _judge_mask(calibration, poor)
    _judge_quadrants(calibration, poor, care)
    _judge_evidence(calibration, evidence, poor)
    if calibration.mask is None and calibration.alignment is None:
        poor.append("Neither a mask nor quadrant offsets were made.")
    level: Level = "poor" if poor else "care" if care else "good"
    done = tuple(text for text in (*_done(calibration, evidence), installed) if text)
    return Verdict(level, done, tuple(dict.fromkeys([*poor, *care])))


def show(verdict: Verdict, summary: dict[str, Any]) -> Shown:
    """Verdict as a box; the summary travels along for programs."""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in verdict.done)
    reasons = "".join(f"<li>{html.escape(text)}</li>" for text in verdict.reasons)
    against = f"<p>What to look at:</p><ul>{reasons}</ul>" if reasons else ""
    markup = (
        f'<div class="verdict {verdict.level}" role="note"><p class="word">'
        f"{html.escape(verdict.word)}</p><ul>{items}</ul>{against}</div>"
    )
    lines = [verdict.word, *(f"- {text}" for text in verdict.done)]
    if verdict.reasons:
        lines += ["What to look at:", *(f"- {text}" for text in verdict.reasons)]
    return Shown(markup, "\n".join(lines), {SUMMARY_TYPE: summary})


def summarise(
    calibration: Calibration, verdict: Verdict, evidence: Evidence | None
) -> dict[str, Any]:
    """Plain values of a report, for ``workbench report --json``."""
    mask, alignment = calibration.mask, calibration.alignment
    found: dict[str, Any] = {
        "level": verdict.level,
        "verdict": verdict.word,
        "done": list(verdict.done),
        "reasons": list(verdict.reasons),
    }
    if mask is not None:
        found["masked_pixels"] = int(mask.good.size - np.count_nonzero(mask.good))
        found["pixels"] = int(mask.good.size)
    if alignment is not None:
        found["offsets_px"] = [[float(v) for v in one.offset_px] for one in alignment.quadrants]
        found["sigmas_px"] = [
            [float(v) if math.isfinite(v) else None for v in one.sigma_px]
            for one in alignment.quadrants
        ]
        found["cc"] = [float(one.cc) for one in alignment.quadrants]
        found["mean_cc"] = float(alignment.mean_cc)
    if evidence is not None and math.isfinite(evidence.gain):
        found["ring_contrast_gain"] = evidence.gain
    return found


def _done(calibration: Calibration, evidence: Evidence | None) -> list[str]:
    recipe, images = calibration.recipe, calibration.images
    experiment = recipe.experiment
    done = []
    runs = []
    if images.dark is not None:
        runs.append(f"dark run {experiment.dark} ({count(images.dark.count)} events)")
    if images.bright:
        events = sum(one.count for one in images.bright)
        numbers = ", ".join(str(number) for number in experiment.bright)
        many = "runs" if len(images.bright) > 1 else "run"
        runs.append(f"bright {many} {numbers} ({count(events)} events)")
    if runs:
        done.append(f"Averaged {' and '.join(runs)} of {experiment.name}, {experiment.address}.")
    elif calibration.images.average is not None or calibration.images.maximum is not None:
        done.append("Started from images on file.")
    if (mask := calibration.mask) is not None:
        removed = int(mask.good.size - np.count_nonzero(mask.good))
        done.append(
            f"The mask removes {count(removed)} of {count(mask.good.size)} pixels"
            f" ({100 * removed / mask.good.size:.2f} %)."
        )
    if (alignment := calibration.alignment) is not None:
        offsets = "; ".join(
            f"Q{number} ({signed(one.offset_px[0])}, {signed(one.offset_px[1])})"
            for number, one in enumerate(alignment.quadrants)
            if one.verdict != "not determined"
        )
        done.append(
            f"Quadrant offsets x, y in pixels: {offsets or 'none'};"
            f" mean correlation {alignment.mean_cc:.4f}."
        )
    if evidence is not None and math.isfinite(evidence.gain):
        done.append(
            f"In the corrected geometry the rings stand out {evidence.gain:.2f} times as much as"
            " in the deployed one."
        )
    return done


def _judge_mask(calibration: Calibration, poor: list[str]) -> None:
    if calibration.mask is None:
        return
    fraction = 1 - float(np.mean(calibration.mask.good))
    if fraction > LARGEST_MASK:
        poor.append(
            f"The mask removes {100 * fraction:.0f} % of all pixels; look at the thresholds, and"
            " whether dark and bright runs are swapped."
        )


def _judge_quadrants(calibration: Calibration, poor: list[str], care: list[str]) -> None:
    if calibration.alignment is None:
        return
    unknown = [
        str(number)
        for number, one in enumerate(calibration.alignment.quadrants)
        if one.verdict == "good" and not np.isfinite(one.sigma_px).all()
    ]
    if unknown:
        care.append(
            f"The uncertainty of the offsets is not known (quadrants {', '.join(unknown)})."
        )
    for number, one in enumerate(calibration.alignment.quadrants):
        if one.verdict == "not determined":
            poor.append(f"The offset of quadrant {number} is not determined.")
        elif one.verdict == "uncertain":
            care.append(f"The offset of quadrant {number} is uncertain.")
        elif one.verdict == "overruled":
            care.append(f"The offset of quadrant {number} was set by hand.")
        if not one.accepted and one.verdict != "not determined":
            care.append(f"The offset of quadrant {number} was not accepted: it is not applied.")
        care += [f"Quadrant {number}: {text}" for text in one.warnings]


def _judge_evidence(calibration: Calibration, evidence: Evidence | None, poor: list[str]) -> None:
    alignment = calibration.alignment
    if evidence is None or alignment is None or not math.isfinite(evidence.gain):
        return
    moved = float(np.hypot(*np.asarray(alignment.applied_px, dtype=float).T).max())
    if moved > MOVED_PX and evidence.gain < LEAST_GAIN:
        poor.append(
            f"Rings are less sharp in the corrected geometry than in the deployed one (contrast"
            f" × {evidence.gain:.2f}); the offsets are probably wrong."
        )
