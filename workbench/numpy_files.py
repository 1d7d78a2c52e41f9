"""Arrays in files of numpy, ``.npy`` and ``.npz``.

A size stated in a file is held against the bytes that are there before any memory is asked for,
and no object of Python is ever loaded.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.errors import FileFormatError, first_line
from workbench.files import only_regular


class ArrayHeader(NamedTuple):
    """What stands before the values of an array.

    Attributes
    ----------
    shape, dtype : of the array.
    by_columns : whether the first axis is the fastest in the file.
    start : bytes before the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool
    start: int

    @property
    def values(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def read_header(stream: IO[bytes], size: int) -> ArrayHeader:
    """Header of an array whose file or archive member has `size` bytes.

    Raises
    ------
    Exception
        Of many kinds, whatever stands in place of the header; ValueError if the array has Python
        objects or more values than there are bytes.
    """
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else (
        np.lib.format.read_array_header_2_0)  # fmt: skip
    shape, by_columns, dtype = read(stream)
    header = ArrayHeader(shape, dtype, by_columns, stream.tell())
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    left = size - header.start
    if min(shape, default=0) < 0 or header.values * max(dtype.itemsize, 1) > left:
        raise ValueError(f"it is cut short at {left} bytes")
    return header


def read_array(path: str | os.PathLike[str], most_bytes: int | None = None) -> NDArray[Any]:
    """Array in an ``.npy`` file, which may be refused for its size.

    Raises
    ------
    FileFormatError
        If it cannot be read, is no array, or is shorter than its header says.
    """
    with (
        _one_line(path, "cannot be read as an array of numpy"),
        open(path, "rb", opener=only_regular) as file,
    ):
        size = os.fstat(file.fileno()).st_size
        if most_bytes is not None and size > most_bytes:
            raise ValueError(f"it has more than {most_bytes} bytes")
        return _values(file, size)


MOST_EXPANDED = 512 << 20
"""Bytes to which a compressed image or stack may expand; a detector frame has 4 to 36 MB."""


def read_only_array(
    path: str | os.PathLike[str], usable: Callable[[tuple[int, ...]], bool], name: str = ""
) -> NDArray[Any]:
    """Array of an ``.npz`` file, compressed or not: the named one, or the only usable one.

    Parameters
    ----------
    usable : whether an array of this shape is what is looked for.
    name : of the array; empty finds it.

    Raises
    ------
    FileFormatError
        If it cannot be read, expands to more than `MOST_EXPANDED` bytes, or the array is not
        there or not the only one.
    """
    with (
        _one_line(path, "cannot be read as arrays of numpy"),
        open(path, "rb", opener=only_regular) as file,
        zipfile.ZipFile(file) as archive,
    ):
        shapes = {}
        for member in archive.namelist():
            with archive.open(member) as stream:
                size = archive.getinfo(member).file_size
                shapes[member.removesuffix(".npy")] = read_header(stream, size).shape
        names = [n for n in shapes if n == name or (not name and usable(shapes[n]))]
        if len(names) != 1:
            listed = ", ".join(f"{n} {shape}" for n, shape in list(shapes.items())[:5]) or "nothing"
            what = f"the array {name}" if name else "one array of a known detector"
            hint = f"Name one: {path}:{names[0]}" if names else ""
            raise FileFormatError(path, f"expected {what}, found {listed}.", hint=hint)
        size = archive.getinfo(f"{names[0]}.npy").file_size
        if size > MOST_EXPANDED:
            raise ValueError(f"it expands to more than {MOST_EXPANDED >> 20} MB")
        with archive.open(f"{names[0]}.npy") as stream:
            return _values(stream, size)


@contextmanager
def opened_archive(path: str | os.PathLike[str], expected: str) -> Iterator[Archive]:
    """Open an ``.npz`` file as `numpy.savez` writes it: not compressed.

    Parameters
    ----------
    expected : what the file should be, for the message.

    Raises
    ------
    FileFormatError
        Instead of whatever goes wrong while it is open: it is damaged or something else.
    """
    with (
        _one_line(path, f"expected {expected}; it cannot be used"),
        open(path, "rb", opener=only_regular) as file,
        zipfile.ZipFile(file) as archive,
    ):
        yield Archive(archive)


class Archive:
    """Arrays of an archive by name."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self._archive.namelist()

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read an array; KeyError if there is none of this name."""
        member = self._archive.getinfo(f"{name}.npy")
        if member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        with self._archive.open(member) as stream:
            return _values(stream, min(member.file_size, member.compress_size))


def _values(stream: IO[bytes], size: int) -> NDArray[Any]:
    header = read_header(stream, size)
    buffer = np.empty(header.values, header.dtype)
    left = memoryview(buffer.view(np.uint8)) if buffer.nbytes else memoryview(b"")
    while left:
        count = stream.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise ValueError("it was cut short while it was read")
        left = left[count:]
    stream.read(1)  # at its end the checksum of an archive member is compared
    return buffer.reshape(header.shape, order="F" if header.by_columns else "C")


@contextmanager
def _one_line(path: str | os.PathLike[str], problem: str) -> Iterator[None]:
    try:
        yield
    except FileFormatError:
        raise
    except Exception as error:  # numpy and zipfile raise nearly any kind on damaged files
        why = getattr(error, "strerror", None) or first_line(error)
        raise FileFormatError(path, f"{problem} ({why[:200]}).") from error
