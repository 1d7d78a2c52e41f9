"""Radial profiles and azimuth–radius pictures of a detector image, for drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detector import PIXEL_SIZE_UM, QUADRANTS
from workbench.figures.frame import full

if TYPE_CHECKING:
    from workbench.geometry import Geometry


@dataclass(frozen=True)
class Profile:
    """Mean intensity against radius.

    Attributes
    ----------
    radius_px : middles of the bins, pixels from x = y = 0.
    mean : mean of the good pixels in each bin, NaN where there are none.
    quadrants : ``(4, n)``, the same for each quadrant alone.
    """

    radius_px: NDArray[np.float64]
    mean: NDArray[np.float64]
    quadrants: NDArray[np.float64]


@dataclass(frozen=True)
class Cake:
    """Mean intensity against azimuth and radius.

    Attributes
    ----------
    values : ``(azimuths, radii)``, NaN where there is no good pixel.
    azimuth_deg : edges of the azimuth bins, −180 to 180; 0 is psana +x, 90 is +y.
    radius_px : edges of the radius bins.
    """

    values: NDArray[np.float64]
    azimuth_deg: NDArray[np.float64]
    radius_px: NDArray[np.float64]


def radial_profile(
    image: ArrayLike,
    geometry: Geometry,
    good: ArrayLike | None = None,
    step_px: float = 0.5,
) -> Profile:
    """Radial profile of an image about the beam, whole and by quadrant.

    Parameters
    ----------
    image : ``(32, 185, 388)``.
    good : bool ``(32, 185, 388)``, True = good. Pixels that are not finite are left out.
    step_px : width of a bin, pixels.
    """
    data, chosen, x, y = _parts(image, geometry, good)
    bins = (np.hypot(x, y) / step_px).astype(np.int64)
    count = int(bins.max()) + 1 if bins.size else 1
    quadrant = np.repeat(np.arange(QUADRANTS), data.size // QUADRANTS)[chosen]
    sums = np.bincount(bins + count * quadrant, data[chosen], QUADRANTS * count)
    pixels = np.bincount(bins + count * quadrant, minlength=QUADRANTS * count)
    sums, pixels = sums.reshape(QUADRANTS, count), pixels.reshape(QUADRANTS, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.asarray(sums.sum(axis=0) / pixels.sum(axis=0), dtype=np.float64)
        quadrants = np.asarray(sums / pixels, dtype=np.float64)
    return Profile((np.arange(count) + 0.5) * np.float64(step_px), whole, quadrants)


def cake_of(
    image: ArrayLike,
    geometry: Geometry,
    good: ArrayLike | None = None,
    azimuths: int = 240,
    step_px: float = 2.0,
) -> Cake:
    """Azimuth–radius picture of an image about the beam; parameters as for `radial_profile`."""
    data, chosen, x, y = _parts(image, geometry, good)
    radius = (np.hypot(x, y) / step_px).astype(np.int64)
    angle = np.degrees(np.arctan2(y, x))
    around = np.minimum(((angle + 180) / 360 * azimuths).astype(np.int64), azimuths - 1)
    count = int(radius.max()) + 1 if radius.size else 1
    sums = np.bincount(around * count + radius, data[chosen], azimuths * count)
    pixels = np.bincount(around * count + radius, minlength=azimuths * count)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (sums / pixels).reshape(azimuths, count)
    edges = np.linspace(-180, 180, azimuths + 1, dtype=np.float64)
    return Cake(values, edges, np.arange(count + 1) * np.float64(step_px))


def ring_radii(profile: Profile, most: int = 6) -> list[float]:
    """Radii in pixels of the most prominent rings of a profile; empty if there is none.

    A ring stands above five times the noise of the profile (median absolute difference of
    neighbouring bins).
    """
    from scipy.signal import find_peaks

    known = np.isfinite(profile.mean)
    if known.sum() < 20:
        return []
    mean = np.interp(profile.radius_px, profile.radius_px[known], profile.mean[known])
    noise = 1.4826 * float(np.median(np.abs(np.diff(mean)))) or 1e-12
    step = profile.radius_px[1] - profile.radius_px[0]
    peaks, details = find_peaks(
        mean, prominence=5 * noise, width=1, distance=max(1, int(10 / step)), wlen=int(80 / step)
    )
    strongest = peaks[np.argsort(details["prominences"])[::-1][:most]]
    return sorted(float(profile.radius_px[peak]) for peak in strongest)


def _parts(
    image: ArrayLike, geometry: Geometry, good: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    data = full(image, "the image").astype(np.float64, copy=False).ravel()
    chosen = np.isfinite(data)
    if good is not None:
        chosen &= full(good, "the mask", bool).ravel()
    positions = geometry.pixel_positions_um().reshape(-1, 3)[chosen]
    return data, chosen, positions[:, 0] / PIXEL_SIZE_UM, positions[:, 1] / PIXEL_SIZE_UM
