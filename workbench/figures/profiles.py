"""Radial profiles and azimuth–radius pictures of a detector image, for drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detectors import Detector
from workbench.errors import WorkbenchError
from workbench.figures.frame import ImageLike, detector_array, unit_of
from workbench.quantities import MAD_TO_SIGMA

if TYPE_CHECKING:
    from workbench.geometry import Geometry


@dataclass(frozen=True)
class Profile:
    """Mean intensity against radius.

    Attributes
    ----------
    radius_px : middles of the bins, pixels from x = y = 0.
    mean : mean of the good pixels in each bin, NaN where there are none.
    groups : ``(groups, n)``, the same for each group (quadrant) alone.
    names : of the groups.
    group_word : what they are called, ``quadrant`` or ``module``.
    unit : of the means.
    """

    radius_px: NDArray[np.float64]
    mean: NDArray[np.float64]
    groups: NDArray[np.float64]
    names: tuple[str, ...]
    group_word: str = "quadrant"
    unit: str = "ADU"


@dataclass(frozen=True)
class Cake:
    """Mean intensity against azimuth and radius.

    Attributes
    ----------
    values : ``(azimuths, radii)``, NaN where there is no good pixel.
    azimuth_deg : edges of the azimuth bins, −180 to 180; 0 is psana +x, 90 is +y.
    radius_px : edges of the radius bins.
    unit : of the values.
    """

    values: NDArray[np.float64]
    azimuth_deg: NDArray[np.float64]
    radius_px: NDArray[np.float64]
    unit: str = "ADU"


def radial_profile(
    image: ImageLike,
    geometry: Geometry,
    good: ArrayLike | None = None,
    step_px: float = 0.5,
) -> Profile:
    """Radial profile of an image about the beam, whole and by group.

    Parameters
    ----------
    image : an image, or its pixels ``(modules, rows, columns)``.
    good : bool of the same shape, True = good. Pixels that are not finite are left out.
    step_px : width of a bin, pixels.
    """
    detector, data, chosen, x, y = _usable(image, geometry, good)
    bins = (np.hypot(x, y) / step_px).astype(np.int64)
    count = int(bins.max(where=chosen, initial=0)) + 1
    bins[~chosen] = count  # one bin more, for what is left out
    sums, pixels = np.zeros((2, len(detector.groups), count))
    for number, group in enumerate(detector.groups):
        modules = list(group.modules)
        inside = bins[modules].ravel()
        sums[number] = np.bincount(inside, data[modules].ravel(), count + 1)[:count]
        pixels[number] = np.bincount(inside, minlength=count + 1)[:count]
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.asarray(sums.sum(axis=0) / pixels.sum(axis=0), dtype=np.float64)
        each = np.asarray(sums / pixels, dtype=np.float64)
    names = tuple(group.name for group in detector.groups)
    radius_px = (np.arange(count) + 0.5) * np.float64(step_px)
    return Profile(radius_px, whole, each, names, detector.group_word, unit_of(image))


def cake_of(
    image: ImageLike,
    geometry: Geometry,
    good: ArrayLike | None = None,
    azimuths: int = 240,
    step_px: float = 2.0,
) -> Cake:
    """Azimuth–radius picture of an image about the beam; parameters as for `radial_profile`."""
    _, data, chosen, x, y = _usable(image, geometry, good)
    data, x, y = data[chosen], x[chosen], y[chosen]
    radius = (np.hypot(x, y) / step_px).astype(np.int64)
    angle = np.degrees(np.arctan2(y, x))
    around = np.minimum(((angle + 180) / 360 * azimuths).astype(np.int64), azimuths - 1)
    count = int(radius.max()) + 1 if radius.size else 1
    sums = np.bincount(around * count + radius, data, azimuths * count)
    pixels = np.bincount(around * count + radius, minlength=azimuths * count)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (sums / pixels).reshape(azimuths, count)
    edges = np.linspace(-180, 180, azimuths + 1, dtype=np.float64)
    return Cake(values, edges, np.arange(count + 1) * np.float64(step_px), unit_of(image))


def ring_radii(profile: Profile, most: int = 6) -> list[float]:
    """Radii in pixels of the most prominent rings of a profile; empty if there is none.

    A ring stands above five times the noise of the profile (median absolute difference of
    neighbouring bins).
    """
    from scipy.signal import find_peaks

    has_value = np.isfinite(profile.mean)
    if has_value.sum() < 20:
        return []
    mean = np.interp(profile.radius_px, profile.radius_px[has_value], profile.mean[has_value])
    noise = MAD_TO_SIGMA * float(np.median(np.abs(np.diff(mean)))) or 1e-12
    step = profile.radius_px[1] - profile.radius_px[0]
    peaks, details = find_peaks(
        mean, prominence=5 * noise, width=1, distance=max(1, int(10 / step)), wlen=int(80 / step)
    )
    strongest = peaks[np.argsort(details["prominences"])[::-1][:most]]
    return sorted(float(profile.radius_px[peak]) for peak in strongest)


def _usable(
    image: ImageLike, geometry: Geometry, good: ArrayLike | None
) -> tuple[Detector, NDArray[Any], NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Detector, values, which are used, and lab x and y in pixels, as the detector's array."""
    detector, values = detector_array(image, "the image")
    data = values.astype(np.float64, copy=False)
    chosen = np.isfinite(data)
    if good is not None:
        allowed = np.asarray(good, dtype=bool)
        if allowed.shape != detector.shape:
            raise WorkbenchError(
                f"the mask has the shape {allowed.shape}; the image needs {detector.shape}."
            )
        chosen &= allowed
    x, y = (geometry.pixel_positions_um()[..., axis] / detector.pixel_um for axis in (0, 1))
    return detector, data, chosen, x, y
