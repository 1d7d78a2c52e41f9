"""From an image to what the alignment compares: pixel positions and locally flattened values."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.background import flattened
from workbench.alignment.ring_loops import radial_sums
from workbench.detectors import Detector, find
from workbench.errors import AlignmentError, WorkbenchError
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.recipe import AlignmentSettings

WORKERS = 4
"""Threads: as many groups as there are cores are worked on at once."""


class MaskLike(Protocol):
    """A mask: which pixels can be used."""

    @property
    def good(self) -> NDArray[np.bool_]:
        """Bool in the detector's shape, True = good."""


ImageLike = DetectorImage | NDArray[Any]
MaskOrArray = MaskLike | NDArray[Any]


@dataclass(frozen=True)
class GroupPixels:
    """Prepared pixels of one group; arrays ``(modules, rows, columns)`` as in `Prepared`.

    Attributes
    ----------
    asic_of_pixel : uint16 ``(rows, columns)``, ASIC of the module to which a pixel belongs.
    asics_per_module : number of ASICs of a module.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    stretch: NDArray[np.float32]
    value: NDArray[np.float32]
    good: NDArray[np.bool_]
    despiked: NDArray[np.float32]
    width: int
    asic_of_pixel: NDArray[np.uint16]
    asics_per_module: int

    @property
    def modules(self) -> int:
        """Number of modules of the group."""
        return len(self.x)

    @property
    def asics(self) -> int:
        """Number of ASICs of the group."""
        return self.modules * self.asics_per_module

    def radial_sums(
        self, offset_px: NDArray[np.float64], bin_px: float, bins: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Sums of the values, and their number, in radial bins ``(ASICs, bins)`` about a centre.

        What lies beyond the last bin is in it.
        """
        shape = (self.modules, self.asics_per_module, bins)
        sums, counts = np.zeros(shape), np.zeros(shape, np.int64)
        radial_sums(
            self.x, self.y, self.stretch, self.value, self.asic_of_pixel, offset_px,
            bin_px, sums, counts,
        )  # fmt: skip
        return sums.reshape(-1, bins), counts.reshape(-1, bins)


@dataclass(frozen=True)
class Prepared:
    """An image ready for alignment; arrays in the detector's shape ``(modules, rows, columns)``.

    Attributes
    ----------
    detector : whose image it is, in the groups that are aligned.
    x, y : float32
        Pixel centres in the lab frame (psana x, y) in pixels.
    stretch : float32
        Factor that projects a pixel from its own plane to the detector's mean plane as seen from
        the sample; 1 where the distance is unknown.
    value : float32
        Transformed intensity minus its local mean, spots pulled in; 0 where not good.
    good : bool
        Pixels that take part.
    saturated : int
        Pixels left out because they reached the ADC's limit.
    despiked : float32
        Transformed intensity, spots pulled in, 0 where not good; the background is still in it.
    width : int
        Width of the running means that make up the background, pixels.
    distance_px : float or None
        Distance of the detector's mean plane from the sample.
    """

    detector: Detector
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    stretch: NDArray[np.float32]
    value: NDArray[np.float32]
    good: NDArray[np.bool_]
    saturated: int
    despiked: NDArray[np.float32]
    width: int
    distance_px: float | None = None

    @property
    def groups(self) -> int:
        """Number of groups of the detector."""
        return len(self.detector.groups)

    def group(self, index: int) -> GroupPixels:
        """View of one group."""
        part = self.detector.groups[index].slice
        return GroupPixels(
            self.x[part], self.y[part], self.stretch[part], self.value[part], self.good[part],
            self.despiked[part], self.width, self.detector.asic_of_pixel(),
            self.detector.asics_per_module,
        )  # fmt: skip

    def filled(self, least_pixels: int) -> NDArray[np.bool_]:
        """Groups with more flattened values than `least_pixels`, bool ``(groups,)``."""
        count = [np.count_nonzero(self.group(g).value) for g in range(self.groups)]
        return np.array([number > least_pixels for number in count])


def prepare(
    image: ImageLike,
    geometry: Geometry | None = None,
    mask: MaskOrArray | None = None,
    settings: AlignmentSettings | None = None,
) -> Prepared:
    """Choose the usable pixels of an image and flatten their values.

    Parameters
    ----------
    image : DetectorImage, or array ``(modules, rows, columns)`` in ADU.
    geometry : default that of the image.
    mask : Mask, or bool array of the same shape, True = good; default: all pixels.
    settings : groups, transform, background width and saturation limit.

    Raises
    ------
    AlignmentError
        If a shape is wrong or there is no geometry.
    WorkbenchError
        If the detector does not have the groups.
    """
    settings = settings or AlignmentSettings()
    detector, data = detector_data(image)
    good = usable_pixels(detector, data, mask, settings.saturation_adu)
    positions = pixel_positions(image, geometry)
    limit = _saturation(detector, settings.saturation_adu)
    with np.errstate(invalid="ignore"):
        saturated = int(np.count_nonzero(data >= limit))
    width = settings.background_px
    detector = detector.grouped(settings.groups)
    despiked, value = flatten(detector, data, good, settings.transform, width)
    distance = known_distance_mm(image)
    distance_px = None if distance is None else distance * 1e3 / detector.pixel_um
    return Prepared(detector, *positions, value, good, saturated, despiked, width, distance_px)


def detector_data(image: ImageLike) -> tuple[Detector, NDArray[Any]]:
    """Detector and pixel values of an image or an array, checked for shape and type."""
    if isinstance(image, DetectorImage):
        detector, data = image.detector, np.asarray(image.data)
    else:
        detector, data = _recognised(np.asarray(image))
    if not (np.issubdtype(data.dtype, np.number) or data.dtype == bool) or np.iscomplexobj(data):
        raise AlignmentError(f"The image holds {data.dtype} values; expected real numbers in ADU.")
    return detector, data


def _recognised(data: NDArray[Any]) -> tuple[Detector, NDArray[Any]]:
    try:
        return find(data.shape), data
    except WorkbenchError:
        raise AlignmentError(
            f"The image has the shape {data.shape}; expected that of a detector "
            "(module, row, column), as read_image and average_run give it."
        ) from None


def usable_pixels(
    detector: Detector,
    data: NDArray[Any],
    mask: MaskOrArray | None = None,
    saturation_adu: float | None = None,
) -> NDArray[np.bool_]:
    """Pixels that take part: finite, unsaturated, bonded, of normal width, and good in `mask`."""
    with np.errstate(invalid="ignore"):
        good = np.isfinite(data) & (data < _saturation(detector, saturation_adu))
    good[..., list(detector.wide_columns)] = False
    good[:, list(detector.wide_rows)] = False
    good &= ~detector.unbonded_pixels()
    if mask is not None:
        allowed = np.asarray(mask if isinstance(mask, np.ndarray) else mask.good)
        if allowed.shape != detector.shape:
            raise AlignmentError(
                f"The mask has the shape {allowed.shape}; expected {detector.shape}."
            )
        good &= allowed.astype(bool)
    return np.asarray(good)


def _saturation(detector: Detector, given_adu: float | None) -> float:
    return detector.saturation_adu if given_adu is None else given_adu


def geometry_of(image: ImageLike, geometry: Geometry | None = None) -> Geometry:
    """Give the geometry, or that of the image.

    Raises
    ------
    AlignmentError
        If there is none, or it is another detector's.
    """
    if geometry is None and isinstance(image, DetectorImage):
        geometry = image.geometry
    if geometry is None:
        raise AlignmentError(
            "The image has no geometry; name a geometry file (geometry=…, --geometry, or "
            "Geometry below the image files in “Run & averages”)."
        )
    detector = detector_data(image)[0]
    if geometry.detector is not detector:
        raise AlignmentError(
            f"The image is of {detector.a_name}, the geometry ({geometry.source}) of "
            f"{geometry.detector.a_name}; give the geometry of the {detector.name}."
        )
    return geometry


def distance_mm(image: ImageLike) -> float | None:
    """Distance of the detector, None if the image does not tell."""
    return image.distance_mm if isinstance(image, DetectorImage) else None


def known_distance_mm(image: ImageLike) -> float | None:
    """Distance of the detector; None if the image does not tell, or nonsense."""
    distance = distance_mm(image)
    return distance if distance is not None and np.isfinite(distance) and distance > 10 else None


def wavelength_angstrom(image: ImageLike) -> float | None:
    """Wavelength, None if the image does not tell."""
    return image.wavelength_angstrom if isinstance(image, DetectorImage) else None


def pixel_positions(
    image: ImageLike, geometry: Geometry | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Lab x and y of all pixels in pixels, and the stretch to the detector's mean plane.

    psana's z runs against the beam, so a pixel at height z over the mean plane is z closer to the
    sample and its ray meets the mean plane farther out by ``D / (D - z)``.
    """
    pixel_um = detector_data(image)[0].pixel_um
    positions = geometry_of(image, geometry).pixel_positions_um()
    x = (positions[..., 0] / pixel_um).astype(np.float32)
    y = (positions[..., 1] / pixel_um).astype(np.float32)
    distance = known_distance_mm(image)
    if distance is not None:
        height = positions[..., 2] - positions[..., 2].mean()
        stretch = (distance * 1e3 / (distance * 1e3 - height)).astype(np.float32)
    else:
        stretch = np.ones(x.shape, dtype=np.float32)
    return x, y, stretch


def flatten(
    detector: Detector, data: NDArray[Any], good: NDArray[np.bool_], transform: str, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values with equal noise, without smooth background and without the power of single spots.

    1. `transform`: ``sqrt`` (variance-stabilising for photon counts), ``log``, ``rank`` (order
       among the pixels of the group) or ``linear``.
    2. The local mean is subtracted: three running means of `width` × `width` pixels inside each
       module over the good pixels (close to a Gaussian of sigma ``width / 2``). It needs no
       centre, so it cannot pull the answer towards the present one.
    3. Values beyond 4 local standard deviations are set to that limit.

    Returns
    -------
    Two arrays float32 in the detector's shape, 0 where not good: after step 1 with the spots of
    step 3 pulled in, and after step 3.
    """
    despiked, value = (np.zeros(data.shape, dtype=np.float32) for _ in range(2))

    def flatten_group(part: slice) -> None:
        use = good[part]
        if not use.any():
            return
        raw = np.where(use, data[part], 0.0).astype(np.float32)
        if float(np.ptp(raw[use])) == 0:
            return
        value[part], despiked[part] = flattened(_transformed(raw, use, transform) * use, use, width)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(flatten_group, [group.slice for group in detector.groups]))
    return despiked, value


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
        return np.asarray(np.arcsinh(scaled))
    return np.asarray(np.sign(scaled) * (np.sqrt(1 + np.abs(scaled)) - 1))
