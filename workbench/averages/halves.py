"""Events divided in two halves, so that what is found in one can be held against the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.averages.names import HALVES
from workbench.errors import WorkbenchError
from workbench.recipe import Events


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

    def half_of(self, event: Any, number: int) -> int:
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
    split: str | None, run: Any, selection: Events | None, before: Mapping[str, Any] | None = None
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
    count = getattr(run, "event_count", None)
    if count is None:
        raise WorkbenchError(
            "The run does not tell how many events it has, so its middle is not known; use the "
            "halves odd-even."
        )
    return Halves(split, (selection or Events()).middle(count))
