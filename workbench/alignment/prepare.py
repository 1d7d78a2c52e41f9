"""From an image to what the alignment compares: pixel positions and locally flattened values."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.background import flattened
from workbench.detector import (
    ADC_MAX_ADU,
    PIXEL_SIZE_UM,
    QUADRANTS,
    SENSORS_PER_QUADRANT,
    SHAPE,
    WIDE_COLUMNS,
    unbonded_pixels,
)
from workbench.errors import AlignmentError
from workbench.recipe import AlignmentSettings

WORKERS = QUADRANTS
"""Threads: one per quadrant, as many as there are cores run at once."""


@dataclass(frozen=True)
class Prepared:
    """An image ready for alignment.

    Attributes
    ----------
    x, y : float32 ``(32, 185, 388)``
        Pixel centres in the lab frame (psana x, y) in pixels of 109.92 µm.
    stretch : float32 ``(32, 185, 388)``
        Factor that projects a pixel from its own plane to the detector's mean plane as seen from
        the sample; 1 where the distance is unknown.
    value : float32 ``(32, 185, 388)``
        Transformed intensity minus its local mean, spots pulled in; 0 where not good.
    good : bool ``(32, 185, 388)``
        Pixels that take part.
    saturated : int
        Pixels left out because they reached the ADC's limit.
    transformed : float32 ``(32, 185, 388)``
        Transformed intensity, 0 where not good; background and spots are still in it.
    width : int
        Width of the running means that make up the background, pixels.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    stretch: NDArray[np.float32]
    value: NDArray[np.float32]
    good: NDArray[np.bool_]
    saturated: int
    transformed: NDArray[np.float32]
    width: int

    def quadrant(self, index: int) -> Prepared:
        """View of one quadrant: arrays of shape ``(8, 185, 388)``."""
        part = slice(index * SENSORS_PER_QUADRANT, (index + 1) * SENSORS_PER_QUADRANT)
        return Prepared(
            self.x[part],
            self.y[part],
            self.stretch[part],
            self.value[part],
            self.good[part],
            self.saturated,
            self.transformed[part],
            self.width,
        )


def prepare(
    image: Any, geometry: Any = None, mask: Any = None, settings: AlignmentSettings | None = None
) -> Prepared:
    """Choose the usable pixels of an image and flatten their values.

    Parameters
    ----------
    image : DetectorImage, or array ``(32, 185, 388)`` in ADU.
    geometry : Geometry, default that of the image.
    mask : Mask, or bool array ``(32, 185, 388)``, True = good; default: all pixels.
    settings : transform, background width and saturation limit.

    Raises
    ------
    AlignmentError
        If a shape is wrong or there is no geometry.
    """
    settings = settings or AlignmentSettings()
    data = image_data(image)
    good = usable_pixels(data, mask, settings.saturation_adu)
    positions = pixel_positions(image, geometry)
    with np.errstate(invalid="ignore"):
        saturated = int(np.count_nonzero(data >= settings.saturation_adu))
    transformed, value = flatten(data, good, settings.transform, settings.background_px)
    return Prepared(*positions, value, good, saturated, transformed, settings.background_px)


def image_data(image: Any) -> NDArray[Any]:
    """Pixel values of a DetectorImage or an array, checked for shape and type."""
    data = np.asarray(getattr(image, "data", image) if not isinstance(image, np.ndarray) else image)
    if data.shape != SHAPE:
        raise AlignmentError(
            f"The image has the shape {data.shape}; expected {SHAPE} "
            "(sensor, row, column), as read_image and average_run give it."
        )
    if not (np.issubdtype(data.dtype, np.number) or data.dtype == bool) or np.iscomplexobj(data):
        raise AlignmentError(f"The image holds {data.dtype} values; expected real numbers in ADU.")
    return data


def usable_pixels(
    data: NDArray[Any], mask: Any = None, saturation_adu: float = ADC_MAX_ADU
) -> NDArray[np.bool_]:
    """Pixels that take part: finite, unsaturated, bonded, of normal width, and good in `mask`."""
    with np.errstate(invalid="ignore"):
        good = np.isfinite(data) & (data < saturation_adu)
    good[..., list(WIDE_COLUMNS)] = False
    good &= ~unbonded_pixels()
    if mask is not None:
        allowed = np.asarray(getattr(mask, "good", mask))
        if allowed.shape != SHAPE:
            raise AlignmentError(f"The mask has the shape {allowed.shape}; expected {SHAPE}.")
        good &= allowed.astype(bool)
    return good


def pixel_positions(
    image: Any, geometry: Any = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Lab x and y of all pixels in pixels, and the stretch to the detector's mean plane.

    psana's z runs against the beam, so a pixel at height z over the mean plane is z closer to the
    sample and its ray meets the mean plane farther out by ``D / (D - z)``.
    """
    geometry = geometry if geometry is not None else getattr(image, "geometry", None)
    if geometry is None:
        raise AlignmentError("The image has no geometry; give one with geometry=…")
    positions = geometry.pixel_positions_um()
    x = (positions[..., 0] / PIXEL_SIZE_UM).astype(np.float32)
    y = (positions[..., 1] / PIXEL_SIZE_UM).astype(np.float32)
    distance_mm = getattr(image, "distance_mm", None)
    if distance_mm is not None and np.isfinite(distance_mm) and distance_mm > 10:
        height = positions[..., 2] - positions[..., 2].mean()
        stretch = (distance_mm * 1e3 / (distance_mm * 1e3 - height)).astype(np.float32)
    else:
        stretch = np.ones(SHAPE, dtype=np.float32)
    return x, y, stretch


def flatten(
    data: NDArray[Any], good: NDArray[np.bool_], transform: str, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values with equal noise, without smooth background and without the power of single spots.

    1. `transform`: ``sqrt`` (variance-stabilising for photon counts), ``log``, ``rank`` (order
       among the pixels of the quadrant) or ``linear``.
    2. The local mean is subtracted: three running means of `width` × `width` pixels inside each
       sensor over the good pixels (close to a Gaussian of sigma ``width / 2``). It needs no
       centre, so it cannot pull the answer towards the present one.
    3. Values beyond 4 local standard deviations are set to that limit.

    Returns
    -------
    Two arrays float32 ``(32, 185, 388)``, 0 where not good: after step 1 and after step 3.
    """
    transformed, value = np.zeros(SHAPE, dtype=np.float32), np.zeros(SHAPE, dtype=np.float32)

    def one(quadrant: int) -> None:
        part = slice(quadrant * SENSORS_PER_QUADRANT, (quadrant + 1) * SENSORS_PER_QUADRANT)
        use = good[part]
        if not use.any():
            return
        raw = np.where(use, data[part], 0.0).astype(np.float32)
        if float(np.ptp(raw[use])) == 0:
            return
        transformed[part] = _transformed(raw, use, transform) * use
        value[part] = flattened(transformed[part], use, width)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, range(QUADRANTS)))
    return transformed, value


def _transformed(
    raw: NDArray[np.float32], use: NDArray[np.bool_], transform: str
) -> NDArray[np.float32]:
    if transform == "linear":
        return raw
    if transform == "rank":
        ranks = np.zeros_like(raw)
        order = np.argsort(raw[use], kind="stable")
        place = np.empty(order.size, dtype=np.float32)
        place[order] = np.linspace(-1, 1, order.size, dtype=np.float32)
        ranks[use] = place
        return ranks
    values = raw[use][::7]
    # The transform is linear near zero, over the width of the pedestal's noise, so that negative
    # values (noise around an empty average) keep their meaning.
    low, middle = np.percentile(values, [5, 50])
    knee = np.float32(max((middle - low) / 2, 1e-3 * (abs(middle) + 1e-6), 1e-6))
    scaled = (raw - np.float32(min(low, 0.0))) / knee
    if transform == "log":
        return np.arcsinh(scaled)
    return np.sign(scaled) * (np.sqrt(1 + np.abs(scaled)) - 1)
