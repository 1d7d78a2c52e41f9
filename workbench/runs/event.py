"""One event of an XTC run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import Detector
from workbench.errors import FileFormatError, WorkbenchError
from workbench.runs.protocols import Corrector
from workbench.runs.xtc import beamline
from workbench.runs.xtc.datagram import Truncated, Unreadable
from workbench.runs.xtc.decoders import ModulePixels, read_pixels
from workbench.runs.xtc.events import UNREADABLE, Record


class XtcEvent:
    """One event of XTC files; see `workbench.runs.Event`.

    Attributes
    ----------
    ticks, vector : 119 MHz counter, event counter.
    record : where its parts lie.
    """

    distance_mm = None

    def __init__(
        self,
        record: Record,
        detector: Detector,
        corrector: Corrector | None,
        note: Callable[[str], None],
    ) -> None:
        datagram = record.datagram
        self.record, self._detector, self._corrector = record, detector, corrector
        self._note, self._problem = note, ""
        self._modules: tuple[ModulePixels, ...] | None = None
        self.index = record.index
        self.seconds, self.nanoseconds = datagram.clock
        self.fiducials, self.ticks = datagram.fiducials, datagram.ticks
        self.vector = datagram.vector
        self.encoder_mm = record.encoder_mm

    @property
    def modules(self) -> tuple[ModulePixels, ...]:
        """Raw pixels of the modules that are there, read-only, as they lie in the file.

        Empty if there are no data; `missing` then says why. Of several copies in the event the
        first that can be read counts.
        """
        if self._modules is None:
            self._modules = self._read(None)
        if self._problem:
            self._note(f"event {self.index}: {self._problem}")
            self._problem = ""
        return self._modules

    def load(self, buffer: memoryview) -> bool:
        """Read the pixels now, into `buffer` if they fit; False if there are none.

        Threads may load different events at once: what is wrong is noted when `modules` or
        `missing` is asked for.
        """
        if self._modules is None:
            self._modules = self._read(buffer)
        return bool(self._modules)

    def _read(self, buffer: memoryview | None) -> tuple[ModulePixels, ...]:
        for file, xtc in self.record.elements:
            try:
                pixels = read_pixels(file, xtc, self.record.config, buffer)
            except FileFormatError as error:
                if not self._problem:
                    self._problem = str(error)
                    lost = isinstance(error, Truncated | Unreadable)
                    self.record.missing = UNREADABLE if lost else "undecodable"
            else:
                self._problem = ""
                return pixels
        return ()

    @property
    def has_pixels(self) -> bool:
        """True if undamaged data of the detector are there; nothing is decoded for it."""
        return bool(self.record.elements)

    @property
    def missing(self) -> str:
        """Why there are no pixels, e.g. ``damaged (UserDefined)``; empty if there are."""
        return "" if self.modules else self.record.missing

    @property
    def complete(self) -> bool:
        """True if every module of the detector is there."""
        return sum(len(part.modules) for part in self.modules) == self._detector.modules

    @property
    def key(self) -> tuple[int, int, int]:
        """What tells this event from all others: seconds, nanoseconds, fiducials."""
        return self.seconds, self.nanoseconds, self.fiducials

    @cached_property
    def raw(self) -> NDArray[np.int16] | NDArray[np.uint16] | None:
        """Raw ADU, array of the detector's shape and `raw_dtype`; absent modules are 0.

        None if the event has no (undamaged) data of the detector.
        """
        if not self.modules:
            return None
        out: NDArray[Any] = np.empty(self._detector.shape, self._detector.raw_dtype)
        self.copy_raw_into(out)
        return out

    def copy_raw_into(self, out: NDArray[Any]) -> bool:
        """Write raw ADU into an existing array of the detector's shape; False if there are none.

        Raises
        ------
        WorkbenchError
            If `out` has another shape.
        """
        shape = self._detector.shape
        if out.shape != shape:
            raise WorkbenchError(f"Raw data have the shape {shape}, not {out.shape}.")
        if self.modules and not self.complete:
            out[:] = 0
        for modules, pixels in self.modules:
            first, last = modules[0], modules[-1]
            if last - first == len(modules) - 1:
                out[first : last + 1] = pixels
            else:
                out[list(modules)] = pixels
        return bool(self.modules)

    @cached_property
    def data(self) -> NDArray[np.float32] | None:
        """Corrected ADU, float32; None without raw data or if no corrections were asked for."""
        if self._corrector is None or self.raw is None:
            return None
        return self._corrector.apply(self.raw)

    @cached_property
    def photon_energy_ev(self) -> float | None:
        """Photon energy in eV, from the electron beam data; None if unknown."""
        if self.record.ebeam is None:
            return None
        try:
            return beamline.photon_energy(*self.record.ebeam)
        except FileFormatError as error:
            self._note(f"event {self.index}: {error}")
            return None

    @property
    def wavelength_angstrom(self) -> float | None:
        """Wavelength in Å; None if unknown."""
        return beamline.wavelength(self.photon_energy_ev)

    @cached_property
    def event_codes(self) -> tuple[int, ...]:
        """Event codes of the timing system (40 is the beam at 120 Hz in most experiments)."""
        if self.record.evr is None:
            return ()
        try:
            return beamline.event_codes(*self.record.evr)
        except FileFormatError as error:
            self._note(f"event {self.index}: {error}")
            return ()

    def __repr__(self) -> str:
        return (
            f"<Event {self.index}, {self.seconds}.{self.nanoseconds:09d} s, fid {self.fiducials}>"
        )
