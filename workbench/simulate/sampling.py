"""Random numbers for detector frames: fast, reproducible on every machine and numpy version.

Each frame and module has its own stream, found by hashing (seed, run, event, module): results
depend neither on the order nor on the number of threads in which modules are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.averages.collect import available_cores

NORMAL_TABLE_SIZE = 1 << 16
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_INVERSION_LIMIT = 12.0


def normal_table() -> NDArray[np.float32]:
    """Quantiles of the standard normal distribution, float32 ``(65536,)``.

    A uniform 16-bit number looks up a normal deviate; deviates end at 4.3 σ.
    """
    from scipy.special import ndtri

    middles = (np.arange(NORMAL_TABLE_SIZE) + 0.5) / NORMAL_TABLE_SIZE
    return np.asarray(ndtri(middles), np.float32)


def on_threads(loop: Callable[..., None], arguments: Iterable[tuple[object, ...]]) -> None:
    """Call one of the loops below, which release the GIL, with the arguments of every module."""
    with ThreadPoolExecutor(available_cores()) as pool:
        for _ in pool.map(lambda own: loop(*own), arguments):
            pass


@njit(cache=True, nogil=True)
def _scramble(z):  # type: ignore[no-untyped-def]
    # splitmix64, Steele, Lea & Flood, OOPSLA 2014
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _next(state):  # type: ignore[no-untyped-def]
    state[0] += _GOLDEN
    return _scramble(state[0])


@njit(cache=True, nogil=True)
def _begin(state, stream):  # type: ignore[no-untyped-def]
    seed, run, event, module = stream
    word = _scramble(np.uint64(seed) + _GOLDEN)
    word = _scramble(word ^ (np.uint64(run) + _GOLDEN))
    word = _scramble(word ^ (np.uint64(event) + _GOLDEN))
    state[0] = _scramble(word ^ (np.uint64(module) + _GOLDEN))


@njit(cache=True, nogil=True)
def _uniform(state):  # type: ignore[no-untyped-def]
    # in (0, 1), never its ends
    return (np.float64(_next(state) >> np.uint64(12)) + 0.5) * (1.0 / 4503599627370496.0)


@njit(cache=True, nogil=True)
def _poisson(mean, state):  # type: ignore[no-untyped-def]
    if mean <= 0.0:
        return 0
    if mean < _INVERSION_LIMIT:  # sequential inversion
        rest = _uniform(state)
        chance = math.exp(-mean)
        count = 0
        while rest > chance and count < 200:
            rest -= chance
            count += 1
            chance *= mean / count
        return count
    # transformed rejection with squeeze, W. Hörmann, Insur. Math. Econ. 12 (1993) 39, PTRS
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = _uniform(state) - 0.5
        v = _uniform(state)
        us = 0.5 - abs(u)
        count = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_r:
            return int(count)
        if count < 0 or (us < 0.013 and v > us):
            continue
        left = math.log(v * inverse_alpha / (a / (us * us) + b))
        if left <= count * math.log(mean) - mean - math.lgamma(count + 1.0):
            return int(count)


@njit(cache=True, nogil=True)
def sample_maximum(mean, intensities, adu_per_photon, noise_adu, stream, table, out):  # type: ignore[no-untyped-def]
    """Maximum over frames of ``adu_per_photon`` × Poisson(mean × intensity) + normal noise.

    Parameters
    ----------
    mean : float32 ``(rows, columns)`` of one module, expected photons per frame at intensity 1.
    intensities : float64 ``(frames,)``.
    stream : seed, run, event (of the first frame) and module.
    table : from `normal_table`.
    out : float32 ``(rows, columns)``, overwritten.
    """
    rows, columns = mean.shape
    seed, run, event, module = stream
    state = np.zeros(1, np.uint64)
    for frame in range(intensities.size):
        _begin(state, (seed, run, event + frame, module))
        for row in range(rows):
            for column in range(columns):
                photons = _poisson(mean[row, column] * intensities[frame], state)
                noise = table[np.int64(_next(state) >> np.uint64(48))]
                value = np.float32(adu_per_photon * photons + noise_adu * noise)
                if frame == 0 or value > out[row, column]:
                    out[row, column] = value


@njit(cache=True, nogil=True)
def sample_mean(mean, intensities, adu_per_photon, noise_adu, stream, table, out):  # type: ignore[no-untyped-def]
    """Mean over frames, drawn at once: the sum of Poisson numbers is a Poisson number.

    Parameters as for `sample_maximum`.
    """
    rows, columns = mean.shape
    frames = intensities.size
    total = intensities.sum()
    spread = noise_adu / math.sqrt(frames)
    state = np.zeros(1, np.uint64)
    _begin(state, stream)
    for row in range(rows):
        for column in range(columns):
            photons = _poisson(mean[row, column] * total, state)
            noise = table[np.int64(_next(state) >> np.uint64(48))]
            value = adu_per_photon * photons / frames + spread * noise
            out[row, column] = np.float32(value)


@njit(cache=True, nogil=True)
def read_out(mean, intensity, constants, common_mode, stream, table, out):  # type: ignore[no-untyped-def]
    """Digitise one frame: pedestal + response × photons + noise + common mode, 14 bits.

    Parameters
    ----------
    mean : float32 ``(rows, columns)`` of one module, expected photons at intensity 1.
    intensity : brightness of this shot, 0 without beam.
    constants : pedestal, noise and response, float32 ``(rows, columns)`` each: ADU, ADU, and ADU
        per photon, 0 for pixels that carry no signal.
    common_mode : of the module, ADU.
    stream : seed, run, event and module.
    table : from `normal_table`.
    out : int16 ``(rows, columns)``, overwritten; values 0 … 16383.
    """
    rows, columns = mean.shape
    pedestal, noise_adu, response = constants
    state = np.zeros(1, np.uint64)
    _begin(state, stream)
    for row in range(rows):
        for column in range(columns):
            value = pedestal[row, column]
            sigma = noise_adu[row, column]
            if sigma > 0.0:  # a frozen pixel does not follow the common mode either
                value += common_mode + sigma * table[np.int64(_next(state) >> np.uint64(48))]
            gain = response[row, column]
            if intensity > 0.0 and gain > 0.0:
                value += gain * _poisson(mean[row, column] * intensity, state)
            number = math.floor(value + 0.5)
            out[row, column] = np.int16(min(max(number, 0.0), 16383.0))


@njit(cache=True, nogil=True)
def read_out_ranges(mean, intensity, constants, common_mode, gains, stream, table, out):  # type: ignore[no-untyped-def]
    """Digitise one frame of a detector whose pixels go to a lower gain where it is bright.

    Parameters
    ----------
    mean : float32 ``(rows, columns)`` of one module, expected photons at intensity 1.
    intensity : brightness of this shot, 0 without beam.
    constants : pedestal, noise and response, float32 ``(stages, rows, columns)`` each: ADU, ADU,
        and ADU per photon, of each stage in the order a pixel goes through them.
    common_mode : of the module in its first stage, ADU.
    gains : a signal beyond so many ADU is read in the next stage, if there is one; gain bits of
        each stage in their places, uint16 ``(stages,)``.
    stream : seed, run, event and module.
    table : from `normal_table`.
    out : uint16 ``(rows, columns)``, overwritten; values of 14 bits and the gain bits.
    """
    rows, columns = mean.shape
    pedestal, noise_adu, response = constants
    switch, bits = gains
    stages = bits.size
    state = np.zeros(1, np.uint64)
    _begin(state, stream)
    for row in range(rows):
        for column in range(columns):
            photons = 0
            if intensity > 0.0:
                photons = _poisson(mean[row, column] * intensity, state)
            noise = table[np.int64(_next(state) >> np.uint64(48))]
            stage = 0
            while True:
                signal = response[stage, row, column] * photons
                if stage == stages - 1 or abs(signal) <= switch:
                    break
                stage += 1
            value = pedestal[stage, row, column] + signal
            value += noise_adu[stage, row, column] * noise
            if stage == 0:
                value += common_mode
            number = math.floor(value + 0.5)
            out[row, column] = np.uint16(min(max(number, 0.0), 16383.0)) | bits[stage]
