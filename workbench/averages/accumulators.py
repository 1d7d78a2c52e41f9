"""Accumulators that take blocks of events in the quickest exact way the corrections allow.

Each has two methods: ``load(events)`` prepares a block of events to be added, and ``statistics()``
gives what was added so far.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.averages.accumulate_loops import (
    CentralArrays,
    CorrectedArrays,
    RawArrays,
    add_corrected,
    add_ranges,
    add_raw,
    finish_corrected,
    finish_raw,
)
from workbench.averages.statistics import Statistics
from workbench.corrections import AnyCorrector, Corrector, RangeCorrector
from workbench.errors import WorkbenchError
from workbench.runs import Event

Shape = tuple[int, int, int]


class Pending(NamedTuple):
    """A block of events to be added; it keeps their memory alive.

    Attributes
    ----------
    add : adds it; threads that call this at the same time share the work.
    added : counts it, once all calls of `add` have returned.
    """

    add: Callable[[], None]
    added: Callable[[], None]


class Block:
    """Where the modules of some events are in memory."""

    def __init__(self, events: Sequence[Event], shape: Shape) -> None:
        modules, rows, columns = shape
        steps = 2 * rows * columns * np.arange(modules)
        addresses = np.zeros((modules, len(events)), np.int64)
        self._keep: list[NDArray[Any]] = []
        self._turn = iter(range(modules))  # next() of it is atomic
        for column, event in zip(addresses.T, events, strict=True):
            for places, pixels in event.modules:
                if pixels.shape != (len(places), rows, columns) or places[-1] >= modules:
                    # the compiled loops trust addresses
                    raise WorkbenchError(
                        f"An event has modules of the shape {pixels.shape}, expected {shape}; only "
                        "events of one detector can be averaged."
                    )
                pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
                self._keep.append(pixels)
                start = pixels.__array_interface__["data"][0] + steps[: len(places)]
                first, last = places[0], places[-1]
                if last - first == len(places) - 1:
                    column[first : last + 1] = start
                else:
                    column[list(places)] = start
        self._addresses = addresses
        self.events = len(events)
        self.present: NDArray[np.int64] = np.count_nonzero(addresses, axis=1)
        """Number of events that have each module."""

    def modules(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Modules and the addresses of their pixels in the events that have them.

        Threads that go through this at the same time share the modules.
        """
        for module in self._turn:
            addresses = self._addresses[module]
            yield module, addresses[addresses != 0]


class _ModuleSums:
    """What sums of events have in common: a module of a block is added at a time, by any thread."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._module_count = np.zeros(shape[0], np.int64)
        self._count = 0

    def load(self, events: Sequence[Event]) -> Pending:
        """Prepare some events."""
        block = Block(events, self.shape)

        def add() -> None:
            for module, addresses in block.modules():
                self._add(module, addresses)

        def added() -> None:
            self._module_count += block.present
            self._count += block.events

        return Pending(add, added)

    @abstractmethod
    def _add(self, module: int, addresses: NDArray[np.int64]) -> None:
        """Add a module of the events that have it."""

    def _counted(self) -> Statistics:
        """Statistics in which the counts alone are filled in."""
        result = Statistics.empty(self.shape)
        result.count = self._count
        result.pixel_count[:] = self._module_count[:, None, None]
        return result


class RawSums(_ModuleSums):
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
        shape: Shape,
        offset: NDArray[np.float64] | None = None,
        factor: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(shape)
        pixels = (shape[0], shape[1] * shape[2])
        limits = np.iinfo(np.int16)
        self._arrays = RawArrays(
            sums=np.zeros(pixels, np.int64),
            squares=np.zeros(pixels, np.int64),
            maximum=np.full(pixels, limits.min, np.int16),
            minimum=np.full(pixels, limits.max, np.int16),
        )
        self._offset, self._factor = offset, factor

    def _add(self, module: int, addresses: NDArray[np.int64]) -> None:
        add_raw(addresses, module, self._arrays)

    def statistics(self) -> Statistics:
        """Statistics of the corrected pixels."""
        result = self._counted()
        zeros, ones = np.zeros(self.shape[1:]), np.ones(self.shape[1:])
        for module in np.flatnonzero(self._module_count):
            finish_raw(
                self._module_count[module],
                RawArrays(*(array[module] for array in self._arrays)),
                (zeros if self._offset is None else self._offset[module]).reshape(-1),
                (ones if self._factor is None else self._factor[module]).reshape(-1),
                _of_module(result, int(module)),
            )
        return result


def _of_module(result: Statistics, module: int) -> CentralArrays:
    """Arrays of one module, flat views."""
    arrays = (result.mean, result.m2, result.maximum, result.minimum)
    return CentralArrays(*(array[module].reshape(-1) for array in arrays))


def _finish(result: Statistics, sums: CorrectedArrays) -> Statistics:
    """Fill in statistics, of which the counts are known."""
    for module in range(result.shape[0]):
        finish_corrected(
            result.pixel_count[module].reshape(-1),
            CorrectedArrays(*(array[module] for array in sums)),
            _of_module(result, module),
        )
    return result


def _empty_sums(shape: Shape) -> CorrectedArrays:
    """Sums of no event, ``(modules, pixels of a module)``."""
    pixels = (shape[0], shape[1] * shape[2])
    return CorrectedArrays(
        shift=np.zeros(pixels),
        sums=np.zeros(pixels),
        squares=np.zeros(pixels),
        maximum=np.full(pixels, -np.inf, np.float32),
        minimum=np.full(pixels, np.inf, np.float32),
    )


class CorrectedSums(_ModuleSums):
    """Sums of events corrected one by one, as the common mode needs it.

    Each event is corrected in float32, in psana's order; sums are float64, of the differences
    from each pixel's first value.
    """

    def __init__(self, corrector: Corrector) -> None:
        super().__init__(corrector.shape)
        self._tables = corrector.tables
        self._arrays = _empty_sums(corrector.shape)

    def _add(self, module: int, addresses: NDArray[np.int64]) -> None:
        begin = self._module_count[module] == 0
        add_corrected(addresses, module, begin, self._tables, self._arrays)

    def statistics(self) -> Statistics:
        """Statistics so far."""
        return _finish(self._counted(), self._arrays)


class RangeSums(_ModuleSums):
    """Sums of events of a detector with gain ranges, corrected one by one as `CorrectedSums`.

    Pixels whose gain bits stand for no range have no value in that event.
    """

    def __init__(self, corrector: RangeCorrector) -> None:
        super().__init__(corrector.shape)
        self._tables = corrector.tables
        self._arrays = _empty_sums(corrector.shape)
        self._arrays.shift[:] = np.nan
        self._lacking = np.zeros(self._arrays.sums.shape, np.int32)

    def _add(self, module: int, addresses: NDArray[np.int64]) -> None:
        add_ranges(addresses, module, self._tables, self._lacking, self._arrays)

    def statistics(self) -> Statistics:
        """Statistics so far."""
        result = self._counted()
        result.pixel_count -= self._lacking.reshape(self.shape)
        return _finish(result, self._arrays)


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
        shape: Shape,
        corrector: AnyCorrector | None = None,
        begun: Statistics | None = None,
    ) -> None:
        self.shape = shape
        self._corrector = corrector
        self._statistics = begun or Statistics.empty(shape)

    def load(self, events: Sequence[Event]) -> Pending:
        """Prepare some frames; masked pixels become NaN."""
        frames = []
        for event in events:
            frame = event.raw
            assert frame is not None
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
        modules = iter(range(self.shape[0]))  # next() of it is atomic

        def add() -> None:
            for module in modules:
                of_module = self._statistics.module(module)
                for frame in frames:
                    of_module.add(frame[module])

        def added() -> None:
            self._statistics.count += len(frames)

        return Pending(add, added)

    def statistics(self) -> Statistics:
        """Statistics so far (a copy)."""
        return self._statistics.copy()


AnyAccumulator = RawSums | CorrectedSums | RangeSums | FrameSums


def make_accumulator(
    events: Sequence[Event],
    shape: Shape,
    corrector: AnyCorrector | None,
    present: AnyAccumulator | None = None,
) -> AnyAccumulator:
    """Quickest exact accumulator that takes these events of a run.

    Parameters
    ----------
    events : next events, all with data: pixels of the detector, or frames of another type.
    shape : of the detector's arrays.
    corrector : corrections, or None for raw data.
    present : the accumulator so far; given back if it takes the events, else what it has is
        taken over.
    """
    if isinstance(present, FrameSums):
        return present
    of_detector = np.int16 if not isinstance(corrector, RangeCorrector) else np.uint16
    if not all(_of_detector(event, of_detector) for event in events):
        return FrameSums(shape, corrector, None if present is None else present.statistics())
    if present is not None:
        return present
    if corrector is None:
        return RawSums(shape)
    if isinstance(corrector, RangeCorrector):
        return RangeSums(corrector)
    if corrector.linear:
        return RawSums(shape, *corrector.offset_and_factor)
    return CorrectedSums(corrector) if corrector.by_module else FrameSums(shape, corrector)


def _absent(event: Event) -> list[int]:
    """Modules an event lacks."""
    assert event.raw is not None
    return sorted(set(range(len(event.raw))).difference(*(part.modules for part in event.modules)))


def _of_detector(event: Event, dtype: type[np.int16] | type[np.uint16]) -> bool:
    """Whether pixels are those of the detector's converters: of their type, none masked."""
    return all(
        pixels.dtype == dtype and not isinstance(pixels, np.ma.MaskedArray)
        for _, pixels in event.modules
    )
