"""Some events of a run, sent elsewhere to be read there without the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import FileFormatError, WorkbenchError
from workbench.recipe import Corrections, Events
from workbench.runs.event import Event
from workbench.runs.xtc.cspad import Config
from workbench.runs.xtc.events import Record


class EventSubset:
    """Events that were found before: where they lie in which files, and what the run told there.

    It pickles to some hundred bytes per event; whoever gets it sees the same files.

    Attributes
    ----------
    experiment, number, address, calib_dir, shape, low_gain : of the run.
    skipped, problems : as of a run; nothing is skipped here.
    """

    def __init__(self, run: Any, records: Sequence[Record]) -> None:
        self.experiment: str = run.experiment
        self.number: int = run.number
        self.address: str = run.address
        self.calib_dir = run.calib_dir
        self.shape: tuple[int, int, int] = run.shape
        self._config: Config = run.config
        # each configuration is sent once
        known = {id(run.config): run.config}
        for config in (record.config for record in records if record.config is not None):
            if id(config) not in known:
                same = config.same_as(run.config)
                known[id(config)] = run.config if same else config
        self._records = tuple(
            record if record.config is None else replace(record, config=known[id(record.config)])
            for record in records
        )
        self.skipped: Counter[str] = Counter()
        self.problems: list[str] = []

    @property
    def low_gain(self) -> NDArray[np.bool_]:
        """True where a pixel is in low gain: bool array of `shape`."""
        low: NDArray[np.bool_] = self._config.low_gain
        return low

    @property
    def event_count(self) -> int:
        """Number of events."""
        return len(self._records)

    def events(
        self, corrections: Corrections | None = None, selection: Events | None = None
    ) -> Iterator[Event]:
        """Give the events in their order.

        Raises
        ------
        WorkbenchError
            If corrections or a selection are asked for: a part is what was selected.
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
            yield Event(record, self.shape, None, self.problems.append)
            datagram.file.release(datagram.offset)
