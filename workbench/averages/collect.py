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
from itertools import zip_longest
from typing import Any

from workbench.averages.accumulators import Accumulator, make_accumulator
from workbench.averages.event_counts import EventCounts
from workbench.averages.halves import Halves
from workbench.averages.statistics import Statistics, merge_all
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
    parts : statistics of all events, or of each half of them; None where no event had data.
    counts : events used and left out.
    partial : True if stopped before the end.
    absent_is_zero : False for stacks of frames, whose NaN pixels have no value.
    steps : corrections that were applied.
    warnings : about the constants.
    """

    parts: tuple[Statistics | None, ...] = (None,)
    counts: EventCounts = field(default_factory=EventCounts)
    partial: bool = False
    absent_is_zero: bool = True
    steps: list[dict[str, Any]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()

    def whole(self) -> Statistics | None:
        """Statistics of all events; None if none had data."""
        there = [part for part in self.parts if part is not None]
        return merge_all(there) if there else None

    def merge(self, other: Collected) -> Collected:
        """Give what was collected from the events of both."""
        return Collected(
            tuple(
                one.merge(two) if one is not None and two is not None else one or two
                for one, two in zip_longest(self.parts, other.parts)
            ),
            self.counts.merge(other.counts),
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
    halves: Halves | None = None
    """How the events are divided in two, if they are."""
    dealt: bytes | None = None
    """Half of each event, where the run is a part of one and cannot tell."""

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

    @property
    def part_count(self) -> int:
        """Into how many parts the events are divided."""
        return 1 if self.halves is None else 2

    def events(self) -> Iterator[tuple[Any, int]]:
        """Events selected and the part of each; `run.skipped` counts those left out.

        Events are divided before those averaged earlier are passed over, so that going on gives
        the parts that going through in one piece would have given.
        """
        before = Counter(self.counted)
        # events are corrected while they are summed, not by the run
        for event, part in self._divided(self.run.events(None, self.selection)):
            if before and before[event.key] > 0:
                before[event.key] -= 1
                continue
            yield event, part

    def _divided(self, events: Iterator[Any]) -> Iterator[tuple[Any, int]]:
        if self.halves is None:
            yield from ((event, 0) for event in events)
        elif self.dealt is not None:
            yield from zip(events, self.dealt, strict=True)
        else:
            number = 0
            for event in events:
                yield event, self.halves.half_of(event, number)
                number += event.has_element

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
    accumulators: list[Accumulator | None] = [None] * job.part_count
    shape = tuple(job.run.shape)
    total = job.expected
    shown = time.monotonic()
    with ThreadPoolExecutor(max(helpers, 1), thread_name_prefix="average") as pool:
        adding = _Adding(pool, helpers)
        for parts, seen in _blocks(job, found.counts, block_events, progress, total):
            if any(parts):
                found.absent_is_zero = not is_frames(job.run)
                if is_frames(job.run):
                    adding.finish()  # frames of another type may follow
                work = []
                for number, events in enumerate(parts):
                    if events:
                        present = make_accumulator(events, shape, corrector, accumulators[number])
                        accumulators[number] = present
                        work.append((present, present.load(events)))
                adding.begin(work)
            progress.update(seen, total, f"{found.counts.used} used")
            if snapshot is not None and found.counts.used:
                now = time.monotonic()
                if now - shown >= snapshot_seconds:
                    adding.finish()
                    snapshot(_finished(found, accumulators, job, partial=True))
                    shown = time.monotonic()
            if progress.cancelled:
                found.partial = True
                break
        adding.finish()
    return _finished(found, accumulators, job, partial=found.partial)


Work = list[tuple[Accumulator, Any]]
"""Blocks to be added, each to the accumulator of its part."""


def _add(work: Work) -> None:
    for accumulator, block in work:
        accumulator.add(block)


class _Adding:
    """The blocks that are being added: by the helping threads, and by this one when it waits.

    Parameters
    ----------
    pool, helpers : of the other threads; 0 helpers leave all the work to this one.
    """

    def __init__(self, pool: ThreadPoolExecutor, helpers: int) -> None:
        self._pool, self._helpers = pool, helpers
        self._futures: list[Future[None]] = []
        self._current: Work = []

    def begin(self, work: Work) -> None:
        """Finish the blocks before, then let the helpers add these."""
        done = self._current  # its memory is let go once the helpers have work again
        self.finish()
        self._current = work
        self._futures = [self._pool.submit(_add, work) for _ in range(self._helpers)]
        del done
        if not self._helpers:
            self.finish()

    def finish(self) -> None:
        """Help until the blocks are added; their memory may go then."""
        work = self._current
        try:
            _add(work)
        finally:
            for future in self._futures:
                future.result()
            self._current = []
            self._futures = []
        for accumulator, block in work:
            accumulator.added(block)


def _blocks(
    job: Job, counts: EventCounts, size: int | None, progress: Progress, total: int | None
) -> Iterator[tuple[list[list[Any]], int]]:
    """Blocks of events with data, by part, and how many were gone through; counts the others.

    The last block is a short one, as is that during which the work is cancelled.
    """
    if size is None:
        size = BLOCK
        if is_frames(job.run) or (job.corrector is not None and not job.corrector.by_section):
            size = min(max(FRAMES_BYTES // (8 * math.prod(job.run.shape)), 1), BLOCK)
    block: list[list[Any]] = [[] for _ in range(job.part_count)]
    seen = 0
    for event, part in job.events():
        seen += 1
        if getattr(event, "quads", None) or event.raw is not None:
            counts.add(event)
            block[part].append(event)
        else:
            counts.add_without_data(event)
        if seen % size == 0:
            yield block, seen
            block = [[] for _ in range(job.part_count)]
        elif seen % LOOK_EVERY == 0:
            progress.update(seen, total, f"{counts.used} used")
            if progress.cancelled:
                break
    yield block, seen


def _finished(
    found: Collected, accumulators: list[Accumulator | None], job: Job, partial: bool
) -> Collected:
    counts = found.counts.merge(EventCounts(left_out=job.run.skipped.copy()))
    return Collected(
        tuple(None if one is None else one.statistics() for one in accumulators),
        counts,
        partial,
        found.absent_is_zero,
        found.steps,
        found.warnings,
    )
