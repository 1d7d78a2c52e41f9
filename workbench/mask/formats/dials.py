"""``mask.pickle`` of DIALS and cctbx: a tuple of one ``flex.bool`` per panel, True = good.

The 64 panels are the ASICs in the order of `workbench.detector.asic_names`, each 185 × 194.
Neither side needs cctbx: the writer puts down the pickle's operations itself (protocol 2, as
Python 2 and 3 read it), the reader interprets them as data and executes nothing.

Format, as ``scitbx_array_family_flex_ext`` of cctbx_project writes it: each array is
``bool()`` with the state ``(grid, bytes)``; the bytes begin with one that says how many bytes
the element count takes (plus one), the count, little-endian, and then one character ``1`` or
``0`` per pixel in C order.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.detector import ASIC_COLUMNS, ASICS, ROWS, asic_stack
from workbench.errors import FileFormatError
from workbench.files import replacing
from workbench.mask.formats.opcodes import FLEX, Call, Machine, PickleRefused
from workbench.mask.model import Mask

POLARITY = "True (1) = good"
MAX_BYTES = 64 * 2**20
"""Largest file (uncompressed) that is read; a CSPAD mask has 2.3 MB."""
GZIP_MAGIC = b"\x1f\x8b"


def write(mask: Mask, path: str | os.PathLike[str]) -> None:
    """Write ``mask.pickle``; compressed if the name ends in ``.gz``, as ``easy_pickle`` does."""
    stream = to_bytes(asic_stack(mask.good))
    if Path(path).suffix == ".gz":
        stream = gzip.compress(stream, compresslevel=6, mtime=0)
    with replacing(path) as temporary:
        temporary.write_bytes(stream)


def read(path: str | os.PathLike[str]) -> Mask:
    """Read a mask pickle of any protocol, made by Python 2 or 3, compressed or not.

    Raises
    ------
    FileFormatError
        If it cannot be read, is not a mask, or is the mask of another detector.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileFormatError(path, f"cannot be read ({error.strerror}).") from error
    if data.startswith(GZIP_MAGIC):
        data = _decompressed(data, path)
    if len(data) > MAX_BYTES:
        raise FileFormatError(path, f"has more than {MAX_BYTES} bytes, too many for a mask.")
    try:
        return Mask.from_good(from_bytes(data), {"file": os.fspath(path), "format": "dials"})
    except PickleRefused as problem:
        raise FileFormatError(
            path, f"not a DIALS mask of a CSPAD: {problem}.", hint="Nothing in it was executed."
        ) from None


def to_bytes(panels: NDArray) -> bytes:
    """Pickle (protocol 2) of panels ``(n, rows, columns)``, True = good."""
    rows, columns = panels.shape[1:]
    size = rows * columns
    width = (size.bit_length() + 7) // 8
    header = bytes([width + 1]) + size.to_bytes(width, "little")
    shape = _integer(rows) + _integer(columns) + b"\x86"
    grid = (
        f"c{FLEX}\ngrid\n".encode() + b"K\x00K\x00\x86" + shape + b"\x88\x87R"  # grid(…, True)
        + shape + b"b"  # its focus
    )  # fmt: skip
    pieces = [b"\x80\x02("]
    for panel in np.ascontiguousarray(panels, dtype=bool):
        pixels = (panel.view(np.uint8).reshape(-1) + ord("0")).tobytes()
        # Bytes as a text with its encoding is what both Python 2 and 3 take in protocol 2.
        text = (header + pixels).decode("latin-1").encode("utf-8")
        pieces += [
            f"c{FLEX}\nbool\n)R".encode(),
            grid,
            b"c_codecs\nencode\nX" + len(text).to_bytes(4, "little") + text,
            b"X\x06\x00\x00\x00latin1\x86R",
            b"\x86b",
        ]
    return b"".join([*pieces, b"t."])


def from_bytes(data: bytes) -> NDArray[np.bool_]:
    """Panels ``(64, 185, 194)`` of a pickle, True = good.

    Raises
    ------
    PickleRefused
        If the pickle is anything else.
    """
    panels = Machine(data).run()
    if isinstance(panels, Call):
        raise PickleRefused("it holds one array, not the 64 panels of a full CSPAD")
    if not isinstance(panels, (tuple, list)):
        raise PickleRefused(f"it holds a {type(panels).__name__}, not a tuple of panels")
    if len(panels) != ASICS:
        raise PickleRefused(f"it has {len(panels)} panels, a full CSPAD has {ASICS}")
    good = np.empty((ASICS, ROWS, ASIC_COLUMNS), dtype=bool)
    for number, panel in enumerate(panels):
        good[number] = _panel(panel, number)
    return good


def _panel(panel: Any, number: int) -> NDArray[np.bool_]:
    match panel:
        case Call("bool", (), (Call("grid") as grid, bytes() as content)):
            pass
        case _:
            raise PickleRefused(f"panel {number} is not a flex.bool")
    focus = grid.state
    match grid.arguments:
        case ((0, 0), (int(), int()) as ends, True) if focus is None or focus == ends:
            pass
        case _:
            raise PickleRefused(f"the grid of panel {number} is not that of a plain image")
    if ends != (ROWS, ASIC_COLUMNS):
        raise PickleRefused(
            f"panel {number} has {ends[0]} × {ends[1]} pixels, an ASIC has {ROWS} × {ASIC_COLUMNS}"
        )
    width = content[0] if content else 0
    claimed = int.from_bytes(content[1:width], "little") if 0 < width <= 9 else -1
    pixels = np.frombuffer(content, np.uint8)[width:]
    if claimed != ROWS * ASIC_COLUMNS or pixels.size != claimed:
        raise PickleRefused(
            f"panel {number} announces {claimed} pixels and holds {pixels.size}, "
            f"an ASIC has {ROWS * ASIC_COLUMNS}"
        )
    good = pixels == ord("1")
    if not np.all(good | (pixels == ord("0"))):
        raise PickleRefused(f"panel {number} holds other characters than 0 and 1")
    return good.reshape(ROWS, ASIC_COLUMNS)


def _integer(value: int) -> bytes:
    if value < 256:
        return b"K" + bytes([value])
    return b"J" + value.to_bytes(4, "little")


def _decompressed(data: bytes, path: str | os.PathLike[str]) -> bytes:
    unpack = zlib.decompressobj(wbits=31)
    try:
        out = unpack.decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise FileFormatError(path, f"not a readable gzip file ({error}).") from error
    if not unpack.eof and len(out) <= MAX_BYTES:
        raise FileFormatError(path, "the gzip file is truncated.", hint="Copy it again.")
    return out
