"""A geometry tree from where the modules are found to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import Detector
from workbench.errors import GeometryError
from workbench.geometry.objects import (
    ANGLES,
    POSITIONS,
    TOP_FRAME,
    GeometryObject,
    ObjectKey,
    Transform,
    upright,
)
from workbench.geometry.rotations import angles_deg, rotation_matrix
from workbench.geometry.slac import standard_layout
from workbench.geometry.tree import Geometry


def placed_object(frame: Transform, key: ObjectKey) -> GeometryObject:
    """Object with design angles on quarter turns and the rest as tilts.

    Rounded to 1e-7 µm and 1e-10°, far below any meaning, so that decimal numbers come back as such.
    """
    x0, y0, z0 = (round(float(value), 7) + 0.0 for value in frame.origin_um)
    design, tilt = {}, {}
    rotation = upright(key.name, frame.rotation)
    for axis, angle in zip("xyz", angles_deg(rotation), strict=True):
        quarter = round(angle / 90) * 90
        design[f"rot_{axis}"] = float(quarter % 360)
        tilt[f"tilt_{axis}"] = round(angle - quarter, 10) + 0.0
    return GeometryObject(
        key.parent, key.parent_index, key.name, key.index, x0, y0, z0, **design, **tilt
    )


def tree_from_modules(
    detector: Detector, frames: Sequence[Transform], source: str, comments: Sequence[str] = ()
) -> Geometry:
    """Tree of a detector with its modules at the given places (top frame, µm).

    The groups and the detector are where the design has them; the modules carry the rest.
    """
    design = Geometry.ideal(detector)
    placed = {}
    for module, frame in zip(design.modules, frames, strict=True):
        parent = design.parent(module)
        above = TOP_FRAME if parent is None else design.transform(parent)
        placed[module] = placed_object(frame.relative_to(above), module.key)
    rows = tuple(placed.get(row, row) for row in design.objects)
    return Geometry(rows, standard_layout(rows, detector, comments), source)


def turned(geometry: Geometry, x_deg: float, y_deg: float) -> Geometry:
    """Copy with the whole detector turned about lab x and y (right-handed).

    The beam meets the detector's mean plane where it did.
    """
    pivot_um = np.array([0.0, 0.0, geometry.pixel_positions_um()[..., 2].mean()])
    rotation = rotation_matrix(x_deg, y_deg, 0.0)
    for row in geometry.children():
        old = geometry.transform(row)
        origin_um = pivot_um + rotation @ (old.origin_um - pivot_um)
        placed = placed_object(Transform(rotation @ old.rotation, origin_um), row.key)
        changes = {name: getattr(placed, name) for name in (*POSITIONS, *ANGLES)}
        geometry = geometry.replace(row, **changes)
    return geometry


def modules_from_positions(
    detector: Detector, positions_um: NDArray[np.float64], source: str
) -> tuple[list[Transform], float]:
    """Place of each module for given pixel positions, and the largest distance left, µm.

    Parameters
    ----------
    positions_um : ``(modules, rows, columns, 3)``, pixel positions in the top frame.

    Raises
    ------
    GeometryError
        If a position is not a number, or a module is not a flat rectangle of the right size.
    """
    if not np.isfinite(positions_um).all():
        raise GeometryError(f"{source}: some pixel positions are not numbers.")
    x, y = detector.module_coordinates_um()
    frames, worst = [], 0.0
    for module, places in enumerate(positions_um):
        # least squares on a regular grid: directions are moments, the origin is the mean
        origin = places.mean(axis=(0, 1))
        fast = np.tensordot(x, places.mean(axis=0) - origin, axes=1) / (x @ x)
        slow = np.tensordot(y, places.mean(axis=1) - origin, axes=1) / (y @ y)
        for direction in (fast, slow):
            if not abs(float(np.linalg.norm(direction)) - 1) <= 0.01:  # NaN of sums too large
                raise GeometryError(
                    f"{source}: module {module} does not have the size of a module of "
                    f"{detector.a_name}."
                )
        frame = Transform(orthonormal(fast, slow), origin)
        frames.append(frame)
        expected = (
            np.multiply.outer(np.ones(y.size), np.multiply.outer(x, frame.rotation[:, 0]))
            + np.multiply.outer(y, frame.rotation[:, 1])[:, None, :]
            + origin
        )
        worst = max(worst, float(np.abs(places - expected).max()))
    return frames, worst


def orthonormal(fast: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrix nearest to the columns `fast`, `up` and their cross product."""
    columns = np.column_stack([fast, up, np.cross(fast, up)])
    left, _, right = np.linalg.svd(columns)
    return np.asarray(left @ right)
