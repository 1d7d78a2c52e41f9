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

from workbench.alignment import prepare
from workbench.alignment.prepare import ImageLike, MaskOrArray
from workbench.geometry import Geometry


@dataclass(frozen=True)
class PolarisationSettings:
    """How polarisation is compared.

    Attributes
    ----------
    least_two_theta_deg : pixels at smaller angles are not used.
    bin_px : width of the radial bins within which intensities are compared.
    stride : a smooth effect, so one row and column in this many is plenty.
    least_slope, least_sigmas : a group clearly sees a direction from both of these on.
    least_pixels : fewer pixels say nothing.
    """

    least_two_theta_deg: float = 12.0
    bin_px: float = 8.0
    stride: int = 3
    least_slope: float = 0.4
    least_sigmas: float = 5.0
    least_pixels: int = 2000


POLARISATION = PolarisationSettings()


@dataclass(frozen=True)
class PolarisationCheck:
    """Observed variation with azimuth over that of a beam polarised along lab y, by quadrant.

    Attributes
    ----------
    slope, sigma : float64 ``(groups,)``; 1 polarised along y, -1 along x, 0 not at all, NaN
        unknown.
    """

    slope: NDArray[np.float64]
    sigma: NDArray[np.float64]

    @property
    def camps(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Quadrants that clearly see the beam polarised along y, and along x."""
        with np.errstate(invalid="ignore"):
            clear = (np.abs(self.slope) > POLARISATION.least_slope) & (
                np.abs(self.slope) > POLARISATION.least_sigmas * self.sigma
            )
        along_y, along_x = (
            tuple(int(q) for q in np.flatnonzero(clear & (sign * self.slope > 0)))
            for sign in (1, -1)
        )
        return along_y, along_x

    def warning(self) -> str:
        """Sentence about swapped quadrants, empty where all agree."""
        along_y, along_x = self.camps
        if not along_y or not along_x:
            return ""
        first, second = (" and ".join(map(str, camp)) for camp in (along_y, along_x))
        return (
            f"Quadrants {first} see another direction of polarisation than {second}: data of "
            "neighbouring quadrants may be swapped (cables or indices); rings cannot show that."
        )


def polarisation_check(
    image: ImageLike, geometry: Geometry | None = None, mask: MaskOrArray | None = None
) -> PolarisationCheck:
    """Compare the change of intensity with azimuth with that of a polarised beam.

    Needs an image with a distance (mm); parameters as for `align_quadrants`.
    """
    detector, data = prepare.detector_data(image)
    slope, sigma = (np.full(len(detector.groups), np.nan) for _ in range(2))
    distance_mm = prepare.distance_mm(image)
    if not distance_mm:
        return PolarisationCheck(slope, sigma)
    distance_px = distance_mm * 1e3 / detector.pixel_um
    good = prepare.usable_pixels(detector, data, mask)
    x, y, _ = prepare.pixel_positions(image, geometry)
    thin = np.zeros(data.shape, bool)
    thin[:, :: POLARISATION.stride, :: POLARISATION.stride] = True
    for g, group in enumerate(detector.groups):
        part = group.slice
        use = good[part] & thin[part]
        module = np.nonzero(use)[0]
        slope[g], sigma[g] = _slope(
            data[part][use], x[part][use], y[part][use], module, distance_px
        )
    return PolarisationCheck(slope, sigma)


def _slope(
    value: NDArray[Any],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    module: NDArray[np.int64],
    distance_px: float,
) -> tuple[float, float]:
    """Slope of relative intensity on relative polarisation factor, leaving out modules."""
    radius = np.hypot(x, y).astype(np.float64)
    sine = np.sin(np.arctan(radius / distance_px))
    wide = sine > np.sin(np.radians(POLARISATION.least_two_theta_deg))
    if np.count_nonzero(wide) < POLARISATION.least_pixels:
        return np.nan, np.nan
    value, radius, sine, module = value[wide].astype(float), radius[wide], sine[wide], module[wide]
    value = np.minimum(value, np.percentile(value, 99))
    factor = 1 - (sine * y[wide] / radius) ** 2
    ring = (radius / POLARISATION.bin_px).astype(np.int64)
    count = np.maximum(np.bincount(ring), 1)
    level = np.bincount(ring, value)[ring] / count[ring]
    middle = np.bincount(ring, factor)[ring] / count[ring]
    lit = level > 0
    if np.count_nonzero(lit) < POLARISATION.least_pixels:
        return np.nan, np.nan
    seen, meant = (value / np.where(lit, level, 1) - 1)[lit], (factor / middle - 1)[lit]
    cross = np.bincount(module[lit], seen * meant)
    square = np.bincount(module[lit], meant * meant)
    if square.sum() <= 0:
        return np.nan, np.nan
    without = (cross.sum() - cross) / np.maximum(square.sum() - square, 1e-30)
    spread = (len(without) - 1) / len(without) * np.sum((without - without.mean()) ** 2)
    return float(cross.sum() / square.sum()), float(np.sqrt(spread))
