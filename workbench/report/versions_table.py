"""Which geometry version of the calibration directory a calibration belongs to.

A version remembers the hash of the recipe it was deployed from, and its content. A report belongs
to a version if it comes to the same geometry; the hash says which one to compare it with, and
which geometry the recipe started from then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import WorkbenchError
from workbench.geometry import Geometry, Version
from workbench.pipeline import Calibration, geometry_store, recipe_hash
from workbench.recipe import Recipe
from workbench.report.text import Shown, sentence, table, together

SAME_UM = 1.0
"""Pixels closer than this are the same: geometry files may round to whole µm."""


@dataclass(frozen=True)
class InstalledVersion:
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


def installed_version(calibration: Calibration, recipe_sha256: str = "") -> InstalledVersion:
    """Say whether the corrected geometry is installed, and as which version.

    Parameters
    ----------
    recipe_sha256 : hash of the recipe; versions recorded with it go first.
    """
    corrected = calibration.corrected
    if corrected is None:
        return InstalledVersion("")
    differs = ""
    try:
        versions = list(reversed(geometry_store(calibration.recipe).history()))
        own = [version for version in versions if _made_with(version, recipe_sha256)]
        others = (
            [version for version in versions if version not in own] if _moved(calibration) else []
        )
        for version in (*own, *others):
            distance_um = largest_distance_um(version.geometry(), corrected)
            if distance_um < SAME_UM:
                serves = "is in use" if version.current else "is kept, another version is in use"
                name = version.path.name
                words = f"The corrected geometry is installed as {name} and {serves}."
                return InstalledVersion(words, name, version.path, differs)
            if version in own and not differs:
                differs = _differs(version, distance_um / corrected.detector.pixel_um)
    except WorkbenchError as error:
        return InstalledVersion(
            f"Whether the corrected geometry is installed is not known: {error}"
        )
    if not _moved(calibration):
        words = "Nothing was moved, so there is no new geometry to install."
        return InstalledVersion(words, differs=differs)
    words = "The corrected geometry is not installed in the calibration directory."
    return InstalledVersion(words, differs=differs)


def _differs(version: Version, distance_px: float) -> str:
    how = f"by up to {distance_px:.2f} px" if np.isfinite(distance_px) else "in its sensors"
    return (
        f"{version.path.name} was deployed from this recipe, but differs from this result {how}:"
        " inputs, starting geometry or software have changed since."
    )


def version_made_by(recipe: Recipe) -> Version | None:
    """Newest geometry version that was deployed from this very recipe, or None."""
    try:
        versions = geometry_store(recipe).history()
    except WorkbenchError:
        return None
    digest = recipe_hash(recipe)
    return next((version for version in reversed(versions) if _made_with(version, digest)), None)


def geometry_before(recipe: Recipe) -> Path | None:
    """File of the geometry a recipe started from, if what it led to was deployed since.

    A recipe runs on the deployed geometry. Once its result is deployed, running it again would
    start from that result and find no offsets; a report describes the calibration as it was.

    Parameters
    ----------
    recipe : with absolute paths.
    """
    if recipe.experiment.geometry is not None:
        return None
    made = version_made_by(recipe)
    if made is None:
        return None
    try:
        store = geometry_store(recipe)
        known = {version.number: version for version in store.history()}
        switched = [
            switch.version
            for switch in store.switches()
            if switch.version in known and switch.action != "repair"
        ]
        earlier = switched[: switched.index(made.number)]
        number = earlier[-1] if earlier else made.number - 1  # a plain file adopted unsaid
        return known[number].path if number in known else None
    except (WorkbenchError, ValueError):
        return None


def versions_table(calibration: Calibration) -> Shown:
    """Table of the versions in the calibration directory."""
    try:
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


def largest_distance_um(first: Geometry, second: Geometry) -> float:
    """Largest distance between the same pixel's places in two geometries, µm; inf if incomparable.

    Looked at are the first, middle and last row and column of each module: both move rigidly.
    """
    if first.detector != second.detector:
        return float("inf")
    rows, columns = (sorted({0, count // 2, count - 1}) for count in first.detector.module_shape)
    places = np.ix_(range(first.detector.modules), rows, columns)
    positions = (geometry.pixel_positions_um()[places] for geometry in (first, second))
    return float(np.abs(np.subtract(*positions)).max())


def _made_with(version: Version, digest: str) -> bool:
    return bool(digest) and version.record.get("recipe_sha256") == digest


def _moved(calibration: Calibration) -> bool:
    alignment, corrected = calibration.alignment, calibration.corrected
    if alignment is None or corrected is None:
        return False
    return bool(np.abs(alignment.applied_px).max() * corrected.detector.pixel_um >= SAME_UM)
