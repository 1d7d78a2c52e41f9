"""How sharp the powder rings are in the deployed and in the corrected geometry.

This judges an alignment independently of its correlation: the radial profile of the powder image
is made in both geometries. Where the quadrants agree,
rings are narrow and high; where they do not, they smear. The *ring contrast* is the root mean
square of the profile after its smooth part is removed, in the unit of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.figures import Cake, Profile, cake_of, radial_profile
from workbench.figures.frame import ImageLike
from workbench.figures.profiles import ring_radii
from workbench.geometry import Geometry

_SMOOTH_PX = 25.0


@dataclass(frozen=True)
class RingComparison:
    """Profiles of one powder image in two geometries.

    Attributes
    ----------
    before, after : radial profiles in the deployed and in the corrected geometry.
    rings_px : radii of the most prominent rings in the corrected geometry, pixels.
    contrast_before, contrast_after : ring contrast of the whole detector, ADU.
    cake_before, cake_after : azimuth against radius.
    """

    before: Profile
    after: Profile
    rings_px: tuple[float, ...]
    contrast_before: float
    contrast_after: float
    cake_before: Cake
    cake_after: Cake

    @property
    def has_profile(self) -> bool:
        """Whether there are good pixels to make a profile of."""
        return bool(np.isfinite(self.before.mean).any())

    @property
    def gain(self) -> float:
        """Ring contrast after over before; above 1 is better, NaN if there is none."""
        return self.contrast_after / self.contrast_before if self.contrast_before > 0 else np.nan


def compare_rings(
    image: ImageLike,
    before: Geometry,
    after: Geometry,
    good: ArrayLike | None = None,
) -> RingComparison:
    """Make the profiles of a powder image in two geometries.

    Parameters
    ----------
    image : average or maximum of bright runs, ADU, in the detector's shape.
    good : bool of the same shape, True = good.
    """
    first, second = (radial_profile(image, geometry, good) for geometry in (before, after))
    return RingComparison(
        before=first,
        after=second,
        rings_px=tuple(ring_radii(second)),
        contrast_before=ring_contrast(first),
        contrast_after=ring_contrast(second),
        cake_before=cake_of(image, before, good),
        cake_after=cake_of(image, after, good),
    )


def ring_contrast(profile: Profile) -> float:
    """Root mean square of a profile about its running median of 25 pixels, ADU.

    NaN if the profile covers less than twice that.
    """
    from scipy.ndimage import median_filter

    known = np.isfinite(profile.mean)
    if known.sum() < 4:
        return float("nan")
    step = float(profile.radius_px[1] - profile.radius_px[0])
    window = int(_SMOOTH_PX / step) | 1
    values: NDArray[Any] = profile.mean[known]
    if values.size < 2 * window:
        return float("nan")
    return float(np.sqrt(np.mean((values - median_filter(values, window)) ** 2)))
