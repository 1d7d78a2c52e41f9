"""Results to files, and the corrected geometry into its version store."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import GeometryError, RecipeError
from workbench.files import in_calibration_directory
from workbench.pipeline.averaging import open_recipe_run, recipe_hash
from workbench.pipeline.model import Calibration
from workbench.recipe import Recipe, read_recipe, recipe_to_text, write_recipe
from workbench.recipe.files import SUFFIX

if TYPE_CHECKING:
    from workbench.geometry import Deployment, GeometryStore, Version


def save_results(calibration: Calibration) -> dict[str, Path]:
    """Write all results into the recipe's output folder; gives the paths by kind.

    Averages of each run (and of halves of its events, if it was divided), the maximum of maxima
    where there are several bright runs, the mask, the corrected image ``…_cc.cbf``, the corrected
    geometry ``0-end.data`` and the recipe. A recipe of that name that a person wrote is kept; the
    one saved is then called ``…-2.calibration.toml``.

    Raises
    ------
    RecipeError
        If a setting leads out of the output folder or into a calibration directory.
    """
    from workbench.averages.halves import half_name
    from workbench.images import image_ending, write_image
    from workbench.mask import write_mask

    recipe, images = calibration.recipe, calibration.images
    check_output(recipe)
    if calibration.mask is not None:
        calibration.mask.refuse_mix_up()
    folder = Path(recipe.output.folder)
    name = recipe.experiment.name.rpartition("/")[2].lower() or _plain_name(calibration)
    files: dict[str, Path] = {}
    for run in (images.dark, *images.bright):
        if run is not None:
            saved = run.save(folder, images.geometry)
            files |= {f"{kind}-r{run.run:04d}": path for kind, path in saved.items()}
    if len(images.bright) > 1:
        for kind, short in (("maximum", "max"), ("bright_average", "avg")):
            merged = getattr(images, kind)
            files[kind] = folder / f"{name}_all_{short}{image_ending(merged.detector)}"
            write_image(merged, files[kind])
        for kind, short in (("average", "avg"), ("maximum", "max")):
            for half in images.halves.get(kind, ()):
                which = half.provenance["half"]["which"]
                base = half_name(f"{name}_all_{short}", which)
                path = folder / f"{base}{image_ending(half.detector)}"
                write_image(half, path)
                files[f"{which} {kind}"] = path
    if calibration.mask is not None:
        files["mask"] = folder / recipe.output.mask
        write_mask(calibration.mask, files["mask"])
    image = images.maximum or images.bright_average
    if calibration.corrected is not None and image is not None:
        stem = files.get("maximum") or next(
            (files[f"maximum-r{run.run:04d}"] for run in images.bright),
            images.files.get("maximum", Path(f"{name}_max.cbf")),
        )
        files["corrected"] = folder / f"{stem.stem}_cc{image_ending(image.detector)}"
        write_image(dataclasses.replace(image, geometry=calibration.corrected), files["corrected"])
        files["geometry"] = folder / "0-end.data"
        calibration.corrected.write(files["geometry"])
    files["recipe"] = _save_recipe(recipe, folder, name)
    return files


def _plain_name(calibration: Calibration) -> str:
    """Start of file names where the recipe names no experiment, e.g. ``cspad``, ``jungfrau4m``."""
    detector = calibration.images.detector
    return "calibration" if detector is None else re.sub(r"\W", "", detector.name.lower())


def check_output(recipe: Recipe) -> None:
    """Refuse settings by which results would be written over files that are not theirs.

    Raises
    ------
    RecipeError
        If a name leads out of the output folder, or that folder is one psana reads.
    """
    names = {
        "experiment.name": recipe.experiment.name.rpartition("/")[2],
        "output.mask": recipe.output.mask,
    }
    for setting, name in names.items():
        if name and (name == ".." or Path(name).name != name):
            raise RecipeError(f"{setting} is {name!r}; give a name without a folder.")
    if in_calibration_directory(recipe.output.folder):
        raise RecipeError(
            f"output.folder {recipe.output.folder} lies in a calibration directory, where psana "
            "would read the results; choose another folder, and deploy the geometry afterwards."
        )


def _save_recipe(recipe: Recipe, folder: Path, name: str) -> Path:
    """Write a recipe, but never over one that a person wrote; gives the file that holds it."""
    for number in itertools.count(1):
        path = folder / f"{name}{f'-{number}' if number > 1 else ''}{SUFFIX}"
        if not os.path.lexists(path) or _was_written_here(path):
            write_recipe(recipe, path)
            return path
        with contextlib.suppress(RecipeError):
            if read_recipe(path) == recipe:
                return path
    raise AssertionError  # the count has no end


def _was_written_here(path: Path) -> bool:
    """Whether a recipe file has exactly the text that `write_recipe` gives it."""
    try:
        return recipe_to_text(read_recipe(path)) == path.read_text("utf-8")
    except (RecipeError, OSError):
        return False


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


def deploy(
    calibration: Calibration, comment: str = "", previewed: Deployment | None = None
) -> Version:
    """Install the corrected geometry as a new version, with where it comes from.

    With `previewed` (from `GeometryStore.preview`) it is refused if the store has changed since.

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
        recipe_sha256=recipe_hash(calibration.recipe),
        inputs=list(calibration.inputs),
        quality=alignment.to_dict(),
        previewed=previewed,
    )
