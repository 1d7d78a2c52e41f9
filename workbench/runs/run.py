"""A run and its events."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DEFAULT_ADDRESS
from workbench.errors import DetectorNotFoundError, NoEventsError, RunNotFoundError, first_few
from workbench.recipe import Corrections, Events
from workbench.runs.counting import estimate_events
from workbench.runs.event import XtcEvent
from workbench.runs.protocols import MakeCorrector, corrector_of
from workbench.runs.psana_run import PsanaRun, find_files, open_psana
from workbench.runs.psdm import ExperimentPlace, PathLike, RunFiles, find_experiment
from workbench.runs.select import selected
from workbench.runs.subset import EventSubset
from workbench.runs.xtc.decoders import DETECTOR_TYPES
from workbench.runs.xtc.events import EventReader
from workbench.runs.xtc.sources import address_of, phy_of
from workbench.runs.xtc.streams import Journal

LOOK_AHEAD = 240
"""Events searched for a detector that the configuration does not name (2 s of beam)."""


class XtcRun:
    """A run read from XTC files; made by `open_run`. See `workbench.runs.Run`.

    Attributes
    ----------
    experiment, number, address : what was opened. The number is that recorded in the data
        (BeginRun), as in psana; it is the one calibration constants are looked up with.
    files : the run's files.
    calib_dir : calibration directory, or None if it is not known.
    detector : what took its events.
    aliases : addresses by the names the run gives them.
    skipped : datagrams that did not become events, by reason; filled while iterating.
    problems : sentences about what was wrong in the files; filled while iterating.
    """

    source: Literal["XTC"] = "XTC"

    def __init__(
        self,
        place: ExperimentPlace,
        files: RunFiles,
        address: str,
        make_corrector: MakeCorrector | None = None,
    ) -> None:
        self.experiment = place.name
        self.instrument = place.instrument
        self.calib_dir = place.calib_dir
        self.files: tuple[Path, ...] = tuple(file.path for file in files.files)
        self.file_number = files.number
        self._place, self._run_files, self._asked = place, files, address
        self._make_corrector = make_corrector
        self._streams = files.streams
        self._phy, reader = _find_detector(place.name, files, address)
        config = reader.config
        assert config is not None
        self.address = address_of(self._phy)
        self.aliases = {name: address_of(phy) for name, phy in reader.aliases.items()}
        self.number: int = reader.run_number or files.number
        self.detector = config.detector
        self.config = config
        self._described = files.describe()
        self.skipped: Counter[str] = Counter()
        self.problems: list[str] = []

    @property
    def low_gain(self) -> NDArray[np.bool_]:
        """True where the configuration sets low gain: bool array of the detector's shape."""
        return self.config.low_gain

    @property
    def gain_code(self) -> NDArray[np.uint8] | None:
        """How each pixel is configured, for a detector with gain ranges; else None."""
        return self.config.gain_code

    @cached_property
    def event_count(self) -> int:
        """About how many events there are; exact for short runs (see `estimate_events`)."""
        return estimate_events(self._run_files)

    @property
    def title(self) -> str:
        """Experiment and number, for people."""
        return f"{self.experiment} run {self.number}"

    def events(
        self, corrections: Corrections | None = None, selection: Events | None = None
    ) -> Iterator[XtcEvent]:
        """Events in time order.

        Parameters
        ----------
        corrections : applied to give ``event.data``; None leaves ``data`` None.
        selection : which events; None means all.

        Raises
        ------
        WorkbenchError
            If corrections are asked for but the run was opened without the means to make them.
        FileFormatError
            If a file is not an XTC file at all. Damage later in a file ends that file and is
            told in `skipped` and `problems`.
        """
        corrector = corrector_of(self, corrections, self._make_corrector)
        journal = Journal()
        self.skipped, self.problems = journal.skipped, journal.problems
        reader = EventReader(self._streams, self._phy, journal)
        events = (XtcEvent(record, self.detector, corrector, journal.note) for record in reader)
        return selected(events, selection, journal.skipped)

    def subset(self, events: Sequence[XtcEvent]) -> EventSubset:
        """Some of the run's events as a small thing that can be sent to another process."""
        return EventSubset(self, [event.record for event in events])

    def describe(self) -> dict[str, Any]:
        """What was read, for provenance: names, files with sizes and times."""
        return {
            "experiment": self.experiment,
            "run": self.number,
            "address": self.address,
            "configuration": f"{self.config.name}V{self.config.version}",
            "low_gain_pixels": int(np.count_nonzero(self.low_gain)),
            "calib_dir": None if self.calib_dir is None else str(self.calib_dir),
            "files": self._described,
        }

    def __repr__(self) -> str:
        return f"<Run {self.experiment} {self.number}, {self.address}, {len(self.files)} files>"

    def __reduce__(self) -> tuple[Any, ...]:
        return XtcRun, (self._place, self._run_files, self._asked, self._make_corrector)


def open_run(
    experiment: str,
    run: int,
    address: str = DEFAULT_ADDRESS,
    psdm_dir: PathLike | None = None,
    xtc_dir: PathLike | None = None,
    calib_dir: PathLike | None = None,
    make_corrector: MakeCorrector | None = None,
) -> XtcRun | PsanaRun:
    """Open a run: its XTC files, or of LCLS-II its XTC2 files, which psana reads.

    Parameters
    ----------
    experiment : e.g. ``cxim1416``.
    run : number of the run.
    address : detector, e.g. ``CxiDs1.0:Cspad.0``, or its alias in the run, e.g. ``DscCsPad``; of
        LCLS-II its name, e.g. ``jungfrau``, where there are several.
    psdm_dir : root of the data tree (default ``$SIT_PSDM_DATA``, else ``/reg/d/psdm``).
    xtc_dir : folder of the ``.xtc`` or ``.xtc2`` files, instead of the tree's.
    calib_dir : calibration directory, instead of the tree's.
    make_corrector : makes what ``events(corrections=…)`` applies; `workbench.open_run` gives it.

    Raises
    ------
    RunNotFoundError
        If experiment, folder or run is not there; the message lists what is.
    DetectorNotFoundError
        If the run holds no such detector, or it is of a kind that cannot be read; the message lists
        the detectors it holds.
    NoEventsError
        If the run has no events.
    FileFormatError
        If a file is not an XTC file.
    WorkbenchError
        If psana is needed and not installed.
    """
    place = find_experiment(
        experiment, os.fspath(psdm_dir) if psdm_dir else None, xtc_dir, calib_dir
    )
    try:
        files = place.run(run)
    except RunNotFoundError:
        of_lcls2 = find_files(place.xtc_dir, run)
        if not of_lcls2:
            raise
        return open_psana(of_lcls2, address, place.calib_dir, make_corrector)
    return XtcRun(place, files, address, make_corrector)


def _find_detector(experiment: str, files: RunFiles, address: str) -> tuple[int, EventReader]:
    """Read up to the first events; give the detector's number and the reader's state."""
    journal = Journal()
    phy = phy_of(address)
    reader, any_events = _begin(files, phy, journal)
    if phy is None:
        aliases = {name.lower(): number for name, number in reader.aliases.items()}
        phy = aliases.get(address.strip().lower())
        if phy is not None:
            reader, any_events = _begin(files, phy, journal)
    name = f"{experiment} run {files.number}"
    if not any_events:
        why = "; ".join(journal.problems[:1]) or f"{len(files.files)} files, {files.size} bytes"
        raise NoEventsError(f"{name} has no events ({why}).")
    if phy is not None and reader.config is not None:
        return phy, reader
    listed = _listed(reader.detectors)
    types = reader.detectors.get(phy) if phy is not None else None
    if types is None:
        raise DetectorNotFoundError(f"{address} is not in {name}; {listed}.")
    if types & DETECTOR_TYPES:
        why = "".join(journal.problems[:1]) or "is the first chunk (c00) missing?"
        raise DetectorNotFoundError(
            f"{name} holds data of {address} but no configuration to decode them; {why}"
        )
    raise DetectorNotFoundError(
        f"{address} in {name} is not a detector that can be read here; {listed}."
    )


def _listed(detectors: dict[int, set[int]]) -> str:
    """What to choose from: the detectors that can be read, or else whatever is there."""
    readable = [phy for phy, types in detectors.items() if types & DETECTOR_TYPES]
    shown = first_few([address_of(phy) for phy in sorted(readable or detectors)], 20)
    if readable:
        return f"there are: {shown}"
    return f"none that can is there, only: {shown}" if shown else "no detectors are there"


def _begin(files: RunFiles, phy: int | None, journal: Journal) -> tuple[EventReader, bool]:
    """Read until the detector's configuration is known; give the state, and if events came."""
    reader = EventReader(files.streams, phy, journal)
    any_events = False
    for record in reader:
        any_events = True
        if reader.config is not None or record.index >= LOOK_AHEAD:
            break
    return reader, any_events
