"""The loops for detectors with gain ranges, compiled by numba; they release the GIL.

Ranges and common mode follow psana's ``UtilsEpix10ka.calib_epix10ka_any``,
``UtilsJungfrau.calib_jungfrau`` and ``UtilsCommonMode``; all results are float32, as psana's.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.corrections.correction_loops import ZERO, select

BANKS, ROWS, COLUMNS = 4, 1, 2
"""Bits of the common mode's mode, applied in this order."""


@njit(nogil=True, cache=True)
def _subtract_median(values, member, place, limit, more_than):  # type: ignore[no-untyped-def]
    """Subtract from the member pixels at `place` their median, if it is within the limit."""
    taken = np.empty(place.size, np.float32)
    count = ZERO
    for i in place:
        if member[i]:
            # a NaN comes last in psana's order too, and neither is within the limit
            taken[count] = values[i] if values[i] == values[i] else np.inf
            count += 1
    if count == 0 or count <= more_than:
        return
    median = select(taken, count, count // 2)
    if count % 2 == 0:
        below = taken[0]
        for i in range(1, count // 2):
            below = max(below, taken[i])
        median = np.float32((below + median) / 2)
    if abs(median) < limit:
        for i in place:
            if member[i]:
                values[i] -= median


@njit(nogil=True, cache=True)
def subtract_common_mode(values, member, shape, banks, mode, limit, least):  # type: ignore[no-untyped-def]
    """Subtract the median of each bank, of each row of a bank, of each column of a bank's height.

    Parameters
    ----------
    values : float32 pixels of a module, flat; changed in place.
    member : uint8, flat; pixels that enter, and from which it is subtracted.
    shape, banks : rows and columns of the module; banks down and across.
    mode : sum of `BANKS`, `ROWS` and `COLUMNS`.
    limit : ADU; a larger median is not subtracted.
    least : pixels that a bank needs; a row or column needs more than that.
    """
    rows, columns = shape
    height, width = rows // banks[0], columns // banks[1]
    if mode & BANKS:
        place = np.empty(height * width, np.int64)
        for down in range(banks[0]):
            for across in range(banks[1]):
                for i in range(height):
                    start = (down * height + i) * columns + across * width
                    for j in range(width):
                        place[i * width + j] = start + j
                _subtract_median(values, member, place, limit, least - 1)
    if mode & ROWS:
        place = np.empty(width, np.int64)
        for row in range(rows):
            for across in range(banks[1]):
                for j in range(width):
                    place[j] = row * columns + across * width + j
                _subtract_median(values, member, place, limit, least)
    if mode & COLUMNS:
        place = np.empty(height, np.int64)
        for down in range(banks[0]):
            for column in range(columns):
                for i in range(height):
                    place[i] = (down * height + i) * columns + column
                _subtract_median(values, member, place, limit, least)


@njit(nogil=True, cache=True)
def _rows_by_bits(values, ranges, module, start, stop, nothing):  # type: ignore[no-untyped-def]
    a, b, c, d = ranges[0], ranges[1], ranges[2], ranges[3]
    nothing = nothing[: stop - start]
    return (
        values[a, module, start:stop] if a >= 0 else nothing,
        values[b, module, start:stop] if b >= 0 else nothing,
        values[c, module, start:stop] if c >= 0 else nothing,
        values[d, module, start:stop] if d >= 0 else nothing,
    )


@njit(nogil=True, cache=True)
def constants_by_bits(tables, module, start, stop, own):  # type: ignore[no-untyped-def]
    """Offsets and factors of some pixels of a module, four rows each, by gain bits of the datum.

    Float32; NaN where the bits stand for no range. They are those of `tables` where all pixels are
    configured alike, as is usual, else they are written to `own`, float32
    ``(8, at least so many pixels)``.
    """
    code = tables.code[module, start:stop]
    size = code.size
    least, most = np.uint8(255), np.uint8(0)
    for i in range(size):
        least, most = min(least, code[i]), max(most, code[i])
    if least == most:
        ranges = tables.table[most]
        nothing = own[0]
        for bits in range(4):
            if ranges[bits] < 0:
                nothing[:size] = np.nan
        return (
            _rows_by_bits(tables.offset, ranges, module, start, stop, nothing),
            _rows_by_bits(tables.factor, ranges, module, start, stop, nothing),
        )
    for bits in range(4):
        for i in range(size):
            gain_range = tables.table[code[i], bits]
            known = gain_range >= 0
            own[bits, i] = tables.offset[gain_range, module, start + i] if known else np.nan
            own[bits + 4, i] = tables.factor[gain_range, module, start + i] if known else np.nan
    return (
        (own[0, :size], own[1, :size], own[2, :size], own[3, :size]),
        (own[4, :size], own[5, :size], own[6, :size], own[7, :size]),
    )


@njit(nogil=True, cache=True)
def correct_ranges(raw, tables, module, out):  # type: ignore[no-untyped-def]
    """Correct one module; NaN where the gain bits stand for no range.

    Parameters
    ----------
    raw : uint16 pixels with their gain bits, flat.
    tables : `workbench.corrections.gain_ranges.RangeTables`.
    module : which row of the tables.
    out : float32, flat; written.
    """
    code, table = tables.code[module], tables.table
    offset, factor = tables.offset[:, module], tables.factor[:, module]
    for i in range(raw.size):
        gain_range = table[code[i], raw[i] >> 14]
        if gain_range < 0:
            out[i] = np.nan
        else:
            out[i] = np.float32(raw[i] & tables.value_mask) - offset[gain_range, i]
    if tables.mode:
        member = np.zeros(raw.size, np.uint8)
        for i in range(raw.size):
            gain_range = table[code[i], raw[i] >> 14]
            if gain_range >= 0 and tables.in_common_mode[gain_range]:
                member[i] = tables.good[module, i] if tables.good.size else 1
        subtract_common_mode(
            out, member, tables.module_shape, tables.banks, tables.mode, tables.limit, tables.least
        )
    for i in range(raw.size):
        gain_range = table[code[i], raw[i] >> 14]
        if gain_range >= 0:
            out[i] *= factor[gain_range, i]
