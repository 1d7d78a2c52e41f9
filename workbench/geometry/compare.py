"""How two geometries differ: each object's own shift and turn, and where its pixels go."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.geometry.objects import ObjectKey
from workbench.geometry.tree import Geometry

NEGLIGIBLE_UM = 1e-7
NEGLIGIBLE_DEG = 1e-10
SAME_PX = 0.01
"""Where no pixel is farther apart, two geometries are the same for all that rings can tell."""


@dataclass(frozen=True)
class ObjectChange:
    """Change of one object in its parent's frame.

    Attributes
    ----------
    key : the object.
    shift_um : shift of its origin along the axes of the top frame (lab), µm, shape (3,).
    rotation_deg : its own turn about lab x, y, z, degrees, shape (3,) (rotation vector).
    pixel_um : size of the detector's pixels.
    """

    key: ObjectKey
    shift_um: NDArray[np.float64]
    rotation_deg: NDArray[np.float64]
    pixel_um: float

    @property
    def shift_px(self) -> NDArray[np.float64]:
        """Shift in pixels, shape (3,)."""
        return self.shift_um / self.pixel_um

    def __str__(self) -> str:
        dx, dy, dz = self.shift_um
        turn = float(np.linalg.norm(self.rotation_deg))
        text = f"{self.key}: {dx:+.3f} {dy:+.3f} {dz:+.3f} µm"
        text += f" ({self.shift_px[0]:+.3f} {self.shift_px[1]:+.3f} px)"
        return text + (f", turned by {turn:.5f}°" if turn else "")


@dataclass(frozen=True)
class GeometryDiff:
    """Differences of a newer geometry from an older one.

    Attributes
    ----------
    changes : objects that moved on their own, in the order of the newer geometry.
    added, removed : objects that only the newer, only the older one has.
    sensor_shift_um : displacement of each module's centre in the lab, (modules, 3), with all that
        its parents do; None if the geometries are of different detectors.
    """

    changes: tuple[ObjectChange, ...]
    added: tuple[ObjectKey, ...]
    removed: tuple[ObjectKey, ...]
    sensor_shift_um: NDArray[np.float64] | None

    def __bool__(self) -> bool:
        return bool(self.changes or self.added or self.removed)

    def __str__(self) -> str:
        lines = [str(change) for change in self.changes]
        lines += [f"{key}: only in the newer geometry" for key in self.added]
        lines += [f"{key}: only in the older geometry" for key in self.removed]
        return "\n".join(lines) or "no difference"

    @property
    def largest_shift_um(self) -> float:
        """Largest displacement of a module's centre in the plane of the detector, µm."""
        if self.sensor_shift_um is None:
            return math.nan
        return float(np.linalg.norm(self.sensor_shift_um[:, :2], axis=1).max())


def compare(older: Geometry, newer: Geometry) -> GeometryDiff:
    """Differences of `newer` from `older`."""
    before = {row.key: row for row in older.objects}
    after = {row.key: row for row in newer.objects}
    changes = []
    for key, new in after.items():
        old = before.get(key)
        if old is None or old == new:
            continue
        frame = newer.parent_rotation(new)
        shift = frame @ (new.origin_um - old.origin_um)
        turn = frame @ _rotation_vector_deg(new.rotation @ old.rotation.T)
        shift[np.abs(shift) < NEGLIGIBLE_UM] = 0.0
        turn[np.abs(turn) < NEGLIGIBLE_DEG] = 0.0
        if shift.any() or turn.any():
            changes.append(ObjectChange(key, shift, turn, newer.detector.pixel_um))
    shifts = None
    if older.detector is newer.detector:
        shifts = np.array(
            [
                newer.transform(new).origin_um - older.transform(old).origin_um
                for old, new in zip(older.modules, newer.modules, strict=True)
            ]
        )
    return GeometryDiff(
        tuple(changes),
        tuple(key for key in after if key not in before),
        tuple(key for key in before if key not in after),
        shifts,
    )


def hardly_differ(older: Geometry, newer: Geometry) -> bool:
    """Whether both have the same objects and each pixel within a hundredth of a pixel."""
    if older == newer:
        return True
    keys = ({part.key for part in geometry.objects} for geometry in (older, newer))
    if older.detector is not newer.detector or next(keys) != next(keys):
        return False
    apart = older.pixel_positions_um() - newer.pixel_positions_um()
    return bool(np.abs(apart).max() < SAME_PX * older.detector.pixel_um)


def _rotation_vector_deg(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    return np.asarray(np.degrees(Rotation.from_matrix(np.array(rotation)).as_rotvec()))
