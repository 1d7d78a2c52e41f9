"""What other rooms know of runs and events: the protocols that every source of events follows.

Sources are XTC files (`workbench.runs.run`), files of frames (`workbench.runs.frames`), and some
events of either, sent to another process (`workbench.runs.subset`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import Detector
from workbench.errors import WorkbenchError
from workbench.recipe import Corrections, Events
from workbench.runs.xtc.decoders import ModulePixels


class Event(Protocol):
    """One event; pixels are read and decoded when asked for.

    Attributes
    ----------
    index : number in the run, from 0 (events without the detector count too).
    key : three 32-bit numbers that tell the event from all others of the run.
    seconds, nanoseconds : time since 1970 UTC; 0 if unknown.
    fiducials : pulse number (360 Hz, 0 … 131039); 0 if unknown.
    encoder_mm : position of the detector's encoder, mm; None if unknown.
    distance_mm : from sample to detector, where the source tells it.
    photon_energy_ev, wavelength_angstrom : None if unknown.
    event_codes : of the timing system (40 is the beam at 120 Hz in most experiments).
    has_pixels : True if undamaged data of the detector are there; nothing is decoded for it.
    missing : why there are no pixels, e.g. ``damaged (UserDefined)``; empty if there are.
    modules : raw pixels of the modules that are there.
    raw : raw ADU in the detector's shape, absent modules 0; None without pixels.
    data : corrected ADU, float32; None without pixels or if no corrections were asked for.
    """

    @property
    def index(self) -> int: ...
    @property
    def key(self) -> tuple[int, int, int]: ...
    @property
    def seconds(self) -> int: ...
    @property
    def nanoseconds(self) -> int: ...
    @property
    def fiducials(self) -> int: ...
    @property
    def encoder_mm(self) -> float | None: ...
    @property
    def distance_mm(self) -> float | None: ...
    @property
    def photon_energy_ev(self) -> float | None: ...
    @property
    def wavelength_angstrom(self) -> float | None: ...
    @property
    def event_codes(self) -> tuple[int, ...]: ...
    @property
    def has_pixels(self) -> bool: ...
    @property
    def missing(self) -> str: ...
    @property
    def modules(self) -> tuple[ModulePixels, ...]: ...
    @property
    def raw(self) -> NDArray[Any] | None: ...
    @property
    def data(self) -> NDArray[np.float32] | None: ...

    def load(self, buffer: memoryview) -> bool:
        """Read the pixels now, into `buffer` if they fit; False if there are none.

        `modules` may then be views into the buffer.
        """
        ...


class EventSource(Protocol):
    """Something whose events can be gone through and averaged.

    Attributes
    ----------
    experiment, number, address : what it is of; constants are looked up with number and address.
    calib_dir : calibration directory, or None if it is not known.
    detector : what took the events.
    low_gain : True where a pixel is in low gain, bool of the detector's shape.
    gain_code : how each pixel is configured, uint8 of the detector's shape, for a detector with
        gain ranges (see `workbench.detectors.GainRanges`); else None.
    source : ``frames`` for frames of other files, whose NaN and masked pixels have no value.
    event_count : about how many events there are; None if unknown.
    skipped : what did not become an event or was not selected, by reason; filled while iterating.
    problems : sentences about what was wrong; filled while iterating.
    """

    @property
    def experiment(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def address(self) -> str: ...
    @property
    def calib_dir(self) -> Path | None: ...
    @property
    def detector(self) -> Detector: ...
    @property
    def low_gain(self) -> NDArray[np.bool_]: ...
    @property
    def gain_code(self) -> NDArray[np.uint8] | None: ...
    @property
    def source(self) -> Literal["XTC", "frames"]: ...
    @property
    def event_count(self) -> int | None: ...
    @property
    def skipped(self) -> Counter[str]: ...
    @property
    def problems(self) -> list[str]: ...

    def events(
        self, corrections: Corrections | None = None, selection: Events | None = None
    ) -> Iterator[Event]:
        """Give the events in order: those of the selection, with `Event.data` if corrected."""
        ...

    def subset(self, events: Sequence[Any]) -> EventSource:
        """Some of its own events, to be sent to another process that sees the same files."""
        ...


class Run(EventSource, Protocol):
    """A run, or frames that stand for one.

    Attributes
    ----------
    files : what is read.
    title : what it is, for people.
    """

    @property
    def files(self) -> tuple[Path, ...]: ...
    @property
    def title(self) -> str: ...

    def describe(self) -> dict[str, Any]:
        """What was read, for provenance: names, files with sizes and times."""
        ...


class Corrector(Protocol):
    """What turns raw ADU into corrected ones (`workbench.corrections` makes them)."""

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Corrected float32 array of the same shape."""
        ...


MakeCorrector = Callable[[Corrections, EventSource], Corrector]


def corrector_of(
    run: EventSource, corrections: Corrections | None, make: MakeCorrector | None
) -> Corrector | None:
    """What corrects the events of a run; None if no corrections are asked for.

    Raises
    ------
    WorkbenchError
        If corrections are asked for but the run was opened without the means to make them.
    """
    if corrections is None:
        return None
    if make is None:
        raise WorkbenchError(
            "These events were opened without the means to correct them; use workbench.open_run "
            "or workbench.open_frames."
        )
    return make(corrections, run)
