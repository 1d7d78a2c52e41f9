"""Recipe to averages of its runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import provenance
from workbench.detectors import DEFAULT_ADDRESS
from workbench.errors import RecipeError, WorkbenchError
from workbench.progress import Progress
from workbench.recipe import (
    Corrections,
    FrameSettings,
    Images,
    Output,
    Recipe,
    decided,
    read_recipe,
)
from workbench.recipe.mask import FileLayer

if TYPE_CHECKING:
    from workbench.averages import RunImages
    from workbench.runs import ExperimentPlace, PsanaRun, Run, XtcRun

RunToAverage = tuple[int, Corrections, str]
"""Run number, corrections, event halves."""
Snapshot = Callable[["RunImages"], None]
"""Called every few seconds while a run is being averaged, with what there is so far."""


def open_run(
    experiment: str = "",
    run: int = 0,
    address: str = DEFAULT_ADDRESS,
    psdm_dir: str | os.PathLike[str] | None = None,
    xtc_dir: str | os.PathLike[str] | None = None,
    calib_dir: str | os.PathLike[str] | None = None,
    *,
    files: Sequence[str | os.PathLike[str]] = (),
) -> XtcRun | PsanaRun:
    """Open a run for reading; nothing of its events is read yet.

    Parameters
    ----------
    experiment : e.g. ``cxim1416``.
    run : run number.
    address : detector address, e.g. ``CxiDs1.0:Cspad.0``; of LCLS-II the detector's name, e.g.
        ``jungfrau``, where there are several.
    psdm_dir : root of the data tree (default ``$SIT_PSDM_DATA``).
    xtc_dir, calib_dir : the folders themselves, where they are not in such a tree.
    files : XTC2 files of one LCLS-II run, instead of experiment and number; psana reads them.

    Raises
    ------
    RunNotFoundError, DetectorNotFoundError
        If there is no such run or detector; the message lists what there is.
    WorkbenchError
        If psana is needed and not installed.
    """
    from workbench import corrections, runs

    if files:
        return runs.open_psana(files, address, calib_dir, corrections.make_corrector)
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
    return _with_paths(recipe, lambda path: _absolute(path, folder))


def _with_paths(recipe: Recipe, change: Callable[[str], str]) -> Recipe:
    for path in (
        *(f"experiment.{name}" for name in ("psdm_dir", "xtc_dir", "calib_dir", "geometry")),
        *(f"images.{field.name}" for field in dataclasses.fields(Images)),
        "output.folder",
    ):
        value = recipe.setting(path)
        if isinstance(value, str):
            recipe = recipe.changed(path, change(value))
    layers = tuple(
        dataclasses.replace(layer, path=change(layer.path))
        if isinstance(layer, FileLayer)
        else layer
        for layer in recipe.mask.layers
    )
    return recipe.changed("mask.layers", layers)


def _absolute(path: str, folder: str | os.PathLike[str]) -> str:
    return os.path.normpath(Path(folder, Path(path).expanduser()).absolute())


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe file and make its paths absolute.

    Raises
    ------
    RecipeError
        If the file cannot be read or a setting in it cannot be used.
    """
    return resolve(read_recipe(path), Path(path).absolute().parent)


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of the recipe's settings: two recipes with the same hash calibrate alike.

    The hash does not depend on how paths are written (relative to the working directory, through
    linked folders), nor on where results go, nor on which frames are written, nor on settings that
    stand at their defaults, so that it stays the same when a later version has more of them.
    """
    recipe = dataclasses.replace(
        _with_paths(recipe, _real), output=Output(), frames=FrameSettings()
    )
    text = json.dumps(decided(recipe), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _real(path: str) -> str:
    """Path through no linked folder; a linked file keeps its name, as it may lead elsewhere."""
    path = _absolute(path, Path.cwd())
    if os.path.isdir(path):
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def experiment_folders(recipe: Recipe) -> ExperimentPlace:
    """Where the recipe's runs and constants are on disk."""
    from workbench.runs import find_experiment

    where = recipe.experiment
    return find_experiment(where.name, where.psdm_dir, where.xtc_dir, where.calib_dir)


def open_recipe_run(recipe: Recipe, number: int) -> XtcRun | PsanaRun:
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


def averaging_key(
    recipe: Recipe, number: int, corrections: Corrections, halves: str = "none"
) -> str:
    """SHA-256 over all that decides a run's averages: files (sizes, times), corrections, events."""
    run = open_recipe_run(recipe, number)
    decides: dict[str, Any] = {
        "run": run.describe(),
        "constants": _constants_files(run) if not corrections.is_raw else [],
        "corrections": dataclasses.asdict(corrections),
        "events": dataclasses.asdict(recipe.events),
        "detz_offset_mm": recipe.experiment.detz_offset_mm,
    }
    if halves != "none":
        decides["halves"] = halves
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


def runs_to_average(recipe: Recipe) -> list[RunToAverage]:
    """Runs whose images the recipe does not name as files, the dark run first."""
    dark, bright = recipe.runs_read
    runs = [] if dark is None else [(dark, recipe.dark_corrections, "none")]
    return runs + [(run, recipe.bright_corrections, recipe.alignment.halves) for run in bright]


def has_averages(recipe: Recipe, known: MutableMapping[str, RunImages]) -> bool:
    """Whether the images of a recipe need no run to be read: all are in `known`, or are files."""
    runs = runs_to_average(recipe)
    try:
        return bool(runs or recipe.images != Images()) and all(
            averaging_key(recipe, *run) in known for run in runs
        )
    except (WorkbenchError, OSError):
        return False


def average_one(
    recipe: Recipe,
    number: int,
    corrections: Corrections,
    progress: Progress | None = None,
    snapshot: Snapshot | None = None,
    known: MutableMapping[str, RunImages] | None = None,
    snapshot_seconds: float = 3.0,
    halves: str = "none",
) -> RunImages:
    """Average, standard deviation, maximum and minimum of one run of a recipe.

    Parameters
    ----------
    snapshot : called every `snapshot_seconds` with what there is so far.
    known : results of earlier calls by `averaging_key`; a run found there is not read again, and
        a complete new result is added.
    halves : of the events, see `workbench.average_run`.

    Raises
    ------
    NoEventsError
        If no event of the run could be used.
    """
    from workbench.averages import average_run

    key = averaging_key(recipe, number, corrections, halves)
    cached = None if known is None else known.get(key)
    if cached is not None:
        return cached
    images = average_run(
        open_recipe_run(recipe, number),
        corrections,
        progress=progress,
        selection=recipe.events,
        detz_offset_mm=recipe.experiment.detz_offset_mm,
        snapshot=snapshot,
        snapshot_seconds=snapshot_seconds,
        halves=halves,
    )
    if known is not None and not images.partial:
        known[key] = images
    return images


def _constants_files(run: Run) -> list[dict[str, Any]]:
    from workbench.constants import constants_folder, file_for_run

    if run.calib_dir is None:
        return []
    files = (
        file_for_run(constants_folder(run.calib_dir, run.address, kind), run.number)
        for kind in ("pedestals", "common_mode", "pixel_gain", "pixel_status")
    )
    return provenance.describe_files(path for path in files if path is not None)
