"""Random numbers for detector frames: fast, reproducible on every machine and numpy version.

Each frame and sensor has its own stream, found by hashing (seed, run, event, sensor): results
depend neither on the order nor on the number of threads in which sensors are computed.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

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


@njit(cache=True)
def _scramble(z):  # type: ignore[no-untyped-def]
    # splitmix64, Steele, Lea & Flood, OOPSLA 2014
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def _next(state):  # type: ignore[no-untyped-def]
    state[0] += _GOLDEN
    return _scramble(state[0])


@njit(cache=True)
def _seed(state, seed, run, event, sensor):  # type: ignore[no-untyped-def]
    word = _scramble(np.uint64(seed) + _GOLDEN)
    word = _scramble(word ^ (np.uint64(run) + _GOLDEN))
    word = _scramble(word ^ (np.uint64(event) + _GOLDEN))
    state[0] = _scramble(word ^ (np.uint64(sensor) + _GOLDEN))


@njit(cache=True)
def _uniform(state):  # type: ignore[no-untyped-def]
    # in (0, 1), never its ends
    return (np.float64(_next(state) >> np.uint64(12)) + 0.5) * (1.0 / 4503599627370496.0)


@njit(cache=True)
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


@njit(cache=True, parallel=True)
def sample_maximum(mean, intensities, adu_per_photon, noise_adu, seed, table, out):  # type: ignore[no-untyped-def]
    """Maximum over frames of ``adu_per_photon`` × Poisson(mean × intensity) + normal noise.

    Parameters
    ----------
    mean : float32 ``(32, 185, 388)``, expected photons per frame at intensity 1.
    intensities : float64 ``(frames,)``.
    table : from `normal_table`.
    out : float32 ``(32, 185, 388)``, overwritten.
    """
    sensors, rows, columns = mean.shape
    for sensor in prange(sensors):
        state = np.zeros(1, np.uint64)
        for frame in range(intensities.size):
            _seed(state, seed, 0, frame, sensor)
            for row in range(rows):
                for column in range(columns):
                    photons = _poisson(mean[sensor, row, column] * intensities[frame], state)
                    noise = table[np.int64(_next(state) >> np.uint64(48))]
                    value = np.float32(adu_per_photon * photons + noise_adu * noise)
                    if frame == 0 or value > out[sensor, row, column]:
                        out[sensor, row, column] = value


@njit(cache=True, parallel=True)
def sample_mean(mean, intensities, adu_per_photon, noise_adu, seed, table, out):  # type: ignore[no-untyped-def]
    """Mean over frames, drawn at once: the sum of Poisson numbers is a Poisson number.

    Parameters as for `sample_maximum`.
    """
    sensors, rows, columns = mean.shape
    frames = intensities.size
    total = intensities.sum()
    spread = noise_adu / math.sqrt(frames)
    for sensor in prange(sensors):
        state = np.zeros(1, np.uint64)
        _seed(state, seed, 1, 0, sensor)
        for row in range(rows):
            for column in range(columns):
                photons = _poisson(mean[sensor, row, column] * total, state)
                noise = table[np.int64(_next(state) >> np.uint64(48))]
                value = adu_per_photon * photons / frames + spread * noise
                out[sensor, row, column] = np.float32(value)


@njit(cache=True, parallel=True)
def read_out(  # type: ignore[no-untyped-def]
    mean, intensity, pedestal, noise_adu, response, common_mode, seed, run, event, table, out
):
    """Digitise one frame: pedestal + response × photons + noise + common mode, 14 bits.

    Parameters
    ----------
    mean : float32 ``(32, 185, 388)``, expected photons at intensity 1.
    intensity : brightness of this shot, 0 without beam.
    pedestal, noise_adu : float32 ``(32, 185, 388)``, ADU.
    response : float32 ``(32, 185, 388)``, ADU per photon; 0 for pixels that carry no signal.
    common_mode : float64 ``(32,)``, ADU.
    seed, run, event : the random stream.
    table : from `normal_table`.
    out : int16 ``(32, 185, 388)``, overwritten; values 0 … 16383.
    """
    sensors, rows, columns = mean.shape
    for sensor in prange(sensors):
        state = np.zeros(1, np.uint64)
        _seed(state, seed, run, event, sensor)
        shift = common_mode[sensor]
        for row in range(rows):
            for column in range(columns):
                value = pedestal[sensor, row, column]
                sigma = noise_adu[sensor, row, column]
                if sigma > 0.0:  # a frozen pixel does not follow the common mode either
                    value += shift + sigma * table[np.int64(_next(state) >> np.uint64(48))]
                gain = response[sensor, row, column]
                if intensity > 0.0 and gain > 0.0:
                    value += gain * _poisson(mean[sensor, row, column] * intensity, state)
                number = math.floor(value + 0.5)
                out[sensor, row, column] = np.int16(min(max(number, 0.0), 16383.0))


@njit(cache=True, parallel=True)
def read_out_ranges(  # type: ignore[no-untyped-def]
    mean, intensity, pedestal, noise_adu, response, common_mode, switch, bits, seed, run, event,
    table, out,
):  # fmt: skip
    """Digitise one frame of a detector whose pixels go to a lower gain where it is bright.

    Parameters
    ----------
    mean : float32 ``(modules, rows, columns)``, expected photons at intensity 1.
    intensity : brightness of this shot, 0 without beam.
    pedestal, noise_adu, response : float32 ``(stages, modules, rows, columns)``, ADU and ADU per
        photon, of each stage in the order a pixel goes through them.
    common_mode : float64 ``(modules,)``, ADU, of the first stage.
    switch : ADU; a signal beyond this is read in the next stage, if there is one.
    bits : uint16 ``(stages,)``, gain bits in their places.
    seed, run, event : the random stream.
    table : from `normal_table`.
    out : uint16 ``(modules, rows, columns)``, overwritten; values of 14 bits and the gain bits.
    """
    modules, rows, columns = mean.shape
    stages = bits.size
    for module in prange(modules):
        state = np.zeros(1, np.uint64)
        _seed(state, seed, run, event, module)
        for row in range(rows):
            for column in range(columns):
                photons = 0
                if intensity > 0.0:
                    photons = _poisson(mean[module, row, column] * intensity, state)
                noise = table[np.int64(_next(state) >> np.uint64(48))]
                stage = 0
                while True:
                    signal = response[stage, module, row, column] * photons
                    if stage == stages - 1 or abs(signal) <= switch:
                        break
                    stage += 1
                value = pedestal[stage, module, row, column] + signal
                value += noise_adu[stage, module, row, column] * noise
                if stage == 0:
                    value += common_mode[module]
                number = math.floor(value + 0.5)
                out[module, row, column] = np.uint16(min(max(number, 0.0), 16383.0)) | bits[stage]
