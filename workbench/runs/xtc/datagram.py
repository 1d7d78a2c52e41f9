"""Datagrams and the objects nested in them, straight from a memory-mapped file.

A file is a plain sequence of datagrams: 20 bytes of time stamp and environment, then one Xtc
header of 20 bytes whose ``extent`` counts itself and its payload. An Xtc of type 1 contains
further Xtc objects, to any depth. All fields are little-endian (pdsdata ``xtc/Dgram.hh``,
``xtc/Xtc.hh``).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.errors import FileFormatError, RunNotFoundError

HEADER = Struct("<10I")
XTC = Struct("<5I")
STAMP_SIZE = 20
"""Bytes of a datagram before its root Xtc: the next datagram is at offset + 20 + extent."""
MAX_DATAGRAM = 256 << 20
"""psana refuses larger datagrams (``XtcInput/XtcChunkDgIter``)."""
MAX_OBJECTS = 65536
"""Objects looked at in one datagram; real ones hold a few hundred."""
MAX_FIDUCIALS = 131040
"""Fiducials run from 0 to this, then wrap; 0x1FFFF marks an unknown one."""
KEPT_BEHIND, RELEASE_STEP, RELEASED_AGAIN = 48 << 20, 16 << 20, 512 << 20


class Transition(IntEnum):
    """Kinds of datagrams (pdsdata ``xtc/TransitionId.hh``)."""

    UNKNOWN = 0
    RESET = 1
    MAP = 2
    UNMAP = 3
    CONFIGURE = 4
    UNCONFIGURE = 5
    BEGIN_RUN = 6
    END_RUN = 7
    BEGIN_CALIB_CYCLE = 8
    END_CALIB_CYCLE = 9
    ENABLE = 10
    DISABLE = 11
    L1_ACCEPT = 12


L1_ACCEPT = int(Transition.L1_ACCEPT)
TRANSITION_NAMES = [
    "Unknown", "Reset", "Map", "Unmap", "Configure", "Unconfigure", "BeginRun", "EndRun",
    "BeginCalibCycle", "EndCalibCycle", "Enable", "Disable", "L1Accept",
]  # fmt: skip

DROPPED_CONTRIBUTION = 1 << 1
OUT_OF_ORDER = 1 << 12
USER_DEFINED = 1 << 14
INCOMPLETE_CONTRIBUTION = 1 << 15
DAMAGE_NAMES = {
    1: "DroppedContribution", 11: "Uninitialized", 12: "OutOfOrder", 13: "OutOfSynch",
    14: "UserDefined", 15: "IncompleteContribution", 16: "ContainsIncomplete",
}  # fmt: skip


def damage_names(damage: int) -> list[str]:
    """Names of the damage bits that are set; the user byte is given as ``user 0xF1``."""
    names = [DAMAGE_NAMES.get(bit, f"bit {bit}") for bit in range(24) if damage >> bit & 1]
    if damage >> 24:
        names.append(f"user 0x{damage >> 24:02X}")
    return names


class TypeId(IntEnum):
    """The types of objects the workbench reads (pdsdata ``xtc/TypeId.hh``)."""

    ANY = 0
    XTC = 1
    EPICS = 13
    EBEAM = 15
    EVR_DATA = 19
    CSPAD_ELEMENT = 28
    CSPAD_CONFIG = 29
    CSPAD2X2_ELEMENT = 41
    CSPAD2X2_CONFIG = 43
    ALIAS_CONFIG = 69


class XtcFile:
    """One mapped ``.xtc`` file.

    Views given out keep the map alive; `release` gives pages that were passed back to the
    system, so that a long file costs no memory (a view into them stays valid: it reads again).

    Parameters
    ----------
    path : the file.
    headers_only : whether only headers will be looked at, far from each other.

    Raises
    ------
    RunNotFoundError
        If the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, headers_only: bool = False) -> None:
        self.path = Path(path)
        try:
            with open(path, "rb") as file:
                self.size = os.fstat(file.fileno()).st_size
                self.buffer: Any = b""
                if self.size:
                    self.buffer = mmap.mmap(file.fileno(), self.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunNotFoundError(f"{path} cannot be opened: {reason}.") from error
        self._released = 0
        if self.size and hasattr(mmap, "MADV_SEQUENTIAL"):
            # reading ahead pays only if the pixels between the headers are wanted
            self.buffer.madvise(mmap.MADV_RANDOM if headers_only else mmap.MADV_SEQUENTIAL)

    def __reduce__(self) -> tuple[Any, ...]:
        return XtcFile, (self.path,)

    def release(self, reached: int) -> None:
        """Let the system take back pages well before byte `reached`.

        The last `KEPT_BEHIND` bytes stay, since events just given are still worked on; the
        stretch before them is released again each time, in case a later event read there.
        """
        before = reached - KEPT_BEHIND
        if before - self._released < RELEASE_STEP or not hasattr(mmap, "MADV_DONTNEED"):
            return
        before -= before % mmap.PAGESIZE
        start = max(0, self._released - RELEASED_AGAIN)
        self.buffer.madvise(mmap.MADV_DONTNEED, start, before - start)
        self._released = before

    def array(self, dtype: Any, count: int, offset: int) -> NDArray[Any]:
        """Read-only view of `count` items at byte `offset` (the caller has checked bounds)."""
        return np.frombuffer(self.buffer, dtype, count, offset)


class Xtc(NamedTuple):
    """One object: header fields and where its payload is."""

    damage: int
    log: int
    phy: int
    contains: int
    offset: int
    size: int

    @property
    def type_id(self) -> int:
        """Kind of object, see `TypeId`."""
        return self.contains & 0xFFFF

    @property
    def version(self) -> int:
        """Version of the object's layout."""
        return self.contains >> 16 & 0x7FFF

    @property
    def compressed(self) -> bool:
        """True if the payload is stored compressed."""
        return bool(self.contains >> 31)

    @property
    def level(self) -> int:
        """Level of the source: 1 detector, 2 readout segment, 3 event builder, 6 beam line."""
        return self.log >> 24


class Datagram:
    """Header of one datagram and where it lies."""

    __slots__ = (
        "damage", "env", "extent", "fiducials", "file", "nanoseconds", "offset", "root",
        "seconds", "service", "ticks", "vector",
    )  # fmt: skip

    def __init__(self, file: XtcFile, offset: int, fields: tuple[int, ...]) -> None:
        self.file = file
        self.offset = offset
        self.nanoseconds, self.seconds, low, high, self.env = fields[:5]
        self.ticks = low & 0xFFFFFF
        self.service = low >> 24 & 0xF
        self.fiducials = high & 0x1FFFF
        self.vector = high >> 17
        self.damage = fields[5]
        self.extent = fields[9]
        self.root = Xtc(
            self.damage,
            fields[6],
            fields[7],
            fields[8],
            offset + HEADER.size,
            self.extent - XTC.size,
        )

    @property
    def is_event(self) -> bool:
        """True for an L1Accept."""
        return self.service == L1_ACCEPT

    @property
    def clock(self) -> tuple[int, int]:
        """Seconds since 1970 (UTC) and nanoseconds."""
        return self.seconds, self.nanoseconds

    @property
    def end(self) -> int:
        """Offset of the next datagram."""
        return self.offset + STAMP_SIZE + self.extent

    @property
    def trimmed(self) -> bool:
        """True if the level-3 trigger has removed the payload (env bit 31)."""
        return bool(self.env >> 31)

    def objects(self) -> Iterator[Xtc]:
        """All objects that are not containers, depth first, as `walk` finds them."""
        return walk(self.file.buffer, self.root)


def read_datagrams(file: XtcFile) -> Iterator[Datagram]:
    """Datagrams of a file, first to last.

    Raises
    ------
    FileFormatError
        At a place that cannot be a datagram (of a foreign file: at byte 0), or at a datagram
        cut off by the end of the file. Datagrams before it have been given.
    """
    offset, size, buffer = 0, file.size, file.buffer
    while offset < size:
        if size - offset < HEADER.size:
            problem = f"expected a datagram header of 40 bytes, found the last {size - offset}."
            raise Truncated(file.path, problem, offset=offset)
        fields = HEADER.unpack_from(buffer, offset)
        extent, contains = fields[9], fields[8]
        if extent < XTC.size or extent > MAX_DATAGRAM or (offset == 0 and not _plausible(fields)):
            found = f"extent {extent}, type 0x{contains:08X}, {fields[0]} ns"
            raise FileFormatError(
                file.path,
                f"expected an XTC datagram (extent 20 to {MAX_DATAGRAM}), found {found}.",
                offset=offset,
                hint="It is not an XTC file." if offset == 0 else "The file is damaged here.",
            )
        if offset + STAMP_SIZE + extent > size:
            problem = f"the last datagram needs {STAMP_SIZE + extent} bytes, {size - offset} exist."
            raise Truncated(file.path, problem, offset=offset)
        datagram = Datagram(file, offset, fields)
        offset = datagram.end
        yield datagram


class Truncated(FileFormatError):
    """The file ends within a datagram, as one does that is still being written."""


def _plausible(fields: tuple[int, ...]) -> bool:
    nanoseconds, service, contains = fields[0], fields[2] >> 24 & 0xF, fields[8]
    return (
        nanoseconds < 1_000_000_000
        and 0 < service <= L1_ACCEPT
        and contains & 0xFFFF == TypeId.XTC
        and not contains >> 31
    )


def walk(buffer: Any, root: Xtc) -> Iterator[Xtc]:
    """Objects within `root` that are not containers, depth first.

    As psana does: the children of a container with the damage IncompleteContribution are left
    out, and an object whose extent is impossible ends its container. At most `MAX_OBJECTS` are
    visited.
    """
    if root.contains & 0xFFFF != TypeId.XTC:
        yield root
        return
    if root.damage & INCOMPLETE_CONTRIBUTION:
        return
    unpack = XTC.unpack_from
    place, end = root.offset, root.offset + root.size
    outer: list[tuple[int, int]] = []
    for _ in range(MAX_OBJECTS):
        while end - place < XTC.size:
            if not outer:
                return
            place, end = outer.pop()
        damage, log, phy, contains, extent = unpack(buffer, place)
        if extent < XTC.size or extent > end - place:
            place = end
            continue
        payload = place + XTC.size
        place += extent
        if contains & 0xFFFF != TypeId.XTC:
            yield Xtc(damage, log, phy, contains, payload, extent - XTC.size)
        elif not damage & INCOMPLETE_CONTRIBUTION:
            outer.append((place, end))
            place, end = payload, payload + extent - XTC.size
