"""From detector arrays to a picture: assembly in geometry, axes in pixels from the beam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from workbench.detectors import CSPAD, Detector, recognise
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.images import DetectorImage

ImageLike: TypeAlias = ArrayLike | DetectorImage
"""A detector image, or an array in one of the layouts that `Detector.as_array` knows."""

_frames: WeakKeyDictionary[Geometry, Frame] = WeakKeyDictionary()
_ideal_geometries: dict[Detector, Geometry] = {}


@dataclass(frozen=True, eq=False)
class Frame:
    """A geometry prepared for drawing.

    Attributes
    ----------
    geometry : the geometry.
    index : int32 ``(rows, cols)``, the detector pixel shown there or −1.
    centre : row and column (float) of x = y = 0, the beam.
    """

    geometry: Geometry
    index: NDArray[np.int32]
    centre: tuple[float, float]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top for ``imshow``: y to the right, x down, pixels from the beam."""
        rows, columns = self.index.shape
        row, column = self.centre
        return (-0.5 - column, columns - 0.5 - column, rows - 0.5 - row, -0.5 - row)

    @property
    def detector(self) -> Detector:
        """The detector whose pixels are drawn."""
        return self.geometry.detector

    def assemble(self, array: NDArray[Any], fill: float = np.nan) -> NDArray[Any]:
        """Picture ``(rows, cols)`` of a detector array, `fill` where there is no pixel."""
        return self.geometry.snapped().assemble(array, fill)

    def asic_centres(self) -> NDArray[np.float64]:
        """Psana x, y of each ASIC's middle, pixels: ``(modules, ASICs of a module, 2)``."""
        positions = self.geometry.pixel_positions_um() / self.detector.pixel_um
        middles = [self.detector.by_asic(positions[..., axis]).mean(axis=(2, 3)) for axis in (0, 1)]
        return np.stack(middles, axis=-1)

    def outlines(self) -> NDArray[np.float64]:
        """Psana x, y of the four corners of each sensor, pixels: ``(modules, 4, 2)``."""
        return outlines_of(self.geometry)


def frame_of(geometry: Geometry | None, detector: Detector = CSPAD) -> Frame:
    """Frame of a geometry (kept as long as it lives); None means the ideal one of `detector`."""
    if geometry is None:
        geometry = _ideal_geometries.setdefault(detector, Geometry.ideal(detector))
    if geometry in _frames:
        return _frames[geometry]
    snapped = geometry.snapped()
    x, y = snapped.origin_um
    detector = geometry.detector
    centre = (-x / detector.pixel_um, -y / detector.pixel_um)
    frame = Frame(geometry, snapped.index, centre)
    _frames[geometry] = frame
    return frame


def detector_array(
    image: ImageLike, what: str, detector: Detector | None = None
) -> tuple[Detector, NDArray[Any]]:
    """Detector of an image and its pixels, ``(modules, rows, columns)``.

    Parameters
    ----------
    what : what the image is, for the message.
    detector : the one it has to be of.

    Raises
    ------
    WorkbenchError
        If it is not an image of a known detector, or of another one.
    """
    try:
        of_detector, array = recognise(image.data if isinstance(image, DetectorImage) else image)
    except WorkbenchError as error:
        raise WorkbenchError(f"{what} cannot be drawn: {error}") from error
    if detector is not None and of_detector != detector:
        raise WorkbenchError(
            f"{what} is of {of_detector.a_name} ({of_detector.shape_text}); the picture is of "
            f"{detector.a_name} ({detector.shape_text})."
        )
    return of_detector, array


def pixels_of(image: ImageLike) -> NDArray[Any]:
    """Values of an image, or of an array of any shape."""
    return np.asarray(image.data if isinstance(image, DetectorImage) else image)


def unit_of(image: ImageLike) -> str:
    """Unit of an image; of an array ADU is supposed."""
    return image.unit if isinstance(image, DetectorImage) else "ADU"


def full(array: ImageLike, what: str, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Pixels of an image, ``(modules, rows, columns)``; see `detector_array`."""
    return np.asarray(detector_array(array, what)[1], dtype=dtype)


def good_pixels(good: ImageLike, detector: Detector) -> NDArray[np.bool_]:
    """Check that a mask is of `detector`; True = good, in the detector's shape."""
    return detector_array(good, "the mask", detector)[1].astype(bool, copy=False)


def blocks_with_any(picture: NDArray[np.bool_], pixels: int = 700) -> NDArray[np.bool_]:
    """Shrink a truth picture to at most about `pixels` a side; a block is True if any of it is.

    Single masked pixels would vanish in a picture drawn smaller than the detector.
    """
    step = max(1, -(-max(picture.shape) // pixels))
    rows, columns = (-(-length // step) for length in picture.shape)
    padded = np.zeros((rows * step, columns * step), dtype=bool)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    return np.asarray(padded.reshape(rows, step, columns, step).any(axis=(1, 3)), dtype=bool)


def block_means(picture: NDArray[Any], step: int = 2) -> NDArray[np.float32]:
    """Shrink a picture by `step`, each block the mean of its finite pixels (NaN if none).

    Masked pixels thus leave no holes larger than themselves in a picture drawn small.
    """
    rows, columns = (-(-length // step) for length in picture.shape)
    padded = np.full((rows * step, columns * step), np.nan, dtype=np.float32)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    blocks = padded.reshape(rows, step, columns, step)
    has_value = np.isfinite(blocks)
    pixels = has_value.sum(axis=(1, 3))
    sums = np.where(has_value, blocks, 0).sum(axis=(1, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        result: NDArray[np.float32] = (sums / pixels).astype(np.float32)
        return result


def outlines_of(geometry: Geometry) -> NDArray[np.float64]:
    """Psana x, y of the four outer corners of each sensor, pixels: ``(modules, 4, 2)``."""
    positions = geometry.pixel_positions_um()[..., :2] / geometry.detector.pixel_um
    corners = positions[:, [0, 0, -1, -1], [0, -1, -1, 0]]
    slow, fast = corners[:, 3] - corners[:, 0], corners[:, 1] - corners[:, 0]
    slow *= 0.5 / (geometry.detector.rows - 1)
    fast *= 0.5 / np.linalg.norm(fast, axis=1, keepdims=True)
    return corners + np.stack((-slow - fast, -slow + fast, slow + fast, slow - fast), axis=1)
