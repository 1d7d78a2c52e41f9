"""How sharp the rings are: the figure that an alignment improves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.prepare import Prepared


@dataclass(frozen=True)
class SharpnessSettings:
    """How the sharpness is measured.

    Attributes
    ----------
    bin_px, reach_px : width of the radial bins, radius of the last.
    least_pixels : a bin with fewer pixels counts as not measured.
    """

    bin_px: float = 0.5
    reach_px: float = 1500.0
    least_pixels: int = 100


SHARPNESS = SharpnessSettings()


@dataclass(frozen=True)
class RingSharpness:
    """Rings of the radial profile of all groups together.

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


def ring_sharpness(
    prepared: Prepared,
    offsets_px: NDArray[np.float64],
    settings: SharpnessSettings = SHARPNESS,
) -> RingSharpness:
    """Sharpness of the rings with groups seen at `offsets_px`, float64 ``(groups, 2)``."""
    bin_px = settings.bin_px
    bins = int(settings.reach_px / bin_px)
    total, number, square = np.zeros(bins), np.zeros(bins), 0.0
    for q in range(prepared.groups):
        part = prepared.group(q)
        sums, counts = part.radial_sums(offsets_px[q], bin_px, bins)
        total += sums.sum(axis=0)
        number += counts.sum(axis=0)
        value = part.value.ravel()  # 0 where not good
        square += float(value @ value)
    known = number > settings.least_pixels
    if not known.any() or square <= 0:
        return RingSharpness(float("nan"), float("nan"), 0.0)
    profile = np.where(known, total / np.maximum(number, 1), 0.0)
    explained = float(np.sum(profile[known] ** 2 * number[known]) / square)
    # The noise of a mean is 1 / sqrt(number): the ring that stands out most is the strongest.
    strongest = int(np.argmax(profile * np.sqrt(np.where(known, number, 0))))
    width = _width(profile, strongest) * bin_px
    return RingSharpness(width, (strongest + 0.5) * bin_px, explained)


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
