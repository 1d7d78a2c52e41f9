"""The state behind the panels: a recipe, its results, and what of them is stale. No widgets.

Everything a button does is one call here. Calls return at once; the work is done on the threads of
`RecipeWork`.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import pipeline
from workbench.errors import WorkbenchError
from workbench.recipe import Decisions, Images, Recipe
from workbench.session.editor import told
from workbench.session.status import (
    PARTIAL,
    STEPS,
    Moment,
    State,
    Status,
    describe_images,
    same_pixels,
)
from workbench.session.store import VersionWork
from workbench.session.worker import Task

if TYPE_CHECKING:
    from workbench.alignment import Alignment
    from workbench.averages import RunImages
    from workbench.geometry import Geometry
    from workbench.mask import Mask, MaskEvaluator
    from workbench.recipe import MaskSettings

KEPT = "kept-averages"  # folder in the output folder

__all__ = ["PARTIAL", "STEPS", "Moment", "Session", "State", "Status", "describe_images"]


class Session(VersionWork):
    """An observable calibration.

    Parameters
    ----------
    recipe : to begin with; relative paths in it are taken from the current folder.
    path : the recipe's file, if it has one.
    keep : keep averages in files of the output folder too, and use those found there.
    """

    def __init__(
        self,
        recipe: Recipe | None = None,
        path: str | os.PathLike[str] | None = None,
        keep: bool = False,
    ) -> None:
        super().__init__(recipe, path)
        self._keep = keep
        self._engine: MaskEvaluator | None = None
        self._known = pipeline.AverageCache()
        self.snapshot_seconds = 3.0  # between pictures of what is averaged so far
        self.images: pipeline.ImageSet | None = None
        self.preview: RunImages | None = None
        self.mask: Mask | None = None
        self.counts: Mask | None = None  # the newest counts; its arrays are overwritten
        self.found: Alignment | None = None

    # ---- what is up to date ------------------------------------------------------------------
    def _recipe_changed(self) -> None:
        super()._recipe_changed()
        if self.images is not None:
            if self._made_with.get("mask") != self._key("mask"):
                self.compute_mask()
            if self._made_with.get("images") != self._key("images"):
                self.look("cheap images", self._compute_if_cheap)
        if self.found is not None:
            self.tell("alignment")

    def _key(self, step: str) -> Any:
        """Everything in the recipe that decides a step's result."""
        recipe = self.recipe
        images = (
            recipe.experiment,
            recipe.images,
            recipe.events,
            recipe.dark_corrections,
            recipe.bright_corrections,
            recipe.alignment.halves,
        )
        return {
            "images": images,
            "mask": (images, recipe.mask),
            "alignment": (images, same_pixels(recipe.mask), recipe.alignment),
            "geometry": (images, same_pixels(recipe.mask), recipe.alignment, recipe.decisions),
        }[step]

    def _compute_if_cheap(self) -> None:
        """Follow a changed input at once where no run has to be read for it."""
        stale = self.status("images").state == State.STALE
        if stale and self.recipe.images == Images() and self.has_kept_images():
            self.compute_images()

    def status(self, step: str) -> Status:
        """State of a step, computed from what its result was made with."""
        found = super().status(step)
        is_partial = step == "images" and self.images is not None and self.images.partial
        return Status(State.PARTIAL, PARTIAL) if is_partial and found.state == State.DONE else found

    # ---- images ------------------------------------------------------------------------------
    @told
    def compute_images(self) -> None:
        """Average the runs of the recipe, or read the images it names."""
        self._do("images", self._compute_images, self._slow)

    def _compute_images(self, key: Any, task: Task) -> None:
        recipe = self.recipe
        images = pipeline.gather_images(
            recipe,
            progress=task,
            snapshot=self._show_preview,
            known=self.known,
            snapshot_seconds=self.snapshot_seconds,
        )
        with self._lock:
            if images.partial or (self.images is not None and self.images.partial):
                # the same recipe, but other images: what came from those before is out of date
                self._made_with.update(dict.fromkeys(self._made_with.keys() & set(STEPS[1:])))
            self.images, self.preview, self._engine = images, None, None
            self._made_with["images"] = key
        self.log.note("images", describe_images(images))
        self.tell("images")
        if not images.partial or (images.average is not None and images.maximum is not None):
            self.compute_mask()

    @property
    def known(self) -> pipeline.AverageCache:
        """Averages made so far, by `pipeline.averaging_key`."""
        folder = Path(self.recipe.output.folder) / KEPT
        if self._keep and self._known.folder != folder:
            self._known = pipeline.AverageCache(folder, partial(self.log.note, "images"))
        return self._known

    def has_kept_images(self) -> bool:
        """Whether `compute_images` needs to read no run: all averages are known, or are files."""
        return pipeline.has_averages(self.recipe, self.known)

    def use_images(self, images: pipeline.ImageSet) -> None:
        """Calibrate with images that are in memory already."""
        with self._lock:
            self.images, self.preview, self._engine = images, None, None
            self._made_with["images"] = self._key("images")
        self.tell("images", "status")
        self.compute_mask()

    def _show_preview(self, images: RunImages) -> None:
        self.preview = images
        self.tell("preview")

    # ---- mask --------------------------------------------------------------------------------
    def compute_mask(self) -> None:
        """Make the mask of the recipe (it also follows each change by itself)."""
        self._do("mask", self._compute_mask, self._quick)

    def _compute_mask(self, _: Any, __: Task) -> None:
        with self._lock:
            images, engine = self.images, self._engine
            made_with = self._made_with.get("images")  # may be older than the recipe
        if images is None:
            raise WorkbenchError("There are no images yet; average the runs or open images first.")
        missing = [
            name for name in ("average", "stddev", "maximum") if getattr(images, name) is None
        ]
        if missing:
            raise WorkbenchError(
                f"The mask needs the {', '.join(missing)} too; choose a dark and a bright run, "
                "or open the missing images."
            )
        settings = self.recipe.mask
        if engine is None:
            from workbench.mask import MaskEvaluator

            engine = MaskEvaluator(
                images.average,
                images.stddev,
                images.maximum,
                geometry=images.geometry,
                low_gain=images.low_gain,
                occupancy=images.occupancy,
            )
            with self._lock:
                if self.images is not images:
                    return  # newer images have come, and ask for their own mask
                self._engine = engine
        self.counts = engine.evaluate(settings)
        self.tell("counts")
        if self._quick.has_waiting("mask"):
            return  # a newer value is on its way; the arrays to keep are made when it rests
        mask = engine.mask(settings)
        with self._lock:
            self.mask = mask
            self._made_with["mask"] = (made_with, settings)
        self.tell("mask")

    def mask_of(self, settings: MaskSettings) -> Mask | None:
        """Mask that other settings would make of the images, for comparison; None without images.

        To be called on the thread of `later`, which alone uses the engine.
        """
        return None if self._engine is None else self._engine.mask(settings)

    def suggestions(self, low_gain: bool | None = None) -> Any:
        """Limits proposed by stated rules; nothing is changed.

        Parameters
        ----------
        low_gain : of the low-gain (True) or the other pixels (False) only.
        """
        from workbench.mask import suggest

        engine = self._engine
        if engine is None:
            raise WorkbenchError("There are no images yet; average the runs or open images first.")
        low = engine.images.low_gain
        pixels = None if low_gain is None or low is None else low == low_gain
        return suggest(engine, pixels)

    def sensitivity(self) -> Any:
        """How the mask changes as each limit is moved by ±20 %; empty without images.

        To be called on the thread of `later`, which alone uses the engine.
        """
        from workbench.mask import sensitivity

        return () if self._engine is None else sensitivity(self._engine, self.recipe.mask)

    @told
    def save_mask(
        self, path: str | os.PathLike[str] | None = None, format: str | None = None
    ) -> Path:
        """Write the mask (default: the recipe's mask file in its output folder).

        Parameters
        ----------
        format : a name of `workbench.mask.FORMATS`; by default the ending decides.
        """
        from workbench.mask import write_mask

        if self.mask is None or self.status("mask").state != State.DONE:
            raise WorkbenchError("There is no finished mask to write; average the runs first.")
        output = self.recipe.output
        target = Path(path) if path is not None else Path(output.folder) / output.mask
        target.parent.mkdir(parents=True, exist_ok=True)
        write_mask(self.mask, target, format)
        self.log.note("mask", f"written to {target}")
        return target

    # ---- quadrants ---------------------------------------------------------------------------
    @told
    def compute_alignment(self) -> None:
        """Find the quadrant offsets with the present mask."""
        self._do("alignment", self._compute_alignment, self._slow)

    @told
    def align_on(self, image: str) -> None:
        """Find the offsets on another picture of the bright runs: ``average`` or ``maximum``."""
        self.change("alignment.image", image)
        self.compute_alignment()

    def _compute_alignment(self, _: Any, task: Task) -> None:
        if self.images is not None and self.status("mask").state != State.DONE:
            self._quick.wait(60)  # the mask of these very settings is on its way
        with self._lock:
            images, mask, recipe = self.images, self.mask, self.recipe
            made_with = self._made_with.get("images")  # may be older than the recipe
        found = None
        if images is not None:
            undecided = recipe.changed("decisions", Decisions())
            found = pipeline.align_recipe(undecided, images, mask, task)
        if found is None:
            raise WorkbenchError(
                "There is no image with powder rings yet; average a bright run or open one."
            )
        self.found = found
        settings = recipe.mask if mask is None or mask.settings is None else mask.settings
        self._made_with["alignment"] = (made_with, same_pixels(settings), recipe.alignment)
        self._recognise()
        self.log.note("alignment", f"average CC {found.mean_cc:.4f}")
        self.tell("alignment")

    @property
    def alignment(self) -> Alignment | None:
        """The alignment with what was decided by hand."""
        return None if self.found is None else self.found.decided(self.recipe.decisions)

    @property
    def corrected(self) -> Geometry | None:
        """The geometry with the quadrants moved."""
        alignment = self.alignment
        return None if alignment is None else alignment.geometry

    @told
    def overrule(
        self, quadrant: int, offset_px: tuple[float, float] | None, dragging: bool = False
    ) -> None:
        """Set a quadrant's offset (x, y) by hand; None returns to the one found.

        Parameters
        ----------
        dragging : one step of undo with the setting before it.
        """
        if self.found is None:
            raise WorkbenchError("Find the offsets first; then they can be overruled.")
        if offset_px is not None:
            if not np.isfinite(offset_px).all():
                raise WorkbenchError("An offset is two numbers (x, y) in pixels.")
            offset_px = (round(offset_px[0], 3), round(offset_px[1], 3))
        self._decide(self.recipe.decisions.overruling(quadrant, offset_px), quadrant, dragging)

    @told
    def nudge(self, quadrant: int, dx: float, dy: float) -> None:
        """Move a quadrant's offset by (dx, dy) pixels."""
        alignment = self.alignment
        if alignment is None:
            raise WorkbenchError("Find the offsets first; then they can be nudged.")
        x, y = alignment.quadrants[quadrant].offset_px
        self.overrule(quadrant, (float(x) + dx, float(y) + dy))

    @told
    def accept(self, quadrant: int, accepted: bool = True) -> None:
        """Use a quadrant's offset, or leave the quadrant where it is."""
        decisions = self.recipe.decisions.rejecting(quadrant, not accepted)
        found = None if self.found is None else self.found.decided(decisions).quadrants[quadrant]
        if accepted and found is not None and not found.accepted:  # against the search's advice
            if found.verdict == "not determined":
                raise WorkbenchError(
                    f"Quadrant {quadrant} has no offset to use; set one in its map or type it."
                )
            x, y = found.offset_px
            decisions = decisions.overruling(quadrant, (round(float(x), 3), round(float(y), 3)))
        self._decide(decisions, quadrant)

    def _decide(self, decisions: Any, quadrant: int, dragging: bool = False) -> None:
        self.set_recipe(
            self.recipe.changed("decisions", decisions), f"offset of quadrant {quadrant}", dragging
        )

    # ---- results -----------------------------------------------------------------------------
    def calibration(self) -> pipeline.Calibration:
        """All results so far in one piece."""
        if self.images is None:
            raise WorkbenchError("There are no results yet; average the runs first.")
        return pipeline.finish(self.recipe, self.images, self.mask, self.alignment, save=False)

    @told
    def save_results(self) -> dict[str, Path]:
        """Write averages, mask, corrected image, geometry and recipe into the output folder."""
        calibration = self.calibration()
        files = pipeline.save_results(calibration)
        self.path = files["recipe"]
        self.log.note("results", f"{len(files)} files written to {self.recipe.output.folder}")
        return files
