"""Frames as NXmx HDF5: one file for many events, opened by dxtbx and nxmx.

NXmx: Bernstein et al., IUCrJ 7 (2020) 784. The ASICs stand below each other in the array
``(frames, rows, columns)``, so that each ``NXdetector_module`` is as wide as the image: dxtbx takes
a pixel mask only then. Directions are in the McStas frame of NeXus, (-x, y, -z) of
imgCIF. The thickness of the sensor is given, so that dxtbx corrects positions for the depth at
which photons are absorbed, as it does for CBF files of a CSPAD.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import WorkbenchError
from workbench.frames.columns import GrowingFrames
from workbench.frames.formats import Frame, Setting
from workbench.frames.table import utc_text
from workbench.geometry import Geometry
from workbench.geometry.formats.imgcif_header import ROOT, asic_corner_mm, axes_of
from workbench.hdf5 import StreamedFile, streamed_hdf5
from workbench.images.cbf import OVERLOAD, UNDERLOAD
from workbench.mask.formats.bits import translated
from workbench.mask.formats.hdf5 import dataset

if TYPE_CHECKING:
    import h5py

DETECTOR = "entry/instrument/detector"
TRANSFORMATIONS = f"{DETECTOR}/transformations"
MCSTAS = np.array([-1.0, 1.0, -1.0])


@contextmanager
def opened(path: Path, setting: Setting, overwrite: bool) -> Iterator[_NxmxFile]:
    """Open a file for frames."""
    with streamed_hdf5(path, overwrite=overwrite) as file:
        frames = _NxmxFile(file, setting)
        yield frames
        frames.finish()


class _NxmxFile:
    def __init__(self, file: StreamedFile, setting: Setting) -> None:
        self._file, self._setting = file, setting
        detector = setting.geometry.detector
        rows, columns = detector.asic_shape
        group(file.root, "entry", "NXentry")
        group(file.root, "entry/data", "NXdata")
        self._shape = (detector.asics * rows, columns)
        self._frames = GrowingFrames(file, "entry/data/data", self._shape, setting)
        self._distance_mm: float | None = None
        self._start = ""

    def add(self, frame: Frame) -> None:
        if self._distance_mm is None:
            self._distance_mm = frame.distance_mm
            self._start = utc_text(frame.seconds, frame.nanoseconds)
        asics = self._setting.geometry.detector.asic_stack(frame.data)
        self._frames.add(frame, asics.reshape(self._shape))

    def finish(self) -> None:
        """Write what stands beside the pixels."""
        root, setting = self._file.root, self._setting
        detector = setting.geometry.detector
        if self._distance_mm is None:
            raise WorkbenchError("No frame was written.")
        entry = root["entry"]
        entry["definition"] = "NXmx"
        entry["definition"].attrs["version"] = "1.0"
        if self._start:
            entry["start_time"] = self._start
        entry["data"].attrs["signal"] = "data"
        group(root, "entry/source", "NXsource")["name"] = "LCLS"
        group(root, "entry/sample", "NXsample")["name"] = setting.experiment
        root["entry/sample/depends_on"] = "."
        instrument = group(root, "entry/instrument", "NXinstrument")
        instrument["name"] = setting.address
        wavelengths = np.array(self._frames.wavelengths_angstrom)
        with_unit(
            group(instrument, "beam", "NXbeam"), "incident_wavelength", wavelengths, "angstrom"
        )
        place = group(root, DETECTOR, "NXdetector")
        place["description"] = detector.name
        place["type"] = "pixel"
        place["depends_on"] = f"/{TRANSFORMATIONS}/distance"
        place["sensor_material"] = "Si"
        with_unit(place, "sensor_thickness", detector.sensor_um / 1e6, "m")
        place["saturation_value"] = float(OVERLOAD - 1)
        place["underload_value"] = float(UNDERLOAD)
        with_unit(place, "distance", self._distance_mm, "mm")
        if setting.mask is not None:
            words = detector.asic_stack(translated(setting.mask.reasons, "nxmx"))
            dataset(place, "pixel_mask", words.reshape(self._shape))
        _write_modules(root, setting.geometry, self._distance_mm)
        own = group(root, "entry/cspad_workbench", "NXcollection")
        own.attrs["provenance"] = json.dumps(setting.provenance, default=str)
        self._frames.write_columns(own)


def group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    """Group of a NeXus class, made if absent."""
    made = parent.require_group(name)
    made.attrs["NX_class"] = kind
    return made


def with_unit(parent: h5py.Group, name: str, value: ArrayLike, unit: str) -> h5py.Dataset:
    """Write a quantity."""
    parent[name] = value
    parent[name].attrs["units"] = unit
    dataset: h5py.Dataset = parent[name]
    return dataset


def _write_modules(root: h5py.Group, geometry: Geometry, distance_mm: float) -> None:
    """Write where each ASIC is: detector distance, then group, then module offset."""
    detector = geometry.detector
    axes = axes_of(geometry)
    base = axes[ROOT].frame
    corner = np.array([*asic_corner_mm(detector), 0.0])
    pixel_mm = detector.pixel_um / 1000
    transformations = group(root, TRANSFORMATIONS, "NXtransformations")
    beam_z = np.array([0.0, 0.0, 1.0])
    _transformation(transformations, "distance", distance_mm, beam_z, ".", "detector_arm")
    rows, columns = detector.asic_shape
    number = 0
    for placed in detector.groups:
        own = axes[f"FS_D0{placed.name}"].frame
        turned = base.rotation @ own.rotation
        # the distance is that of the detector's plane, as in the CBF header
        origin = base.origin_um * [1, 1, 0] / 1000 + base.rotation @ own.origin_um / 1000
        place_mm = origin * MCSTAS
        name = f"group_{placed.name}"
        _translation(
            transformations, name, place_mm, f"/{TRANSFORMATIONS}/distance", "detector_quadrant"
        )
        for module in placed.modules:
            sensor = axes[f"FS_D0{detector.module_name(module)}"].frame
            rotation = turned @ sensor.rotation
            for asic in range(detector.asics_per_module):
                asic_name = f"{detector.module_name(module)}A{asic}"
                shift_mm = axes[f"FS_D0{asic_name}"].frame.origin_um / 1000 + corner
                from_group = turned @ sensor.origin_um / 1000 + rotation @ shift_mm
                part = group(root, f"{DETECTOR}/{asic_name}", "NXdetector_module")
                part["data_origin"] = np.array([number * rows, 0])
                part["data_size"] = np.array([rows, columns])
                offset = _translation(
                    part, "module_offset", from_group * MCSTAS, f"/{TRANSFORMATIONS}/{name}",
                    "detector_module",
                )  # fmt: skip
                fast, slow = rotation[:, 0] * MCSTAS, -rotation[:, 1] * MCSTAS
                for direction, vector in (("fast", fast), ("slow", slow)):
                    _transformation(
                        part, f"{direction}_pixel_direction", pixel_mm, vector, offset,
                        "detector_module",
                    )  # fmt: skip
                number += 1


def _translation(
    parent: h5py.Group, name: str, shift_mm: NDArray[np.float64], above: str, component: str
) -> str:
    """Write a shift as length and direction; gives its path."""
    length = float(np.linalg.norm(shift_mm))
    direction = shift_mm / length if length else np.array([0.0, 0.0, 1.0])
    return _transformation(parent, name, length, direction, above, component)


def _transformation(
    parent: h5py.Group,
    name: str,
    value_mm: float,
    vector: NDArray[np.float64],
    above: str,
    component: str,
) -> str:
    dataset = with_unit(parent, name, np.array([value_mm]), "mm")
    dataset.attrs["transformation_type"] = "translation"
    dataset.attrs["vector"] = vector
    dataset.attrs["offset"] = np.zeros(3)
    dataset.attrs["offset_units"] = "mm"
    dataset.attrs["depends_on"] = above
    dataset.attrs["equipment_component"] = component
    return str(dataset.name)
