"""Some events of a run, sent elsewhere to be read there without the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import Detector
from workbench.errors import FileFormatError, WorkbenchError
from workbench.recipe import Corrections, Events
from workbench.runs.event import XtcEvent
from workbench.runs.protocols import EventSource
from workbench.runs.xtc.decoders import Configuration
from workbench.runs.xtc.events import Record


class _ConfiguredSource(EventSource, Protocol):
    @property
    def config(self) -> Configuration: ...


class EventSubset:
    """Events found before: where they lie in which files, and what the run told there.

    It pickles to some hundred bytes per event; whoever gets it sees the same files. See
    `workbench.runs.EventSource` for the attributes; nothing is skipped here.
    """

    source: Literal["XTC"] = "XTC"

    def __init__(self, run: _ConfiguredSource, records: Sequence[Record]) -> None:
        self.experiment: str = run.experiment
        self.number: int = run.number
        self.address: str = run.address
        self.calib_dir: Path | None = run.calib_dir
        self.detector: Detector = run.detector
        self.config: Configuration = run.config
        # each configuration is sent once
        known = {id(run.config): run.config}
        for config in (record.config for record in records if record.config is not None):
            if id(config) not in known:
                known[id(config)] = run.config if config.same_as(run.config) else config
        self._records = tuple(
            record if record.config is None else replace(record, config=known[id(record.config)])
            for record in records
        )
        self.skipped: Counter[str] = Counter()
        self.problems: list[str] = []

    @property
    def low_gain(self) -> NDArray[np.bool_]:
        """True where a pixel is in low gain: bool array of the detector's shape."""
        return self.config.low_gain

    @property
    def gain_code(self) -> NDArray[np.uint8] | None:
        """How each pixel is configured, for a detector with gain ranges; else None."""
        return self.config.gain_code

    @property
    def event_count(self) -> int:
        """Number of events."""
        return len(self._records)

    def events(
        self, corrections: Corrections | None = None, selection: Events | None = None
    ) -> Iterator[XtcEvent]:
        """Give the events in their order.

        Raises
        ------
        WorkbenchError
            If corrections or a selection are asked for: a subset is what was selected.
        FileFormatError
            If a file is shorter here than where the run was divided.
        """
        if corrections is not None or selection is not None:
            raise WorkbenchError("A subset of a run gives all its events, as they are.")
        for record in self._records:
            datagram = record.datagram
            if datagram.end > datagram.file.size:
                raise FileFormatError(
                    datagram.file.path,
                    f"expected an event up to byte {datagram.end}, the file has "
                    f"{datagram.file.size} here.",
                    offset=datagram.offset,
                    hint="Is it the same file as where the run was divided?",
                )
            yield XtcEvent(record, self.detector, None, self.problems.append)

    def subset(self, events: Sequence[XtcEvent]) -> EventSubset:
        """Fewer of the events."""
        return EventSubset(self, [event.record for event in events])
