"""A geometry tree from where the sensors are found to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workbench import detector
from workbench.errors import GeometryError
from workbench.geometry.ideal import ideal_geometry
from workbench.geometry.imgcif_header import relative
from workbench.geometry.objects import GeometryObject, Transform
from workbench.geometry.pixels import sensor_coordinates_um
from workbench.geometry.rotations import angles_deg
from workbench.geometry.slac import standard_layout
from workbench.geometry.tree import Geometry


def placed_object(
    frame: Transform, parent: str, parent_index: int, name: str, index: int
) -> GeometryObject:
    """Object with design angles on quarter turns and the rest as tilts.

    Rounded to 1e-7 µm and 1e-10°, far below any meaning, so that decimal numbers come back as such.
    """
    x0, y0, z0 = (round(float(value), 7) + 0.0 for value in frame.origin_um)
    design, tilt = {}, {}
    for axis, angle in zip("xyz", angles_deg(frame.rotation), strict=True):
        quarter = round(angle / 90) * 90
        design[f"rot_{axis}"] = float(quarter % 360)
        tilt[f"tilt_{axis}"] = round(angle - quarter, 10) + 0.0
    return GeometryObject(parent, parent_index, name, index, x0, y0, z0, **design, **tilt)


def tree_from_sensors(
    sensors: Sequence[Transform], source: str, comments: Sequence[str] = ()
) -> Geometry:
    """Tree of a full CSPAD with its 32 sensors at the given places (top frame, µm).

    The quadrants and the detector are where the design has them; the sensors carry the rest.
    """
    design = ideal_geometry()
    quadrants = [design.transform(quadrant) for quadrant in design.quadrants]
    objects = []
    for place, frame in enumerate(sensors):
        q, s = divmod(place, detector.SENSORS_PER_QUADRANT)
        objects.append(placed_object(relative(quadrants[q], frame), "QUAD:V1", q, "SENS2X1:V1", s))
    objects += [one for one in design.objects if not one.name.startswith("SENS2X1")]
    rows = tuple(objects)
    return Geometry(rows, standard_layout(rows, comments), source)


def sensors_from_positions(positions_um: NDArray, source: str) -> tuple[list[Transform], float]:
    """Place of each sensor for given pixel positions, and the largest distance left, µm.

    Parameters
    ----------
    positions_um : ``(32, 185, 388, 3)``, pixel positions in the top frame.

    Raises
    ------
    GeometryError
        If a position is no number, or a sensor is no flat rectangle of the right size.
    """
    if not np.isfinite(positions_um).all():
        raise GeometryError(f"{source}: some pixel positions are no numbers.")
    x, y = sensor_coordinates_um()
    sensors, worst = [], 0.0
    for place, found in enumerate(positions_um):
        # least squares on a regular grid: directions are moments, the origin is the mean
        origin = found.mean(axis=(0, 1))
        fast = np.tensordot(x, found.mean(axis=0) - origin, axes=1) / (x @ x)
        slow = np.tensordot(y, found.mean(axis=1) - origin, axes=1) / (y @ y)
        for direction in (fast, slow):
            if abs(float(np.linalg.norm(direction)) - 1) > 0.01:
                raise GeometryError(f"{source}: sensor {place} does not have the size of a 2×1.")
        frame = Transform(orthonormal(fast, slow), origin)
        sensors.append(frame)
        expected = (
            np.multiply.outer(np.ones(y.size), np.multiply.outer(x, frame.rotation[:, 0]))
            + np.multiply.outer(y, frame.rotation[:, 1])[:, None, :]
            + origin
        )
        worst = max(worst, float(np.abs(found - expected).max()))
    return sensors, worst


def orthonormal(fast: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrix nearest to the columns `fast`, `up` and their cross product."""
    columns = np.column_stack([fast, up, np.cross(fast, up)])
    left, _, right = np.linalg.svd(columns)
    return left @ right
