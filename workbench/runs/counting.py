"""How many events a run has, without reading them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from workbench.errors import FileFormatError
from workbench.runs.psdm import RunFiles
from workbench.runs.xtc.datagram import (
    IN_PROGRESS,
    L1_ACCEPT,
    Datagram,
    Truncated,
    Unreadable,
    XtcFile,
    read_datagrams,
)
from workbench.runs.xtc.streams import Stream

EXACT_UP_TO = 4 << 30
"""Bytes of a run up to which its events are counted rather than estimated."""
SAMPLE = 64


def count_events(files: RunFiles) -> int:
    """L1Accepts in the DAQ streams of a run (of a run without any: in the control streams).

    Only the headers of datagrams are read. What psana would leave out (trimmed or empty
    events) is counted too; `inspect_run` tells it apart.
    """
    daq = [stream for stream in files.streams if not stream.is_control]
    return sum(_l1_accepts(stream) for stream in daq or files.streams)


def _l1_accepts(stream: Stream) -> int:
    datagrams = (datagram for path in stream.paths for datagram in _datagrams(path))
    return sum(datagram.service == L1_ACCEPT for datagram in datagrams)


def _datagrams(path: Path) -> Iterator[Datagram]:
    """Datagrams up to where a file breaks off; of one in progress that is no XTC file none."""
    try:
        yield from read_datagrams(XtcFile(path))
    except (Truncated, Unreadable):
        return
    except FileFormatError:
        if path.suffix != IN_PROGRESS:
            raise


def estimate_events(files: RunFiles) -> int:
    """About as many events as `count_events` finds, without a pass over a long run.

    Runs of more than `EXACT_UP_TO` bytes are estimated from their size and that of the first
    events of each stream.
    """
    if files.size <= EXACT_UP_TO:
        return count_events(files)
    sizes = {file.path: file.size for file in files.files}
    daq = [stream for stream in files.streams if not stream.is_control]
    total = 0.0
    for stream in daq or files.streams:
        first = list(islice(_datagrams(stream.paths[0]), SAMPLE))
        events = [datagram for datagram in first if datagram.is_event]
        if events:
            size = sum(event.end - event.offset for event in events) / len(events)
            total += (sum(sizes[path] for path in stream.paths) - events[0].offset) / size
    return round(total)
