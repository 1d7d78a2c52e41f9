"""What is kept of events besides their pixels: counts, times, distance and wavelength."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


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
class Tally:
    """Events used and left out, and means of what they tell.

    Attributes
    ----------
    used : events averaged.
    skipped : events left out, by reason.
    encoder_mm, wavelength_angstrom, seconds : means over the events averaged that tell them.
    first, last : time of the first and last event averaged, seconds since 1970 UTC.
    """

    used: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    encoder_mm: Mean = field(default_factory=Mean)
    wavelength_angstrom: Mean = field(default_factory=Mean)
    seconds: Mean = field(default_factory=Mean)
    first: float | None = None
    last: float | None = None

    def add(self, event: Any) -> None:
        """Count an event that is averaged."""
        self.used += 1
        self.encoder_mm.add(getattr(event, "encoder_mm", None))
        self.wavelength_angstrom.add(getattr(event, "wavelength_angstrom", None))
        if getattr(event, "seconds", None):
            when = event.seconds + event.nanoseconds * 1e-9
            self.seconds.add(when)
            self.first = when if self.first is None else min(self.first, when)
            self.last = when if self.last is None else max(self.last, when)

    def merge(self, other: Tally) -> Tally:
        """Give the tally of the events of both."""
        return Tally(
            self.used + other.used,
            self.skipped + other.skipped,
            self.encoder_mm.merge(other.encoder_mm),
            self.wavelength_angstrom.merge(other.wavelength_angstrom),
            self.seconds.merge(other.seconds),
            min((t for t in (self.first, other.first) if t is not None), default=None),
            max((t for t in (self.last, other.last) if t is not None), default=None),
        )
