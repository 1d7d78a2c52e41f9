"""The geometry of a detector: an immutable tree of objects in the SLAC convention.

Each object (module, group, detector, rail) sits in the frame of its parent: a point ``r`` of
the object is at ``Rx(x) · Ry(y) · Rz(z) · r + (x0, y0, z0)`` there, with the angles
``rot + tilt`` (design plus correction, degrees, right-handed, z acts first) and the origin in µm.
The frame is that of psana: x down and y right in an image, z against the beam
(PSCalib ``GeometryObject``, lcls-psana/PSCalib@b9f60ba).

The place of a module in the pixel arrays follows from the *index* columns, never from the order
of the lines (psana itself counts lines; `Geometry.in_index_order` makes the two agree).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detectors import CSPAD, Detector, Group
from workbench.errors import GeometryError
from workbench.geometry.checks import check_objects
from workbench.geometry.ideal import ideal_objects
from workbench.geometry.objects import (
    POSITIONS,
    TOP_FRAME,
    GeometryObject,
    Name,
    ObjectKey,
    Selector,
    SourceLine,
    Transform,
    children_by_parent,
    top_of,
)
from workbench.geometry.pixels import Snapped, positions_um, snap
from workbench.geometry.registry import FormatTable, WriteOptions
from workbench.geometry.slac import parse_rows, rows_text, standard_layout


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
        If the objects do not form one tree with the modules of a known detector.
    """

    objects: tuple[GeometryObject, ...]
    layout: tuple[SourceLine, ...] = ()
    source: str = field(default="geometry")

    def __post_init__(self) -> None:
        self._recognised  # noqa: B018 (refuses what is not a geometry)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Geometry):
            return NotImplemented
        return self._by_key == other._by_key

    def __hash__(self) -> int:
        return hash(frozenset(self.objects))

    def __repr__(self) -> str:
        return f"<Geometry {self.source}: {len(self.objects)} objects, {self.detector.name}>"

    # ---- files -------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Geometry:
        """Geometry of a file in any known format; its content says which.

        SLAC ``.data``, CSPAD CBF, CrystFEL ``.geom``, psana's pixel coordinates ``.npy``.

        Raises
        ------
        FileFormatError
            If the file cannot be read; the message names file and line.
        """
        return FORMATS.read(path).geometry

    def write(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,
        *,
        distance_mm: float | None = None,
        wavelength_angstrom: float | None = None,
        like: str | os.PathLike[str] | None = None,
        overwrite: bool = True,
    ) -> None:
        """Write a file atomically, in the format of its ending.

        A SLAC file (``.data``) of a geometry that was read and not changed is byte-identical.

        Parameters
        ----------
        path : where.
        format : name of a format (of `workbench.geometry.FORMATS`) if the ending does not say it.
        distance_mm, wavelength_angstrom : written where the format has a place for them.
        like : a CrystFEL file whose lines other than the panels' places are kept.

        Raises
        ------
        GeometryError
            If no format has this ending, or it cannot hold the geometry.
        """
        options = WriteOptions(distance_mm, wavelength_angstrom, like, overwrite)
        FORMATS.of_path(path, format).write(self, Path(path), options)

    @classmethod
    def parse(cls, text: str, name: str = "geometry") -> Geometry:
        """Geometry from the text of a SLAC file; `name` is used in messages."""
        return cls(*parse_rows(text, name), name)

    def to_text(self) -> str:
        """Text of a SLAC file; unchanged rows and all comments are as they were read."""
        layout = self.layout or standard_layout(self.objects, self.detector)
        return rows_text(self.objects, layout)

    @classmethod
    def ideal(cls, detector: Detector = CSPAD) -> Geometry:
        """Design geometry of a detector."""
        objects = ideal_objects(detector)
        return cls(objects, standard_layout(objects, detector), "ideal geometry")

    # ---- the tree ----------------------------------------------------------------------------

    @cached_property
    def _recognised(self) -> tuple[Detector, tuple[GeometryObject, ...]]:
        return check_objects(self.objects, self.layout, self.source)

    @cached_property
    def _by_key(self) -> dict[ObjectKey, GeometryObject]:
        return {row.key: row for row in self.objects}

    @cached_property
    def _by_name(self) -> dict[Name, list[GeometryObject]]:
        rows: dict[Name, list[GeometryObject]] = {}
        for row in self.objects:
            rows.setdefault(row.own_name, []).append(row)
        return rows

    @cached_property
    def _children(self) -> dict[Name, list[GeometryObject]]:
        return children_by_parent(self.objects)

    @cached_property
    def top(self) -> Name:
        """Name and index of the top of the tree (``IP``, 0), which is only ever a parent."""
        top = top_of(self.objects)
        assert top is not None  # a checked tree has one
        return top

    @property
    def detector(self) -> Detector:
        """The detector whose modules the tree has."""
        return self._recognised[0]

    @property
    def modules(self) -> tuple[GeometryObject, ...]:
        """The detector's modules, in the order of the pixel arrays."""
        return self._recognised[1]

    @property
    def sensors(self) -> tuple[GeometryObject, ...]:
        """The modules, by the word for those of a CSPAD."""
        return self.modules

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the pixel arrays: modules, rows, columns."""
        return self.detector.shape

    @cached_property
    def quadrants(self) -> tuple[GeometryObject, ...]:
        """Objects of the detector's groups, in order; empty for a tree without that level."""
        parents = [self.parent(module) for module in self.modules]
        groups = list(dict.fromkeys(parent for parent in parents if parent is not None))
        grouped = self.detector.tree.group and len(groups) == len(self.detector.groups)
        return tuple(groups) if grouped else ()

    @cached_property
    def groups(self) -> tuple[tuple[GeometryObject, ...], ...]:
        """Objects that move as one: of each group its own object, in a flat tree its modules."""
        if self.quadrants:
            return tuple((quadrant,) for quadrant in self.quadrants)
        return tuple(self.modules[group.slice] for group in self.detector.groups)

    @cached_property
    def base(self) -> Transform:
        """Frame of the object that carries the (first) group: where distances are measured to."""
        parent = self.parent(self.groups[0][0])
        return TOP_FRAME if parent is None else self.transform(parent)

    def find(self, what: Selector) -> GeometryObject:
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
            candidates = [self._by_key[what]] if what in self._by_key else []
        else:
            candidates = self._by_name.get((what[0], what[1]), [])
        if len(candidates) == 1:
            return candidates[0]
        described = " ".join(map(str, what)) if isinstance(what, tuple) else what
        if candidates:
            raise GeometryError(
                f"{self.source}: {described} occurs {len(candidates)} times; "
                "name its parent as well."
            )
        raise GeometryError(f"{self.source}: there is no object {described}.")

    def children(self, parent: GeometryObject | Name | None = None) -> list[GeometryObject]:
        """Children of an object (None: of the top), sorted by index."""
        if isinstance(parent, GeometryObject):
            parent = parent.own_name
        return list(self._children.get(parent or self.top, []))

    def parent(self, child: GeometryObject) -> GeometryObject | None:
        """Parent of an object; None if that is the top."""
        candidates = self._by_name.get(child.parent_name)
        return candidates[0] if candidates else None

    @cached_property
    def _transforms(self) -> dict[GeometryObject, Transform]:
        return {}  # filled by `transform`

    def transform(self, what: Selector) -> Transform:
        """Rotation and origin (µm) of an object in the top frame."""
        row = self.find(what)
        transform = self._transforms.get(row)
        if transform is None:
            parent = self.parent(row)
            rotation, origin = row.rotation, row.origin_um
            if parent is not None:
                outer = self.transform(parent)
                rotation = outer.rotation @ rotation
                origin = outer.rotation @ origin + outer.origin_um
            rotation.flags.writeable = origin.flags.writeable = False
            transform = self._transforms[row] = Transform(rotation, origin)
        return transform

    def parent_rotation(self, what: GeometryObject) -> NDArray[np.float64]:
        """Rotation (3, 3) from the frame of an object's parent to the top frame."""
        parent = self.parent(self.find(what))
        return TOP_FRAME.rotation if parent is None else self.transform(parent).rotation

    # ---- changes: each gives a new tree ------------------------------------------------------

    def replace(self, what: Selector, **changes: float) -> Geometry:
        """Copy with some numbers of one object changed, e.g. ``x0=…, tilt_z=…`` (µm, degrees)."""
        old = self.find(what)
        return self._with({old.key: dataclasses.replace(old, **changes)})  # type: ignore[arg-type]

    def move(self, what: Selector, shift_um: ArrayLike, *, frame: str = "lab") -> Geometry:
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
        what: Selector,
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
        """Copy with the origin of each of the detector's groups moved by *minus* its offset.

        Parameters
        ----------
        offsets_px : shape (groups, 2), pixels along lab (top frame) x, y: where the centre of the
            rings is seen by each group (quadrant) in the present geometry. The rotation of what
            is above the groups is taken into account. In a flat tree the modules of each group
            move together.

        Raises
        ------
        GeometryError
            If the offsets are not one finite pair for each group.
        """
        offsets = np.asarray(offsets_px, dtype=float)
        if offsets.shape != (len(self.groups), 2) or not np.isfinite(offsets).all():
            raise GeometryError(
                f"{self.source}: offsets of {self.detector.a_name} are finite numbers of shape "
                f"({len(self.groups)}, 2), found {offsets.shape}."
            )
        changed = {}
        for group, offset in zip(self.groups, offsets, strict=True):
            if not offset.any():
                continue
            shift = np.array([*-offset, 0.0]) * self.detector.pixel_um
            for row in group:
                changed[row.key] = _moved(row, self.parent_rotation(row).T @ shift)
        return self._with(changed)

    def with_psana_z(self) -> Geometry:
        """Copy with the z sign psana's Python reader applies since 2020.

        It turns ``z0 > 0`` of the rows whose parent name starts with ``IP`` into ``-z0``; rows
        under ``RAIL`` keep theirs, and psana's C++ reader flips nothing. Files are never changed.
        """
        return self._with(
            {
                row.key: dataclasses.replace(row, z0=-row.z0)
                for row in self.objects
                if row.parent.startswith("IP") and row.z0 > 0
            }
        )

    @property
    def is_in_index_order(self) -> bool:
        """True if psana, which counts lines, reads the modules in the order of their indices."""
        last: dict[Name, int] = {}
        for row in self.objects:
            if row.index < last.get(row.parent_name, -1):
                return False
            last[row.parent_name] = row.index
        return True

    def in_index_order(self) -> Geometry:
        """Copy whose rows stand in index order among the children of one parent."""
        slots: dict[Name, list[int]] = {}
        for place, row in enumerate(self.objects):
            slots.setdefault(row.parent_name, []).append(place)
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

    def rounded(self) -> Geometry:
        """Copy on whole µm and 1e-5° (what PSCalib's writer keeps), with a fresh header."""
        layout = standard_layout(self.objects, self.detector, rounded=True)
        return Geometry.parse("".join(line.text for line in layout), self.source)

    def _with(self, changed: Mapping[ObjectKey, GeometryObject]) -> Geometry:
        objects = tuple(changed.get(row.key, row) for row in self.objects)
        return Geometry(objects, self.layout, self.source)

    # ---- pixels ------------------------------------------------------------------------------

    @cached_property
    def _module_transforms(self) -> bytes:
        """Rotation and origin of each module, float64 ``(modules, 3, 4)``, as bytes."""
        frames = [np.column_stack(self.transform(module)) for module in self.modules]
        return np.stack(frames).tobytes()

    def pixel_positions_um(self, *, wide_pixel_centre: bool = False) -> NDArray[np.float64]:
        """Position of each pixel in the top frame, µm: ``(modules, rows, columns, 3)``, float64.

        The array is read-only and cached. `wide_pixel_centre` puts the wide pixels at the seams
        of the ASICs at their centres; by default they are, as in psana, on the regular grid of
        their ASIC (of a CSPAD 219.84 instead of 137.40 µm from the seam).
        """
        return positions_um(self.detector, self._module_transforms, wide_pixel_centre)

    def middles_px(self, groups: Sequence[Group] | None = None) -> NDArray[np.float64]:
        """Middles of groups from the beam in lab x, y, float64 ``(groups, 2)``, pixels.

        Parameters
        ----------
        groups : of the detector's modules; by default its own.
        """
        detector = self.detector
        # modules are flat and their own mirror image
        corners = self.pixel_positions_um()[:, :: detector.rows - 1, :: detector.columns - 1, :2]
        parts = [group.slice for group in groups or detector.groups]
        middles = [corners[part].reshape(-1, 2).mean(axis=0) for part in parts]
        return np.asarray(middles) / detector.pixel_um

    def places(self, groups: Sequence[Group] | None = None) -> list[tuple[int, int]]:
        """Row and column of each group, from 0, as drawn: x downwards, y to the right.

        Parameters
        ----------
        groups : of the detector's modules; by default its own.
        """
        down, across = self.middles_px(groups).T
        order = np.argsort(down)
        # groups of one row are less than half a module above each other
        half_px = 0.5 * min(self.detector.module_shape)
        row = np.empty(len(down), int)
        row[order] = np.cumsum(np.diff(down[order], prepend=down[order[0]]) > half_px)
        column = [
            int(np.sum((row == own) & (across < at))) for own, at in zip(row, across, strict=True)
        ]
        return list(zip(row.tolist(), column, strict=True))

    def snapped(self, *, fill: bool = True) -> Snapped:
        """Assembly on whole pixels, for display (see `workbench.geometry.Snapped`)."""
        return snap(self.detector, self._module_transforms, fill)


FORMATS: FormatTable[Geometry] = FormatTable()
"""The geometry file formats; `workbench.geometry.formats` fills the table."""


def _moved(row: GeometryObject, shift: NDArray[np.float64]) -> GeometryObject:
    """Object displaced in its parent's frame, on whole 1e-6 µm so that files stay readable."""
    origin = {
        name: round(getattr(row, name) + float(delta), 6) if delta else getattr(row, name)
        for name, delta in zip(POSITIONS, shift, strict=True)
    }
    return dataclasses.replace(row, **origin)
