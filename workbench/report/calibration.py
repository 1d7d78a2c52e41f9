"""The parts of a calibration report, in the order the notebook shows them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workbench import figures
from workbench.figures import Picture
from workbench.figures.histograms import ThresholdView
from workbench.progress import Progress
from workbench.recipe import Recipe, recipe_to_text
from workbench.report import evidence, installed, origins, quadrants, verdict
from workbench.report.text import (
    Shown,
    count,
    known,
    preformatted,
    sentence,
    size,
    table,
    together,
)

PICTURE_BYTES = 280_000


class CalibrationReport:
    """A calibration and the means to tell it.

    Parameters
    ----------
    calibration : results of `workbench.run_recipe`.
    path : file of the recipe, for the command that repeats the calibration.
    """

    def __init__(self, calibration: Any, path: str | os.PathLike[str] | None = None) -> None:
        self.calibration = calibration
        self.path = None if path is None else Path(path)

    @classmethod
    def of_recipe(
        cls,
        path: str | os.PathLike[str],
        geometry: str | None = None,
        progress: Progress | None = None,
    ) -> CalibrationReport:
        """Run a recipe file and give the report of its results.

        Parameters
        ----------
        geometry : file of the geometry to start from, instead of what the recipe says.
        """
        from workbench.pipeline import load_recipe, run_recipe

        recipe = load_recipe(path)
        if geometry:
            recipe = recipe.changed("experiment.geometry", geometry)
        return cls(run_recipe(recipe, progress), path)

    @property
    def recipe(self) -> Recipe:
        """The recipe that was run."""
        return self.calibration.recipe

    @cached_property
    def good(self) -> np.ndarray | None:
        """Good pixels, bool ``(32, 185, 388)``, or None without a mask."""
        return None if self.calibration.mask is None else self.calibration.mask.good

    @cached_property
    def powder(self) -> np.ndarray | None:
        """The powder image: average of the bright runs, else their maximum."""
        images = self.calibration.images
        chosen = images.bright_average or images.maximum
        return None if chosen is None else chosen.data

    @cached_property
    def evidence(self) -> evidence.Evidence | None:
        """Profiles before and after, or None without an alignment."""
        before, after = self.calibration.geometry, self.calibration.corrected
        if before is None or after is None or self.powder is None:
            return None
        return evidence.gather(self.powder, before, after, self.good)

    def verdict(self) -> Shown:
        """What was done, whether it can be trusted, which version is installed."""
        state = installed.state(self.calibration)
        judged = verdict.judge(self.calibration, self.evidence, state.sentence)
        summary = verdict.summarise(self.calibration, judged, self.evidence)
        summary["installed"] = state.version
        return verdict.show(judged, summary)

    # Inputs

    def runs(self) -> Shown:
        """Which runs were read: events used and left out, distance, wavelength."""
        images = self.calibration.images
        rows, left_out = [], []
        for role, run in [("dark", images.dark), *[("bright", one) for one in images.bright]]:
            if run is None:
                continue
            settings = getattr(self.recipe, f"{role}_corrections")
            rows.append(
                [
                    role, run.run, count(run.count), count(sum(run.skipped.values())),
                    known(run.distance_mm, 3), known(run.wavelength_angstrom, 6),
                    run.timestamp or "", settings.describe(),
                ]
            )  # fmt: skip
            left_out += [[run.run, count(number), why] for why, number in run.skipped.items()]
        if not rows:
            return sentence("No runs were read: the recipe names images on file.")
        shown = table(
            ["", "run", "events used", "left out", "distance (mm)", "wavelength (Å)",
             "mean time (UTC)", "corrections"],
            rows,
        )  # fmt: skip
        if not left_out:
            return together(shown, sentence("No event was left out."))
        return together(shown, table(["run", "events", "left out because"], left_out))

    def files(self) -> Shown:
        """Every input file with its size and time, and the hash of the small ones."""
        rows = [
            [one["path"], size(one["bytes"]), one.get("modified", ""), origins.hash_of(one["path"])]
            for one in origins.files_in(self.calibration.provenance)
        ]
        if not rows:
            return sentence("The results do not name their input files.")
        shown = table(["file", "size", "modified (UTC)", "SHA-256 (up to 64 MB)"], rows)
        total = sum(one["bytes"] for one in origins.files_in(self.calibration.provenance))
        return together(shown, sentence(f"{len(rows)} files, {size(total)} in all."))

    # Averages

    def images(self) -> Picture | Shown:
        """Average, standard deviation and maximum in detector geometry."""
        arrays = self._arrays()
        if not arrays:
            return sentence("There are no images.")
        limits = {name: figures.percentile_limits(data, self.good) for name, data in arrays.items()}
        return _picture(
            figures.detector_images(arrays, self.calibration.geometry, limits=limits, step=2)
        )

    def histograms(self) -> Picture | Shown:
        """Histogram of each image with its threshold."""
        views = self._views()
        if not views:
            return sentence("Without a dark and a bright image there are no thresholds to show.")
        return _picture(figures.threshold_histograms(views))

    def sensors(self) -> Picture | Shown:
        """Average and noise of each sensor."""
        images = self.calibration.images
        if images.average is None or images.stddev is None:
            return sentence("Without a dark run there are no statistics per sensor.")
        return _picture(
            figures.sensor_statistics(images.average.data, images.stddev.data, self.good)
        )

    def noise(self) -> Picture | Shown:
        """Map of the noise of the dark run."""
        stddev = self.calibration.images.stddev
        if stddev is None:
            return sentence("Without a dark run there is no noise map.")
        return _picture(figures.noise_map(stddev.data, self.calibration.geometry, self.good))

    # Mask

    def thresholds(self) -> Shown:
        """Settings of the mask, and what each rule removed."""
        mask = self.calibration.mask
        if mask is None:
            return sentence("No mask was made: that takes a dark and a bright run.")
        limits = self.recipe.mask.thresholds
        settings = table(
            ["a good pixel has", "limit (ADU)"],
            [
                ["0 < average of the dark run ≤", f"{limits.avg_max:g}"],
                ["0 < standard deviation of the dark run ≤", f"{limits.stddev_max:g}"],
                ["maximum of the bright runs ≥", f"{limits.maxproj_min:g}"],
            ],
        )
        rows = [
            [
                text,
                count(one.total),
                count(one.exclusive),
                f"{100 * one.total / mask.good.size:.3f}",
            ]
            for name, text, one in self._rules()
        ]
        removed = int(mask.good.size - np.count_nonzero(mask.good))
        rows.append(["in all", count(removed), "", f"{100 * removed / mask.good.size:.3f}"])
        counts = table(["removed because", "pixels", "for this reason alone", "%"], rows)
        return together(settings, counts)

    def mask_rules(self) -> Picture | Shown:
        """Where each rule removed pixels."""
        mask = self.calibration.mask
        if mask is None:
            return sentence("No mask was made.")
        from workbench.mask.rules import RULES

        removed = {text: (mask.reasons & RULES[name].flag) != 0 for name, text, _ in self._rules()}
        return _picture(figures.mask_rules(removed, self.calibration.geometry))

    def mask_overlay(self) -> Picture | Shown:
        """Masked pixels on the powder image."""
        if self.good is None or self.powder is None:
            return sentence("There is no mask to lay on a bright image.")
        return _picture(
            figures.detector_image(
                self.powder, self.calibration.geometry, good=self.good,
                title="masked pixels on the powder image", step=2,
            )
        )  # fmt: skip

    def fraction_map(self) -> Picture | Shown:
        """Fraction masked of each ASIC."""
        if self.good is None:
            return sentence("No mask was made.")
        return _picture(figures.fraction_map(self.good, self.calibration.geometry))

    def plateaus(self) -> Picture | Shown:
        """How the number of removed pixels depends on each threshold."""
        views = self._views()
        if not views:
            return sentence("Without a dark and a bright image there are no thresholds to show.")
        return _picture(figures.threshold_curves(views))

    # Quadrants

    def offsets(self) -> Shown:
        """Offset and uncertainty of each quadrant, and what was applied."""
        alignment = self.calibration.alignment
        if alignment is None:
            return sentence("No quadrant offsets were found: that takes a bright image.")
        return quadrants.offsets(alignment)

    def measures(self) -> Shown:
        """The numbers behind the verdict on each quadrant."""
        alignment = self.calibration.alignment
        return sentence("") if alignment is None else quadrants.measures(alignment)

    def maps(self) -> Picture | Shown:
        """The four correlation maps."""
        if self.calibration.alignment is None:
            return sentence("There are no correlation maps.")
        return _picture(
            figures.correlation_maps(self.calibration.alignment, self.calibration.geometry)
        )

    def profiles(self) -> Picture | Shown:
        """Radial profiles in the deployed and in the corrected geometry."""
        if self.evidence is None:
            return sentence("There is no corrected geometry to compare with.")
        found = self.evidence
        return _picture(figures.radial_profiles(found.before, found.after, rings_px=found.rings_px))

    def ring_contrast(self) -> Shown:
        """The two numbers behind the profiles."""
        if self.evidence is None:
            return sentence("")
        found = self.evidence
        return sentence(
            f"Ring contrast (root mean square of the profile about its running median of 25"
            f" pixels): {found.contrast_before:.3g} ADU in the deployed geometry,"
            f" {found.contrast_after:.3g} ADU in the corrected one, a factor of {found.gain:.2f}."
        )

    def rings(self) -> Picture | Shown:
        """The powder picture in both geometries."""
        before, after = self.calibration.geometry, self.calibration.corrected
        if self.evidence is None or before is None or after is None or self.powder is None:
            return sentence("There is no corrected geometry to compare with.")
        rings = self.evidence.rings_px[::2]
        return _picture(
            figures.powder_comparison(self.powder, before, after, good=self.good, rings_px=rings)
        )

    def cake(self) -> Picture | Shown:
        """Azimuth against radius in both geometries."""
        if self.evidence is None:
            return sentence("There is no corrected geometry to compare with.")
        return _picture(figures.cake(self.evidence.cake_before, self.evidence.cake_after))

    # Geometry

    def geometry(self) -> Picture | Shown:
        """What the corrected geometry changes."""
        before, after = self.calibration.geometry, self.calibration.corrected
        if before is None or after is None:
            return sentence("No corrected geometry was made.")
        return _picture(figures.geometry_difference(before, after, names=("deployed", "corrected")))

    def versions(self) -> Shown:
        """Versions of the geometry in the calibration directory."""
        return installed.versions(self.calibration)

    # Provenance

    def software(self) -> Shown:
        """Who, when, where, with which versions."""
        from workbench.provenance import stamp

        made = stamp()
        rows = [["made", made["when"]], ["by", made["user"]], ["on", made["host"]]]
        rows += [[name, version] for name, version in made["software"].items()]
        return table(["", ""], [[str(a), f"{b}"] for a, b in rows])

    def hashes(self) -> Shown:
        """Hashes of recipe and results: the same recipe on the same data gives the same."""
        mask, corrected = self.calibration.mask, self.calibration.corrected
        rows = [["recipe", origins.sha256(recipe_to_text(self.recipe).encode())]]
        for name, data in self._arrays().items():
            rows.append([name, origins.sha256(np.ascontiguousarray(data))])
        if mask is not None:
            rows.append(["mask (good pixels)", origins.sha256(np.packbits(mask.good))])
        if corrected is not None:
            rows.append(["corrected geometry (text)", origins.sha256(corrected.to_text().encode())])
        return table(["result", "SHA-256"], rows)

    def outputs(self) -> Shown:
        """Files that were written."""
        rows = [[kind, os.fspath(path)] for kind, path in self.calibration.files.items()]
        return table(["written", "file"], rows) if rows else sentence("No other file was written.")

    def recipe_text(self) -> Shown:
        """The recipe as it was run, paths made absolute."""
        return preformatted(recipe_to_text(self.recipe))

    def provenance(self) -> Shown:
        """Everything the results carry about where they come from."""
        return origins.shown(self.calibration.provenance)

    def repeat(self) -> Shown:
        """The one command that makes this report again."""
        name = self.path.absolute() if self.path else Path("recipe.calibration.toml")
        return together(
            preformatted(f"workbench report {shlex.quote(os.fspath(name))}"),
            sentence(
                "The recipe above, saved under any name, does the same. Results that are the same"
                " bit for bit have the hashes listed above."
            ),
        )

    # What the parts share

    def _arrays(self) -> dict[str, Any]:
        images = self.calibration.images
        named = {
            "average of the dark run": images.average,
            "standard deviation of the dark run": images.stddev,
            "maximum of the bright runs": images.maximum,
        }
        return {name: image.data for name, image in named.items() if image is not None}

    def _views(self) -> list[ThresholdView]:
        arrays = list(self._arrays().items())
        if len(arrays) < 3:
            return []
        limits = self.recipe.mask.thresholds
        return [
            ThresholdView(*arrays[0], limits.avg_max, "above"),
            ThresholdView(*arrays[1], limits.stddev_max, "above"),
            ThresholdView(*arrays[2], limits.maxproj_min, "below"),
        ]

    def _rules(self) -> Iterator[tuple[str, str, Any]]:
        """Name, words and counts of the threshold rules and of others that removed something."""
        from workbench.mask.rules import RULES, THRESHOLD_RULES

        limits = self.recipe.mask.thresholds
        words = {
            "average_low": "average ≤ 0",
            "average_high": f"average > {limits.avg_max:g}",
            "stddev_low": "stddev ≤ 0",
            "stddev_high": f"stddev > {limits.stddev_max:g}",
            "maximum_low": f"maximum < {limits.maxproj_min:g}",
        }
        for name, counts in self.calibration.mask.counts.items():
            if counts.total or (name in THRESHOLD_RULES and name in words):
                yield name, words.get(name, RULES[name].text.partition(":")[0]), counts


def _picture(figure: Any) -> Picture:
    return Picture(figure, dpi=120, max_bytes=PICTURE_BYTES)
