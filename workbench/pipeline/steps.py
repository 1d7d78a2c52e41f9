"""The steps of a calibration, one function each; `run_recipe` calls them in order."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import provenance
from workbench.errors import Cancelled, RecipeError
from workbench.pipeline.averaging import (
    Snapshot,
    average_one,
    load_recipe,
    open_recipe_run,
    recipe_hash,
    runs_to_average,
)
from workbench.pipeline.model import Calibration, ImageSet
from workbench.pipeline.overall_progress import OverallProgress, expected_events
from workbench.pipeline.results import check_output, save_results
from workbench.progress import Progress, raise_if_cancelled
from workbench.recipe import Corrections, Recipe, recipe_to_text

NO_HALVES = (
    "Halves of the events are not compared: the images were not averaged in halves, or are files."
)

if TYPE_CHECKING:
    from workbench.alignment import Alignment, RankedImage
    from workbench.averages import RunImages
    from workbench.images import DetectorImage
    from workbench.mask import Mask, MaskEvaluator


def gather_images(
    recipe: Recipe,
    progress: Progress | None = None,
    snapshot: Snapshot | None = None,
    known: MutableMapping[str, RunImages] | None = None,
    snapshot_seconds: float = 3.0,
) -> ImageSet:
    """Images a recipe starts from: files it names, averages of its runs for the rest.

    Parameters
    ----------
    recipe : with absolute paths (see `load_recipe`).
    snapshot, known, snapshot_seconds : see `average_one`.

    Returns
    -------
    `ImageSet`; after a cancel what there is so far, with ``partial`` True.

    Raises
    ------
    Cancelled
        If the work was cancelled before there was any image.
    WorkbenchError
        If a file or run cannot be used, or nothing is named.
    """
    from workbench.averages import deployed_geometry, merge_runs
    from workbench.geometry import Geometry
    from workbench.images import read_image

    partial = False
    overall: OverallProgress | None = None

    def averaged(number: int, corrections: Corrections, halves: str) -> RunImages | None:
        nonlocal partial
        try:
            raise_if_cancelled(progress, "The calibration")
            if overall is not None:
                overall.begin(number)
            run_images = average_one(
                recipe, number, corrections, overall, snapshot, known, snapshot_seconds, halves
            )
        except Cancelled:
            partial = True
            return None  # the runs before it are worth keeping
        partial = partial or run_images.partial
        return run_images

    files = {kind: Path(path) for kind, path in dataclasses.asdict(recipe.images).items() if path}
    named = {kind: read_image(path) for kind, path in files.items()}
    experiment = recipe.experiment
    dark: RunImages | None = None
    to_average = runs_to_average(recipe)
    for number, _, _ in to_average:
        open_recipe_run(recipe, number)  # one that is missing is told before hours of work
    geometry = next((image.geometry for image in named.values() if image.geometry), None)
    if experiment.geometry:
        geometry = Geometry.read(experiment.geometry)
    if progress is not None and to_average:
        overall = OverallProgress(progress, expected_events(recipe, to_average, known))
    if recipe.runs_read[0] is not None:
        dark = averaged(*to_average.pop(0))
    averages = [averaged(*run) for run in to_average]
    bright = tuple(run for run in averages if run is not None)
    if partial and not (named or dark or bright):
        raise Cancelled("Averaging was cancelled before its first event; nothing was written.")
    if not (named or dark or bright):
        raise RecipeError(
            "The recipe names neither runs nor images; set experiment.dark and "
            "experiment.bright, or images.average, images.stddev and images.maximum."
        )
    low_gain = None
    if dark or bright:
        run = open_recipe_run(recipe, bright[0].run if bright else dark.run)  # type: ignore[union-attr]
        low_gain = run.low_gain
        geometry = geometry or deployed_geometry(run)
    if dark:
        named.setdefault("average", dark.image("average", geometry))
        named.setdefault("stddev", dark.image("stddev", geometry))
    halves: dict[str, tuple[DetectorImage, ...]] = {}
    if bright:
        merged = merge_runs(bright)
        for kind, name in (("average", "bright_average"), ("maximum", "maximum")):
            if merged.halves and name not in named:  # a file has no halves
                halves[kind] = tuple(half.image(kind, geometry) for half in merged.halves)
        named.setdefault("maximum", merged.image("maximum", geometry))
        named.setdefault("bright_average", merged.image("average", geometry))
    return ImageSet(
        **named,
        geometry=geometry,
        low_gain=low_gain,
        dark=dark,
        bright=bright,
        files=files,
        partial=partial,
        halves=halves,
    )


def mask_evaluator(images: ImageSet) -> MaskEvaluator | None:
    """What makes masks of these images; None if `ImageSet.missing_for_mask` names any."""
    from workbench.mask import MaskEvaluator

    if images.average is None or images.stddev is None or images.maximum is None:
        return None
    return MaskEvaluator(
        images.average,
        images.stddev,
        images.maximum,
        geometry=images.geometry,
        low_gain=images.low_gain,
        occupancy=images.occupancy,
    )


def make_recipe_mask(recipe: Recipe, images: ImageSet) -> Mask | None:
    """Mask of a recipe; None if average, stddev and maximum are not all there."""
    evaluator = mask_evaluator(images)
    return None if evaluator is None else evaluator.mask(recipe.mask)


def align_recipe(
    recipe: Recipe, images: ImageSet, mask: Mask | None, progress: Progress | None = None
) -> Alignment | None:
    """Quadrant alignment of a recipe, on the picture that ``recipe.alignment.image`` names.

    None if there is neither an average nor a maximum of bright runs. Halves of the events are
    compared where the images have them. What a person decided (``recipe.decisions``) is applied.
    """
    from workbench.alignment import align_quadrants

    image = alignment_image(images, recipe.alignment.image)
    if image is None:
        return None
    kind = "average" if image is images.bright_average else "maximum"
    halves = images.halves.get(kind, ())
    alignment = align_quadrants(
        image,
        images.geometry,
        mask,
        recipe.alignment.method,
        settings=recipe.alignment,
        progress=progress,
        halves=halves,
    )
    if recipe.alignment.halves != "none" and not halves:
        alignment = dataclasses.replace(alignment, warnings=(*alignment.warnings, NO_HALVES))
    return alignment.decided(recipe.decisions)


def alignment_image(images: ImageSet, which: str = "average") -> DetectorImage | None:
    """Give the image the quadrants are aligned on; where it is missing, the other one."""
    both = (images.bright_average, images.maximum)
    first, second = both if which == "average" else both[::-1]
    return first or second


def rank_pictures(recipe: Recipe, images: ImageSet, mask: Mask | None = None) -> list[RankedImage]:
    """Rank what could be aligned on by the clearness of its rings, the clearest first.

    These are the average and the merged maximum of the bright runs and, of several runs, each
    run's maximum.
    """
    from workbench.alignment import rank_images

    several = len(images.bright) > 1
    of = f"{len(images.bright)} runs" if several else "the bright run"
    named = {f"average of {of}": images.bright_average, f"maximum of {of}": images.maximum}
    for run in images.bright if several else ():
        named[f"maximum of run {run.run}"] = run.image("maximum", images.geometry)
    present = {name: image for name, image in named.items() if image is not None}
    return rank_images(present, images.geometry, mask, recipe.alignment)


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
    if save:
        check_output(recipe)
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


def _warnings(images: ImageSet, mask: Mask | None, alignment: Alignment | None) -> tuple[str, ...]:
    warnings = [text for run in (images.dark, *images.bright) if run for text in run.warnings]
    if images.partial:
        warnings.append(
            "Averaging was cancelled: the images are of the events until then. Average again to "
            "use all of them."
        )
    warnings += getattr(mask, "warnings", ())
    if alignment is not None:
        warnings += alignment.warnings
    return tuple(dict.fromkeys(warnings))
