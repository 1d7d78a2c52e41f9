"""Stacks of frames from other files, behind the protocol of a run."""

from __future__ import annotations

import copy
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from struct import unpack
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DEFAULT_ADDRESS, find
from workbench.errors import FileFormatError, NoEventsError, first_few
from workbench.provenance import describe_files
from workbench.recipe import Corrections, Events
from workbench.runs.frame_files import Frame, ReadCbf, Wanted, count_frames, read_frames
from workbench.runs.protocols import Corrector, MakeCorrector, corrector_of
from workbench.runs.select import selected
from workbench.runs.xtc.beamline import wavelength
from workbench.runs.xtc.decoders import ModulePixels

_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class FrameFile:
    """A file of frames; `dataset` names the one to read in an HDF5 file."""

    path: Path
    dataset: str = ""


class FrameEvent:
    """One frame as an event; see `workbench.runs.Event` for the attributes.

    Attributes
    ----------
    place : number of its file and its own number in the file.
    distance_mm : from sample to detector, where the file tells it.
    """

    missing = ""
    has_pixels = True
    event_codes: tuple[int, ...] = ()

    def __init__(
        self,
        index: int,
        frame: Frame,
        corrector: Corrector | None,
        place: tuple[int, int],
        path: Path,
    ) -> None:
        assert frame.pixels is not None
        self.index, self.place = index, place
        self.seconds, self.nanoseconds = frame.seconds, frame.nanoseconds
        self.fiducials = frame.fiducials
        self.encoder_mm, self.distance_mm = frame.encoder_mm, frame.distance_mm
        self.photon_energy_ev = frame.photon_energy_ev
        self.raw: NDArray[Any] = frame.pixels
        self._corrector, self._path = corrector, path

    @property
    def key(self) -> tuple[int, int, int]:
        """What tells this frame from others: its time if known, else its file and number."""
        if self.seconds:
            return self.seconds & _WORD, self.nanoseconds & _WORD, self.fiducials & _WORD
        name = hashlib.blake2b("/".join(self._path.parts[-2:]).encode(), digest_size=8).digest()
        return *unpack("<2I", name), self.place[1]

    @property
    def modules(self) -> tuple[ModulePixels, ...]:
        """All modules, as they are in the file (masked ones with their mask)."""
        return (ModulePixels(tuple(range(len(self.raw))), self.raw),)

    def load(self, buffer: memoryview) -> bool:
        """Do nothing: the pixels of a frame are in memory. Gives True."""
        return True

    @cached_property
    def data(self) -> NDArray[np.float32] | None:
        """Corrected values, float32; None if no corrections were asked for."""
        if self._corrector is None:
            return None
        corrected = self._corrector.apply(self.raw)
        if isinstance(self.raw, np.ma.MaskedArray):
            return np.ma.MaskedArray(corrected, mask=self.raw.mask)
        return corrected

    @property
    def wavelength_angstrom(self) -> float | None:
        """Wavelength in Å; None if unknown."""
        return wavelength(self.photon_energy_ev)


@dataclass(frozen=True)
class _Unread:
    """A frame whose index decides that it is left out."""

    index: int


class Frames:
    """Frames of one or more files as a `workbench.runs.Run`.

    ``raw`` of an event has the type of the file; NaN marks a pixel without a value, and a mask
    in the file makes ``raw`` a masked array. All pixels count as high gain.
    """

    source: Literal["frames"] = "frames"
    gain_code: NDArray[np.uint8] | None = None
    """The files do not tell how the pixels are configured."""

    def __init__(
        self,
        files: Iterable[FrameFile],
        experiment: str = "",
        number: int = 0,
        address: str = DEFAULT_ADDRESS,
        calib_dir: str | os.PathLike[str] | None = None,
        make_corrector: MakeCorrector | None = None,
        read_cbf: ReadCbf | None = None,
    ) -> None:
        self._files = tuple(files)
        self.experiment, self.number, self.address = experiment, number, address
        self.file_number = number
        self.calib_dir = None if calib_dir is None else Path(calib_dir)
        self.files = tuple(file.path for file in self._files)
        self.skipped: Counter[str] = Counter()
        self.problems: list[str] = []
        self._make_corrector, self._read_cbf = make_corrector, read_cbf
        self._only: dict[int, dict[int, int]] | None = None
        _, first, _ = next(self._frames(lambda index: True), (0, Frame(None), (0, 0)))
        if first.pixels is None:
            raise NoEventsError(f"There are no frames in {self._named()}.")
        self.detector = find(first.pixels.shape)
        self.geometry = first.geometry

    @cached_property
    def low_gain(self) -> NDArray[np.bool_]:
        """All False: the files do not tell which pixels are in low gain."""
        return np.zeros(self.detector.shape, dtype=bool)

    def events(
        self, corrections: Corrections | None = None, selection: Events | None = None
    ) -> Iterator[FrameEvent]:
        """Frames in the order of the files, as `workbench.runs.Run.events` gives events.

        Raises
        ------
        WorkbenchError
            If corrections are asked for but the means to make them are missing.
        FileFormatError
            If a file cannot be read or its frames have another shape than the first.
        """
        corrector = corrector_of(self, corrections, self._make_corrector)
        self.skipped, self.problems = Counter(), []

        def wanted(index: int) -> bool:
            return selection is None or selection.why_not_index(index) is None

        events = (
            FrameEvent(index, frame, corrector, place, self.files[place[0]])
            if frame.pixels is not None
            else cast("FrameEvent", _Unread(index))  # its index leaves it out
            for index, frame, place in self._frames(wanted)
        )
        return selected(events, selection, self.skipped)

    @cached_property
    def event_count(self) -> int:
        """About how many frames there are."""
        if self._only is not None:
            return sum(len(numbers) for numbers in self._only.values())
        return sum(count_frames(file.path, file.dataset) for file in self._files)

    def subset(self, events: Sequence[FrameEvent]) -> Frames:
        """Only these frames, for another process that sees the same files."""
        subset = copy.copy(self)
        subset.__dict__.pop("event_count", None)
        subset._only = {}
        for event in events:
            file, number = event.place
            subset._only.setdefault(file, {})[number] = event.index
        return subset

    def _frames(self, wanted: Wanted) -> Iterator[tuple[int, Frame, tuple[int, int]]]:
        """Index, frame, and place of each; without pixels if its index is not wanted."""
        shape, index = None, -1
        for number, file in enumerate(self._files):
            only = None if self._only is None else self._only.get(number, {})
            if only == {}:
                continue

            def read(
                inside: int, before: int = index + 1, only: dict[int, int] | None = only
            ) -> bool:
                return wanted(before + inside) if only is None else inside in only

            frames = read_frames(file.path, file.dataset, self._read_cbf, read)
            for inside, frame in enumerate(frames):
                index += 1
                pixels = frame.pixels
                if pixels is None:
                    if only is None:
                        yield index, frame, (number, inside)
                    continue
                shape = shape or pixels.shape
                if pixels.shape != shape:
                    expected, given = (" × ".join(map(str, s)) for s in (shape, pixels.shape))
                    problem = f"expected frames of {expected} as in {self.files[0]}, found {given}."
                    raise FileFormatError(file.path, problem)
                yield index if only is None else only[inside], frame, (number, inside)

    def describe(self) -> dict[str, Any]:
        """What was read, for provenance."""
        return {
            "experiment": self.experiment,
            "run": self.number,
            "address": self.address,
            "frames of": self._named(),
            "calib_dir": None if self.calib_dir is None else str(self.calib_dir),
            "files": describe_files(self.files),
        }

    @property
    def title(self) -> str:
        """Names of the files, for people."""
        return first_few([path.name for path in self.files], 2)

    def _named(self) -> str:
        return first_few([f"{f.path}:{f.dataset}".removesuffix(":") for f in self._files], 3)

    def __repr__(self) -> str:
        return f"<Frames {self._named()}>"


def open_frames(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    experiment: str = "",
    run: int = 0,
    address: str = DEFAULT_ADDRESS,
    calib_dir: str | os.PathLike[str] | None = None,
    make_corrector: MakeCorrector | None = None,
    read_cbf: ReadCbf | None = None,
) -> Frames:
    """Open files of detector frames as if they were a run.

    Parameters
    ----------
    paths : one file or several, each holding one frame or a stack: ``.npy``; HDF5 or CXI (also
        Cheetah's slab, and ``file.h5:/dataset`` to name the dataset); CBF, EDF, TIFF and the
        other formats of fabio. Any layout that `workbench.detectors.recognise` knows.
    experiment, run, address, calib_dir : what the frames belong to, for names and constants.
    make_corrector : see `open_run`.
    read_cbf : reads a CSPAD CBF as cctbx writes it to an array (`workbench.images` can).

    Raises
    ------
    NoEventsError
        If there are no frames.
    FileFormatError
        If the first file cannot be read or holds no frames of a known detector.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    files = [_frame_file(os.fspath(path)) for path in paths]
    if not files:
        raise NoEventsError("No files were given; name at least one file of frames.")
    return Frames(files, experiment, run, address, calib_dir, make_corrector, read_cbf)


def _frame_file(name: str) -> FrameFile:
    if not os.path.exists(name):
        path, colon, dataset = name.rpartition(":")
        if colon and os.path.exists(path):
            return FrameFile(Path(path), dataset)
    return FrameFile(Path(name))
