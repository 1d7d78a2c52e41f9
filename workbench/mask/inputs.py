"""The three images a mask is made from, checked and brought to one form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import MaskError
from workbench.mask.model import full_detector


@dataclass(frozen=True, eq=False)
class MaskImages:
    """Average and standard deviation of a dark run, maximum of bright runs.

    Attributes
    ----------
    average, stddev, maximum : float64 ``(32, 185, 388)``, ADU, read-only.
    sources : the `DetectorImage` each came from, or None, in the same order.
    """

    average: NDArray[np.float64]
    stddev: NDArray[np.float64]
    maximum: NDArray[np.float64]
    sources: tuple[Any, Any, Any] = (None, None, None)

    @classmethod
    def of(cls, average: Any, stddev: Any, maximum: Any) -> MaskImages:
        """Take arrays or `DetectorImage` objects.

        Raises
        ------
        MaskError
            If one is not the image of a full CSPAD.
        """
        arrays, sources = [], []
        for image, what in (
            (average, "average"),
            (stddev, "standard deviation"),
            (maximum, "maximum"),
        ):
            is_image = hasattr(image, "data") and not isinstance(image, np.ndarray)
            array = np.asarray(image.data if is_image else image)
            if array.dtype.kind not in "fiub":
                raise MaskError(f"The {what} image holds {array.dtype}, not real numbers.")
            array = np.ascontiguousarray(full_detector(array, f"{what} image"), np.float64).view()
            array.flags.writeable = False
            arrays.append(array)
            sources.append(image if is_image else None)
        return cls(arrays[0], arrays[1], arrays[2], (sources[0], sources[1], sources[2]))

    @property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Average, standard deviation, maximum."""
        return self.average, self.stddev, self.maximum
