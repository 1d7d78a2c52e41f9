"""What a CSPAD is: its parts, their numbers and names, and the one array layout used everywhere.

The full detector has 4 quadrants of 8 sensors ("2x1" modules); each sensor carries 2 ASICs.
All full-detector arrays have the shape ``(32, 185, 388)``: sensor ``8 * quadrant + section``,
slow (row), fast (column), as psana delivers them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import WorkbenchError

QUADRANTS = 4
SENSORS_PER_QUADRANT = 8
SENSORS = QUADRANTS * SENSORS_PER_QUADRANT
ASICS_PER_SENSOR = 2
ASICS = SENSORS * ASICS_PER_SENSOR
ASICS_PER_QUADRANT = SENSORS_PER_QUADRANT * ASICS_PER_SENSOR
ROWS = 185
COLUMNS = 388
ASIC_COLUMNS = COLUMNS // ASICS_PER_SENSOR
SHAPE = (SENSORS, ROWS, COLUMNS)
SHAPE_2X2 = (2, ROWS, COLUMNS)
PIXELS = SENSORS * ROWS * COLUMNS
PIXELS_PER_QUADRANT = PIXELS // QUADRANTS

CHEETAH_SHAPE = (SENSORS_PER_QUADRANT * ROWS, QUADRANTS * COLUMNS)
"""Cheetah's slab: sensors of a quadrant down, quadrants across (1480, 1552)."""

PIXEL_SIZE_UM = 109.92
WIDE_PIXEL_SIZE_UM = 274.80
WIDE_COLUMNS = (193, 194)
"""The two columns at the seam of a sensor's ASICs are 274.80 µm wide along fast."""
SENSOR_THICKNESS_UM = 500.0

ADC_MAX_ADU = 16383
"""Largest value of the 14-bit ADC; pixels that reach it are saturated."""
LOW_GAIN_FACTOR = 6.85
"""Default ratio of high to low gain (psana's ``gain_mask`` factor)."""

GROUP = "CsPad::CalibV1"
GROUP_2X2 = "CsPad2x2::CalibV1"
DEFAULT_ADDRESS = "CxiDs1.0:Cspad.0"


def by_quadrant(array: NDArray[Any]) -> NDArray[Any]:
    """View of shape ``(4, 8, 185, 388)`` on a full-detector array ``(32, 185, 388)``."""
    return array.reshape(QUADRANTS, SENSORS_PER_QUADRANT, ROWS, COLUMNS)


def by_asic(array: NDArray[Any]) -> NDArray[Any]:
    """View of shape ``(32, 2, 185, 194)``: sensor, ASIC of the sensor, slow, fast."""
    return array.reshape(SENSORS, ROWS, ASICS_PER_SENSOR, ASIC_COLUMNS).swapaxes(1, 2)


def asic_stack(array: NDArray[Any]) -> NDArray[Any]:
    """Copy of shape ``(64, 185, 194)`` in panel order, as DIALS lists the panels."""
    return by_asic(array).reshape(ASICS, ROWS, ASIC_COLUMNS)


def from_asic_stack(stack: NDArray[Any]) -> NDArray[Any]:
    """Inverse of `asic_stack`: ``(64, 185, 194)`` to a new ``(32, 185, 388)``."""
    parts = np.asarray(stack).reshape(SENSORS, ASICS_PER_SENSOR, ROWS, ASIC_COLUMNS)
    return parts.swapaxes(1, 2).reshape(SHAPE)


def asic_name(quadrant: int, sensor: int, asic: int) -> str:
    """Panel name used in CBF files, e.g. ``ARRAY_D0Q0S0A0`` (sensor counted in its quadrant)."""
    return f"ARRAY_D0Q{quadrant}S{sensor}A{asic}"


def asic_names() -> list[str]:
    """The 64 panel names in panel order (that of `asic_stack`)."""
    return [
        asic_name(quadrant, sensor, asic)
        for quadrant in range(QUADRANTS)
        for sensor in range(SENSORS_PER_QUADRANT)
        for asic in range(ASICS_PER_SENSOR)
    ]


def unbonded_pixels() -> NDArray[np.bool_]:
    """Where pixels are not bonded to the sensor: bool ``(32, 185, 388)``, True = unbonded.

    The diagonal ``(10 k, 10 k)``, ``k = 0 … 18``, of each ASIC: 38 per sensor
    (psana ``PSCalib/SegGeometryCspad2x1V1``).
    """
    unbonded = np.zeros(SHAPE, dtype=bool)
    diagonal = np.arange(0, ROWS, 10)
    unbonded[:, diagonal, diagonal] = True
    unbonded[:, diagonal, diagonal + ASIC_COLUMNS] = True
    return unbonded


def as_detector_array(array: ArrayLike) -> NDArray[Any]:
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
    if shape in (SHAPE, SHAPE_2X2):
        return values
    if shape == (ASICS, ROWS, ASIC_COLUMNS):
        return from_asic_stack(values)
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    if values.shape == CHEETAH_SHAPE:
        slab = values.reshape(8, ROWS, 4, COLUMNS)
        return slab.transpose(2, 0, 1, 3).reshape(SHAPE)
    plain = (
        (QUADRANTS, SENSORS_PER_QUADRANT, ROWS, COLUMNS),
        (SENSORS * ROWS, COLUMNS),
        (ASICS * ROWS, ASIC_COLUMNS),
        (PIXELS,),
    )
    if values.shape in plain:
        return values.reshape(SHAPE)
    found = " × ".join(map(str, shape)) or "a single number"
    raise WorkbenchError(
        f"expected a CSPAD image (32 × 185 × 388, 5920 × 388, 64 × 185 × 194 or Cheetah's "
        f"1480 × 1552), found {found}."
    )
