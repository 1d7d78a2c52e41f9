"""The first screen of a report: what was done, can it be trusted, what is installed."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.pipeline import Calibration
from workbench.quantities import thousands
from workbench.report.checks import Check, Level, checks
from workbench.report.ring_comparison import RingComparison
from workbench.report.text import Shown, signed

SUMMARY_TYPE = "application/vnd.cspad-workbench.summary+json"
WORDS: dict[Level, str] = {
    "good": "This calibration can be trusted.",
    "care": "Use this calibration with care.",
    "poor": "Do not use this calibration as it is.",
}
_ORDER: tuple[Level, ...] = ("poor", "care", "good")


@dataclass(frozen=True)
class Verdict:
    """Judgement of a calibration.

    Attributes
    ----------
    level : ``good``, ``care`` or ``poor``.
    done : sentences: what was done.
    reasons : sentences: what speaks against it, the worst first; empty if nothing does.
    checks : every criterion with the value of this calibration.
    """

    level: Level
    done: tuple[str, ...]
    reasons: tuple[str, ...]
    checks: tuple[Check, ...] = ()

    @property
    def word(self) -> str:
        """One sentence."""
        return WORDS[self.level]


def judge(
    calibration: Calibration,
    rings: RingComparison | None = None,
    installed: Sequence[str] = (),
    other_version: str = "",
) -> Verdict:
    """Judge a calibration.

    Parameters
    ----------
    calibration : results of a recipe.
    rings : profiles before and after, if there is a powder image and an alignment.
    installed : sentences on the geometry it started from and on the installed version.
    other_version : sentence, if the version made by this recipe holds another geometry.
    """
    made = checks(calibration, rings, other_version)
    worst_first = sorted(made, key=lambda check: _ORDER.index(check.level))
    reasons = dict.fromkeys(text for check in worst_first for text in check.reasons)
    done = tuple(text for text in (*_done(calibration, rings), *installed) if text)
    return Verdict(worst_first[0].level, done, tuple(reasons), tuple(made))


def show(verdict: Verdict, summary: dict[str, Any]) -> Shown:
    """Verdict as a box; the summary travels along for programs."""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in verdict.done)
    reasons = "".join(f"<li>{html.escape(text)}</li>" for text in verdict.reasons)
    against = f"<p>What to look at:</p><ul>{reasons}</ul>" if reasons else ""
    markup = (
        f'<div class="verdict {verdict.level}" role="note"><p class="word">'
        f"{html.escape(verdict.word)}</p><ul>{items}</ul>{against}</div>"
    )
    said = {"verdict": verdict.word, "done": verdict.done, "reasons": verdict.reasons}
    return Shown(markup, "\n".join(lines(said)), {SUMMARY_TYPE: summary})


def lines(summary: dict[str, Any]) -> list[str]:
    """Verdict as lines of text, from a report's summary; for terminals."""
    text_lines = [summary.get("verdict", ""), *(f"- {text}" for text in summary.get("done", ()))]
    if summary.get("reasons"):
        text_lines += ["What to look at:", *(f"- {text}" for text in summary["reasons"])]
    return [text for text in [*text_lines, *summary.get("sentences", ())] if text]


def heading(calibration: Calibration) -> Shown:
    """Which experiment, detector and runs."""
    experiment = calibration.recipe.experiment
    images = calibration.images
    detector = [] if images.detector is None else [images.detector.name]
    about = [experiment.name or "images on file", *detector]
    if experiment.name:
        about.append(experiment.address)
    if images.dark is not None:
        about.append(f"dark run {images.dark.run}")
    if images.bright:
        numbers = ", ".join(str(run.run) for run in images.bright)
        about.append(f"bright run{'s' if len(images.bright) > 1 else ''} {numbers}")
    return _about(" · ".join(about))


def made_by(made: dict[str, Any]) -> Shown:
    """Who made the report, when, where and with what."""
    software = made["software"]
    commit = f" ({software['commit']})" if software.get("commit") else ""
    return _about(
        f"Made {made['when'].replace('T', ' ').removesuffix('Z')} UTC by {made['user']} on"
        f" {made['host']} with cspad-workbench {software.get('cspad-workbench', '')}{commit}"
    )


def _about(text: str) -> Shown:
    return Shown(f"<p class='about'>{html.escape(text)}</p>", text)


def summarise(
    calibration: Calibration, verdict: Verdict, rings: RingComparison | None
) -> dict[str, Any]:
    """Plain values of a report, for ``workbench report --json``."""
    mask, alignment = calibration.mask, calibration.alignment
    summary: dict[str, Any] = {
        "level": verdict.level,
        "verdict": verdict.word,
        "done": list(verdict.done),
        "reasons": list(verdict.reasons),
    }
    if calibration.images.detector is not None:
        summary["detector"] = calibration.images.detector.name
    if mask is not None:
        summary["masked_pixels"] = mask.masked
        summary["pixels"] = mask.pixels
    if alignment is not None:
        summary["offsets_px"] = alignment.offsets_px.tolist()
        summary["sigmas_px"] = [
            [value if math.isfinite(value) else None for value in pair]
            for pair in alignment.sigmas_px.tolist()
        ]
        summary["cc"] = [float(quadrant.cc) for quadrant in alignment.quadrants]
        summary["mean_cc"] = float(alignment.mean_cc)
    if rings is not None and math.isfinite(rings.gain):
        summary["ring_contrast_gain"] = rings.gain
    return summary


def _done(calibration: Calibration, rings: RingComparison | None) -> list[str]:
    recipe, images = calibration.recipe, calibration.images
    experiment = recipe.experiment
    done = []
    runs = []
    if images.dark is not None:
        runs.append(f"dark run {experiment.dark} ({thousands(images.dark.count)} events)")
    if images.bright:
        events = sum(run.count for run in images.bright)
        numbers = ", ".join(str(number) for number in experiment.bright)
        many = "runs" if len(images.bright) > 1 else "run"
        runs.append(f"bright {many} {numbers} ({thousands(events)} events)")
    if runs:
        done.append(f"Averaged {' and '.join(runs)} of {experiment.name}, {experiment.address}.")
    elif calibration.images.average is not None or calibration.images.maximum is not None:
        done.append("Started from images on file.")
    if (mask := calibration.mask) is not None:
        done.append(
            f"The mask removes {thousands(mask.masked)} of {thousands(mask.pixels)} pixels"
            f" ({100 * mask.masked_fraction:.2f} %)."
        )
    if (alignment := calibration.alignment) is not None:
        offsets = "; ".join(
            f"{name} ({signed(quadrant.offset_px[0])}, {signed(quadrant.offset_px[1])})"
            for name, quadrant in zip(alignment.names, alignment.quadrants, strict=True)
            if quadrant.verdict != "not determined"
        )
        word = alignment.detector.group_word
        if offsets:
            done.append(f"{word.capitalize()} offsets x, y in pixels: {offsets}.")
        else:
            done.append(f"No {word} offset was determined.")
    if rings is not None and math.isfinite(rings.gain):
        done.append(
            f"In the corrected geometry the rings stand out {rings.gain:.2f} times as much as"
            " in the deployed one."
        )
    return done
