"""One event of a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.errors import FileFormatError, WorkbenchError
from workbench.recipe import Corrections
from workbench.runs.xtc import beamline, cspad
from workbench.runs.xtc.cspad import QuadData
from workbench.runs.xtc.events import Record


class Corrector(Protocol):
    """What turns raw ADU into corrected ones (`workbench.corrections` makes them)."""

    def apply(self, raw: NDArray[Any], out: NDArray[np.float32] | None = None) -> Any:
        """Corrected float32 array of the same shape."""
        ...


MakeCorrector = Callable[[Corrections, Any], Corrector]


class Event:
    """One event; pixels are decoded when asked for.

    Attributes
    ----------
    index : number in the run, from 0 (events without the detector count too).
    seconds, nanoseconds : time since 1970 UTC.
    fiducials, ticks, vector : pulse number (360 Hz, 0 … 131039), 119 MHz counter, event counter.
    encoder_mm : position of the detector's encoder, mm, or None if the run does not tell.
    record : where its parts lie.
    """

    def __init__(
        self,
        record: Record,
        shape: tuple[int, int, int],
        corrector: Corrector | None,
        note: Callable[[str], None],
    ) -> None:
        datagram = record.datagram
        self.record, self._shape, self._corrector, self._note = record, shape, corrector, note
        self.index = record.index
        self.seconds, self.nanoseconds = datagram.clock
        self.fiducials, self.ticks, self.vector = (
            datagram.fiducials,
            datagram.ticks,
            datagram.vector,
        )
        self.encoder_mm = record.encoder_mm

    @cached_property
    def quads(self) -> tuple[QuadData, ...]:
        """Per quadrant ``(quad, sections, pixels)`` with int16 pixels ``(n, 185, 388)``.

        Uncompressed pixels are read-only views into the file, without a copy. Empty if there
        are no data; `missing` then says why. Of several copies in the event the first that can
        be read counts.
        """
        problem = ""
        for file, xtc in self.record.elements:
            try:
                return cspad.read_element(file, xtc, self.record.config)
            except FileFormatError as error:
                problem = problem or str(error)
        if problem:
            self._note(problem)
            self.record.missing = "undecodable"
        return ()

    @property
    def has_element(self) -> bool:
        """True if undamaged data of the detector are there; told by headers, nothing is decoded."""
        return bool(self.record.elements)

    @property
    def missing(self) -> str:
        """Why there are no pixels, e.g. ``damaged (UserDefined)``; empty if there are."""
        return "" if self.quads else self.record.missing

    @property
    def complete(self) -> bool:
        """True if every section of the detector is there."""
        return sum(len(quad.sections) for quad in self.quads) == self._shape[0]

    @property
    def key(self) -> tuple[int, int, int]:
        """What tells this event from all others: seconds, nanoseconds, fiducials."""
        return self.seconds, self.nanoseconds, self.fiducials

    @cached_property
    def raw(self) -> NDArray[np.int16] | None:
        """Raw ADU, int16 array of the detector's shape; absent sections are 0.

        None if the event has no (undamaged) data of the detector.
        """
        return cspad.gather(self.quads, self._shape) if self.quads else None

    def copy_raw_into(self, out: NDArray[np.int16]) -> bool:
        """Write raw ADU into an existing array of the detector's shape; False if there are none.

        Raises
        ------
        WorkbenchError
            If `out` has another shape.
        """
        if out.shape != self._shape:
            raise WorkbenchError(f"Raw data have the shape {self._shape}, not {out.shape}.")
        if self.quads:
            cspad.gather(self.quads, self._shape, out)
        return bool(self.quads)

    @cached_property
    def data(self) -> NDArray[np.float32] | None:
        """Corrected ADU, float32; None without raw data or if no corrections were asked for."""
        if self._corrector is None or self.raw is None:
            return None
        corrected: NDArray[np.float32] = self._corrector.apply(self.raw)
        return corrected

    @cached_property
    def photon_energy_ev(self) -> float | None:
        """Photon energy in eV, from the electron beam data; None if unknown."""
        if self.record.ebeam is None:
            return None
        return beamline.photon_energy(*self.record.ebeam)

    @property
    def wavelength_angstrom(self) -> float | None:
        """Wavelength in Å; None if unknown."""
        return beamline.wavelength(self.photon_energy_ev)

    @cached_property
    def event_codes(self) -> tuple[int, ...]:
        """Event codes of the timing system (40 is the beam at 120 Hz in most experiments)."""
        return () if self.record.evr is None else beamline.event_codes(*self.record.evr)

    def __repr__(self) -> str:
        return (
            f"<Event {self.index}, {self.seconds}.{self.nanoseconds:09d} s, fid {self.fiducials}>"
        )
