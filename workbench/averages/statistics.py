"""Count, mean, variance, maximum and minimum of each pixel, in a form that can be merged."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.files import replacing
from workbench.numpy_files import opened_archive

FIELDS = ("count", "pixel_count", "mean", "m2", "maximum", "minimum")
"""Everything that makes up `Statistics`."""


@dataclass
class Statistics:
    """Running statistics of a stack of equally shaped frames.

    Merging is associative (up to rounding of mean and m2; count, maximum and minimum exactly)
    and has the neutral element `empty`. The formulas are those of Welford (1962) for one frame
    and of Chan, Golub & LeVeque (1983) for two parts: no difference of large sums is formed, so a
    standard deviation of 1 on a mean of 1e6 keeps its digits.

    Attributes
    ----------
    count : frames added.
    pixel_count : int64, frames in which a pixel had a value (not NaN, not absent).
    mean : float64, 0 where a pixel never had a value.
    m2 : float64, sum of squared differences from the mean.
    maximum, minimum : float64, -inf and inf where a pixel never had a value.
    """

    count: int
    pixel_count: NDArray[np.int64]
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]
    maximum: NDArray[np.float64]
    minimum: NDArray[np.float64]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Statistics:
        """Give the neutral element: statistics of no frame of this shape."""
        return cls(
            0,
            np.zeros(shape, np.int64),
            np.zeros(shape),
            np.zeros(shape),
            np.full(shape, -np.inf),
            np.full(shape, np.inf),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame."""
        return self.mean.shape

    def add(self, frame: NDArray[Any]) -> None:
        """Add one frame in place; NaN pixels (and masked ones of a masked array) do not count.

        Raises
        ------
        WorkbenchError
            If the frame has another shape.
        """
        from workbench.averages.accumulate_loops import add_frame

        if np.shape(frame) != self.shape:
            raise WorkbenchError(
                f"This frame has the shape {np.shape(frame)}, the others {self.shape}; "
                "only frames of one detector can be averaged."
            )
        if isinstance(frame, np.ma.MaskedArray):
            frame = np.ma.filled(frame.astype(np.float64), np.nan)
        values = np.ascontiguousarray(frame).reshape(-1)
        if values.dtype.kind not in "iuf" or values.dtype.itemsize == 16:
            values = values.astype(np.float64)
        add_frame(
            values.astype(values.dtype.newbyteorder("="), copy=False),
            self.pixel_count.reshape(-1),
            self.mean.reshape(-1),
            self.m2.reshape(-1),
            self.maximum.reshape(-1),
            self.minimum.reshape(-1),
        )
        self.count += 1

    def module(self, index: int) -> Statistics:
        """Statistics of one module: views, with a count of its own."""
        return Statistics(0, *(getattr(self, name)[index] for name in FIELDS[1:]))

    def merge(self, other: Statistics) -> Statistics:
        """Give the statistics of the frames of both."""
        if other.shape != self.shape:
            raise WorkbenchError(
                f"Statistics of shapes {self.shape} and {other.shape} cannot be merged."
            )
        n = self.pixel_count + other.pixel_count
        share = other.pixel_count / np.maximum(n, 1)
        delta = other.mean - self.mean
        # where one side never had a value, its mean of 0 must not enter
        delta[(self.pixel_count == 0) | (other.pixel_count == 0)] = 0.0
        mean = np.where(self.pixel_count > 0, self.mean, other.mean) + delta * share
        return Statistics(
            self.count + other.count,
            n,
            mean,
            self.m2 + other.m2 + delta * delta * (self.pixel_count * share),
            np.maximum(self.maximum, other.maximum),
            np.minimum(self.minimum, other.minimum),
        )

    def variance(self, ddof: int = 0) -> NDArray[np.float64]:
        """Sum of squared differences over ``n - ddof``; NaN where ``n <= ddof``."""
        n = self.pixel_count - ddof
        return np.where(n > 0, self.m2, np.nan) / np.maximum(n, 1)

    def stddev(self, ddof: int = 0) -> NDArray[np.float64]:
        """Standard deviation; ``ddof=0`` (of the population) as ``cxi.mpi_average``."""
        return np.sqrt(self.variance(ddof))

    def average(self) -> NDArray[np.float64]:
        """Mean, NaN where a pixel never had a value."""
        return np.where(self.pixel_count > 0, self.mean, np.nan)

    def copy(self) -> Statistics:
        """Give an independent copy."""
        return Statistics(
            self.count,
            *(np.array(getattr(self, name)) for name in FIELDS[1:]),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to an ``.npz`` file, to be read with `load`."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in FIELDS}
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Statistics:
        """Statistics written by `save`.

        Raises
        ------
        FileFormatError
            If the file cannot be read or does not hold statistics.
        """
        with opened_archive(path, "saved statistics") as stored:
            return cls.from_arrays({name: stored[name] for name in FIELDS})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Statistics:
        """Statistics of its `FIELDS` as arrays, checked.

        Raises
        ------
        ValueError
            If they do not belong together.
        """
        statistics = cls(int(arrays["count"]), *(np.array(arrays[name]) for name in FIELDS[1:]))
        kinds = [getattr(statistics, name).dtype for name in FIELDS[1:]]
        if len({getattr(statistics, name).shape for name in FIELDS[1:]}) != 1 or kinds != [
            np.dtype(np.int64), *[np.dtype(np.float64)] * 4
        ]:  # fmt: skip
            raise ValueError("the arrays of the statistics do not match")
        if statistics.count < 0 or not (statistics.pixel_count >= 0).all():
            raise ValueError("counts below zero")
        return statistics


def merge_all(parts: Sequence[Statistics]) -> Statistics:
    """Merge pairwise, as a tree: rounding grows with the logarithm of the number of parts."""
    if not parts:
        raise WorkbenchError("There are no statistics to merge.")
    parts = list(parts)
    while len(parts) > 1:
        pairs = [a.merge(b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[len(pairs) * 2 :]
    return parts[0]
