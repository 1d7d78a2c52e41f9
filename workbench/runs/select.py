"""Which events of a run are used; the others are counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

from workbench.recipe import Events
from workbench.runs.protocols import Event

AnyEvent = TypeVar("AnyEvent", bound=Event)


def selected(
    events: Iterable[AnyEvent], selection: Events | None, skipped: Counter[str]
) -> Iterator[AnyEvent]:
    """Give the selected ones of `events`, counted by their ``index``; None selects all."""
    if selection is None:
        yield from events
        return
    used = 0
    for event in events:
        if selection.finished(event.index, used):
            return
        reason = selection.why_not_index(event.index)
        if reason is None and selection.uses_beamline:
            reason = selection.why_not_beam(event.event_codes, event.photon_energy_ev)
        if reason is None:
            used += 1
            yield event
            if selection.finished(event.index + 1, used):
                return
        else:
            skipped[reason] += 1
