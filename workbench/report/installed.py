"""Which geometry version of the calibration directory a calibration belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.recipe import Recipe
from workbench.report.text import Shown, sentence, table, together

SAME_UM = 1.0
"""Pixels closer than this are the same: geometry files may round to whole µm."""


@dataclass(frozen=True)
class Installed:
    """State of the calibration directory.

    Attributes
    ----------
    sentence : for people.
    version : name of the file that holds the corrected geometry, or None.
    path : that file.
    """

    sentence: str
    version: str | None = None
    path: Path | None = None


def state(calibration: Any) -> Installed:
    """Tell whether the corrected geometry is installed, and as which version."""
    corrected = calibration.corrected
    if corrected is None:
        return Installed("")
    try:
        from workbench.pipeline import geometry_store

        store = geometry_store(calibration.recipe)
        for entry in reversed(list(store.history())):
            path = Path(entry.path)
            if same(entry.geometry(), corrected):
                serves = "is in use" if entry.current else "is kept, another version is in use"
                return Installed(
                    f"The corrected geometry is installed as {path.name} and {serves}.",
                    path.name,
                    path,
                )
    except WorkbenchError as error:
        return Installed(f"Whether the corrected geometry is installed is not known: {error}")
    return Installed("The corrected geometry is not installed in the calibration directory.")


def made_by(recipe: Recipe) -> Path | None:
    """File of the geometry version in use, if it was deployed from this very recipe."""
    from workbench.pipeline import geometry_store, recipe_hash

    try:
        current = geometry_store(recipe).current()
    except WorkbenchError:
        return None
    if current is None or current.record.get("recipe_sha256") != recipe_hash(recipe):
        return None
    return Path(current.path)


def geometry_before(recipe: Recipe) -> Path | None:
    """File of the geometry a recipe started from, if what it led to is installed by now.

    A recipe runs on the deployed geometry. Once its result is deployed, running it again would
    start from that result and find no offsets; a report tells the calibration as it was.

    Parameters
    ----------
    recipe : with absolute paths.
    """
    if recipe.experiment.geometry is not None or made_by(recipe) is None:
        return None
    try:
        from workbench.pipeline import geometry_store

        store = geometry_store(recipe)
        known = {version.number: version for version in store.history()}
        current = store.current()
        if current is None:
            return None
        switched = [one.version for one in store.switches() if one.version in known]
        earlier = switched[: switched.index(current.number)]
        number = earlier[-1] if earlier else current.number - 1  # a plain file adopted unsaid
        return known[number].path if number in known else None
    except (WorkbenchError, ValueError):
        return None


def versions(calibration: Any) -> Shown:
    """Table of the versions in the calibration directory."""
    try:
        from workbench.pipeline import geometry_store

        store = geometry_store(calibration.recipe)
        entries, present = list(store.history()), store.state()
    except WorkbenchError as error:
        return sentence(f"The versions in the calibration directory are not known: {error}")
    if not entries:
        return sentence(f"The calibration directory holds no versions: {present}.")
    rows = [
        [
            Path(entry.path).name, "yes" if entry.current else "", entry.when or "",
            entry.user or "", entry.comment or "",
            {True: "intact", False: "CHANGED", None: "not recorded"}[entry.intact],
        ]
        for entry in entries
    ]  # fmt: skip
    shown = table(["version", "in use", "installed (UTC)", "by", "comment", "content"], rows)
    return together(shown, sentence(f"{present[0].upper()}{present[1:]}."))


def same(one: Any, other: Any) -> bool:
    """Whether two geometries place every sensor alike, to a micrometre."""
    first, second = (geometry.pixel_positions_um()[:, ::92, ::387] for geometry in (one, other))
    return first.shape == second.shape and bool(np.abs(first - second).max() < SAME_UM)
