"""Text files of per-pixel constants: ``#`` comments, then numbers in C order.

The usual shape is a line for each row of a module; any shape with the right count is read (psana
re-shapes it). Without a ``# DTYPE`` comment the numbers are float32.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.errors import FileFormatError
from workbench.files import read_regular, replacing

_DTYPE = re.compile(rb"^[ \t]*#[ \t]*DTYPE[ \t]+(\S+)", re.MULTILINE)
_TYPES: dict[str, DTypeLike] = {
    "float": np.float32, "float32": np.float32, "float64": np.float64, "double": np.float64,
    "int": np.int64, "int16": np.int16, "int32": np.int32, "int64": np.int64,
    "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
}  # fmt: skip
_LONGEST = 400_000_000
"""Bytes; the largest sensible file (2.3 million numbers) has a tenth of this."""
_LARGE = 1_000_000
"""Bytes; for less the compiled loop is not loaded."""


def read_constants_file(
    path: str | os.PathLike[str], count: int | None = None, dtype: DTypeLike | None = None
) -> NDArray[Any]:
    """Numbers of a constants file, flat.

    Parameters
    ----------
    path : file to read.
    count : how many numbers it must hold, if that is known.
    dtype : wanted type; default what the file declares, else float32.

    Raises
    ------
    FileFormatError
        If the file cannot be read, holds something other than numbers, or not `count` of them.
    """
    try:
        size = os.stat(path).st_size
        if size > _LONGEST:
            raise FileFormatError(path, f"{size} bytes are too many for a file of constants.")
        content = read_regular(path)
    except OSError as error:
        raise FileFormatError(path, f"cannot be read ({error.strerror}).") from error
    return parse_constants(content, count, dtype, name=path)


def parse_constants(
    content: bytes,
    count: int | None = None,
    dtype: DTypeLike | None = None,
    name: str | os.PathLike[str] = "constants",
) -> NDArray[Any]:
    """Numbers in the text of a constants file; see `read_constants_file`."""
    numbers, comments = _without_comments(content)
    if dtype is None:
        declared = _DTYPE.search(comments)
        dtype = np.float32
        if declared is not None:
            word = declared.group(1).decode("ascii", "replace")
            if word not in _TYPES:
                raise FileFormatError(
                    name, f"unknown DTYPE {word!r}; expected one of {', '.join(_TYPES)}."
                )
            dtype = _TYPES[word]
    if not numbers.strip():
        values = np.empty(0)
    else:
        try:
            values = _numbers(numbers)
        except (ValueError, DeprecationWarning):
            raise _bad_number(content, name) from None
    if count is not None and values.size != count:
        raise FileFormatError(
            name,
            f"expected {count} numbers, found {values.size}.",
            hint="Is it a constants file of this detector?",
        )
    if np.issubdtype(dtype, np.integer) and values.size:
        limits = np.iinfo(np.dtype(dtype))
        with np.errstate(invalid="ignore"):
            if not np.all((values == np.rint(values)) & (values >= limits.min)
                          & (values <= limits.max)):  # fmt: skip
                raise FileFormatError(
                    name, f"expected whole numbers that fit {limits.dtype}, found others."
                )
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def _without_comments(content: bytes) -> tuple[bytes, bytes]:
    """Text without the lines that begin with ``#``, and these lines.

    A regular expression that tries each line takes as long as reading the numbers.
    """
    rest, comments, place = [], [], 0
    while (mark := content.find(b"#", place)) >= 0:
        start = content.rfind(b"\n", place, mark) + 1 or place
        end = content.find(b"\n", mark)
        end = len(content) if end < 0 else end
        if content[start:mark].strip(b" \t"):
            rest.append(content[place:end])
        else:
            rest.append(content[place:start])
            comments.append(content[start:end])
        place = end
    rest.append(content[place:])
    return b"".join(rest), b"\n".join(comments)


def _numbers(text: bytes) -> NDArray[np.float64]:
    """Read numbers with spaces between; a large text of plain decimals is read by a compiled loop.

    Raises
    ------
    ValueError, DeprecationWarning
        If something is no number.
    """
    if len(text) > _LARGE:
        from workbench.constants.number_loops import read_decimals

        values = np.empty(len(text) // 2 + 1)
        count = read_decimals(np.frombuffer(text, np.uint8), values)
        if count >= 0:
            return values[:count].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy < 2.4 only warns
        return np.fromstring(text, dtype=np.float64, sep=" ")


def write_constants_file(
    values: NDArray[Any],
    path: str | os.PathLike[str],
    header: Mapping[str, object] | Sequence[str] = (),
    *,
    overwrite: bool = False,
) -> None:
    """Write constants so that reading gives the same numbers back (float32 or integers).

    Parameters
    ----------
    values : array; its last axis is the row of the text, all before are lines.
    path : file to write.
    header : lines of the comment at the top, or a mapping of names to values.
    overwrite : False refuses to replace a file.
    """
    lines = [f"{key} {value}" for key, value in header.items()] if isinstance(
        header, Mapping) else list(header)  # fmt: skip
    kind = "float32"
    if np.issubdtype(values.dtype, np.integer):
        kind = "int32" if not values.size or np.abs(values).max() < 2**31 else "int64"
    lines += [f"DTYPE {kind}", f"NDIM {values.ndim}"]
    lines += [f"DIM:{axis + 1} {size}" for axis, size in enumerate(values.shape)]
    table = values.reshape(-1, values.shape[-1])
    form = " ".join(["%.9g" if kind == "float32" else "%d"] * table.shape[1])
    with (
        replacing(path, overwrite=overwrite) as temporary,
        temporary.open("w", encoding="utf-8", errors="replace") as file,
    ):
        for line in lines:
            file.write("# " + " ".join(str(line).split()) + "\n")
        for row in table:  # a row at a time: the whole table as Python numbers needs 100 MB
            file.write(form % tuple(row.tolist()) + "\n")


def _bad_number(content: bytes, name: str | os.PathLike[str]) -> FileFormatError:
    """Find the line that is not made of numbers."""
    for number, line in enumerate(content.splitlines(), start=1):
        if line.lstrip().startswith(b"#"):
            continue
        for word in line.split():
            try:
                float(word)
            except ValueError:
                shown = word[:20].decode("ascii", "backslashreplace")
                return FileFormatError(name, f"expected numbers, found {shown!r}.", line=number)
    return FileFormatError(name, "expected numbers separated by blanks.")
