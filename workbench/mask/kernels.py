"""The loops over planes that let a mask follow a slider, compiled when first used."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

TOP = 65535
LAST_CLASS = 65535


@intrinsic
def _place_of_bit(_, word):  # type: ignore[no-untyped-def]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


_lowest_bit: Any = _place_of_bit
"""Place of the lowest bit that is set in a word."""


@njit(nogil=True, cache=True)
def encode(values, low, scale, nan_code, codes):  # type: ignore[no-untyped-def]
    """Codes of values: ``(value - low) * scale`` cut to 0 … 65535; not-a-number: `nan_code`."""
    for place in range(values.size):
        scaled = (values[place] - low) * scale
        if scaled != scaled:
            codes[place] = nan_code
        else:
            codes[place] = np.uint16(min(max(scaled, 0.0), 65535.0))


@njit(nogil=True, cache=True)
def flip(plane, pixels, columns):  # type: ignore[no-untyped-def]
    """Change the bits of some pixels (flat indices) of a plane ``(rows, words)``."""
    for place in range(pixels.size):
        row, column = divmod(pixels[place], columns)
        plane[row, column >> 6] ^= np.uint64(1) << np.uint64(column & 63)


@njit(nogil=True, cache=True)
def refine(classes, plane, columns, renumber):  # type: ignore[no-untyped-def]
    """Split classes of pixels by whether a plane has the pixel; gives how many there are then.

    `renumber` is filled with -1; on return ``renumber[2 old + bit]`` is the new number. Stops and
    gives -1 when a number is needed that 16 bits do not hold.
    """
    number = 0
    for row in range(plane.shape[0]):
        for column in range(columns):
            bit = (plane[row, column >> 6] >> np.uint64(column & 63)) & np.uint64(1)
            place = row * columns + column
            key = 2 * np.int64(classes[place]) + np.int64(bit)
            if renumber[key] < 0:
                if number > LAST_CLASS:
                    return -1
                renumber[key] = number
                number += 1
            classes[place] = renumber[key]
    return number


@njit(nogil=True, cache=True)
def settle(now, before, classes, words, pixels, reasons, good, columns):  # type: ignore[no-untyped-def]
    """Bring reasons, good and the tally `pixels` from the planes `before` up to those of `now`.

    Planes are ``(bits, rows, 7)``. The class of a pixel and, below it, its bits in all planes make
    a number: ``words[number]`` is its reason word, ``pixels[number]`` how many are like it.
    """
    bits = now.shape[0]
    one, shift = np.uint64(1), np.uint64(bits)
    new, old = np.empty(bits, np.uint64), np.empty(bits, np.uint64)
    for row in range(now.shape[1]):
        for word in range(now.shape[2]):
            changed = np.uint64(0)
            for k in range(bits):
                new[k], old[k] = now[k, row, word], before[k, row, word]
                changed |= new[k] ^ old[k]
            while changed:
                bit = _lowest_bit(changed)
                changed &= changed - one
                place = row * columns + 64 * word + np.int64(bit)
                was = np.uint64(classes[place]) << shift
                is_now = was
                for k in range(bits):
                    was |= ((old[k] >> bit) & one) << np.uint64(k)
                    is_now |= ((new[k] >> bit) & one) << np.uint64(k)
                pixels[was] -= 1
                pixels[is_now] += 1
                reason = words[is_now]
                reasons[place] = reason
                good[place] = reason == 0
    before[:] = now


@njit(nogil=True, cache=True)
def grow(masked, steps, corners, valid, grown):  # type: ignore[no-untyped-def]
    """Pixels up to `steps` from masked ones, 4 or (`corners`) 8 directions a step, per sensor."""
    sensors, rows, words = masked.shape
    upright = np.empty((rows, words), np.uint64)
    for sensor in range(sensors):
        now = grown[sensor]
        now[:] = masked[sensor]
        for _ in range(steps):
            for row in range(rows):
                for word in range(words):
                    value = now[row, word]
                    if row > 0:
                        value |= now[row - 1, word]
                    if row < rows - 1:
                        value |= now[row + 1, word]
                    upright[row, word] = value
            for row in range(rows):
                left = np.uint64(0)  # the word before, as it was
                for word in range(words):
                    middle = upright[row, word] if corners else now[row, word]
                    right = np.uint64(0)
                    if word < words - 1:
                        right = upright[row, word + 1] if corners else now[row, word + 1]
                    spread = (middle << np.uint64(1)) | (middle >> np.uint64(1))
                    spread |= (left >> np.uint64(63)) | (right << np.uint64(63))
                    now[row, word] = (upright[row, word] | spread) & valid[word]
                    left = middle


@njit(nogil=True, cache=True)
def _root(parent, run):  # type: ignore[no-untyped-def]
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@njit(nogil=True, cache=True)
def _next(line, column, inverse):  # type: ignore[no-untyped-def]
    """First column from `column` on whose bit is set (or clear, if `inverse` is all ones)."""
    words = line.size
    word = column >> 6
    if word >= words:
        return 64 * words
    value = (line[word] ^ inverse) >> np.uint64(column & 63)
    if value:
        return column + np.int64(_lowest_bit(value))
    word += 1
    while word < words:
        value = line[word] ^ inverse
        if value:
            return 64 * word + np.int64(_lowest_bit(value))
        word += 1
    return 64 * words


@njit(nogil=True, cache=True)
def _add_blocks(good, height, width, block, found):  # type: ignore[no-untyped-def]
    """Add to `found` the pixels of one sensor in a block of `height` × `width` good ones.

    Good regions are cut from below and from the right to what is ``height - 1`` and ``width - 1``
    smaller, and drawn out again; each step doubles what it cuts. `width` is at most 64; `block`
    is room to work in.
    """
    rows, words = good.shape
    none = np.uint64(0)
    if height > rows:
        return
    block[:] = good
    have = 1
    while have < height:
        step = min(have, height - have)
        for row in range(rows):
            for word in range(words):
                block[row, word] &= block[row + step, word] if row + step < rows else none
        have += step
    for row in range(rows):
        line = block[row]
        have = 1
        while have < width:
            step = min(have, width - have)
            down, up = np.uint64(step), np.uint64(64 - step)
            for word in range(words):
                after = line[word + 1] if word < words - 1 else none
                line[word] &= (line[word] >> down) | (after << up)
            have += step
        have = 1
        while have < width:
            step = min(have, width - have)
            down, up = np.uint64(64 - step), np.uint64(step)
            for word in range(words - 1, -1, -1):
                before = line[word - 1] if word > 0 else none
                line[word] |= (line[word] << up) | (before >> down)
            have += step
    have = 1
    while have < height:
        step = min(have, height - have)
        for row in range(rows - 1, step - 1, -1):
            for word in range(words):
                block[row, word] |= block[row - step, word]
        have += step
    found |= block


@njit(nogil=True, cache=True)
def islands(good, smaller_than, corners, valid, changed, island):  # type: ignore[no-untyped-def]
    """Regions of fewer than `smaller_than` good pixels, of the sensors that have `changed`.

    Pixels in a block of that many good ones (long and thin for small regions, else square) belong
    to large regions. Of the others, runs in a row are joined with those of the row above that they
    touch (union-find); those that touch a large region belong to it. With `corners`, pixels also
    touch at a corner.
    """
    sensors, rows, words = good.shape
    reach = 1 if corners else 0
    square = int(np.ceil(np.sqrt(smaller_than)))
    ones = np.uint64(0xFFFFFFFFFFFFFFFF)
    most = rows * 32 * words
    parent, size = np.empty(most, np.int32), np.empty(most, np.int32)
    row_of, first, last = (
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
    )
    large = np.empty((1, rows, words), np.uint64)
    shore = np.empty((1, rows, words), np.uint64)
    for sensor in range(sensors):
        if not changed[sensor]:
            continue
        island[sensor] = 0
        large[:] = np.uint64(0)
        if smaller_than <= 16:
            _add_blocks(good[sensor], 1, smaller_than, shore[0], large[0])
            _add_blocks(good[sensor], smaller_than, 1, shore[0], large[0])
        elif square <= 64:
            _add_blocks(good[sensor], square, square, shore[0], large[0])
        grow(large, 1, corners, valid, shore)
        runs, above, above_end = 0, 0, 0  # runs[above:above_end] are those of the row above
        for row in range(rows):
            start_of_row = runs
            rest = good[sensor, row] & ~large[0, row]
            begin = _next(rest, 0, np.uint64(0))
            while begin < 64 * words:
                end = _next(rest, begin, ones)
                parent[runs], size[runs], row_of[runs] = runs, end - begin, row
                first[runs], last[runs] = begin, end - 1
                if _next(shore[0, row], begin, np.uint64(0)) < end:
                    size[runs] = smaller_than
                while above < above_end and last[above] < begin - reach:
                    above += 1
                touching = above
                while touching < above_end and first[touching] <= end - 1 + reach:
                    a, b = _root(parent, runs), _root(parent, touching)
                    if a != b:
                        parent[a] = b
                        size[b] = min(size[a] + size[b], smaller_than)
                    touching += 1
                runs += 1
                begin = _next(rest, end, np.uint64(0))
            above, above_end = start_of_row, runs
        for run in range(runs):
            if size[_root(parent, run)] < smaller_than:
                for column in range(first[run], last[run] + 1):
                    bit = np.uint64(1) << np.uint64(column & 63)
                    island[sensor, row_of[run], column >> 6] |= bit
