"""Recipe in, results out: the steps of a calibration, shared by panels, command line and report.

Each step is one function that can be called alone. `run_recipe` calls them in order.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import provenance
from workbench.detector import DEFAULT_ADDRESS
from workbench.errors import GeometryError, NoEventsError, RecipeError
from workbench.progress import Progress, Silent, raise_if_cancelled
from workbench.recipe import Corrections, Recipe, read_recipe, recipe_to_text, write_recipe

if TYPE_CHECKING:
    from workbench.alignment import Alignment
    from workbench.averages import RunImages
    from workbench.geometry import Geometry, GeometryStore
    from workbench.images import DetectorImage
    from workbench.mask import Mask
    from workbench.runs import Run

Snapshot = Callable[["RunImages"], None]
"""Called every few seconds while a run is being averaged, with what there is so far."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The images a calibration starts from; all share one geometry.

    ``average`` and ``stddev`` are of the dark run, ``maximum`` (of all bright runs' maxima) and
    ``bright_average`` of the bright ones. What the recipe does not name is None.
    """

    average: DetectorImage | None = None
    stddev: DetectorImage | None = None
    maximum: DetectorImage | None = None
    bright_average: DetectorImage | None = None
    geometry: Geometry | None = None
    low_gain: Any = None
    dark: RunImages | None = None
    bright: tuple[RunImages, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)


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


def open_run(
    experiment: str,
    run: int,
    address: str = DEFAULT_ADDRESS,
    psdm_dir: str | os.PathLike[str] | None = None,
    xtc_dir: str | os.PathLike[str] | None = None,
    calib_dir: str | os.PathLike[str] | None = None,
) -> Run:
    """Open a run for reading; nothing of its events is read yet.

    Parameters
    ----------
    experiment : e.g. ``cxim1416``.
    run : run number.
    address : detector address, e.g. ``CxiDs1.0:Cspad.0``.
    psdm_dir : root of the data tree (default ``$SIT_PSDM_DATA``).
    xtc_dir, calib_dir : the folders themselves, where they are not in such a tree.

    Raises
    ------
    RunNotFoundError, DetectorNotFoundError
        If there is no such run or detector; the message lists what there is.
    """
    from workbench import corrections, runs

    return runs.open_run(
        experiment,
        run,
        address=address,
        psdm_dir=psdm_dir,
        xtc_dir=xtc_dir,
        calib_dir=calib_dir,
        make_corrector=corrections.make_corrector,
    )


def resolve(recipe: Recipe, folder: str | os.PathLike[str]) -> Recipe:
    """Recipe with its relative paths made absolute, as seen from `folder`."""
    for path in (
        "experiment.psdm_dir",
        "experiment.xtc_dir",
        "experiment.calib_dir",
        "images.average",
        "images.stddev",
        "images.maximum",
        "images.bright_average",
        "output.folder",
    ):
        value = recipe.setting(path)
        if isinstance(value, str):
            absolute = os.path.normpath(Path(folder, Path(value).expanduser()).absolute())
            recipe = recipe.changed(path, absolute)
    return recipe


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe file and make its paths absolute.

    Raises
    ------
    RecipeError
        If the file cannot be read or a setting in it cannot be used.
    """
    return resolve(read_recipe(path), Path(path).absolute().parent)


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of the recipe's text: two recipes with the same hash calibrate alike."""
    return hashlib.sha256(recipe_to_text(recipe).encode()).hexdigest()


def open_recipe_run(recipe: Recipe, number: int) -> Run:
    """Open one of a recipe's runs."""
    experiment = recipe.experiment
    if not experiment.name:
        raise RecipeError("The recipe names no experiment; set experiment.name, e.g. cxim1416.")
    return open_run(
        experiment.name,
        number,
        experiment.address,
        experiment.psdm_dir,
        experiment.xtc_dir,
        experiment.calib_dir,
    )


def average_one(
    recipe: Recipe,
    number: int,
    corrections: Corrections,
    progress: Progress | None = None,
    snapshot: Snapshot | None = None,
) -> RunImages:
    """Average, standard deviation, maximum and minimum of one run of a recipe.

    Raises
    ------
    NoEventsError
        If no event of the run could be used.
    """
    from workbench.averages import average_run

    run = open_recipe_run(recipe, number)
    return average_run(
        run, corrections, progress=progress, selection=recipe.events, snapshot=snapshot
    )


def gather_images(
    recipe: Recipe,
    progress: Progress | None = None,
    snapshot: Snapshot | None = None,
    known: Mapping[str, RunImages] | None = None,
) -> ImageSet:
    """Images a recipe starts from: files it names, averages of its runs for the rest.

    Parameters
    ----------
    recipe : with absolute paths (see `load_recipe`).
    snapshot : called every few seconds with the run being averaged.
    known : results of earlier calls by `averaging_key`; runs found there are not read again.

    Raises
    ------
    WorkbenchError
        If a file or run cannot be used, or files and runs have different geometries.
    """
    from workbench.averages import deployed_geometry
    from workbench.images import read_image

    named = {
        kind: read_image(path)
        for kind in ("average", "stddev", "maximum", "bright_average")
        if (path := getattr(recipe.images, kind))
    }
    files = {kind: Path(getattr(recipe.images, kind)) for kind in named}
    experiment = recipe.experiment
    dark = None
    if experiment.dark is not None and not {"average", "stddev"} <= named.keys():
        dark = _averaged(
            recipe, experiment.dark, recipe.dark_corrections, progress, snapshot, known
        )
    bright = []
    if "maximum" not in named:
        for number in experiment.bright:
            raise_if_cancelled(progress, "The calibration")
            bright.append(
                _averaged(recipe, number, recipe.bright_corrections, progress, snapshot, known)
            )
    geometry = next((image.geometry for image in named.values() if image.geometry), None)
    low_gain = None
    for images in [*bright, *([dark] if dark else [])]:
        run = open_recipe_run(recipe, images.run)
        low_gain = run.low_gain if low_gain is None else low_gain
        geometry = geometry or deployed_geometry(run)
    if dark:
        named.setdefault("average", dark.image("average", geometry))
        named.setdefault("stddev", dark.image("stddev", geometry))
    if bright:
        merged = merge_runs(bright)
        named.setdefault("maximum", merged.image("maximum", geometry))
        named.setdefault("bright_average", merged.image("average", geometry))
    if not named:
        raise RecipeError(
            "The recipe names neither runs nor images; set experiment.dark and "
            "experiment.bright, or images.average, images.stddev and images.maximum."
        )
    return ImageSet(
        **named,
        geometry=geometry,
        low_gain=low_gain,
        dark=dark,
        bright=tuple(bright),
        files=files,
    )
