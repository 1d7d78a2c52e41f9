"""Going through the events of a run: what is collected from them, and the threads that do it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.averages.event_counts import EventCounts
from workbench.averages.halves import Halves
from workbench.averages.statistics import Statistics, merge_all
from workbench.corrections import AnyCorrector, Corrector, make_corrector
from workbench.errors import WorkbenchError
from workbench.progress import Progress, Silent
from workbench.recipe import Corrections, Events
from workbench.runs import Event, EventSource

if TYPE_CHECKING:
    from workbench.averages.accumulators import AnyAccumulator, Pending

BLOCK = 32
"""Events added at once, 150 MB of pixels of a CSPAD. The accumulators pass through memory once per
block, so a much smaller one is slower; two are in memory where several threads work."""
BLOCK_BYTES = 150_000_000
"""Pixels of a block take at most this much: of a larger detector there are fewer events in it."""
BESIDE_PIXELS_BYTES = 1 << 17
"""What an uncompressed event has beside its pixels, at most: headers, and calibration rows of an
ePix10k2M (73 860 bytes)."""
FRAMES_BYTES = 100 << 20
"""Of frames, which are copies in memory, at most this much is taken at once."""
LOOK_EVERY = 8
"""Events that the threads read together; a cancel is noticed after them."""


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
    problems : sentences about what was wrong in the files.
    """

    parts: tuple[Statistics | None, ...] = (None,)
    counts: EventCounts = field(default_factory=EventCounts)
    partial: bool = False
    absent_is_zero: bool = True
    steps: list[dict[str, Any]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def whole(self) -> Statistics | None:
        """Statistics of all events; None if none had data."""
        there = [part for part in self.parts if part is not None]
        return merge_all(there) if there else None

    def merge(self, other: Collected) -> Collected:
        """Give what was collected from the events of both."""
        return Collected(
            tuple(
                here.merge(there) if here is not None and there is not None else here or there
                for here, there in zip_longest(self.parts, other.parts)
            ),
            self.counts.merge(other.counts),
            self.partial or other.partial,
            self.absent_is_zero and other.absent_is_zero,
            self.steps or other.steps,
            tuple(dict.fromkeys(self.warnings + other.warnings)),
            tuple(dict.fromkeys(self.problems + other.problems)),
        )


@dataclass(frozen=True)
class Job:
    """What is to be collected: a run, how its events are corrected, and which are used."""

    run: EventSource
    corrections: Corrections | None = None
    selection: Events | None = None
    counted: tuple[tuple[int, ...], ...] = ()
    """Keys of events that were averaged before and are passed over."""
    halves: Halves | None = None
    """How the events are divided in two, if they are."""
    dealt: bytes | None = None
    """Half of each event, where the run is a subset of one and cannot tell."""

    @property
    def corrected(self) -> bool:
        """True if anything is applied to the raw pixels."""
        return self.corrections is not None and not self.corrections.is_raw

    @cached_property
    def corrector(self) -> AnyCorrector | None:
        """Corrector for the run, with the constants as they are now; None for raw data.

        Of a detector with gain ranges raw data need one too: it takes the gain bits off.
        """
        if self.run.detector.gain_ranges is not None and self.run.source != "frames":
            return make_corrector(self.corrections or Corrections.none(), self.run)
        if not self.corrected:
            return None
        assert self.corrections is not None
        return make_corrector(self.corrections, self.run)

    @property
    def part_count(self) -> int:
        """Into how many parts the events are divided."""
        return 1 if self.halves is None else 2

    def events(self) -> Iterator[tuple[Event, int]]:
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

    def _divided(self, events: Iterator[Event]) -> Iterator[tuple[Event, int]]:
        if self.halves is None:
            yield from ((event, 0) for event in events)
        elif self.dealt is not None:
            yield from zip(events, self.dealt, strict=True)
        else:
            number = 0
            for event in events:
                yield event, self.halves.half_of(event, number)
                number += event.has_pixels

    @property
    def expected(self) -> int | None:
        """How many events will come, as far as that is known."""
        known = [self.run.event_count]
        if self.selection is not None:
            known += [self.selection.limit, len(self.selection.indices) or None]
        total = min((n for n in known if n is not None), default=None)
        return None if total is None else max(total - len(self.counted), 0)


Snapshot = Callable[[Collected], None]


class Runner(Protocol):
    """Collects the statistics of a run's events."""

    def collect(
        self,
        job: Job,
        progress: Progress | None = None,
        snapshot: Snapshot | None = None,
        snapshot_seconds: float = 3.0,
    ) -> Collected:
        """Go through the events of `job`."""
        ...

    def describe(self) -> str:
        """Name for provenance."""
        ...


@dataclass(frozen=True)
class Threads:
    """Threads of this process.

    Parameters
    ----------
    count : how many; default all cores of this process.
    """

    count: int | None = None

    def collect(
        self,
        job: Job,
        progress: Progress | None = None,
        snapshot: Snapshot | None = None,
        snapshot_seconds: float = 3.0,
    ) -> Collected:
        """Go through the events of `job`."""
        return collect(job, self.count, progress, snapshot, snapshot_seconds)

    def describe(self) -> str:
        """Name for provenance."""
        return f"{self.count or available_cores()} threads"


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

    The calling thread goes through the headers and reads a block of events while the others add
    the one before; who has nothing to add reads too. All threads share the pixels of a block and
    one set of accumulators, so the result does not depend on their number.

    Parameters
    ----------
    job : what to collect.
    threads : threads that work, the calling one among them; default one per core of this process.
        One reads and adds in turn.
    progress : told after each block; its `cancelled` stops the work, with a valid result.
    snapshot : called every `snapshot_seconds` with what there is so far.
    block_events : events added at once, default `BLOCK` (fewer if the run has frames).
    """
    from workbench.averages.accumulators import make_accumulator  # loads numba

    progress = progress or Silent()
    if threads is not None and threads < 1:
        raise WorkbenchError(f"{threads} threads cannot work; use at least 1.")
    helpers = (threads or available_cores()) - 1
    corrector = job.corrector
    frames = job.run.source == "frames"
    collected = Collected(
        absent_is_zero=not frames,
        steps=[] if corrector is None else corrector.describe(),
        warnings=() if corrector is None else tuple(corrector.warnings),
    )
    accumulators: list[AnyAccumulator | None] = [None] * job.part_count
    shape = job.run.detector.shape
    total = job.expected
    size = block_events or _block_size(job)
    # the next block is read while the one before is added by the helpers
    buffers = _Buffers(job, size, 2 if helpers else 1)
    shown = time.monotonic()
    with ThreadPoolExecutor(max(helpers, 1), thread_name_prefix="average") as pool:
        adding, reading = _Adding(pool, helpers), _Shared(pool, helpers)
        for parts, seen in _blocks(job, collected.counts, size, progress, buffers, reading):
            if any(parts):
                if frames:
                    adding.finish()  # frames of another type may follow
                work = []
                for number, events in enumerate(parts):
                    if events:
                        present = make_accumulator(events, shape, corrector, accumulators[number])
                        accumulators[number] = present
                        work.append(present.load(events))
                adding.begin(work)
            progress.update(seen, total, f"{collected.counts.used} used")
            if snapshot is not None and collected.counts.used:
                now = time.monotonic()
                if now - shown >= snapshot_seconds:
                    adding.finish()
                    snapshot(_finished(collected, accumulators, job, partial=True))
                    shown = time.monotonic()
            if progress.cancelled:
                collected.partial = True
                break
        adding.finish()
    return _finished(collected, accumulators, job, partial=collected.partial)


def _add(work: list[Pending]) -> None:
    for block in work:
        block.add()


def _load(pieces: Iterator[tuple[Event, memoryview]]) -> None:
    for event, memory in pieces:  # threads take turns: next() of it is atomic
        event.load(memory)


class _Shared:
    """Work whose pieces this thread and helping ones take in turn.

    Parameters
    ----------
    pool, helpers : of the other threads; 0 helpers leave all the work to this one.
    """

    def __init__(self, pool: ThreadPoolExecutor, helpers: int) -> None:
        self._pool, self._helpers = pool, helpers
        self._work: Callable[[], None] | None = None
        self._futures: list[Future[None]] = []

    def begin(self, work: Callable[[], None]) -> None:
        """Let the helpers call `work`, which returns when no piece of it is left."""
        self._work = work
        self._futures = [self._pool.submit(work) for _ in range(self._helpers)]

    def finish(self) -> None:
        """Help until it is done."""
        try:
            if self._work is not None:
                self._work()
        finally:
            for future in self._futures:
                if not future.cancel():  # it has begun
                    future.result()
            self._work, self._futures = None, []


class _Adding:
    """The blocks that are being added: by the helping threads, and by this one when it waits."""

    def __init__(self, pool: ThreadPoolExecutor, helpers: int) -> None:
        self._alone, self._shared = not helpers, _Shared(pool, helpers)
        self._current: list[Pending] = []

    def begin(self, work: list[Pending]) -> None:
        """Finish the blocks before, then let the helpers add these."""
        self.finish()
        self._current = work
        self._shared.begin(partial(_add, work))
        if self._alone:
            self.finish()

    def finish(self) -> None:
        """Help until the blocks are added; their memory may go then."""
        work, self._current = self._current, []
        self._shared.finish()
        for block in work:
            block.added()


def _block_size(job: Job) -> int:
    by_module = not isinstance(job.corrector, Corrector) or job.corrector.by_module
    if job.run.source == "frames" or not by_module:
        return min(max(FRAMES_BYTES // (8 * job.run.detector.pixels), 1), BLOCK)
    size = min(max(BLOCK_BYTES // (2 * job.run.detector.pixels), 1), BLOCK)
    return size - size % 4 if size > 4 else size  # the loops take four events at a time


class _Buffers:
    """Memory into which the pixels of events are read; that of a block is used again."""

    def __init__(self, job: Job, events: int, blocks: int) -> None:
        frames = job.run.source == "frames"  # are in memory already
        self._size = 0 if frames else 2 * job.run.detector.pixels + BESIDE_PIXELS_BYTES
        self._events, self._blocks = events, [np.empty(0, np.uint8)] * blocks
        self._block = 0

    def of_event(self, number: int) -> memoryview:
        """Memory for an event of the present block."""
        if not self._blocks[self._block].size:
            # only what is written to takes up memory
            self._blocks[self._block] = np.empty(self._events * self._size, np.uint8)
        start = number * self._size
        return memoryview(self._blocks[self._block])[start : start + self._size]

    def next_block(self) -> None:
        """Keep what was read until the block's turn comes again."""
        self._block = (self._block + 1) % len(self._blocks)


def _blocks(
    job: Job,
    counts: EventCounts,
    size: int,
    progress: Progress,
    buffers: _Buffers,
    reading: _Shared,
) -> Iterator[tuple[list[list[Event]], int]]:
    """Blocks of events with data, by part, and how many were gone through; counts the others.

    The last block is a short one, as is that during which the work is cancelled.
    """
    total, events = job.expected, job.events()
    seen, ended = 0, False
    while not ended:
        block: list[list[Event]] = [[] for _ in range(job.part_count)]
        for start in range(0, size, LOOK_EVERY):
            stop = min(start + LOOK_EVERY, size)
            group = list(islice(events, stop - start))
            # here `has_pixels` makes psana read, which knows no threads; of others it is known
            pieces = [
                (event, buffers.of_event(start + number))
                for number, (event, _) in enumerate(group)
                if event.has_pixels
            ]
            reading.begin(partial(_load, iter(pieces)))
            reading.finish()
            for event, part in group:
                if event.modules:
                    counts.add(event)
                    block[part].append(event)
                else:
                    counts.add_without_data(event)
            seen += len(group)
            ended = len(group) < stop - start
            if not ended and stop < size:
                progress.update(seen, total, f"{counts.used} used")
                ended = progress.cancelled
            if ended:
                break
        yield block, seen
        if any(block):  # else the block before may still be added
            buffers.next_block()


def _finished(
    collected: Collected, accumulators: list[AnyAccumulator | None], job: Job, partial: bool
) -> Collected:
    counts = collected.counts.merge(EventCounts(left_out=job.run.skipped.copy()))
    return Collected(
        tuple(None if sums is None else sums.statistics() for sums in accumulators),
        counts,
        partial,
        collected.absent_is_zero,
        collected.steps,
        collected.warnings,
        tuple(job.run.problems),
    )
