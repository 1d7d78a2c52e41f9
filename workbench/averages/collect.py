"""Going through the events of a run: the part of the work that every runner does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from workbench.averages.accumulators import Accumulator, make_accumulator
from workbench.averages.statistics import Statistics
from workbench.averages.tally import Tally
from workbench.corrections import Corrector, make_corrector
from workbench.errors import WorkbenchError
from workbench.progress import Progress, Silent
from workbench.recipe import Corrections, Events

BLOCK = 24
"""Events added at once: 110 MB of pixels, 13 ms of work. More would be a little quicker."""


@dataclass
class Collected:
    """What was collected from the events of a run; can be merged.

    Attributes
    ----------
    statistics : None if no event had data.
    tally : events used and left out.
    partial : True if stopped before the end.
    absent_is_zero : False for stacks of frames, whose NaN pixels have no value.
    steps : corrections that were applied.
    warnings : about the constants.
    """

    statistics: Statistics | None = None
    tally: Tally = field(default_factory=Tally)
    partial: bool = False
    absent_is_zero: bool = True
    steps: list[dict[str, Any]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()

    def merge(self, other: Collected) -> Collected:
        """Give what was collected from the events of both."""
        if self.statistics is None or other.statistics is None:
            statistics = self.statistics or other.statistics
        else:
            statistics = self.statistics.merge(other.statistics)
        return Collected(
            statistics,
            self.tally.merge(other.tally),
            self.partial or other.partial,
            self.absent_is_zero and other.absent_is_zero,
            self.steps or other.steps,
            tuple(dict.fromkeys(self.warnings + other.warnings)),
        )


@dataclass(frozen=True)
class Job:
    """What is to be collected: a run, how its events are corrected, and which are used."""

    run: Any
    corrections: Corrections | None = None
    selection: Events | None = None

    @property
    def corrected(self) -> bool:
        """True if anything is applied to the raw pixels."""
        return self.corrections is not None and not self.corrections.is_raw

    def corrector(self) -> Corrector | None:
        """Corrector for the run, or None for raw data."""
        if self.corrections is None or self.corrections.is_raw:
            return None
        return make_corrector(self.corrections, self.run)

    def events(self) -> Iterator[Any]:
        """Events selected, without those of other reasons (`run.skipped` counts these)."""
        # events are corrected while they are summed, not by the run
        return iter(self.run.events(None, self.selection))


Snapshot = Callable[[Collected], None]


def available_cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def collect(
    job: Job,
    threads: int | None = None,
    progress: Progress | None = None,
    snapshot: Snapshot | None = None,
    snapshot_seconds: float = 3.0,
    block_events: int = BLOCK,
) -> Collected:
    """Collect statistics of a run's events in this process.

    The next events are read while threads add up the present ones; each thread takes its own
    sections of the detector, so there is one set of accumulators however many threads there are,
    and the result does not depend on their number.

    Parameters
    ----------
    job : what to collect.
    threads : default all cores of this process.
    progress : told after each block; its `cancelled` stops the work, with a valid result.
    snapshot : called every `snapshot_seconds` with what there is so far.
    """
    progress = progress or Silent()
    if threads is not None and threads < 1:
        raise WorkbenchError(f"{threads} threads cannot work; use at least 1.")
    workers = threads or available_cores()
    corrector = job.corrector()
    found = Collected(
        steps=[] if corrector is None else corrector.describe(),
        warnings=() if corrector is None else tuple(corrector.warnings),
    )
    accumulator: Accumulator | None = None
    pending: list[Future[None]] = []
    in_flight: Any = None  # keeps the memory of the block alive that the threads read
    total = _expected(job)
    shown = time.monotonic()

    with ThreadPoolExecutor(workers, thread_name_prefix="average") as pool:
        for events, seen in _blocks(job, found.tally, block_events):
            if events:
                if accumulator is None:
                    accumulator = make_accumulator(events[0], tuple(job.run.shape), corrector)
                    found.absent_is_zero = not getattr(job.run, "is_frames", False)
                block = accumulator.load(events)
                _wait(pending)
                shares = min(workers, accumulator.parts)
                pending = [
                    pool.submit(_add, accumulator, block, share, shares) for share in range(shares)
                ]
                accumulator.loaded(len(events))
                in_flight = block
            progress.update(seen, total, f"{found.tally.used} used")
            if progress.cancelled:
                found.partial = True
                break
            if snapshot is not None and accumulator is not None:
                now = time.monotonic()
                if now - shown >= snapshot_seconds:
                    _wait(pending)
                    pending = []
                    snapshot(_finished(found, accumulator, job, partial=True))
                    shown = time.monotonic()
        _wait(pending)
        del in_flight
    return _finished(found, accumulator, job, partial=found.partial)


def _blocks(job: Job, tally: Tally, size: int) -> Iterator[tuple[list[Any], int]]:
    """Blocks of events with data, and how many events were gone through; counts the others."""
    block: list[Any] = []
    seen = 0
    for event in job.events():
        seen += 1
        if getattr(event, "quads", None) or event.raw is not None:
            tally.add(event)
            block.append(event)
        else:
            tally.skipped[getattr(event, "missing", "") or "no data"] += 1
        if seen % size == 0:
            yield block, seen
            block = []
    yield block, seen


def _add(accumulator: Accumulator, block: Any, share: int, shares: int) -> None:
    for part in range(share, accumulator.parts, shares):
        accumulator.add(block, part)


def _wait(pending: list[Future[None]]) -> None:
    for future in pending:
        future.result()


def _finished(
    found: Collected, accumulator: Accumulator | None, job: Job, partial: bool
) -> Collected:
    tally = found.tally.merge(Tally(skipped=job.run.skipped.copy()))
    return Collected(
        None if accumulator is None else accumulator.statistics(),
        tally,
        partial,
        found.absent_is_zero,
        found.steps,
        found.warnings,
    )


def _expected(job: Job) -> int | None:
    """How many events will come, as far as that is known."""
    known = [getattr(job.run, "event_count", None)]
    if job.selection is not None:
        known += [job.selection.limit, len(job.selection.indices) or None]
    return min((n for n in known if n is not None), default=None)
