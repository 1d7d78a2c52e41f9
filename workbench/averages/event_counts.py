"""What is kept of events besides their pixels: counts, times, distance and wavelength."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from workbench.runs import Event


@dataclass
class Mean:
    """Mean of a number that some events tell, kept so that it can be merged."""

    count: int = 0
    origin: float = 0.0
    total: float = 0.0

    def add(self, value: float | None) -> None:
        """Count a value; None is not counted."""
        if value is None:
            return
        if not self.count:
            self.origin = value
        self.count += 1
        self.total += value - self.origin

    def merge(self, other: Mean) -> Mean:
        """Give the mean of both."""
        if not self.count or not other.count:
            return other if other.count else self
        moved = other.total + other.count * (other.origin - self.origin)
        return Mean(self.count + other.count, self.origin, self.total + moved)

    @property
    def value(self) -> float | None:
        """Give the mean, or None if no event told the number."""
        return self.origin + self.total / self.count if self.count else None


@dataclass
class EventCounts:
    """Events used and left out, and means of what they tell.

    Attributes
    ----------
    used : events averaged.
    without_data : events that had nothing to average, by reason.
    left_out : events that reader and selection did not give, by reason.
    keys : three 32-bit numbers for each event gone through, used or without data (see ``key`` of
        `workbench.runs.Event`): 12 bytes an event.
    encoder_mm, distance_mm, wavelength_angstrom, seconds : means over the events averaged that
        tell them.
    first, last : time of the first and last event averaged, seconds since 1970 UTC.
    """

    used: int = 0
    without_data: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    keys: array[int] = field(default_factory=lambda: array("I"))
    encoder_mm: Mean = field(default_factory=Mean)
    distance_mm: Mean = field(default_factory=Mean)
    wavelength_angstrom: Mean = field(default_factory=Mean)
    seconds: Mean = field(default_factory=Mean)
    first: float | None = None
    last: float | None = None

    @property
    def skipped(self) -> Counter[str]:
        """Events not averaged, by reason."""
        return self.without_data + self.left_out

    def add(self, event: Event) -> None:
        """Count an event that is averaged."""
        self.used += 1
        self.keys.extend(event.key)
        self.encoder_mm.add(event.encoder_mm)
        self.distance_mm.add(event.distance_mm)
        self.wavelength_angstrom.add(event.wavelength_angstrom)
        if event.seconds:
            when = event.seconds + event.nanoseconds * 1e-9
            self.seconds.add(when)
            self.first = when if self.first is None else min(self.first, when)
            self.last = when if self.last is None else max(self.last, when)

    def add_without_data(self, event: Event) -> None:
        """Count an event that has nothing to average."""
        self.keys.extend(event.key)
        self.without_data[event.missing or "no data"] += 1

    def merge(self, other: EventCounts) -> EventCounts:
        """Give the counts of the events of both."""
        return EventCounts(
            self.used + other.used,
            self.without_data + other.without_data,
            self.left_out + other.left_out,
            self.keys + other.keys,
            self.encoder_mm.merge(other.encoder_mm),
            self.distance_mm.merge(other.distance_mm),
            self.wavelength_angstrom.merge(other.wavelength_angstrom),
            self.seconds.merge(other.seconds),
            min((t for t in (self.first, other.first) if t is not None), default=None),
            max((t for t in (self.last, other.last) if t is not None), default=None),
        )
