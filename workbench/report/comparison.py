"""Two calibrations side by side."""

from __future__ import annotations

import dataclasses
import html
import math
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench import figures
from workbench.alignment import Alignment
from workbench.averages import RunImages
from workbench.errors import WorkbenchError
from workbench.figures import Picture
from workbench.images import DetectorImage
from workbench.mask import Mask
from workbench.progress import Progress
from workbench.quantities import thousands
from workbench.recipe import Recipe
from workbench.recipe.files import plain_name
from workbench.report import verdict
from workbench.report.calibration import CalibrationReport
from workbench.report.masks import words_of
from workbench.report.quadrants import correlations
from workbench.report.ring_comparison import RingComparison, compare_rings
from workbench.report.text import (
    Shown,
    known,
    preformatted,
    sentence,
    signed,
    table,
    together,
)
from workbench.report.versions_table import SAME_UM, largest_distance_um

ALIKE = 0.01
"""Numbers that differ by less than this fraction of the larger one do not decide anything."""
NO_TWO_GEOMETRIES = "There are not two corrected geometries to compare."


@dataclass(frozen=True)
class Criterion:
    """A number on which one of two calibrations can be better.

    Attributes
    ----------
    words : what the better one does.
    what : what the number is.
    values : of the first and of the second.
    sign : 1 if more is better, −1 if less is.
    as_text : gives the number as text.
    """

    words: str
    what: str
    values: tuple[float, float]
    sign: int
    as_text: Callable[[float], str]

    @property
    def winner(self) -> int | None:
        """Which is better, 0 or 1; None if they are alike."""
        first, second = self.values
        if math.isclose(first, second, rel_tol=ALIKE):
            return None
        return 0 if self.sign * first > self.sign * second else 1


class ComparisonReport:
    """Two reports, A and B.

    Parameters
    ----------
    first, second : the reports; A and B in tables and pictures.
    names : how they are called.
    """

    def __init__(
        self, first: CalibrationReport, second: CalibrationReport, names: tuple[str, str]
    ) -> None:
        self.reports = (first, second)
        self.names = names

    @classmethod
    def of_recipes(
        cls,
        first: str | os.PathLike[str],
        second: str | os.PathLike[str],
        first_geometry: str = "",
        second_geometry: str = "",
        progress: Progress | None = None,
    ) -> ComparisonReport:
        """Run two recipe files (nothing is written) and compare the results.

        Parameters
        ----------
        first_geometry, second_geometry : files of the geometries to start from, instead of what
            the recipes say.
        """
        known: dict[str, RunImages] = {}  # a run that both recipes average alike is read once
        reports = [
            CalibrationReport.of_recipe(path, geometry, progress, save=False, known=known)
            for path, geometry in ((first, first_geometry), (second, second_geometry))
        ]
        a, b = plain_name(first), plain_name(second)
        return cls(reports[0], reports[1], ("A", "B") if a == b else (a, b))

    @cached_property
    def same_image(self) -> bool:
        """Whether both calibrations rest on the same powder image."""
        first, second = (report.powder for report in self.reports)
        return bool(first and second and np.array_equal(first.data, second.data))

    @cached_property
    def rings(self) -> tuple[RingComparison | None, RingComparison | None]:
        """Profiles of both corrected geometries on the powder image of the first calibration.

        One image and the pixels good in both masks make the two numbers comparable.
        """
        return self._rings_on(self.reports[0].powder)

    def verdict(self) -> Shown:
        """The verdict on each, then which is better on what."""
        criteria = list(self._criteria())
        rows = [
            [
                criterion.what,
                *map(criterion.as_text, criterion.values),
                self._name_of(criterion.winner),
            ]
            for criterion in criteria
        ]
        scores = table(["", *self.names, "better"], rows)
        notes = self._notes()
        named = list(zip(self.names, self.reports, strict=True))
        summary = {
            "comparison": list(self.names),
            "levels": [report.judged.level for report in self.reports],
            "sentences": [
                *(f"{name}: {report.judged.word}" for name, report in named),
                *map(self._in_words, criteria),
                *notes,
            ],
        }
        boxes = [
            together(
                Shown(f"<h3>{html.escape(name)}</h3>", name),
                verdict.heading(report.calibration),
                verdict.show(report.judged, {"verdict": report.judged.word}),
            )
            for name, report in named
        ]
        both = "".join(f"<div>{box.markup}</div>" for box in boxes)
        verdicts = Shown(f'<div class="verdicts">{both}</div>', "\n\n".join(b.plain for b in boxes))
        shown = together(verdict.made_by(self.reports[0].made), scores, sentence(*notes), verdicts)
        return Shown(shown.markup, shown.plain, {verdict.SUMMARY_TYPE: summary})

    def settings(self) -> Shown:
        """Settings in which the recipes differ."""
        first, second = (_flat(report.recipe) for report in self.reports)
        rows = [
            [key, _as_text(first.get(key)), _as_text(second.get(key))]
            for key in dict.fromkeys([*first, *second])
            if first.get(key) != second.get(key)
        ]
        if not rows:
            return sentence("The recipes have the same settings.")
        return table(["setting", *self.names], rows)

    def masks(self) -> Shown:
        """What each rule removes in both."""
        if (pair := self._masks()) is None:
            return sentence("At least one of the two made no mask.")
        rows = [
            [words_of(name), *(thousands(mask.counts[name].total) for mask in pair)]
            for name in pair[0].counts
            if any(mask.counts[name].total for mask in pair)
        ]
        rows.append(["in all", *(thousands(mask.masked) for mask in pair)])
        return table(["pixels removed: ", *self.names], rows)

    def mask_difference(self) -> Picture | Shown:
        """Where the masks differ."""
        if (pair := self._masks()) is None:
            return sentence("There are not two masks to compare.")
        geometry = self.reports[0].calibration.geometry
        return Picture(figures.mask_difference(pair[0].good, pair[1].good, self.names, geometry))

    def offsets(self) -> Shown:
        """Offsets side by side, and whether they agree."""
        if (pair := self._alignments()) is None:
            return sentence("At least one of the two found no offsets.")
        if pair[0].names != pair[1].names:
            named = " and ".join(f"{len(a.names)} {a.detector.group_word}s" for a in pair)
            return sentence(f"Offsets of other groups are not compared: {named}.")
        rows = []
        names = pair[0].names
        for name, *quadrants in zip(names, *(a.quadrants for a in pair), strict=True):
            for axis in (0, 1):
                first, second = (
                    math.nan if q.verdict == "not determined" else float(q.offset_px[axis])
                    for q in quadrants
                )
                sigma = math.hypot(*(q.sigma_px[axis] for q in quadrants))
                rows.append(
                    [
                        f"{name} {'xy'[axis]}", signed(first), signed(second),
                        signed(second - first),
                        f"{abs(second - first) / sigma:.1f}" if sigma > 0 else "–",
                    ]
                )  # fmt: skip
        return table(["offset (px)", *self.names, "difference", "in sigmas"], rows)

    def quality(self) -> Shown:
        """Verdict and correlation of each quadrant in its own corrected geometry."""
        pair = self._alignments()
        if pair is None or pair[0].names != pair[1].names:
            return sentence("")
        rows = [
            [name, *(q.verdict for q in quadrants),
             *(known(correlations(q)[1], 4) for q in quadrants)]
            for name, *quadrants in zip(pair[0].names, *(a.quadrants for a in pair), strict=True)
        ]  # fmt: skip
        header = ["", *(f"{name}: verdict" for name in self.names),
                  *(f"{name}: CC after" for name in self.names)]  # fmt: skip
        return together(
            table(header, rows),
            sentence(
                "Correlations of different methods, images or masks do not say which is better."
            ),
        )

    def profiles(self) -> Picture | Shown:
        """Radial profiles of one powder image in both corrected geometries."""
        first, second = self.rings
        if first is None or second is None:
            return sentence(NO_TWO_GEOMETRIES)
        return Picture(
            figures.radial_profiles(
                first.after, second.after, names=self.names, rings_px=first.rings_px
            )
        )

    def geometries(self) -> Picture | Shown:
        """How the corrected geometries differ."""
        first, second = (report.calibration.corrected for report in self.reports)
        if first is None or second is None:
            return sentence(NO_TWO_GEOMETRIES)
        return Picture(figures.geometry_difference(first, second, names=self.names))

    def repeat(self) -> Shown:
        """The one command that makes this comparison again."""
        paths = [report.path.absolute() for report in self.reports if report.path is not None]
        command = ["workbench", "report", "--compare", *map(os.fspath, paths)]
        return together(
            preformatted(shlex.join(command)),
            *(
                together(sentence(f"{name}:"), report.recipe_text())
                for name, report in zip(self.names, self.reports, strict=True)
            ),
        )

    # What the sections share

    def _masks(self) -> tuple[Mask, Mask] | None:
        first, second = (report.calibration.mask for report in self.reports)
        return None if first is None or second is None else (first, second)

    def _alignments(self) -> tuple[Alignment, Alignment] | None:
        first, second = (report.calibration.alignment for report in self.reports)
        return None if first is None or second is None else (first, second)

    def _rings_on(
        self, image: DetectorImage | None
    ) -> tuple[RingComparison | None, RingComparison | None]:
        start, good = self.reports[0].calibration.geometry, self._good_in_both()
        first, second = (
            None
            if image is None or start is None or report.calibration.corrected is None
            else compare_rings(image.data, start, report.calibration.corrected, good)
            for report in self.reports
        )
        return first, second

    def _good_in_both(self) -> NDArray[np.bool_] | None:
        first, second = (report.good for report in self.reports)
        if first is None or second is None:
            return second if first is None else first
        return first & second

    def _criteria(self) -> Iterator[Criterion]:
        """Yield every number on which one of the two can be better."""
        if (masks := self._masks()) is not None:
            masked = (masks[0].masked, masks[1].masked)
            yield Criterion("masks fewer pixels", "pixels masked", masked, -1, thousands)
        alignments = self._alignments()
        if alignments is not None and not all(a.determined for a in alignments):
            first, second = (
                sum(q.verdict != "not determined" for q in a.quadrants) / len(a.quadrants)
                for a in alignments
            )
            words = ("determines more offsets", "offsets determined")
            yield Criterion(*words, (first, second), 1, "{:.0%}".format)
        pairs = {"": self.rings}
        if not self.same_image:
            name, other = self.names
            pairs = {
                f", image of {name}": self.rings,
                f", image of {other}": self._rings_on(self.reports[1].powder),
            }
        for where, rings in pairs.items():
            contrasts = [math.nan if ring is None else ring.contrast_after for ring in rings]
            if all(map(math.isfinite, contrasts)):
                unit = rings[0].after.unit if rings[0] else "ADU"
                words = (f"has sharper rings{where}", f"ring contrast{where} ({unit})")
                yield Criterion(*words, (contrasts[0], contrasts[1]), 1, "{:.4g}".format)
        sigmas = [_sigma(report) for report in self.reports]
        if all(map(math.isfinite, sigmas)):
            words = ("knows its offsets more precisely", "uncertainty of the offsets, rms (px)")
            yield Criterion(*words, (sigmas[0], sigmas[1]), -1, "{:.3f}".format)

    def _name_of(self, winner: int | None) -> str:
        return "alike" if winner is None else self.names[winner]

    def _in_words(self, criterion: Criterion) -> str:
        values = "({} against {})".format(*map(criterion.as_text, criterion.values))
        if criterion.winner is None:
            return f"Neither {criterion.words}: they are alike {values}."
        return f"{self.names[criterion.winner]} {criterion.words} {values}."

    def _notes(self) -> list[str]:
        """What limits the comparison."""
        notes = []
        if not self.same_image and all(report.powder for report in self.reports):
            notes.append(
                "The two use different powder images; ring contrast is given on both, over the"
                " pixels good in both masks."
            )
        first, second = (report.calibration.geometry for report in self.reports)
        if first and second and largest_distance_um(first, second) >= SAME_UM:
            notes.append(
                "The two start from different geometries: offsets cannot be compared, corrected"
                " geometries can."
            )
        if any(math.isnan(_sigma(report)) for report in self.reports):
            notes.append(
                "At least one of the two does not know the uncertainty of all its offsets."
            )
        return notes


def require_two_files(paths: list[str]) -> None:
    """Refuse to compare a recipe with itself.

    Raises
    ------
    WorkbenchError
        If both paths are one file.
    """
    if Path(paths[0]).resolve() == Path(paths[1]).resolve():
        raise WorkbenchError(f"{paths[0]} cannot be compared with itself; name two recipes.")


def _sigma(report: CalibrationReport) -> float:
    """Root mean square of the uncertainties of the offsets, pixels; NaN if one is not known."""
    alignment = report.calibration.alignment
    if alignment is None or not np.isfinite(alignment.sigmas_px).all():
        return math.nan
    return float(np.sqrt(np.mean(alignment.sigmas_px**2)))


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_as_text, value)) or "none"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ", ".join(f"{f.name} {getattr(value, f.name)}" for f in dataclasses.fields(value))
        return f"{getattr(value, 'kind', '')} ({fields})".strip()
    return "not set" if value is None else str(value)


def _flat(recipe: Recipe) -> dict[str, Any]:
    """Settings by their dotted names, without those of the output."""
    settings: dict[str, Any] = {}

    def walk(value: object, place: str) -> None:
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                walk(getattr(value, field.name), f"{place}.{field.name}" if place else field.name)
        elif not place.startswith("output."):
            settings[place] = value

    walk(recipe, "")
    return settings
