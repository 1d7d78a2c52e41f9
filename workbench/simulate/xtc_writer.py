"""Writing a run as LCLS-I XTC files: streams and chunks as the DAQ's recorders leave them.

Every stream begins with Configure and repeats all transitions; events go to the streams in turn.
A later chunk begins with Enable and has no Configure. While a file is being written its name ends
in ``.inprogress``, as at LCLS.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DEFAULT_ADDRESS
from workbench.errors import WorkbenchError
from workbench.simulate import xtc_format
from workbench.simulate.xtc_format import FIDUCIALS, Kind, Transition

IN_PROGRESS = ".inprogress"
ENCODER = "CXI:DS1:MMS:06.RBV"
RATE_HZ = 120
NANOSECONDS_PER_FIDUCIAL = 1_000_000_000 / 360
EPICS = xtc_format.source("EpicsArch.0:NoDevice.0", 0x1F4A)
EVR = xtc_format.source("NoDetector.0:Evr.0", 0x1B2C)


class Payloads(Protocol):
    """Objects of a detector: type with version, and payload."""

    def config(self) -> tuple[Kind, bytes]:
        """Configuration of the run."""
        ...

    def element(
        self, pixels: NDArray[Any], number: int, fiducials: int, ticks: int
    ) -> tuple[Kind, list[bytes]]:
        """Data of event `number`, in parts."""
        ...


@dataclass(frozen=True)
class CspadPayloads:
    """Objects of a CSPAD; `low_gain` is bool ``(32, 185, 388)``, or None for high gain."""

    low_gain: NDArray[np.bool_] | None = None

    def config(self) -> tuple[Kind, bytes]:
        """CsPad::ConfigV5."""
        return Kind.CSPAD_CONFIG, xtc_format.cspad_config(self.low_gain)

    def element(
        self, pixels: NDArray[Any], number: int, fiducials: int, ticks: int
    ) -> tuple[Kind, list[bytes]]:
        """CsPad::DataV2; the quadrants arrive in the order in which their links answer."""
        order = tuple((number + lane) % 4 for lane in range(4))
        return Kind.CSPAD_ELEMENT, xtc_format.cspad_elements(
            pixels, fiducials=fiducials, sequence=number + 1, order=order, ticks=ticks
        )


class RunWriter:
    """Write one run; use as a context manager.

    Leaving it normally ends the run and gives the files their final names; leaving it by an error
    removes what was written.

    Parameters
    ----------
    folder : where the files go; it must exist.
    run : run number, 1 … 9999.
    start_s : time of the first transition, seconds since 1970.
    low_gain : bool ``(32, 185, 388)`` for the gain map of the configuration, or None.
    address : of the detector.
    prefix : beginning of the names, ``e<experiment id>`` or the experiment's name.
    streams : how many recorders share the events.
    events_per_chunk : of one stream, after which a new chunk is opened; None: never.
    encoder_mm : position of the detector, recorded with EPICS; None: not recorded.
    alias : second name of the detector, or None.
    first_fiducial : of the first event.
    payloads : how the detector's objects look; None: those of a CSPAD with `low_gain`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        run: int,
        *,
        start_s: int,
        low_gain: NDArray[np.bool_] | None = None,
        address: str = DEFAULT_ADDRESS,
        prefix: str = "e780",
        streams: int = 2,
        events_per_chunk: int | None = None,
        encoder_mm: float | None = None,
        alias: str | None = None,
        first_fiducial: int = 3003,
        payloads: Payloads | None = None,
    ) -> None:
        if not 0 < run < 10000:
            raise WorkbenchError(f"Run number is {run}; it must be 1 … 9999.")
        self.run = run
        self._folder = Path(folder)
        self._prefix = prefix
        self._source = xtc_format.source(address)
        self._per_chunk = events_per_chunk
        self._start = start_s * 1_000_000_000
        self._first_fiducial = first_fiducial
        self._encoder = encoder_mm
        self._written = 0
        self._first_event_ns = self._start + 1_500_000_000
        self._streams = [_Stream(number) for number in range(streams)]
        self._paths: list[Path] = []
        self._payloads = payloads or CspadPayloads(low_gain)
        configure = self._configure(alias)
        for stream in self._streams:
            self._open_chunk(stream)
            self._transition(stream, Transition.CONFIGURE, 0, content=configure)
            self._transition(stream, Transition.BEGIN_RUN, 400, env=run)
            self._transition(stream, Transition.BEGIN_CALIB_CYCLE, 800)
            self._transition(stream, Transition.ENABLE, 1200)

    @property
    def paths(self) -> list[Path]:
        """Files of the run under their final names."""
        return list(self._paths)

    def event(
        self,
        pixels: NDArray[np.int16] | NDArray[np.uint16] | None,
        *,
        codes: Sequence[int] = (40,),
        photon_energy_ev: float | None = None,
        encoder_mm: float | None = None,
    ) -> None:
        """Write one event to the stream whose turn it is.

        Parameters
        ----------
        pixels : raw pixels of the detector, or None for an event without it.
        codes : event codes.
        photon_energy_ev : recorded by EBeam; None leaves EBeam out, as without beam.
        encoder_mm : new EPICS reading that comes with the event, if any.
        """
        number = self._written
        stream = self._streams[number % len(self._streams)]
        nanoseconds, fiducials = self.time_of(number)
        clock = divmod(nanoseconds, 1_000_000_000)
        ticks = 0x4D50 + 7 * (number % 1000)
        if self._per_chunk and stream.events and stream.events % self._per_chunk == 0:
            self._close_chunk(stream)
            self._open_chunk(stream)
            # a chunk opens at an Enable, a little before its first event
            before = nanoseconds - 2_000_000
            self._write(
                stream,
                Transition.ENABLE,
                before,
                xtc_format.xtc(Kind.CONTAINER, self._root(stream)),
            )
        parts = []
        if codes:
            parts.append(
                xtc_format.xtc(Kind.EVR_DATA, EVR, xtc_format.evr_data(codes, fiducials, ticks))
            )
        if encoder_mm is not None:
            record = xtc_format.epics_time(0, encoder_mm, clock[0], clock[1])
            parts.append(xtc_format.xtc(Kind.EPICS, EPICS, record))
        if photon_energy_ev is not None:
            parts.append(
                xtc_format.xtc(
                    Kind.EBEAM, xtc_format.EBEAM_SOURCE, xtc_format.ebeam(photon_energy_ev)
                )
            )
        if pixels is not None:
            kind, element = self._payloads.element(pixels, number, fiducials, ticks)
            parts.append(xtc_format.xtc(kind, self._source, element))
        segments = xtc_format.xtc(Kind.CONTAINER, self._segment(), parts)
        root = xtc_format.xtc(Kind.CONTAINER, self._root(stream), segments)
        self._write(
            stream, Transition.EVENT, nanoseconds, root,
            fiducials=fiducials, ticks=ticks, vector=number + 1, env=1,
        )  # fmt: skip
        stream.events += 1
        self._written += 1

    def time_of(self, number: int) -> tuple[int, int]:
        """Time (ns since 1970) and fiducials of event `number`, shots coming at 120 Hz."""
        steps = number * (360 // RATE_HZ)
        nanoseconds = self._first_event_ns + round(steps * NANOSECONDS_PER_FIDUCIAL)
        return nanoseconds, (self._first_fiducial + steps) % FIDUCIALS

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            after = (self.time_of(self._written)[0] - self._start) // 1_000_000 + 100
            for stream in self._streams:
                self._transition(stream, Transition.DISABLE, after)
                self._transition(stream, Transition.END_CALIB_CYCLE, after + 100)
                self._transition(stream, Transition.END_RUN, after + 200)
                self._close_chunk(stream)
            for path in self._paths:
                os.replace(f"{path}{IN_PROGRESS}", path)
        else:
            for stream in self._streams:
                if stream.file is not None:
                    stream.file.close()
            for path in self._paths:
                Path(f"{path}{IN_PROGRESS}").unlink(missing_ok=True)

    # ---- inside ------------------------------------------------------------------------------

    def _configure(self, alias: str | None) -> bytes:
        kind, payload = self._payloads.config()
        parts = [xtc_format.xtc(kind, self._source, payload)]
        if self._encoder is not None:
            parts.append(
                xtc_format.xtc(
                    Kind.EPICS_CONFIG, EPICS, xtc_format.epics_config(["DS1 detector z"])
                )
            )
            record = xtc_format.epics_control(0, ENCODER, self._encoder)
            parts.append(xtc_format.xtc(Kind.EPICS, EPICS, record))
        if alias is not None:
            parts.append(
                xtc_format.xtc(
                    Kind.ALIASES, self._segment(), xtc_format.aliases({alias: self._source})
                )
            )
        return xtc_format.xtc(Kind.CONTAINER, self._segment(), parts)

    def _transition(
        self, stream: _Stream, transition: Transition, after_ms: int, *, env: int = 0,
        content: bytes = b"",
    ) -> None:  # fmt: skip
        root = xtc_format.xtc(Kind.CONTAINER, self._root(stream), content)
        self._write(stream, transition, self._start + after_ms * 1_000_000, root, env=env)

    def _write(
        self, stream: _Stream, transition: Transition, nanoseconds: int, root: bytes, *,
        fiducials: int | None = None, ticks: int = 0, vector: int = 0, env: int = 0,
    ) -> None:  # fmt: skip
        seconds, rest = divmod(nanoseconds, 1_000_000_000)
        if fiducials is None:
            early = round((nanoseconds - self._first_event_ns) / NANOSECONDS_PER_FIDUCIAL)
            fiducials = (self._first_fiducial + early) % FIDUCIALS
        assert stream.file is not None
        stream.file.write(
            xtc_format.datagram(
                transition, root, seconds=seconds, nanoseconds=rest, fiducials=fiducials,
                ticks=ticks, vector=vector, env=env,
            )
        )  # fmt: skip

    def _open_chunk(self, stream: _Stream) -> None:
        name = f"{self._prefix}-r{self.run:04d}-s{stream.number:02d}-c{stream.chunk:02d}.xtc"
        path = self._folder / name
        self._paths.append(path)
        stream.file = open(f"{path}{IN_PROGRESS}", "wb")  # noqa: SIM115 - closed with the chunk
        stream.chunk += 1

    @staticmethod
    def _close_chunk(stream: _Stream) -> None:
        assert stream.file is not None
        stream.file.flush()
        os.fsync(stream.file.fileno())
        stream.file.close()
        stream.file = None

    def _root(self, stream: _Stream) -> tuple[int, int]:
        return xtc_format.node(
            xtc_format.EVENT_LEVEL, 0x3A10 + stream.number, 0xAC150A30 + stream.number
        )

    @staticmethod
    def _segment() -> tuple[int, int]:
        return xtc_format.node(xtc_format.SEGMENT_LEVEL, 0x2E40, 0xAC150A12)


class _Stream:
    """One recorder: its number, the file it writes and how much it has written."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.chunk = 0
        self.events = 0
        self.file: BinaryIO | None = None
