"""Calibrations worked on lately, remembered in the user's state folder.

They are offered, never opened by themselves. One file per calibration (its runs or images), the
newest settings in it; a recipe that somebody saved is not touched.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import replacing
from workbench.pipeline import load_recipe
from workbench.recipe import Experiment, Images, Recipe, write_recipe
from workbench.recipe.files import SUFFIX

KEPT = 12


@dataclass(frozen=True)
class Remembered:
    """A calibration of some time ago."""

    path: Path
    when: float
    recipe: Recipe
    where: dict[str, Any]

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


def remember(recipe: Recipe, where: dict[str, Any] | None = None) -> Path | None:
    """Keep a recipe as the newest state of its calibration; None if it names nothing yet.

    Parameters
    ----------
    recipe : with absolute paths.
    where : how far it was, e.g. ``{"panel": "mask", "aligned": False}``.

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
        temporary.write_text(json.dumps(where or {}), encoding="utf-8")
    for old in _files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".json").unlink(missing_ok=True)
    return path


def remembered() -> list[Remembered]:
    """Calibrations of late, the newest first; files that cannot be read are passed over."""
    found = []
    for path in _files(state_folder()):
        try:
            found.append(Remembered(path, path.stat().st_mtime, load_recipe(path), _where(path)))
        except (WorkbenchError, OSError):
            continue
    return found


def same_calibration(recipe: Recipe) -> Remembered | None:
    """What is remembered of the same runs or images, if anything."""
    return next((one for one in remembered() if identity(one.recipe) == identity(recipe)), None)


def _where(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
