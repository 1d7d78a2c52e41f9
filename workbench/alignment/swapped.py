"""Quadrants whose data may be another quadrant's: polarisation disagrees between them.

The four quadrants are copies of one another turned by 90°, so rings stay concentric when cables
or indices are swapped. Polarisation does not: a linearly polarised beam dims the scattering at
large angles along its direction. In a quadrant taken for its neighbour the dimming runs the other
way. Which way is right is not assumed, only that all quadrants agree. Opposite quadrants look
alike in this too and cannot be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.prepare import image_data, pixel_positions, usable_pixels
from workbench.detector import PIXEL_SIZE_UM, QUADRANTS, SENSORS_PER_QUADRANT

MIN_TWO_THETA_DEG = 12.0
_BIN_PX = 8.0
_LIMIT, _SIGMAS = 0.4, 5.0


@dataclass(frozen=True)
class PolarisationCheck:
    """Observed variation with azimuth over that of a beam polarised along lab y, by quadrant.

    Attributes
    ----------
    slope, sigma : float64 ``(4,)``; 1 polarised along y, -1 along x, 0 not at all; NaN unknown.
    """

    slope: NDArray[np.float64]
    sigma: NDArray[np.float64]

    @property
    def camps(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Quadrants that clearly see the beam polarised along y, and along x."""
        with np.errstate(invalid="ignore"):
            clear = (np.abs(self.slope) > _LIMIT) & (np.abs(self.slope) > _SIGMAS * self.sigma)
        along_y, along_x = (
            tuple(int(q) for q in np.flatnonzero(clear & (sign * self.slope > 0)))
            for sign in (1, -1)
        )
        return along_y, along_x

    def warning(self) -> str:
        """Sentence about swapped quadrants, empty where all agree."""
        one, two = self.camps
        if not one or not two:
            return ""
        names = (" and ".join(str(q) for q in camp) for camp in (one, two))
        first, second = names
        return (
            f"Quadrants {first} see another direction of polarisation than {second}: data of "
            "neighbouring quadrants may be swapped (cables or indices); rings cannot show that."
        )


def polarisation_check(image: Any, geometry: Any = None, mask: Any = None) -> PolarisationCheck:
    """Compare the change of intensity with azimuth with that of a polarised beam.

    Needs an image with a distance (mm); parameters as for `align_quadrants`.
    """
    unknown = PolarisationCheck(np.full(QUADRANTS, np.nan), np.full(QUADRANTS, np.nan))
    distance_mm = getattr(image, "distance_mm", None)
    if not distance_mm:
        return unknown
    data = image_data(image)
    good = usable_pixels(data, mask)
    x, y, _ = pixel_positions(image, geometry)
    thin = np.zeros(data.shape, bool)
    thin[:, ::3, ::3] = True  # a smooth effect: every ninth pixel is plenty
    for q in range(QUADRANTS):
        part = slice(q * SENSORS_PER_QUADRANT, (q + 1) * SENSORS_PER_QUADRANT)
        use = good[part] & thin[part]
        sensor = np.nonzero(use)[0]
        found = _slope(data[part][use], x[part][use], y[part][use], sensor, distance_mm)
        unknown.slope[q], unknown.sigma[q] = found
    return unknown


def _slope(
    value: NDArray[Any],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    sensor: NDArray[np.int64],
    distance_mm: float,
) -> tuple[float, float]:
    """Slope of relative intensity on relative polarisation factor, leaving out sensors."""
    radius = np.hypot(x, y).astype(np.float64)
    sine = np.sin(np.arctan(radius * PIXEL_SIZE_UM / (distance_mm * 1e3)))
    wide = sine > np.sin(np.radians(MIN_TWO_THETA_DEG))
    if np.count_nonzero(wide) < 2000:
        return np.nan, np.nan
    value, radius, sine, sensor = value[wide].astype(float), radius[wide], sine[wide], sensor[wide]
    value = np.minimum(value, np.percentile(value, 99))
    factor = 1 - (sine * y[wide] / radius) ** 2
    ring = (radius / _BIN_PX).astype(np.int64)
    count = np.maximum(np.bincount(ring), 1)
    level = np.bincount(ring, value)[ring] / count[ring]
    middle = np.bincount(ring, factor)[ring] / count[ring]
    lit = level > 0
    if np.count_nonzero(lit) < 2000:
        return np.nan, np.nan
    seen, meant = (value / np.where(lit, level, 1) - 1)[lit], (factor / middle - 1)[lit]
    cross = np.bincount(sensor[lit], seen * meant, SENSORS_PER_QUADRANT)
    square = np.bincount(sensor[lit], meant * meant, SENSORS_PER_QUADRANT)
    if square.sum() <= 0:
        return np.nan, np.nan
    without = (cross.sum() - cross) / np.maximum(square.sum() - square, 1e-30)
    spread = (len(without) - 1) / len(without) * np.sum((without - without.mean()) ** 2)
    return float(cross.sum() / square.sum()), float(np.sqrt(spread))
