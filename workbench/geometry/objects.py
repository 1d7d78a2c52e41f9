"""The rows of a geometry: objects, their keys, and the lines they were read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.geometry.rotations import rotation_matrix

SENSOR_TYPE = "SENS2X1"
POSITIONS = ("x0", "y0", "z0")
ANGLES = ("rot_z", "rot_y", "rot_x", "tilt_z", "tilt_y", "tilt_x")


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """What identifies an object: its parent's name and index, its own name and index."""

    parent: str
    parent_index: int
    name: str
    index: int

    def __str__(self) -> str:
        return f"{self.name} {self.index} of {self.parent} {self.parent_index}"


@dataclass(frozen=True, slots=True)
class GeometryObject:
    """One row of a geometry: an object in its parent's frame (µm, degrees)."""

    parent: str
    parent_index: int
    name: str
    index: int
    x0: float = 0.0
    y0: float = 0.0
    z0: float = 0.0
    rot_z: float = 0.0
    rot_y: float = 0.0
    rot_x: float = 0.0
    tilt_z: float = 0.0
    tilt_y: float = 0.0
    tilt_x: float = 0.0

    @property
    def key(self) -> ObjectKey:
        """What identifies the object in its tree."""
        return ObjectKey(self.parent, self.parent_index, self.name, self.index)

    @property
    def origin_um(self) -> NDArray[np.float64]:
        """Origin in the parent's frame, µm, shape (3,)."""
        return np.array([self.x0, self.y0, self.z0])

    @property
    def angles_deg(self) -> NDArray[np.float64]:
        """Angles about x, y, z (design plus tilt), degrees, shape (3,)."""
        return np.array(
            [self.rot_x + self.tilt_x, self.rot_y + self.tilt_y, self.rot_z + self.tilt_z]
        )

    @property
    def rotation(self) -> NDArray[np.float64]:
        """Rotation matrix (3, 3) from the object's frame to its parent's."""
        return rotation_matrix(*self.angles_deg)


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of the file a tree was read from, with the object it held (None for a comment)."""

    text: str
    object: GeometryObject | None = None


class Transform(NamedTuple):
    """Rotation (3, 3) and origin (3,) in µm from an object's frame to the top frame."""

    rotation: NDArray[np.float64]
    origin_um: NDArray[np.float64]
