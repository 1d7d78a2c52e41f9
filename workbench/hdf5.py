"""HDF5 files: written whole or not at all, and looked through in a process of its own first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, TYPE_CHECKING, NamedTuple

from workbench import hdf5_walk
from workbench.errors import FileFormatError
from workbench.files import replacing
from workbench.guarded import GuardedError, run_guarded

if TYPE_CHECKING:
    import h5py

UNKNOWN_FILTER = "Write it with another compression, e.g. gzip or bitshuffle."
"""Hint where a dataset is compressed by a filter that hdf5plugin does not have."""


@contextmanager
def reading_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open a file to read, after another process has read through it and lived.

    Raises
    ------
    FileFormatError
        If the HDF5 library crashes on the file, does not finish, or asks for too much memory.
    OSError
        If the library refuses the file.
    """
    import h5py
    import hdf5plugin  # noqa: F401 (registers the filters of compressed files)

    status = os.stat(path)
    absolute = os.path.abspath(path)
    _look_through(absolute, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    with h5py.File(absolute, "r") as file:
        yield file


@lru_cache(maxsize=256)
def _look_through(path: str, *_state: int) -> None:
    """Read through a file elsewhere, once as long as it is the same."""
    try:
        run_guarded(hdf5_walk.__file__, path, library="the HDF5 library")
    except GuardedError as error:
        raise FileFormatError(path, f"this HDF5 file is damaged ({error}).") from error


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
            yield StreamedFile(file, lasting.check)
        lasting.check()


class StreamedFile(NamedTuple):
    """An HDF5 file being written.

    Attributes
    ----------
    root : the file, to be filled.
    check : raises the OSError that a write had.
    """

    root: h5py.File
    check: Callable[[], None]


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

    def readinto(self, target: memoryview) -> int:
        buffer = memoryview(target)  # that of h5py 3.10 takes no bytes
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
