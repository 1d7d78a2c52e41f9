"""CSPAD geometry in the axes of an imgCIF/CBF header, as cctbx.xfel and dxtbx read and write it.

The axes hang on each other as ``D0_Z ← D0_Y ← D0_X ← D0_R ← FS_D0Qq ← FS_D0QqSs ← FS_D0QqSsAa``;
psana's x, y, z are imgCIF's x, y, z. ``D0_X``, ``D0_Y`` hold the place of the detector, ``D0_Z``
is minus the distance; an FS axis turns about its vector and is offset in its parent's frame, mm
(cctbx_project 2022.9 ``xfel/cftbx/detector/cspad_cbf_tbx.py``, ``cxi_slaccalib2cbfheader.py``).

The text of the SLAC file travels along in a table of its own. When the axes still say the same it
is what a reader gets back, to the last digit; where a program has moved an axis since, the moved
rows alone are taken from the axes.
"""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path

import numpy as np

from workbench.detectors import Detector
from workbench.errors import FileFormatError, GeometryError, WorkbenchError
from workbench.files import parse_json, read_regular
from workbench.geometry.fit import placed_object
from workbench.geometry.formats import cif
from workbench.geometry.formats.imgcif_header import (
    OWN,
    ROOT,
    TYPES,
    Axis,
    asic_corner_mm,
    axes_of,
)
from workbench.geometry.ideal import RAIL_Z_UM
from workbench.geometry.objects import ANGLES, POSITIONS, GeometryObject, Transform
from workbench.geometry.registry import GeometryFile, GeometryWarning
from workbench.geometry.rotations import about_axis
from workbench.geometry.slac import standard_layout
from workbench.geometry.tree import Geometry

SAME_UM = 1e-4
"""Axes that agree within this with the SLAC text in the file are its axes."""


def detector_of(cbf: cif.CbfFile) -> Detector:
    """Detector of a CBF.

    Raises
    ------
    FileFormatError
        If it is another one than `TYPES` has; the message says which.
    """
    table = cbf.table("diffrn_detector")
    kinds = table.columns.get("type", [])
    if len(kinds) == 1 and kinds[0] in TYPES:
        return TYPES[kinds[0]]
    kind = table.value("type", "") or "an unnamed detector"
    panels = max(len(cbf.table("diffrn_detector_element")), 1)
    readable = ", ".join(f"{d.name} images of {d.asics} ASICs" for d in TYPES.values())
    raise FileFormatError(
        cbf.name,
        f"expected a {' or '.join(d.name for d in TYPES.values())}, this is an image of {kind} "
        f"({panels} panel{'s' * (panels > 1)}).",
        hint=f"The workbench reads {readable} from CBF files only.",
    )


def read_geometry(path: Path) -> GeometryFile[Geometry]:
    """Geometry, distance and wavelength of a CSPAD CBF, with or without pixel data."""
    return geometry_of(cif.parse_cbf(read_regular(path), os.fspath(path)))


def geometry_of(cbf: cif.CbfFile) -> GeometryFile[Geometry]:
    """Geometry, distance and wavelength from the tables of a CSPAD CBF.

    Raises
    ------
    FileFormatError
        If axes are missing or are not numbers.
    """
    detector = detector_of(cbf)
    axes = _Axes(cbf)
    z = axes.setting("AXIS_D0_Z")[1]
    from_axes = _tree_from_axes(detector, axes, cbf.name)
    carried = _carried_tree(cbf)
    geometry = from_axes
    if carried is not None and carried.detector is detector:
        geometry = _merged(carried, from_axes, axes)
    return GeometryFile(geometry, -z if z else None, wavelength_of(cbf))


def wavelength_of(cbf: cif.CbfFile) -> float | None:
    """Wavelength in Å; None where it is not there, or is the placeholder for an unknown one."""
    if cbf.table(OWN).value("wavelength_known", "yes") == "no":
        return None
    try:
        value = float(cbf.table("diffrn_radiation_wavelength").value("wavelength"))
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


class _Axes:
    """The axis tables, with numbers."""

    def __init__(self, cbf: cif.CbfFile) -> None:
        self.name = cbf.name
        self.rows = {row.get("id", ""): row for row in cbf.table("axis").rows()}
        self.starts = {r.get("axis_id", ""): r for r in cbf.table("diffrn_scan_axis").rows()}
        self.frames = {r.get("axis_id", ""): r for r in cbf.table("diffrn_scan_frame_axis").rows()}

    def setting(self, axis: str) -> tuple[float, float]:
        """Angle (degrees) and displacement (mm): of the frame, else of the scan."""
        frame, start = self.frames.get(axis, {}), self.starts.get(axis, {})
        angle = frame.get("angle", start.get("angle_start", "0"))
        shift = frame.get("displacement", start.get("displacement_start", "0"))
        return self._number(angle, axis), self._number(shift, axis)

    def transform(self, axis: str) -> Transform:
        """Rotation and offset (µm) of a rotation axis in its parent's frame."""
        row = self.rows.get(axis)
        if row is None:
            raise FileFormatError(self.name, f"the CSPAD axis {axis} is missing.")
        vector = np.array([self._number(row.get(f"vector[{i}]", "."), axis) for i in (1, 2, 3)])
        offset = np.array([self._number(row.get(f"offset[{i}]", "."), axis) for i in (1, 2, 3)])
        length = float(np.linalg.norm(vector))
        if not length > 0:
            raise FileFormatError(self.name, f"the axis {axis} has no direction.")
        angle, _ = self.setting(axis)
        return Transform(about_axis(vector / length, angle), offset * 1000)

    def _number(self, text: str, axis: str) -> float:
        try:
            value = 0.0 if text in (".", "?") else float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or abs(value) > 1e6:
            problem = f"axis {axis}: expected a number, found {text[:40]!r}."
            raise FileFormatError(self.name, problem)
        return value


def _tree_from_axes(detector: Detector, axes: _Axes, name: str) -> Geometry:
    design = Geometry.ideal(detector)
    rows: dict[GeometryObject, GeometryObject] = {}
    worst = (0.0, "")
    for axis_name, axis in axes_of(design).items():
        if axis.row is not None:
            rows[axis.row] = placed_object(axes.transform(axis_name), axis.row.key)
        elif axis.component == "detector_asic":
            away = _asic_deviation_um(detector, axes.transform(axis_name), axis.frame)
            worst = max(worst, (away, axis_name.removeprefix("FS_D0")))
    if worst[0] > 0.01:
        warnings.warn(
            f"{name}: single ASICs are shifted (by up to {worst[0]:.2f} µm, {worst[1]}); a "
            "geometry of rigid modules cannot hold this, so these shifts are ignored.",
            GeometryWarning,
            stacklevel=2,
        )
    root = axes.transform(ROOT)
    x, y = (axes.setting(f"AXIS_D0_{axis}")[1] * 1000 for axis in "XY")
    origin = np.array([root.origin_um[0] + x, root.origin_um[1] + y, RAIL_Z_UM])
    base = design.parent(design.groups[0][0])
    if base is not None:
        rows[base] = placed_object(Transform(root.rotation, origin), base.key)
    objects = tuple(rows.get(row, row) for row in design.objects)
    comments = [f"from the header of {os.path.basename(name)}"]
    return Geometry(objects, standard_layout(objects, detector, comments), name)


def _asic_deviation_um(detector: Detector, frame: Transform, design: Transform) -> float:
    """How far the corners of an ASIC are from where the module's layout puts them, µm."""
    x, y = (1000 * along for along in asic_corner_mm(detector))
    corners = np.array([(-x, -y, 0), (-x, y, 0), (x, -y, 0), (x, y, 0)])
    there = corners @ frame.rotation.T + frame.origin_um
    return float(np.abs(there - (corners + design.origin_um)).max())


def _carried_tree(cbf: cif.CbfFile) -> Geometry | None:
    """Tree from the SLAC text in the file's own table; None where there is none (or it is odd)."""
    own = cbf.table(OWN)
    text = own.value("geometry", "")
    if not text:
        return None
    try:
        lines = parse_json(cif.unfold(text))
        source = parse_json(own.value("geometry_source", '"geometry"'))
        return Geometry.parse("".join(lines), str(source))
    except (ValueError, TypeError, WorkbenchError):
        return None


def _merged(carried: Geometry, from_axes: Geometry, axes: _Axes) -> Geometry:
    """Tree carried along, with the objects that were moved since taken from the axes."""
    present = axes_of(from_axes)
    moved = [
        (axis.row, present[name].row)
        for name, axis in axes_of(carried).items()
        if axis.component != "detector_asic" and not _same(axes, name, axis)
    ]
    if not moved:
        return carried
    if not carried.quadrants:
        return from_axes
    merged = carried
    for row, source in moved:
        if row is None or source is None:
            return from_axes
        turned = np.abs(source.rotation - row.rotation).max() > 1e-9
        names = [*POSITIONS, *(ANGLES if turned else ())]
        merged = merged.replace(row, **{key: getattr(source, key) for key in names})
    try:  # only a tree whose every number now agrees with the axes may stand for them
        same = all(_same(axes, name, axis) for name, axis in axes_of(merged).items())
    except GeometryError:
        same = False
    return merged if same else from_axes


def _same(axes: _Axes, name: str, axis: Axis) -> bool:
    present, expected = axes.transform(name), axis.frame
    if name == ROOT:  # its place is in the X and Y settings; z is the distance
        shift = [axes.setting(f"AXIS_D0_{along}")[1] * 1000 for along in "XY"]
        away = np.abs(present.origin_um[:2] + shift - expected.origin_um[:2]).max()
    else:
        away = np.abs(present.origin_um - expected.origin_um).max()
    turn = np.abs(present.rotation - expected.rotation).max()
    return bool(away < SAME_UM and turn * 1e5 < SAME_UM)
