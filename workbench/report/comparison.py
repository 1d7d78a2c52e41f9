"""Two calibrations side by side."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
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
from workbench.report.text import Shown, count, preformatted, sentence, signed, table, together
from workbench.report.verdict import SUMMARY_TYPE, judge

ALIKE = 0.01
"""Numbers that differ by less than this fraction of the larger one do not decide anything."""


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
        progress: Progress | None = None,
    ) -> ComparisonReport:
        """Run two recipe files (nothing is written) and compare the results."""
        from workbench.pipeline import load_recipe, run_recipe

        known: dict[str, Any] = {}  # a run that both recipes average alike is read once
        reports = [
            CalibrationReport(
                run_recipe(load_recipe(path), progress, save=False, known=known), path
            )
            for path in (first, second)
        ]
        names = [Path(path).name.removesuffix(".toml") for path in (first, second)]
        if names[0] == names[1]:
            names = ["A", "B"]
        return cls(reports[0], reports[1], (names[0], names[1]))

    @cached_property
    def evidence(self) -> tuple[Evidence | None, Evidence | None]:
        """Profiles of both corrected geometries on the powder image and the good pixels of A.

        Using one image and one mask makes the two numbers comparable.
        """
        first = self.parts[0].calibration
        image = self.parts[0].powder
        good = self._good_in_both()
        found: list[Evidence | None] = []
        for part in self.parts:
            corrected = part.calibration.corrected
            if image is None or corrected is None or first.geometry is None:
                found.append(None)
            else:
                found.append(gather(image, first.geometry, corrected, good))
        return found[0], found[1]

    def verdict(self) -> Shown:
        """Which is better on what."""
        lines: list[str] = []
        judged = [
            judge(part.calibration, evidence)
            for part, evidence in zip(self.parts, self.evidence, strict=True)
        ]
        lines += [f"{name}: {one.word}" for name, one in zip(self.names, judged, strict=True)]
        masked = [_masked(part) for part in self.parts]
        if None not in masked:
            lines.append(self._more("masks fewer pixels", masked, -1, lambda value: count(value)))
        contrasts = [None if one is None else one.contrast_after for one in self.evidence]
        if None not in contrasts:
            lines.append(self._more("has sharper rings", contrasts, 1, lambda v: f"{v:.4g} ADU"))
        sigmas = [_sigma(part) for part in self.parts]
        if None not in sigmas:
            lines.append(
                self._more("is surer of its offsets", sigmas, -1, lambda v: f"{v:.3f} px rms")
            )
        shown = sentence(*lines)
        summary = {"comparison": list(self.names), "sentences": lines}
        summary["levels"] = [one.level for one in judged]
        return Shown(shown.markup, shown.plain, {SUMMARY_TYPE: summary})

    def settings(self) -> Shown:
        """Settings in which the recipes differ."""
        flat = [_flat(part.recipe) for part in self.parts]
        rows = [
            [key, str(flat[0].get(key, "")), str(flat[1].get(key, ""))]
            for key in dict.fromkeys([*flat[0], *flat[1]])
            if flat[0].get(key) != flat[1].get(key)
        ]
        if not rows:
            return sentence("The recipes have the same settings.")
        return table(["setting", *self.names], rows)

    def masks(self) -> Shown:
        """Thresholds' counts side by side."""
        masks = [part.calibration.mask for part in self.parts]
        if None in masks:
            return sentence("At least one of the two made no mask.")
        rows = [
            [name, *(count(mask.counts[name].total) for mask in masks)]
            for name in masks[0].counts
            if any(mask.counts[name].total for mask in masks)
        ]
        rows.append(["in all", *(count(_masked(part) or 0) for part in self.parts)])
        return table(["pixels removed by", *self.names], rows)

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
                apart = b.offset_px[axis] - a.offset_px[axis]
                sigma = math.hypot(a.sigma_px[axis], b.sigma_px[axis])
                rows.append(
                    [
                        f"Q{number} {'xy'[axis]}", signed(a.offset_px[axis]),
                        signed(b.offset_px[axis]), signed(apart),
                        f"{abs(apart) / sigma:.1f}" if sigma > 0 else "–",
                    ]
                )  # fmt: skip
        header = ["offset (px)", *self.names, "difference", "in sigmas"]
        return table(header, rows)

    def quality(self) -> Shown:
        """Correlation per quadrant, and ring contrast on one image with one mask."""
        rows = []
        alignments = [part.calibration.alignment for part in self.parts]
        if None not in alignments:
            for number in range(4):
                rows.append(
                    [f"Q{number} correlation"]
                    + [f"{one.quadrants[number].cc:.4f}" for one in alignments]
                )
        if None not in self.evidence:
            rows.append(
                ["ring contrast (ADU)"]
                + [f"{one.contrast_after:.4g}" for one in self.evidence if one is not None]
            )
        if not rows:
            return sentence("There is nothing to compare.")
        return table(["", *self.names], rows)

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

    def _more(self, what: str, values: list[Any], sign: int, tell: Any) -> str:
        a, b = values
        told = f"({tell(a)} against {tell(b)})"
        if math.isclose(a, b, rel_tol=ALIKE):
            return f"Neither {what}: they are alike {told}."
        return f"{self.names[0] if sign * a > sign * b else self.names[1]} {what} {told}."

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
