"""HDF5 files: written whole or not at all, and searched no deeper than any program writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from workbench.files import replacing

if TYPE_CHECKING:
    import h5py

DEEPEST = 20
MOST_OBJECTS = 20_000


@contextmanager
def replacing_hdf5(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[h5py.File]:
    """Give an HDF5 file in memory to fill, and write it to `path` as `replacing` does.

    The library does not survive a disk that is full when it closes a file of its own.

    Raises
    ------
    WorkbenchError
        If the file cannot be written; `path` is then as it was.
    """
    import h5py

    with replacing(path, overwrite=overwrite) as temporary:
        with h5py.File(temporary, "w", driver="core", backing_store=False) as file:
            yield file
            file.flush()
            content = file.id.get_file_image()
        temporary.write_bytes(content)


@contextmanager
def streamed_hdf5(
    path: str | os.PathLike[str], *, overwrite: bool = True
) -> Iterator[StreamedFile]:
    """Give an HDF5 file that goes to the disk as it is filled, for more than fits in memory.

    Call `StreamedFile.check` after each addition.

    Raises
    ------
    WorkbenchError
        If the file cannot be written; `path` is then as it was.
    """
    import h5py

    with replacing(path, overwrite=overwrite) as temporary, temporary.open("wb+") as stream:
        lasting = _LastingStream(stream)
        with h5py.File(lasting, "w") as file:
            yield StreamedFile(file, lasting)
        lasting.check()


class StreamedFile:
    """An HDF5 file being written.

    Attributes
    ----------
    root : the file, to be filled.
    """

    def __init__(self, root: h5py.File, stream: _LastingStream) -> None:
        self.root, self._stream = root, stream

    def check(self) -> None:
        """Raise the OSError that a write had."""
        self._stream.check()


class _LastingStream:
    """A file to which HDF5 can write to the end: the first error is kept and later writes are lost.

    The library does not survive an error while it closes a file.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._place = self._size = 0
        self._error: OSError | None = None

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def write(self, content: bytes | memoryview) -> int:
        size = memoryview(content).nbytes
        if self._error is None:
            try:
                self._stream.seek(self._place)
                self._stream.write(content)
            except OSError as error:
                self._error = error
        self._place += size
        self._size = max(self._size, self._place)
        return size

    def read(self, size: int) -> bytes:
        content = bytearray(size)
        self.readinto(memoryview(content))
        return bytes(content)

    def readinto(self, buffer: memoryview) -> int:
        size = 0
        if self._error is None:
            try:
                self._stream.seek(self._place)
                size = self._stream.readinto(buffer)  # type: ignore[attr-defined]
            except OSError as error:
                self._error = error
        buffer[size:] = bytes(len(buffer) - size)
        self._place += len(buffer)
        return len(buffer)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + place
        return self._place

    def tell(self) -> int:
        return self._place

    def truncate(self, size: int) -> int:
        self._size = size
        if self._error is None:
            try:
                self._stream.truncate(size)
            except OSError as error:
                self._error = error
        return size

    def flush(self) -> None:
        if self._error is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._error = error


def datasets(file: h5py.Group) -> Iterator[h5py.Dataset]:
    """Datasets in a file, each once, group by group; other files are not looked into.

    Groups deeper than `DEEPEST`, and what comes after `MOST_OBJECTS` objects, are left out.
    """
    import h5py

    seen: set[int] = set()
    waiting: list[tuple[h5py.Group | h5py.Dataset, int]] = [(file, 0)]
    while waiting and len(seen) < MOST_OBJECTS:
        item, depth = waiting.pop()
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            continue
        seen.add(place)
        if isinstance(item, h5py.Dataset):
            yield item
        elif isinstance(item, h5py.Group) and depth <= DEEPEST:
            names = [
                name for name in item if isinstance(item.get(name, getlink=True), h5py.HardLink)
            ]
            waiting += [(item[name], depth + 1) for name in reversed(names)]
