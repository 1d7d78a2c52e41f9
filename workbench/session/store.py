"""The last step of a calibration: the corrected geometry into its version store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench import pipeline
from workbench.errors import WorkbenchError
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

    def plan(self) -> Deployment:
        """What `deploy` would write; writes nothing."""
        corrected = self.results.corrected
        if corrected is None:
            raise WorkbenchError("There is no corrected geometry yet; find the offsets first.")
        stale = [step for step in STEPS[:3] if self.results.status(step).state != State.DONE]
        if stale:
            raise WorkbenchError(
                f"The {' and '.join(stale)} step is not up to date; run it again before deploying."
            )
        return self.open().preview(corrected)

    def deploy(self, comment: str = "", previewed: Deployment | None = None) -> Version:
        """Install the corrected geometry as a new version.

        With `previewed` (from `plan`) it is refused if the store has changed since.
        """
        self.plan()
        version: Version = pipeline.deploy(self.results.calibration(), comment, previewed)
        self._changed()
        return version

    def rollback(self, number: int, comment: str = "") -> Version:
        """Make an earlier version the current one again."""
        version = self.open().rollback(number, comment)
        self._changed()
        return version

    def repair(self) -> list[str]:
        """Give changed versions the content they were deployed with; says what was done."""
        done = self.open().repair()
        self._changed()
        return done

    def recognise(self) -> None:
        """The last step is done where psana reads the corrected geometry, whoever deployed it."""
        try:
            current = self.open().current()
            done = current is not None and current.geometry() == self.results.corrected
        except (WorkbenchError, OSError):
            done = False
        self.results.set_done("geometry", done)

    def _changed(self) -> None:
        self.recognise()
        self._notifier.notify("versions", "status")
