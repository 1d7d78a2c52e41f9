"""What one run holds: streams, transitions, detectors, events, damage, times, gain."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.errors import DetectorNotFoundError, FileFormatError
from workbench.progress import Progress, raise_if_cancelled
from workbench.runs.psdm import RunFiles
from workbench.runs.xtc import beamline
from workbench.runs.xtc.datagram import (
    TRANSITION_NAMES,
    Datagram,
    Xtc,
    XtcFile,
    damage_names,
)
from workbench.runs.xtc.decoders import (
    CONFIG_DECODERS,
    DECODERS,
    DETECTOR_TYPES,
    Configuration,
    read_config,
)
from workbench.runs.xtc.events import EventReader, Record
from workbench.runs.xtc.sources import address_of, phy_of, source_name
from workbench.runs.xtc.streams import Journal, Stream

TYPE_NAMES = {
    0: "Any", 2: "Frame", 8: "EvrConfig", 10: "ControlConfig", 13: "Epics", 14: "FEEGasDetEnergy",
    15: "EBeam", 16: "PhaseCavity", 19: "EvrData", 22: "IpimbData", 23: "IpimbConfig",
    28: "CspadElement", 29: "CspadConfig", 38: "Index", 41: "Cspad2x2Element",
    43: "Cspad2x2Config", 51: "CspadCompressedElement", 54: "EpicsConfig", 69: "AliasConfig",
    70: "L3TConfig", 71: "L3TData", 79: "PartitionConfig", 89: "SmlDataConfig",
    90: "SmlDataOrigDgramOffset", 91: "SmlDataProxy", 107: "JungfrauConfig",
    108: "JungfrauElement", 117: "Epix10ka2MConfig", 118: "Epix10kaArray",
    120: "Epix10kaQuadConfig",
}  # fmt: skip
MAX_NAMES = 1000
REPORT_EVERY = 256


@dataclass
class StreamSummary:
    """One stream: its files and the datagrams in them."""

    number: int
    control: bool
    files: list[dict[str, Any]]
    transitions: Counter[str] = field(default_factory=Counter)
    first_seconds: float | None = None
    last_seconds: float | None = None


@dataclass
class SourceSummary:
    """One source of data: what types of objects it sent and how often they were damaged."""

    objects: Counter[str] = field(default_factory=Counter)
    damage: Counter[str] = field(default_factory=Counter)


@dataclass
class GainSummary:
    """Configuration of a detector: version, modules read out, pixels in low gain."""

    configuration: str
    quadrants: list[int]
    sections: int
    low_gain_pixels: int
    pixels: int

    @property
    def mode(self) -> str:
        """``high``, ``low`` or ``mixed`` gain."""
        if self.low_gain_pixels == 0:
            return "high gain"
        return "low gain" if self.low_gain_pixels == self.pixels else "mixed gain"


@dataclass
class RunSummary:
    """Everything `inspect_run` finds."""

    run: int
    recorded_run: int | None
    address: str | None
    bytes: int
    streams: list[StreamSummary]
    sources: dict[str, SourceSummary]
    aliases: dict[str, str]
    gain: dict[str, GainSummary]
    events: int = 0
    events_with_data: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    damage: Counter[str] = field(default_factory=Counter)
    event_codes: Counter[int] = field(default_factory=Counter)
    first_seconds: float | None = None
    last_seconds: float | None = None
    encoder_mm: tuple[float, float] | None = None
    photon_energy_ev: tuple[float, float] | None = None
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON."""
        return {
            **vars(self),
            "streams": [vars(stream) for stream in self.streams],
            "sources": {name: vars(source) for name, source in self.sources.items()},
            "gain": {name: {**vars(gain), "mode": gain.mode} for name, gain in self.gain.items()},
            "event_codes": {str(code): n for code, n in sorted(self.event_codes.items())},
        }


def inspect_run(
    files: RunFiles, address: str | None = None, progress: Progress | None = None
) -> RunSummary:
    """Read through all datagrams of a run and sum up what is there.

    Parameters
    ----------
    files : the run, from `list_runs` or ``find_experiment(…).run(…)``.
    address : detector whose events are counted; None takes the first that can be read.
    progress : told bytes done and in all.

    Raises
    ------
    DetectorNotFoundError
        If `address` is given and no object in the run has that source.
    FileFormatError
        If a file is not an XTC file.
    """
    phy = _choose(files, address)
    summary = RunSummary(
        run=files.number,
        recorded_run=None,
        address=None if phy is None else address_of(phy),
        bytes=files.size,
        streams=[_stream_summary(stream, files) for stream in files.streams],
        sources={},
        aliases={},
        gain={},
    )
    collector = _Collector(summary, files.size, progress)
    journal = Journal()
    reader = EventReader(files.streams, phy, journal, collector.datagram)
    for record in reader:
        collector.event(record)
    summary.recorded_run = reader.run_number
    summary.aliases = {name: address_of(number) for name, number in reader.aliases.items()}
    summary.skipped, summary.problems = journal.skipped, [*collector.problems, *journal.problems]
    if phy is not None and address is not None and phy not in reader.detectors:
        there = ", ".join(address_of(number) for number in sorted(reader.detectors)) or "none"
        raise DetectorNotFoundError(
            f"{address} is not in run {files.number}; detectors there: {there}."
        )
    return summary


def list_detectors(files: RunFiles) -> list[str]:
    """Addresses of the detectors that can be read in a run's first events, in order.

    No further event is read.

    Raises
    ------
    FileFormatError
        If a file is not an XTC file.
    """
    reader = _read_beginning(files)
    there = sorted(number for number, kinds in reader.detectors.items() if kinds & DETECTOR_TYPES)
    return [address_of(number) for number in there]


def _read_beginning(files: RunFiles) -> EventReader:
    """Reader that has gone through the first events of a run."""
    reader = EventReader(files.streams, None, Journal())
    for record in reader:
        if record.index >= 8:
            break
    return reader


def _choose(files: RunFiles, address: str | None) -> int | None:
    """Number of the detector to follow: the one asked for, else the first that can be read."""
    phy = None if address is None else phy_of(address)
    if phy is not None:
        return phy
    reader = _read_beginning(files)
    if address is not None:
        aliases = {name.lower(): number for name, number in reader.aliases.items()}
        if address.strip().lower() in aliases:
            return aliases[address.strip().lower()]
        known = ", ".join(reader.aliases) or "none"
        raise DetectorNotFoundError(
            f"{address} is neither an address like CxiDs1.0:Cspad.0 nor an alias in run "
            f"{files.number} (aliases: {known})."
        )
    for decoder in DECODERS:
        for number in sorted(reader.detectors):
            if reader.detectors[number] & (decoder.config_types | decoder.element_types):
                return number
    return None


def _stream_summary(stream: Stream, files: RunFiles) -> StreamSummary:
    described = [
        {
            "path": str(file.path),
            "chunk": file.chunk,
            "bytes": file.size,
            "in_progress": file.in_progress,
        }
        for file in files.files
        if file.stream == stream.number
    ]
    return StreamSummary(stream.number, stream.is_control, described)


class _Collector:
    """Adds datagrams and events to a summary."""

    def __init__(self, summary: RunSummary, size: int, progress: Progress | None) -> None:
        self.summary, self.progress, self.size = summary, progress, size
        self.problems: list[str] = []
        self._streams = {stream.number: stream for stream in summary.streams}
        self._done, self._seen = 0, 0

    def datagram(self, stream: Stream, datagram: Datagram) -> None:
        """Count one datagram and the objects in it."""
        of_stream = self._streams[stream.number]
        service = datagram.service
        known = service < len(TRANSITION_NAMES)
        of_stream.transitions[TRANSITION_NAMES[service] if known else f"service {service}"] += 1
        when = datagram.seconds + datagram.nanoseconds * 1e-9
        of_stream.first_seconds = _lower(of_stream.first_seconds, when)
        of_stream.last_seconds = _upper(of_stream.last_seconds, when)
        if datagram.damage:
            self.summary.damage.update(damage_names(datagram.damage))
        try:
            for xtc in datagram.objects():
                self._object(datagram.file, xtc)
        except FileFormatError as error:
            self.problems.append(str(error))
        self._done += datagram.end - datagram.offset
        self._seen += 1
        if self._seen % REPORT_EVERY == 0:
            raise_if_cancelled(self.progress, "Inspecting the run")
            if self.progress is not None:
                self.progress.update(self._done, self.size, f"{self.summary.events} events")

    def _object(self, file: XtcFile, xtc: Xtc) -> None:
        name = source_name(xtc.log, xtc.phy)
        source = self.summary.sources.get(name)
        if source is None:
            if len(self.summary.sources) >= MAX_NAMES:
                return
            source = self.summary.sources[name] = SourceSummary()
        kind = f"{TYPE_NAMES.get(xtc.type_id, f'type {xtc.type_id}')} V{xtc.version}"
        if xtc.compressed:
            kind += " compressed"
        if kind in source.objects or len(source.objects) < MAX_NAMES:
            source.objects[kind] += 1
        if xtc.damage:
            names = damage_names(xtc.damage)
            source.damage.update(names)
            self.summary.damage.update(names)
        elif xtc.level == 1 and xtc.type_id in CONFIG_DECODERS and name not in self.summary.gain:
            try:
                self.summary.gain[name] = _gain(read_config(file, xtc))
            except FileFormatError as error:
                self.problems.append(str(error))

    def event(self, record: Record) -> None:
        """Count one event."""
        summary, datagram = self.summary, record.datagram
        summary.events += 1
        if record.elements:
            summary.events_with_data += 1
        else:
            summary.missing[record.missing] += 1
        when = datagram.seconds + datagram.nanoseconds * 1e-9
        summary.first_seconds = _lower(summary.first_seconds, when)
        summary.last_seconds = _upper(summary.last_seconds, when)
        summary.encoder_mm = _widened(summary.encoder_mm, record.encoder_mm)
        try:
            if record.ebeam is not None:
                energy = beamline.photon_energy(*record.ebeam)
                summary.photon_energy_ev = _widened(summary.photon_energy_ev, energy)
            if record.evr is not None and len(summary.event_codes) < MAX_NAMES:
                summary.event_codes.update(set(beamline.event_codes(*record.evr)))
        except FileFormatError as error:
            self.problems.append(str(error))


def _lower(known: float | None, value: float) -> float:
    return value if known is None else min(known, value)


def _upper(known: float | None, value: float) -> float:
    return value if known is None else max(known, value)


def _widened(known: tuple[float, float] | None, value: float | None) -> tuple[float, float] | None:
    if value is None:
        return known
    return (value, value) if known is None else (min(known[0], value), max(known[1], value))


def _gain(config: Configuration) -> GainSummary:
    modules = set(config.modules)
    return GainSummary(
        configuration=f"{config.name} V{config.version}",
        quadrants=[
            number
            for number, group in enumerate(config.detector.groups)
            if modules.intersection(group.modules)
        ],
        sections=len(modules),
        low_gain_pixels=int(np.count_nonzero(config.low_gain)),
        pixels=config.low_gain.size,
    )
