"""Progress of several runs as one: which run is read, and how far all of them are."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.pipeline.averaging import RunToAverage, averaging_key, experiment_folders
from workbench.progress import Progress
from workbench.recipe import Recipe

if TYPE_CHECKING:
    from workbench.averages import RunImages


class OverallProgress:
    """Counts the events of all runs, and names the run in the message: ``run 74, 2 of 3``.

    Parameters
    ----------
    progress : where it is reported.
    events : events expected of each run, in the order in which they are read; 0 for a run that is
        not read again.
    """

    def __init__(self, progress: Progress, events: Mapping[int, float]) -> None:
        self._progress = progress
        self._events = dict(events)
        self._run: int | None = None
        self._before = 0.0
        self._message = ""

    @property
    def cancelled(self) -> bool:
        """True once the user wants the work to stop."""
        return self._progress.cancelled

    def begin(self, run: int) -> None:
        """Say that the events that follow are those of `run`."""
        order = list(self._events)
        place = order.index(run)
        self._run, self._before = run, sum(self._events[other] for other in order[:place])
        of_all = f", {place + 1} of {len(order)}" if len(order) > 1 else ""
        self._message = f"run {run}{of_all}"
        self.update(0)

    def update(self, done: float, total: float | None = None, message: str = "") -> None:
        """`done` events of the present run are finished."""
        if self._run is not None:
            self._events[self._run] = max(done, self._events[self._run] if total is None else total)
        expected = sum(self._events.values())
        self._progress.update(self._before + done, expected or None, self._message or message)


def expected_events(
    recipe: Recipe, runs: Sequence[RunToAverage], known: MutableMapping[str, RunImages] | None
) -> dict[int, float]:
    """About how many events of each run will be read; 0 where that cannot be said."""
    from workbench.runs import estimate_events

    selection = recipe.events
    expected: dict[int, float] = {run: 0 for run, _, _ in runs}
    try:
        files = {run.number: run for run in experiment_folders(recipe).runs()}
        for run, corrections, halves in runs:
            is_known = known and averaging_key(recipe, run, corrections, halves) in known
            if not is_known and run in files:
                limits = [n for n in (selection.limit, len(selection.indices)) if n]
                expected[run] = min([estimate_events(files[run]), *limits])
    except (WorkbenchError, OSError):
        return expected
    return expected
