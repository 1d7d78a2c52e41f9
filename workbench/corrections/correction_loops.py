"""The loops of the corrections, compiled by numba; they release the GIL.

The common mode follows pdscalibdata's ``CsPadCommonModeSubV1``, ImgAlgos' ``CommonMode`` and psalg
as the psana release of 2024 runs them. All results are float32, as psana's.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ZERO = np.int64(0)
"""A plain 0 is a type of its own for numba, which would compile what it is given to once more."""
BINS = 3000
LOWEST = -1000
"""The histogram has one bin per ADU from here on."""
STRIP = 8192
"""Pixels whose bins are found before they are counted; they stay in the level 1 cache, and the
processor reads ahead in them."""
MEDIAN_LEAST, MEDIAN_MOST = -(2**14), 2**14 - 1
"""ADU; psana counts values beyond in the first and last bin of its histogram."""
NEVER = 2**15 - 1
"""No int16 is larger."""


@njit(nogil=True, cache=True)
def correct(raw, offset, common_mode, factor, second, out):  # type: ignore[no-untyped-def]
    """Give ``(raw - offset - common_mode) * factor * second`` step by step in float32.

    `second` may be empty: no second factor. All arrays are flat.
    """
    common_mode = np.float32(common_mode)
    if second.size:
        for i in range(raw.size):
            value = (np.float32(raw[i]) - offset[i]) - common_mode
            out[i] = (value * factor[i]) * second[i]
    else:
        for i in range(raw.size):
            out[i] = ((np.float32(raw[i]) - offset[i]) - common_mode) * factor[i]


@njit(nogil=True, cache=True)
def module_common_mode(raw, tables, module):  # type: ignore[no-untyped-def]
    """Common mode of one module.

    Parameters
    ----------
    raw : int16 or float32 pixels, flat.
    tables : `workbench.corrections.corrector.Tables`.
    module : which row of the tables.
    """
    if tables.algorithm == 1:
        if tables.good.size:
            has_peak, value = histogram_peak(_count_pixels(raw, tables, module), tables.parameters)
            if has_peak:
                return value
        if not tables.parameters[3] > 0.1:  # also if it is NaN
            return np.float32(0.0)
    elif tables.algorithm != 5:
        return np.float32(0.0)
    return unbonded_mean(raw, tables.offset[module], tables.unbonded, tables.parameters[0])


@njit(nogil=True, cache=True)
def unbonded_mean(raw, pedestal, unbonded, limit):  # type: ignore[no-untyped-def]
    """Mean of the pixels at the places `unbonded`; 0 without any, or beyond the limit."""
    if unbonded.size == 0:
        return np.float32(0.0)
    total = 0.0
    for pixel in unbonded:
        total += np.float32(raw[pixel]) - pedestal[pixel]
    mean = np.float32(total / unbonded.size)
    return mean if abs(mean) <= limit else np.float32(0.0)


@njit(nogil=True, cache=True)
def _set_bins_of_module(offset, good, lowest, highest, half):  # type: ignore[no-untyped-def]
    """Fill a row of `WholeBins`; True if it is usable. Without branches, five times as fast."""
    doubtful = np.int32(0)
    for i in range(good.size):
        pedestal, used = np.float64(offset[i]), np.int32(good[i] != 0)
        far = not abs(pedestal) < 2.0**14  # or it is NaN
        pedestal = np.float64(0.0) if far else pedestal
        down = np.floor(pedestal)
        rest = pedestal - down
        # halves go away from zero: no pixel is in the bin of 0
        is_half = rest == 0.5
        # differences in the histogram are less than 2048: float32 has steps of 2**-13
        near_half = (abs(rest - 0.5) < 2.0**-13) & (abs(pedestal) < 1024.0) & (not is_half)
        doubtful |= np.int32(far | near_half) & used
        first = np.int32(down) + np.int32(LOWEST - 1) + np.int32(rest >= 0.5)
        lowest[i] = first * used
        highest[i] = (first + np.int32(BINS + 1) - np.int32(is_half)) * used
        half[i] = np.int32(down) if is_half & (used != 0) else NEVER
    return doubtful == 0


@njit(nogil=True, cache=True)
def set_whole_bins(offset, good, lowest, highest, half, usable):  # type: ignore[no-untyped-def]
    """Fill the arrays of a `workbench.corrections.corrector.WholeBins`."""
    for module in range(good.shape[0]):
        usable[module] = _set_bins_of_module(
            offset[module], good[module], lowest[module], highest[module], half[module]
        )


@njit(nogil=True, cache=True)
def _find_bins(raw, offset, good, bins):  # type: ignore[no-untyped-def]
    """Bins of pixels, counted from 1; 0 is below the histogram or not good, ``BINS + 1`` above."""
    below, above = np.float32(LOWEST - 1), np.float32(LOWEST + BINS)
    for i in range(raw.size):
        value = min(max(np.float32(raw[i]) - offset[i], below), above)
        # to the nearest, halves away from zero: the rest is exact, its double is cut to -1, 0 or 1
        whole = np.int32(value)
        rest = value - np.float32(whole)
        number = whole + np.int32(rest + rest) - np.int32(LOWEST - 1)
        bins[i] = np.uint16(number * np.int32(good[i]))


@njit(nogil=True, cache=True)
def _find_whole_bins(raw, lowest, highest, half, bins):  # type: ignore[no-untyped-def]
    """Find the same as `_find_bins`, of whole numbers by `WholeBins`, four times as fast."""
    for i in range(raw.size):
        inside = min(max(raw[i], lowest[i]), highest[i])
        bins[i] = np.uint16(inside - lowest[i]) + np.uint16(raw[i] > half[i])


@njit(nogil=True, cache=True)
def _count_pixels(raw, tables, module):  # type: ignore[no-untyped-def]
    """Histogram of ``raw - offset`` of the good pixels of a module, int32 ``(BINS,)``."""
    offset, good, whole = tables.offset[module], tables.good[module], tables.whole
    lowest, highest, half = whole.lowest[module], whole.highest[module], whole.half[module]
    by_integers = raw.itemsize == 2 and whole.usable[module]
    # neighbours are alike: four histograms in turn, lest each increment waits for the last one
    counts = np.zeros((4, BINS + 2), np.int32)
    first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
    bins = np.zeros(STRIP, np.uint16)
    fours = bins.view(np.uint64)
    low = np.uint64(0xFFFF)
    for start in range(0, raw.size, STRIP):
        stop = min(start + STRIP, raw.size)
        bins[stop - start :] = 0
        if by_integers:
            _find_whole_bins(
                raw[start:stop], lowest[start:stop], highest[start:stop], half[start:stop], bins
            )
        else:
            _find_bins(raw[start:stop], offset[start:stop], good[start:stop], bins)
        for i in range((stop - start + 3) // 4):
            four = fours[i]
            first[four & low] += 1
            second[four >> np.uint64(16) & low] += 1
            third[four >> np.uint64(32) & low] += 1
            fourth[four >> np.uint64(48)] += 1
    total = np.empty(BINS, np.int32)
    for i in range(BINS):
        total[i] = first[i + 1] + second[i + 1] + third[i + 1] + fourth[i + 1]
    return total


@njit(nogil=True, cache=True)
def histogram_peak(counts, parameters):  # type: ignore[no-untyped-def]
    """Find the peak of the histogram of the good pixels: whether there is one, and where, ADU.

    Parameters
    ----------
    counts : int32 ``(BINS,)``.
    parameters : p1 … p4 of a common_mode file.
    """
    nothing = np.float32(0.0)
    highest = np.int32(min(parameters[2], 1e9)) if parameters[2] > 0 else np.int32(100)
    peak, right = -1, BINS
    for i in range(BINS):
        if counts[i] > highest:
            highest = counts[i]
            peak = i
        elif peak >= 0 and counts[i] <= counts[peak] // 2:
            right = i
            break
    if peak < 0:
        return False, nothing
    left = -1
    for i in range(peak - 1, -1, -1):
        if counts[i] <= counts[peak] // 2:
            left = i
            break
    sigma = (right - left) / 2.36
    mean = np.float64(peak)
    for _ in range(2):
        width = int(2 * sigma + 0.5)
        weight, first, second = 0.0, 0.0, 0.0
        for i in range(max(0, peak - width), min(BINS - 1, peak + width) + 1):
            away = i - mean
            weight += counts[i]
            first += counts[i] * away
            second += counts[i] * away * away
        first /= weight
        mean += first
        sigma = np.sqrt(max(second / weight - first * first, 0.0))
    mean += LOWEST
    if abs(mean) > parameters[0] or sigma > parameters[1]:
        return False, nothing
    return True, np.float32(mean)


@njit(nogil=True, cache=True)
def correct_module(raw, tables, module, out):  # type: ignore[no-untyped-def]
    """Correct one module, `raw` and `out` flat; see `module_common_mode`."""
    common_mode = module_common_mode(raw, tables, module)
    second = tables.second[module]
    correct(raw, tables.offset[module], common_mode, tables.factor[module], second, out)


@njit(nogil=True, cache=True)
def select(values, count, place):  # type: ignore[no-untyped-def]
    """Give what sorting ``values[:count]`` would put at `place`; no NaN. It reorders them.

    Hoare's algorithm (Communications of the ACM 4, 1961, 321), as numpy's takes seconds to
    compile. What stands before `place` afterwards is not larger.
    """
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while pivot < values[right]:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if place <= right:
            high = right
        elif place >= left:
            low = left
        else:
            break
    return values[place]


@njit(nogil=True, cache=True)
def subtract_run_common_mode(values, good, algorithm, parameters, length):  # type: ignore[no-untyped-def]
    """Subtract the common mode of each `length` pixels in a row, in place.

    Algorithm 2 takes the mean, 3 the median in whole ADU (cut towards 0), of the good pixels below
    p1; nothing is subtracted where it is beyond p2 (psalg ``commonMode``, ``commonModeMedian``).

    Parameters
    ----------
    values : float32, all pixels of the detector, flat.
    good : uint8, flat.
    """
    below, limit = np.float32(parameters[0]), np.float32(parameters[1])
    whole = np.empty(length, np.int32)
    for start in range(0, values.size, length):
        stop = min(start + length, values.size)
        total, count = 0.0, ZERO
        for i in range(start, stop):
            if good[i] != 0 and values[i] < below:
                total += values[i]
                whole[count] = np.int32(min(max(values[i], MEDIAN_LEAST), MEDIAN_MOST))
                count += 1
        if count == 0:
            continue
        common = np.float32(total / count)
        if algorithm == 3:
            common = np.float32(select(whole, count, (count + 1) // 2 - 1))
        if abs(common) <= limit:
            for i in range(start, stop):
                values[i] -= common
