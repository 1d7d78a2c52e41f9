"""What a mask is made from: three images and what is known about them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import MaskError
from workbench.mask.model import full_detector


@dataclass(frozen=True, eq=False)
class MaskImages:
    """Average and standard deviation of a dark run, maximum of bright runs.

    Attributes
    ----------
    average, stddev, maximum : float64 ``(32, 185, 388)``, ADU, read-only.
    sources : the `DetectorImage` each came from, or None, in the same order.
    geometry : `workbench.geometry.Geometry` for shapes, radius and resolution, or None.
    distance_mm, wavelength_angstrom : for the resolution, or None.
    low_gain : bool ``(32, 185, 388)``, True = low gain, or None.
    occupancy : float ``(32, 185, 388)``, fraction of events with data in the pixel, or None.
    folder : folder that relative names of imported masks start from.
    """

    average: NDArray[np.float64]
    stddev: NDArray[np.float64]
    maximum: NDArray[np.float64]
    sources: tuple[Any, Any, Any] = (None, None, None)
    geometry: Any = None
    distance_mm: float | None = None
    wavelength_angstrom: float | None = None
    low_gain: NDArray[np.bool_] | None = None
    occupancy: NDArray[np.float64] | None = None
    folder: Path = Path()

    @classmethod
    def of(
        cls,
        average: Any,
        stddev: Any,
        maximum: Any,
        *,
        geometry: Any = None,
        distance_mm: float | None = None,
        wavelength_angstrom: float | None = None,
        low_gain: NDArray | None = None,
        occupancy: NDArray | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> MaskImages:
        """Take arrays or `DetectorImage` objects.

        Geometry, distance and wavelength default to those of the maximum image, or of the
        average where that has none.

        Raises
        ------
        MaskError
            If one is not the image of a full CSPAD.
        """
        sources: list[Any] = []
        arrays = []
        for image, what in (
            (average, "average"),
            (stddev, "standard deviation"),
            (maximum, "maximum"),
        ):
            is_image = hasattr(image, "data") and not isinstance(image, np.ndarray)
            arrays.append(_numbers(image.data if is_image else image, f"{what} image"))
            sources.append(image if is_image else None)

        def known(name: str, given: Any) -> Any:
            if given is not None:
                return given
            found = [getattr(sources[place], name, None) for place in (2, 0, 1)]
            return next((value for value in found if value is not None), None)

        if low_gain is not None:
            low_gain = full_detector(np.asarray(low_gain), "gain map").astype(bool)
        return cls(
            average=arrays[0],
            stddev=arrays[1],
            maximum=arrays[2],
            sources=(sources[0], sources[1], sources[2]),
            geometry=known("geometry", geometry),
            distance_mm=known("distance_mm", distance_mm),
            wavelength_angstrom=known("wavelength_angstrom", wavelength_angstrom),
            low_gain=low_gain,
            occupancy=None if occupancy is None else _numbers(occupancy, "occupancy"),
            folder=Path(folder or "."),
        )

    @property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Average, standard deviation, maximum."""
        return self.average, self.stddev, self.maximum

    @cached_property
    def xy_mm(self) -> NDArray[np.float64]:
        """Lab x, y of each pixel's centre: float64 ``(2, 32, 185, 388)``, mm; the beam is at 0.

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
        """Distance of each pixel from the beam: float64 ``(32, 185, 388)``, mm."""
        return np.hypot(*self.xy_mm)

    @cached_property
    def resolution_angstrom(self) -> NDArray[np.float64]:
        """Bragg spacing each pixel sees, λ / (2 sin θ): float64 ``(32, 185, 388)``, Å.

        θ is half the angle between the beam and the line from the sample to the pixel. Heights of
        the sensors (tenths of a millimetre) enter relative to their median.

        Raises
        ------
        MaskError
            If geometry, distance or wavelength is not known.
        """
        for value, what in (
            (self.distance_mm, "detector distance"),
            (self.wavelength_angstrom, "wavelength"),
        ):
            if value is None or not value > 0:
                raise MaskError(
                    f"The resolution needs the {what}, which the images do not carry; give it."
                )
        radius = self.radius_mm
        height = self.geometry.pixel_positions_um()[..., 2] / 1000.0
        # psana's z points against the beam: a larger z is closer to the sample.
        distance = self.distance_mm - (height - np.median(height))
        sine = np.sin(0.5 * np.arctan2(radius, distance))
        with np.errstate(divide="ignore"):
            return self.wavelength_angstrom / (2.0 * sine)


def _numbers(values: Any, what: str) -> NDArray[np.float64]:
    array = np.ascontiguousarray(full_detector(np.asarray(values), what), np.float64).view()
    array.flags.writeable = False
    return array
