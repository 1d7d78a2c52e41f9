"""Geometry for pyFAI (NeXus detector in HDF5) and for DIALS (``.expt``); these are written only."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench import detector
from workbench.errors import GeometryError
from workbench.files import replacing
from workbench.geometry.imgcif_header import CORNER_MM, PIXEL_MM, axis_frames
from workbench.geometry.objects import Transform
from workbench.geometry.tree import Geometry

PYFAI_AXES = np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]])
"""Rows: pyFAI's z (along the beam), y (up) and x of a psana vector."""


def pixel_corners_m(geometry: Geometry) -> NDArray[np.float32]:
    """Corners of each pixel as pyFAI wants them: ``(5920, 388, 4, 3)`` float32, (z, y, x) in m.

    The wide pixels have their true outlines. The origin is where the beam meets the plane z = 0
    of the detector, so the point of normal incidence is (0, 0) and the distance that of the beam.
    """
    edges = np.concatenate(
        [
            -detector.WIDE_PIXEL_SIZE_UM
            - detector.PIXEL_SIZE_UM * np.arange(detector.ASIC_COLUMNS - 1, -1, -1),
            [0.0],
            detector.WIDE_PIXEL_SIZE_UM + detector.PIXEL_SIZE_UM * np.arange(detector.ASIC_COLUMNS),
        ]
    )
    rows = detector.PIXEL_SIZE_UM * (detector.ROWS / 2 - np.arange(detector.ROWS + 1))
    depth = geometry.transform(geometry.sensors[0]).origin_um[2]
    above = geometry.parent(geometry.quadrants[0] if geometry.quadrants else geometry.sensors[0])
    if above is not None:
        depth = geometry.transform(above).origin_um[2]
    corners = np.empty((len(geometry.sensors), detector.ROWS, detector.COLUMNS, 4, 3), np.float32)
    for place, sensor in enumerate(geometry.sensors):
        rotation, origin = geometry.transform(sensor)
        turned = PYFAI_AXES @ rotation
        shift = PYFAI_AXES @ (origin - [0, 0, depth])
        grid = edges[None, :, None] * turned[:, 0] + rows[:, None, None] * turned[:, 1] + shift
        grid *= 1e-6
        for corner, (down, right) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
            corners[place, :, :, corner] = grid[
                down : down + detector.ROWS, right : right + detector.COLUMNS
            ]
    return corners.reshape(-1, detector.COLUMNS, 4, 3)


def write_pyfai(
    geometry: Geometry, path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """Write a detector file for pyFAI, for images of 5920 × 388 pixels (HDF5, NeXus)."""
    import h5py

    corners = pixel_corners_m(geometry)
    with replacing(path, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        entry = _group(file, "entry_0000", "NXentry")
        entry["start_time"] = datetime.now(UTC).isoformat(timespec="seconds")
        entry["program_name"] = "cspad-workbench"
        entry["title"] = "CSPAD geometry"
        pyfai = _group(entry, "pyFAI", "NXsubentry")
        pyfai["definition_local"] = "pyFAI"
        group = _group(pyfai, "CSPAD", "NXdetector")
        group["API_VERSION"] = np.bytes_("1.1")
        group["IS_FLAT"] = False
        group["IS_CONTIGUOUS"] = False
        group["CORNERS"] = 4
        size = detector.PIXEL_SIZE_UM * 1e-6
        group["pixel_size"] = np.array([size, size])
        group["force_pixel"] = True
        for name in ("max_shape", "shape"):
            group[name] = np.array(corners.shape[:2], np.int32)
        group["binning"] = np.array([1, 1], np.int32)
        group["orientation"] = np.int32(3)
        data = group.create_dataset(
            "pixel_corners", data=corners, compression="gzip", compression_opts=1, shuffle=True,
            chunks=(detector.ROWS, detector.COLUMNS, 4, 3),
        )  # fmt: skip
        data.attrs["interpretation"] = "vertex"
        group["geometry_slac"] = geometry.to_text().encode("utf-8", "replace")


def _group(parent: Any, name: str, kind: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def write_expt(
    geometry: Geometry,
    path: str | os.PathLike[str],
    *,
    distance_mm: float | None = None,
    wavelength_angstrom: float | None = None,
    overwrite: bool = True,
) -> None:
    """Write a DIALS experiment list (JSON) with the detector, and the beam if it is known."""
    models = expt_models(geometry, distance_mm, wavelength_angstrom)
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(models, indent=1), encoding="utf-8")


def expt_models(
    geometry: Geometry, distance_mm: float | None, wavelength_angstrom: float | None
) -> dict[str, Any]:
    """Experiment list as plain dictionaries (keys: dxtbx ``Detector.to_dict``, 3.12)."""
    if len(geometry.sensors) != detector.SENSORS:
        raise GeometryError(f"{geometry.source}: only the full CSPAD is written for DIALS.")
    frames = axis_frames(geometry)
    root = frames["AXIS_D0_R"]
    place = np.array([root.origin_um[0], root.origin_um[1], -1000 * (distance_mm or 0)])
    panels, quadrants = [], []
    for q in range(detector.QUADRANTS):
        sensors = []
        for s in range(detector.SENSORS_PER_QUADRANT):
            name = f"FS_D0Q{q}S{s}"
            children = []
            for a in range(detector.ASICS_PER_SENSOR):
                asic = frames[f"{name}A{a}"]
                corner = asic.origin_um / 1000 + np.array([*CORNER_MM, 0.0])
                panels.append(
                    _frame(detector.asic_name(q, s, a), (1, 0, 0), (0, -1, 0), corner)
                    | {
                        "image_size": [detector.ASIC_COLUMNS, detector.ROWS],
                        "pixel_size": [PIXEL_MM, PIXEL_MM],
                        "trusted_range": [-400.0, 90000.0],
                    }
                )
                children.append({"panel": len(panels) - 1})
            sensors.append(_node(name, frames[name]) | {"children": children})
        name = f"FS_D0Q{q}"
        quadrants.append(_node(name, frames[name]) | {"children": sensors})
    hierarchy = _node("AXIS_D0_R", Transform(root.rotation, place)) | {"children": quadrants}
    experiment: dict[str, Any] = {"__id__": "Experiment", "identifier": "", "detector": 0}
    beams: list[dict[str, Any]] = []
    if wavelength_angstrom is not None:
        experiment["beam"] = 0
        beams.append(
            {
                "direction": [0.0, 0.0, 1.0], "wavelength": wavelength_angstrom,
                "divergence": 0.0, "sigma_divergence": 0.0,
                "polarization_normal": [0.0, 1.0, 0.0], "polarization_fraction": 0.999,
                "flux": 0.0, "transmission": 1.0,
            }
        )  # fmt: skip
    return {
        "__id__": "ExperimentList", "experiment": [experiment], "imageset": [], "beam": beams,
        "detector": [{"panels": panels, "hierarchy": hierarchy}], "goniometer": [], "scan": [],
        "crystal": [], "profile": [], "scaling_model": [],
    }  # fmt: skip


def _node(name: str, frame: Transform) -> dict[str, Any]:
    return _frame(name, frame.rotation[:, 0], frame.rotation[:, 1], frame.origin_um / 1000)


def _frame(name: str, fast: Any, slow: Any, origin: Any) -> dict[str, Any]:
    return {
        "name": name, "type": "",
        "fast_axis": [float(value) for value in fast],
        "slow_axis": [float(value) for value in slow],
        "origin": [float(value) for value in origin],
        "raw_image_offset": [0, 0], "image_size": [0, 0], "pixel_size": [0.0, 0.0],
        "trusted_range": [0.0, 0.0], "thickness": 0.0, "material": "", "mu": 0.0,
        "identifier": "", "mask": [], "gain": 1.0, "pedestal": 0.0,
        "px_mm_strategy": {"type": "SimplePxMmStrategy"},
    }  # fmt: skip
