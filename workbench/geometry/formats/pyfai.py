"""Geometry for pyFAI: a NeXus detector in HDF5, for images of all modules below one another."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.geometry.registry import WriteOptions
from workbench.geometry.tree import Geometry
from workbench.hdf5 import replacing_hdf5

if TYPE_CHECKING:
    import h5py

PYFAI_AXES = np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]])
"""Rows: pyFAI's z (along the beam), y (up) and x of a psana vector."""


def pixel_corners_m(geometry: Geometry) -> NDArray[np.float32]:
    """Corners of each pixel as pyFAI wants them: (z, y, x) in m.

    The wide pixels have their true outlines. The origin is where the beam meets the plane z = 0
    of the detector, so the point of normal incidence is (0, 0) and the distance that of the beam.

    Returns
    -------
    float32 ``(modules · rows, columns, 4, 3)``.
    """
    detector = geometry.detector
    columns, rows = detector.module_edges_um()
    depth = geometry.base.origin_um[2]
    corners = np.empty((*detector.shape, 4, 3), np.float32)
    for place, module in enumerate(geometry.modules):
        rotation, origin = geometry.transform(module)
        turned = PYFAI_AXES @ rotation
        shift = PYFAI_AXES @ (origin - [0, 0, depth])
        grid = columns[None, :, None] * turned[:, 0] + rows[:, None, None] * turned[:, 1] + shift
        grid *= 1e-6
        for corner, (down, right) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
            corners[place, :, :, corner] = grid[
                down : down + detector.rows, right : right + detector.columns
            ]
    return corners.reshape(-1, detector.columns, 4, 3)


def write_pyfai(geometry: Geometry, path: Path, options: WriteOptions) -> None:
    """Write a detector file for pyFAI (HDF5, NeXus)."""
    detector = geometry.detector
    corners = pixel_corners_m(geometry)
    with replacing_hdf5(path, overwrite=options.overwrite) as file:
        entry = _group(file, "entry_0000", "NXentry")
        entry["start_time"] = datetime.now(UTC).isoformat(timespec="seconds")
        entry["program_name"] = "cspad-workbench"
        entry["title"] = f"{detector.name} geometry"
        pyfai = _group(entry, "pyFAI", "NXsubentry")
        pyfai["definition_local"] = "pyFAI"
        group = _group(pyfai, detector.name, "NXdetector")
        group["API_VERSION"] = np.bytes_("1.1")
        group["IS_FLAT"] = False
        group["IS_CONTIGUOUS"] = False
        group["CORNERS"] = 4
        size = detector.pixel_um * 1e-6
        group["pixel_size"] = np.array([size, size])
        group["force_pixel"] = True
        for name in ("max_shape", "shape"):
            group[name] = np.array(corners.shape[:2], np.int32)
        group["binning"] = np.array([1, 1], np.int32)
        group["orientation"] = np.int32(3)
        data = group.create_dataset(
            "pixel_corners", data=corners, compression="gzip", compression_opts=1, shuffle=True,
            chunks=(*detector.module_shape, 4, 3),
        )  # fmt: skip
        data.attrs["interpretation"] = "vertex"
        group["geometry_slac"] = geometry.to_text().encode("utf-8", "replace")


def _group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group
