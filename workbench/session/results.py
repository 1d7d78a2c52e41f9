"""Images, mask and alignment: what each was made with, and whether the recipe still says so."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import pipeline
from workbench.errors import WorkbenchError, enumerated
from workbench.mask import sensitivity, suggest, write_mask
from workbench.recipe import Decisions, Images, MaskSettings
from workbench.session.history import History
from workbench.session.jobs import Jobs, Key
from workbench.session.notifier import Notifier
from workbench.session.status import (
    PARTIAL,
    STEPS,
    State,
    Status,
    Step,
    describe_images,
    same_pixels,
)
from workbench.session.worker import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.alignment import Alignment
    from workbench.averages import RunImages
    from workbench.frames import FramesWritten
    from workbench.geometry import Geometry
    from workbench.mask import Mask, MaskCounts, MaskEvaluator
    from workbench.mask.suggest import Sensitivity, Suggestion


class Results:
    """Results of the steps, computed by jobs; the mask follows each change of the recipe by itself.

    Parameters
    ----------
    history, jobs, notifier : the recipe, the threads, the listeners.
    keep : keep averages in files of the output folder too, and use those there.

    Attributes
    ----------
    images : what the calibration starts from. preview : what is averaged so far.
    mask : of these images. counts : the newest counts; its arrays are overwritten.
    search_result : the alignment as the search gave it, without what was decided by hand.
    frames : what was written last; None too if that was cancelled.
    looked_at : steps whose panel was open since the images came.
    snapshot_seconds : time between previews.
    """

    def __init__(
        self, history: History, jobs: Jobs, notifier: Notifier, keep: bool = False
    ) -> None:
        self.history, self.jobs = history, jobs
        self._notifier = notifier
        self._keep = keep
        self._lock = threading.RLock()
        self._evaluator: MaskEvaluator | None = None
        self._averages = pipeline.AverageCache()
        self._made_with: dict[Step, Key | None] = {}
        self.looked_at: set[Step] = set()
        self.snapshot_seconds = 3.0
        self.images: pipeline.ImageSet | None = None
        self.preview: RunImages | None = None
        self.mask: Mask | None = None
        self.counts: MaskCounts | None = None
        self.search_result: Alignment | None = None
        self.frames: FramesWritten | None = None
        notifier.subscribe("recipe", self._follow_recipe)

    # ---- what is up to date ------------------------------------------------------------------
    def key(self, step: Step) -> Key:
        """Everything in the recipe that decides a step's result."""
        recipe = self.history.recipe
        experiment = recipe.experiment
        files_alone = recipe.images != Images() and not any(recipe.runs_read)
        images = (
            experiment.geometry if files_alone else experiment,
            recipe.images,
            recipe.events,
            recipe.dark_corrections,
            recipe.bright_corrections,
            recipe.alignment.halves,
        )
        if step == "images":
            return images
        if step == "mask":
            return images, recipe.mask
        aligned = (images, same_pixels(recipe.mask), recipe.alignment)
        if step == "alignment":
            return aligned
        kept = (experiment,) if files_alone else ()  # where versions are kept
        decided = (*aligned, recipe.decisions, *kept)
        return decided if step == "geometry" else (*decided, recipe.frames)

    def status(self, step: Step) -> Status:
        """State of a step, computed from what its result was made with."""
        key = self.key(step)
        if step in self.jobs.running:
            return Status(State.RUNNING)
        failure = self.jobs.failures.get(step)
        if failure is not None and failure.key == key:
            return Status(State.FAILED, failure.message)
        if step not in self._made_with:
            return Status(State.NOT_STARTED)
        if self._made_with[step] != key:
            return Status(State.STALE, "something it depends on changed; run it again")
        if step == "images" and self.images is not None and self.images.partial:
            return Status(State.PARTIAL, PARTIAL)
        if step == "frames" and self.frames is None:
            return Status(State.PARTIAL, "cancelled: resume goes on where it stopped")
        return Status(State.DONE)

    def shown_state(self, step: Step) -> State:
        """State as a person wants to know it: what is done by default, and with warnings."""
        state = self.status(step).state
        if state != State.DONE:
            return state
        if self.warnings(step):
            return State.WARNING
        if step == "mask" and self.history.recipe.mask == MaskSettings():
            return State.LOOKED_AT if step in self.looked_at else State.DEFAULT
        return state

    def warnings(self, step: Step) -> tuple[str, ...]:
        """What the result of a step warns of."""
        if step == "images" and self.images is not None:
            runs = (self.images.dark, *self.images.bright)
            return tuple(text for run in runs if run is not None for text in run.warnings)
        result = {"mask": self.mask, "alignment": self.alignment, "frames": self.frames}.get(step)
        return () if result is None else tuple(result.warnings)

    def set_done(self, step: Step, done: bool = True, key: Key | None = None) -> None:
        """Say that a step's result is that of the recipe, or (False) is none of it.

        Parameters
        ----------
        key : what the result was made with; by default the present recipe.
        """
        key = self.key(step) if key is None else key
        if done:
            self._made_with[step] = key
        elif self._made_with.get(step) == key:
            del self._made_with[step]

    def _follow_recipe(self) -> None:
        if self.images is not None:
            # a mask at work now may be that of settings which have just been taken back
            if "mask" in self.jobs.running or self._made_with.get("mask") != self.key("mask"):
                self._follow_with_mask()
            if self._made_with.get("images") != self.key("images"):
                self.jobs.look.submit("cheap images", lambda task: self._compute_if_cheap())
        if self.search_result is not None:
            self._notifier.notify("alignment")

    def _compute_if_cheap(self) -> None:
        """Follow a changed input at once where no run has to be read for it."""
        if self.status("images").state == State.STALE and self._is_cheap():
            self.compute_images()

    def _is_cheap(self) -> bool:
        return self.history.recipe.images == Images() and self.has_averages()

    # ---- images ------------------------------------------------------------------------------
    def compute_images(self) -> None:
        """Average the runs of the recipe, or read the images it names."""
        self.jobs.start("images", self._compute_images, self.key, self.jobs.slow)

    def _compute_images(self, task: Task, key: Key) -> None:
        images = pipeline.gather_images(
            self.history.recipe,
            progress=task,
            snapshot=self._show_preview,
            known=self.averages,
            snapshot_seconds=self.snapshot_seconds,
        )
        with self._lock:
            if images.partial or (self.images is not None and self.images.partial):
                # the same recipe, but other images: what came from those before is out of date
                self._made_with.update(dict.fromkeys(self._made_with.keys() & set(STEPS[1:])))
            self._take(images, key)
        self.jobs.log.note("images", describe_images(images))
        self._notifier.notify("images")
        self._follow_with_mask()
        if self.key("images") != key and self._is_cheap():
            self.compute_images()  # the recipe was changed, or a change taken back, meanwhile

    def use_images(self, images: pipeline.ImageSet) -> None:
        """Calibrate with images that are in memory already."""
        with self._lock:
            self._take(images, self.key("images"))
        self._notifier.notify("images", "status")
        self._follow_with_mask()

    def _take(self, images: pipeline.ImageSet, key: Key) -> None:
        self.images, self.preview, self._evaluator = images, None, None
        self.looked_at.clear()
        self._made_with["images"] = key
        if self.why_no_mask():  # one of other images must not be taken for theirs
            self.mask = None
            self._made_with.pop("mask", None)

    def _show_preview(self, images: RunImages) -> None:
        self.preview = images
        self._notifier.notify("preview")

    @property
    def averages(self) -> pipeline.AverageCache:
        """Averages made so far, by `pipeline.averaging_key`."""
        folder = pipeline.averages_folder(self.history.recipe)
        if self._keep and self._averages.folder != folder:
            note = partial(self.jobs.log.note, "images")
            self._averages = pipeline.AverageCache(folder, note)
        return self._averages

    def has_averages(self) -> bool:
        """Whether `compute_images` needs to read no run: all averages are known, or are files."""
        return pipeline.has_averages(self.history.recipe, self.averages)

    # ---- mask --------------------------------------------------------------------------------
    def compute_mask(self) -> None:
        """Make the mask of the recipe."""
        self.jobs.start("mask", self._compute_mask, self.key, self.jobs.quick)

    def _follow_with_mask(self) -> None:
        if not self.why_no_mask():
            self.compute_mask()

    def why_no_mask(self) -> str:
        """Why no mask can be made of the images; empty if it can."""
        if self.images is None:
            return "There are no images yet; average the runs or open images first."
        if missing := self.images.missing_for_mask:
            return (
                f"The mask needs the {enumerated(missing)} too; choose a dark and a bright run, or "
                "open the missing images."
            )
        return ""

    def _compute_mask(self, task: Task, key: Key) -> None:
        with self._lock:
            images, evaluator = self.images, self._evaluator
            made_with = self._made_with.get("images")  # may be older than the recipe
        settings = self.history.recipe.mask
        if evaluator is None:
            evaluator = None if images is None else pipeline.mask_evaluator(images)
            if evaluator is None:
                raise WorkbenchError(self.why_no_mask())
            with self._lock:
                if self.images is not images:
                    return  # newer images have come, and ask for their own mask
                self._evaluator = evaluator
        self.counts = evaluator.evaluate(settings)
        self._notifier.notify("counts")
        if self.jobs.quick.has_waiting("mask"):
            return  # a newer value is on its way; the arrays to keep are made when it rests
        mask = evaluator.mask(settings)
        with self._lock:
            self.mask = mask
            self._made_with["mask"] = (made_with, settings)
        self._notifier.notify("mask")

    def mask_of(self, settings: MaskSettings) -> Mask | None:
        """Mask that other settings would make of the images, for comparison; None without images.

        To be called on the quick thread, which alone uses the evaluator.
        """
        return None if self._evaluator is None else self._evaluator.mask(settings)

    def suggestions(self, low_gain: bool | None = None) -> Sequence[Suggestion]:
        """Limits proposed by stated rules; nothing is changed.

        Parameters
        ----------
        low_gain : of the low-gain (True) or the other pixels (False) only.
        """
        evaluator = self._evaluator
        if evaluator is None:
            raise WorkbenchError("There are no images yet; average the runs or open images first.")
        low = evaluator.images.low_gain
        pixels = None if low_gain is None or low is None else low == low_gain
        return suggest(evaluator, pixels)

    def sensitivity(self) -> Sequence[Sensitivity]:
        """How the mask changes as each limit is moved by ±20 %; empty without images.

        To be called on the quick thread, which alone uses the evaluator.
        """
        return (
            ()
            if self._evaluator is None
            else sensitivity(self._evaluator, self.history.recipe.mask)
        )

    def save_mask(self, path: Path | None = None, format: str | None = None) -> Path:
        """Write the mask (default: the recipe's mask file in its output folder).

        Parameters
        ----------
        format : a name of `workbench.mask.FORMATS`; by default the ending decides.
        """
        if self.mask is None or self.status("mask").state != State.DONE:
            raise WorkbenchError("There is no finished mask to write; average the runs first.")
        output = self.history.recipe.output
        target = path if path is not None else Path(output.folder) / output.mask
        target.parent.mkdir(parents=True, exist_ok=True)
        write_mask(self.mask, target, format)
        return target

    # ---- alignment ---------------------------------------------------------------------------
    def compute_alignment(self) -> None:
        """Find the quadrant offsets with the present mask."""
        self.jobs.start("alignment", self._compute_alignment, self.key, self.jobs.slow)

    def _compute_alignment(self, task: Task, key: Key) -> None:
        if self.images is not None and self.status("mask").state != State.DONE:
            self.jobs.quick.wait(60)  # the mask of these very settings is on its way
        with self._lock:
            images, mask, recipe = self.images, self.mask, self.history.recipe
            made_with = self._made_with.get("images")  # may be older than the recipe
        result = None
        if images is not None:
            undecided = recipe.changed("decisions", Decisions())
            result = pipeline.align_recipe(undecided, images, mask, task)
        if result is None:
            raise WorkbenchError(
                "There is no image with powder rings yet; average a bright run or open one."
            )
        self.search_result = result
        settings = recipe.mask if mask is None or mask.settings is None else mask.settings
        self._made_with["alignment"] = (made_with, same_pixels(settings), recipe.alignment)
        self.jobs.log.note("alignment", f"mean CC {result.mean_cc:.4f}")
        self._notifier.notify("search", "alignment")

    @property
    def alignment(self) -> Alignment | None:
        """The alignment with what was decided by hand."""
        result, recipe = self.search_result, self.history.recipe
        if result is None or result.settings.groups != recipe.alignment.groups:
            return result  # what is decided is about other groups
        return result.decided(recipe.decisions)

    @property
    def corrected(self) -> Geometry | None:
        """The geometry with the quadrants moved."""
        alignment = self.alignment
        return None if alignment is None else alignment.geometry

    # ---- all together ------------------------------------------------------------------------
    def calibration(self) -> pipeline.Calibration:
        """All results so far in one piece."""
        if self.images is None:
            raise WorkbenchError("There are no results yet; average the runs first.")
        recipe = self.history.recipe
        return pipeline.finish(recipe, self.images, self.mask, self.alignment, save=False)
