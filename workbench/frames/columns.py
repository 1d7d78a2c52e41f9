"""What the HDF5 formats hold of each event beside its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.frames.formats import Frame
from workbench.quantities import HC_EV_ANGSTROM

if TYPE_CHECKING:
    import h5py


class EventColumns:
    """Columns that grow with each frame."""

    def __init__(self) -> None:
        self._frames: list[tuple[int, int, int, int, int]] = []
        self.wavelength_angstrom: list[float] = []
        self.distance_mm: list[float] = []

    def add(self, frame: Frame) -> None:
        """Add what is known of a frame."""
        self._frames.append(
            (frame.event, frame.seconds, frame.nanoseconds, frame.fiducials, frame.peaks)
        )
        self.wavelength_angstrom.append(frame.wavelength_angstrom)
        self.distance_mm.append(frame.distance_mm)

    @property
    def photon_energy_ev(self) -> np.ndarray:
        """Photon energies, float64."""
        return HC_EV_ANGSTROM / np.array(self.wavelength_angstrom)

    def write(self, parent: h5py.Group, names: dict[str, str] | None = None) -> None:
        """Write a dataset for each column; `names` renames them."""
        columns = np.array(self._frames, np.int64).reshape(-1, 5).T
        own = ("event", "seconds", "nanoseconds", "fiducials", "peaks")
        for name, values in zip(own, columns, strict=True):
            parent[(names or {}).get(name, name)] = values
        parent["distance_mm"] = np.array(self.distance_mm)
