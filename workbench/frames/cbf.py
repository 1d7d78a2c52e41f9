"""Frames as CSPAD CBF files, one for each event; masked pixels are outside the trusted range."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from workbench.frames.formats import Frame, Setting
from workbench.images import DetectorImage, write_image
from workbench.images.cbf import UNDERLOAD


class _Cbf:
    def __init__(self, path: Path, setting: Setting, overwrite: bool) -> None:
        self._path, self._setting, self._overwrite = path, setting, overwrite

    def add(self, frame: Frame) -> None:
        data, mask = frame.data, self._setting.mask
        if mask is not None:
            masked = np.nan if data.dtype.kind == "f" else UNDERLOAD - 1
            data = np.where(mask.good, data, data.dtype.type(masked))
        image = DetectorImage(
            data,
            geometry=self._setting.geometry,
            distance_mm=frame.distance_mm,
            wavelength_angstrom=frame.wavelength_angstrom,
            name=self._path.stem,
            timestamp=frame.seconds + frame.nanoseconds * 1e-9 if frame.seconds else None,
            provenance={
                **self._setting.provenance,
                "event": frame.event,
                "fiducials": frame.fiducials,
                "peaks": frame.peaks,
            },
        )
        write_image(image, self._path, overwrite=self._overwrite)


@contextmanager
def opened(path: Path, setting: Setting, overwrite: bool) -> Iterator[_Cbf]:
    """Open a file for one frame."""
    yield _Cbf(path, setting, overwrite)
