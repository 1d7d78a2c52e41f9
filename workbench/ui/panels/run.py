"""Run panel: which runs or files, corrections and events, averaging with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ipywidgets as widgets

from workbench import figures
from workbench.recipe import Images
from workbench.session import PARTIAL, Session, describe_images
from workbench.ui.accordion import Accordion
from workbench.ui.panels.base import Panel, note_text, row, table, warning_text
from workbench.ui.panels.events import EventBrowser
from workbench.ui.panels.paths import PathBrowser
from workbench.ui.panels.sources import FileChoice, RecipeChoice, RunChoice, hint
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.styles import classed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.pipeline import ImageSet
    from workbench.session import JobProgress
    from workbench.session.recent import Remembered
    from workbench.ui.bridge import Bridge

SINGLE_EVENTS = 2  # number of that part of the options
SOURCES = ("runs on disk", "image files", "recipe file")


class RunPanel(Panel):
    """What is calibrated.

    Attributes
    ----------
    source : runs on disk, image files, or a recipe file.
    runs, images, saved : what is chosen there (`RunChoice`, `FileChoice`, `RecipeChoice`).
    paths : `PathBrowser`, for folders and files. average, cancel : buttons.
    earlier, resume, dismiss : recent calibrations, to go on with one of them.
    browser : `EventBrowser`, in the last part of `options`.
    averaged : table of the runs averaged and files read.
    """

    title = "Run & averages"
    step = "images"

    def __init__(
        self, session: Session, view: ImageView | None = None, bridge: Bridge | None = None
    ) -> None:
        super().__init__(session, view, bridge)
        self.source = widgets.ToggleButtons(
            options=SOURCES,
            tooltips=[
                "Average raw runs (XTC)",
                "Start from images that exist already",
                "Continue a saved calibration",
            ],
            style={"button_width": "120px"},
        )
        self.paths = PathBrowser(self)
        self.runs = RunChoice(self)
        self.images = FileChoice(self)
        self.saved = RecipeChoice(self, self._opened)
        self.dark_form = self.form_of("dark_corrections")
        self.bright_form = self.form_of("bright_corrections")
        self.events_form = self.form_of("events")
        self.browser = EventBrowser(self)
        corrections = widgets.VBox(
            [
                hint("Dark run (the mask needs it uncorrected):"),
                self.dark_form.widget,
                hint("Bright runs:"),
                self.bright_form.widget,
            ]
        )
        options = Accordion(
            {
                "Corrections": corrections,
                "Events used": self.events_form.widget,
                "Single events": self.browser.box,
            }
        )
        options.observe(lambda change: self._browse(change.new), "selected_index")
        self.options = options
        self.runs_box = widgets.VBox([self.runs.box, options])
        self.average = self.button(
            "Compute averages", "Average the chosen runs, or read the chosen images",
            session.compute_images, "primary", "170px", why_not=self._why_not_compute,
        )  # fmt: skip
        self.cancel = self.button(
            "Cancel", "Stop averaging; what is there so far is kept and marked partial",
            session.cancel, why_not=self._why_not_cancel,
        )  # fmt: skip
        self.progress = widgets.FloatProgress(min=0, max=1, layout={"width": "200px"})
        self.progress_text = widgets.HTML()
        self.averaged = widgets.HTML()
        self.earlier = widgets.Dropdown(
            options=[], tooltip="Recent calibrations, the newest first", layout={"width": "auto"}
        )
        self.resume = self.button("Continue", "Continue this calibration", self.go_on, "info")
        self.dismiss = self.button(
            "✕", "Close this and start a new calibration", self.stop_offering, width="36px"
        )
        self.offer_text = widgets.HTML()
        self.offer_box = classed(
            widgets.VBox([self.offer_text, row(self.earlier, self.resume, self.dismiss)]),
            "cw-offer",
        )
        self._go_on: Callable[[Remembered], None] | None = None
        self._offered: dict[str, Remembered] = {}
        self.stop_offering()
        self.box.children = [
            self.message,
            self.offer_box,
            self.source,
            self.paths.box,
            self.runs_box,
            self.images.box,
            self.saved.box,
            row(self.average, self.cancel, self.progress, self.progress_text),
            self.averaged,
        ]
        self.source.observe(lambda change: self._show_source(), "value")
        session.subscribe("recipe", self._recipe)
        session.subscribe("progress", self._progress)
        session.subscribe("images", self._images)
        if session.recipe.images != Images() and not session.recipe.experiment.name:
            self.source.value = SOURCES[1]
        self._show_source()
        self._progress()
        self._images()
        self.update_buttons()

    def _browse(self, opened: int | None) -> None:
        if opened == SINGLE_EVENTS:
            self.browser.open()
        else:
            self.browser.close()

    def leave(self) -> None:
        """Leave the single events; the picture is other panels' too."""
        if self.options.selected_index == SINGLE_EVENTS:
            self.options.selected_index = None
        super().leave()

    # ---- recent calibrations -----------------------------------------------------------------
    def offer(
        self, earlier: Sequence[Remembered], why: str, go_on: Callable[[Remembered], None]
    ) -> None:
        """Offer recent calibrations; nothing happens before one is chosen."""
        self._offered = {calibration.title: calibration for calibration in earlier}
        self._go_on = go_on
        self.earlier.options = tuple(self._offered)
        self.earlier.index = 0 if self._offered else None
        self.offer_text.value = note_text(why)
        self.offer_box.layout.display = "" if self._offered else "none"

    def go_on(self) -> None:
        """Go on with the calibration chosen."""
        chosen = self._offered[self.earlier.value]
        self.stop_offering()
        if self._go_on is not None:
            self._go_on(chosen)
        self._opened()

    def stop_offering(self) -> None:
        """Hide the recent calibrations."""
        self.offer_box.layout.display = "none"

    def _opened(self) -> None:
        recipe = self.session.recipe
        by_files = recipe.images != Images() and not recipe.experiment.bright
        self.source.value = SOURCES[1] if by_files else SOURCES[0]
        if recipe.experiment.name:
            self.runs.list_runs()

    # ---- what is shown -----------------------------------------------------------------------
    def _show_source(self) -> None:
        boxes = (self.runs_box, self.images.box, self.saved.box)
        for name, box in zip(SOURCES, boxes, strict=True):
            box.layout.display = "" if name == self.source.value else "none"
        self.average.layout.display = "none" if self.source.value == SOURCES[2] else ""
        self.average.description = (
            "Compute averages" if self.source.value == SOURCES[0] else "Open images"
        )
        self.update_buttons()

    def _recipe(self) -> None:
        self.runs.show()
        self.images.show()

    def _progress(self) -> None:
        show_progress(self.progress, self.progress_text, self.running)

    def _why_not_compute(self) -> str:
        if self.running is not None:
            return "Averaging is running already."
        recipe = self.session.recipe
        if recipe.images != Images() or self.source.value != SOURCES[0]:
            return ""
        if not recipe.experiment.name:
            return "Choose an experiment first."
        if recipe.experiment.dark is None and not recipe.experiment.bright:
            return "Choose a dark run or bright runs first."
        return ""

    def _why_not_cancel(self) -> str:
        return "No averaging is running." if self.running is None else ""

    def _images(self) -> None:
        if self.session.images is not None:
            self.stop_offering()
            self.averaged.value = described(self.session.images)

    def summary(self) -> str:
        """Runs that were averaged."""
        lines = [super().summary()]
        if self.session.images is not None:
            lines.append(describe_images(self.session.images))
        return "\n".join(lines)

    def figure(self) -> Figure | None:
        """The images, side by side."""
        images = self.session.images
        if images is None or not (shown := images.named()):
            return None
        return figures.detector_images(shown, images.geometry)


def show_progress(
    bar: widgets.FloatProgress, text: widgets.HTML, progress: JobProgress | None
) -> None:
    """Show how far a job is, as a bar and in words; hide both where there is none."""
    bar.layout.display = "none" if progress is None else ""
    if progress is None:
        text.value = ""
        return
    bar.max = progress.total or max(1.0, progress.done)
    bar.value = progress.done
    text.value = progress_line(progress)


def progress_line(progress: JobProgress) -> str:
    """``run 74, 2 of 3 · 120 of 900 events · 35 events/s · 22 s left``."""
    if not progress.done:
        return progress.message or "opening the runs …"
    of_all = f" of {progress.total:.0f}" if progress.total else ""
    parts = [
        progress.message,
        f"{progress.done:.0f}{of_all} events",
        f"{progress.rate:.0f} events/s",
        "" if progress.remaining is None else f"{progress.remaining:.0f} s left",
    ]
    return " · ".join(filter(None, parts))


def described(images: ImageSet) -> str:
    """Table of the runs averaged, files read and warnings, as HTML."""
    rows, warnings = [], []
    kinds = [
        *([("dark", images.dark)] if images.dark else []),
        *(("bright", b) for b in images.bright),
    ]
    for kind, run in kinds:
        skipped = ", ".join(f"{n} {why}" for why, n in run.skipped.items()) or "none"
        rows.append(
            [
                f"{kind} run {run.run}" + (" (partial)" if run.partial else ""),
                int(run.count),
                skipped,
                "–" if run.distance_mm is None else f"{run.distance_mm:.2f}",
                "–" if run.wavelength_angstrom is None else f"{run.wavelength_angstrom:.4f}",
            ]
        )
        warnings += [f"run {run.run}: {text}" for text in run.warnings]
    text = ""
    if rows:
        text = table(["", "events", "left out", "distance (mm)", "wavelength (Å)"], rows)
    if images.partial:
        warnings.append(PARTIAL)
    for kind, path in images.files.items():
        text += note_text(f"{kind.replace('_', ' ')}: {path}")
    return text + warning_text(warnings)
