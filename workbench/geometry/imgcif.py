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
from numpy.typing import NDArray

from workbench import detector
from workbench.errors import FileFormatError, GeometryError, WorkbenchError
from workbench.files import replacing
from workbench.geometry import cif
from workbench.geometry.ideal import RAIL_Z_UM
from workbench.geometry.slac import standard_layout
from workbench.geometry.tree import ANGLES, POSITIONS, Geometry, GeometryObject, Transform

OWN = "cspad_workbench"
PIXEL_MM = detector.PIXEL_SIZE_UM / 1000
ASIC_OFFSET_MM = 98.5 * PIXEL_MM  # regular ASIC grids, the wide columns at 219.84 µm from the seam
CORNER_MM = (-detector.ASIC_COLUMNS / 2 * PIXEL_MM, detector.ROWS / 2 * PIXEL_MM)
SAME_UM = 1e-4
"""Axes that agree within this with the SLAC text in the file are its axes."""


class GeometryWarning(UserWarning):
    """Something of a geometry could not be carried over."""


@dataclass(frozen=True)
class CbfGeometry:
    """Geometry and detector distance (mm; None: not in the file) of a CSPAD CBF."""

    geometry: Geometry
    distance_mm: float | None


# ---- writing -------------------------------------------------------------------------------------


def header_text(geometry: Geometry, distance_mm: float | None = None) -> tuple[str, str]:
    """CIF text of the detector tables, and of the workbench's own geometry table.

    Raises
    ------
    GeometryError
        If the geometry is not that of a full CSPAD.
    """
    if len(geometry.sensors) != detector.SENSORS:
        raise GeometryError(
            f"{geometry.source}: a CSPAD CBF holds 32 sensors, this has {len(geometry.sensors)}."
        )
    quadrants = range(detector.QUADRANTS)
    sensors = [(q, s) for q in quadrants for s in range(detector.SENSORS_PER_QUADRANT)]
    asics = [(q, s, a) for q, s in sensors for a in range(detector.ASICS_PER_SENSOR)]
    frames = _frames(geometry)
    shifts = list(frames)
    names = ["AXIS_D0_X", "AXIS_D0_Y", "AXIS_D0_Z", "AXIS_D0_R", *shifts]
    parts = [
        cif.item_text("diffrn", {"id": "DS1"}),
        cif.item_text(
            "diffrn_source",
            {"diffrn_id": "DS1", "source": "xfel", "type": "LCLS CXI Endstation"},
        ),
        cif.item_text(
            "diffrn_detector",
            {"diffrn_id": "DS1", "id": "CSPAD_FRONT", "type": "CS PAD", "details": ".",
             "number_of_axes": str(len(names))},
        ),
        cif.loop_text(
            "diffrn_detector_axis", ("detector_id", "axis_id"),
            [("CSPAD_FRONT", name) for name in names],
        ),
        cif.loop_text(
            "diffrn_detector_element", ("id", "detector_id"),
            [(f"ELE_D0Q{q}", "CSPAD_FRONT") for q in quadrants],
        ),
        cif.loop_text(
            "diffrn_data_frame", ("id", "detector_element_id", "array_id", "binary_id"),
            [("FRAME1", f"ELE_D0Q{q}", f"ARRAY_D0Q{q}", q + 1) for q in quadrants],
        ),
        *_array_tables(asics),
        *_axis_tables(frames, asics, distance_mm),
    ]  # fmt: skip
    lines = json.dumps(geometry.to_text().splitlines(keepends=True), separators=(",", ":"))
    own = {"geometry_source": json.dumps(geometry.source), "geometry": cif.fold(lines)}
    return "".join(parts), cif.item_text(OWN, own)


def write_header(
    geometry: Geometry,
    path: str | os.PathLike[str],
    *,
    distance_mm: float | None = None,
    overwrite: bool = True,
) -> None:
    """Write a header-only CSPAD CBF (what ``cxi.slaccalib2cbfheader`` makes)."""
    tables, own = header_text(geometry, distance_mm)
    text = f"###CBF: VERSION 1.7.11\n\ndata_cspad_geometry\n\n{tables}{own}"
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(text.replace("\n", "\r\n").encode("ascii"))


def _frames(geometry: Geometry) -> dict[str, Transform]:
    """Transform of each FS axis in its parent's frame (root: ``AXIS_D0_R`` in the lab), µm."""
    top = Transform(np.eye(3), np.zeros(3))
    if geometry.quadrants:
        quadrants = [geometry.transform(quadrant) for quadrant in geometry.quadrants]
        parents = {(one.parent, one.parent_index) for one in geometry.quadrants}
        above = geometry.parent(geometry.quadrants[0])
        root = geometry.transform(above) if above is not None and len(parents) == 1 else top
    else:  # flat tree: its quadrants are groups of eight sensors, in the frame of the detector
        above = geometry.parent(geometry.sensors[0])
        root = geometry.transform(above) if above is not None else top
        quadrants = [root] * detector.QUADRANTS
    frames = {"AXIS_D0_R": root}
    for q, quadrant in enumerate(quadrants):
        frames[f"FS_D0Q{q}"] = _relative(root, quadrant)
        for s in range(detector.SENSORS_PER_QUADRANT):
            sensor = geometry.sensors[q * detector.SENSORS_PER_QUADRANT + s]
            frames[f"FS_D0Q{q}S{s}"] = _relative(quadrant, geometry.transform(sensor))
            for a, side in enumerate((-1, 1)):
                offset = np.array([side * ASIC_OFFSET_MM * 1000, 0, 0])
                frames[f"FS_D0Q{q}S{s}A{a}"] = Transform(np.eye(3), offset)
    return frames


def _relative(parent: Transform, child: Transform) -> Transform:
    inverse = parent.rotation.T
    return Transform(inverse @ child.rotation, inverse @ (child.origin_um - parent.origin_um))


def _array_tables(asics: list[tuple[int, int, int]]) -> list[str]:
    rows, columns = detector.ROWS, detector.ASIC_COLUMNS
    structure: list[tuple[object, ...]] = []
    for q in range(detector.QUADRANTS):
        sizes = (detector.COLUMNS, rows, detector.SENSORS_PER_QUADRANT)
        for place, size in enumerate(sizes, start=1):
            structure.append((f"ARRAY_D0Q{q}", ".", place, size, place, "increasing", "."))
    sections: list[tuple[object, ...]] = []
    steps: list[tuple[object, ...]] = []
    for q, s, a in asics:
        array, name = f"ARRAY_D0Q{q}", f"D0Q{q}S{s}A{a}"
        for place, (size, axis) in enumerate(((columns, "F"), (rows, "S")), start=1):
            axis_set = f"AXIS_{name}_{axis}"
            structure.append((array, f"ARRAY_{name}", place, size, place, "increasing", axis_set))
            steps.append((axis_set, axis_set, "0.0", f"{PIXEL_MM:.6f}"))
        first = a * columns + 1
        sections.append((array, f"ARRAY_{name}", 1, first, first + columns - 1))
        sections.append((array, f"ARRAY_{name}", 2, 1, rows))
        sections.append((array, f"ARRAY_{name}", 3, s + 1, s + 1))
    return [
        cif.loop_text(
            "array_structure_list",
            ("array_id", "array_section_id", "index", "dimension", "precedence", "direction",
             "axis_set_id"),
            structure,
        ),
        cif.loop_text(
            "array_structure_list_section", ("array_id", "id", "index", "start", "end"), sections
        ),
        cif.loop_text(
            "array_structure_list_axis",
            ("axis_set_id", "axis_id", "displacement", "displacement_increment"),
            steps,
        ),
    ]  # fmt: skip


def _axis_tables(
    frames: dict[str, Transform], asics: list[tuple[int, int, int]], distance_mm: float | None
) -> list[str]:
    root = frames["AXIS_D0_R"]
    place = {"X": root.origin_um[0] / 1000, "Y": root.origin_um[1] / 1000, "Z": -(distance_mm or 0)}
    axes: list[tuple[object, ...]] = [
        ("AXIS_SOURCE", "general", "source", ".", 0, 0, 1, *"...."),
        ("AXIS_GRAVITY", "general", "gravity", ".", 0, -1, 0, *"...."),
    ]
    settings: list[tuple[str, float, float]] = [("AXIS_SOURCE", 0, 0), ("AXIS_GRAVITY", 0, 0)]
    for name, below, vector in (
        ("Z", ".", (0, 0, 1)), ("Y", "AXIS_D0_Z", (0, 1, 0)), ("X", "AXIS_D0_Y", (1, 0, 0)),
    ):  # fmt: skip
        axes.append((f"AXIS_D0_{name}", "translation", "detector", below, *vector, *"...",
                     "detector_arm"))  # fmt: skip
        settings.append((f"AXIS_D0_{name}", 0, place[name]))
    components = {4: "detector_quadrant", 6: "detector_sensor", 8: "detector_asic"}
    for name, frame in frames.items():
        if name == "AXIS_D0_R":
            component, below, shift = "detector_arm", "AXIS_D0_X", np.zeros(3)
        else:
            short = name.removeprefix("FS_")
            component = components[len(short)]
            below = "AXIS_D0_R" if len(short) == 4 else f"FS_{short[:-2]}"
            shift = frame.origin_um / 1000
        turn, angle = axis_and_angle(frame.rotation)
        axes.append((name, "rotation", "detector", below, *map(_number, turn),
                     *map(_number, shift), component))  # fmt: skip
        settings.append((name, angle, 0))
    for q, s, a in asics:
        name = f"D0Q{q}S{s}A{a}"
        slow, fast = f"AXIS_{name}_S", f"AXIS_{name}_F"
        axes.append((slow, "translation", "detector", f"FS_{name}", 0, -1, 0,
                     *map(_number, CORNER_MM), "0.0", "detector_asic"))  # fmt: skip
        axes.append((fast, "translation", "detector", slow, 1, 0, 0, 0, 0, "0.0", "detector_asic"))
        settings += [(slow, 0, 0), (fast, 0, 0)]
    return [
        cif.loop_text(
            "axis",
            ("id", "type", "equipment", "depends_on", *(f"vector[{i}]" for i in (1, 2, 3)),
             *(f"offset[{i}]" for i in (1, 2, 3)), "equipment_component"),
            axes,
        ),
        cif.loop_text(
            "diffrn_scan_axis",
            ("axis_id", "scan_id", "angle_start", "angle_range", "angle_increment",
             "displacement_start", "displacement_range", "displacement_increment"),
            [(name, "SCAN1", _number(angle), 0, 0, _number(shift), 0, 0)
             for name, angle, shift in settings],
        ),
        cif.loop_text(
            "diffrn_scan_frame_axis", ("axis_id", "frame_id", "angle", "displacement"),
            [(name, "FRAME1", _number(angle), _number(shift)) for name, angle, shift in settings],
        ),
    ]  # fmt: skip


def _number(value: float) -> str:
    return repr(float(value) + 0.0)


# ---- reading -------------------------------------------------------------------------------------


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
    return CbfGeometry(geometry, -z if z else None)


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
            objects.append(_object(axes.transform(sensor), "QUAD:V1", q, "SENS2X1:V1", s))
    if worst[0] > 0.01:
        warnings.warn(
            f"{name}: ASICs are moved on their own (by up to {worst[0]:.2f} µm, {worst[1]}); "
            "sensor geometry has no place for that, it was left out.",
            GeometryWarning,
            stacklevel=2,
        )
    for q in range(detector.QUADRANTS):
        objects.append(_object(axes.transform(f"FS_D0Q{q}"), "CSPAD:V1", 0, "QUAD:V1", q))
    root = axes.transform("AXIS_D0_R")
    x, y = (axes.setting(f"AXIS_D0_{axis}")[1] * 1000 for axis in "XY")
    origin = np.array([root.origin_um[0] + x, root.origin_um[1] + y, RAIL_Z_UM])
    objects.append(_object(Transform(root.rotation, origin), "RAIL", 0, "CSPAD:V1", 0))
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


def _object(
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
    expected = _frames(carried)
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
        same = all(_same(axes, name, frame) for name, frame in _frames(merged).items())
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


# ---- rotations -----------------------------------------------------------------------------------


def axis_and_angle(rotation: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Unit axis and angle (degrees, 0 to 180) of a rotation matrix; axis z for no rotation."""
    from scipy.spatial.transform import Rotation

    vector = Rotation.from_matrix(rotation).as_rotvec()
    angle = float(np.linalg.norm(vector))
    if angle < 1e-14:
        return np.array([0.0, 0.0, 1.0]), 0.0
    return vector / angle, math.degrees(angle)


def about_axis(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rotation matrix for `angle` degrees about the unit vector `axis` (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    radians = math.radians(angle)
    return np.eye(3) + math.sin(radians) * cross + (1 - math.cos(radians)) * (cross @ cross)


def angles_deg(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Angles (x, y, z), degrees, for which ``Rx · Ry · Rz`` is the rotation."""
    y = math.asin(max(-1.0, min(1.0, rotation[0, 2])))
    if abs(rotation[0, 2]) < 1 - 1e-12:
        x = math.atan2(-rotation[1, 2], rotation[2, 2])
        z = math.atan2(-rotation[0, 1], rotation[0, 0])
    else:  # x and z turn about the same axis: all of it is z
        x, z = 0.0, math.atan2(rotation[1, 0], rotation[1, 1])
    return math.degrees(x), math.degrees(y), math.degrees(z)
