"""Geometry for DIALS: an experiment list (``.expt``) with the detector, and the beam if known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from workbench.files import replacing
from workbench.geometry.formats.imgcif_header import ROOT, Axis, array_name, asic_corner_mm, axes_of
from workbench.geometry.objects import Transform
from workbench.geometry.registry import WriteOptions
from workbench.geometry.tree import Geometry

TRUSTED_RANGE = [-400.0, 90000.0]


def write_expt(geometry: Geometry, path: Path, options: WriteOptions) -> None:
    """Write a DIALS experiment list (JSON)."""
    models = expt_models(geometry, options.distance_mm, options.wavelength_angstrom)
    with replacing(path, overwrite=options.overwrite) as temporary:
        temporary.write_text(json.dumps(models, indent=1), encoding="utf-8")


def expt_models(
    geometry: Geometry, distance_mm: float | None, wavelength_angstrom: float | None
) -> dict[str, Any]:
    """Experiment list as plain dictionaries (keys: dxtbx ``Detector.to_dict``, 3.12)."""
    axes = axes_of(geometry)
    panels: list[dict[str, Any]] = []

    def below(parent: str) -> list[dict[str, Any]]:
        children = []
        for name, axis in axes.items():
            if axis.depends_on == parent and axis.component != "detector_asic":
                children.append(_node(name, axis.frame) | {"children": below(name)})
            elif axis.depends_on == parent:
                children.append({"panel": len(panels)})
                panels.append(_panel(geometry, name, axis))
        return children

    root = axes[ROOT].frame
    place = np.array([root.origin_um[0], root.origin_um[1], -1000 * (distance_mm or 0)])
    hierarchy = _node(ROOT, Transform(root.rotation, place)) | {"children": below(ROOT)}
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


def _panel(geometry: Geometry, name: str, axis: Axis) -> dict[str, Any]:
    rows, columns = geometry.detector.asic_shape
    pixel_mm = geometry.detector.pixel_um / 1000
    corner = axis.frame.origin_um / 1000 + np.array([*asic_corner_mm(geometry.detector), 0.0])
    array = array_name(name.removeprefix("FS_D0"))
    return _frame(array, (1, 0, 0), (0, -1, 0), corner) | {
        "image_size": [columns, rows],
        "pixel_size": [pixel_mm, pixel_mm],
        "trusted_range": TRUSTED_RANGE,
    }


def _node(name: str, frame: Transform) -> dict[str, Any]:
    return _frame(name, frame.rotation[:, 0], frame.rotation[:, 1], frame.origin_um / 1000)


def _frame(
    name: str, fast: Iterable[float], slow: Iterable[float], origin: Iterable[float]
) -> dict[str, Any]:
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
