"""Streams and chunks of a run merged into events in time order, by psana's rules.

Within a stream small disorder is repaired; between streams the next datagram is the one that is
earliest by calibration cycle and fiducial; only control streams (number 80 and above) join the
event of a DAQ stream. Rules read in ``XtcInput/XtcStreamDgIter``, ``XtcStreamMerger`` and
``PSXtcInput/XtcInputModuleBase``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from workbench.errors import FileFormatError
from workbench.runs.xtc.datagram import (
    DROPPED_CONTRIBUTION,
    IN_PROGRESS,
    MAX_FIDUCIALS,
    Datagram,
    Transition,
    Truncated,
    Unreadable,
    XtcFile,
    read_datagrams,
)

FIRST_CONTROL_STREAM = 80
DAQ_READ_AHEAD, CONTROL_READ_AHEAD = 20, 40
MAX_CLOCK_DIFFERENCE = 85
"""Seconds by which the clocks of a control and a DAQ stream may differ for one event."""
MAX_PROBLEMS = 100


@dataclass
class Journal:
    """What went wrong while reading, kept small."""

    skipped: Counter[str] = field(default_factory=Counter)
    """Datagrams that did not become events, by reason."""
    problems: list[str] = field(default_factory=list)
    """The first `MAX_PROBLEMS` sentences for people."""

    def note(self, problem: str) -> None:
        """Add a sentence."""
        if len(self.problems) < MAX_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)


@dataclass(frozen=True)
class Stream:
    """Number and files of one stream, in the order of their chunks."""

    number: int
    paths: tuple[Path, ...]

    @property
    def is_control(self) -> bool:
        """True for streams recorded apart from the DAQ, with their own clock."""
        return self.number >= FIRST_CONTROL_STREAM


class Item:
    """A datagram with its place in the order of the run."""

    __slots__ = ("block", "control", "datagram", "stream")

    def __init__(self, datagram: Datagram, block: int, stream: Stream) -> None:
        self.datagram = datagram
        self.block = block
        self.stream = stream.number
        self.control = stream.is_control


Watch = Callable[[Stream, Datagram], None]


def read_stream(stream: Stream, journal: Journal, watch: Watch | None = None) -> Iterator[Datagram]:
    """Datagrams of one stream in repaired order.

    L1Accepts are sorted by clock within a short queue, never past a transition; the pieces of a
    split event are put side by side, the later piece first. Of two L1Accepts of a control
    stream with the same clock the first is kept. `watch` sees every datagram in file order.
    """
    size = CONTROL_READ_AHEAD if stream.is_control else DAQ_READ_AHEAD
    queue: list[Datagram] = []
    for datagram in _read_chunks(stream, journal):
        if watch is not None:
            watch(stream, datagram)
        _enqueue(queue, datagram, stream, journal)
        if len(queue) >= size:
            yield queue.pop(0)
    yield from queue


def _read_chunks(stream: Stream, journal: Journal) -> Iterator[Datagram]:
    for path in stream.paths:
        first = True
        try:
            for datagram in read_datagrams(XtcFile(path)):
                first = False
                yield datagram
        except Truncated as error:
            journal.skipped["truncated"] += 1
            journal.note(str(error))
        except Unreadable as error:
            journal.skipped["unreadable"] += 1
            journal.note(f"{error} What comes after it in this file is left out.")
        except FileFormatError as error:
            if first and path.suffix != IN_PROGRESS:
                raise
            if not first:
                journal.skipped["damaged file"] += 1
            journal.note(str(error))


def _enqueue(queue: list[Datagram], new: Datagram, stream: Stream, journal: Journal) -> None:
    if new.damage & DROPPED_CONTRIBUTION:
        for place, other in enumerate(queue):
            if other.clock == new.clock:
                queue.insert(place, new)
                return
    place = len(queue)
    if new.is_event:
        while place and queue[place - 1].is_event and new.clock < queue[place - 1].clock:
            place -= 1
        previous = queue[place - 1] if place else None
        if previous is not None and previous.is_event and previous.clock == new.clock:
            journal.note(
                f"{new.file.path}, byte {new.offset}: a second event with the time "
                f"{new.seconds}.{new.nanoseconds:09d}."
            )
            if stream.is_control:
                journal.skipped["duplicate in control stream"] += 1
                return
            # psana puts it behind its equal
    queue.insert(place, new)


def merge_streams(
    streams: Sequence[Stream], journal: Journal, watch: Watch | None = None
) -> Iterator[list[Item]]:
    """Groups of datagrams that belong together: one event or one transition each.

    Enable and Disable are left out, and L1Accepts without a valid fiducial. Items of a group
    are ordered by stream number: DAQ first.
    """
    by_stream = attrgetter("stream")
    group: list[Item] = []
    for item in _in_order(streams, journal, watch):
        if group and _belongs(group, item):
            group.append(item)
            continue
        if group:
            yield sorted(group, key=by_stream)
        group = [item]
    if group:
        yield sorted(group, key=by_stream)


def _in_order(streams: Sequence[Stream], journal: Journal, watch: Watch | None) -> Iterator[Item]:
    sources = [_numbered(stream, journal, watch) for stream in streams]
    heads = [next(source, None) for source in sources]
    while True:
        first, item = -1, None
        for number, head in enumerate(heads):
            if head is not None and (item is None or _before(head, item)):
                first, item = number, head
        if item is None:
            return
        yield item
        heads[first] = next(sources[first], None)


def _numbered(stream: Stream, journal: Journal, watch: Watch | None) -> Iterator[Item]:
    block, previous = 0, -1
    for datagram in read_stream(stream, journal, watch):
        service = datagram.service
        if service == Transition.END_CALIB_CYCLE and previous != service:
            block += 1
        previous = service
        if service in (Transition.ENABLE, Transition.DISABLE):
            continue
        if datagram.is_event and datagram.fiducials >= MAX_FIDUCIALS:
            journal.skipped["invalid fiducial"] += 1
            continue
        yield Item(datagram, block, stream)


def _before(a: Item, b: Item) -> bool:
    """Whether `a` comes before `b` (both heads of their streams)."""
    if a.block != b.block:
        return a.block < b.block
    here, there = a.datagram, b.datagram
    if here.is_event != there.is_event:
        return there.is_event
    if here.is_event:
        seconds = here.seconds - there.seconds
        if abs(seconds) >= MAX_CLOCK_DIFFERENCE:
            return seconds < 0
        ahead = (here.fiducials - there.fiducials) % MAX_FIDUCIALS
        if ahead:
            return ahead > MAX_FIDUCIALS // 2
    elif here.clock != there.clock:
        return here.clock < there.clock
    return a.stream < b.stream


def _belongs(group: list[Item], item: Item) -> bool:
    last, new = group[-1].datagram, item.datagram
    if last.is_event != new.is_event:
        return False
    if not new.is_event:
        return last.service == new.service and last.clock == new.clock
    return (
        (item.control or any(other.control for other in group))
        and last.fiducials == new.fiducials
        and abs(last.seconds - new.seconds) < MAX_CLOCK_DIFFERENCE
    )
