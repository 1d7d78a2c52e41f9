"""Frames as CXI/HDF5 in Cheetah's slab, as CrystFEL reads them, with the ``.geom`` beside them.

Photon energy and time of each event stand where Cheetah puts them (``/LCLS``), the mask (CXI bits,
0 = good) beside the data. ``<base>.lst`` lists the files for ``indexamajig -i``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from workbench.files import replacing
from workbench.frames.columns import GrowingFrames
from workbench.frames.formats import Frame, Setting
from workbench.geometry.formats.crystfel import crystfel_text
from workbench.hdf5 import StreamedFile, streamed_hdf5
from workbench.mask.formats.bits import all_bits, translated
from workbench.mask.formats.hdf5 import dataset
from workbench.quantities import HC_EV_ANGSTROM

DATA, MASK = "/entry_1/data_1/data", "/entry_1/data_1/mask"
NAMES = {
    "event": "eventNumber",
    "seconds": "machineTime",
    "nanoseconds": "machineTimeNanoSeconds",
    "fiducials": "fiducial",
    "peaks": "nPeaks",
}


@contextmanager
def opened(path: Path, setting: Setting, overwrite: bool) -> Iterator[_CxiFile]:
    """Open a file for frames."""
    with streamed_hdf5(path, overwrite=overwrite) as file:
        frames = _CxiFile(file, setting)
        yield frames
        frames.finish()


class _CxiFile:
    def __init__(self, file: StreamedFile, setting: Setting) -> None:
        self._file, self._setting = file, setting
        file.root["cxi_version"] = 160
        self._frames = GrowingFrames(file, DATA, setting.geometry.detector.crystfel_shape, setting)

    def add(self, frame: Frame) -> None:
        self._frames.add(frame, self._setting.geometry.detector.to_crystfel(frame.data))

    def finish(self) -> None:
        """Write what stands beside the pixels."""
        root, setting = self._file.root, self._setting
        if setting.mask is not None:
            words = translated(setting.mask.reasons, "cxi").astype(np.uint16)
            dataset(root, MASK, setting.geometry.detector.to_crystfel(words))
        beam = root.create_group("LCLS")
        wavelengths = np.array(self._frames.wavelengths_angstrom)
        beam["photon_energy_eV"] = HC_EV_ANGSTROM / wavelengths
        beam["photon_wavelength_A"] = wavelengths
        self._frames.write_columns(beam, NAMES)
        beam.attrs["provenance"] = json.dumps(setting.provenance, default=str)


def write_beside(
    folder: Path,
    base: str,
    setting: Setting,
    distance_mm: float,
    files: Sequence[Path],
    overwrite: bool,
) -> list[Path]:
    """Write the geometry and the list of files; gives their paths."""
    geometry, listed = folder / f"{base}.geom", folder / f"{base}.lst"
    text = crystfel_text(
        setting.geometry,
        distance_mm=distance_mm,
        data=DATA,
        mask=None if setting.mask is None else MASK,
        mask_bad=all_bits("cxi"),
    )
    for path, content in (
        (geometry, text),
        (listed, "".join(f"{file.resolve()}\n" for file in files)),
    ):
        with replacing(path, overwrite=overwrite) as temporary:
            temporary.write_bytes(content.encode("utf-8", "surrogateescape"))
    return [geometry, listed]
