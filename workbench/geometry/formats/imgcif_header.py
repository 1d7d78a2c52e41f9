"""The detector tables of a CBF header, written from a geometry (see `imgcif`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.detectors import DETECTORS, Detector
from workbench.errors import GeometryError
from workbench.files import replacing
from workbench.geometry.formats import cif
from workbench.geometry.objects import TOP_FRAME, GeometryObject, Transform
from workbench.geometry.registry import WriteOptions
from workbench.geometry.rotations import axis_and_angle
from workbench.geometry.tree import Geometry

OWN = "cspad_workbench"
TYPES: dict[str, Detector] = {
    detector.cbf_type: detector for detector in DETECTORS if detector.cbf_type is not None
}
"""Detectors by the type that stands in a header; a CSPAD's is that of cctbx.xfel and dxtbx.

No CBF is made of any other detector.
"""
ROOT = "AXIS_D0_R"


class Axis(NamedTuple):
    """One rotation axis of a header.

    Attributes
    ----------
    frame : what it places (root, group, module or ASIC) in its parent's frame, µm.
    depends_on : the axis it hangs on.
    component : ``detector_arm``, ``detector_quadrant``, ``detector_sensor``, ``detector_asic``.
    row : the object of the geometry that it stands for, if there is one.
    """

    frame: Transform
    depends_on: str
    component: str
    row: GeometryObject | None = None


def header_text(geometry: Geometry, distance_mm: float | None = None) -> tuple[str, str]:
    """CIF text of the detector tables, and of the workbench's own geometry table.

    Raises
    ------
    GeometryError
        If there is no such header for the geometry's detector.
    """
    detector = geometry.detector
    kind = next((kind for kind, cbf_detector in TYPES.items() if cbf_detector is detector), None)
    if kind is None:
        cbf_detector = ", ".join(cbf_detector.name for cbf_detector in TYPES.values())
        raise GeometryError(
            f"{geometry.source}: a CBF file holds a whole detector ({cbf_detector}), this is "
            f"{detector.a_name}."
        )
    axes = axes_of(geometry)
    names = ["AXIS_D0_X", "AXIS_D0_Y", "AXIS_D0_Z", ROOT, *axes]
    parts = [
        cif.item_text("diffrn", {"id": "DS1"}),
        cif.item_text(
            "diffrn_source",
            {"diffrn_id": "DS1", "source": "xfel", "type": "LCLS CXI Endstation"},
        ),
        cif.item_text(
            "diffrn_detector",
            {"diffrn_id": "DS1", "id": "CSPAD_FRONT", "type": kind, "details": ".",
             "number_of_axes": str(len(names))},
        ),
        cif.loop_text(
            "diffrn_detector_axis", ("detector_id", "axis_id"),
            [("CSPAD_FRONT", name) for name in names],
        ),
        cif.loop_text(
            "diffrn_detector_element", ("id", "detector_id"),
            [(f"ELE_D0{group.name}", "CSPAD_FRONT") for group in detector.groups],
        ),
        cif.loop_text(
            "diffrn_data_frame", ("id", "detector_element_id", "array_id", "binary_id"),
            [("FRAME1", f"ELE_D0{group.name}", array_name(group.name), place)
             for place, group in enumerate(detector.groups, start=1)],
        ),
        *_array_tables(detector),
        *_axis_tables(detector, axes, distance_mm),
    ]  # fmt: skip
    lines = json.dumps(geometry.to_text().splitlines(keepends=True), separators=(",", ":"))
    own = {"geometry_source": json.dumps(geometry.source), "geometry": cif.fold(lines)}
    return "".join(parts), cif.item_text(OWN, own)


def write_header(geometry: Geometry, path: Path, options: WriteOptions) -> None:
    """Write a header-only CSPAD CBF (what ``cxi.slaccalib2cbfheader`` makes)."""
    tables, own = header_text(geometry, options.distance_mm)
    text = f"###CBF: VERSION 1.7.11\n\ndata_cspad_geometry\n\n{tables}{own}"
    with replacing(path, overwrite=options.overwrite) as temporary:
        temporary.write_bytes(text.replace("\n", "\r\n").encode("ascii"))


def array_name(panel: str) -> str:
    """Name of the pixel array of a group (``Q0``) or an ASIC (``Q0S0A0``)."""
    return f"ARRAY_D0{panel}"


def axes_of(geometry: Geometry) -> dict[str, Axis]:
    """Rotation axes of a geometry: root, then each group with its modules and their ASICs.

    The root's frame is the lab. In a flat tree the groups stand where the detector does.
    """
    detector, groups = geometry.detector, geometry.quadrants
    parents = {row.parent_name for row in groups or geometry.modules}
    root = geometry.base if len(parents) == 1 else TOP_FRAME
    axes = {ROOT: Axis(root, "AXIS_D0_X", "detector_arm")}
    pixel_mm = detector.pixel_um / 1000
    for place, group in enumerate(detector.groups):
        row = groups[place] if groups else None
        above = root if row is None else geometry.transform(row)
        name = f"FS_D0{group.name}"
        axes[name] = Axis(above.relative_to(root), ROOT, "detector_quadrant", row)
        for module in group.modules:
            row = geometry.modules[module]
            frame = geometry.transform(row).relative_to(above)
            own = f"FS_D0{detector.module_name(module)}"
            axes[own] = Axis(frame, name, "detector_sensor", row)
            for asic in range(detector.asics_per_module):
                centre_mm = [along * pixel_mm for along in detector.asic_centre_px(asic)]
                frame = Transform(np.eye(3), np.array([*centre_mm, 0.0]) * 1000)
                axes[f"{own}A{asic}"] = Axis(frame, own, "detector_asic")
    return axes


def asic_corner_mm(detector: Detector) -> tuple[float, float]:
    """Corner of an ASIC where its first pixel is, in the ASIC's own frame."""
    rows, columns = detector.asic_shape
    pixel_mm = detector.pixel_um / 1000
    return -columns / 2 * pixel_mm, rows / 2 * pixel_mm


def _array_tables(detector: Detector) -> list[str]:
    rows, columns = detector.asic_shape
    structure: list[tuple[object, ...]] = []
    for group in detector.groups:
        sizes = (detector.columns, detector.rows, len(group.modules))
        for place, size in enumerate(sizes, start=1):
            structure.append((array_name(group.name), ".", place, size, place, "increasing", "."))
    sections: list[tuple[object, ...]] = []
    steps: list[tuple[object, ...]] = []
    for name in detector.asic_names():
        part = detector.part(name)
        group = next(g for g in detector.groups if part.modules.start in g.modules)
        array = array_name(group.name)
        for place, (size, axis) in enumerate(((columns, "F"), (rows, "S")), start=1):
            axis_set = f"AXIS_D0{name}_{axis}"
            structure.append((array, array_name(name), place, size, place, "increasing", axis_set))
            steps.append((axis_set, axis_set, "0.0", f"{detector.pixel_um / 1000:.6f}"))
        in_group = part.modules.start - group.modules.start
        ends = (part.columns, part.rows, slice(in_group, in_group + 1))
        for place, end in enumerate(ends, start=1):
            sections.append((array, array_name(name), place, end.start + 1, end.stop))
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
    detector: Detector, axes: Mapping[str, Axis], distance_mm: float | None
) -> list[str]:
    origin = axes[ROOT].frame.origin_um
    place = {"X": origin[0] / 1000, "Y": origin[1] / 1000, "Z": -(distance_mm or 0)}
    rows: list[tuple[object, ...]] = [
        ("AXIS_SOURCE", "general", "source", ".", 0, 0, 1, *"...."),
        ("AXIS_GRAVITY", "general", "gravity", ".", 0, -1, 0, *"...."),
    ]
    settings: list[tuple[str, float, float]] = [("AXIS_SOURCE", 0, 0), ("AXIS_GRAVITY", 0, 0)]
    for name, below, vector in (
        ("Z", ".", (0, 0, 1)), ("Y", "AXIS_D0_Z", (0, 1, 0)), ("X", "AXIS_D0_Y", (1, 0, 0)),
    ):  # fmt: skip
        rows.append((f"AXIS_D0_{name}", "translation", "detector", below, *vector, *"...",
                     "detector_arm"))  # fmt: skip
        settings.append((f"AXIS_D0_{name}", 0, place[name]))
    for name, axis in axes.items():
        shift = np.zeros(3) if name == ROOT else axis.frame.origin_um / 1000
        turn, angle = axis_and_angle(axis.frame.rotation)
        rows.append((name, "rotation", "detector", axis.depends_on, *map(_number, turn),
                     *map(_number, shift), axis.component))  # fmt: skip
        settings.append((name, angle, 0))
    corner = [_number(along) for along in asic_corner_mm(detector)]
    for name in detector.asic_names():
        slow, fast = f"AXIS_D0{name}_S", f"AXIS_D0{name}_F"
        rows.append((slow, "translation", "detector", f"FS_D0{name}", 0, -1, 0, *corner, "0.0",
                     "detector_asic"))  # fmt: skip
        rows.append((fast, "translation", "detector", slow, 1, 0, 0, 0, 0, "0.0", "detector_asic"))
        settings += [(slow, 0, 0), (fast, 0, 0)]
    return [
        cif.loop_text(
            "axis",
            ("id", "type", "equipment", "depends_on", *(f"vector[{i}]" for i in (1, 2, 3)),
             *(f"offset[{i}]" for i in (1, 2, 3)), "equipment_component"),
            rows,
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
