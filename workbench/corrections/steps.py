"""The steps of a correction: what each does, with which constants, and how it is described."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ConstantsError
from workbench.runs import EventSource

DEFAULT_COMMON_MODE = (1.0, 25.0, 25.0, 100.0, 1.0)
"""Algorithm and parameters where no common_mode file is deployed (PSCalib, cctbx.xfel)."""


class Step(Protocol):
    """One correction."""

    @property
    def source(self) -> str:
        """Where its constants come from."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain values for provenance; ``step`` is its name."""
        ...


@dataclass(frozen=True)
class Pedestals:
    """Subtract the pedestal of each pixel, ADU."""

    values: NDArray[np.float32]
    source: str = ""

    def describe(self) -> dict[str, Any]:
        """Name, source and mean pedestal."""
        mean = float(self.values.mean(dtype=np.float64))
        return {"step": "pedestals", "source": self.source, "mean_adu": round(mean, 3)}


@dataclass(frozen=True)
class CommonMode:
    """Subtract the common mode of each module (CSPAD: sensor), or of each few pixels in a row.

    Parameters
    ----------
    parameters : algorithm and p1, p2, p3, p4, as in a common_mode file. Algorithm 0 does nothing;
        1 takes the peak of the histogram of the module, 5 the mean of its unbonded pixels; 2 the
        mean and 3 the median of each p3 pixels in a row (128 if p3 is below 100).
    good : bool of the detector's shape; pixels that enter histogram, mean or median. None means
        none: that is psana's behaviour without a pixel_status file (its C++ store then takes all
        pixels as bad).
    source, status_source : where parameters and status come from.
    """

    parameters: tuple[float, ...] = DEFAULT_COMMON_MODE
    good: NDArray[np.bool_] | None = None
    source: str = "default"
    status_source: str = ""

    def __post_init__(self) -> None:
        if self.algorithm not in (0, 1, 2, 3, 5):
            raise ConstantsError(
                f"{self.source}: common mode algorithm {self.parameters[0]:g} is not known for "
                "the detectors here; use 0 (off), 1 (histogram peak), 2 or 3 (mean or median of "
                "pixels in a row) or 5 (unbonded pixels)."
            )

    @property
    def algorithm(self) -> int:
        """0, 1, 2, 3 or 5."""
        number = self.parameters[0]
        return int(number) if number == int(number) else -1

    @property
    def run_length(self) -> int:
        """Pixels in a row that algorithms 2 and 3 take together; 0 for the other ones."""
        if self.algorithm not in (2, 3):
            return 0
        length = self.numbers[2]
        return int(length) if 100 <= length < 1e9 else 128

    @property
    def numbers(self) -> NDArray[np.float64]:
        """p1 … p4; missing ones are NaN, as psana reads them."""
        given = self.parameters[1:5]
        return np.array([*given, *[math.nan] * (4 - len(given))], np.float64)

    @property
    def warnings(self) -> list[str]:
        """What psana does silently and a user should know."""
        if self.run_length and self.good is None:
            return [
                "No pixel_status is deployed: psana then takes all pixels as bad for the common "
                "mode, so none is subtracted."
            ]
        if self.algorithm != 1:
            return []
        warnings = []
        falls_back = self.numbers[3] > 0.1
        if self.good is None:
            warnings.append(
                "No pixel_status is deployed: psana then takes all pixels as bad for the common "
                "mode, so "
                + ("the unbonded pixels give it." if falls_back else "none is subtracted.")
            )
        if len(self.parameters) < 5:
            warnings.append(
                f"{self.source} has {len(self.parameters)} numbers: without the fifth psana does "
                "not fall back to the unbonded pixels."
            )
        return warnings

    def describe(self) -> dict[str, Any]:
        """Name, sources and parameters."""
        return {
            "step": "common mode",
            "source": self.source,
            "parameters": list(self.parameters),
            "pixel_status": self.status_source or None,
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class Gain:
    """Multiply low-gain pixels by a factor: the gain rule of detectors whose configuration tells
    which pixels are in low gain (the CSPAD).

    A detector that switches gain from event to event needs a step of its own beside this one.
    """

    factor: float
    low_gain: NDArray[np.bool_]
    source: str = "configuration of the run"

    @classmethod
    def of(cls, run: EventSource, factor: float) -> Gain:
        """Gain of a run.

        Raises
        ------
        ConstantsError
            If the gain of the run's detector is not chosen by pixel.
        """
        if run.detector.low_gain_factor is None:
            raise ConstantsError(
                f"The pixels of the {run.detector.name} have no low gain of their own; leave the "
                "factor for low gain out."
            )
        return cls(factor, np.asarray(run.low_gain, bool))

    def describe(self) -> dict[str, Any]:
        """Name, factor and how many pixels are in low gain."""
        return {
            "step": "gain",
            "source": self.source,
            "factor": self.factor,
            "low_gain_pixels": int(np.count_nonzero(self.low_gain)),
        }


@dataclass(frozen=True)
class PixelGain:
    """Multiply each pixel by its gain constant."""

    values: NDArray[np.float32]
    source: str = ""

    def describe(self) -> dict[str, Any]:
        """Name and source."""
        return {"step": "pixel gain", "source": self.source}


@dataclass(frozen=True)
class StatusMask:
    """Set pixels with a status to 0."""

    good: NDArray[np.bool_]
    source: str = ""

    def describe(self) -> dict[str, Any]:
        """Name, source and how many pixels are bad."""
        bad = int(self.good.size - np.count_nonzero(self.good))
        return {"step": "status mask", "source": self.source, "bad_pixels": bad}
