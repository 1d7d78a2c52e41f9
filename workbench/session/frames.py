"""Frames of single events for DIALS and CrystFEL: peaks counted, what would be written, written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import pipeline
from workbench.errors import Cancelled, WorkbenchError
from workbench.frames import FramesWritten, RunPeaks, survey_peaks, write_frames
from workbench.frames.writing import estimate_bytes
from workbench.mask import write_mask
from workbench.quantities import size_text, thousands
from workbench.recipe import Events
from workbench.session.frame_lines import GEOMETRY, MASK, arguments, command_line, python_line
from workbench.session.history import History
from workbench.session.jobs import Jobs, Key
from workbench.session.notifier import Notifier
from workbench.session.results import Results
from workbench.session.status import State, Step
from workbench.session.worker import Task

if TYPE_CHECKING:
    from workbench.geometry import Geometry
    from workbench.mask import Mask
    from workbench.runs import Run

SURVEY = "peaks"
"""Name of the work that counts the peaks of all events."""
LOWEST_SHARE = 0.25
"""Of the threshold: peaks down to this are kept, so that it may be lowered afterwards."""


@dataclass(frozen=True)
class FramesPlan:
    """What `write_frames` would write.

    Attributes
    ----------
    run, folder : of which run, where to.
    events : that are looked at; None if it is not known.
    hits : frames that will be written by the peaks counted; None if they were not counted.
    bytes, free_bytes : before compression; on that disk. None if not known.
    facts : sentences about what is used.
    warnings : sentences about what may be wrong.
    """

    run: int
    folder: Path
    events: int | None
    hits: int | None
    bytes: int | None
    free_bytes: int | None
    facts: tuple[str, ...]
    warnings: tuple[str, ...]


class FramesExport:
    """Frames of the recipe's run, with the mask and the geometry made here.

    Parameters
    ----------
    history, results, jobs : settings, mask and geometry, threads.
    notifier : listeners of ``peaks`` and ``frames`` are called.

    Attributes
    ----------
    written : what was written last in this session.
    """

    def __init__(self, history: History, results: Results, jobs: Jobs, notifier: Notifier) -> None:
        self.history, self.results, self.jobs = history, results, jobs
        self._notifier = notifier
        self._survey: tuple[Key, RunPeaks] | None = None
        self._opened: tuple[Key, Run] | None = None

    # ---- what is used ------------------------------------------------------------------------
    @property
    def run_number(self) -> int | None:
        """Run whose events are written: the one chosen, else the first bright run."""
        recipe = self.history.recipe
        return recipe.frames.run or next(iter(recipe.experiment.bright), None)

    @property
    def folder(self) -> Path:
        """Where the frames go."""
        recipe = self.history.recipe
        name = recipe.frames.folder or f"frames-r{self.run_number or 0:04d}"
        return Path(recipe.output.folder) / Path(name).expanduser()

    def open_run(self) -> Run:
        """Open the run.

        Raises
        ------
        WorkbenchError
            If none is chosen, or it cannot be opened.
        """
        number = self.run_number
        if number is None:
            raise WorkbenchError("Choose the run whose events are to be written.")
        key = (self.history.recipe.experiment, number)
        if self._opened is None or self._opened[0] != key:
            self._opened = key, pipeline.open_recipe_run(self.history.recipe, number)
        return self._opened[1]

    def why_not(self) -> str:
        """Why nothing can be written; empty if something can."""
        if self.run_number is None:
            return "Choose the run whose events are to be written."
        if not self.history.recipe.experiment.name:
            return "Frames are written from runs on disk; choose an experiment in step 1."
        return ""

    def why_not_write(self) -> str:
        """Why no frames can be written; empty if they can."""
        if reason := self.why_not():
            return reason
        if self.history.recipe.experiment.detz_offset_mm is None:
            return "Frames need the detector’s distance; write the “detz offset (mm)” in step 1."
        return ""

    # ---- peaks of all events -----------------------------------------------------------------
    def _survey_key(self) -> Key:
        recipe = self.history.recipe
        frames = recipe.frames
        return (
            recipe.experiment, self.run_number, frames.corrections, frames.events,
            None if self.results.mask is None else id(self.results.mask),
        )  # fmt: skip

    @property
    def survey(self) -> RunPeaks | None:
        """Peaks of all events, if they were counted with the present settings and mask."""
        survey = self._survey
        if survey is None or survey[0] != self._survey_key():
            return None
        threshold = self.history.recipe.frames.hits.threshold_adu
        return survey[1] if threshold >= survey[1].lowest_adu else None

    def count_peaks(self) -> None:
        """Count the peaks of all selected events; a new threshold then needs no reading."""
        if reason := self.why_not():
            raise WorkbenchError(reason)
        self.jobs.slow.submit(SURVEY, self._count_peaks)

    def _count_peaks(self, task: Task) -> None:
        try:
            key, frames = self._survey_key(), self.history.recipe.frames
            mask = self.results.mask
            good = None if mask is None else mask.good
            lowest = LOWEST_SHARE * frames.hits.threshold_adu
            task.worker.report(task, 0, None, "opening the run …")
            survey = survey_peaks(
                self.open_run(), frames.corrections, frames.events, good, lowest, task
            )
            self._survey = key, survey
            hits = survey.hits(frames.hits).size
            more = "" if survey.complete else ", then it was cancelled"
            self.jobs.log.note(
                "frames", f"{hits} hits in {survey.indices.size} events of run {survey.run}{more}"
            )
        finally:
            self.jobs.finish()
            self._notifier.notify("peaks", "status")

    # ---- before anything is written ----------------------------------------------------------
    def plan(self) -> FramesPlan:
        """What would be written; writes nothing.

        Raises
        ------
        WorkbenchError
            If the run cannot be opened, or nothing can be written.
        """
        if reason := self.why_not():
            raise WorkbenchError(reason)
        frames, run, folder = self.history.recipe.frames, self.open_run(), self.folder
        survey = self.survey
        events, hits = expected_events(run.event_count, frames.events), None
        if survey is not None and survey.complete:
            events = survey.indices.size
            hits = int(survey.hits(frames.hits).size) if frames.only_hits else events
        count = hits if hits is not None else events
        there = next(place for place in (folder, *folder.parents) if place.is_dir())
        warnings = []
        if self.results.mask is None:
            warnings.append(
                "There is no mask yet: all pixels are used, and hot ones count as peaks."
            )
        if reason := self.why_not_write():
            warnings.append(reason)
        if hits == 0:
            warnings.append("No event is a hit; lower the threshold or the number of peaks.")
        size = (
            None if count is None else estimate_bytes(run, count, frames.format, frames.whole_adu)
        )
        free = shutil.disk_usage(there).free
        if size is not None and size > free:
            warnings.append(
                f"{there} has {size_text(free)} free, which may be too little; “Resume” goes on "
                "after a full disk."
            )
        return FramesPlan(
            run.number, folder, events, hits, size, free, self._facts(), tuple(warnings)
        )

    def _facts(self) -> tuple[str, ...]:
        frames, used = self.history.recipe.frames, self.results.mask
        mask = "no mask"
        if used is not None:
            masked = thousands(used.masked)
            mask = f"the mask of step 2{self._outdated('mask')}, {masked} pixels masked"
        geometry = "the geometry deployed for the run (no offsets are found yet)"
        if self.results.corrected is not None:
            geometry = f"the corrected geometry of step 3{self._outdated('alignment')}"
        return (
            f"Corrections: {frames.corrections.describe()}.",
            f"With {mask}.",
            f"In {geometry}.",
        )

    def _outdated(self, step: Step) -> str:
        """State of a step in brackets, empty if it is done."""
        state = self.results.status(step).state
        return "" if state == State.DONE else f" ({state})"

    @property
    def can_resume(self) -> bool:
        """Whether frames of a stopped job are in the folder."""
        done = self.results.status("frames").state == State.DONE
        return not done and any(self.folder.glob("*_frames-r*.json"))

    # ---- writing -----------------------------------------------------------------------------
    def write(self, resume: bool = False, overwrite: bool = False) -> None:
        """Write the frames.

        Parameters
        ----------
        resume : go on with what a stopped job wrote.
        overwrite : replace frames that are there.
        """
        if reason := self.why_not_write():
            raise WorkbenchError(reason)

        def work(task: Task, key: Key) -> None:
            self._write(task, key, resume, overwrite)

        self.jobs.start("frames", work, self.results.key, self.jobs.slow)

    def _write(self, task: Task, key: Key, resume: bool, overwrite: bool) -> None:
        recipe, run, folder = self.history.recipe, self.open_run(), self.folder
        mask, geometry = self.results.mask, self.results.corrected
        settings = arguments(recipe)
        self.results.frames = None
        self.results.set_done("frames", False, key)
        try:
            written = write_frames(
                run, folder, **settings, mask=mask, geometry=geometry, progress=task,
                resume=resume, overwrite=overwrite,
            )  # fmt: skip
        except Cancelled:
            self.results.set_done("frames", key=key)  # as far as it came
            raise
        self.results.frames = written
        self.results.set_done("frames", key=key)
        self._write_beside(folder, mask, geometry)
        log = self.jobs.log
        beside = {"mask": mask is not None, "geometry": geometry is not None}
        line = python_line(recipe, run.number, folder, settings, **beside)
        log.note("frames", f"in Python: {line}")
        log.note("frames", f"as a command: {command_line(recipe, run.number, folder, **beside)}")
        log.note("frames", f"{written.count} frames of {len(written.rows)} events: {folder}")
        self._notifier.notify("frames")

    def _write_beside(self, folder: Path, mask: Mask | None, geometry: Geometry | None) -> None:
        if mask is not None:
            write_mask(mask, folder / MASK)
        if geometry is not None:
            geometry.write(folder / GEOMETRY)

    @property
    def written(self) -> FramesWritten | None:
        """What was written last in this session."""
        return self.results.frames


def expected_events(count: int | None, selection: Events) -> int | None:
    """About how many events of a run of `count` a selection takes; None if it cannot be said."""
    if count is None:
        return None
    chosen = len(selection.among(count))
    return min(chosen, selection.limit or chosen)
