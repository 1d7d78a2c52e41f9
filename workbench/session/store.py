"""The last step of a calibration: the corrected geometry into its version store."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from workbench import pipeline
from workbench.errors import VersionStoreError, WorkbenchError, enumerated
from workbench.geometry import hardly_differ
from workbench.session.history import History
from workbench.session.notifier import Notifier
from workbench.session.results import Results
from workbench.session.status import STEPS, State

if TYPE_CHECKING:
    from workbench.geometry import Deployment, Geometry, GeometryStore, Version

PRESENT: Literal["present"] = "present"
CORRECTED: Literal["corrected"] = "corrected"
Choice = int | Literal["present", "corrected"]
"""A geometry to compare: number of a version, the file psana reads now, or the corrected one."""


@dataclass(frozen=True)
class RollbackPlan:
    """What a rollback would do, for a person to look at before it is done.

    Attributes
    ----------
    version : the version that would be current again.
    preview : of its geometry against the one psana reads now.
    """

    version: Version
    preview: Deployment


class DeployedVersions:
    """Versions of the geometry psana reads: deploy, roll back, repair, compare.

    Parameters
    ----------
    history, results : say where versions are kept and what would be deployed.
    notifier : listeners of ``versions`` and ``status`` are called after each change.
    """

    def __init__(self, history: History, results: Results, notifier: Notifier) -> None:
        self.history, self.results = history, results
        self._notifier = notifier
        self.is_current = False  # psana reads the corrected geometry, as last looked at
        self._refusal = ""  # why the directory cannot be written, when it was last looked at
        notifier.subscribe("search", self.recognise)

    def open(self) -> GeometryStore:
        """Version store of the detector's geometry.

        Raises
        ------
        RecipeError
            If the recipe does not lead to a calibration directory.
        """
        return pipeline.geometry_store(self.history.recipe)

    def geometry(self, choice: Choice) -> Geometry:
        """Geometry to compare.

        Raises
        ------
        WorkbenchError
            If there is none such.
        """
        if choice == PRESENT:
            present = self.open().geometry()
            if present is None:
                raise WorkbenchError("There is no geometry in the calibration directory yet.")
            return present
        if choice == CORRECTED:
            if self.results.corrected is None:
                raise WorkbenchError("There is no corrected geometry yet; find the offsets first.")
            return self.results.corrected
        return self.open().version(int(choice)).geometry()

    # ---- before anything is written ----------------------------------------------------------
    def why_not(self) -> str:
        """Why the corrected geometry cannot be deployed, and what to do; empty if it can."""
        return self._why_not_yet() or self._refusal

    def _why_not_yet(self) -> str:
        if self.results.search_result is None:
            return "There is no corrected geometry yet; find the offsets first."
        stale = [step for step in STEPS[:3] if self.results.status(step).state != State.DONE]
        if len(stale) == 1:
            return f"The {stale[0]} step is not up to date; run it again before deploying."
        if stale:
            steps = enumerated(stale)
            return f"The steps {steps} are not up to date; run them again before deploying."
        return ""

    def plan(self) -> Deployment:
        """What `deploy` would write; writes nothing.

        Raises
        ------
        WorkbenchError
            If results are missing or stale, or the folder cannot be written.
        """
        reason, corrected = self._why_not_yet(), self.results.corrected
        if reason or corrected is None:
            raise WorkbenchError(reason)
        return self._writable().preview(corrected)

    def plan_rollback(self, number: int) -> RollbackPlan:
        """What `rollback` would do; writes nothing.

        Raises
        ------
        WorkbenchError
            If that version is the current one already, or the folder cannot be written.
        """
        store = self._writable()
        version = store.version(number)
        if version.current:
            raise WorkbenchError(f"{version.name} is the current version already.")
        return RollbackPlan(version, store.preview(version.geometry()))

    def comment(self) -> str:
        """What was done, as the comment of a deployment: runs, offsets set by hand."""
        recipe = self.history.recipe
        bright = recipe.experiment.bright
        runs = f"run{'s' if len(bright) > 1 else ''} {', '.join(map(str, bright))}"
        text = f"aligned on {runs if bright else 'images on file'}"
        if recipe.decisions.overruled:
            many = len(recipe.decisions.overruled)
            text += f", {many} offset{'s' if many > 1 else ''} set by hand"
        return text

    def _writable(self) -> GeometryStore:
        store = self.open()
        if reason := why_not_writable(store.folder):
            raise VersionStoreError(reason)
        return store

    # ---- changes -----------------------------------------------------------------------------
    def deploy(self, comment: str = "", previewed: Deployment | None = None) -> Version:
        """Install the corrected geometry as a new version.

        With `previewed` (from `plan`) it is refused if the store has changed since.
        """
        self.plan()
        version: Version = pipeline.deploy(self.results.calibration(), comment, previewed)
        self.look_again()
        return version

    def rollback(
        self, number: int, comment: str = "", previewed: RollbackPlan | None = None
    ) -> Version:
        """Make an earlier version the current one again.

        With `previewed` (from `plan_rollback`) it is refused if the store has changed since.
        """
        store = self.open()
        if previewed is not None:
            now = store.preview(previewed.version.geometry())
            if now.fingerprint != previewed.preview.fingerprint:
                raise VersionStoreError(
                    f"{store.link}: somebody else has changed it since the preview was shown; "
                    "nothing was changed, look at the preview again."
                )
        version = store.rollback(number, comment)
        self.look_again()
        return version

    def repair(self) -> list[str]:
        """Give changed versions the content they were deployed with; says what was done."""
        done = self.open().repair()
        self.look_again()
        return done

    def recognise(self) -> None:
        """The last step is done where psana reads the corrected geometry, whoever deployed it."""
        corrected, self.is_current = self.results.corrected, False
        try:
            store = self.open()
        except (WorkbenchError, OSError) as error:
            self._refusal = str(error)
        else:
            self._refusal = why_not_writable(store.folder)
            with contextlib.suppress(WorkbenchError, OSError):
                current = store.current()
                if current is not None and corrected is not None:
                    self.is_current = hardly_differ(current.geometry(), corrected)
        self.results.set_done("geometry", self.is_current)

    def look_again(self) -> None:
        """Have whoever shows what is, or may be, deployed look at the directory again."""
        self.recognise()
        self._notifier.notify("versions", "status")


def why_not_writable(folder: Path) -> str:
    """Why nothing can be written into a folder, and what to do; empty if something can."""
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if os.access(there, os.W_OK | os.X_OK):
        return ""
    return (
        f"You may not write to {there}. Save the results elsewhere (Save all), or ask the "
        "instrument group to deploy them."
    )
