"""Which events of a run are used, and the reason why another is not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from workbench.recipe.fields import require, setting


@dataclass(frozen=True)
class Events:
    """Which events of a run are used. An event's index counts all events of the run from 0."""

    skip: int = setting(0, "events left out at the start of a run")
    limit: int | None = setting(None, "at most this many events of a run")
    every: int = setting(1, "use every n-th event")
    stop: int | None = setting(None, "index of the first event no longer used")
    indices: tuple[int, ...] = setting((), "only the events with these indices (empty: all)")
    event_codes: tuple[int, ...] = setting((), "only events with one of these codes (empty: all)")
    photon_energy_min_ev: float | None = setting(None, "only events of at least this, eV")
    photon_energy_max_ev: float | None = setting(None, "only events of at most this, eV")

    def __post_init__(self) -> None:
        require(self.skip >= 0, f"skip is {self.skip}; it must be 0 or more")
        require(self.limit is None or self.limit > 0, f"limit is {self.limit}; it must be above 0")
        require(self.every >= 1, f"every is {self.every}; it must be 1 or more")
        require(
            self.stop is None or self.stop > self.skip,
            f"stop is {self.stop}; it must be above skip ({self.skip})",
        )
        require(min(self.indices, default=0) >= 0, "indices must be 0 or more")
        low, high = self.photon_energy_min_ev, self.photon_energy_max_ev
        require(
            low is None or high is None or low <= high,
            f"photon_energy_min_ev {low} is above photon_energy_max_ev {high}",
        )
        object.__setattr__(self, "_indices", frozenset(self.indices))
        object.__setattr__(self, "_last", max(self.indices, default=-1))

    @property
    def uses_beamline(self) -> bool:
        """True if event codes or the photon energy decide."""
        return bool(
            self.event_codes
            or self.photon_energy_min_ev is not None
            or self.photon_energy_max_ev is not None
        )

    def why_not_index(self, index: int) -> str | None:
        """Reason why the event of this index is left out, or None."""
        if index < self.skip:
            return "before the first event used"
        if self.stop is not None and index >= self.stop:
            return "after the last event used"
        if self.indices and index not in self._indices:  # type: ignore[attr-defined]
            return "not in the list of events"
        if (index - self.skip) % self.every:
            return f"not every {self.every}th event"
        return None

    def why_not_beam(
        self, event_codes: Collection[int] | None, photon_energy_ev: float | None
    ) -> str | None:
        """Reason why an event with these codes and photon energy is left out, or None."""
        if self.event_codes and not set(self.event_codes).intersection(event_codes or ()):
            return "without the event code"
        low, high = self.photon_energy_min_ev, self.photon_energy_max_ev
        if low is None and high is None:
            return None
        if photon_energy_ev is None:
            return "photon energy unknown"
        if (low is not None and photon_energy_ev < low) or (
            high is not None and photon_energy_ev > high
        ):
            return "photon energy outside the range"
        return None

    def finished(self, index: int, used: int) -> bool:
        """True if no event from `index` on can be used, after `used` events were."""
        return (
            (self.limit is not None and used >= self.limit)
            or (self.stop is not None and index >= self.stop)
            or bool(self.indices and index > self._last)  # type: ignore[attr-defined]
        )

    def among(self, count: int) -> Sequence[int]:
        """Indices of the events used of a run of so many events.

        Event codes and photon energies are not known beforehand: where they decide, these are the
        events among which they choose.
        """
        chosen: Sequence[int] = range(self.skip, min(count, self.stop or count), self.every)
        if self.indices:
            chosen = [index for index in sorted(set(self.indices)) if index in chosen]
        return chosen if self.uses_beamline else chosen[: self.limit]

    def middle(self, count: int) -> int:
        """Index of the event in the middle of those that `among` gives; 0 if there are none."""
        chosen = self.among(count)
        return chosen[len(chosen) // 2] if chosen else 0

    def describe(self) -> str:
        """Give one line for people, e.g. ``from event 5 on, at most 100 events``."""
        parts = [f"from event {self.skip} on"] if self.skip else []
        if self.stop is not None:
            parts.append(f"before event {self.stop}")
        if self.limit is not None:
            parts.append(f"at most {self.limit} events")
        if self.every > 1:
            parts.append(f"one in {self.every}")
        if self.indices:
            parts.append(f"{len(self.indices)} events by their index")
        if self.event_codes:
            parts.append("event code " + " or ".join(map(str, self.event_codes)))
        if self.photon_energy_min_ev is not None:
            parts.append(f"at least {self.photon_energy_min_ev:g} eV")
        if self.photon_energy_max_ev is not None:
            parts.append(f"at most {self.photon_energy_max_ev:g} eV")
        return ", ".join(parts) or "all events"
