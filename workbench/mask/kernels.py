"""The loops that re-evaluate thresholds in a few milliseconds, compiled when first used.

An image is held as one ``uint16`` code per pixel, a non-decreasing function of its value. A limit
has a code too: pixels with a smaller or larger code are decided by comparing codes; only the few
with the limit's own code are compared as float64. The outcome is that of float64 throughout,
while a quarter of the memory is read.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TOP = 65535
DYNAMIC_BITS = 3


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
def classify(words, klass, table):  # type: ignore[no-untyped-def]
    """Number the different words: ``table[klass[i]] == words[i]``; gives how many there are.

    Stops and gives -1 if `table` is too short.
    """
    found = 0
    last_word, last = np.uint32(0), -1
    for place in range(words.size):
        word = words[place]
        if last < 0 or word != last_word:
            last = -1
            for number in range(found):
                if table[number] == word:
                    last = number
                    break
            if last < 0:
                if found == table.size:
                    return -1
                table[found] = word
                last = found
                found += 1
            last_word = word
        klass[place] = np.uint16(last << DYNAMIC_BITS)
    return found


@njit(nogil=True, cache=True)
def compare(a, s, m, klass, cut_a, cut_s, cut_m, keys):  # type: ignore[no-untyped-def]
    """Keys: a pixel's class plus 1 (average above its cut), 2 (stddev above), 4 (maximum below)."""
    one, two, four, zero = np.uint16(1), np.uint16(2), np.uint16(4), np.uint16(0)
    for i in range(a.size):
        key = klass[i]
        key |= one if a[i] > cut_a else zero
        key |= two if s[i] > cut_s else zero
        key |= four if m[i] < cut_m else zero
        keys[i] = key


@njit(nogil=True, cache=True)
def compare_two_gains(a, s, m, klass, low, cuts, keys):  # type: ignore[no-untyped-def]
    """As `compare`, with ``cuts[:, 1]`` for pixels where `low` is 1 and ``cuts[:, 0]`` else."""
    one, two, four, zero = np.uint16(1), np.uint16(2), np.uint16(4), np.uint16(0)
    a0, a1, s0, s1, m0, m1 = cuts[0, 0], cuts[0, 1], cuts[1, 0], cuts[1, 1], cuts[2, 0], cuts[2, 1]
    for i in range(a.size):
        key = klass[i]
        lower = low[i] != 0
        key |= one if a[i] > (a1 if lower else a0) else zero
        key |= two if s[i] > (s1 if lower else s0) else zero
        key |= four if m[i] < (m1 if lower else m0) else zero
        keys[i] = key


@njit(nogil=True, cache=True)
def tabulate(keys, table, reasons, good, counts):  # type: ignore[no-untyped-def]
    """Reason words (``table[key]``), good pixels (word 0) and pixels per key.

    `counts` has four rows so that neighbouring pixels do not wait for each other's increment;
    the sum of the rows is the count. Short loops over whole arrays are what compiles best.
    """
    for i in range(0, keys.size // 4 * 4, 4):
        counts[0, keys[i]] += 1
        counts[1, keys[i + 1]] += 1
        counts[2, keys[i + 2]] += 1
        counts[3, keys[i + 3]] += 1
    for i in range(keys.size // 4 * 4, keys.size):
        counts[0, keys[i]] += 1
    for i in range(keys.size):
        reasons[i] = table[keys[i]]
    for i in range(keys.size):
        good[i] = reasons[i] == 0


@njit(nogil=True, cache=True)
def count_rules(reasons, total, exclusive, first):  # type: ignore[no-untyped-def]
    """Count, per bit, the words that have it, only it, and it as their lowest bit."""
    one = np.uint32(1)
    for place in range(reasons.size):
        word = reasons[place]
        if word == 0:
            continue
        if word & (word - one) == 0:
            bit = 0
            while word != one:
                word >>= one
                bit += 1
            total[bit] += 1
            exclusive[bit] += 1
            first[bit] += 1
            continue
        bit, lowest = 0, True
        while word != 0:
            if word & one:
                total[bit] += 1
                if lowest:
                    first[bit] += 1
                    lowest = False
            word >>= one
            bit += 1
