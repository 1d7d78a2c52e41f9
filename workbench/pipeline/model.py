"""What a calibration starts from and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.recipe import Recipe
from workbench.recipe.rules import IMAGES

if TYPE_CHECKING:
    from workbench.alignment import Alignment
    from workbench.averages import RunImages
    from workbench.detectors import Detector
    from workbench.geometry import Geometry
    from workbench.images import DetectorImage
    from workbench.mask import Mask


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The images a calibration starts from; all share one geometry.

    ``average`` and ``stddev`` are of the dark run, ``maximum`` (of all bright runs' maxima) and
    ``bright_average`` of the bright ones. What the recipe does not name is None. ``partial`` is
    True if averaging was cancelled: some events, or whole runs, are not in the images. ``halves``
    are the images of one and of the other half of the bright runs' events, if they were divided, by
    kind: ``average`` and ``maximum``.
    """

    average: DetectorImage | None = None
    stddev: DetectorImage | None = None
    maximum: DetectorImage | None = None
    bright_average: DetectorImage | None = None
    geometry: Geometry | None = None
    low_gain: NDArray[np.bool_] | None = None
    dark: RunImages | None = None
    bright: tuple[RunImages, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    partial: bool = False
    halves: Mapping[str, tuple[DetectorImage, ...]] = field(default_factory=dict)

    @property
    def detector(self) -> Detector | None:
        """What took the images; None before there are any."""
        given = (self.average, self.stddev, self.maximum, self.bright_average, self.geometry)
        return next((image.detector for image in given if image is not None), None)

    @property
    def occupancy(self) -> NDArray[np.float64] | None:
        """Smallest fraction of a run's events with data in the pixel; None without runs.

        float64 of the detector's shape, 0 to 1.
        """
        runs = [run for run in (self.dark, *self.bright) if run is not None and run.count]
        fractions = [run.pixel_count / run.count for run in runs]
        return np.minimum.reduce(fractions) if fractions else None

    def named(self, of_runs: bool = False) -> dict[str, DetectorImage]:
        """Average, standard deviation and maximum that are there, by their names in pictures.

        Parameters
        ----------
        of_runs : the names say which runs they are of.
        """
        named = {
            image.of_runs if of_runs else image.words: getattr(self, name)
            for name, image in IMAGES.items()
        }
        return {name: image for name, image in named.items() if image is not None}

    @property
    def missing_for_mask(self) -> tuple[str, ...]:
        """Images that the mask needs and that are not there."""
        return tuple(name for name in IMAGES if getattr(self, name) is None)


@dataclass(frozen=True, eq=False)
class Calibration:
    """All results of a recipe."""

    recipe: Recipe
    images: ImageSet
    mask: Mask | None
    alignment: Alignment | None
    files: Mapping[str, Path]
    warnings: tuple[str, ...]
    provenance: Mapping[str, Any]

    @property
    def geometry(self) -> Geometry | None:
        """The geometry the images were taken with (the deployed one)."""
        return self.images.geometry

    @property
    def corrected(self) -> Geometry | None:
        """The geometry with aligned quadrants."""
        return None if self.alignment is None else self.alignment.geometry

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Files the calibration was made from."""
        runs = [run for run in (self.images.dark, *self.images.bright) if run is not None]
        read = [run.provenance.get("run", {}).get("files", ()) for run in runs]
        paths = [file["path"] for files in read for file in files]
        return tuple(map(Path, dict.fromkeys(paths))) + tuple(self.images.files.values())
