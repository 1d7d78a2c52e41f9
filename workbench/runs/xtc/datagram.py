"""Datagrams and the objects nested in them.

A file is a plain sequence of datagrams: 20 bytes of time stamp and environment, then one Xtc
header of 20 bytes whose ``extent`` counts itself and its payload. An Xtc of type 1 contains
further Xtc objects, to any depth. All fields are little-endian (pdsdata ``xtc/Dgram.hh``,
``xtc/Xtc.hh``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

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
WINDOW = 4096
"""Bytes read at once where headers are looked for."""
IN_PROGRESS = ".inprogress"
"""End of the name of a file that is still being written."""
_OPENING = threading.Lock()


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
TRANSITION_NAMES = [transition.name.title().replace("_", "") for transition in Transition]
"""As pdsdata has them: ``BeginRun``, ``L1Accept``."""

DROPPED_CONTRIBUTION = 1 << 1
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
    ALIAS_CONFIG = 69


class Truncated(FileFormatError):
    """The file ends within a datagram, as one does that is still being written."""


class Unreadable(FileFormatError):
    """Bytes that are there cannot be read: the file system reports an error."""


class XtcFile:
    """One ``.xtc`` file, read piece by piece.

    Nothing is mapped into memory: a file that is cut short or a file system that fails while the
    file is read gives an error, not a signal. A file in progress whose name has lost its
    ``.inprogress`` meanwhile is opened by its final name.

    Parameters
    ----------
    path : the file.

    Attributes
    ----------
    size : bytes in the file when it was opened.

    Raises
    ------
    RunNotFoundError
        If the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._headers = self._pixels = -1
        try:
            try:
                self._headers = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                if self.path.suffix != IN_PROGRESS:
                    raise
                self.path = self.path.with_suffix("")
                self._headers = os.open(self.path, os.O_RDONLY)
            self.size = os.fstat(self._headers).st_size
        except OSError as error:
            raise RunNotFoundError(f"{path} cannot be opened: {error.strerror}.") from error
        self._window = 0, b""
        _advise(self._headers, "POSIX_FADV_RANDOM")

    def __reduce__(self) -> tuple[Any, ...]:
        return XtcFile, (self.path,)

    def __del__(self) -> None:
        for descriptor in (self._headers, self._pixels):
            if descriptor >= 0:
                with suppress(OSError):  # nothing was written
                    os.close(descriptor)

    def window(self, offset: int, size: int) -> tuple[int, bytes]:
        """Where a piece of the file begins, and the piece: it holds `size` bytes at `offset`.

        Raises
        ------
        Truncated, Unreadable
            If these bytes are not there or cannot be read.
        """
        start, content = self._window
        if not start <= offset <= start + len(content) - size:
            try:
                content = self._read(offset, max(size, WINDOW))
            except Unreadable:  # perhaps only what comes after it
                content = self._read(offset, size)
            if len(content) < size:
                raise self._ended(offset, size, len(content))
            start = offset
            self._window = start, content
        return start, content

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`; raises as `window`."""
        start, content = self._window
        if start <= offset <= start + len(content) - size:
            return content[offset - start : offset - start + size]
        content = self._read(offset, size)
        if len(content) < size:
            raise self._ended(offset, size, len(content))
        return content

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill `out` with the bytes at `offset`, for pixels; raises as `window`."""
        done = 0
        while done < len(out):
            try:
                count = os.preadv(self.descriptor, [out[done:]], offset + done)
            except OSError as error:
                raise self._failed(offset + done, error) from error
            if not count:
                raise self._ended(offset, len(out), done)
            done += count

    @property
    def descriptor(self) -> int:
        """File descriptor for pixels: one of its own, so that the system sees it go forward."""
        with _OPENING:
            if self._pixels < 0:
                try:
                    self._pixels = os.open(self.path, os.O_RDONLY)
                    _advise(self._pixels, "POSIX_FADV_SEQUENTIAL")
                except OSError:  # renamed or removed meanwhile: the first descriptor still reads it
                    self._pixels = os.dup(self._headers)
            return self._pixels

    def _read(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._headers, size, offset)
        except OSError as error:
            raise self._failed(offset, error) from error

    def _failed(self, offset: int, error: OSError) -> Unreadable:
        return Unreadable(self.path, f"cannot be read ({error.strerror}).", offset=offset)

    def _ended(self, offset: int, size: int, count: int) -> Truncated:
        problem = f"expected {size} bytes, found {count}: the file was cut short while it was read."
        return Truncated(self.path, problem, offset=offset)


def _advise(descriptor: int, advice: str) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, getattr(os, advice))


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
        return walk(self.file, self.root)


def read_datagrams(file: XtcFile) -> Iterator[Datagram]:
    """Datagrams of a file, first to last.

    Raises
    ------
    FileFormatError
        At a place that cannot be a datagram (of a foreign file: at byte 0), or at a datagram
        cut off by the end of the file. Datagrams before it have been given.
    """
    offset, size = 0, file.size
    while offset < size:
        if size - offset < HEADER.size:
            problem = f"expected a datagram header of 40 bytes, found the last {size - offset}."
            raise Truncated(file.path, problem, offset=offset)
        start, window = file.window(offset, HEADER.size)
        fields = HEADER.unpack_from(window, offset - start)
        extent, contains = fields[9], fields[8]
        if extent < XTC.size or extent > MAX_DATAGRAM or (offset == 0 and not _plausible(fields)):
            header = f"extent {extent}, type 0x{contains:08X}, {fields[0]} ns"
            raise FileFormatError(
                file.path,
                f"expected an XTC datagram (extent 20 to {MAX_DATAGRAM}), found {header}.",
                offset=offset,
                hint="It is not an XTC file." if offset == 0 else "The file is damaged here.",
            )
        if offset + STAMP_SIZE + extent > size:
            problem = f"the last datagram needs {STAMP_SIZE + extent} bytes, {size - offset} exist."
            raise Truncated(file.path, problem, offset=offset)
        datagram = Datagram(file, offset, fields)
        offset = datagram.end
        yield datagram


def _plausible(fields: tuple[int, ...]) -> bool:
    nanoseconds, service, contains = fields[0], fields[2] >> 24 & 0xF, fields[8]
    return (
        nanoseconds < 1_000_000_000
        and 0 < service <= L1_ACCEPT
        and contains & 0xFFFF == TypeId.XTC
        and not contains >> 31
    )


def walk(file: XtcFile, root: Xtc) -> Iterator[Xtc]:
    """Objects within `root` that are not containers, depth first.

    As psana does: the children of a container with the damage IncompleteContribution are left
    out, and an object whose extent is impossible ends its container. At most `MAX_OBJECTS` are
    visited.

    Raises
    ------
    Truncated, Unreadable
        If a header cannot be read.
    """
    if root.contains & 0xFFFF != TypeId.XTC:
        yield root
        return
    if root.damage & INCOMPLETE_CONTRIBUTION:
        return
    unpack, start, window = XTC.unpack_from, 0, b""
    place, end = root.offset, root.offset + root.size
    outer: list[tuple[int, int]] = []
    for _ in range(MAX_OBJECTS):
        while end - place < XTC.size:
            if not outer:
                return
            place, end = outer.pop()
        if not start <= place <= start + len(window) - XTC.size:
            start, window = file.window(place, XTC.size)
        damage, log, phy, contains, extent = unpack(window, place - start)
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
