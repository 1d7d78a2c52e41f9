"""What a mask is made from: three images of one detector and what is known about them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detectors import Detector, recognise
from workbench.errors import MaskError, WorkbenchError
from workbench.mask.rules import IMAGES

if TYPE_CHECKING:
    from workbench.geometry import Geometry

Value = TypeVar("Value")


class HasData(Protocol):
    """A `DetectorImage`, or anything else with an array `data`."""

    @property
    def data(self) -> NDArray[Any]:
        """Pixel values."""


ImageLike = HasData | ArrayLike


class ImageFacts(TypedDict, total=False):
    """What is known about the images of a mask, for the rules and layers that need it.

    Attributes
    ----------
    distance_mm, wavelength_angstrom : for the resolution; by default those of the images.
    low_gain : bool ``(modules, rows, columns)``, True = low gain, for `MaskSettings.low_gain`.
    occupancy : fraction of events with data in each pixel, ``(modules, rows, columns)``.
    folder : that names of imported masks are relative to (that of the recipe).
    """

    distance_mm: float | None
    wavelength_angstrom: float | None
    low_gain: ArrayLike | None
    occupancy: ArrayLike | None
    folder: str | os.PathLike[str] | None


@dataclass(frozen=True, eq=False)
class MaskImages:
    """Average and standard deviation of a dark run, maximum of bright runs.

    Attributes
    ----------
    detector : whose images these are.
    average, stddev, maximum : float64 ``(modules, rows, columns)``, in `unit`, read-only.
    sources : the image objects they came from, or None, in the same order.
    geometry : for shapes, radius and resolution, or None.
    distance_mm, wavelength_angstrom : for the resolution, or None.
    low_gain : bool ``(modules, rows, columns)``, True = low gain, or None.
    occupancy : float64 ``(modules, rows, columns)``, fraction of events with data in the pixel, or
        None.
    folder : folder that relative names of imported masks start from.
    """

    detector: Detector
    average: NDArray[np.float64]
    stddev: NDArray[np.float64]
    maximum: NDArray[np.float64]
    sources: tuple[HasData | None, HasData | None, HasData | None] = (None, None, None)
    geometry: Geometry | None = None
    distance_mm: float | None = None
    wavelength_angstrom: float | None = None
    low_gain: NDArray[np.bool_] | None = None
    occupancy: NDArray[np.float64] | None = None
    folder: Path = Path()

    @classmethod
    def of(
        cls,
        average: ImageLike | None,
        stddev: ImageLike | None,
        maximum: ImageLike | None,
        geometry: Geometry | None = None,
        **facts: Unpack[ImageFacts],
    ) -> MaskImages:
        """Take arrays or `DetectorImage` objects.

        Geometry, distance and wavelength default to those of the maximum image, or of the
        average where that has none.

        Parameters
        ----------
        geometry : for shapes, radius and resolution.
        facts : see `ImageFacts`.

        Raises
        ------
        MaskError
            If one is missing or not the image of a known detector, or they are of different ones.
        """
        given = (average, stddev, maximum)
        sources = tuple(
            image if hasattr(image, "data") and not isinstance(image, np.ndarray) else None
            for image in given
        )
        low_gain, occupancy = facts.get("low_gain"), facts.get("occupancy")
        arrays: list[NDArray[np.float64]] = []
        detector: Detector | None = None
        for image, source, kind in zip(given, sources, IMAGES.values(), strict=True):
            if image is None:
                raise MaskError(
                    f"The mask needs the {kind.words} image; take it from the {kind.runs}."
                )
            values = cast(ArrayLike, image) if source is None else source.data
            detector, array = _numbers(values, f"{kind.words} image", detector)
            arrays.append(array)
        assert detector is not None

        def given_or_of_image(name: str, value: Value | None) -> Value | None:
            values = (getattr(sources[place], name, None) for place in (2, 0, 1))
            return value if value is not None else next((v for v in values if v is not None), None)

        return cls(
            detector,
            arrays[0],
            arrays[1],
            arrays[2],
            sources=sources,  # type: ignore[arg-type]
            geometry=given_or_of_image("geometry", geometry),
            distance_mm=given_or_of_image("distance_mm", facts.get("distance_mm")),
            wavelength_angstrom=given_or_of_image(
                "wavelength_angstrom", facts.get("wavelength_angstrom")
            ),
            low_gain=(
                None
                if low_gain is None
                else detector_array(low_gain, "gain map", detector)[1].astype(bool)
            ),
            occupancy=(
                None if occupancy is None else _numbers(occupancy, "occupancy", detector)[1]
            ),
            folder=Path(facts.get("folder") or "."),
        )

    @cached_property
    def unbonded(self) -> NDArray[np.bool_]:
        """Pixels that are not bonded to the sensor: bool ``(modules, rows, columns)``."""
        return self.detector.unbonded_pixels()

    def image(self, name: str) -> NDArray[np.float64]:
        """Image of a rule (`workbench.mask.rules.IMAGES`)."""
        return {"average": self.average, "stddev": self.stddev, "maximum": self.maximum}[name]

    def unit(self, name: str) -> str:
        """Unit of an image, ``ADU`` or ``keV``; of an array without one ADU is supposed."""
        return str(getattr(self.sources[list(IMAGES).index(name)], "unit", "ADU"))

    @property
    def units(self) -> dict[str, str]:
        """Unit of each image."""
        return {name: self.unit(name) for name in IMAGES}

    def sorted_values(self, name: str) -> NDArray[np.float64]:
        """Values of an image in increasing order, without what is not a number; kept."""
        if name not in self._sorted:
            values = np.sort(self.image(name), axis=None)
            self._sorted[name] = values[: np.searchsorted(values, np.nan)]
        return self._sorted[name]

    @cached_property
    def _sorted(self) -> dict[str, NDArray[np.float64]]:
        return {}

    @property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Average, standard deviation, maximum."""
        return self.average, self.stddev, self.maximum

    @cached_property
    def xy_mm(self) -> NDArray[np.float64]:
        """Lab x, y of each pixel's centre: float64 ``(2, modules, rows, columns)``, mm.

        The beam is at 0.

        Raises
        ------
        MaskError
            If no geometry is known.
        """
        if self.geometry is None:
            raise MaskError(
                "Shapes, radius and resolution need to know where the pixels are; give a geometry "
                "or images that carry one."
            )
        return np.moveaxis(self.geometry.pixel_positions_um()[..., :2] / 1000.0, -1, 0).copy()

    @cached_property
    def radius_mm(self) -> NDArray[np.float64]:
        """Distance of each pixel from the beam: float64 ``(modules, rows, columns)``, mm."""
        return np.asarray(np.hypot(*self.xy_mm))

    @cached_property
    def resolution_angstrom(self) -> NDArray[np.float64]:
        """Bragg spacing each pixel sees, λ / (2 sin θ): float64 ``(modules, rows, columns)``, Å.

        θ is half the angle between the beam and the line from the sample to the pixel. Heights of
        the sensors (tenths of a millimetre) enter relative to their median.

        Raises
        ------
        MaskError
            If geometry, distance or wavelength is not known.
        """
        distance_mm = _above_zero(self.distance_mm, "detector distance")
        wavelength = _above_zero(self.wavelength_angstrom, "wavelength")
        radius = self.radius_mm
        assert self.geometry is not None  # radius_mm needs it too
        height = self.geometry.pixel_positions_um()[..., 2] / 1000.0
        # psana's z points against the beam: a larger z is closer to the sample.
        distance = distance_mm - (height - np.median(height))
        sine = np.sin(0.5 * np.arctan2(radius, distance))
        with np.errstate(divide="ignore"):
            return wavelength / (2.0 * sine)


def detector_array(
    array: ArrayLike, what: str, detector: Detector | None = None
) -> tuple[Detector, NDArray[Any]]:
    """Detector whose values an array holds, and the array as ``(modules, rows, columns)``.

    Parameters
    ----------
    what : what the array is, for the message.
    detector : it must be of this one; None: of any.

    Raises
    ------
    MaskError
        If it has none of the shapes that an image of the detector is stored in.
    """
    try:
        recognised, values = recognise(array)
    except WorkbenchError as error:
        raise MaskError(f"The {what} is not that of a known detector: {error}") from error
    if detector is not None and recognised is not detector:
        raise MaskError(
            f"The {what} is of another detector: {recognised.name}, not {detector.name} "
            f"({detector.shape_text})."
        )
    return recognised, values


def _numbers(
    values: ArrayLike, what: str, detector: Detector | None
) -> tuple[Detector, NDArray[np.float64]]:
    detector, array = detector_array(values, what, detector)
    numbers = np.ascontiguousarray(array, np.float64).view()
    numbers.flags.writeable = False
    return detector, numbers


def _above_zero(value: float | None, what: str) -> float:
    if value is None or not value > 0:
        raise MaskError(f"The resolution needs the {what}, which the images do not carry; give it.")
    return value
