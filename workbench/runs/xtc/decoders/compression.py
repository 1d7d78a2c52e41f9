"""Compressed payloads (``pdsdata/compress``): engines None, Hist16 and HistN.

A compressed payload is a sequence of blocks, one per quadrant: the element's header verbatim,
then the compressed pixels with the sizes before and after.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.runs.xtc.decoders.base import PayloadError

ENGINES = {0: "None", 1: "Hist16", 2: "HistN", 3: "Hist32"}
_BLOCK = Struct("<4I")


class _Bad(Exception):
    """The compressed bytes contradict themselves."""


def decompress(
    payload: bytes, header_size: int, limit: int, most: int
) -> list[tuple[bytes, NDArray[np.int16]]]:
    """Header and pixels of each block of a compressed payload.

    Parameters
    ----------
    payload : the bytes of one object.
    header_size : bytes of the element header that each block must carry.
    limit : largest size in bytes that the pixels of one block may have.
    most : number of blocks expected; bytes after them are ignored.

    Raises
    ------
    PayloadError
        If sizes are impossible, a checksum differs or the engine is unknown.
    """

    def bad(place: int, problem: str) -> PayloadError:
        return PayloadError(f"compressed data: {problem}.", place)

    blocks: list[tuple[bytes, NDArray[np.int16]]] = []
    place = 0
    while len(blocks) < most and len(payload) - place >= 4:
        (size,) = unpack_from("<I", payload, place)
        start = place + 4
        if size != header_size:
            raise bad(place, f"expected a header of {header_size} bytes, found {size}")
        if len(payload) - start < size + _BLOCK.size:
            raise bad(place, f"a block needs {size + 20} bytes, {len(payload) - place} are left")
        header = payload[start : start + size]
        engine, _, pixel_bytes, packed_bytes = _BLOCK.unpack_from(payload, start + size)
        data = start + size + _BLOCK.size
        if packed_bytes > len(payload) - data:
            raise bad(data, f"expected {packed_bytes} bytes, {len(payload) - data} are left")
        if pixel_bytes > limit or pixel_bytes % 2:
            raise bad(data, f"expected at most {limit} bytes of pixels, found {pixel_bytes}")
        try:
            pixels = _pixels(engine, payload[data : data + packed_bytes], pixel_bytes)
        except _Bad as error:
            raise bad(data, f"{ENGINES.get(engine, engine)}: {error}") from error
        blocks.append((header, pixels))
        used = 4 + size + _BLOCK.size + packed_bytes
        place += used + -used % 4
    return blocks


def _pixels(engine: int, data: bytes, size: int) -> NDArray[np.int16]:
    if engine == 0:
        if len(data) < size:
            raise _Bad(f"expected {size} bytes, found {len(data)}")
        return np.frombuffer(data, "<i2", size // 2)
    if engine == 1:
        return _hist16(data, size // 2)
    if engine == 2:
        return _histn(data, size)
    raise _Bad("this engine is not supported")


def _hist16(data: bytes, count: int) -> NDArray[np.int16]:
    """16-bit pixels: near ``base`` as one byte, others as two, a bitmap telling which."""
    flag, checksum, size = _head(data, "<3I")
    body = data[12 : 12 + size]
    if len(body) < size:
        raise _Bad(f"expected {size} bytes, found {len(body)}")
    if flag == 0:
        return _raw(body, "<u2", count, checksum)
    if flag not in (1, 3):
        raise _Bad(f"expected flag 0, 1 or 3, found {flag}")
    base, length = _head(body, "<HI")
    stream, bitmap = _stream_and_bitmap(body, 6, length, run_length=flag == 3, count=count)
    from workbench.runs.xtc.decoders.compression_loops import hist16

    out = np.empty(count, np.uint16)
    if not hist16(np.frombuffer(stream, np.uint8), bitmap, base, out):
        raise _Bad("the pixel stream is too short")
    return _checked(out, checksum)


def _histn(data: bytes, size: int) -> NDArray[np.int16]:
    """Pixels of 1 or 2 bytes as ``base`` plus few bits, or as many bits, a bitmap telling."""
    flag, depth, checksum, length = _head(data, "<HHII")
    if depth not in (1, 2):
        raise _Bad(f"expected a depth of 1 or 2 bytes, found {depth}")
    body = data[12 : 12 + length]
    if len(body) < length:
        raise _Bad(f"expected {length} bytes, found {len(body)}")
    dtype, count = ("<u2", size // 2) if depth == 2 else ("<u1", size)
    if flag == 0:
        return _raw(body, dtype, count, checksum)
    if flag not in (1, 3):
        raise _Bad(f"expected flag 0, 1 or 3, found {flag}")
    unmapped, mapped, base, length = _head(body, "<HHII")
    if max(unmapped, mapped) > 32:
        raise _Bad(f"expected at most 32 bits per pixel, found {max(unmapped, mapped)}")
    stream, bitmap = _stream_and_bitmap(body, 12, length, run_length=flag == 3, count=count)
    from workbench.runs.xtc.decoders.compression_loops import histn

    out = np.empty(count, np.uint16)
    if not histn(np.frombuffer(stream, np.uint8), bitmap, base, mapped, unmapped, out):
        raise _Bad("the pixel stream is too short")
    return _checked(out if depth == 2 else out.astype(np.uint8), checksum)


def _head(data: bytes, layout: str) -> tuple[int, ...]:
    fields = Struct(layout)
    if len(data) < fields.size:
        raise _Bad(f"expected {fields.size} bytes of header, found {len(data)}")
    return fields.unpack_from(data)


def _raw(body: bytes, dtype: str, count: int, checksum: int) -> NDArray[np.int16]:
    if len(body) < count * np.dtype(dtype).itemsize:
        raise _Bad(f"expected {count} pixels, found {len(body)} bytes")
    return _checked(np.frombuffer(body, dtype, count), checksum)


def _checked(pixels: NDArray[Any], checksum: int) -> NDArray[np.int16]:
    actual = int(pixels.sum(dtype=np.uint64)) & 0xFFFFFFFF
    if actual != checksum:
        raise _Bad(f"expected checksum {checksum}, found {actual}")
    return pixels.view("<i2")


def _stream_and_bitmap(
    body: bytes, place: int, length: int, *, run_length: bool, count: int
) -> tuple[bytes, NDArray[np.uint16]]:
    end = place + length
    if len(body) < end + 4:
        raise _Bad(f"expected {length} bytes of pixel stream, found {len(body) - place}")
    (words,) = unpack_from("<I", body, end)
    if len(body) - end - 4 < 2 * words:
        raise _Bad(f"expected {words} words of bitmap, found {(len(body) - end - 4) // 2}")
    bitmap = np.frombuffer(body, "<u2", words, end + 4)
    needed = -(-count // 16)
    if run_length:
        runs = bitmap[: words - words % 2].reshape(-1, 2)
        # runs past the last pixel are cut, so a hostile count costs no memory
        ends = np.minimum(np.cumsum(runs[:, 0], dtype=np.int64), needed)
        bitmap = np.repeat(runs[:, 1], np.diff(ends, prepend=0))
        bitmap.flags.writeable = False  # as that of a file, so that the loops are compiled once
    if bitmap.size < needed:
        raise _Bad(f"expected a bitmap of {needed} words, found {bitmap.size}")
    return body[place:end], bitmap
