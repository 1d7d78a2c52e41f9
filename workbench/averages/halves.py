"""Events divided in two halves, so that what is found in one can be held against the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import WorkbenchError
from workbench.recipe import Events
from workbench.runs import Event, EventSource

HALVES: dict[str, tuple[str, str]] = {"odd-even": ("odd", "even"), "first-last": ("first", "last")}
"""How the events of a run are divided in two, and what the halves are called."""

_HALF = re.compile(rf"(^|_)({'|'.join(half for pair in HALVES.values() for half in pair)})-")


@dataclass(frozen=True)
class Halves:
    """How events are divided.

    Parameters
    ----------
    split : ``odd-even``: every second event with data of the detector, in the order of the run, so
        that both halves see the same conditions; ``first-last``: what came before the middle and
        what came after it, so that they differ where something moved.
    middle : of ``first-last``, index in the run of the first event of the later half.
    """

    split: str
    middle: int = 0

    def half_of(self, event: Event, number: int) -> int:
        """Half (0 or 1) of an event.

        Parameters
        ----------
        event : with its ``index`` in the run.
        number : selected events before it that have data of the detector.
        """
        return number % 2 if self.split == "odd-even" else int(event.index >= self.middle)

    def describe(self) -> dict[str, Any]:
        """Plain values for provenance and saved states."""
        middle = {} if self.split == "odd-even" else {"middle": self.middle}
        return {"halves": self.split, **middle}


def make_halves(
    split: str | None,
    run: EventSource,
    selection: Events | None,
    before: Mapping[str, Any] | None = None,
) -> Halves | None:
    """How the events of a run are divided; None if they are not.

    Parameters
    ----------
    split : ``odd-even``, ``first-last``, or None or ``none``.
    before : `Halves.describe` of an averaging that is gone on with: its middle stays.

    Raises
    ------
    WorkbenchError
        If there is no such division, or the run does not tell where its middle is.
    """
    if split is None or split == "none":
        return None
    if split not in HALVES:
        raise WorkbenchError(f"Halves are {' or '.join(HALVES)}, not {split!r}.")
    if split == "odd-even":
        return Halves(split)
    if before and isinstance(before.get("middle"), int):
        return Halves(split, before["middle"])
    if run.event_count is None:
        raise WorkbenchError(
            "The run does not tell how many events it has, so its middle is not known; use the "
            "halves odd-even."
        )
    return Halves(split, (selection or Events()).middle(run.event_count))


def half_name(name: str, half: str) -> str:
    """Name of an image of one half of the events: ``x_avg-r0074`` gives ``x_odd-avg-r0074``.

    Patterns that gather the images of runs (``*_max-r*.cbf``, ``*_max*.cbf``) do not find it.
    """
    head, bar, tail = name.rpartition("_")
    return f"{head}{bar}{half}-{tail}"


def is_half(name: str) -> bool:
    """Whether a file's name is that of an image of one half of the events."""
    return _HALF.search(name.lower()) is not None
