"""How many events a run has, without reading them."""

from __future__ import annotations

from itertools import islice

from workbench.runs.psdm import RunFiles
from workbench.runs.xtc.datagram import L1_ACCEPT, Truncated, XtcFile, read_datagrams
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
    count = 0
    for path in stream.paths:
        file = XtcFile(path, headers_only=True)
        try:
            for datagram in read_datagrams(file):
                count += datagram.service == L1_ACCEPT
                file.release(datagram.offset)
        except Truncated:
            continue
    return count


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
        file = XtcFile(stream.paths[0], headers_only=True)
        try:
            first = list(islice(read_datagrams(file), SAMPLE))
        except Truncated:
            first = []
        events = [datagram for datagram in first if datagram.is_event]
        if events:
            size = sum(event.end - event.offset for event in events) / len(events)
            total += (sum(sizes[path] for path in stream.paths) - events[0].offset) / size
    return round(total)
