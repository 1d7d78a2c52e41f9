"""LCLS-II runs (XTC2) read through psana itself, behind the protocol of a run.

psana (slac-lcls/lcls2, the extra ``psana``) is told not to load constants, so that it asks no
server, and to work in one process. It gives one file after the other as a stream of its own; of a
run in several files it builds the events from the experiment's folder with its ``smalldata``.

What is read here without psana are the headers of the datagrams alone, to count events and to
refuse what is no XTC2 file before psana's C code sees it. A datagram has a time (nanoseconds and
seconds), an environment word whose bits 24-27 are the transition, and an object with its extent
(lcls2 ``xtcdata/xtc/Dgram.hh``, ``TransitionId.hh``, ``Xtc.hh``).
"""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DEFAULT_ADDRESS, Detector, find
from workbench.errors import (
    DetectorNotFoundError,
    FileFormatError,
    NoEventsError,
    RunNotFoundError,
    WorkbenchError,
    first_line,
)
from workbench.files import only_regular
from workbench.provenance import describe_files
from workbench.recipe import Corrections, Events
from workbench.runs.protocols import Corrector, MakeCorrector, corrector_of
from workbench.runs.select import selected
from workbench.runs.xtc.decoders import ModulePixels

_INSTALL = "install it with pip install 'cspad-workbench[psana]' (it needs Debian's libkrb5-dev)"
_EPOCH_S = 631_152_000
"""Seconds from 1970 to 1990, where psana's times begin."""
_HEADER = Struct("<IIIIHHI")
_CONFIGURE, _EVENT = 2, 12
_XTC_BYTES = 12
_GAIN_BITS = 0b11100
"""Bits of an ePix10ka pixel's configuration that choose its gain: g, ga and the ASIC's trbit."""


class OfPsana(Protocol):
    """An event as psana gives it."""

    timestamp: int


class Pixels(Protocol):
    """Interface of psana to the pixels of a detector."""

    _uniqueid: str

    def raw(self, event: OfPsana, /) -> NDArray[np.uint16] | None: ...


class DetectorOfPsana(Protocol):
    """A detector as psana gives it."""

    raw: Pixels


class RunOfPsana(Protocol):
    """A run as psana gives it."""

    expt: str
    runnum: int
    detinfo: Mapping[tuple[str, str], object]
    workbench_source: object

    def events(self) -> Iterator[OfPsana]: ...
    def Detector(self, name: str, /) -> DetectorOfPsana: ...


class PsanaEvent:
    """One event of psana; see `workbench.runs.Event` for the attributes."""

    fiducials = 0
    encoder_mm: float | None = None
    distance_mm: float | None = None
    photon_energy_ev: float | None = None
    wavelength_angstrom: float | None = None
    event_codes: tuple[int, ...] = ()

    def __init__(
        self,
        index: int,
        timestamp: int,
        detector: Detector,
        read: Callable[[], NDArray[np.uint16] | None],
        corrector: Corrector | None,
    ) -> None:
        self.index = index
        self.seconds, self.nanoseconds = (timestamp >> 32) + _EPOCH_S, timestamp & 0xFFFFFFFF
        self._detector, self._read, self._corrector = detector, read, corrector

    @cached_property
    def _raw(self) -> tuple[NDArray[np.uint16] | None, str]:
        """Pixels, or why there are none."""
        try:
            pixels = self._read()
        except Exception as error:  # psana raises many kinds where modules are missing
            return None, f"psana cannot read it ({type(error).__name__})"
        if pixels is None:
            return None, "no data of the detector"
        if pixels.shape != self._detector.shape:
            shape = " × ".join(map(str, pixels.shape))
            return None, f"expected {self._detector.shape_text} pixels, found {shape}"
        return pixels, ""

    @property
    def key(self) -> tuple[int, int, int]:
        """What tells this event from all others: seconds, nanoseconds, 0."""
        return self.seconds, self.nanoseconds, 0

    @property
    def raw(self) -> NDArray[np.uint16] | None:
        """Raw values with gain bits, uint16 of the detector's shape; None if there are none."""
        return self._raw[0]

    @property
    def missing(self) -> str:
        """Why there are no pixels; empty if there are."""
        return self._raw[1]

    @property
    def has_pixels(self) -> bool:
        """True if data of the detector are there."""
        return self.raw is not None

    @property
    def modules(self) -> tuple[ModulePixels, ...]:
        """All modules; empty if there are no data."""
        raw = self.raw
        return () if raw is None else (ModulePixels(tuple(range(len(raw))), raw),)

    def load(self, buffer: memoryview) -> bool:
        """Read the pixels now, into memory of psana; False if there are none."""
        return self.has_pixels

    @cached_property
    def data(self) -> NDArray[np.float32] | None:
        """Corrected values, float32; None without pixels or if no corrections were asked for."""
        if self._corrector is None or self.raw is None:
            return None
        return self._corrector.apply(self.raw)

    def __repr__(self) -> str:
        return f"<Event {self.index}, {self.seconds}.{self.nanoseconds:09d} s>"


class PsanaRun:
    """An LCLS-II run; made by `open_psana`. See `workbench.runs.Run`.

    Attributes
    ----------
    name : of the detector in the run, e.g. ``jungfrau``.
    aliases : empty; psana knows the detectors by their names.
    unique_id : serial numbers of the detector, by which psana's database knows it.
    """

    source: Literal["XTC"] = "XTC"

    def __init__(
        self,
        files: Sequence[Path],
        address: str = DEFAULT_ADDRESS,
        calib_dir: str | os.PathLike[str] | None = None,
        make_corrector: MakeCorrector | None = None,
    ) -> None:
        self.files = tuple(files)
        self.calib_dir = None if calib_dir is None else Path(calib_dir)
        self.aliases: dict[str, str] = {}
        self.skipped: Counter[str] = Counter()
        self.problems: list[str] = []
        self._asked, self._make_corrector = address, make_corrector
        self._only: frozenset[int] | None = None
        self._counts = [count_events(path) for path in self.files]
        run = _run_of(self.files)
        self.experiment = run.expt
        self.number = run.runnum
        self.file_number = self.number
        self.name = _detector_name(run, address)
        self.detector = self._recognise(run)
        self.address = address if _is_device(address) else f"{self.name}.0:{self.detector.device}.0"
        raw = run.Detector(self.name).raw
        self.unique_id = str(raw._uniqueid)
        self.gain_code = _gain_code(raw, self.detector)

    def _recognise(self, run: RunOfPsana) -> Detector:
        """Detector whose shape the first event with its pixels has."""
        raw = run.Detector(self.name).raw
        for event in run.events():
            pixels = raw.raw(event)
            if pixels is not None:
                return find(pixels.shape)
        raise NoEventsError(f"{self.title} has no events with data of {self.name}.")

    @property
    def title(self) -> str:
        """Experiment and number, for people."""
        return f"{self.experiment} run {self.number}"

    @property
    def low_gain(self) -> NDArray[np.bool_]:
        """All False: the gain is in the raw values."""
        return np.zeros(self.detector.shape, dtype=bool)

    @property
    def event_count(self) -> int:
        """Number of events in the files; of a run in several files, in the largest part."""
        return len(self._only) if self._only is not None else max(self._counts)

    def events(
        self, corrections: Corrections | None = None, selection: Events | None = None
    ) -> Iterator[PsanaEvent]:
        """Events in psana's order; see `workbench.runs.Run.events`.

        Raises
        ------
        WorkbenchError
            If corrections are asked for but the run was opened without the means to make them.
        """
        corrector = corrector_of(self, corrections, self._make_corrector)
        self.skipped, self.problems = Counter(), []
        return selected(self._events(corrector), selection, self.skipped)

    def _events(self, corrector: Corrector | None) -> Iterator[PsanaEvent]:
        run = _run_of(self.files)
        raw, lock = run.Detector(self.name).raw, Lock()

        def reader(event: OfPsana) -> Callable[[], NDArray[np.uint16] | None]:
            def read() -> NDArray[np.uint16] | None:
                with lock:  # psana puts the modules together in memory of its own
                    return raw.raw(event)

            return read

        events = run.events()
        if len(self.files) == 1:  # at the end of the file psana waits for more
            events = islice(events, self._counts[0])
        for index, event in enumerate(events):
            if self._only is None or index in self._only:
                yield PsanaEvent(index, event.timestamp, self.detector, reader(event), corrector)

    def subset(self, events: Sequence[PsanaEvent]) -> PsanaRun:
        """Only these events, for another process that sees the same files."""
        subset = copy.copy(self)
        subset._only = frozenset(event.index for event in events)
        return subset

    def describe(self) -> dict[str, Any]:
        """What was read, for provenance: names, files with sizes and times."""
        return {
            "experiment": self.experiment,
            "run": self.number,
            "address": self.address,
            "detector": self.name,
            "read by": f"psana {version('psana')}",
            "calib_dir": None if self.calib_dir is None else str(self.calib_dir),
            "files": describe_files(self.files),
        }

    def __repr__(self) -> str:
        return f"<Run {self.title}, {self.name}, {len(self.files)} XTC2 files>"


def open_psana(
    files: Sequence[str | os.PathLike[str]],
    address: str = DEFAULT_ADDRESS,
    calib_dir: str | os.PathLike[str] | None = None,
    make_corrector: MakeCorrector | None = None,
) -> PsanaRun:
    """Open the XTC2 files of one LCLS-II run.

    Parameters
    ----------
    files : of one run. Several are found again by psana through their folder, which must have
        ``smalldata`` in it.
    address : name of the detector in the run, e.g. ``jungfrau``; the default takes the only one.
    calib_dir : calibration directory, for corrections.
    make_corrector : see `open_run`.

    Raises
    ------
    WorkbenchError
        If psana is not installed.
    FileFormatError
        If a file is no XTC2 file.
    DetectorNotFoundError
        If the run holds no such detector, or none that is known; the message lists what it holds.
    NoEventsError
        If there are no events with pixels.
    """
    if not files:
        raise NoEventsError("No files were given; name at least one XTC2 file.")
    return PsanaRun([Path(file) for file in files], address, calib_dir, make_corrector)


def find_files(folder: Path, run: int) -> list[Path]:
    """XTC2 files of a run in a folder, by stream and chunk."""
    pattern = re.compile(rf".+-r0*{run}-s(\d+)-c(\d+)\.xtc2", re.ASCII)
    files = []
    for path in folder.glob("*.xtc2"):
        match = pattern.fullmatch(path.name)
        if match:
            files.append((int(match[1]), int(match[2]), path))
    return [path for _, _, path in sorted(files)]


def count_events(path: Path) -> int:
    """Number of events in an XTC2 file, from the headers of its datagrams.

    A file that ends within a datagram is still being written, or was cut: its last event does not
    count.

    Raises
    ------
    FileFormatError
        If it cannot be read or is no XTC2 file.
    """
    events = 0
    try:
        with open(path, "rb", opener=only_regular) as file:
            size, place = os.fstat(file.fileno()).st_size, 0
            while place + _HEADER.size <= size:
                file.seek(place)
                _, _, environment, _, _, _, extent = _HEADER.unpack(file.read(_HEADER.size))
                transition = environment >> 24 & 0xF
                if (place == 0 and transition != _CONFIGURE) or extent < _XTC_BYTES:
                    problem = "expected an XTC2 file, which begins with a configuration"
                    if place:
                        problem = "expected the header of a datagram"
                    raise FileFormatError(path, f"{problem}, found other bytes.", offset=place)
                place += _HEADER.size - _XTC_BYTES + extent
                events += transition == _EVENT and place <= size
            if place == 0:
                raise FileFormatError(path, "expected an XTC2 file, found no datagram.")
    except OSError as error:
        raise FileFormatError(path, f"cannot be read ({error.strerror}).") from error
    return events


def _run_of(files: Sequence[Path]) -> RunOfPsana:
    """The run as psana gives it."""
    os.environ.setdefault("PS_PARALLEL", "none")
    try:
        from psana import DataSource
    except (ImportError, RuntimeError) as error:  # mpi4py without a library is a RuntimeError
        raise WorkbenchError(
            f"XTC2 files are read by psana, which cannot be loaded ({first_line(error)}); "
            f"{_INSTALL}."
        ) from error
    if len(files) == 1:
        source = DataSource(files=[os.fspath(files[0])], skip_calib_load="all")
    else:
        match = re.fullmatch(r"(.+)-r0*(\d+)-s\d+-c\d+\.xtc2", files[0].name, re.ASCII)
        folder = files[0].parent
        if match is None or not (folder / "smalldata").is_dir():
            raise RunNotFoundError(
                f"{files[0]}: a run in several files is read by psana through its folder, which "
                "needs the folder smalldata and files named EXPERIMENT-rRUN-sSTREAM-cCHUNK.xtc2."
            )
        source = DataSource(
            exp=match[1], run=int(match[2]), dir=os.fspath(folder), skip_calib_load="all"
        )
    run: RunOfPsana | None = next(iter(source.runs()), None)
    if run is None:
        raise NoEventsError(f"{files[0]} holds no run.")
    run.workbench_source = source  # psana closes the files with it
    return run


def _is_device(address: str) -> bool:
    return ":" in address and address != DEFAULT_ADDRESS


def _detector_name(run: RunOfPsana, address: str) -> str:
    """Name in the run of the detector asked for, or of the only one with pixels."""
    cameras = sorted({name for name, kind in run.detinfo if kind == "raw"})
    asked = address.partition(".")[0] if _is_device(address) else address
    if asked in cameras:
        return asked
    if (address == DEFAULT_ADDRESS or _is_device(address)) and len(cameras) == 1:
        return cameras[0]
    listed = f"there are: {', '.join(cameras)}" if cameras else "it has no detector with pixels"
    name = f"{run.expt} run {run.runnum}"
    if address == DEFAULT_ADDRESS:
        raise DetectorNotFoundError(f"Name one of the detectors of {name}; {listed}.")
    raise DetectorNotFoundError(f"{address} is not in {name}; {listed}.")


def _gain_code(raw: Pixels, detector: Detector) -> NDArray[np.uint8] | None:
    """Gain code of each pixel: g + 2 ga + 4 trbit of an ePix10ka, 0 where none is configured."""
    if detector.gain_ranges is None:
        return None
    bits = getattr(raw, "_cbits_config_detector", lambda: None)()
    if bits is None:
        return np.zeros(detector.shape, np.uint8)
    return np.asarray((bits & _GAIN_BITS) >> 2, np.uint8).reshape(detector.shape)
