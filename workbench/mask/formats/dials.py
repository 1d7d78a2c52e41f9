"""``mask.pickle`` of DIALS and cctbx: a tuple of one ``flex.bool`` per panel, True = good.

The panels are the ASICs in the order of `Detector.asic_names`. Neither side needs cctbx: the
writer puts down the pickle's operations itself (protocol 2, as Python 2 and 3 read it), the reader
(`workbench.mask.formats.unpickle`) executes nothing.

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

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DETECTORS, Detector
from workbench.errors import FileFormatError
from workbench.files import read_regular, replacing
from workbench.mask.formats.unpickle import FLEX, FlexBool, Grid, PickleRefused, unpickle
from workbench.mask.mask import Mask

MAX_BYTES = 32 * 2**20
"""Largest file (uncompressed) that is read; a mask has a byte for each pixel."""
GZIP_MAGIC = b"\x1f\x8b"


def write(mask: Mask, path: str | os.PathLike[str]) -> None:
    """Write ``mask.pickle``; compressed if the name ends in ``.gz``, as ``easy_pickle`` does."""
    stream = to_bytes(mask.detector.asic_stack(mask.good))
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
        data = read_regular(path, MAX_BYTES + 1)
    except OSError as error:
        raise FileFormatError(path, f"cannot be read ({error.strerror}).") from error
    if data.startswith(GZIP_MAGIC):
        data = _decompressed(data, path)
    if len(data) > MAX_BYTES:
        raise FileFormatError(path, f"has more than {MAX_BYTES} bytes, too many for a mask.")
    try:
        detector, panels = from_bytes(data)
    except PickleRefused as problem:
        raise FileFormatError(
            path, f"not a DIALS mask: {problem}.", hint="Nothing in it was executed."
        ) from None
    good = detector.from_asic_stack(panels)
    return Mask.from_good(good, {"file": os.fspath(path), "format": "dials"})


def to_bytes(panels: NDArray[np.bool_]) -> bytes:
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


def from_bytes(data: bytes) -> tuple[Detector, NDArray[np.bool_]]:
    """Detector and panels ``(ASICs, rows, columns)`` of a pickle, True = good.

    Raises
    ------
    PickleRefused
        If the pickle is anything else.
    """
    panels = unpickle(data)
    if isinstance(panels, Grid):
        raise PickleRefused("it holds one array, not one for each ASIC")
    if not isinstance(panels, (tuple, list)):
        raise PickleRefused(f"it holds a {type(panels).__name__}, not a tuple of panels")
    candidates = [detector for detector in DETECTORS if detector.asics == len(panels)]
    if not candidates:
        panel_counts = ", ".join(f"{d.name} has {d.asics}" for d in DETECTORS)
        raise PickleRefused(f"it has {len(panels)} panels ({panel_counts})")
    # several detectors have as many ASICs: the size of the first one tells
    fitting = [detector for detector in candidates if _is_of(detector, panels[0])]
    detector = fitting[0] if fitting else candidates[0]
    good = np.empty((detector.asics, *detector.asic_shape), dtype=bool)
    for number, panel in enumerate(panels):
        good[number] = _panel(panel, number, detector)
    return detector, good


def _is_of(detector: Detector, panel: object) -> bool:
    match panel:
        case FlexBool(state=(Grid(arguments=(_, ends, *_)), _)):
            return ends == detector.asic_shape
    return False


def _panel(panel: object, number: int, detector: Detector) -> NDArray[np.bool_]:
    match panel:
        case FlexBool(arguments=(), state=(Grid() as grid, bytes() as content)):
            pass
        case _:
            raise PickleRefused(f"panel {number} is not a flex.bool")
    focus = grid.state
    match grid.arguments:
        case ((0, 0), (int(), int()) as ends, True) if focus is None or focus == ends:
            pass
        case _:
            raise PickleRefused(f"the grid of panel {number} is not that of a plain image")
    rows, columns = detector.asic_shape
    if ends != (rows, columns):
        size = f"{ends[0]} × {ends[1]}" if max(map(abs, ends)) < 10**9 else "too many"
        raise PickleRefused(
            f"panel {number} has {size} pixels, an ASIC of the {detector.name} has "
            f"{rows} × {columns}"
        )
    width = content[0] if content else 0
    claimed = int.from_bytes(content[1:width], "little") if 0 < width <= 9 else -1
    pixels = np.frombuffer(content, np.uint8)[width:]
    if claimed != rows * columns or pixels.size != claimed:
        raise PickleRefused(
            f"panel {number} announces {claimed} pixels and holds {pixels.size}, "
            f"an ASIC has {rows * columns}"
        )
    good = pixels == ord("1")
    if not np.all(good | (pixels == ord("0"))):
        raise PickleRefused(f"panel {number} holds other characters than 0 and 1")
    return np.asarray(good).reshape(rows, columns)


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
