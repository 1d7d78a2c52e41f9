"""The detector tables of a CSPAD CBF header, written from a geometry (see `imgcif`)."""

from __future__ import annotations

import json
import os

import numpy as np

from workbench import detector
from workbench.errors import GeometryError
from workbench.files import replacing
from workbench.geometry import cif
from workbench.geometry.objects import Transform
from workbench.geometry.rotations import axis_and_angle
from workbench.geometry.tree import Geometry

OWN = "cspad_workbench"
PIXEL_MM = detector.PIXEL_SIZE_UM / 1000
ASIC_OFFSET_MM = 98.5 * PIXEL_MM  # regular ASIC grids, the wide columns at 219.84 µm from the seam
CORNER_MM = (-detector.ASIC_COLUMNS / 2 * PIXEL_MM, detector.ROWS / 2 * PIXEL_MM)


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
    frames = axis_frames(geometry)
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


def axis_frames(geometry: Geometry) -> dict[str, Transform]:
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
        frames[f"FS_D0Q{q}"] = relative(root, quadrant)
        for s in range(detector.SENSORS_PER_QUADRANT):
            sensor = geometry.sensors[q * detector.SENSORS_PER_QUADRANT + s]
            frames[f"FS_D0Q{q}S{s}"] = relative(quadrant, geometry.transform(sensor))
            for a, side in enumerate((-1, 1)):
                offset = np.array([side * ASIC_OFFSET_MM * 1000, 0, 0])
                frames[f"FS_D0Q{q}S{s}A{a}"] = Transform(np.eye(3), offset)
    return frames


def relative(parent: Transform, child: Transform) -> Transform:
    """Place of `child` in the frame of `parent`."""
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
