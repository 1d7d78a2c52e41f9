"""How sharp the rings are: the figure that an alignment improves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.prepare import Prepared
from workbench.detector import QUADRANTS

BIN_PX = 0.5
_LEAST_PIXELS = 100


@dataclass(frozen=True)
class RingSharpness:
    """Rings of the radial profile of all quadrants together.

    Attributes
    ----------
    width_px : full width at half height of the strongest ring (of the flattened values), NaN if
        there is none.
    radius_px : its radius, NaN if there is none.
    explained : share of the variance of the flattened values that the profile explains.
    """

    width_px: float
    radius_px: float
    explained: float

    def to_dict(self) -> dict[str, float | None]:
        """Plain values for JSON."""
        from workbench.alignment.result import plain

        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}


def ring_sharpness(prepared: Prepared, offsets_px: NDArray[np.float64]) -> RingSharpness:
    """Sharpness of the rings with quadrants seen at `offsets_px`, float64 ``(4, 2)``."""
    bins = int(1500 / BIN_PX)
    total, number, square = np.zeros(bins), np.zeros(bins), 0.0
    for q in range(QUADRANTS):
        part = prepared.quadrant(q)
        use = part.good & (part.value != 0)
        value = part.value[use]
        radius = np.hypot(part.x[use] - offsets_px[q, 0], part.y[use] - offsets_px[q, 1])
        place = np.minimum((radius * part.stretch[use] / BIN_PX).astype(np.int64), bins - 1)
        total += np.bincount(place, value, bins)
        number += np.bincount(place, minlength=bins)
        square += float(value.astype(np.float64) @ value)
    known = number > _LEAST_PIXELS
    if not known.any() or square <= 0:
        return RingSharpness(float("nan"), float("nan"), 0.0)
    profile = np.where(known, total / np.maximum(number, 1), 0.0)
    explained = float(np.sum(profile[known] ** 2 * number[known]) / square)
    # The noise of a mean is 1 / sqrt(number): the ring that stands out most is the strongest.
    strongest = int(np.argmax(profile * np.sqrt(np.where(known, number, 0))))
    width = _width(profile, strongest) * BIN_PX
    return RingSharpness(width, (strongest + 0.5) * BIN_PX, explained)


def _width(profile: NDArray[np.float64], top: int) -> float:
    """Full width at half height about index `top`, in bins; NaN if it has no end."""
    half = profile[top] / 2
    if half <= 0:
        return float("nan")
    width = 0.0
    for side in (-1, 1):
        place = top
        while 0 < place < len(profile) - 1 and profile[place + side] > half:
            place += side
        if not 0 < place < len(profile) - 1:
            return float("nan")
        inner, outer = profile[place], profile[place + side]
        width += abs(place - top) + (inner - half) / max(inner - outer, 1e-30)
    return width
