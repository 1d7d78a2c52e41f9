"""Averaging a run: the public call."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from workbench import provenance
from workbench.averages.cluster import Dask
from workbench.averages.collect import Collected, Job, Runner, Threads
from workbench.averages.halves import make_halves
from workbench.averages.results import RunImages
from workbench.averages.state import AveragingState, read_state, subject
from workbench.averages.statistics import Statistics
from workbench.constants import constants_folder, file_for_run
from workbench.corrections import unit_of_steps
from workbench.corrections.dark import half_below_zero
from workbench.errors import Cancelled, GeometryError, NoEventsError, WorkbenchError
from workbench.geometry import Geometry
from workbench.progress import Progress
from workbench.recipe import Corrections, Events
from workbench.runs import EventSource, Run

if TYPE_CHECKING:
    from distributed.deploy import Cluster

LEAST_WITHOUT = 1e-3
"""Share of the values without a gain range above which it is said."""


def average_run(
    run: Run,
    corrections: Corrections | None = None,
    runner: Runner | str | None = None,
    progress: Progress | None = None,
    selection: Events | None = None,
    *,
    detz_offset_mm: float | None = None,
    snapshot: Callable[[RunImages], None] | None = None,
    snapshot_seconds: float = 3.0,
    resume: str | os.PathLike[str] | AveragingState | None = None,
    halves: str | None = None,
) -> RunImages:
    """Average, standard deviation, maximum and minimum of a run's events in one pass.

    Parameters
    ----------
    run : from `workbench.open_run`, or frames from `workbench.runs.open_frames`.
    corrections : applied to each event; None means raw ADU. Corrections without common mode are
        evaluated in float64 (as ``cxi.mpi_average -g``), with common mode each event is
        corrected in float32 (as psana's ``Detector.calib``). Sums are exact or float64.
    runner : None or a `Threads` works in this process; ``"dask"`` or a `Dask` on a cluster;
        a scheduler's address such as ``tcp://host:8786`` on that one.
    progress : told about events done; its ``cancelled`` stops the work.
    selection : which events; None means all.
    detz_offset_mm : distance from sample to detector is the encoder's position plus this, mm.
    snapshot : called every `snapshot_seconds` with the images so far (``partial`` is True).
    resume : file written by `RunImages.save_state`, or such a state: the events in it are passed
        over and counted in the result. Run, detector, corrections and constants must be the same;
        the selection may differ.
    halves : ``odd-even`` or ``first-last``: divide the events in two and give the images of both
        halves too (`RunImages.halves`), to see whether what is found in them agrees. Each event is
        still added once: mean and standard deviation of all events, merged from the halves, then
        agree with those found without this to rounding, maximum and minimum exactly. ``odd-even``
        takes every second selected event that has data of the detector; ``first-last`` divides at
        the middle of the events that the selection allows (of runs over 4 GB an estimate);
        going on from a state keeps its middle. Neither depends on threads or workers, nor on
        whether the run is gone through at once.

    Returns
    -------
    `RunImages`; after a cancel those of the events done so far, with ``partial`` True.

    Raises
    ------
    NoEventsError
        If no event has data of the detector; the message counts the reasons.
    Cancelled
        If the work was cancelled before the first event.
    ConstantsError, FileFormatError
        If constants are missing or a file is faulty.
    WorkbenchError
        If the state to go on from is of another averaging.
    """
    before = resume if resume is None or isinstance(resume, AveragingState) else read_state(resume)
    division = make_halves(halves, run, selection, None if before is None else before.subject)
    job = Job(run, corrections, selection, () if before is None else before.keys, division)
    chosen = find_runner(runner)
    about = subject(job)
    if before is not None:
        before.check(about, "The state to go on from" if before is resume else resume)

    def make(collected: Collected) -> RunImages:
        if before is not None:
            collected = replace(before.collected.merge(collected), partial=collected.partial)
        return _images(
            run, job, collected,
            detz_offset_mm=detz_offset_mm, runner=chosen, before=before, about=about,
        )  # fmt: skip

    def show(collected: Collected) -> None:
        if snapshot is not None and collected.counts.used:
            snapshot(make(collected))

    collected = chosen.collect(job, progress, None if snapshot is None else show, snapshot_seconds)
    if not collected.counts.used and before is None:
        name = f"{run.experiment} run {run.number}"
        if collected.partial:
            raise Cancelled(f"Averaging {name} was cancelled before its first event.")
        raise NoEventsError(_nothing(name, run, collected, selection))
    return make(collected)


def find_runner(runner: object) -> Runner:
    """Runner from None, ``"threads"``, ``"dask"``, or a scheduler, client or cluster of Dask.

    A scheduler is named by its address (``tcp://host:8786``) or its file (``scheduler.json``).

    Raises
    ------
    WorkbenchError
        If it is none of these.
    """
    if runner is None or runner == "threads":
        return Threads()
    if runner == "dask":
        return Dask()
    if isinstance(runner, str) and (":" in runner or runner.endswith(".json")):
        return Dask(runner)
    if isinstance(runner, Threads | Dask) or hasattr(runner, "collect"):
        return cast(Runner, runner)
    if hasattr(runner, "scheduler_address") or hasattr(runner, "scheduler"):
        return Dask(cast("Cluster", runner))
    raise WorkbenchError(
        f"{runner!r} is no runner; use None, 'threads', 'dask', a scheduler's address "
        "(tcp://host:port) or its file (scheduler.json)."
    )


def deployed_geometry(run: EventSource) -> Geometry | None:
    """Geometry deployed for a run, or None if the run has no calibration directory.

    Raises
    ------
    GeometryError
        If the calibration directory has no geometry for the run.
    """
    if run.calib_dir is None:
        return None
    folder = constants_folder(run.calib_dir, run.address, "geometry")
    path = file_for_run(folder, run.number)
    if path is None:
        raise GeometryError(
            f"No geometry serves run {run.number} in {folder}; deploy one (workbench geometry "
            "deploy), or give the calibration directory that has it."
        )
    return Geometry.read(path)


def _images(
    run: Run,
    job: Job,
    collected: Collected,
    *,
    detz_offset_mm: float | None,
    runner: Runner,
    before: AveragingState | None,
    about: dict[str, Any],
) -> RunImages:
    statistics = collected.whole()
    assert statistics is not None
    counts = collected.counts
    encoder = counts.encoder_mm.value
    distance = counts.distance_mm.value
    if detz_offset_mm is not None:
        distance = (encoder or 0.0) + detz_offset_mm
    warnings = [*collected.warnings, *_wrong_in_files(collected.problems)]
    without = 1 - statistics.pixel_count.mean() / statistics.count
    if run.detector.gain_ranges is not None and run.source == "XTC" and without > LEAST_WITHOUT:
        warnings.append(
            f"{100 * without:.2g} % of the values have gain bits that stand for no range; these "
            "pixels have no value in these events."
        )
    if detz_offset_mm is not None and encoder is None:
        warnings.append(
            f"The run does not tell the detector's position; its distance is taken as {distance:g} "
            "mm, the offset alone."
        )
    subtracted = job.corrected and half_below_zero(statistics.mean, statistics.pixel_count > 0)
    if subtracted:
        warnings.append(
            "About half of the average lies below zero: a dark run from which pedestals were "
            "subtracted. For the mask average the dark run raw (--raw-data)."
        )
    of_halves: tuple[Statistics, ...] = ()
    divided: dict[str, Any] = {}
    if job.halves is not None:
        of_halves = tuple(part for part in collected.parts if part is not None and part.count)
        of_each = [0 if part is None else part.count for part in collected.parts]
        divided = {**job.halves.describe(), "counts_of_halves": of_each}
        if len(of_halves) < 2:
            of_halves = ()
            warnings.append(
                f"All events lie in one half ({job.halves.split}), so halves cannot be compared."
            )
    return RunImages(
        statistics,
        run.experiment,
        run.number,
        run.address,
        run.detector,
        skipped=counts.skipped,
        encoder_mm=encoder,
        distance_mm=distance,
        wavelength_angstrom=counts.wavelength_angstrom.value,
        seconds=counts.seconds.value,
        provenance={
            "count": counts.used,
            "skipped": dict(counts.skipped),
            "partial": collected.partial,
            "run": run.describe(),
            "corrections": collected.steps or "raw",
            **provenance.stated_unit(unit_of_steps(run.detector, collected.steps)),
            "events": (job.selection or Events()).describe(),
            **divided,
            "resumed": None
            if before is None
            else {"events": before.collected.counts.used, **before.origin},
            "first_event": counts.first,
            "last_event": counts.last,
            "encoder_mm": encoder,
            "detz_offset_mm": detz_offset_mm,
            "runner": runner.describe(),
            **provenance.stamp(),
        },
        partial=collected.partial,
        absent_is_zero=collected.absent_is_zero,
        warnings=tuple(warnings),
        # going on goes through the run again: what is left out is counted anew then
        state=AveragingState(
            about, replace(collected, counts=replace(counts, left_out=Counter()), problems=()), {}
        ),
        split=job.halves.split if job.halves is not None and of_halves else "",
        of_halves=of_halves,
    )


def _nothing(name: str, run: EventSource, collected: Collected, selection: Events | None) -> str:
    """Say why there is nothing to average."""
    reasons = ", ".join(f"{n} {why}" for why, n in collected.counts.skipped.most_common(4))
    text = f"{name} has no events of {run.address} to average"
    if selection is not None and selection != Events():
        text += f" (asked for: {selection.describe()})"
    text += f"; left out: {reasons}" if reasons else ""
    wrong = "".join(collected.problems[:1]).rstrip(".")
    return f"{text} ({wrong})." if wrong else f"{text}."


def _wrong_in_files(problems: tuple[str, ...]) -> tuple[str, ...]:
    """Sentence about what was wrong in the files: the first, and how many more there are."""
    if not problems:
        return ()
    more = f" {len(problems) - 1} more such: workbench inspect." if len(problems) > 1 else ""
    return (f"{problems[0]}{more}",)
