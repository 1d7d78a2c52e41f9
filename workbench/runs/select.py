"""Which events of a run are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from workbench.recipe import Events

AnyEvent = TypeVar("AnyEvent", bound=Any)


def chosen(events: Iterable[AnyEvent], selection: Events) -> Iterator[AnyEvent]:
    """Give the selected ones of `events`, which are counted by their ``index``."""
    used = 0
    for event in events:
        if selection.limit is not None and used >= selection.limit:
            return
        if event.index < selection.skip or (event.index - selection.skip) % selection.every:
            continue
        used += 1
        yield event
