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

from workbench import figures
from workbench.errors import WorkbenchError
from workbench.figures import Picture
from workbench.progress import Progress
from workbench.recipe import Recipe
from workbench.report.calibration import PICTURE_BYTES, CalibrationReport
from workbench.report.evidence import Evidence, gather
from workbench.report.installed import SAME_UM, apart_um
from workbench.report.masks import words_of
from workbench.report.quadrants import correlations
from workbench.report.text import (
    Shown,
    count,
    known,
    preformatted,
    sentence,
    signed,
    table,
    together,
)
from workbench.report.verdict import SUMMARY_TYPE, heading, made_by
from workbench.report.verdict import show as show_verdict

ALIKE = 0.01
"""Numbers that differ by less than this fraction of the larger one do not decide anything."""


@dataclass(frozen=True)
class Criterion:
    """A number on which one of two calibrations can be better.

    Attributes
    ----------
    words : what the better one does.
    what : what the number is.
    values : of the first and of the second.
    sign : 1 if more is better, −1 if less is.
    tell : the number as text.
    """

    words: str
    what: str
    values: list[Any]
    sign: int
    tell: Callable[[Any], str]


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
        self.parts = (first, second)
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
        known: dict[str, Any] = {}  # a run that both recipes average alike is read once
        reports = [
            CalibrationReport.of_recipe(path, geometry, progress, save=False, known=known)
            for path, geometry in ((first, first_geometry), (second, second_geometry))
        ]
        names = [
            Path(path).name.removesuffix(".toml").removesuffix(".calibration")
            for path in (first, second)
        ]
        if names[0] == names[1]:
            names = ["A", "B"]
        return cls(reports[0], reports[1], (names[0], names[1]))

    @cached_property
    def same_image(self) -> bool:
        """Whether both calibrations rest on the same powder image."""
        first, second = (part.powder for part in self.parts)
        return first is not None and second is not None and np.array_equal(first, second)

    @cached_property
    def evidence(self) -> tuple[Evidence | None, Evidence | None]:
        """Profiles of both corrected geometries on the powder image of the first calibration.

        One image and the pixels good in both masks make the two numbers comparable.
        """
        return self._evidence_on(self.parts[0].powder)

    def _evidence_on(self, image: Any) -> tuple[Evidence | None, Evidence | None]:
        start, good = self.parts[0].calibration.geometry, self._good_in_both()
        first, second = (
            None
            if image is None or start is None or part.calibration.corrected is None
            else gather(image, start, part.calibration.corrected, good)
            for part in self.parts
        )
        return first, second

    def verdict(self) -> Shown:
        """The verdict on each, then which is better on what."""
        found = list(self._criteria())
        rows = [[one.what, *map(one.tell, one.values), self._winner(one)] for one in found]
        scores = table(["", *self.names, "better"], rows)
        levels = [part.judged.level for part in self.parts]
        told = [f"{name}: {part.judged.word}" for name, part in zip(self.names, self.parts,
                                                                   strict=True)]  # fmt: skip
        told += [self._in_words(one) for one in found]
        notes = self._notes()
        summary = {"comparison": list(self.names), "levels": levels, "sentences": [*told, *notes]}
        boxes = [
            together(
                Shown(f"<h3>{html.escape(name)}</h3>", name),
                heading(part.calibration),
                show_verdict(part.judged, {"verdict": part.judged.word}),
            )
            for name, part in zip(self.names, self.parts, strict=True)
        ]
        both = "".join(f"<div>{one.markup}</div>" for one in boxes)
        verdicts = Shown(f'<div class="verdicts">{both}</div>', "\n\n".join(b.plain for b in boxes))
        shown = together(made_by(self.parts[0].made), scores, sentence(*notes), verdicts)
        return Shown(shown.markup, shown.plain, {SUMMARY_TYPE: summary})

    def _criteria(self) -> Iterator[Criterion]:
        """Yield every number on which one of the two can be better."""

        def both(values: list[Any]) -> bool:
            return None not in values and all(math.isfinite(value) for value in values)

        masked = [_masked(part) for part in self.parts]
        if both(masked):
            yield Criterion("masks fewer pixels", "pixels masked", masked, -1, count)
        alignments = [part.calibration.alignment for part in self.parts]
        if None not in alignments:
            have = [sum(one.verdict != "not determined" for one in a.quadrants) for a in alignments]
            if have != [4, 4]:
                words = ("determines more quadrants", "quadrants determined")
                yield Criterion(*words, have, 1, "{:.0f}".format)
        images = [("", self.parts[0].powder)]
        if not self.same_image:
            images = [(f", image of {n}", p.powder) for n, p in zip(self.names, self.parts,
                                                                   strict=True)]  # fmt: skip
        for where, image in images:
            pair = self.evidence if image is self.parts[0].powder else self._evidence_on(image)
            contrasts = [None if one is None else one.contrast_after for one in pair]
            if both(contrasts):
                words = (f"has sharper rings{where}", f"ring contrast{where} (ADU)")
                yield Criterion(*words, contrasts, 1, "{:.4g}".format)
        sigmas = [_sigma(part) for part in self.parts]
        if both(sigmas):
            words = ("is surer of its offsets", "uncertainty of the offsets, rms (px)")
            yield Criterion(*words, sigmas, -1, "{:.3f}".format)

    def _winner(self, one: Criterion) -> str:
        a, b = one.values
        if math.isclose(a, b, rel_tol=ALIKE):
            return "alike"
        return self.names[0] if one.sign * a > one.sign * b else self.names[1]

    def _in_words(self, one: Criterion) -> str:
        told = "({} against {})".format(*map(one.tell, one.values))
        winner = self._winner(one)
        if winner == "alike":
            return f"Neither {one.words}: they are alike {told}."
        return f"{winner} {one.words} {told}."

    def _notes(self) -> list[str]:
        """What limits the comparison."""
        notes = []
        if not self.same_image and all(part.powder is not None for part in self.parts):
            notes.append(
                "The two rest on different powder images; ring contrast is given on both, over the"
                " pixels good in both masks."
            )
        starts = [part.calibration.geometry for part in self.parts]
        if all(one is not None for one in starts) and apart_um(*starts) >= SAME_UM:
            notes.append(
                "The two start from different geometries: offsets cannot be compared, corrected"
                " geometries can."
            )
        if any(_sigma(part) is None for part in self.parts):
            notes.append(
                "At least one of the two does not know the uncertainty of all its offsets."
            )
        return notes

    def settings(self) -> Shown:
        """Settings in which the recipes differ."""
        flat = [_flat(part.recipe) for part in self.parts]
        rows = [
            [key, *(_plainly(one.get(key)) for one in flat)]
            for key in dict.fromkeys([*flat[0], *flat[1]])
            if flat[0].get(key) != flat[1].get(key)
        ]
        if not rows:
            return sentence("The recipes have the same settings.")
        return table(["setting", *self.names], rows)

    def masks(self) -> Shown:
        """What each rule removes in both."""
        found = [part.calibration.mask for part in self.parts]
        if None in found:
            return sentence("At least one of the two made no mask.")
        rows = [
            [words_of(name), *(count(mask.counts[name].total) for mask in found)]
            for name in found[0].counts
            if any(mask.counts[name].total for mask in found)
        ]
        rows.append(["in all", *(count(_masked(part) or 0) for part in self.parts)])
        return table(["pixels removed: ", *self.names], rows)

    def mask_difference(self) -> Picture | Shown:
        """Where the masks differ."""
        first, second = (part.good for part in self.parts)
        if first is None or second is None:
            return sentence("There are not two masks to compare.")
        return self._picture(
            figures.mask_difference(first, second, self.names, self.parts[0].calibration.geometry)
        )

    def offsets(self) -> Shown:
        """Offsets side by side, and whether they agree."""
        alignments = [part.calibration.alignment for part in self.parts]
        if None in alignments:
            return sentence("At least one of the two found no quadrant offsets.")
        rows = []
        for number, (a, b) in enumerate(
            zip(alignments[0].quadrants, alignments[1].quadrants, strict=True)
        ):
            for axis in (0, 1):
                one, two = (
                    math.nan if q.verdict == "not determined" else q.offset_px[axis] for q in (a, b)
                )
                sigma = math.hypot(a.sigma_px[axis], b.sigma_px[axis])
                rows.append(
                    [
                        f"Q{number} {'xy'[axis]}", signed(one), signed(two), signed(two - one),
                        f"{abs(two - one) / sigma:.1f}" if sigma > 0 else "–",
                    ]
                )  # fmt: skip
        header = ["offset (px)", *self.names, "difference", "in sigmas"]
        return table(header, rows)

    def quality(self) -> Shown:
        """Verdict and correlation of each quadrant in its own corrected geometry."""
        alignments = [part.calibration.alignment for part in self.parts]
        if None in alignments:
            return sentence("")
        rows = []
        for number in range(4):
            pair = [one.quadrants[number] for one in alignments]
            rows.append([f"Q{number}", *(one.verdict for one in pair),
                         *(known(correlations(one)[1], 4) for one in pair)])  # fmt: skip
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
        first, second = self.evidence
        if first is None or second is None:
            return sentence("There are not two corrected geometries to compare.")
        return self._picture(
            figures.radial_profiles(
                first.after, second.after, names=self.names, rings_px=first.rings_px
            )
        )

    def geometries(self) -> Picture | Shown:
        """How the corrected geometries differ."""
        first, second = (part.calibration.corrected for part in self.parts)
        if first is None or second is None:
            return sentence("There are not two corrected geometries to compare.")
        return self._picture(figures.geometry_difference(first, second, names=self.names))

    def repeat(self) -> Shown:
        """The one command that makes this comparison again."""
        paths = [part.path.absolute() for part in self.parts if part.path is not None]
        command = ["workbench", "report", "--compare", *map(os.fspath, paths)]
        return together(
            preformatted(shlex.join(command)),
            *(
                together(sentence(f"{name}:"), part.recipe_text())
                for name, part in zip(self.names, self.parts, strict=True)
            ),
        )

    def _good_in_both(self) -> np.ndarray | None:
        first, second = (part.good for part in self.parts)
        if first is None or second is None:
            return second if first is None else first
        return first & second

    def _picture(self, figure: Any) -> Picture:
        return Picture(figure, dpi=120, max_bytes=PICTURE_BYTES)


def require_two_files(paths: list[str]) -> None:
    """Refuse to compare a recipe with itself.

    Raises
    ------
    WorkbenchError
        If both paths are one file.
    """
    if Path(paths[0]).resolve() == Path(paths[1]).resolve():
        raise WorkbenchError(f"{paths[0]} cannot be compared with itself; name two recipes.")


def _masked(part: CalibrationReport) -> int | None:
    return None if part.good is None else int(part.good.size - np.count_nonzero(part.good))


def _sigma(part: CalibrationReport) -> float | None:
    alignment = part.calibration.alignment
    if alignment is None:
        return None
    sigma = np.array([one.sigma_px for one in alignment.quadrants], dtype=float)
    return float(np.sqrt(np.mean(sigma**2))) if np.isfinite(sigma).all() else None


def _plainly(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_plainly, value)) or "none"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = (f"{one.name} {getattr(value, one.name)}" for one in dataclasses.fields(value))
        return f"{getattr(value, 'kind', '')} ({', '.join(told)})".strip()
    return "not set" if value is None else str(value)


def _flat(recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def walk(value: Any, place: str) -> None:
        if dataclasses.is_dataclass(value):
            for one in dataclasses.fields(value):
                walk(getattr(value, one.name), f"{place}.{one.name}" if place else one.name)
        else:
            found[place] = value

    walk(recipe, "")
    return {key: value for key, value in found.items() if not key.startswith("output.")}
