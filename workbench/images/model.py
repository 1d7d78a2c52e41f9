"""A detector image: pixel values with the geometry and beam they were taken with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench import provenance
from workbench.detectors import Detector, recognise
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.geometry.formats.imgcif_header import TYPES


def as_detector_array(array: ArrayLike) -> NDArray[Any]:
    """Array as ``(modules, rows, columns)``, a view where that is possible.

    Any layout that `workbench.detectors.Detector.as_array` knows, of any known detector.

    Raises
    ------
    WorkbenchError
        If it is not an image of a known detector, or does not hold real numbers.
    """
    return recognise(array)[1]


def image_ending(detector: Detector) -> str:
    """End of the names of image files: ``.cbf``, or ``.h5`` for detectors no CBF is made of."""
    return ".cbf" if detector in TYPES.values() else ".h5"


@dataclass(frozen=True, eq=False)
class DetectorImage:
    """Pixel values of a detector with their geometry, beam and origin.

    Parameters
    ----------
    data : ``(modules, rows, columns)``, any real type; other layouts are brought into this one
        (see `as_detector_array`). NaN marks a pixel without a value.
    geometry : None if it is not known.
    distance_mm : distance from sample to detector; None if not known.
    wavelength_angstrom : None if not known.
    kind : what the values are: ``average``, ``stddev``, ``maximum``, ``minimum``, ``image``.
    name : short name, e.g. ``cxim1416_max-r0074``.
    timestamp : seconds since 1970 UTC; None if not known.
    provenance : where it comes from, a plain dictionary that can be written as JSON.

    Attributes
    ----------
    detector : the one whose image the array is.

    Raises
    ------
    WorkbenchError
        If the array is not one image of a known detector, or the geometry is another detector's.
    """

    data: NDArray[Any]
    geometry: Geometry | None = None
    distance_mm: float | None = None
    wavelength_angstrom: float | None = None
    kind: str = "image"
    name: str = ""
    timestamp: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    detector: Detector = field(init=False)

    def __post_init__(self) -> None:
        detector, data = recognise(self.data)
        if self.geometry is not None and self.geometry.detector is not detector:
            raise WorkbenchError(
                f"The image is of {detector.a_name}, its geometry ({self.geometry.source}) of "
                f"{self.geometry.detector.a_name}; give or deploy a geometry of {detector.a_name}."
            )
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "detector", detector)

    def __repr__(self) -> str:
        return f"<DetectorImage {self.name or self.kind}: {self.data.shape} {self.data.dtype}>"

    @property
    def count(self) -> int | None:
        """Number of events in the image, where its provenance says so."""
        count = self.provenance.get("count")
        return int(count) if isinstance(count, (int, float)) else None

    @property
    def unit(self) -> str:
        """Unit of the values: ``keV`` where its provenance says that they are, else ``ADU``."""
        return provenance.unit_of(self.provenance)

    def replace(self, **changes: Any) -> DetectorImage:
        """Copy with some fields changed, e.g. ``image.replace(geometry=corrected)``."""
        return dataclasses.replace(self, **changes)

    def assemble(self, fill: float = np.nan) -> NDArray[Any]:
        """Picture in detector geometry, rows along psana x (down), columns along y (right)."""
        return (self.geometry or Geometry.ideal(self.detector)).snapped().assemble(self.data, fill)
