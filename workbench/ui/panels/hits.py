"""Single events with their peaks: the threshold is tuned on the one shown, hits are stepped to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench import pipeline
from workbench.errors import WorkbenchError
from workbench.frames import find_peaks
from workbench.recipe import Corrections, Hits
from workbench.session.frames import LOWEST_SHARE
from workbench.ui.panels.base import Panel, note_text
from workbench.ui.panels.events import EventBrowser, described

if TYPE_CHECKING:
    from workbench.frames import Peaks
    from workbench.runs import Event


class HitBrowser(EventBrowser):
    """Event browser of the run that frames are written of, with peaks drawn and hits marked.

    Parameters
    ----------
    panel : where it is.
    counted : called when peaks of an event, or above another threshold, are shown.

    Attributes
    ----------
    peaks : of the event shown, down to `LOWEST_SHARE` of the threshold; None if it has no image.
    previous_hit, next_hit : buttons.
    """

    def __init__(self, panel: Panel, counted: Callable[[], None]) -> None:
        self.peaks: Peaks | None = None
        self._lowest = 0.0
        self._counted = counted
        self._shown: tuple[Event, NDArray[np.float32] | None] | None = None
        self._on_disk: tuple[int, ...] = ()
        super().__init__(panel)
        self.previous_hit = panel.button(
            "◀ hit", "Show the hit before", lambda: self.step_to_hit(-1),
            why_not=self._why_no_hits,
        )  # fmt: skip
        self.next_hit = panel.button(
            "hit ▶", "Show the next hit", lambda: self.step_to_hit(1), why_not=self._why_no_hits
        )
        self.run.description, self.run.layout.width = "", "90px"  # its choices say "run"
        self.number.layout.flex = "1 1 140px"
        self.controls.children = (
            self.run, self.previous_hit, self.previous, self.number, self.next, self.next_hit,
        )  # fmt: skip
        self.session.subscribe("mask", self.find_later)
        self.show_runs()

    # ---- runs --------------------------------------------------------------------------------
    def choices(self) -> Sequence[tuple[str, int | None]]:
        """All runs of the experiment on disk, and those of the recipe."""
        recipe = self.session.recipe
        numbers = {*self._on_disk, *recipe.experiment.bright}
        if recipe.frames.run is not None:
            numbers.add(recipe.frames.run)
        numbers.discard(recipe.experiment.dark or -1)
        options: list[tuple[str, int | None]] = [(f"run {n}", n) for n in sorted(numbers)]
        return options or [("no runs are chosen", None)]

    def show_runs(self) -> None:
        """Offer the runs, and show the one of the recipe."""
        with self._filling():
            super().show_runs()
            number = self.session.frames.run_number
            if self.run.value != number:
                self.run.value = number
                self.number.value = 0

    def list_runs(self) -> None:
        """Look which runs the experiment has."""
        if not self.session.recipe.experiment.name:
            return
        place = pipeline.experiment_folders(self.session.recipe)
        self._on_disk = tuple(run.number for run in place.runs())
        self.show_runs()

    def _run_chosen(self) -> None:
        if not self._filling and self.run.value is not None:
            self.session.change("frames.run", self.run.value)
            super()._run_chosen()

    # ---- peaks -------------------------------------------------------------------------------
    def corrections(self) -> Corrections:
        """Corrections of the events shown: those of the frames."""
        return self.session.recipe.frames.corrections

    def close(self) -> None:
        """Show the averages again."""
        super().close()
        self.view.peaks, self.peaks, self._shown = [], None, None

    def seen(self, event: Event, corrections: Corrections) -> None:
        """Find and draw its peaks, and say what is shown."""
        self._shown = event, event.data
        self.text.value = note_text(described(event, "raw" if corrections.is_raw else "corrected"))
        self._find()

    def find_later(self) -> None:
        """Find the peaks of the event shown again."""
        if self._is_open and self._shown is not None:
            self.session.look("peaks of the event", lambda: self.panel.guarded(self._find))

    def _find(self) -> None:
        shown, mask = self._shown, self.session.mask
        if shown is None or not self._is_open:
            return
        self.peaks = None
        if shown[1] is not None:
            self._lowest = LOWEST_SHARE * self.session.recipe.frames.hits.threshold_adu
            good = None if mask is None else mask.good
            self.peaks = find_peaks(shown[1], good, self._lowest)
        self.show_peaks()

    def show_peaks(self) -> None:
        """Draw the peaks above the threshold, and say whether the event is a hit."""
        hits, shown = self.session.recipe.frames.hits, self._shown
        if shown is None or not self._is_open:
            return
        if self.peaks is None:
            self.view.peaks = []
        elif hits.threshold_adu < self._lowest:
            self.find_later()
            return
        else:
            places = self.peaks.above(hits.threshold_adu)
            self.view.peaks = places.tolist()
            event = f"run {self.run.value}, event {shown[0].index}"
            self.view.event = f"{event}: {in_words(places.size, hits)}"
        self._counted()

    # ---- hits --------------------------------------------------------------------------------
    def _why_no_hits(self) -> str:
        survey = self.session.frames.survey
        if survey is None:
            return "Count the peaks of all events first."
        if not survey.hits(self.session.recipe.frames.hits).size:
            return "No event is a hit; lower the threshold or the fewest peaks."
        return ""

    def step_to_hit(self, direction: int) -> None:
        """Show the nearest hit before (-1) or after (1) the event shown."""
        survey = self.session.frames.survey
        if survey is None:
            raise WorkbenchError(self._why_no_hits())
        hits = survey.hits(self.session.recipe.frames.hits)
        here = self.number.value
        there = hits[hits > here] if direction > 0 else hits[hits < here][::-1]
        if not there.size:
            where = "after" if direction > 0 else "before"
            raise WorkbenchError(f"There is no hit {where} event {here}.")
        self.number.value = int(there[0])


def in_words(peaks: int, hits: Hits) -> str:
    """``72 peaks, a hit``."""
    kind = "a hit" if peaks >= hits.min_peaks else "no hit"
    return f"{peaks} peak{'' if peaks == 1 else 's'}, {kind}"
