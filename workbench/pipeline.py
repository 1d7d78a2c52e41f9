"""Recipe in, results out: the steps of a calibration, shared by panels, command line and report.

Each step is one function that can be called alone. `run_recipe` calls them in order.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import provenance
from workbench.detector import DEFAULT_ADDRESS
from workbench.errors import GeometryError, RecipeError
from workbench.progress import Progress, raise_if_cancelled
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


def averaging_key(recipe: Recipe, number: int, corrections: Corrections) -> str:
    """SHA-256 over all that decides a run's averages: files (sizes, times), corrections, events."""
    run = open_recipe_run(recipe, number)
    decides = {
        "run": run.describe(),
        "constants": _constants_files(run) if not corrections.is_raw else [],
        "corrections": dataclasses.asdict(corrections),
        "events": dataclasses.asdict(recipe.events),
        "detz_offset_mm": recipe.experiment.detz_offset_mm,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


def average_one(
    recipe: Recipe,
    number: int,
    corrections: Corrections,
    progress: Progress | None = None,
    snapshot: Snapshot | None = None,
    known: MutableMapping[str, RunImages] | None = None,
) -> RunImages:
    """Average, standard deviation, maximum and minimum of one run of a recipe.

    Parameters
    ----------
    snapshot : called every few seconds with what there is so far.
    known : results of earlier calls by `averaging_key`; a run found there is not read again, and
        a complete new result is added.

    Raises
    ------
    NoEventsError
        If no event of the run could be used.
    """
    from workbench.averages import average_run

    key = averaging_key(recipe, number, corrections)
    if known is not None and key in known:
        return known[key]
    images = average_run(
        open_recipe_run(recipe, number),
        corrections,
        progress=progress,
        selection=recipe.events,
        detz_offset_mm=recipe.experiment.detz_offset_mm,
        snapshot=snapshot,
    )
    if known is not None and not images.partial:
        known[key] = images
    return images


def gather_images(
    recipe: Recipe,
    progress: Progress | None = None,
    snapshot: Snapshot | None = None,
    known: MutableMapping[str, RunImages] | None = None,
) -> ImageSet:
    """Images a recipe starts from: files it names, averages of its runs for the rest.

    Parameters
    ----------
    recipe : with absolute paths (see `load_recipe`).
    snapshot, known : see `average_one`.

    Raises
    ------
    WorkbenchError
        If a file or run cannot be used, or nothing is named.
    """
    from workbench.averages import deployed_geometry
    from workbench.images import read_image

    def averaged(number: int, corrections: Corrections) -> RunImages:
        raise_if_cancelled(progress, "The calibration")
        return average_one(recipe, number, corrections, progress, snapshot, known)

    files = {kind: Path(path) for kind, path in dataclasses.asdict(recipe.images).items() if path}
    named = {kind: read_image(path) for kind, path in files.items()}
    experiment = recipe.experiment
    dark: RunImages | None = None
    bright: tuple[RunImages, ...] = ()
    if experiment.dark is not None and not {"average", "stddev"} <= named.keys():
        dark = averaged(experiment.dark, recipe.dark_corrections)
    if "maximum" not in named:
        bright = tuple(averaged(run, recipe.bright_corrections) for run in experiment.bright)
    if not (named or dark or bright):
        raise RecipeError(
            "The recipe names neither runs nor images; set experiment.dark and "
            "experiment.bright, or images.average, images.stddev and images.maximum."
        )
    geometry = next((image.geometry for image in named.values() if image.geometry), None)
    low_gain = None
    if dark or bright:
        run = open_recipe_run(recipe, bright[0].run if bright else dark.run)  # type: ignore[union-attr]
        low_gain = run.low_gain
        geometry = geometry or deployed_geometry(run)
    if dark:
        named.setdefault("average", dark.image("average", geometry))
        named.setdefault("stddev", dark.image("stddev", geometry))
    if bright:
        merged = merge_runs(bright)
        named.setdefault("maximum", merged.image("maximum", geometry))
        named.setdefault("bright_average", merged.image("average", geometry))
    return ImageSet(
        **named, geometry=geometry, low_gain=low_gain, dark=dark, bright=bright, files=files
    )


def make_recipe_mask(recipe: Recipe, images: ImageSet) -> Mask | None:
    """Mask of a recipe; None if average, stddev and maximum are not all there."""
    from workbench.mask import build_mask

    if images.average is None or images.stddev is None or images.maximum is None:
        return None
    return build_mask(
        recipe.mask,
        images.average,
        images.stddev,
        images.maximum,
        geometry=images.geometry,
        low_gain=images.low_gain,
    )


def align_recipe(
    recipe: Recipe, images: ImageSet, mask: Mask | None, progress: Progress | None = None
) -> Alignment | None:
    """Quadrant alignment of a recipe, on the average of the bright runs if there is one.

    None if there is neither an average nor a maximum of bright runs.
    """
    from workbench.alignment import align_quadrants

    image = alignment_image(images)
    if image is None:
        return None
    return align_quadrants(
        image,
        images.geometry,
        mask,
        recipe.alignment.method,
        settings=recipe.alignment,
        progress=progress,
    )


def alignment_image(images: ImageSet) -> DetectorImage | None:
    """Give the image the quadrants are aligned on: rings are truer in the average."""
    return images.bright_average or images.maximum


def run_recipe(
    recipe: Recipe | str | os.PathLike[str],
    progress: Progress | None = None,
    *,
    save: bool = True,
    known: MutableMapping[str, RunImages] | None = None,
) -> Calibration:
    """Calibrate: averages, mask, quadrant alignment; results are saved into the output folder.

    Nothing is deployed; see `deploy`.

    Parameters
    ----------
    recipe : a recipe with absolute paths, or the path of a recipe file.
    save : write averages, mask, corrected image, geometry and recipe.
    known : see `average_one`.

    Raises
    ------
    WorkbenchError
        If an input cannot be used; nothing is written then.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    images = gather_images(recipe, progress, known=known)
    mask = make_recipe_mask(recipe, images)
    raise_if_cancelled(progress, "The calibration")
    alignment = align_recipe(recipe, images, mask, progress)
    return finish(recipe, images, mask, alignment, save=save)


def finish(
    recipe: Recipe,
    images: ImageSet,
    mask: Mask | None,
    alignment: Alignment | None,
    *,
    save: bool = True,
) -> Calibration:
    """Put the results of the steps together, with warnings and provenance, and save them."""
    origin = {
        **provenance.stamp(),
        "recipe": recipe_to_text(recipe),
        "recipe_sha256": recipe_hash(recipe),
        "inputs": [run.provenance for run in (images.dark, *images.bright) if run]
        + provenance.describe_files(images.files.values()),
    }
    calibration = Calibration(
        recipe, images, mask, alignment, {}, _warnings(images, mask, alignment), origin
    )
    return (
        dataclasses.replace(calibration, files=save_results(calibration)) if save else calibration
    )


def save_results(calibration: Calibration) -> dict[str, Path]:
    """Write all results into the recipe's output folder; gives the paths by kind.

    Averages of each run, the maximum of maxima where there are several bright runs, the mask, the
    corrected image ``…_cc.cbf``, the corrected geometry ``0-end.data`` and the recipe.
    """
    from workbench.images import write_image
    from workbench.mask import write_mask
    from workbench.recipe.files import SUFFIX

    recipe, images = calibration.recipe, calibration.images
    folder = Path(recipe.output.folder)
    name = recipe.experiment.name.lower() or "cspad"
    files: dict[str, Path] = {}
    for run in (images.dark, *images.bright):
        if run is not None:
            saved = run.save(folder, images.geometry)
            files |= {f"{kind}-r{run.run:04d}": path for kind, path in saved.items()}
    if len(images.bright) > 1:
        for kind, short in (("maximum", "max"), ("bright_average", "avg")):
            files[kind] = folder / f"{name}_all_{short}.cbf"
            write_image(getattr(images, kind), files[kind])
    if calibration.mask is not None:
        files["mask"] = folder / recipe.output.mask
        write_mask(calibration.mask, files["mask"])
    image = images.maximum or images.bright_average
    if calibration.corrected is not None and image is not None:
        stem = files.get("maximum") or next(
            (path for kind, path in files.items() if kind.startswith("maximum-")),
            images.files.get("maximum", Path(f"{name}_max.cbf")),
        )
        files["corrected"] = folder / f"{stem.stem}_cc.cbf"
        write_image(dataclasses.replace(image, geometry=calibration.corrected), files["corrected"])
        files["geometry"] = folder / "0-end.data"
        calibration.corrected.write(files["geometry"])
    files["recipe"] = folder / f"{name}{SUFFIX}"
    write_recipe(recipe, files["recipe"])
    return files


def geometry_store(recipe: Recipe) -> GeometryStore:
    """Version store of the recipe's detector.

    Raises
    ------
    RecipeError
        If the recipe does not lead to a calibration directory.
    """
    from workbench.geometry import GeometryStore

    experiment = recipe.experiment
    calib_dir: str | os.PathLike[str] | None = experiment.calib_dir
    if calib_dir is None and experiment.name and (experiment.bright or experiment.dark is not None):
        number = experiment.bright[0] if experiment.bright else experiment.dark
        calib_dir = open_recipe_run(recipe, number).calib_dir  # type: ignore[arg-type]
    if calib_dir is None:
        raise RecipeError(
            "The recipe does not say where geometries are deployed; set experiment.calib_dir."
        )
    return GeometryStore(calib_dir, experiment.address)


def deploy(calibration: Calibration, comment: str = "") -> Any:
    """Install the corrected geometry as a new version, with where it comes from.

    Returns
    -------
    The new version, as `GeometryStore.deploy` gives it.

    Raises
    ------
    GeometryError
        If there is no corrected geometry.
    VersionStoreError
        If the store refuses; it is then as it was.
    """
    alignment = calibration.alignment
    if alignment is None or calibration.corrected is None:
        raise GeometryError(
            "There is no aligned geometry to deploy; align the quadrants on a bright run first."
        )
    return geometry_store(calibration.recipe).deploy(
        calibration.corrected,
        comment=comment,
        recipe_hash=recipe_hash(calibration.recipe),
        inputs=calibration.provenance["inputs"],
        quality=alignment.to_dict(),
    )


def merge_runs(runs: Sequence[RunImages]) -> RunImages:
    """Combine the images of several runs as if they were one (maximum of maxima)."""
    from workbench.averages import merge_all

    if len(runs) == 1:
        return runs[0]

    def mean(name: str) -> float | None:
        known = [(getattr(run, name), run.count) for run in runs if getattr(run, name) is not None]
        return sum(v * n for v, n in known) / sum(n for _, n in known) if known else None

    return dataclasses.replace(
        runs[0],
        statistics=merge_all([run.statistics for run in runs]),
        skipped=sum((run.skipped for run in runs), Counter()),
        **{name: mean(name) for name in ("encoder_mm", "distance_mm", "wavelength_angstrom")},
        provenance={"merged": [run.provenance for run in runs]},
        partial=any(run.partial for run in runs),
        warnings=tuple(dict.fromkeys(text for run in runs for text in run.warnings)),
    )


def _constants_files(run: Run) -> list[dict[str, Any]]:
    from workbench.constants import constants_folder, file_for_run

    if run.calib_dir is None:
        return []
    found = (
        file_for_run(constants_folder(run.calib_dir, run.address, kind), run.number)
        for kind in ("pedestals", "common_mode", "pixel_gain", "pixel_status")
    )
    return provenance.describe_files(path for path in found if path is not None)


def _warnings(images: ImageSet, mask: Mask | None, alignment: Alignment | None) -> tuple[str, ...]:
    found = [text for run in (images.dark, *images.bright) if run for text in run.warnings]
    found += getattr(mask, "warnings", ())
    if alignment is not None:
        found += alignment.warnings
    return tuple(dict.fromkeys(found))
