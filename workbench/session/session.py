"""A calibration that is observed and changed: what a person does, each act one call and logged."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import detectors, pipeline
from workbench.errors import WorkbenchError
from workbench.recipe import Decisions, Recipe
from workbench.session.constants import ConstantsPlan, DeployedConstants
from workbench.session.frames import FramesExport
from workbench.session.history import History
from workbench.session.jobs import Jobs
from workbench.session.log import Log, Recorder, recorded
from workbench.session.notifier import Notifier, Topic
from workbench.session.results import Results
from workbench.session.status import Status, Step
from workbench.session.store import DeployedVersions, RollbackPlan

if TYPE_CHECKING:
    from workbench.alignment import Alignment
    from workbench.averages import RunImages
    from workbench.detectors import Detector
    from workbench.geometry import Deployment, Geometry, Version
    from workbench.mask import Mask, MaskCounts
    from workbench.recipe.mask import Layer


class Session:
    """A calibration without widgets: its parts, and what a person does with them.

    Calls return at once; long work is done by `jobs`. Each act is logged as its line of Python.

    Parameters
    ----------
    recipe : to begin with; relative paths in it are taken from the current folder.
    path : the recipe's file, if it has one.
    keep : keep averages in files of the output folder too, and use those there.

    Attributes
    ----------
    history : the recipe with undo and redo. results : images, mask, alignment, what is stale.
    jobs : threads, progress, cancel. store : versions of the deployed geometry.
    constants : pedestals, status and mask for psana. frames : single events for DIALS, CrystFEL.
    log : what happened. recorder : its `name` is what the session is called in the log.
    """

    def __init__(
        self,
        recipe: Recipe | None = None,
        path: str | os.PathLike[str] | None = None,
        keep: bool = False,
    ) -> None:
        self.notifier = Notifier()
        self.log = Log(self.notifier)
        self.recorder = Recorder(self.log)
        recipe = pipeline.resolve(recipe or Recipe(), Path.cwd())
        self.history = History(recipe, path, self.notifier)
        self.jobs = Jobs(self.log, self.notifier)
        self.results = Results(self.history, self.jobs, self.notifier, keep)
        self.store = DeployedVersions(self.history, self.results, self.notifier)
        self.constants = DeployedConstants(self.history, self.results)
        self.frames = FramesExport(self.history, self.results, self.jobs, self.notifier)
        self._looked_at: tuple[object, int] | None = None
        self._of_run: tuple[tuple[object, int], Detector] | None = None
        self.subscribe("recipe", self._look_at_run)
        self._look_at_run()

    # ---- what there is -----------------------------------------------------------------------
    @property
    def recipe(self) -> Recipe:
        """The recipe in force; assign a new one to change it (undoable)."""
        return self.history.recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        self.set_recipe(recipe)

    @property
    def images(self) -> pipeline.ImageSet | None:
        """The images the calibration starts from."""
        return self.results.images

    @property
    def preview(self) -> RunImages | None:
        """What is averaged so far."""
        return self.results.preview

    @property
    def mask(self) -> Mask | None:
        """The mask of the images."""
        return self.results.mask

    @property
    def counts(self) -> MaskCounts | None:
        """The newest counts of the mask, which may be ahead of it while a limit moves."""
        return self.results.counts

    @property
    def alignment(self) -> Alignment | None:
        """The alignment with what was decided by hand."""
        return self.results.alignment

    @property
    def corrected(self) -> Geometry | None:
        """The geometry with the quadrants moved."""
        return self.results.corrected

    def status(self, step: Step) -> Status:
        """State of a step, computed from what its result was made with."""
        return self.results.status(step)

    def calibration(self) -> pipeline.Calibration:
        """All results so far in one piece."""
        return self.results.calibration()

    @property
    def detector(self) -> Detector:
        """The detector of the images; before there are any, that of the recipe's address.

        Where detectors of several sizes stand behind an address, the configuration of the first
        run tells which it is; until that is read, the first of them is supposed.
        """
        for made in (self.images, self.preview):
            if made is not None and made.detector is not None:
                return made.detector
        if self._of_run is not None and self._of_run[0] == self._first_run():
            return self._of_run[1]
        try:
            return detectors.find(self.recipe.experiment.address)
        except WorkbenchError:
            return detectors.DETECTORS[0]

    @property
    def aligned_detector(self) -> Detector:
        """The detector in the groups that the recipe aligns; in its own if it has none such."""
        detector, groups = self.detector, self.recipe.alignment.groups
        return detector.grouped(groups) if groups in detector.grouping_names else detector

    def _first_run(self) -> tuple[object, int] | None:
        """Which run tells the detector: experiment and number; None if the address tells it."""
        experiment = self.recipe.experiment
        numbers = [number for number in (experiment.dark, *experiment.bright) if number is not None]
        try:
            several = len(detectors.sizes(detectors.find(experiment.address))) > 1
        except WorkbenchError:
            return None
        return (experiment, numbers[0]) if several and numbers else None

    def _look_at_run(self) -> None:
        first = self._first_run()
        if first is not None and first != self._looked_at:
            self._looked_at = first
            self.look("detector of the run", self._read_detector)

    def _read_detector(self) -> None:
        first = self._first_run()
        if first is None:
            return
        with contextlib.suppress(WorkbenchError):  # it is said when the run is averaged
            self._of_run = first, pipeline.open_recipe_run(self.recipe, first[1]).detector
            self.notifier.notify("status")

    # ---- listeners and work ------------------------------------------------------------------
    def subscribe(self, topic: Topic, listener: Callable[[], None]) -> None:
        """Call ``listener()`` whenever `topic` changes."""
        self.notifier.subscribe(topic, listener)

    @property
    def busy(self) -> bool:
        """True while anything runs or waits."""
        return self.jobs.busy

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all work is finished and raise the first error that occurred meanwhile."""
        self.jobs.wait(timeout)

    def later(self, key: str, act: Callable[[], None]) -> None:
        """Run ``act()`` on the quick thread; it replaces waiting work with the same key."""
        self.jobs.quick.submit(key, lambda task: act())

    def do_slowly(self, key: str, act: Callable[[], None]) -> None:
        """Run ``act()`` on the thread for what takes long."""
        self.jobs.slow.submit(key, lambda task: act())

    def look(self, key: str, act: Callable[[], None]) -> None:
        """Run ``act()`` on the thread that looks around on disk; nobody waits for it."""
        self.jobs.look.submit(key, lambda task: act())

    @recorded
    def cancel(self) -> None:
        """Ask long work to stop; what it has so far is kept where that is valid."""
        self.jobs.cancel()

    # ---- recipe ------------------------------------------------------------------------------
    def set_recipe(self, recipe: Recipe, reason: str = "recipe", dragging: bool = False) -> None:
        """Make `recipe` the one in force; `dragging`: one step of undo with the last."""
        within = math.inf if dragging else 0.0
        self.recorder.run(
            f"recipe = …  # {reason}", lambda: self.history.set(recipe, reason, within)
        )

    @recorded
    def change(self, path: str, value: object, origin: object = None) -> None:
        """Change one setting, e.g. ``change("mask.thresholds.maxproj_min", 250)``.

        Parameters
        ----------
        origin : the control that shows this value already; listeners leave it alone.

        Raises
        ------
        WorkbenchError
            If the value is refused; the setting keeps its value.
        """
        self.history.change(path, value, origin)

    @recorded
    def undo(self) -> None:
        """Take the last change of the recipe back."""
        self.history.undo()

    @recorded
    def redo(self) -> None:
        """Make the change that was taken back again."""
        self.history.redo()

    @recorded
    def save_recipe(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the recipe (default: its own file, else one in the output folder)."""
        target = self.history.save(path)
        self.log.note("recipe", f"written to {target}")
        return target

    # ---- images and mask ---------------------------------------------------------------------
    @recorded
    def compute_images(self) -> None:
        """Average the runs of the recipe, or read the images it names."""
        self.results.compute_images()

    def use_images(self, images: pipeline.ImageSet) -> None:
        """Calibrate with images that are in memory already."""
        self.results.use_images(images)

    @recorded
    def add_layer(self, layer: Layer) -> None:
        """Append a layer to the mask."""
        self.history.change("mask.layers", (*self.recipe.mask.layers, layer))

    def layer(self, number: int) -> Layer:
        """A layer of the mask.

        Raises
        ------
        WorkbenchError
            If there are not so many.
        """
        present = self.recipe.mask.layers
        if not 0 <= number < len(present):
            raise WorkbenchError(f"There is no layer {number + 1}; there are {len(present)}.")
        return present[number]

    @recorded
    def set_layer(self, number: int, layer: Layer | None) -> None:
        """Replace a layer of the mask (None: remove it)."""
        self.layer(number)
        present = list(self.recipe.mask.layers)
        present[number : number + 1] = [] if layer is None else [layer]
        self.history.change("mask.layers", tuple(present))

    @recorded
    def move_layer(self, number: int, places: int) -> None:
        """Move a layer up (-1) or down (+1) in the order."""
        layer, present = self.layer(number), list(self.recipe.mask.layers)
        del present[number]
        present.insert(max(0, number + places), layer)
        self.history.change("mask.layers", tuple(present))

    @recorded
    def save_mask(
        self, path: str | os.PathLike[str] | None = None, format: str | None = None
    ) -> Path:
        """Write the mask (default: the recipe's mask file in its output folder).

        Parameters
        ----------
        format : a name of `workbench.mask.FORMATS`; by default the ending decides.
        """
        target = self.results.save_mask(None if path is None else Path(path), format)
        self.log.note("mask", f"written to {target}")
        return target

    # ---- quadrants ---------------------------------------------------------------------------
    @recorded
    def compute_alignment(self) -> None:
        """Find the quadrant offsets with the present mask."""
        self.results.compute_alignment()

    @recorded
    def align_with(self, setting: str, value: object) -> None:
        """Change a setting of the alignment and find the offsets again."""
        self.history.change(f"alignment.{setting}", value)
        self.results.compute_alignment()

    @recorded
    def overrule(
        self, quadrant: int, offset_px: tuple[float, float] | None, dragging: bool = False
    ) -> None:
        """Set a quadrant's offset (x, y) by hand; None returns to the one the search gave.

        Parameters
        ----------
        dragging : one step of undo with the setting before it.
        """
        if self.results.search_result is None:
            raise WorkbenchError("Find the offsets first; then they can be overruled.")
        if offset_px is not None:
            if not all(map(math.isfinite, offset_px)):
                raise WorkbenchError("An offset is two numbers (x, y) in pixels.")
            offset_px = (round(offset_px[0], 3), round(offset_px[1], 3))
        self._decide(self.recipe.decisions.overruling(quadrant, offset_px), quadrant, dragging)

    @recorded
    def nudge(self, quadrant: int, dx: float, dy: float) -> None:
        """Move a quadrant's offset by (dx, dy) pixels."""
        alignment = self.alignment
        if alignment is None:
            raise WorkbenchError("Find the offsets first; then they can be nudged.")
        x, y = alignment.quadrants[quadrant].offset_px
        self.overrule(quadrant, (float(x) + dx, float(y) + dy))

    @recorded
    def accept(self, quadrant: int, accepted: bool = True) -> None:
        """Use a quadrant's offset, or leave the quadrant where it is."""
        decisions = self.recipe.decisions.rejecting(quadrant, not accepted)
        result = self.results.search_result
        decided = None if result is None else result.decided(decisions).quadrants[quadrant]
        if accepted and decided is not None and not decided.accepted:  # against the search's advice
            if decided.verdict == "not determined":
                word = self.aligned_detector.group_word.capitalize()
                raise WorkbenchError(
                    f"{word} {quadrant} has no offset to use; set one in its map or type it."
                )
            x, y = decided.offset_px
            decisions = decisions.overruling(quadrant, (round(float(x), 3), round(float(y), 3)))
        self._decide(decisions, quadrant)

    def _decide(self, decisions: Decisions, quadrant: int, dragging: bool = False) -> None:
        result = self.results.search_result
        if result is not None and result.settings.groups != self.recipe.alignment.groups:
            raise WorkbenchError(
                f"These are offsets of {result.detector.group_word}s, and alignment.groups is now "
                f"{self.recipe.alignment.groups!r}; find the offsets again first."
            )
        recipe = self.recipe.changed("decisions", decisions)
        word = self.aligned_detector.group_word
        self.set_recipe(recipe, f"offset of {word} {quadrant}", dragging)

    # ---- versions and files ------------------------------------------------------------------
    @recorded
    def deploy(self, comment: str = "", previewed: Deployment | None = None) -> Version:
        """Install the corrected geometry as a new version (see `DeployedVersions.deploy`)."""
        version = self.store.deploy(comment, previewed)
        self.log.note("geometry", f"deployed {version.path}")
        return version

    @recorded
    def rollback(
        self, number: int, comment: str = "", previewed: RollbackPlan | None = None
    ) -> Version:
        """Make an earlier version the current one again (see `DeployedVersions.rollback`)."""
        version = self.store.rollback(number, comment, previewed)
        self.log.note("geometry", f"rolled back to {version.path}")
        return version

    @recorded
    def repair(self) -> list[str]:
        """Give changed versions the content they were deployed with; says what was done."""
        done = self.store.repair()
        for line in done:
            self.log.note("geometry", line)
        return done

    @recorded
    def deploy_constants(self, comment: str, previewed: ConstantsPlan) -> dict[str, Path]:
        """Write constants for psana (see `DeployedConstants.plan`); gives the files by kind."""
        written = self.constants.deploy(previewed, comment)
        for path in written.values():
            self.log.note("constants", f"deployed {path}")
        return written

    @recorded
    def save_results(self) -> dict[str, Path]:
        """Write averages, mask, corrected image, geometry and recipe into the output folder."""
        files = pipeline.save_results(self.calibration())
        self.history.path = files["recipe"]
        self.log.note("results", f"{len(files)} files written to {self.recipe.output.folder}")
        return files

    # ---- frames ------------------------------------------------------------------------------
    @recorded
    def count_peaks(self) -> None:
        """Count the peaks of all events of the run of the frames (see `FramesExport`)."""
        self.frames.count_peaks()

    @recorded
    def write_frames(self, resume: bool = False, overwrite: bool = False) -> None:
        """Write the frames of the recipe; `resume` goes on, `overwrite` replaces what is there."""
        self.frames.write(resume, overwrite)
