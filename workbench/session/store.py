"""The last step of a calibration: the corrected geometry into its version store. No widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench import pipeline
from workbench.errors import WorkbenchError
from workbench.session.editor import told
from workbench.session.status import STEPS, State
from workbench.session.work import RecipeWork

if TYPE_CHECKING:
    from workbench.geometry import Geometry, GeometryStore


class VersionWork(RecipeWork):
    """A recipe whose corrected geometry is deployed, rolled back and repaired."""

    @property
    def corrected(self) -> Geometry | None:
        """The geometry with the quadrants moved."""
        raise NotImplementedError

    def calibration(self) -> pipeline.Calibration:
        """All results so far in one piece."""
        raise NotImplementedError

    def store(self) -> GeometryStore:
        """Version store of the detector's geometry."""
        return pipeline.geometry_store(self.recipe)

    def plan(self) -> Any:
        """What `deploy` would write (`workbench.geometry.Deployment`); writes nothing."""
        if self.corrected is None:
            raise WorkbenchError("There is no corrected geometry yet; find the offsets first.")
        stale = [step for step in STEPS[:3] if self.status(step).state != State.DONE]
        if stale:
            raise WorkbenchError(
                f"The {' and '.join(stale)} step is not up to date; run it again before deploying."
            )
        return self.store().preview(self.corrected)

    @told
    def deploy(self, comment: str = "", previewed: Any = None) -> Any:
        """Install the corrected geometry as a new version; gives the version.

        With `previewed` (from `plan`) it is refused if the store has changed since.
        """
        self.plan()
        version = pipeline.deploy(self.calibration(), comment, previewed)
        self._recognise()
        self.log.note("geometry", f"deployed {version.path}")
        self.tell("versions", "status")
        return version

    def _recognise(self) -> None:
        """The last step is done where psana reads the corrected geometry, whoever deployed it."""
        try:
            current = self.store().current()
            done = current is not None and current.geometry() == self.corrected
        except (WorkbenchError, OSError):
            done = False
        if done:
            self._made_with["geometry"] = self._key("geometry")
        elif self._made_with.get("geometry") == self._key("geometry"):
            del self._made_with["geometry"]

    @told
    def rollback(self, number: int, comment: str = "") -> Any:
        """Make an earlier version the current one again."""
        version = self.store().rollback(number, comment)
        self._recognise()
        self.log.note("geometry", f"rolled back to {version.path}")
        self.tell("versions", "status")
        return version

    @told
    def repair(self) -> list[str]:
        """Give changed versions the content they were deployed with; says what was done."""
        done = self.store().repair()
        for line in done:
            self.log.note("geometry", line)
        self.tell("versions", "status")
        return done
