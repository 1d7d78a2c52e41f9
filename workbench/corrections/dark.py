"""Constants made from a dark run: pedestals, rms and status of each pixel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.constants import deploy_constants, free_path
from workbench.detectors import Detector
from workbench.errors import ConstantsError

STATUS_BITS: dict[int, str] = {
    1: "hot: rms too large",
    2: "cold: rms too small",
    4: "saturated",
    8: "intensity too small",
    16: "average too large",
    32: "average too small",
    64: "gain bits of no range, or not of the run's",
}
"""Bits of pixel_status, as today's dark processing of psana writes them; the last one is for
detectors with gain ranges."""
OTHER_RANGE = 64

DARK_KINDS = ("pedestals", "pixel_rms", "pixel_status")
"""Constants that are made from a dark run."""

LEAST_EVENTS = 10
"""A standard deviation of fewer events says little about a pixel."""


@dataclass(frozen=True)
class DarkLimits:
    """What a good pixel keeps in the dark.

    Attributes
    ----------
    rms_spreads, average_spreads : how far rms and average may lie from their medians over the
        detector, in spreads (half the distance of the 15.9 % and 84.1 % quantiles).
    intensity_min : ADU; a pixel that never exceeds this is cold.
    intensity_max : ADU; a pixel that reaches this is saturated. None: the largest value of the
        detector's ADC.
    """

    rms_spreads: float = 6.0
    average_spreads: float = 6.0
    intensity_min: float = 1.0
    intensity_max: float | None = None


@dataclass(frozen=True)
class DarkConstants:
    """Constants of a dark run.

    Attributes
    ----------
    pedestals, pixel_rms : float32 of the detector's shape, ADU; of all gain ranges together
        ``(ranges, modules, rows, columns)``.
    pixel_status : int32 of that shape; 0 is good, else bits of `STATUS_BITS`.
    counts : pixels with each bit, by its meaning.
    limits : smallest and largest rms and average of good pixels, ADU.
    """

    pedestals: NDArray[np.float32]
    pixel_rms: NDArray[np.float32]
    pixel_status: NDArray[np.int32]
    counts: dict[str, int]
    limits: dict[str, tuple[float, float]]

    @property
    def bad_pixels(self) -> int:
        """Pixels with a status, in any gain range."""
        bad = self.pixel_status != 0
        return int(np.count_nonzero(bad.any(axis=0) if bad.ndim == 4 else bad))

    def describe(self) -> dict[str, Any]:
        """Summary as plain values."""
        return {
            "bad_pixels": self.bad_pixels,
            "counts": self.counts,
            "limits_adu": {name: list(pair) for name, pair in self.limits.items()},
        }


class DarkImages(Protocol):
    """Raw images of a dark run; see `workbench.averages.RunImages`."""

    @property
    def detector(self) -> Detector: ...
    @property
    def count(self) -> int: ...
    @property
    def pixel_count(self) -> NDArray[np.int64]: ...
    @property
    def average(self) -> NDArray[np.float64]: ...
    @property
    def stddev(self) -> NDArray[np.float64]: ...
    @property
    def maximum(self) -> NDArray[np.float64]: ...


def make_constants(images: DarkImages, limits: DarkLimits | None = None) -> DarkConstants:
    """Pedestals, rms and status from the images of a dark run.

    Parameters
    ----------
    images : raw images of a dark run, e.g. a `workbench.averages.RunImages`. Of a detector with
        gain ranges these are constants of the one range that the run shows; see
        `workbench.corrections.range_dark`.
    limits : what a good pixel keeps.

    Notes
    -----
    Pixels that were never read (absent modules) get pedestal 0, rms 0 and all the bits of a cold
    pixel.

    Raises
    ------
    ConstantsError
        If there are too few events, or the images are of corrected events.
    """
    limits = limits or DarkLimits()
    if images.count < LEAST_EVENTS:
        raise ConstantsError(
            f"{images.count} dark events are too few for constants; use at least {LEAST_EVENTS}."
        )
    read = images.pixel_count > 0
    average, rms = images.average, images.stddev
    if half_below_zero(average, read):
        raise ConstantsError(
            "About half of the dark average lies below zero: pedestals were subtracted already. "
            "Constants are made from raw data (--raw-data)."
        )
    status = np.zeros(average.shape, np.int32)
    ranges = {
        "rms": _range(rms[read & (rms > 0)], limits.rms_spreads),
        "average": _range(average[read], limits.average_spreads),
    }
    with np.errstate(invalid="ignore"):
        status[rms > ranges["rms"][1]] |= 1
        status[~(rms > 0) | (rms < ranges["rms"][0])] |= 2
        status[~(images.maximum >= limits.intensity_min)] |= 8
        status[average > ranges["average"][1]] |= 16
        status[average < ranges["average"][0]] |= 32
        # one cosmic ray does not make a pixel bad: saturation tells why another bit is set
        saturated = limits.intensity_max or images.detector.adc_max_adu
        status[(images.maximum >= saturated) & ((status & (1 | 16)) != 0)] |= 4
    status[~read] |= 2 | 8 | 32
    bits = dict(STATUS_BITS)
    if images.detector.gain_ranges is None:
        del bits[OTHER_RANGE]
    else:  # events in which a pixel had gain bits of no range are left out of its average
        of_module = images.pixel_count.max(axis=(1, 2), keepdims=True)
        status[images.pixel_count < of_module] |= OTHER_RANGE
    return DarkConstants(
        np.where(read, average, 0.0).astype(np.float32),
        np.where(read, rms, 0.0).astype(np.float32),
        status,
        {meaning: int(np.count_nonzero(status & bit)) for bit, meaning in bits.items()},
        ranges,
    )


def half_below_zero(average: NDArray[np.float64], read: NDArray[np.bool_] | None = None) -> bool:
    """Tell whether about half of the pixels are below zero: pedestals were subtracted.

    Raw averages lie far above 0 (of a CSPAD near 1200 ADU); where pedestals were subtracted from a
    dark run, they scatter about 0.
    """
    values = average[np.isfinite(average) if read is None else read & np.isfinite(average)]
    if not values.size:
        return False
    return bool(0.25 < np.count_nonzero(values < 0) / values.size < 0.75)


def deploy_dark_constants(
    constants: DarkConstants,
    calib_dir: str | os.PathLike[str],
    address: str,
    first_run: int,
    last_run: int | None = None,
    comment: str = "",
) -> Mapping[str, Path]:
    """Put pedestals, pixel_rms and pixel_status into the calibration directory.

    Nothing is replaced: if one of the three is deployed already for this range of runs, none is
    written.

    Returns
    -------
    Paths written, by kind.
    """
    refuse_deployed(calib_dir, address, first_run, last_run)
    return {
        kind: deploy_constants(
            getattr(constants, kind), calib_dir, address, kind, first_run, last_run, comment
        )
        for kind in DARK_KINDS
    }


def refuse_deployed(
    calib_dir: str | os.PathLike[str], address: str, first_run: int, last_run: int | None = None
) -> None:
    """Refuse a range of runs for which constants of a dark run are deployed already.

    Raises
    ------
    ConstantsError
        Naming the file that is there.
    """
    for kind in DARK_KINDS:
        free_path(calib_dir, address, kind, first_run, last_run)


def _range(values: NDArray[np.float64], spreads: float) -> tuple[float, float]:
    """Limits about the median; never so narrow that a uniform detector loses pixels."""
    if not values.size:
        return 0.0, 0.0
    low, median, high = np.quantile(values, [0.1587, 0.5, 0.8413])
    reach = spreads * max((high - low) / 2, 1e-3 * abs(median))
    return float(max(median - reach, 0.0)), float(median + reach)
