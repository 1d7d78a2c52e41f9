"""psana's corrections of a CSPAD restated in plain numpy, from their description alone.

Written for reading, not for speed; the product's compiled loops are held to it.
"""

import numpy as np


def common_mode_histogram(values, good, p1, p2, p3):
    """Algorithm 1: position of the peak of the section's histogram, None if there is none."""
    if good is None:
        return None
    value = values[good].astype(np.float64)
    whole = np.where(value >= 0, np.floor(value + 0.5), np.ceil(value - 0.5)).astype(int) + 1000
    counts = np.bincount(whole[(whole >= 0) & (whole < 3000)], minlength=3000)
    threshold = p3 if p3 > 0 else 100
    peak, right = None, 3000
    for i, count in enumerate(counts):
        if peak is not None and count <= counts[peak] // 2:
            right = i
            break
        if count > threshold and (peak is None or count > counts[peak]):
            peak = i
    if peak is None:
        return None
    below = np.flatnonzero(counts[:peak] <= counts[peak] // 2)
    left = below[-1] if below.size else -1
    sigma, mean = (right - left) / 2.36, float(peak)
    for _ in range(2):
        width = int(2 * sigma + 0.5)
        i = np.arange(max(0, peak - width), min(2999, peak + width) + 1)
        shift = np.average(i - mean, weights=counts[i])
        square = np.average((i - mean) ** 2, weights=counts[i])
        mean, sigma = mean + shift, np.sqrt(max(square - shift**2, 0))
    mean -= 1000
    return mean if abs(mean) <= p1 and sigma <= p2 else None


def common_mode_unbonded(values, p1):
    """Algorithm 5: mean of the unbonded pixels, None if it is beyond the limit."""
    r = np.arange(10, 181, 10)
    mean = np.concatenate([values[r, r], values[r, r + 194]]).mean(dtype=np.float64)
    return mean if abs(mean) <= p1 else None


def subtract_in_rows(values, good, algorithm, below, limit, length):
    """Algorithms 2 and 3: mean or median of each `length` pixels in a row, wherever these lie."""
    flat, use = values.reshape(-1), good.reshape(-1)
    length = int(length) if length >= 100 else 128
    for start in range(0, flat.size, length):
        part = flat[start : start + length]
        taken = part[use[start : start + length] & (part < np.float32(below))]
        if not taken.size:
            continue
        if algorithm == 2:
            common = np.float32(taken.mean(dtype=np.float64))
        else:  # the first bin of 1 ADU at which half of the pixels are reached
            bins = np.clip(np.trunc(taken).astype(int) + 16384, 0, 32767)
            reached = np.cumsum(np.bincount(bins, minlength=32768)) >= np.ceil(taken.size / 2)
            common = np.float32(np.argmax(reached) - 16384)
        if abs(common) <= np.float32(limit):
            part -= common


def common_mode(values, good, parameters):
    """What is subtracted from a section ``(185, 388)``."""
    algorithm, p1, p2, p3, p4 = (*parameters, *[np.nan] * (5 - len(parameters)))
    found = None
    if algorithm == 1:
        found = common_mode_histogram(values, good, p1, p2, p3)
        if found is None and p4 > 0.1:
            found = common_mode_unbonded(values, p1)
    elif algorithm == 5:
        found = common_mode_unbonded(values, p1)
    return np.float32(0 if found is None else found)


def calibrate(raw, pedestals, status, parameters, gain, pixel_gain, mask):
    """All steps in psana's order, float32; None leaves a step out."""
    values = raw.astype(np.float32)
    if pedestals is not None:
        values = values - pedestals.astype(np.float32)
    if parameters is not None:
        good = None if status is None else status == 0
        if parameters[0] in (2, 3):
            if good is not None:  # else psana takes all pixels as bad
                subtract_in_rows(values, good, *parameters[:4])
            sections = []
        else:
            sections = values
        for i, section in enumerate(sections):
            section -= common_mode(section, None if good is None else good[i], parameters)
    for factor in (gain, pixel_gain, mask):
        if factor is not None:
            values = values * factor.astype(np.float32)
    return values
