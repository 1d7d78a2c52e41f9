"""Recent calibrations, remembered in the user's state folder.

They are offered, never opened by themselves. One file for each calibration (its runs or images)
holds the newest settings; a recipe that somebody saved is not touched.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.files import parse_json, replacing
from workbench.pipeline import load_recipe
from workbench.recipe import Experiment, Images, Recipe, write_recipe
from workbench.recipe.files import SUFFIX

KEPT = 12


@dataclass(frozen=True)
class Stage:
    """How far a calibration was: step of the panel that was open, whether offsets were found."""

    panel: str = ""
    aligned: bool = False


@dataclass(frozen=True)
class Remembered:
    """A recent calibration: its file, when that was written (seconds since 1970), its recipe."""

    path: Path
    when: float
    recipe: Recipe
    stage: Stage

    @property
    def title(self) -> str:
        """``cxim1416, dark run 54, bright runs 74, 75 – 2016-02-20 14:03``."""
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.when))
        return f"{describe(self.recipe)} – {when}"


def state_folder() -> Path:
    """``$XDG_STATE_HOME/cspad-workbench``, by default below ``~/.local/state``."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "cspad-workbench"


def identity(recipe: Recipe) -> str:
    """What is calibrated, as a hash: experiment, detector, runs and folders, or images."""
    what = [dataclasses.asdict(recipe.experiment), dataclasses.asdict(recipe.images)]
    what[0].pop("detz_offset_mm")
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def is_worth_keeping(recipe: Recipe) -> bool:
    """Whether a recipe names something to calibrate."""
    experiment = recipe.experiment
    runs = experiment.name and (experiment.bright or experiment.dark is not None)
    return bool(runs) or recipe.images != Images()


def remember(recipe: Recipe, stage: Stage = Stage()) -> Path | None:
    """Keep a recipe as the newest state of its calibration; None if it names nothing yet.

    Parameters
    ----------
    recipe : with absolute paths.
    stage : how far it is.

    Raises
    ------
    WorkbenchError
        If the state folder cannot be written.
    """
    if not is_worth_keeping(recipe):
        return None
    folder = state_folder()
    path = folder / f"{recipe.experiment.name or 'images'}-{identity(recipe)}{SUFFIX}"
    write_recipe(recipe, path)
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(stage)), encoding="utf-8")
    for old in _files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".json").unlink(missing_ok=True)
    return path


def remembered() -> list[Remembered]:
    """Recent calibrations, the newest first; files that cannot be read are left out."""
    calibrations = []
    for path in _files(state_folder()):
        try:
            when = path.stat().st_mtime
            calibrations.append(Remembered(path, when, load_recipe(path), _stage(path)))
        except (WorkbenchError, OSError):
            continue
    return calibrations


def same_calibration(recipe: Recipe) -> Remembered | None:
    """What is remembered of the same runs or images, if anything."""
    same = (recent for recent in remembered() if identity(recent.recipe) == identity(recipe))
    return next(same, None)


def _stage(path: Path) -> Stage:
    try:
        stored = parse_json(path.with_suffix(".json").read_text(encoding="utf-8"))
        return Stage(str(stored.get("panel", "")), bool(stored.get("aligned")))
    except (OSError, ValueError, AttributeError):
        return Stage()


def describe(recipe: Recipe) -> str:
    """What is calibrated, in words."""
    experiment = recipe.experiment
    if experiment == Experiment() or not experiment.name:
        named = next((v for v in dataclasses.asdict(recipe.images).values() if v), "")
        return f"images, e.g. {Path(named).name}" if named else "nothing yet"
    parts = [experiment.name]
    if experiment.dark is not None:
        parts.append(f"dark run {experiment.dark}")
    if experiment.bright:
        many = "s" if len(experiment.bright) > 1 else ""
        parts.append(f"bright run{many} {', '.join(map(str, experiment.bright))}")
    return ", ".join(parts)


def _files(folder: Path) -> list[Path]:
    def when(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return sorted(folder.glob(f"*{SUFFIX}"), key=when, reverse=True)
