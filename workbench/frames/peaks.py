"""A count of peaks, to tell shots that hit a crystal from blank ones.

A peak is a good pixel that

* is higher than the threshold,
* is not lower than any good one of its eight neighbours (of equal ones the first counts), and
* is higher than the mean of the good pixels on the edge of the 7 × 7 pixels around it, by the
  threshold and by `NOISE` times their standard deviation.

A peak lies within a module, not in its outermost rows and columns. The count chooses shots; it is
no spot finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.recipe import Hits

THRESHOLD_ADU = Hits().threshold_adu
"""About ten photons of 9 keV on a CSPAD in high gain; of values in keV, 33 of them."""

ROOM = 10_000
"""Peaks of one event that there is room for at first."""
NOISE = 8.0
"""The 24 pixels around a peak tell their scatter to 15 %, and photons scatter to one side."""


@dataclass(frozen=True)
class Peaks:
    """Peaks of one event.

    Attributes
    ----------
    places : int64, indices of the pixels in the flattened detector array.
    heights_adu : float64; a peak is above every threshold below its height.
    """

    places: NDArray[np.int64]
    heights_adu: NDArray[np.float64]

    def above(self, threshold_adu: float) -> NDArray[np.int64]:
        """Places of the peaks above a threshold, not lower than the one they were found with."""
        return self.places[self.heights_adu > threshold_adu]


def count_peaks(
    data: NDArray[Any],
    good: NDArray[np.bool_] | None = None,
    threshold_adu: float = THRESHOLD_ADU,
) -> int:
    """Count the peaks of one event.

    Parameters
    ----------
    data : corrected ADU, or keV, ``(modules, rows, columns)``; NaN is no peak.
    good : bool of the same shape, False where a pixel is masked; None means all are good.
    threshold_adu : height above zero and above the surroundings, in the unit of `data`.

    Raises
    ------
    WorkbenchError
        If the shapes differ.
    """
    none = np.empty(0)
    return _find(data, good, threshold_adu, none.astype(np.int64), none)


def find_peaks(
    data: NDArray[Any],
    good: NDArray[np.bool_] | None = None,
    threshold_adu: float = THRESHOLD_ADU,
) -> Peaks:
    """Find the peaks of one event: those that `count_peaks` counts, with the same parameters."""
    room = ROOM
    while True:
        places, heights = np.empty(room, np.int64), np.empty(room)
        count = _find(data, good, threshold_adu, places, heights)
        if count <= room:
            return Peaks(places[:count].copy(), heights[:count].copy())
        room = count


def _find(
    data: NDArray[Any],
    good: NDArray[np.bool_] | None,
    threshold_adu: float,
    places: NDArray[np.int64],
    heights: NDArray[np.float64],
) -> int:
    from workbench.frames.peak_loops import find

    if good is None:
        good = np.ones(data.shape, np.bool_)
    if data.ndim != 3 or good.shape != data.shape:
        raise WorkbenchError(f"The event has the shape {data.shape}, the mask {good.shape}.")
    return int(find(data, good, float(threshold_adu), NOISE, places, heights))
