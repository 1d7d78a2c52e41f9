"""What the HDF5 formats of frames share: pixels that grow with each event, and its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.frames.formats import Frame, Setting, filters
from workbench.hdf5 import StreamedFile

if TYPE_CHECKING:
    import h5py


class GrowingFrames:
    """Pixels and columns of the frames of a file.

    Parameters
    ----------
    file : the file; groups of `name` that are not there are made.
    name : of the dataset of pixels, ``(frames, *shape)``.
    shape : of a frame.

    Attributes
    ----------
    wavelengths_angstrom : of the frames added so far.
    """

    def __init__(
        self, file: StreamedFile, name: str, shape: tuple[int, ...], setting: Setting
    ) -> None:
        self._file = file
        self._data = file.root.create_dataset(
            name, (0, *shape), setting.dtype, maxshape=(None, *shape), chunks=(1, *shape),
            **filters(setting.compression),
        )  # fmt: skip
        self._events: list[tuple[int, int, int, int, int]] = []
        self._distances_mm: list[float] = []
        self.wavelengths_angstrom: list[float] = []

    def add(self, frame: Frame, pixels: NDArray[Any]) -> None:
        """Write a frame, whose `pixels` have the shape of the dataset's."""
        number = self._data.shape[0]
        self._data.resize(number + 1, axis=0)
        self._data[number] = pixels
        self._events.append(
            (frame.event, frame.seconds, frame.nanoseconds, frame.fiducials, frame.peaks)
        )
        self._distances_mm.append(frame.distance_mm)
        self.wavelengths_angstrom.append(frame.wavelength_angstrom)
        self._file.check()

    def write_columns(self, parent: h5py.Group, names: dict[str, str] | None = None) -> None:
        """Write a dataset for each column but the wavelength; `names` renames them."""
        columns = np.array(self._events, np.int64).reshape(-1, 5).T
        own = ("event", "seconds", "nanoseconds", "fiducials", "peaks")
        for name, values in zip(own, columns, strict=True):
            parent[(names or {}).get(name, name)] = values
        parent["distance_mm"] = np.array(self._distances_mm)
