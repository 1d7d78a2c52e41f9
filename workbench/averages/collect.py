"""Going through the events of a run: the part of the work that every runner does."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from workbench.averages.accumulators import Accumulator, make_accumulator
from workbench.averages.statistics import Statistics
from workbench.averages.tally import Tally
from workbench.corrections import Corrector, make_corrector
from workbench.errors import WorkbenchError
from workbench.progress import Progress, Silent
from workbench.recipe import Corrections, Events

BLOCK = 64
"""Events added at once: 290 MB of pixels. The accumulators pass through memory once per block, so
a smaller one is slower; two are mapped at a time where several threads work."""
FRAMES_BYTES = 100 << 20
"""Of frames, which are copies in memory, at most this much is taken at once."""
LOOK_EVERY = 8
"""Events after which a cancel is noticed."""


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
    counted: tuple[tuple[int, ...], ...] = ()
    """Keys of events that were averaged before and are passed over."""

    @property
    def corrected(self) -> bool:
        """True if anything is applied to the raw pixels."""
        return self.corrections is not None and not self.corrections.is_raw

    @cached_property
    def corrector(self) -> Corrector | None:
        """Corrector for the run, with the constants as they are now; None for raw data."""
        if self.corrections is None or self.corrections.is_raw:
            return None
        return make_corrector(self.corrections, self.run)

    def events(self) -> Iterator[Any]:
        """Events selected, without those of other reasons (`run.skipped` counts these)."""
        # events are corrected while they are summed, not by the run
        events = self.run.events(None, self.selection)
        before = Counter(self.counted)
        for event in events:
            if before and before[event.key] > 0:
                before[event.key] -= 1
                continue
            yield event

    @property
    def expected(self) -> int | None:
        """How many events will come, as far as that is known."""
        known = [getattr(self.run, "event_count", None)]
        if self.selection is not None:
            known += [self.selection.limit, len(self.selection.indices) or None]
        total = min((n for n in known if n is not None), default=None)
        return None if total is None else max(total - len(self.counted), 0)


Snapshot = Callable[[Collected], None]


def is_frames(run: Any) -> bool:
    """True for frames of other files than XTC."""
    return bool(getattr(run, "is_frames", False))


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
    block_events: int | None = None,
) -> Collected:
    """Collect statistics of a run's events in this process.

    The calling thread reads a block of events while the others add the one before, then helps
    them. All threads share the pixels of a block and one set of accumulators, so the result does
    not depend on their number.

    Parameters
    ----------
    job : what to collect.
    threads : threads that work, the calling one among them; default one per core of this process.
        One reads and adds in turn.
    progress : told after each block; its `cancelled` stops the work, with a valid result.
    snapshot : called every `snapshot_seconds` with what there is so far.
    block_events : events added at once, default `BLOCK` (fewer if the run has frames).
    """
    progress = progress or Silent()
    if threads is not None and threads < 1:
        raise WorkbenchError(f"{threads} threads cannot work; use at least 1.")
    helpers = (threads or available_cores()) - 1
    corrector = job.corrector
    found = Collected(
        steps=[] if corrector is None else corrector.describe(),
        warnings=() if corrector is None else tuple(corrector.warnings),
    )
    accumulator: Accumulator | None = None
    shape = tuple(job.run.shape)
    total = job.expected
    shown = time.monotonic()
    with ThreadPoolExecutor(max(helpers, 1), thread_name_prefix="average") as pool:
        adding = _Adding(pool, helpers)
        for events, seen in _blocks(job, found.tally, block_events, progress, total):
            if events:
                if accumulator is None:
                    found.absent_is_zero = not is_frames(job.run)
                elif is_frames(job.run):
                    adding.finish()  # frames of another type may follow
                accumulator = make_accumulator(events, shape, corrector, accumulator)
                adding.begin(accumulator, accumulator.load(events))
            progress.update(seen, total, f"{found.tally.used} used")
            if snapshot is not None and accumulator is not None:
                now = time.monotonic()
                if now - shown >= snapshot_seconds:
                    adding.finish()
                    snapshot(_finished(found, accumulator, job, partial=True))
                    shown = time.monotonic()
            if progress.cancelled:
                found.partial = True
                break
        adding.finish()
    return _finished(found, accumulator, job, partial=found.partial)


class _Adding:
    """The block that is being added: by the helping threads, and by this one when it waits.

    Parameters
    ----------
    pool, helpers : of the other threads; 0 helpers leave all the work to this one.
    """

    def __init__(self, pool: ThreadPoolExecutor, helpers: int) -> None:
        self._pool, self._helpers = pool, helpers
        self._futures: list[Future[None]] = []
        self._current: tuple[Accumulator, Any] | None = None

    def begin(self, accumulator: Accumulator, block: Any) -> None:
        """Finish the block before, then let the helpers add this one."""
        done = self._current  # its memory is let go once the helpers have work again
        self.finish()
        self._current = accumulator, block
        self._futures = [self._pool.submit(accumulator.add, block) for _ in range(self._helpers)]
        del done
        if not self._helpers:
            self.finish()

    def finish(self) -> None:
        """Help until the block is added; its memory may go then."""
        if self._current is None:
            return
        accumulator, block = self._current
        try:
            accumulator.add(block)
        finally:
            for future in self._futures:
                future.result()
            self._current = None
            self._futures = []
        accumulator.added(block)


def _blocks(
    job: Job, tally: Tally, size: int | None, progress: Progress, total: int | None
) -> Iterator[tuple[list[Any], int]]:
    """Blocks of events with data, and how many events were gone through; counts the others.

    The last block is a short one, as is that during which the work is cancelled.
    """
    if size is None:
        size = BLOCK
        if is_frames(job.run) or (job.corrector is not None and not job.corrector.by_section):
            size = min(max(FRAMES_BYTES // (8 * math.prod(job.run.shape)), 1), BLOCK)
    block: list[Any] = []
    seen = 0
    for event in job.events():
        seen += 1
        if getattr(event, "quads", None) or event.raw is not None:
            tally.add(event)
            block.append(event)
        else:
            tally.add_without_data(event)
        if seen % size == 0:
            yield block, seen
            block = []
        elif seen % LOOK_EVERY == 0:
            progress.update(seen, total, f"{tally.used} used")
            if progress.cancelled:
                break
    yield block, seen


def _finished(
    found: Collected, accumulator: Accumulator | None, job: Job, partial: bool
) -> Collected:
    tally = found.tally.merge(Tally(left_out=job.run.skipped.copy()))
    return Collected(
        None if accumulator is None else accumulator.statistics(),
        tally,
        partial,
        found.absent_is_zero,
        found.steps,
        found.warnings,
    )
