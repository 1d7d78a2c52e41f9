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

THRESHOLD_ADU = 300.0
"""About ten photons of 9 keV on a CSPAD in high gain."""


NOISE = 8.0
"""The 24 pixels around a peak tell their scatter to 15 %, and photons scatter to one side."""


@dataclass(frozen=True)
class Hits:
    """Which events are hits: those with at least so many peaks.

    Parameters
    ----------
    min_peaks : fewest peaks of a hit.
    threshold_adu : see `workbench.frames.peaks`.
    """

    min_peaks: int = 15
    threshold_adu: float = THRESHOLD_ADU

    def __post_init__(self) -> None:
        if self.min_peaks < 0:
            raise WorkbenchError(f"A hit cannot have {self.min_peaks} peaks; use 0 or more.")
        if not self.threshold_adu > 0:
            raise WorkbenchError(
                f"The threshold of peaks is {self.threshold_adu} ADU; it must be above 0."
            )


def count_peaks(
    data: NDArray[Any],
    good: NDArray[np.bool_] | None = None,
    threshold_adu: float = THRESHOLD_ADU,
) -> int:
    """Count the peaks of one event.

    Parameters
    ----------
    data : corrected ADU, ``(modules, rows, columns)``; NaN is no peak.
    good : bool of the same shape, False where a pixel is masked; None means all are good.
    threshold_adu : height above zero and above the surroundings.

    Raises
    ------
    WorkbenchError
        If the shapes differ.
    """
    from workbench.frames.peak_loops import count

    if good is None:
        good = np.ones(data.shape, np.bool_)
    if data.ndim != 3 or good.shape != data.shape:
        raise WorkbenchError(f"The event has the shape {data.shape}, the mask {good.shape}.")
    return int(count(data, good, threshold_adu, NOISE))
