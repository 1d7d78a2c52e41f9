"""Event browser: single events of a run in the image view, corrected, with the mask over them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ipywidgets as widgets

from workbench import pipeline
from workbench.corrections import corrected_unit
from workbench.recipe import Corrections
from workbench.ui.filling import Filling
from workbench.ui.panels.base import Panel, labelled, note_text, row
from workbench.ui.widgets.image_view import SINGLE_EVENT

if TYPE_CHECKING:
    from workbench.runs import Event, Run


class EventBrowser:
    """Steps through the events of the recipe's runs; each is read where nothing waits for it.

    Attributes
    ----------
    box : what to display. run, number : which event. previous, next : buttons. text : about it.
    unit : of its pixels.
    """

    def __init__(self, panel: Panel) -> None:
        self.panel, self.session, self.view = panel, panel.session, panel.view
        self.run = labelled(
            widgets.Dropdown, "Run", "Run whose events are shown", "180px", options=[]
        )
        self.number = labelled(
            widgets.IntSlider, "Event", "Number of the event in the run, from 0", "360px",
            min=0, max=0, continuous_update=False,
        )  # fmt: skip
        self.previous = panel.button(
            "◀", "Show the event before", lambda: self.step(-1), width="40px"
        )
        self.next = panel.button("▶", "Show the next event", lambda: self.step(1), width="40px")
        self.text = widgets.HTML()
        self.number.layout.width, self.number.layout.flex = "auto", "1 1 180px"
        self.controls = row(self.run, self.previous, self.number, self.next)
        self.box = widgets.VBox([self.controls, self.text])
        self._opened: tuple[object, Run] | None = None
        self._is_open = False
        self._filling = Filling()
        self.unit = "ADU"
        self._before = (self.view.tiles, self.view.show_mask)  # what was shown
        self.run.observe(lambda change: self._run_chosen(), "value")
        self.number.observe(lambda change: self._read_later(), "value")
        self.session.subscribe("recipe", self.show_runs)
        self.show_runs()

    # ---- what a person does ------------------------------------------------------------------
    def open(self) -> None:
        """Show the event chosen, with the mask over it."""
        if not self._is_open:
            self._is_open, self._before = True, (self.view.tiles, self.view.show_mask)
            self.view.show_mask = True
        self._read_later()

    def close(self) -> None:
        """Show the averages again."""
        if self._is_open:
            self._is_open = False
            self.view.event = ""
            tiles, self.view.show_mask = self._before
            if self.view.tiles == SINGLE_EVENT:
                self.view.tiles = tiles if tiles != SINGLE_EVENT else "side by side"

    def step(self, by: int) -> None:
        """Show an event before or after."""
        self.number.value = min(max(self.number.value + by, 0), self.number.max)

    def _run_chosen(self) -> None:
        if not self._filling:
            self.number.value = 0
            self._read_later()

    # ---- reading -----------------------------------------------------------------------------
    def choices(self) -> Sequence[tuple[str, int | None]]:
        """Runs to choose from: those of the recipe, the bright ones first."""
        experiment = self.session.recipe.experiment
        options: list[tuple[str, int | None]]
        options = [(f"bright run {number}", number) for number in experiment.bright]
        if experiment.dark is not None:
            options.append((f"dark run {experiment.dark}", experiment.dark))
        return options or [("no runs are chosen", None)]

    def show_runs(self) -> None:
        """Offer the runs."""
        options = tuple(self.choices())
        if options != tuple(self.run.options):
            self.run.options = options
        if self.run.index is None:  # ipywidgets chooses none by itself after an empty list or None
            self.run.index = 0

    def _read_later(self) -> None:
        if self._is_open:
            self.session.look("single event", lambda: self.panel.guarded(self._read))

    def _read(self) -> None:
        chosen, index = self.run.value, self.number.value
        if chosen is None:
            self.text.value = note_text("Choose a dark or a bright run above.")
            return
        recipe = self.session.recipe
        corrections = self.corrections()
        key = (recipe.experiment, chosen)
        if self._opened is None or self._opened[0] != key:
            self._opened = key, pipeline.open_recipe_run(recipe, chosen)
        run = self._opened[1]
        self.number.max = max(0, (run.event_count or 1) - 1)
        self.number.value = index = min(index, self.number.max)
        event = pipeline.read_event(run, index, corrections)
        if self._is_open:
            title = f"run {chosen}, event {index}"
            self.unit = corrected_unit(corrections, run)
            self.panel.bridge.show_event(
                event.data, title, chosen, self.unit, lambda: self._is_open
            )
            self.seen(event, corrections)

    def seen(self, event: Event, corrections: Corrections) -> None:
        """Say what is shown."""
        how = "raw" if corrections.is_raw else "corrected as the averages are"
        self.text.value = note_text(described(event, how))

    def corrections(self) -> Corrections:
        """Corrections of the events shown: those of the averages."""
        recipe = self.session.recipe
        is_dark = self.run.value == recipe.experiment.dark
        return recipe.dark_corrections if is_dark else recipe.bright_corrections


def described(event: Event, how: str) -> str:
    """Number, time, fiducials, wavelength, and how it is corrected."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.seconds))
    parts = [
        f"event {event.index}",
        f"{when}.{event.nanoseconds // 1_000_000:03d} local time",
        f"fiducials {event.fiducials}",
    ]
    if event.photon_energy_ev is not None and event.wavelength_angstrom is not None:
        parts.append(f"{event.photon_energy_ev:.0f} eV, {event.wavelength_angstrom:.4f} Å")
    if event.event_codes:
        parts.append(f"event codes {', '.join(map(str, event.event_codes))}")
    parts.append(f"no image: {event.missing}" if event.missing else how)
    return " · ".join(parts)
