"""Events of a run with the state psana would have at each: configuration, EPICS values, run.

One pass over the headers of all objects; pixels are not touched before they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from struct import unpack_from

import numpy as np
from numpy.typing import NDArray

from workbench.errors import FileFormatError
from workbench.runs.xtc import beamline
from workbench.runs.xtc.datagram import (
    INCOMPLETE_CONTRIBUTION,
    Datagram,
    Transition,
    Truncated,
    TypeId,
    Unreadable,
    Xtc,
    XtcFile,
    damage_names,
)
from workbench.runs.xtc.decoders import (
    CONFIG_DECODERS,
    ELEMENT_DECODERS,
    Configuration,
    read_config,
)
from workbench.runs.xtc.sources import DETECTORS, address_of
from workbench.runs.xtc.streams import Item, Journal, Stream, Watch, merge_streams

NO_DATA = "detector not in the event"
UNREADABLE = "not readable"
GAIN_MAP_CHANGES = "changes within the run; the first one is used"
"""Of the gain map, in the sentence about it."""
MAX_SOURCES = 4096

Place = tuple[XtcFile, Xtc]
"""An object and the file it lies in."""


@dataclass(slots=True)
class Record:
    """One event: where its parts lie and what was known when it came."""

    index: int
    datagram: Datagram
    config: Configuration | None
    encoder_mm: float | None
    elements: list[Place] = field(default_factory=list)
    missing: str = NO_DATA
    ebeam: Place | None = None
    evr: Place | None = None


class EventReader:
    """Reads the events of one run for one detector; iterate it once.

    Parameters
    ----------
    streams : the run's files.
    phy : number of the detector, see `workbench.runs.xtc.sources`; None finds out only which
        detectors there are.
    journal : takes what is left out.
    watch : is shown every datagram in file order.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        phy: int | None,
        journal: Journal,
        watch: Watch | None = None,
    ) -> None:
        self.streams = streams
        self.phy = phy
        self.journal = journal
        self.watch = watch
        self.config: Configuration | None = None
        self.run_number: int | None = None
        self.detectors: dict[int, set[int]] = {}
        """Types of objects seen for each level-1 source."""
        self.aliases: dict[str, int] = {}
        number = 0 if phy is None else phy >> 24
        self.epics = beamline.Epics(DETECTORS[number] if number < len(DETECTORS) else "")
        self._clocks: dict[int, tuple[int, int]] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Record]:
        for group in merge_streams(self.streams, self.journal, self.watch):
            if not group[0].datagram.is_event:
                self._transition(group)
                continue
            record = self._event(group)
            if record is not None:
                self._count += 1
                yield record

    def _transition(self, group: list[Item]) -> None:
        first = group[0].datagram
        service = first.service
        if service == Transition.BEGIN_RUN and self.run_number is None:
            self.run_number = next((i.datagram.env for i in group if i.datagram.env), None)
        if service not in (Transition.CONFIGURE, Transition.BEGIN_CALIB_CYCLE):
            return
        if self._clocks.get(service) == first.clock:
            return
        self._clocks[service] = first.clock
        # of the DAQ streams only the lowest counts; it goes before the control streams
        config = None
        for item in [group[0], *(other for other in group[1:] if other.control)]:
            try:
                config = self._configure(item.datagram, config)
            except (Truncated, Unreadable) as error:
                self.journal.note(str(error))
        self.config = config or self.config

    def _configure(self, datagram: Datagram, config: Configuration | None) -> Configuration | None:
        """Take in one datagram of a transition; gives the first configuration so far."""
        file = datagram.file
        for xtc in datagram.objects():
            if xtc.type_id == TypeId.EPICS:
                self.epics.update(file, xtc)
            elif xtc.damage:
                continue
            elif xtc.type_id == TypeId.ALIAS_CONFIG:
                self._read_aliases(file, xtc)
            elif xtc.level == 1:
                self._saw(xtc)
                if xtc.phy != self.phy:
                    continue
                if xtc.type_id not in CONFIG_DECODERS:
                    self._unknown(xtc, "configuration")
                elif config is None:
                    config = self._read_config(file, xtc)
        return config

    def _read_config(self, file: XtcFile, xtc: Xtc) -> Configuration | None:
        try:
            config = read_config(file, xtc)
        except FileFormatError as error:
            if self.config is None:
                raise
            self.journal.note(str(error))
            return None
        if self.config is not None and config.detector is not self.config.detector:
            self.journal.note(
                f"{file.path}, byte {xtc.offset}: {address_of(xtc.phy)} changes from "
                f"{self.config.detector.name} to {config.detector.name} within the run; only the "
                "first is read."
            )
            return None
        if self.config is not None and (
            (config.low_gain != self.config.low_gain).any()
            or not _same_codes(config.gain_code, self.config.gain_code)
        ):
            self.journal.note(
                f"{file.path}, byte {xtc.offset}: the gain map of {address_of(xtc.phy)} "
                f"{GAIN_MAP_CHANGES}."
            )
        return config

    def _read_aliases(self, file: XtcFile, xtc: Xtc) -> None:
        if xtc.size < 4 or xtc.compressed:
            return
        payload = file.read(xtc.offset, min(xtc.size, 4 + 40 * MAX_SOURCES))
        (count,) = unpack_from("<I", payload)
        for number in range(min(count, (len(payload) - 4) // 40)):
            log, phy, name = unpack_from("<II31s", payload, 4 + 40 * number)
            if log >> 24 == 1:
                self.aliases.setdefault(name.split(b"\0")[0].decode("ascii", "replace"), phy)

    def _saw(self, xtc: Xtc) -> None:
        types = self.detectors.get(xtc.phy)
        if types is None:
            if len(self.detectors) >= MAX_SOURCES:
                return
            types = self.detectors[xtc.phy] = set()
        types.add(xtc.type_id)

    def _unknown(self, xtc: Xtc, what: str) -> None:
        self.journal.note(
            f"{address_of(xtc.phy)} has {what} of TypeId {xtc.type_id} version {xtc.version}, "
            "which cannot be read here."
        )

    def _event(self, group: list[Item]) -> Record | None:
        daq = [item.datagram for item in group if not item.control]
        record = Record(self._count, group[0].datagram, self.config, None)
        only_epics = True
        for item in group:
            try:
                only_epics &= self._objects(item.datagram, record)
            except (Truncated, Unreadable) as error:
                self.journal.note(str(error))
                record.missing, only_epics = UNREADABLE, False
        if daq and all(datagram.trimmed for datagram in daq):
            self.journal.skipped["trimmed by the trigger"] += 1
            return None
        if only_epics:
            incomplete = any(item.datagram.damage & INCOMPLETE_CONTRIBUTION for item in group)
            self.journal.skipped["incomplete" if incomplete else "empty"] += 1
            return None
        record.encoder_mm = self.epics.encoder_mm
        return record

    def _objects(self, datagram: Datagram, record: Record) -> bool:
        """Take in the objects of one datagram of an event; True if there are only EPICS values."""
        file, only_epics = datagram.file, True
        for xtc in datagram.objects():
            kind = xtc.type_id
            if kind == TypeId.EPICS:
                self.epics.update(file, xtc)
                continue
            only_epics = False
            if xtc.level == 1:
                self._saw(xtc)
                if xtc.phy == self.phy and (kind == TypeId.ANY or kind in ELEMENT_DECODERS):
                    self._take(record, file, xtc)
                elif xtc.phy == self.phy:
                    self._unknown(xtc, "data")
                elif kind == TypeId.EVR_DATA and record.evr is None and not xtc.damage:
                    record.evr = file, xtc
            elif record.ebeam is None and beamline.is_ebeam(xtc):
                record.ebeam = file, xtc
        return only_epics

    def _take(self, record: Record, file: XtcFile, xtc: Xtc) -> None:
        if xtc.damage:
            if not record.elements:
                record.missing = f"damaged ({', '.join(damage_names(xtc.damage))})"
        elif xtc.type_id != TypeId.ANY and len(record.elements) < 4:
            # the first copy counts; a few more are kept in case it cannot be decoded
            record.elements.append((file, xtc))


def _same_codes(first: NDArray[np.uint8] | None, second: NDArray[np.uint8] | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)
