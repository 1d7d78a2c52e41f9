"""Which geometry version of the calibration directory a calibration belongs to.

A version remembers the hash of the recipe it was deployed from, and its content. A report belongs
to a version if it comes to the same geometry; the hash tells which one to hold it against, and
which geometry the recipe started from then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.detector import PIXEL_SIZE_UM
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
    path : that file: the version the report belongs to.
    differs : sentence, if the version made by the same recipe holds another geometry; else empty.
    """

    sentence: str
    version: str | None = None
    path: Path | None = None
    differs: str = ""


def state(calibration: Any, recipe_sha256: str = "") -> Installed:
    """Tell whether the corrected geometry is installed, and as which version.

    Parameters
    ----------
    recipe_sha256 : hash of the recipe; versions recorded with it go first.
    """
    corrected = calibration.corrected
    if corrected is None:
        return Installed("")
    differs = ""
    try:
        from workbench.pipeline import geometry_store

        versions = list(reversed(geometry_store(calibration.recipe).history()))
        own = [one for one in versions if _made_with(one, recipe_sha256)]
        others = [one for one in versions if one not in own] if _moved(calibration) else []
        for version in (*own, *others):
            apart = apart_um(version.geometry(), corrected)
            if apart < SAME_UM:
                serves = "is in use" if version.current else "is kept, another version is in use"
                name = version.path.name
                words = f"The corrected geometry is installed as {name} and {serves}."
                return Installed(words, name, version.path, differs)
            if version in own and not differs:
                differs = _differs(version, apart)
    except WorkbenchError as error:
        return Installed(f"Whether the corrected geometry is installed is not known: {error}")
    if not _moved(calibration):
        return Installed("Nothing was moved, so there is no new geometry to install.", None, None,
                         differs)  # fmt: skip
    words = "The corrected geometry is not installed in the calibration directory."
    return Installed(words, None, None, differs)


def _differs(version: Any, apart: float) -> str:
    how = f"by up to {apart / PIXEL_SIZE_UM:.2f} px" if np.isfinite(apart) else "in its sensors"
    return (
        f"{version.path.name} was deployed from this recipe, but differs from this result {how}:"
        " inputs, starting geometry or software have changed since."
    )


def made_by(recipe: Recipe) -> Any:
    """Newest geometry version that was deployed from this very recipe, or None."""
    from workbench.pipeline import geometry_store, recipe_hash

    try:
        versions = geometry_store(recipe).history()
    except WorkbenchError:
        return None
    digest = recipe_hash(recipe)
    return next((one for one in reversed(versions) if _made_with(one, digest)), None)


def geometry_before(recipe: Recipe) -> Path | None:
    """File of the geometry a recipe started from, if what it led to was deployed since.

    A recipe runs on the deployed geometry. Once its result is deployed, running it again would
    start from that result and find no offsets; a report tells the calibration as it was.

    Parameters
    ----------
    recipe : with absolute paths.
    """
    if recipe.experiment.geometry is not None:
        return None
    made = made_by(recipe)
    if made is None:
        return None
    try:
        from workbench.pipeline import geometry_store

        store = geometry_store(recipe)
        known = {version.number: version for version in store.history()}
        switched = [
            one.version
            for one in store.switches()
            if one.version in known and one.action != "repair"
        ]
        earlier = switched[: switched.index(made.number)]
        number = earlier[-1] if earlier else made.number - 1  # a plain file adopted unsaid
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
            entry.sha256[:16],
        ]
        for entry in entries
    ]  # fmt: skip
    header = ["version", "in use", "installed (UTC)", "by", "comment", "content", "SHA-256 begins"]
    shown = table(header, rows)
    return together(shown, sentence(f"{present[0].upper()}{present[1:]}."))


def apart_um(one: Any, other: Any) -> float:
    """Largest distance between the same pixel's places in two geometries, µm; inf if incomparable.

    Looked at are the corners and the middle row of each sensor.
    """
    first, second = (geometry.pixel_positions_um()[:, ::92, ::387] for geometry in (one, other))
    if first.shape != second.shape:
        return float("inf")
    return float(np.abs(first - second).max())


def _made_with(version: Any, digest: str) -> bool:
    return bool(digest) and version.record.get("recipe_sha256") == digest


def _moved(calibration: Any) -> bool:
    alignment = calibration.alignment
    if alignment is None:
        return False
    return bool(np.abs(np.asarray(alignment.applied_px)).max() * PIXEL_SIZE_UM >= SAME_UM)
