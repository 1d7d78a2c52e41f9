"""The loops that expand compressed pixels, compiled when first used."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def hist16(stream, bitmap, base, out):  # type: ignore[no-untyped-def]
    """Fill `out` with 16-bit pixels; False if the stream is too short."""
    place = 0
    for i in range(out.size):
        if bitmap[i >> 4] >> (i & 15) & 1:
            if place >= stream.size:
                return False
            out[i] = base + stream[place]
            place += 1
        else:
            if place + 1 >= stream.size:
                return False
            out[i] = stream[place] | stream[place + 1] << 8
            place += 2
    return True


@njit(nogil=True, cache=True)
def histn(stream, bitmap, base, mapped, unmapped, out):  # type: ignore[no-untyped-def]
    """Fill `out` with pixels of `mapped` or `unmapped` bits; False if the stream is too short."""
    place = np.int64(0)
    window, held = np.uint64(0), 0
    for i in range(out.size):
        near = bitmap[i >> 4] >> (i & 15) & 1
        bits = mapped if near else unmapped
        while held < bits:
            if place >= stream.size:
                return False
            window |= np.uint64(stream[place]) << np.uint64(held)
            place += 1
            held += 8
        value = window & ((np.uint64(1) << np.uint64(bits)) - np.uint64(1))
        window >>= np.uint64(bits)
        held -= bits
        out[i] = value + np.uint64(base) if near else value
    return True
