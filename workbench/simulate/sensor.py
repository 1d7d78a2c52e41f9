"""The detector itself: pedestals, noise, gain and faulty pixels of a simulated CSPAD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import CSPAD
from workbench.recipe.corrections import LOW_GAIN_FACTOR
from workbench.simulate.powder import ADU_PER_PHOTON
from workbench.simulate.sampling import normal_table, on_threads, read_out

COUNTS: Mapping[str, int] = {"hot": 1500, "noisy": 2500, "dead": 800, "stuck": 100}
"""Faulty pixels of each kind: too high in the dark; noise of 40 ADU and more; no signal (half of
them frozen at one value); always 0."""
LOW_GAIN_RADIUS_PX = 150.0
"""Pixels nearer to the beam than this are set to low gain, as one does for strong low angles."""
COMMON_MODE_ADU = 2.0
"""Standard deviation of a sensor's common shift from shot to shot."""

STATUS_BITS = {"noisy": 1, "stuck": 2 | 32, "hot": 16}
"""Words of pixel_status that a dark run reveals (1 high rms, 2 low rms, 16 and 32 average too
large and too small); a dead pixel looks healthy in the dark."""


@dataclass(frozen=True)
class Sensor:
    """A simulated detector; all arrays ``(32, 185, 388)``.

    Attributes
    ----------
    pedestal, noise : float32, ADU.
    response : float32, ADU per photon; 0 where no signal arrives.
    low_gain : bool.
    faulty : sorted flat indices, int64, by kind (see `COUNTS`).
    """

    pedestal: NDArray[np.float32]
    noise: NDArray[np.float32]
    response: NDArray[np.float32]
    low_gain: NDArray[np.bool_]
    faulty: Mapping[str, NDArray[np.int64]]

    def status(self) -> NDArray[np.int64]:
        """Status words as a dark run would give them, int64 ``(32, 185, 388)``; 0 = good."""
        words = np.zeros(CSPAD.pixels, dtype=np.int64)
        for kind, bits in STATUS_BITS.items():
            words[self.faulty[kind]] = bits
        return words.reshape(CSPAD.shape)


def make_sensor(seed: int, positions_um: NDArray[np.float64]) -> Sensor:
    """Draw a detector.

    Parameters
    ----------
    seed : same seed, same detector, on every machine and numpy version.
    positions_um : float64 ``(32, 185, 388, 3)``, for the region of low gain.
    """
    random = np.random.RandomState(seed % 2**32)  # its stream is frozen, unlike default_rng's
    unbonded = CSPAD.unbonded_pixels()
    candidates = random.permutation(np.flatnonzero(~unbonded))
    faulty, taken = {}, 0
    for kind, count in COUNTS.items():
        faulty[kind] = np.sort(candidates[taken : taken + count])
        taken += count

    pedestal = _pedestals(random)
    noise = np.clip(4.0 + 0.33 * random.standard_normal(CSPAD.shape), 3.0, 5.0).astype(np.float32)
    radius = np.hypot(positions_um[..., 0], positions_um[..., 1]) / CSPAD.pixel_um
    low_gain = radius < LOW_GAIN_RADIUS_PX
    response = np.where(low_gain, ADU_PER_PHOTON / LOW_GAIN_FACTOR, ADU_PER_PHOTON)
    response = response.astype(np.float32)
    response[unbonded] = 0
    noise[unbonded] = 3.0  # no sensor capacitance: quieter than the others

    flat_pedestal, flat_noise = pedestal.reshape(-1), noise.reshape(-1)
    hot = faulty["hot"]
    flat_pedestal[hot] = random.uniform(2600, 9000, hot.size)
    flat_noise[hot] = random.uniform(6, 30, hot.size)
    railed = hot[::10]
    flat_pedestal[railed], flat_noise[railed] = CSPAD.adc_max_adu, 0
    noisy = faulty["noisy"]
    flat_noise[noisy] = random.uniform(40, 100, noisy.size)
    dead = faulty["dead"]
    response.reshape(-1)[dead] = 0
    flat_noise[dead[::2]] = 0
    stuck = faulty["stuck"]
    flat_pedestal[stuck], flat_noise[stuck] = 0, 0
    response.reshape(-1)[stuck] = 0
    return Sensor(pedestal, noise, response, low_gain, faulty)


def _pedestals(random: np.random.RandomState) -> NDArray[np.float32]:
    """1000 … 1400 ADU: a level for each ASIC, a slope along rows, columns that differ, and the
    rise towards the ASIC's edges that leakage makes."""
    modules, asics = CSPAD.modules, CSPAD.asics_per_module
    height, width = CSPAD.asic_shape
    levels = random.uniform(1090, 1290, (modules, 1, asics, 1))
    slopes = random.uniform(-35, 35, (modules, 1, asics, 1))
    rows = np.linspace(-0.5, 0.5, height).reshape(1, height, 1, 1)
    columns = 5 * random.standard_normal((modules, 1, asics, width))
    from_edge = np.minimum(np.arange(width), np.arange(width)[::-1])
    pixels = 9 * random.standard_normal((modules, height, asics, width))
    edge = (14 * np.exp(-from_edge / 4)).reshape(1, 1, 1, width)
    pedestals = levels + slopes * rows + columns + edge + pixels
    return np.asarray(np.clip(pedestals, 1000, 1400).reshape(CSPAD.shape), np.float32)


class FrameMaker:
    """Frames of one run.

    Parameters
    ----------
    sensor : the detector.
    mean : float32 ``(32, 185, 388)``, expected photons per frame at intensity 1.
    seed, run : the random stream.
    """

    def __init__(self, sensor: Sensor, mean: NDArray[np.float32], seed: int, run: int) -> None:
        self._sensor = sensor
        self._mean = mean
        self._seed = seed
        self._run = run
        self._table = normal_table()
        self._frame = np.empty(CSPAD.shape, dtype=np.int16)

    def frame(
        self,
        event: int,
        intensity: float,
        common_mode: NDArray[np.float64],
        spots: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    ) -> NDArray[np.int16]:
        """One digitised frame, int16 ``(32, 185, 388)``; valid until the next call.

        Parameters
        ----------
        event : number in the run.
        intensity : of the shot; 0 for a dark frame.
        common_mode : float64 ``(32,)``, ADU.
        spots : flat pixel indices and photons of Bragg spots, each ``(n,)``.
        """
        sensor = self._sensor
        constants = zip(sensor.pedestal, sensor.noise, sensor.response, strict=True)
        on_threads(
            read_out,
            (
                (
                    self._mean[i], intensity, of_module, common_mode[i],
                    (self._seed, self._run, event, i), self._table, self._frame[i],
                )
                for i, of_module in enumerate(constants)
            ),
        )  # fmt: skip
        if spots is not None:
            index, photons = spots
            signal = np.bincount(index, weights=photons * sensor.response.reshape(-1)[index])
            struck = np.flatnonzero(signal)
            flat = self._frame.reshape(-1)
            flat[struck] = np.minimum(flat[struck] + np.rint(signal[struck]), CSPAD.adc_max_adu)
        return self._frame
