"""Results to files, and the corrected geometry into its version store."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import GeometryError, RecipeError
from workbench.pipeline.averaging import open_recipe_run, recipe_hash
from workbench.pipeline.model import Calibration
from workbench.recipe import Recipe, write_recipe

if TYPE_CHECKING:
    from workbench.geometry import GeometryStore


def save_results(calibration: Calibration) -> dict[str, Path]:
    """Write all results into the recipe's output folder; gives the paths by kind.

    Averages of each run (and of halves of its events, if it was divided), the maximum of maxima
    where there are several bright runs, the mask, the corrected image ``…_cc.cbf``, the corrected
    geometry ``0-end.data`` and the recipe.
    """
    from workbench.averages.halves import half_name
    from workbench.images import write_image
    from workbench.mask import write_mask
    from workbench.recipe.files import SUFFIX

    recipe, images = calibration.recipe, calibration.images
    if calibration.mask is not None:
        calibration.mask.refuse_mix_up()
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
        for kind, short in (("average", "avg"), ("maximum", "max")):
            for half in images.halves.get(kind, ()):
                which = half.provenance["half"]["which"]
                path = folder / f"{half_name(f'{name}_all_{short}', which)}.cbf"
                write_image(half, path)
                files[f"{which} {kind}"] = path
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


def deploy(calibration: Calibration, comment: str = "", previewed: Any = None) -> Any:
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
