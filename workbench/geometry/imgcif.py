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

import json
import math
import os
import re
import warnings
from dataclasses import dataclass

import numpy as np

from workbench import detector
from workbench.errors import FileFormatError, GeometryError, WorkbenchError
from workbench.geometry import cif
from workbench.geometry.fit import placed_object
from workbench.geometry.ideal import RAIL_Z_UM
from workbench.geometry.imgcif_header import ASIC_OFFSET_MM, OWN, axis_frames
from workbench.geometry.objects import ANGLES, POSITIONS, GeometryObject, Transform
from workbench.geometry.rotations import about_axis
from workbench.geometry.slac import standard_layout
from workbench.geometry.tree import Geometry

SAME_UM = 1e-4
"""Axes that agree within this with the SLAC text in the file are its axes."""


class GeometryWarning(UserWarning):
    """Something of a geometry could not be carried over."""


@dataclass(frozen=True)
class CbfGeometry:
    """Geometry, detector distance and wavelength of a CSPAD CBF (None: not in the file)."""

    geometry: Geometry
    distance_mm: float | None
    wavelength_angstrom: float | None = None


def is_cspad(cbf: cif.CbfFile) -> bool:
    """True if the detector of the file is a CSPAD."""
    return cbf.table("diffrn_detector").columns.get("type") == ["CS PAD"]


def require_cspad(cbf: cif.CbfFile) -> None:
    """Refuse a CBF of another detector, in one line that says which.

    Raises
    ------
    FileFormatError
        If the detector is not one full CSPAD.
    """
    if is_cspad(cbf):
        return
    table = cbf.table("diffrn_detector")
    kind = table.value("type", "") or "an unnamed detector"
    panels = max(len(cbf.table("diffrn_detector_element")), 1)
    raise FileFormatError(
        cbf.name,
        f"expected a CSPAD, this is an image of {kind} ({panels} panel{'s' * (panels > 1)}).",
        hint="The workbench handles CSPAD images of 64 ASICs only.",
    )


def read_geometry(path: str | os.PathLike[str]) -> CbfGeometry:
    """Geometry and distance of a CSPAD CBF, with or without pixel data."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise FileFormatError(path, f"cannot read this CBF ({error.strerror}).") from error
    return geometry_of(cif.parse_cbf(content, os.fspath(path)))


def geometry_of(cbf: cif.CbfFile) -> CbfGeometry:
    """Geometry and distance from the tables of a CSPAD CBF.

    Raises
    ------
    FileFormatError
        If axes are missing or are not numbers.
    """
    require_cspad(cbf)
    axes = _Axes(cbf)
    z = axes.setting("AXIS_D0_Z")[1]
    from_axes = _tree_from_axes(axes, cbf.name)
    carried = _carried_tree(cbf)
    geometry = from_axes if carried is None else _merged(carried, from_axes, axes)
    return CbfGeometry(geometry, -z if z else None, wavelength_of(cbf))


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
            shown = text[:40].encode("ascii", "replace").decode()
            raise FileFormatError(self.name, f"axis {axis}: expected a number, found {shown!r}.")
        return value


def _tree_from_axes(axes: _Axes, name: str) -> Geometry:
    objects, worst = [], (0.0, "")
    for q in range(detector.QUADRANTS):
        for s in range(detector.SENSORS_PER_QUADRANT):
            sensor = f"FS_D0Q{q}S{s}"
            own = max(_asic_deviation_um(axes, f"{sensor}A{a}", a) for a in (0, 1))
            worst = max(worst, (own, f"quadrant {q} sensor {s}"))
            objects.append(placed_object(axes.transform(sensor), "QUAD:V1", q, "SENS2X1:V1", s))
    if worst[0] > 0.01:
        warnings.warn(
            f"{name}: ASICs are moved on their own (by up to {worst[0]:.2f} µm, {worst[1]}); "
            "sensor geometry has no place for that, it was left out.",
            GeometryWarning,
            stacklevel=2,
        )
    for q in range(detector.QUADRANTS):
        objects.append(placed_object(axes.transform(f"FS_D0Q{q}"), "CSPAD:V1", 0, "QUAD:V1", q))
    root = axes.transform("AXIS_D0_R")
    x, y = (axes.setting(f"AXIS_D0_{axis}")[1] * 1000 for axis in "XY")
    origin = np.array([root.origin_um[0] + x, root.origin_um[1] + y, RAIL_Z_UM])
    objects.append(placed_object(Transform(root.rotation, origin), "RAIL", 0, "CSPAD:V1", 0))
    objects.append(GeometryObject("IP", 0, "RAIL", 0))
    rows = tuple(objects)
    from_file = os.path.basename(name)
    return Geometry(rows, standard_layout(rows, [f"from the header of {from_file}"]), name)


def _asic_deviation_um(axes: _Axes, axis: str, side: int) -> float:
    """How far the corners of an ASIC are from where the sensor's layout puts them, µm."""
    frame = axes.transform(axis)
    corners = np.array([[x, y, 0] for x in (-1, 1) for y in (-1, 1)]) * [10662, 10168, 0]
    ideal = corners + np.array([(-1, 1)[side] * ASIC_OFFSET_MM * 1000, 0, 0])
    return float(np.abs(corners @ frame.rotation.T + frame.origin_um - ideal).max())


def _carried_tree(cbf: cif.CbfFile) -> Geometry | None:
    """Tree from the SLAC text in the file's own table; None where there is none (or it is odd)."""
    own = cbf.table(OWN)
    text = own.value("geometry", "")
    if not text:
        return None
    try:
        lines = json.loads(cif.unfold(text))
        source = json.loads(own.value("geometry_source", '"geometry"'))
        return Geometry.parse("".join(lines), str(source))
    except (ValueError, TypeError, WorkbenchError):
        return None


def _merged(carried: Geometry, from_axes: Geometry, axes: _Axes) -> Geometry:
    """Tree carried along, with the objects that were moved since taken from the axes."""
    if len(carried.sensors) != detector.SENSORS:
        return from_axes
    expected = axis_frames(carried)
    moved = {
        name
        for name, frame in expected.items()
        if not re.fullmatch(r"FS_D0Q\dS\dA\d", name) and not _same(axes, name, frame)
    }
    if not moved:
        return carried
    if not carried.quadrants:
        return from_axes
    merged = carried
    for name in moved:
        digits = [int(digit) for digit in re.findall(r"\d", name.removeprefix("FS_D0"))]
        if name == "AXIS_D0_R" or len(digits) > 2:
            return from_axes
        quadrant = carried.quadrants[digits[0]]
        one = quadrant if len(digits) == 1 else carried.children(quadrant)[digits[1]]
        source = from_axes.find(
            ("CSPAD:V1", 0, "QUAD:V1", digits[0])
            if len(digits) == 1
            else ("QUAD:V1", digits[0], "SENS2X1:V1", digits[1])
        )
        turned = np.abs(source.rotation - one.rotation).max() > 1e-9
        names = [*POSITIONS, *(ANGLES if turned else ())]
        merged = merged.replace(one, **{key: getattr(source, key) for key in names})
    try:  # only a tree whose every number now agrees with the axes may stand for them
        same = all(_same(axes, name, frame) for name, frame in axis_frames(merged).items())
    except GeometryError:
        same = False
    return merged if same else from_axes


def _same(axes: _Axes, name: str, frame: Transform) -> bool:
    found = axes.transform(name)
    origin = frame.origin_um
    if name == "AXIS_D0_R":  # its place is in the X and Y settings; z is the distance
        shift = [axes.setting(f"AXIS_D0_{axis}")[1] * 1000 for axis in "XY"]
        close = np.abs(found.origin_um[:2] + shift - origin[:2]).max() < SAME_UM
    else:
        close = np.abs(found.origin_um - origin).max() < SAME_UM
    return bool(close and np.abs(found.rotation - frame.rotation).max() * 1e5 < SAME_UM)
