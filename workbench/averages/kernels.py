"""The loops over pixels, compiled by numba; they release the GIL.

Raw pixels are reached through addresses, so events are read where the reader found them (in the
mapped file) and nothing is assembled or copied. A block of events is gone through tile by tile:
the accumulators of a tile stay in the cache while all events of the block pass over it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

from workbench.corrections.kernels import BINS, correct, section_common_mode

TILE = 8192
"""Pixels; sum, sum of squares, maximum and minimum of a tile take 160 kB of level 2 cache."""


def _int16_at(context: Any, address: Any) -> Any:
    """Turn an address into a pointer to int16 (compiled code only)."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

    return types.CPointer(types.int16)(address), generate


int16_at: Any = intrinsic(_int16_at)


@njit(nogil=True, cache=True)
def _add_four(a, b, c, d, sums, squares, maximum, minimum):  # type: ignore[no-untyped-def]
    # four events per pass: the accumulators are loaded and stored once for four pixels read
    for i in range(sums.size):
        p, q, r, s = np.int32(a[i]), np.int32(b[i]), np.int32(c[i]), np.int32(d[i])
        sums[i] += p + q + r + s
        # a sum of two squares of int16 fits 32 bits without sign
        squares[i] += np.int64(np.uint32(p * p) + np.uint32(q * q)) + np.int64(
            np.uint32(r * r) + np.uint32(s * s)
        )
        maximum[i] = max(maximum[i], max(max(a[i], b[i]), max(c[i], d[i])))
        minimum[i] = min(minimum[i], min(min(a[i], b[i]), min(c[i], d[i])))


@njit(nogil=True, cache=True)
def _add_one(a, sums, squares, maximum, minimum):  # type: ignore[no-untyped-def]
    for i in range(sums.size):
        p = np.int32(a[i])
        sums[i] += p
        squares[i] += np.int64(p) * np.int64(p)
        maximum[i] = max(maximum[i], a[i])
        minimum[i] = min(minimum[i], a[i])


@njit(nogil=True, cache=True)
def add_raw(addresses, section, sums, squares, maximum, minimum):  # type: ignore[no-untyped-def]
    """Add the int16 pixels at `addresses[:, section]` to the accumulators of that section.

    Parameters
    ----------
    addresses : int64 ``(events, sections)``; 0 where an event lacks the section.
    section : which one.
    sums, squares : int64 ``(sections, pixels)``, exact.
    maximum, minimum : int16 ``(sections, pixels)``.

    Returns
    -------
    Number of events that had the section.
    """
    pixels = sums.shape[1]
    present = np.empty(addresses.shape[0], np.int64)
    count = 0
    for event in range(addresses.shape[0]):
        if addresses[event, section] != 0:
            present[count] = addresses[event, section]
            count += 1
    for start in range(0, pixels, TILE):
        stop = min(pixels, start + TILE)
        s, q = sums[section, start:stop], squares[section, start:stop]
        high, low = maximum[section, start:stop], minimum[section, start:stop]
        event = 0
        while event + 4 <= count:
            a = carray(int16_at(present[event]), pixels)[start:stop]
            b = carray(int16_at(present[event + 1]), pixels)[start:stop]
            c = carray(int16_at(present[event + 2]), pixels)[start:stop]
            d = carray(int16_at(present[event + 3]), pixels)[start:stop]
            _add_four(a, b, c, d, s, q, high, low)
            event += 4
        while event < count:
            _add_one(carray(int16_at(present[event]), pixels)[start:stop], s, q, high, low)
            event += 1
    return count


@njit(nogil=True, cache=True)
def finish_raw(  # type: ignore[no-untyped-def]
    n, sums, squares, maximum, minimum, offset, factor, mean, m2, high, low
):
    """Mean, m2, maximum and minimum of ``factor * (x - offset)`` from exact sums of x.

    All arrays are flat; `n` is the count of all these pixels. The sums are first shifted to the
    nearest whole number of the mean, exactly, so a pixel that never changed gets m2 = 0.
    """
    for i in range(sums.size):
        centre = np.int64(np.rint(sums[i] / n))
        s = sums[i] - n * centre
        q = squares[i] - 2 * centre * sums[i] + n * centre * centre
        g = factor[i]
        mean[i] = g * ((centre - offset[i]) + s / n)
        m2[i] = g * g * max(q - s * (s / n), 0.0)
        one, other = g * (maximum[i] - offset[i]), g * (minimum[i] - offset[i])
        high[i], low[i] = max(one, other), min(one, other)


@njit(nogil=True, cache=True)
def _add_corrected(a, shift, sums, squares, maximum, minimum):  # type: ignore[no-untyped-def]
    for i in range(sums.size):
        away = np.float64(a[i]) - shift[i]
        sums[i] += away
        squares[i] += away * away
        maximum[i] = max(maximum[i], a[i])
        minimum[i] = min(minimum[i], a[i])


@njit(nogil=True, cache=True)
def _add_four_corrected(a, b, c, d, shift, sums, squares, maximum, minimum):  # type: ignore[no-untyped-def]
    for i in range(sums.size):
        k = shift[i]
        p, q, r, s = np.float64(a[i]), np.float64(b[i]), np.float64(c[i]), np.float64(d[i])
        p, q, r, s = p - k, q - k, r - k, s - k
        sums[i] += (p + q) + (r + s)
        squares[i] += (p * p + q * q) + (r * r + s * s)
        maximum[i] = max(maximum[i], max(max(a[i], b[i]), max(c[i], d[i])))
        minimum[i] = min(minimum[i], min(min(a[i], b[i]), min(c[i], d[i])))


@njit(nogil=True, cache=True)
def add_corrected(  # type: ignore[no-untyped-def]
    addresses, section, before, columns, offset, good, algorithm, parameters, factor, second,
    shift, sums, squares, maximum, minimum,
):  # fmt: skip
    """Correct the pixels at `addresses[:, section]` and add them to that section's accumulators.

    Parameters
    ----------
    addresses : int64 ``(events, sections)``; 0 where an event lacks the section.
    section, before : which one; how many events it has already.
    columns : pixels of a row.
    offset, good, factor, second, algorithm, parameters : of `workbench.corrections.Corrector`,
        for this section.
    shift : float64, first value of each pixel; sums are of the differences from it, so that no
        digits are lost (set here when `before` is 0).
    sums, squares, maximum, minimum : float64, float64, float32, float32, flat.

    Returns
    -------
    Number of events that had the section.
    """
    pixels = sums.size
    present = np.empty(addresses.shape[0], np.int64)
    common = np.empty(addresses.shape[0], np.float32)
    bins = np.empty(pixels, np.int16)
    histogram = np.empty((4, BINS + 1), np.int32)
    count = 0
    for event in range(addresses.shape[0]):
        if addresses[event, section] != 0:
            present[count] = addresses[event, section]
            common[count] = section_common_mode(
                carray(int16_at(present[count]), pixels), offset, good, algorithm, parameters,
                columns, bins, histogram,
            )  # fmt: skip
            count += 1
    if count == 0:
        return 0
    part = TILE // 2
    work = np.empty((4, part), np.float32)
    for start in range(0, pixels, part):
        stop = min(pixels, start + part)
        size = stop - start
        here, times = offset[start:stop], factor[start:stop]
        also = second[start:stop] if second.size else second
        k, s, q = shift[start:stop], sums[start:stop], squares[start:stop]
        high, low = maximum[start:stop], minimum[start:stop]
        for event in range(count):
            lane = event % 4
            raw = carray(int16_at(present[event]), pixels)[start:stop]
            correct(raw, here, common[event], times, also, work[lane, :size])
            if before == 0 and event == 0:
                k[:] = work[0, :size]
            if lane == 3:
                _add_four_corrected(
                    work[0, :size], work[1, :size], work[2, :size], work[3, :size],
                    k, s, q, high, low,
                )  # fmt: skip
        for lane in range(count % 4):
            _add_corrected(work[lane, :size], k, s, q, high, low)
    return count


@njit(nogil=True, cache=True)
def add_frame(values, count, mean, m2, maximum, minimum):  # type: ignore[no-untyped-def]
    """Add one frame (flat, any number type) to running statistics; NaN does not count."""
    for i in range(values.size):
        value = np.float64(values[i])
        if value == value:  # not NaN
            count[i] += 1
            delta = value - mean[i]
            mean[i] += delta / count[i]
            m2[i] += delta * (value - mean[i])
            maximum[i] = max(maximum[i], value)
            minimum[i] = min(minimum[i], value)
