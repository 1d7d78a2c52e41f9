"""A detector image: pixel values with the geometry and beam they were taken with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench import detector
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry

CHEETAH_SHAPE = (8 * detector.ROWS, 4 * detector.COLUMNS)
"""Cheetah's slab: sensors of a quadrant down, quadrants across (1480, 1552)."""


@dataclass(frozen=True, eq=False)
class DetectorImage:
    """Pixel values of a CSPAD with their geometry, beam and origin.

    Parameters
    ----------
    data : ``(32, 185, 388)``, any real type; other CSPAD layouts are brought into this one
        (see `as_detector_array`). NaN marks a pixel without a value.
    geometry : None if it is not known.
    distance_mm : distance from sample to detector; None if not known.
    wavelength_angstrom : None if not known.
    kind : what the values are: ``average``, ``stddev``, ``maximum``, ``minimum``, ``image``.
    name : short name, e.g. ``cxim1416_max-r0074``.
    timestamp : seconds since 1970 UTC; None if not known.
    provenance : where it comes from, a plain dictionary that can be written as JSON.

    Raises
    ------
    WorkbenchError
        If the array is not one CSPAD image.
    """

    data: NDArray
    geometry: Geometry | None = None
    distance_mm: float | None = None
    wavelength_angstrom: float | None = None
    kind: str = "image"
    name: str = ""
    timestamp: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", as_detector_array(self.data))

    def __repr__(self) -> str:
        return f"<DetectorImage {self.name or self.kind}: {self.data.shape} {self.data.dtype}>"

    @property
    def count(self) -> int | None:
        """Number of events in the image, where its provenance says so."""
        count = self.provenance.get("count")
        return int(count) if isinstance(count, (int, float)) else None

    def replace(self, **changes: Any) -> DetectorImage:
        """Copy with some fields changed, e.g. ``image.replace(geometry=corrected)``."""
        return dataclasses.replace(self, **changes)

    def assemble(self, fill: float = np.nan) -> NDArray:
        """Picture in detector geometry, rows along psana x (down), columns along y (right)."""
        return (self.geometry or Geometry.ideal()).snapped().assemble(self.data, fill)


def as_detector_array(array: ArrayLike) -> NDArray:
    """Array as ``(32, 185, 388)`` (a view where that is possible).

    Understood are ``(32, 185, 388)``, ``(4, 8, 185, 388)``, psana's ``(5920, 388)`` and
    ``(11840, 194)``, ASIC panels ``(64, 185, 194)``, Cheetah's slab ``(1480, 1552)`` and the flat
    2 296 960 values; also ``(2, 185, 388)`` of a 2×2 detector. Leading axes of length 1 are
    dropped.

    Raises
    ------
    WorkbenchError
        If it is none of these, or does not hold real numbers.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        raise WorkbenchError(f"expected an image of real numbers, found type {values.dtype}.")
    while values.ndim > 3 and values.shape[0] == 1:
        values = values[0]
    shape = values.shape
    if shape in (detector.SHAPE, detector.SHAPE_2X2):
        return values
    if shape == (detector.ASICS, detector.ROWS, detector.ASIC_COLUMNS):
        return detector.from_asic_stack(values)
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    if values.shape == CHEETAH_SHAPE:
        slab = values.reshape(8, detector.ROWS, 4, detector.COLUMNS)
        return slab.transpose(2, 0, 1, 3).reshape(detector.SHAPE)
    plain = (
        (detector.QUADRANTS, detector.SENSORS_PER_QUADRANT, detector.ROWS, detector.COLUMNS),
        (detector.SENSORS * detector.ROWS, detector.COLUMNS),
        (detector.ASICS * detector.ROWS, detector.ASIC_COLUMNS),
        (detector.PIXELS,),
    )
    if values.shape in plain:
        return values.reshape(detector.SHAPE)
    found = " × ".join(map(str, shape)) or "a single number"
    raise WorkbenchError(
        f"expected a CSPAD image (32 × 185 × 388, 5920 × 388, 64 × 185 × 194 or Cheetah's "
        f"1480 × 1552), found {found}."
    )
