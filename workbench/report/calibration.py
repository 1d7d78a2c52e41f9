"""The parts of a calibration report, in the order the notebook shows them."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workbench import figures
from workbench.figures import Picture
from workbench.figures.histograms import ThresholdView
from workbench.mask.rules import IMAGES, LIMITS
from workbench.progress import Progress
from workbench.provenance import stamp
from workbench.recipe import Recipe, recipe_to_text
from workbench.report import (
    again,
    checks,
    evidence,
    inputs,
    installed,
    masks,
    origins,
    quadrants,
    verdict,
)  # fmt: skip
from workbench.report import geometries as changes
from workbench.report import sensors as statistics
from workbench.report.text import (
    Shown,
    beside,
    preformatted,
    sentence,
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
    recipe : the recipe as it stands in its file, if the calibration was told to start from
        another geometry than that says.
    """

    def __init__(
        self,
        calibration: Any,
        path: str | os.PathLike[str] | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        self.calibration = calibration
        self.path = None if path is None else Path(path)
        self.recipe = recipe or calibration.recipe

    @classmethod
    def of_recipe(
        cls,
        path: str | os.PathLike[str],
        geometry: str | None = None,
        progress: Progress | None = None,
        *,
        output_dir: str | None = None,
        save: bool = True,
        known: Any = None,
    ) -> CalibrationReport:
        """Run a recipe file and give the report of its results.

        Parameters
        ----------
        geometry : file of the geometry to start from, instead of what the recipe says.
        output_dir : where results go, instead of the recipe's output folder.
        save, known : see `workbench.run_recipe`.
        """
        from workbench.pipeline import load_recipe, run_recipe

        recipe = load_recipe(path)
        started = recipe.changed("experiment.geometry", geometry) if geometry else recipe
        if output_dir:
            started = started.changed("output.folder", output_dir)
        return cls(run_recipe(started, progress, save=save, known=known), path, recipe)

    @cached_property
    def made(self) -> dict[str, Any]:
        """Who makes this report, when, where and with what."""
        return stamp()

    @cached_property
    def sha256(self) -> str:
        """Hash of all settings and inputs, as a version remembers it."""
        from workbench.pipeline import recipe_hash

        return recipe_hash(self.recipe)

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

    @cached_property
    def installed(self) -> installed.Installed:
        """State of the calibration directory."""
        return installed.state(self.calibration, self.sha256)

    @cached_property
    def judged(self) -> verdict.Verdict:
        """The judgement of the calibration."""
        found = self.installed
        told = (changes.started_from(self.calibration), found.sentence)
        return verdict.judge(self.calibration, self.evidence, told, found.differs)

    def verdict(self) -> Shown:
        """What was done, whether it can be trusted, which version is installed."""
        summary = verdict.summarise(self.calibration, self.judged, self.evidence)
        path = self.installed.path
        summary |= {
            "installed": self.installed.version,
            "belongs_to": None if path is None else os.fspath(path),
            "recipe_sha256": self.sha256,
        }
        heading = together(verdict.heading(self.calibration), verdict.made_by(self.made))
        parts = [checks.show(self.judged.checks)]
        if self.calibration.alignment is not None:
            parts.insert(0, quadrants.offsets(self.calibration.alignment))
        return together(heading, verdict.show(self.judged, summary), beside(*parts))

    # Inputs

    def runs(self) -> Shown:
        """Which runs were read: events used and left out, distance, wavelength."""
        return inputs.runs(self.calibration)

    def files(self) -> Shown:
        """Every input file with its use, size and time, and the hash of the small ones."""
        return inputs.files(self.calibration)

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

    def sensor_table(self) -> Shown:
        """The same per sensor in numbers, folded."""
        return statistics.listed(self.calibration.images, self.good)

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
        return masks.thresholds(mask, self.recipe.mask)

    def mask_rules(self) -> Picture | Shown:
        """Where each rule removed pixels."""
        mask = self.calibration.mask
        if mask is None:
            return sentence("No mask was made.")
        nothing = np.zeros_like(mask.good)
        removed = {
            words: nothing if where is None else where
            for words, _, where in masks.removed(mask, self.recipe.mask.thresholds)
        }
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
        return together(quadrants.offsets(alignment), quadrants.meaning(alignment))

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
        if (why := self._nothing_to_compare()) or (found := self.evidence) is None:
            return sentence(why)
        return _picture(figures.radial_profiles(found.before, found.after, rings_px=found.rings_px))

    def ring_contrast(self) -> Shown:
        """The two numbers behind the profiles."""
        if self._nothing_to_compare() or (found := self.evidence) is None:
            return sentence("")
        return sentence(
            f"Ring contrast (root mean square of the profile about its running median of 25"
            f" pixels): {found.contrast_before:.3g} ADU in the deployed geometry,"
            f" {found.contrast_after:.3g} ADU in the corrected one, a factor of {found.gain:.2f}."
        )

    def rings(self) -> Picture | Shown:
        """The powder picture in both geometries."""
        before, after = self.calibration.geometry, self.calibration.corrected
        if self._nothing_to_compare() or self.evidence is None or self.powder is None:
            return sentence("")
        rings = self.evidence.rings_px[::2]
        return _picture(
            figures.powder_comparison(self.powder, before, after, good=self.good, rings_px=rings)
        )

    def cake(self) -> Picture | Shown:
        """Azimuth against radius in both geometries."""
        if self._nothing_to_compare() or self.evidence is None:
            return sentence("")
        return _picture(figures.cake(self.evidence.cake_before, self.evidence.cake_after))

    def _nothing_to_compare(self) -> str:
        """Why there is no before and after; empty if there is."""
        if self.evidence is None:
            return "There is no corrected geometry to compare with."
        if not np.isfinite(self.evidence.before.mean).any():
            return "There is no good pixel to make a profile of."
        return ""

    # Geometry

    def geometry(self) -> Picture | Shown:
        """What the corrected geometry changes."""
        before, after = self.calibration.geometry, self.calibration.corrected
        if before is None or after is None:
            return sentence("No corrected geometry was made.")
        return _picture(figures.geometry_difference(before, after, names=("deployed", "corrected")))

    def shifts(self) -> Shown:
        """The same as numbers, object by object."""
        return changes.shifts(self.calibration.geometry, self.calibration.corrected)

    def versions(self) -> Shown:
        """Versions of the geometry in the calibration directory."""
        return installed.versions(self.calibration)

    def geometry_texts(self) -> Shown:
        """Both geometries as text, folded: enough to install or repeat without any other file."""
        return changes.texts(self.calibration.geometry, self.calibration.corrected)

    # Provenance

    def software(self) -> Shown:
        """Who, when, where, with which versions."""
        rows = [["made", self.made["when"]], ["by", self.made["user"]], ["on", self.made["host"]]]
        rows += [[name, version] for name, version in self.made["software"].items()]
        return table(["", ""], [[str(a), f"{b}"] for a, b in rows])

    def hashes(self) -> Shown:
        """Hashes of recipe and results: the same recipe on the same data gives the same."""
        mask, corrected = self.calibration.mask, self.calibration.corrected
        rows = [["recipe (settings and inputs)", self.sha256]]
        for name, data in self._arrays().items():
            rows.append([name, origins.sha256(np.ascontiguousarray(data))])
        if mask is not None:
            rows.append(["mask (good pixels)", origins.sha256(np.packbits(mask.good))])
        if corrected is not None:
            rows.append(["corrected geometry (text)", origins.sha256(corrected.to_text().encode())])
        return table(["result", "SHA-256"], rows)

    def outputs(self) -> Shown:
        """Files that were written, with their sizes; their hashes folded."""
        return inputs.outputs(self.calibration.files)

    def recipe_text(self) -> Shown:
        """The recipe as it was run, paths made absolute."""
        return preformatted(recipe_to_text(self.recipe), again.RECIPE)

    def provenance(self) -> Shown:
        """Everything the results carry about where they come from."""
        return origins.shown(self.calibration.provenance)

    def repeat(self) -> Shown:
        """The one command that makes this report again, and the one that installs its geometry."""
        path = self.path.absolute() if self.path else Path("recipe.calibration.toml")
        parts = [again.how(path, origins.starting_geometry(self.calibration))]
        install = changes.install_command(self.calibration, path)
        if install and self.installed.path is None:
            parts += [sentence("To install the corrected geometry:"), preformatted(install)]
        return together(*parts)

    # What the parts share

    def _arrays(self) -> dict[str, Any]:
        images = self.calibration.images
        named = {
            f"{image.words} of the {image.runs}": getattr(images, name)
            for name, image in IMAGES.items()
        }
        return {name: image.data for name, image in named.items() if image is not None}

    def _views(self) -> list[ThresholdView]:
        arrays = dict(zip(IMAGES, self._arrays().items(), strict=False))
        if len(arrays) < len(IMAGES):
            return []
        limits = self.recipe.mask.thresholds
        return [
            ThresholdView(*arrays[rule.image], getattr(limits, name), rule.side)
            for name, rule in LIMITS.items()
        ]


def _picture(figure: Any) -> Picture:
    return Picture(figure, dpi=120, max_bytes=PICTURE_BYTES)
