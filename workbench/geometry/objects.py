"""The rows of a geometry: objects, their keys, and the lines they were read from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DETECTORS
from workbench.geometry.rotations import rotation_matrix

POSITIONS = ("x0", "y0", "z0")
ANGLES = ("rot_z", "rot_y", "rot_x", "tilt_z", "tilt_y", "tilt_x")

Name: TypeAlias = tuple[str, int]
"""Name and index of an object; below different parents several objects may share one."""


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
    def parent_name(self) -> Name:
        """Name and index of the parent."""
        return self.parent, self.parent_index

    @property
    def own_name(self) -> Name:
        """Name and index of the object itself."""
        return self.name, self.index

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
        """Rotation matrix (3, 3) from the object's frame to its parent's.

        The frame of a module has row 0 at the top, also where the file's has it at the bottom.
        """
        return upright(self.name, rotation_matrix(*self.angles_deg))


def upright(name: str, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation of a module whose row 0 lies at the top, from the one of its file, or back.

    Of modules that are named in `Detector.rows_up` the file's frame has y along the rows; turned
    by 180° about x it is as that of the others (a module is flat, so z does not matter).
    """
    if any(name in detector.rows_up for detector in DETECTORS):
        return np.asarray(rotation * np.array([1.0, -1.0, -1.0]))
    return rotation


Selector: TypeAlias = GeometryObject | ObjectKey | Name | tuple[str, int, str, int]
"""What names an object: itself, its key, or its name where that is unique in the tree."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of the file a tree was read from, with the object it held (None for a comment)."""

    text: str
    object: GeometryObject | None = None


class Transform(NamedTuple):
    """Rotation (3, 3) and origin (3,) in µm from an object's frame to another one."""

    rotation: NDArray[np.float64]
    origin_um: NDArray[np.float64]

    def relative_to(self, parent: Transform) -> Transform:
        """The same place in the frame of `parent`."""
        inverse = parent.rotation.T
        return Transform(inverse @ self.rotation, inverse @ (self.origin_um - parent.origin_um))


TOP_FRAME = Transform(np.eye(3), np.zeros(3))


def children_by_parent(objects: Iterable[GeometryObject]) -> dict[Name, list[GeometryObject]]:
    """Children of each parent, sorted by index."""
    children: dict[Name, list[GeometryObject]] = {}
    for child in objects:
        children.setdefault(child.parent_name, []).append(child)
    for siblings in children.values():
        siblings.sort(key=lambda child: (child.index, child.name))
    return children


def top_of(objects: Sequence[GeometryObject]) -> Name | None:
    """Name of the top of the tree (``IP``, 0), which is only ever a parent; None for a circle.

    Where several parents have no row of their own, the one called ``IP…`` is the top, else the
    one with the most children.
    """
    own_names = {row.own_name for row in objects}
    count: dict[Name, int] = {}
    for row in objects:
        if row.parent_name not in own_names:
            count[row.parent_name] = count.get(row.parent_name, 0) + 1
    tops = sorted(count, key=lambda name: -count[name])
    return next((top for top in count if top[0].startswith("IP")), tops[0] if tops else None)


def modules_below(
    top: Name, children: Mapping[Name, Sequence[GeometryObject]], module_type: str
) -> list[GeometryObject]:
    """Objects of a type (its name, whatever the version) below `top`, in order of indices."""
    modules: list[GeometryObject] = []
    for child in children.get(top, ()):
        if child.name.partition(":")[0] == module_type:
            modules.append(child)
        else:
            modules += modules_below(child.own_name, children, module_type)
    return modules
