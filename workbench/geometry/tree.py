"""The geometry of a detector: an immutable tree of objects in the SLAC convention.

Each object (sensor, quadrant, detector, rail) sits in the frame of its parent: a point ``r`` of
the object is at ``Rx(x) · Ry(y) · Rz(z) · r + (x0, y0, z0)`` there, with the angles
``rot + tilt`` (design plus correction, degrees, right-handed, z acts first) and the origin in µm.
The frame is that of psana: x down and y right in an image, z against the beam
(PSCalib ``GeometryObject``, lcls-psana/PSCalib@b9f60ba).

The place of a sensor in the pixel arrays follows from the *index* columns, never from the order
of the lines (psana itself counts lines; `Geometry.in_index_order` makes the two agree).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench import detector
from workbench.errors import GeometryError
from workbench.geometry.objects import (
    POSITIONS,
    SENSOR_TYPE,
    GeometryObject,
    ObjectKey,
    SourceLine,
    Transform,
)

if TYPE_CHECKING:
    from workbench.geometry.pixels import Snapped


@dataclass(frozen=True, eq=False)
class Geometry:
    """An immutable detector geometry; every change gives a new one.

    Two geometries are equal if they hold the same objects with the same numbers, in whatever
    order and with whatever comments.

    Parameters
    ----------
    objects : the rows, in the order of the file.
    layout : lines of the file it was read from (see `workbench.geometry.slac`).
    source : where it comes from, for messages.

    Raises
    ------
    GeometryError
        If the objects do not form one tree with the sensors of a CSPAD.
    """

    objects: tuple[GeometryObject, ...]
    layout: tuple[SourceLine, ...] = ()
    source: str = field(default="geometry")

    def __post_init__(self) -> None:
        from workbench.geometry.checks import check_objects

        check_objects(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Geometry):
            return NotImplemented
        return self._by_key == other._by_key

    def __hash__(self) -> int:
        return hash(frozenset(self.objects))

    def __repr__(self) -> str:
        return f"<Geometry {self.source}: {len(self.objects)} objects, {len(self.sensors)} sensors>"

    # ---- files -------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Geometry:
        """Geometry of a SLAC ``.data``, CSPAD CBF or CrystFEL ``.geom`` file (told by content).

        Raises
        ------
        FileFormatError
            If the file cannot be read; the message names file and line.
        """
        from workbench.geometry.formats import read_geometry

        return read_geometry(path)

    @classmethod
    def parse(cls, text: str, name: str = "geometry") -> Geometry:
        """Geometry from the text of a SLAC file; `name` is used in messages."""
        from workbench.geometry.slac import parse

        return parse(text, name)

    def to_text(self) -> str:
        """Text of a SLAC file; unchanged rows and all comments are as they were read."""
        from workbench.geometry.slac import to_text

        return to_text(self)

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Write a SLAC file atomically; unread and unchanged, it is byte-identical."""
        from workbench.geometry.slac import write

        write(self, Path(path), overwrite=overwrite)

    @classmethod
    def ideal(cls) -> Geometry:
        """Design geometry of a CXI CSPAD (see `workbench.geometry.ideal`)."""
        from workbench.geometry.ideal import ideal_geometry

        return ideal_geometry()

    # ---- the tree ----------------------------------------------------------------------------

    @cached_property
    def _by_key(self) -> dict[ObjectKey, GeometryObject]:
        return {one.key: one for one in self.objects}

    @cached_property
    def _by_name(self) -> dict[tuple[str, int], list[GeometryObject]]:
        found: dict[tuple[str, int], list[GeometryObject]] = {}
        for one in self.objects:
            found.setdefault((one.name, one.index), []).append(one)
        return found

    @cached_property
    def _children(self) -> dict[tuple[str, int], list[GeometryObject]]:
        found: dict[tuple[str, int], list[GeometryObject]] = {}
        for one in self.objects:
            found.setdefault((one.parent, one.parent_index), []).append(one)
        for children in found.values():
            children.sort(key=lambda child: (child.index, child.name))
        return found

    @cached_property
    def top(self) -> tuple[str, int]:
        """Name and index of the top of the tree (``IP``, 0), which is only ever a parent."""
        tops = [
            (one.parent, one.parent_index)
            for one in self.objects
            if (one.parent, one.parent_index) not in self._by_name
        ]
        return next((top for top in tops if top[0].startswith("IP")), tops[0])

    def find(self, what: GeometryObject | ObjectKey | tuple) -> GeometryObject:
        """Give the object of a key, or of ``(name, index)`` where that is unique.

        Raises
        ------
        GeometryError
            If there is no such object, or more than one.
        """
        if isinstance(what, GeometryObject):
            what = what.key
        elif isinstance(what, tuple) and len(what) == 4:
            what = ObjectKey(*what)
        if isinstance(what, ObjectKey):
            found = self._by_key.get(what)
            if found is not None:
                return found
        else:
            candidates = self._by_name.get((what[0], what[1]), [])
            if len(candidates) == 1:
                return candidates[0]
            if candidates:
                raise GeometryError(
                    f"{self.source}: {what[0]} {what[1]} is there {len(candidates)} times; "
                    "name its parent as well."
                )
        described = " ".join(map(str, what)) if isinstance(what, tuple) else what
        raise GeometryError(f"{self.source}: there is no object {described}.")

    def children(
        self, parent: GeometryObject | tuple[str, int] | None = None
    ) -> list[GeometryObject]:
        """Children of an object (None: of the top), sorted by index."""
        if parent is None:
            key = self.top
        elif isinstance(parent, GeometryObject):
            key = (parent.name, parent.index)
        else:
            key = parent
        return list(self._children.get(key, []))

    def parent(self, child: GeometryObject) -> GeometryObject | None:
        """Parent of an object; None if that is the top."""
        found = self._by_name.get((child.parent, child.parent_index))
        return found[0] if found else None

    @cached_property
    def _transforms(self) -> dict[GeometryObject, Transform]:
        return {}  # filled by `transform`

    @cached_property
    def sensors(self) -> tuple[GeometryObject, ...]:
        """Sensors (2×1 modules) in the order of the pixel arrays: 32, or 2 of a 2×2 detector."""
        found: list[GeometryObject] = []

        def walk(key: tuple[str, int]) -> None:
            for child in self._children.get(key, []):
                if child.name.partition(":")[0] == SENSOR_TYPE:
                    found.append(child)
                else:
                    walk((child.name, child.index))

        walk(self.top)
        return tuple(found)

    @cached_property
    def quadrants(self) -> tuple[GeometryObject, ...]:
        """Give the four quadrant objects in order; empty for a flat tree or a 2×2 detector."""
        found: list[GeometryObject] = []
        for sensor in self.sensors:
            above = self.parent(sensor)
            if above is not None and above not in found:
                found.append(above)
        return tuple(found) if len(found) == detector.QUADRANTS else ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the pixel arrays: (32, 185, 388) or (2, 185, 388)."""
        return (len(self.sensors), detector.ROWS, detector.COLUMNS)

    def transform(self, what: GeometryObject | ObjectKey | tuple) -> Transform:
        """Rotation and origin (µm) of an object in the top frame."""
        one = self.find(what)
        found = self._transforms.get(one)
        if found is None:
            above = self.parent(one)
            rotation, origin = one.rotation, one.origin_um
            if above is not None:
                outer = self.transform(above)
                rotation = outer.rotation @ rotation
                origin = outer.rotation @ origin + outer.origin_um
            rotation.flags.writeable = origin.flags.writeable = False
            found = self._transforms[one] = Transform(rotation, origin)
        return found

    def parent_rotation(self, what: GeometryObject) -> NDArray[np.float64]:
        """Rotation (3, 3) from the frame of an object's parent to the top frame."""
        above = self.parent(self.find(what))
        return np.eye(3) if above is None else self.transform(above).rotation

    # ---- changes: each gives a new tree ------------------------------------------------------

    def replace(self, what: GeometryObject | ObjectKey | tuple, **changes: float) -> Geometry:
        """Copy with some numbers of one object changed, e.g. ``x0=…, tilt_z=…`` (µm, degrees)."""
        old = self.find(what)
        return self._with({old.key: dataclasses.replace(old, **changes)})  # type: ignore[arg-type]

    def move(
        self, what: GeometryObject | ObjectKey | tuple, shift_um: ArrayLike, *, frame: str = "lab"
    ) -> Geometry:
        """Copy with one object (and all below it) displaced by ``(dx, dy, dz)`` µm.

        `frame` says in which frame the shift is given: ``lab`` (the top frame) or ``parent``.
        """
        old = self.find(what)
        shift = np.asarray(shift_um, dtype=float)
        if shift.shape != (3,) or not np.isfinite(shift).all():
            raise GeometryError(f"a shift has three finite numbers (µm); found {shift_um!r}.")
        if frame == "lab":
            shift = self.parent_rotation(old).T @ shift
        elif frame != "parent":
            raise GeometryError(f"frame is 'lab' or 'parent', not {frame!r}.")
        return self._with({old.key: _moved(old, shift)})

    def rotate(
        self,
        what: GeometryObject | ObjectKey | tuple,
        *,
        z: float = 0.0,
        y: float = 0.0,
        x: float = 0.0,
    ) -> Geometry:
        """Copy with one object's tilts increased by `z`, `y`, `x` degrees (its origin stays)."""
        old = self.find(what)
        return self.replace(
            old, tilt_z=old.tilt_z + z, tilt_y=old.tilt_y + y, tilt_x=old.tilt_x + x
        )

    def move_quadrants(self, offsets_px: ArrayLike) -> Geometry:
        """Copy with each quadrant's origin moved by *minus* its offset.

        Parameters
        ----------
        offsets_px : shape (4, 2), pixels of 109.92 µm along lab (top frame) x, y: where the centre
            of the rings is seen by each quadrant in the present geometry. The rotation of what is
            above the quadrants is taken into account. In a flat tree the eight sensors of each
            quadrant move together.
        """
        offsets = np.asarray(offsets_px, dtype=float)
        if offsets.shape != (detector.QUADRANTS, 2) or not np.isfinite(offsets).all():
            raise GeometryError(
                f"quadrant offsets are finite numbers of shape (4, 2); found {offsets.shape}."
            )
        groups: Iterable[tuple[GeometryObject, ...]]
        if self.quadrants:
            groups = [(quadrant,) for quadrant in self.quadrants]
        elif len(self.sensors) == detector.SENSORS:
            step = detector.SENSORS_PER_QUADRANT
            groups = [self.sensors[i : i + step] for i in range(0, detector.SENSORS, step)]
        else:
            raise GeometryError(f"{self.source}: this detector has no quadrants to move.")
        changed = {}
        for group, offset in zip(groups, offsets, strict=True):
            if not offset.any():
                continue
            shift = np.array([*-offset, 0.0]) * detector.PIXEL_SIZE_UM
            for one in group:
                changed[one.key] = _moved(one, self.parent_rotation(one).T @ shift)
        return self._with(changed)

    def with_psana_z(self) -> Geometry:
        """Copy with the z sign psana's Python reader applies since 2020.

        It turns ``z0 > 0`` of the rows whose parent name starts with ``IP`` into ``-z0``; rows
        under ``RAIL`` keep theirs, and psana's C++ reader flips nothing. Files are never changed.
        """
        return self._with(
            {
                one.key: dataclasses.replace(one, z0=-one.z0)
                for one in self.objects
                if one.parent.startswith("IP") and one.z0 > 0
            }
        )

    @property
    def is_in_index_order(self) -> bool:
        """True if psana, which counts lines, reads the sensors in the order of their indices."""
        order: dict[tuple[str, int], int] = {}
        for one in self.objects:
            parent = (one.parent, one.parent_index)
            if one.index < order.get(parent, -1):
                return False
            order[parent] = one.index
        return True

    def in_index_order(self) -> Geometry:
        """Copy whose rows stand in index order among the children of one parent."""
        slots: dict[tuple[str, int], list[int]] = {}
        for place, one in enumerate(self.objects):
            slots.setdefault((one.parent, one.parent_index), []).append(place)
        order = list(range(len(self.objects)))
        for places in slots.values():
            wanted = sorted(places, key=lambda place: self.objects[place].index)
            for place, source in zip(places, wanted, strict=True):
                order[place] = source
        objects = tuple(self.objects[place] for place in order)
        rows = [line for line in self.layout if line.object is not None]
        moved = iter(rows[place] for place in order) if rows else iter(())
        layout = tuple(line if line.object is None else next(moved) for line in self.layout)
        return Geometry(objects, layout, self.source)

    def _with(self, changed: Mapping[ObjectKey, GeometryObject]) -> Geometry:
        objects = tuple(changed.get(one.key, one) for one in self.objects)
        return Geometry(objects, self.layout, self.source)

    # ---- pixels ------------------------------------------------------------------------------

    def pixel_positions_um(self, *, wide_pixel_centre: bool = False) -> NDArray[np.float64]:
        """Position of each pixel in the top frame, µm: read-only ``(32, 185, 388, 3)``, cached.

        `wide_pixel_centre` puts the two wide columns (193, 194) at their centres, 137.40 µm from
        the seam; by default they are, as in psana, at 219.84 µm, on the regular grid of their ASIC.
        """
        from workbench.geometry.pixels import positions_um

        key = np.stack([np.column_stack(self.transform(one)) for one in self.sensors])
        return positions_um(key.tobytes(), wide_pixel_centre)

    def snapped(self, *, fill: bool = True) -> Snapped:
        """Assembly on whole pixels, for display (see `workbench.geometry.pixels.Snapped`)."""
        from workbench.geometry.pixels import snap

        key = np.stack([np.column_stack(self.transform(one)) for one in self.sensors])
        return snap(key.tobytes(), fill)


def _moved(one: GeometryObject, shift: NDArray[np.float64]) -> GeometryObject:
    """Object displaced in its parent's frame, on whole 1e-6 µm so that files stay readable."""
    origin = {
        name: round(getattr(one, name) + float(delta), 6) if delta else getattr(one, name)
        for name, delta in zip(POSITIONS, shift, strict=True)
    }
    return dataclasses.replace(one, **origin)
