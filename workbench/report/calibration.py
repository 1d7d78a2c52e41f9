"""The sections of a calibration report, in the order the notebook shows them."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench import figures
from workbench.alignment.refine import Refinement
from workbench.averages import RunImages
from workbench.figures import Picture
from workbench.figures.histograms import ThresholdView, threshold_views
from workbench.images import DetectorImage
from workbench.pipeline import (
    AverageCache,
    Calibration,
    averages_folder,
    load_recipe,
    recipe_hash,
    run_recipe,
)
from workbench.progress import Progress
from workbench.provenance import stamp
from workbench.recipe import Recipe, recipe_to_text
from workbench.recipe.rules import IMAGES, LIMITS
from workbench.report import checks, geometries, inputs, masks, quadrants, verdict
from workbench.report.provenance_table import content_sha256, provenance_table, starting_geometry
from workbench.report.reproduce import RECIPE_ID, instructions
from workbench.report.ring_comparison import RingComparison, compare_rings
from workbench.report.sensors import sensor_table
from workbench.report.text import Shown, beside, preformatted, sentence, table, together
from workbench.report.versions_table import InstalledVersion, installed_version, versions_table

NO_THRESHOLDS = "Without a dark and a bright image there are no thresholds to show."


class CalibrationReport:
    """The sections of a report on one calibration.

    Parameters
    ----------
    calibration : results of `workbench.run_recipe`.
    path : file of the recipe, for the command that repeats the calibration.
    recipe : the recipe as it stands in its file, if the calibration started from
        another geometry than that says.
    """

    def __init__(
        self,
        calibration: Calibration,
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
        known: MutableMapping[str, RunImages] | None = None,
    ) -> CalibrationReport:
        """Run a recipe file and give the report of its results.

        Parameters
        ----------
        geometry : file of the geometry to start from, instead of what the recipe says.
        output_dir : where results go, instead of the recipe's output folder.
        save, known : see `workbench.run_recipe`; by default the averages that the workbench kept
            in the recipe's output folder are used, where files, settings and software are the same.
        """
        recipe = load_recipe(path)
        kept = averages_folder(recipe)
        if known is None and kept.is_dir():
            known = AverageCache(kept)
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
        return recipe_hash(self.recipe)

    @cached_property
    def good(self) -> NDArray[np.bool_] | None:
        """Good pixels, bool of the detector's shape, or None without a mask."""
        return None if self.calibration.mask is None else self.calibration.mask.good

    @cached_property
    def powder(self) -> DetectorImage | None:
        """The powder image: average of the bright runs, else their maximum."""
        return self.calibration.images.bright_average or self.calibration.images.maximum

    @cached_property
    def ring_comparison(self) -> RingComparison | None:
        """Profiles before and after, or None without an alignment."""
        before, after = self.calibration.geometry, self.calibration.corrected
        if before is None or after is None or self.powder is None:
            return None
        return compare_rings(self.powder, before, after, self.good)

    @cached_property
    def installed(self) -> InstalledVersion:
        """State of the calibration directory."""
        return installed_version(self.calibration, self.sha256)

    @cached_property
    def judged(self) -> verdict.Verdict:
        """The judgement of the calibration."""
        origin = (geometries.started_from(self.calibration), self.installed.sentence)
        return verdict.judge(self.calibration, self.ring_comparison, origin, self.installed.differs)

    def verdict(self) -> Shown:
        """What was done, whether it can be trusted, which version is installed."""
        summary = verdict.summarise(self.calibration, self.judged, self.ring_comparison)
        path = self.installed.path
        summary |= {
            "installed": self.installed.version,
            "belongs_to": None if path is None else os.fspath(path),
            "recipe_sha256": self.sha256,
        }
        heading = together(verdict.heading(self.calibration), verdict.made_by(self.made))
        tables = [checks.show(self.judged.checks)]
        if self.calibration.alignment is not None:
            tables.insert(0, quadrants.offsets(self.calibration.alignment))
        return together(heading, verdict.show(self.judged, summary), beside(*tables))

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
        if not self._images:
            return sentence("There are no images.")
        limits = {
            name: figures.percentile_limits(image.data, self.good)
            for name, image in self._images.items()
        }
        return Picture(
            figures.detector_images(self._images, self.calibration.geometry, limits=limits, step=2)
        )

    def histograms(self) -> Picture | Shown:
        """Histogram of each image with its threshold."""
        if not (views := self._views()):
            return sentence(NO_THRESHOLDS)
        return Picture(figures.threshold_histograms(views))

    def sensors(self) -> Picture | Shown:
        """Average and noise of each sensor."""
        images = self.calibration.images
        if images.average is None or images.stddev is None:
            return sentence("Without a dark run there are no statistics per sensor.")
        return Picture(figures.sensor_statistics(images.average, images.stddev, self.good))

    def sensor_table(self) -> Shown:
        """The same per sensor in numbers, folded."""
        return sensor_table(self.calibration.images, self.good)

    def noise(self) -> Picture | Shown:
        """Map of the noise of the dark run."""
        stddev = self.calibration.images.stddev
        if stddev is None:
            return sentence("Without a dark run there is no noise map.")
        return Picture(figures.noise_map(stddev, self.calibration.geometry, self.good))

    # Mask

    def thresholds(self) -> Shown:
        """Settings of the mask, and what each rule removed."""
        mask = self.calibration.mask
        if mask is None:
            return sentence("No mask was made; that needs a dark and a bright run.")
        images = {name: getattr(self.calibration.images, name) for name in IMAGES}
        units = {name: image.unit for name, image in images.items() if image is not None}
        return masks.thresholds(mask, self.recipe.mask, units)

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
        return Picture(figures.mask_rules(removed, self.calibration.geometry))

    def mask_overlay(self) -> Picture | Shown:
        """Masked pixels on the powder image."""
        if self.good is None or self.powder is None:
            return sentence("There is no mask to lay on a bright image.")
        return Picture(
            figures.detector_image(
                self.powder, self.calibration.geometry, good=self.good,
                title="masked pixels on the powder image", step=2,
            )
        )  # fmt: skip

    def fraction_map(self) -> Picture | Shown:
        """Fraction masked of each ASIC."""
        if self.good is None:
            return sentence("No mask was made.")
        return Picture(figures.fraction_map(self.good, self.calibration.geometry))

    def plateaus(self) -> Picture | Shown:
        """How the number of removed pixels depends on each threshold."""
        if not (views := self._views()):
            return sentence(NO_THRESHOLDS)
        return Picture(figures.threshold_curves(views))

    # Alignment

    def offsets(self) -> Shown:
        """Offset and uncertainty of each quadrant, and what was applied."""
        alignment = self.calibration.alignment
        if alignment is None:
            return sentence("No offsets were determined; that needs a bright image.")
        return together(quadrants.offsets(alignment), quadrants.meaning(alignment))

    def measures(self) -> Shown:
        """The numbers behind the verdict on each quadrant."""
        alignment = self.calibration.alignment
        return sentence("") if alignment is None else quadrants.measures(alignment)

    def maps(self) -> Picture | Shown:
        """The correlation maps of the quadrants."""
        if self.calibration.alignment is None:
            return sentence("There are no correlation maps.")
        return Picture(figures.correlation_maps(self.calibration.alignment))

    def profiles(self) -> Picture | Shown:
        """Radial profiles in the deployed and in the corrected geometry."""
        rings = self.ring_comparison
        if rings is None:
            return sentence("There is no corrected geometry to compare with.")
        if not rings.has_profile:
            return sentence("There is no good pixel to make a profile of.")
        return Picture(figures.radial_profiles(rings.before, rings.after, rings_px=rings.rings_px))

    def ring_contrast(self) -> Shown:
        """The two numbers behind the profiles."""
        rings = self.ring_comparison
        if rings is None or not rings.has_profile:
            return sentence("")
        unit = rings.after.unit
        return sentence(
            f"Ring contrast (root mean square of the profile about its running median of 25"
            f" pixels): {rings.contrast_before:.3g} {unit} in the deployed geometry,"
            f" {rings.contrast_after:.3g} {unit} in the corrected one, a factor of"
            f" {rings.gain:.2f}."
        )

    def rings(self) -> Picture | Shown:
        """The powder picture in both geometries."""
        rings, powder = self.ring_comparison, self.powder
        before, after = self.calibration.geometry, self.calibration.corrected
        if rings is None or not rings.has_profile or not (before and after and powder):
            return sentence("")
        return Picture(
            figures.powder_comparison(
                powder, before, after, good=self.good, rings_px=rings.rings_px[::2]
            )
        )

    def cake(self) -> Picture | Shown:
        """Azimuth against radius in both geometries."""
        rings = self.ring_comparison
        if rings is None or not rings.has_profile:
            return sentence("")
        return Picture(figures.cake(rings.cake_before, rings.cake_after))

    def residuals(self) -> Picture | Shown:
        """How far each sensor's rings lie from where those of the others put them."""
        alignment, refinement = self.calibration.alignment, self._refinement
        if alignment is None or refinement is None:
            return sentence("")
        return Picture(figures.ring_residuals(refinement.held_out, alignment.present))

    def uncertainty(self) -> Picture | Shown:
        """How well each offset is known, and in which direction it is not."""
        alignment, refinement = self.calibration.alignment, self._refinement
        if alignment is None or refinement is None:
            return sentence("")
        return Picture(figures.offset_uncertainty(refinement, alignment.names, alignment.places))

    @property
    def _refinement(self) -> Refinement | None:
        """The joint refinement, where some of it is applied."""
        alignment = self.calibration.alignment
        return None if alignment is None or not alignment.applied_px.any() else alignment.refinement

    # Geometry

    def geometry(self) -> Picture | Shown:
        """What the corrected geometry changes."""
        before, after = self.calibration.geometry, self.calibration.corrected
        if before is None or after is None:
            return sentence("No corrected geometry was made.")
        return Picture(figures.geometry_difference(before, after, names=("deployed", "corrected")))

    def shifts(self) -> Shown:
        """The same as numbers, object by object."""
        return geometries.shifts(self.calibration.geometry, self.calibration.corrected)

    def versions(self) -> Shown:
        """Versions of the geometry in the calibration directory."""
        return versions_table(self.calibration)

    def geometry_texts(self) -> Shown:
        """Both geometries as text, folded: enough to install or repeat without any other file."""
        return geometries.texts(self.calibration.geometry, self.calibration.corrected)

    # Provenance

    def software(self) -> Shown:
        """Who, when, where, with which versions."""
        rows = [["made", self.made["when"]], ["by", self.made["user"]], ["on", self.made["host"]]]
        rows += [[name, str(version)] for name, version in self.made["software"].items()]
        return table(["", ""], rows)

    def hashes(self) -> Shown:
        """Hashes of recipe and results: the same recipe on the same data gives the same."""
        mask, corrected = self.calibration.mask, self.calibration.corrected
        rows = [["recipe (settings and inputs)", self.sha256]]
        for name, image in self._images.items():
            rows.append([name, content_sha256(np.ascontiguousarray(image.data))])
        if mask is not None:
            rows.append(["mask (good pixels)", content_sha256(np.packbits(mask.good))])
        if corrected is not None:
            rows.append(["corrected geometry (text)", content_sha256(corrected.to_text().encode())])
        return table(["result", "SHA-256"], rows)

    def outputs(self) -> Shown:
        """Files that were written, with their sizes; their hashes folded."""
        return inputs.outputs(self.calibration.files)

    def recipe_text(self) -> Shown:
        """The recipe as it was run, paths made absolute."""
        return preformatted(recipe_to_text(self.recipe), RECIPE_ID)

    def provenance(self) -> Shown:
        """Everything the results carry about where they come from."""
        return provenance_table(self.calibration.provenance)

    def repeat(self) -> Shown:
        """The one command that makes this report again, and the one that installs its geometry."""
        path = self.path.absolute() if self.path else Path("recipe.calibration.toml")
        shown = [instructions(path, starting_geometry(self.calibration))]
        install = geometries.install_command(self.calibration, path)
        if install and self.installed.path is None:
            shown += [sentence("To install the corrected geometry:"), preformatted(install)]
        return together(*shown)

    # What the sections share

    @cached_property
    def _images(self) -> dict[str, DetectorImage]:
        return self.calibration.images.named(of_runs=True)

    def _views(self) -> list[ThresholdView]:
        """Each image with its threshold; empty without a dark and a bright image."""
        views = threshold_views(self.calibration.images, self.recipe.mask.thresholds, of_runs=True)
        return views if len(views) == len(LIMITS) else []
