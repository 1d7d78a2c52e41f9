"""The loops over pixels, compiled by numba; they release the GIL.

Raw pixels are reached through addresses, so they are added where the reader put them and nothing
is assembled or copied. A block of events is gone through tile by tile:
the accumulators of a tile stay in the cache while all events of the block pass over it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from workbench.corrections.correction_loops import ZERO, correct, module_common_mode
from workbench.corrections.gain_range_loops import constants_by_bits, correct_ranges

TILE = 8192
"""Pixels; the accumulators of a tile take 160 kB of level 2 cache, and the 16 kB that a tile has in
each event are enough for the processor to read ahead."""
FOLD = 16
"""Events whose squares fit 32 bits without sign, with values of 14 bits."""
LARGEST = 2**14 - 1
"""Of values up to this `FOLD` squares fit; where there are larger ones, what was lost is added."""


class RawArrays(NamedTuple):
    """What `add_raw` adds to; all ``(modules, pixels)``."""

    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    maximum: NDArray[np.int16]
    minimum: NDArray[np.int16]


class CorrectedArrays(NamedTuple):
    """What `add_corrected` adds to; all ``(modules, pixels)``.

    Sums are of the differences from `shift`, the first value of each pixel, so that no digits are
    lost.
    """

    shift: NDArray[np.float64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    maximum: NDArray[np.float32]
    minimum: NDArray[np.float32]


class CentralArrays(NamedTuple):
    """Mean, sum of squared differences from it, maximum and minimum of each pixel; flat."""

    mean: NDArray[np.float64]
    m2: NDArray[np.float64]
    maximum: NDArray[np.float64]
    minimum: NDArray[np.float64]


def _int16_at(context: Any, address: Any) -> Any:
    """Turn an address into a pointer to int16 (compiled code only)."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

    return types.CPointer(types.int16)(address), generate


def _in_32_bits(operation: str) -> Any:
    """Arithmetic of int32 that stays in 32 bits (numba's own widens to 64, half as fast)."""

    def typed(context: Any, first: Any, second: Any) -> Any:
        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, operation)(*arguments)

        return types.int32(types.int32, types.int32), generate

    return intrinsic(typed)


int16_at: Any = intrinsic(_int16_at)
plus, times = _in_32_bits("add"), _in_32_bits("mul")


@njit(nogil=True, cache=True)
def _add_eight(a, b, c, d, e, f, g, h, sums, squares, maximum, minimum):  # type: ignore[no-untyped-def]
    # eight events per pass: the accumulators are loaded and stored once for eight pixels read
    for i in range(sums.size):
        p, q, r, s = np.int32(a[i]), np.int32(b[i]), np.int32(c[i]), np.int32(d[i])
        t, u, v, w = np.int32(e[i]), np.int32(f[i]), np.int32(g[i]), np.int32(h[i])
        low, high = plus(plus(p, q), plus(r, s)), plus(plus(t, u), plus(v, w))
        sums[i] = plus(sums[i], plus(low, high))
        low = plus(plus(times(p, p), times(q, q)), plus(times(r, r), times(s, s)))
        high = plus(plus(times(t, t), times(u, u)), plus(times(v, v), times(w, w)))
        squares[i] = plus(squares[i], plus(low, high))
        most = max(max(max(a[i], b[i]), max(c[i], d[i])), max(max(e[i], f[i]), max(g[i], h[i])))
        least = min(min(min(a[i], b[i]), min(c[i], d[i])), min(min(e[i], f[i]), min(g[i], h[i])))
        maximum[i] = max(maximum[i], most)
        minimum[i] = min(minimum[i], least)


@njit(nogil=True, cache=True)
def _add_one(a, sums, squares, maximum, minimum):  # type: ignore[no-untyped-def]
    for i in range(sums.size):
        p = np.int32(a[i])
        sums[i] = plus(sums[i], p)
        squares[i] = plus(squares[i], times(p, p))
        maximum[i] = max(maximum[i], a[i])
        minimum[i] = min(minimum[i], a[i])


@njit(nogil=True, cache=True)
def _fold(short_sums, short_squares, sums, squares):  # type: ignore[no-untyped-def]
    for i in range(sums.size):
        sums[i] += short_sums[i]
        squares[i] += np.int64(np.uint32(short_squares[i]))
        short_sums[i] = 0
        short_squares[i] = 0


@njit(nogil=True, cache=True)
def _beyond(maximum, minimum):  # type: ignore[no-untyped-def]
    most, least = np.int16(0), np.int16(0)
    for i in range(maximum.size):
        most = max(most, maximum[i])
        least = min(least, minimum[i])
    return most > LARGEST or least < -LARGEST


@njit(nogil=True, cache=True)
def _tile(present, event, start, size):  # type: ignore[no-untyped-def]
    return carray(int16_at(present[event] + 2 * start), size)


@njit(nogil=True, cache=True)
def _add_lost(present, first, stop, start, squares):  # type: ignore[no-untyped-def]
    # what 32 bits did not hold of the sum of squares of the events first … stop
    for i in range(squares.size):
        exact = np.int64(0)
        for event in range(first, stop):
            value = np.int64(_tile(present, event, start + i, 1)[0])
            exact += value * value
        squares[i] += exact >> 32 << 32


@njit(nogil=True, cache=True)
def _add_tile(  # type: ignore[no-untyped-def]
    present, start, short_sums, short_squares, sums, squares, maximum, minimum
):
    """Add one tile of the events at the addresses `present`; exact for all of int16."""
    size, count = sums.size, present.size
    first = event = ZERO
    while event < count:
        if event + 8 <= count:
            _add_eight(
                _tile(present, event, start, size), _tile(present, event + 1, start, size),
                _tile(present, event + 2, start, size), _tile(present, event + 3, start, size),
                _tile(present, event + 4, start, size), _tile(present, event + 5, start, size),
                _tile(present, event + 6, start, size), _tile(present, event + 7, start, size),
                short_sums, short_squares, maximum, minimum,
            )  # fmt: skip
            event += 8
        else:
            tile = _tile(present, event, start, size)
            _add_one(tile, short_sums, short_squares, maximum, minimum)
            event += 1
        if event - first == FOLD or event == count:
            _fold(short_sums, short_squares, sums, squares)
            if _beyond(maximum, minimum):
                _add_lost(present, first, event, start, squares)
            first = event


@njit(nogil=True, cache=True)
def add_raw(addresses, module, arrays):  # type: ignore[no-untyped-def]
    """Add the int16 pixels of one module.

    Parameters
    ----------
    addresses : int64 ``(events,)``, where the module's pixels are.
    arrays : `RawArrays`; sums and squares are exact.
    """
    pixels = arrays.sums.shape[1]
    short_sums, short_squares = np.zeros(TILE, np.int32), np.zeros(TILE, np.int32)
    for start in range(0, pixels, TILE):
        stop = min(pixels, start + TILE)
        _add_tile(
            addresses, start, short_sums[: stop - start], short_squares[: stop - start],
            arrays.sums[module, start:stop], arrays.squares[module, start:stop],
            arrays.maximum[module, start:stop], arrays.minimum[module, start:stop],
        )  # fmt: skip


@njit(nogil=True, cache=True)
def finish_raw(n, raw, offset, factor, out):  # type: ignore[no-untyped-def]
    """Statistics of ``factor * (x - offset)`` from exact sums of x.

    All arrays are flat; `raw` is a `RawArrays` of `n` events each, `out` a `CentralArrays` that is
    written. The sums are first shifted to the nearest whole number of the mean, exactly, so a
    pixel that never changed gets m2 = 0.
    """
    for i in range(offset.size):
        total = raw.sums[i]
        centre = np.int64(np.rint(total / n))
        s = total - n * centre
        q = raw.squares[i] - 2 * centre * total + n * centre * centre
        g = factor[i]
        out.mean[i] = g * ((centre - offset[i]) + s / n)
        out.m2[i] = g * g * max(q - s * (s / n), 0.0)
        high, low = g * (raw.maximum[i] - offset[i]), g * (raw.minimum[i] - offset[i])
        out.maximum[i], out.minimum[i] = max(high, low), min(high, low)


@njit(nogil=True, cache=True)
def _add_corrected(a, shift, sums, squares, maximum, minimum):  # type: ignore[no-untyped-def]
    for i in range(sums.size):
        away = np.float64(a[i]) - shift[i]
        sums[i] += away
        squares[i] += away * away
        maximum[i] = max(maximum[i], a[i])
        minimum[i] = min(minimum[i], a[i])


@njit(nogil=True, cache=True)
def _correct_four(  # type: ignore[no-untyped-def]
    a, b, c, d, common, offset, factor, second, out, maximum, minimum
):
    # four events per pass: constants and accumulators are loaded once for them; `second` may be
    # None, which numba compiles to a loop without it
    e, f, g, h = common[0], common[1], common[2], common[3]
    first, other, third, last = out[0], out[1], out[2], out[3]
    for i in range(maximum.size):
        zero, by = offset[i], factor[i]
        also = np.float32(1.0) if second is None else second[i]
        p = (((np.float32(a[i]) - zero) - e) * by) * also
        q = (((np.float32(b[i]) - zero) - f) * by) * also
        r = (((np.float32(c[i]) - zero) - g) * by) * also
        s = (((np.float32(d[i]) - zero) - h) * by) * also
        first[i], other[i], third[i], last[i] = p, q, r, s
        # in this order, or the compiler makes slow conditional stores of it
        maximum[i] = max(max(maximum[i], max(p, q)), max(r, s))
        minimum[i] = min(min(minimum[i], min(p, q)), min(r, s))


@njit(nogil=True, cache=True)
def _sum_four(corrected, shift, sums, squares):  # type: ignore[no-untyped-def]
    # apart from `_correct_four`: the processor takes twice as many float32 as float64 at once
    first, other, third, last = corrected[0], corrected[1], corrected[2], corrected[3]
    for i in range(sums.size):
        k = shift[i]
        t, u = np.float64(first[i]) - k, np.float64(other[i]) - k
        v, w = np.float64(third[i]) - k, np.float64(last[i]) - k
        sums[i] += (t + u) + (v + w)
        squares[i] += (t * t + u * u) + (v * v + w * w)


@njit(nogil=True, cache=True)
def add_corrected(addresses, module, begin, tables, arrays):  # type: ignore[no-untyped-def]
    """Correct the pixels of one module and add them.

    Parameters
    ----------
    addresses : as for `add_raw`.
    begin : True if nothing was added yet: `shift` is set then.
    tables : `workbench.corrections.corrector.Tables`.
    arrays : `CorrectedArrays`.
    """
    pixels, count = arrays.sums.shape[1], addresses.size
    common = np.empty(count, np.float32)
    for event in range(count):
        common[event] = module_common_mode(_tile(addresses, event, ZERO, pixels), tables, module)
    corrected = np.empty((4, TILE // 2), np.float32)
    for start in range(0, pixels, TILE // 2):
        stop = min(pixels, start + TILE // 2)
        size = stop - start
        offset, factor = tables.offset[module, start:stop], tables.factor[module, start:stop]
        second = tables.second[module, start:stop]
        shift, sums = arrays.shift[module, start:stop], arrays.sums[module, start:stop]
        squares = arrays.squares[module, start:stop]
        high, low = arrays.maximum[module, start:stop], arrays.minimum[module, start:stop]
        tile = corrected[0, :size]
        if begin:
            raw = _tile(addresses, ZERO, start, size)
            correct(raw, offset, common[0], factor, second, tile)
            for i in range(size):  # not by a slice: to compile its error message takes 2 s
                shift[i] = tile[i]
        for event in range(0, count - 3, 4):
            a = _tile(addresses, event, start, size)
            b = _tile(addresses, event + 1, start, size)
            c = _tile(addresses, event + 2, start, size)
            d = _tile(addresses, event + 3, start, size)
            four = common[event:]
            if second.size:
                _correct_four(a, b, c, d, four, offset, factor, second, corrected, high, low)
            else:
                _correct_four(a, b, c, d, four, offset, factor, None, corrected, high, low)
            _sum_four(corrected, shift, sums, squares)
        for event in range(count - count % 4, count):
            raw = _tile(addresses, event, start, size)
            correct(raw, offset, common[event], factor, second, tile)
            _add_corrected(tile, shift, sums, squares, high, low)


@njit(nogil=True, cache=True)
def _by_bits(word, first, second, third, fourth):  # type: ignore[no-untyped-def]
    # by comparing, which compilers vectorise, and not looked up; equal choices are left out
    value = fourth if word >= 3 << 14 else third
    value = value if word >= 2 << 14 else second
    return value if word >= 1 << 14 else first


@njit(nogil=True, cache=True)
def _corrected(word, mask, offset, factor):  # type: ignore[no-untyped-def]
    return (np.float32(np.int32(word & mask)) - offset) * factor


@njit(nogil=True, cache=True)
def _correct_with(a, b, c, d, mask, first, second, others, out):  # type: ignore[no-untyped-def]
    # four events per pass: constants are loaded once for them; `second` and `others` may be None,
    # which numba compiles to a loop without them
    out_a, out_b, out_c, out_d = out
    for i in range(a.size):
        e, p = first[0][i], first[1][i]
        f, q = (e, p) if second is None else (second[0][i], second[1][i])
        g, r = (f, q) if others is None else (others[0][i], others[1][i])
        h, s = (f, q) if others is None else (others[2][i], others[3][i])
        k, u, v, w = a[i], b[i], c[i], d[i]
        out_a[i] = _corrected(k, mask, _by_bits(k, e, f, g, h), _by_bits(k, p, q, r, s))
        out_b[i] = _corrected(u, mask, _by_bits(u, e, f, g, h), _by_bits(u, p, q, r, s))
        out_c[i] = _corrected(v, mask, _by_bits(v, e, f, g, h), _by_bits(v, p, q, r, s))
        out_d[i] = _corrected(w, mask, _by_bits(w, e, f, g, h), _by_bits(w, p, q, r, s))


@njit(nogil=True, cache=True)
def _largest(a, b, c, d):  # type: ignore[no-untyped-def]
    most = np.uint16(0)
    for i in range(a.size):
        most = max(most, max(max(a[i], b[i]), max(c[i], d[i])))
    return most


@njit(nogil=True, cache=True)
def _correct_four_by_bits(a, b, c, d, mask, offset, factor, out):  # type: ignore[no-untyped-def]
    """Correct four events' pixels with the constants of their gain bits."""
    most = _largest(a, b, c, d)
    first, second = (offset[0], factor[0]), (offset[1], factor[1])
    if most < 1 << 14:
        _correct_with(a, b, c, d, mask, first, None, None, out)
    elif most < 2 << 14:
        _correct_with(a, b, c, d, mask, first, second, None, out)
    else:
        others = (offset[2], factor[2], offset[3], factor[3])
        _correct_with(a, b, c, d, mask, first, second, others, out)


@njit(nogil=True, cache=True)
def _limits_of_four(a, b, c, d, maximum, minimum):  # type: ignore[no-untyped-def]
    """Maximum and minimum with four events' corrected pixels; True if one of these is NaN."""
    unknown = np.int32(0)
    for i in range(maximum.size):
        p, q, r, s = a[i], b[i], c[i], d[i]
        total = (p + q) + (r + s)
        unknown |= np.int32(total != total)
        high, low = maximum[i], minimum[i]
        high = p if p > high else high  # false for NaN
        high = q if q > high else high
        high = r if r > high else high
        maximum[i] = s if s > high else high
        low = p if p < low else low
        low = q if q < low else low
        low = r if r < low else low
        minimum[i] = s if s < low else low
    return unknown != 0


@njit(nogil=True, cache=True)
def _sum_four_known(a, b, c, d, shift, sums, squares):  # type: ignore[no-untyped-def]
    for i in range(sums.size):
        k = shift[i]
        t, u = np.float64(a[i]) - k, np.float64(b[i]) - k
        v, w = np.float64(c[i]) - k, np.float64(d[i]) - k
        sums[i] = sums[i] + t + u + v + w
        squares[i] = squares[i] + t * t + u * u + v * v + w * w


@njit(nogil=True, cache=True)
def _away(value, shift):  # type: ignore[no-untyped-def]
    return np.float64(value) - shift if value == value else 0.0


@njit(nogil=True, cache=True)
def _sum_where_known(a, b, c, d, events, lacking, shift, sums, squares):  # type: ignore[no-untyped-def]
    """Add the corrected pixels of up to four events where they are not NaN."""
    for i in range(sums.size):
        p, q, r, s = a[i], b[i], c[i], d[i]
        first = p if p == p else (q if q == q else (r if r == r else s))
        k = shift[i] if shift[i] == shift[i] else np.float64(first)
        t, u, v, w = _away(p, k), _away(q, k), _away(r, k), _away(s, k)
        shift[i] = k
        sums[i] = sums[i] + t + u + v + w
        squares[i] = squares[i] + t * t + u * u + v * v + w * w
        lacking[i] += events - ((p == p) + (q == q) + (r == r) + (s == s))


@njit(nogil=True, cache=True)
def _begun(shift):  # type: ignore[no-untyped-def]
    unknown = np.int32(0)
    for i in range(shift.size):
        unknown |= np.int32(shift[i] != shift[i])
    return unknown == 0


@njit(nogil=True, cache=True)
def _four_rows(values, start, stop):  # type: ignore[no-untyped-def]
    # each by itself: of a slice of two dimensions numba does not know that its steps are 1
    return (
        values[0, start:stop],
        values[1, start:stop],
        values[2, start:stop],
        values[3, start:stop],
    )


@njit(nogil=True, cache=True)
def add_ranges(addresses, module, tables, lacking, arrays):  # type: ignore[no-untyped-def]
    """Correct the pixels of one module of a detector with gain ranges and add them.

    Parameters
    ----------
    addresses : as for `add_raw`; the pixels are uint16.
    tables : `workbench.corrections.gain_ranges.RangeTables`.
    lacking : int32 ``(modules, pixels)``, events in which a pixel had no value; added to.
    arrays : `CorrectedArrays`; `shift` is NaN where there was no value yet.
    """
    pixels, size = arrays.sums.shape[1], TILE // 2
    events = addresses.size
    # a common mode is that of a module, so only without it is a tile of all events done at once
    width = pixels if tables.mode else size
    corrected = np.empty((4, width), np.float32)
    own = np.empty((8, 0 if tables.mode else width), np.float32)
    for place in range(0, pixels, width):
        end = min(pixels, place + width)
        offset, factor = constants_by_bits(
            tables, module, place, place if tables.mode else end, own
        )
        for event in range(0, events, 4):
            there = min(4, events - event)
            if tables.mode:
                for k in range(there):
                    raw = _tile(addresses, event + k, ZERO, pixels).view(np.uint16)
                    correct_ranges(raw, tables, module, corrected[k])
            else:
                # the last event again where there are fewer than four, and then left out
                a = _tile(addresses, event, place, end - place).view(np.uint16)
                b = _tile(addresses, min(event + 1, events - 1), place, end - place).view(np.uint16)
                c = _tile(addresses, min(event + 2, events - 1), place, end - place).view(np.uint16)
                d = _tile(addresses, min(event + 3, events - 1), place, end - place).view(np.uint16)
                four = _four_rows(corrected, ZERO, end - place)
                _correct_four_by_bits(a, b, c, d, tables.value_mask, offset, factor, four)
            corrected[there:] = np.nan
            for start in range(place, end, size):
                stop = min(end, start + size)
                p, q, r, s = _four_rows(corrected, start - place, stop - place)
                shift, sums = arrays.shift[module, start:stop], arrays.sums[module, start:stop]
                squares = arrays.squares[module, start:stop]
                high, low = arrays.maximum[module, start:stop], arrays.minimum[module, start:stop]
                if _limits_of_four(p, q, r, s, high, low) or not _begun(shift):
                    _sum_where_known(
                        p, q, r, s, there, lacking[module, start:stop], shift, sums, squares
                    )
                else:
                    _sum_four_known(p, q, r, s, shift, sums, squares)


@njit(nogil=True, cache=True)
def finish_corrected(count, sums, out):  # type: ignore[no-untyped-def]
    """Statistics from a row of `CorrectedArrays`.

    Parameters
    ----------
    count : int64, flat, events in which each pixel had a value.
    sums : `CorrectedArrays` of one module.
    out : as for `finish_raw`.
    """
    for i in range(count.size):
        mean = sums.sums[i] / max(count[i], 1)
        out.mean[i] = sums.shift[i] + mean if count[i] else 0.0
        out.m2[i] = max(sums.squares[i] - sums.sums[i] * mean, 0.0)
        out.maximum[i], out.minimum[i] = sums.maximum[i], sums.minimum[i]


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
