"""Accumulators that take blocks of events in the quickest exact way the corrections allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.averages.accumulate_loops import add_corrected, add_raw, finish_raw
from workbench.averages.statistics import Statistics
from workbench.corrections import Corrector
from workbench.detector import SENSORS_PER_QUADRANT
from workbench.errors import WorkbenchError


class Accumulator(Protocol):
    """What a runner feeds: blocks of events, each shared by the threads that add it."""

    def load(self, events: Sequence[Any]) -> Any:
        """Prepare a block; what it gives keeps the events' memory alive."""
        ...

    def add(self, block: Any) -> None:
        """Add a block; threads that call this at the same time share the work."""
        ...

    def added(self, block: Any) -> None:
        """Count a block once all calls of `add` with it have returned."""
        ...

    def statistics(self) -> Statistics:
        """Statistics of everything added so far."""
        ...


class Block:
    """Addresses of the sections of some events.

    Attributes
    ----------
    addresses : int64 ``(sections, events)``, 0 where an event lacks the section.
    turn : which part of the work comes next, shared by the threads.
    """

    def __init__(self, events: Sequence[Any], shape: tuple[int, ...]) -> None:
        sections, rows, columns = shape
        stride = rows * columns * 2
        addresses = np.zeros((len(events), sections), np.int64)
        self._keep: list[Any] = []
        whole: list[tuple[int, int, int]] = []
        """Event, quadrant and start of the quadrants that have all their sections."""
        for number, event in enumerate(events):
            quads = getattr(event, "quads", None)
            if not quads:
                addresses[number] = self._hold(event.raw, shape) + stride * np.arange(sections)
                continue
            for quadrant, kept, view in quads:
                start = self._hold(view, (len(kept), rows, columns))
                if len(kept) == SENSORS_PER_QUADRANT:
                    whole.append((number, quadrant, start))
                else:
                    for k, section in enumerate(kept):
                        place = SENSORS_PER_QUADRANT * quadrant + section
                        addresses[number, place] = start + k * stride
        if whole:
            numbers, quadrants, starts = np.array(whole).T[..., None]
            step = np.arange(SENSORS_PER_QUADRANT)
            addresses[numbers, SENSORS_PER_QUADRANT * quadrants + step] = starts + stride * step
        self.addresses = np.ascontiguousarray(addresses.T)
        self.turn = np.zeros(1, np.int64)

    def _hold(self, pixels: NDArray, shape: tuple[int, ...]) -> int:
        if pixels.shape != shape:  # the compiled loops trust addresses
            raise WorkbenchError(
                f"An event has the shape {pixels.shape}, expected {shape}; only events of one "
                "detector can be averaged."
            )
        pixels = np.ascontiguousarray(pixels, np.int16)
        self._keep.append(pixels)
        address: int = pixels.__array_interface__["data"][0]
        return address

    @property
    def events(self) -> int:
        """Number of events."""
        return self.addresses.shape[1]

    @property
    def present(self) -> NDArray[np.int64]:
        """Number of events that have each section."""
        return np.count_nonzero(self.addresses, axis=1)


class RawSums:
    """Exact integer sums of raw pixels; corrections linear in the pixel value enter at the end.

    For ``y = factor * (x - offset)`` mean, standard deviation, maximum and minimum of y follow
    from those of x, so pedestals and gain cost nothing per event and lose no digit.

    Parameters
    ----------
    shape : of the detector's arrays.
    offset, factor : float64 arrays of that shape, or None for 0 and 1.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        offset: NDArray[np.float64] | None = None,
        factor: NDArray[np.float64] | None = None,
    ) -> None:
        self.shape = shape
        pixels = (shape[0], shape[1] * shape[2])
        self._sums = np.zeros(pixels, np.int64)
        self._squares = np.zeros(pixels, np.int64)
        limits = np.iinfo(np.int16)
        self._maximum = np.full(pixels, limits.min, np.int16)
        self._minimum = np.full(pixels, limits.max, np.int16)
        self._section_count = np.zeros(shape[0], np.int64)
        self._count = 0
        self._offset, self._factor = offset, factor

    def load(self, events: Sequence[Any]) -> Block:
        """Addresses of the events' pixels."""
        return Block(events, self.shape)

    def add(self, block: Block) -> None:
        """Add the block's events."""
        add_raw(
            block.addresses, block.turn, self._sums, self._squares, self._maximum, self._minimum
        )

    def added(self, block: Block) -> None:
        """Count the block's events."""
        self._section_count += block.present
        self._count += block.events

    def statistics(self) -> Statistics:
        """Statistics of the corrected pixels."""
        found = Statistics.empty(self.shape)
        found.count = self._count
        found.pixel_count[:] = self._section_count[:, None, None]
        zeros, ones = np.zeros(self._sums.shape[1]), np.ones(self._sums.shape[1])
        for section in np.flatnonzero(self._section_count):
            finish_raw(
                self._section_count[section],
                self._sums[section],
                self._squares[section],
                self._maximum[section],
                self._minimum[section],
                zeros if self._offset is None else self._offset[section].reshape(-1),
                ones if self._factor is None else self._factor[section].reshape(-1),
                found.mean[section].reshape(-1),
                found.m2[section].reshape(-1),
                found.maximum[section].reshape(-1),
                found.minimum[section].reshape(-1),
            )
        return found


class CorrectedSums:
    """Sums of events corrected one by one, as the common mode needs it.

    Each event is corrected in float32, in psana's order; sums are float64, of the differences
    from each pixel's first value.
    """

    def __init__(self, corrector: Corrector) -> None:
        self.shape = corrector.shape
        pixels = (corrector.shape[0], corrector.shape[1] * corrector.shape[2])
        self._tables = corrector.tables
        self._shift = np.zeros(pixels)
        self._sums = np.zeros(pixels)
        self._squares = np.zeros(pixels)
        self._maximum = np.full(pixels, -np.inf, np.float32)
        self._minimum = np.full(pixels, np.inf, np.float32)
        self._section_count = np.zeros(corrector.shape[0], np.int64)
        self._count = 0

    def load(self, events: Sequence[Any]) -> Block:
        """Addresses of the events' pixels."""
        return Block(events, self.shape)

    def add(self, block: Block) -> None:
        """Add the block's events."""
        tables = self._tables
        add_corrected(
            block.addresses, block.turn, self._section_count, self.shape[2],
            tables.offset, tables.good, tables.algorithm, tables.parameters,
            tables.factor, tables.second,
            self._shift, self._sums, self._squares, self._maximum, self._minimum,
        )  # fmt: skip

    def added(self, block: Block) -> None:
        """Count the block's events."""
        self._section_count += block.present
        self._count += block.events

    def statistics(self) -> Statistics:
        """Statistics so far."""
        found = Statistics.empty(self.shape)
        found.count = self._count
        for section in np.flatnonzero(self._section_count):
            n = self._section_count[section]
            sums, mean = self._sums[section], self._sums[section] / n
            flat = {name: getattr(found, name)[section].reshape(-1) for name in
                    ("pixel_count", "mean", "m2", "maximum", "minimum")}  # fmt: skip
            flat["pixel_count"][:] = n
            flat["mean"][:] = self._shift[section] + mean
            flat["m2"][:] = np.maximum(self._squares[section] - sums * mean, 0.0)
            flat["maximum"][:] = self._maximum[section]
            flat["minimum"][:] = self._minimum[section]
        return found


class FrameBlock:
    """Frames whose sections threads take in turn."""

    def __init__(self, frames: list[NDArray]) -> None:
        self.frames = frames
        self.sections = iter(range(frames[0].shape[0]))  # next() of it is atomic


class FrameSums:
    """Statistics of frames of any kind, with NaN and masked pixels left out per pixel.

    Parameters
    ----------
    shape : of the frames.
    corrector : corrections of each frame, or None.
    begun : statistics to begin with, of frames of the same kind.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        corrector: Corrector | None = None,
        begun: Statistics | None = None,
    ) -> None:
        self.shape = shape
        self._corrector = corrector
        self._statistics = begun or Statistics.empty(shape)

    def load(self, events: Sequence[Any]) -> FrameBlock:
        """Take the frames; masked pixels become NaN."""
        frames = []
        for event in events:
            frame = event.raw
            if frame.shape != self.shape:
                raise WorkbenchError(
                    f"A frame has the shape {frame.shape}, expected {self.shape}; only frames of "
                    "one detector can be averaged."
                )
            if isinstance(frame, np.ma.MaskedArray):
                frame = np.ma.filled(frame.astype(np.float64), np.nan)
            if self._corrector is not None:
                frame = self._corrector.apply(frame)
                frame[_absent(event)] = np.nan
            frames.append(frame)
        return FrameBlock(frames)

    def add(self, block: FrameBlock) -> None:
        """Add the frames, section by section."""
        for section in block.sections:
            of_section = self._statistics.part(section)
            for frame in block.frames:
                of_section.add(frame[section])

    def added(self, block: FrameBlock) -> None:
        """Count the block's frames."""
        self._statistics.count += len(block.frames)

    def statistics(self) -> Statistics:
        """Statistics so far (a copy)."""
        return self._statistics.copy()


def make_accumulator(
    events: Sequence[Any],
    shape: tuple[int, ...],
    corrector: Corrector | None,
    present: Accumulator | None = None,
) -> Accumulator:
    """Quickest exact accumulator that takes these events of a run.

    Parameters
    ----------
    events : next events, all with data: int16 pixels, or frames of another type.
    shape : of the detector's arrays.
    corrector : corrections, or None for raw data.
    present : the accumulator so far; given back if it takes the events, else what it has is
        taken over.
    """
    if isinstance(present, FrameSums):
        return present
    if not all(_of_detector(event) for event in events):
        return FrameSums(shape, corrector, None if present is None else present.statistics())
    if present is not None:
        return present
    if corrector is None:
        return RawSums(shape)
    if corrector.linear:
        return RawSums(shape, *corrector.offset_and_factor)
    return CorrectedSums(corrector) if corrector.by_section else FrameSums(shape, corrector)


def _absent(event: Any) -> list[int]:
    """Sections an event of the detector lacks."""
    quads = getattr(event, "quads", None)
    if not quads:
        return []
    held = {SENSORS_PER_QUADRANT * quad + section for quad, kept, _ in quads for section in kept}
    return [section for section in range(len(event.raw)) if section not in held]


def _of_detector(event: Any) -> bool:
    """Whether pixels are those of the detector's converters: int16, none masked."""
    if getattr(event, "quads", None):
        return True
    return event.raw.dtype == np.int16 and not isinstance(event.raw, np.ma.MaskedArray)
