"""Frames panel: events with their peaks, hits chosen, frames written for DIALS and CrystFEL."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from workbench import figures
from workbench.errors import WorkbenchError
from workbench.frames import FORMATS
from workbench.quantities import size_text
from workbench.session import Session
from workbench.session.frame_lines import GEOMETRY, MASK
from workbench.session.frames import SURVEY, FramesPlan
from workbench.ui.accordion import Accordion
from workbench.ui.filling import Filling
from workbench.ui.links import link_to
from workbench.ui.panels.base import Panel, WholeNumber, labelled, note_text, row, warning_text
from workbench.ui.panels.hits import HitBrowser, in_words
from workbench.ui.panels.run import show_progress
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.limit_control import LimitControl, nice
from workbench.ui.widgets.live_figure import LiveFigure
from workbench.ui.widgets.styles import classed

if TYPE_CHECKING:
    from workbench.frames import FramesWritten, Peaks
    from workbench.ui.bridge import Bridge

LINKS = 6
"""Files named one by one."""


class FramesPanel(Panel):
    """Single events become frames.

    Attributes
    ----------
    browser : `HitBrowser`. threshold, min_peaks : of hits. hits_figure : peaks of all events.
    only_hits, format, whole_adu, folder : what is written, and where.
    count, write, resume, cancel : buttons. planned, result : what will be written; what was.
    """

    title = "Frames"
    step = "frames"
    works = ("frames", SURVEY)
    looks: ClassVar[Mapping[str, object]] = {"show_mask": True}

    def __init__(
        self, session: Session, view: ImageView | None = None, bridge: Bridge | None = None
    ) -> None:
        super().__init__(session, view, bridge)
        frames = session.recipe.frames
        self._is_open = False
        self._filling = Filling()
        self._peaks: Peaks | None = None  # whose histogram is shown
        self.browser = HitBrowser(self, self._show_peaks)
        self.threshold = LimitControl(
            value=frames.hits.threshold_adu,
            label="Peak threshold",
            hint="A peak is a good pixel this much above zero and above its surroundings",
            masks="below",
            max=nice(3 * frames.hits.threshold_adu),
            step=5.0,
        )
        self.min_peaks = WholeNumber(
            "Fewest peaks of a hit", "Events with fewer are blank", "230px",
            value=frames.hits.min_peaks, smallest=0, largest=10**6,
        )  # fmt: skip
        self.count = self.button(
            "Count peaks in all events", "Mark the hits of the run; nothing is written",
            session.count_peaks, why_not=self._why_not_count,
        )  # fmt: skip
        self.hits_figure = LiveFigure(session.later, 190)
        self.hits_figure.widget.layout.display = "none"
        self.events_form = self.form_of("frames.events")
        self.corrections_form = self.form_of("frames.corrections")
        options = Accordion(
            {
                "Which events": self.events_form.widget,
                "Corrections of the frames": self.corrections_form.widget,
            }
        )
        self.only_hits = labelled(
            widgets.Checkbox, "Only hits", "Leave events with fewer peaks out", value=True,
            indent=False, layout={"margin": "2px 14px 2px 2px"},
        )  # fmt: skip
        self.format = labelled(
            widgets.Dropdown, "Format", "Of the files", "330px",
            options=[(kind.text, name) for name, kind in FORMATS.items()],
        )  # fmt: skip
        self.whole_adu = labelled(
            widgets.Checkbox, "Whole ADU", "Round to whole ADU; smaller files", indent=False
        )
        self.folder = labelled(
            widgets.Text, "Folder",
            "Where the frames go; without a path it is in the output folder", "420px",
            continuous_update=False, placeholder="frames-r<run>",
        )  # fmt: skip
        self.overwrite = labelled(
            widgets.Checkbox, "Replace frames that are there",
            "Otherwise nothing is written where there are frames already", indent=False,
        )  # fmt: skip
        self.planned = classed(widgets.HTML(), "cw-plan")
        self.write = self.button(
            "Write frames", "Write the frames into the folder", self._write, "primary",
            why_not=self._why_not_write,
        )  # fmt: skip
        self.resume = self.button(
            "Resume", "Resume where a cancelled or failed export stopped",
            lambda: session.write_frames(resume=True), why_not=self._why_not_resume,
        )  # fmt: skip
        self.cancel = self.button(
            "Cancel", "Stop; frames that are finished stay", session.cancel,
            why_not=lambda: "" if self.running else "Nothing is being counted or written.",
        )  # fmt: skip
        self.progress = widgets.FloatProgress(min=0, max=1, layout={"width": "200px"})
        self.progress_text = widgets.HTML()
        self.result = widgets.HTML()
        self.box.children = [
            self.message,
            self.browser.box,
            self.threshold,
            row(self.min_peaks, self.count),
            self.hits_figure.widget,
            row(self.only_hits, self.format, self.whole_adu),
            row(self.folder, self.overwrite),
            self.planned,
            row(self.write, self.resume, self.cancel, self.progress, self.progress_text),
            self.result,
            options,
        ]
        self._settings: dict[str, widgets.Widget] = {
            "frames.hits.threshold_adu": self.threshold,
            "frames.hits.min_peaks": self.min_peaks,
            "frames.only_hits": self.only_hits,
            "frames.format": self.format,
            "frames.whole_adu": self.whole_adu,
            "frames.folder": self.folder,
        }
        for path, control in self._settings.items():
            control.observe(lambda change, path=path: self._changed(path, change.owner), "value")
        session.subscribe("recipe", self._recipe)
        session.subscribe("progress", self._progress)
        for topic in ("peaks", "mask", "alignment", "frames"):
            session.subscribe(topic, self._show_later)
        session.subscribe("frames", self._show_result)
        self._recipe()
        self._progress()
        self.update_buttons()

    def activate(self) -> None:
        """Show the event chosen, in the geometry of the frames."""
        super().activate()
        self.view.arrangement = "assembled" if self.session.corrected is None else "corrected"
        self._is_open = True
        self.session.look("runs of the frames", lambda: self.guarded(self.browser.list_runs))
        self.browser.open()
        self._show_later()

    def leave(self) -> None:
        """Leave the single events."""
        self._is_open = False
        self.browser.close()
        super().leave()

    # ---- what a person does ------------------------------------------------------------------
    def _changed(self, path: str, control: widgets.Widget) -> None:
        if self._filling:
            return
        value = control.value
        if self.session.recipe.setting(path) != value:
            self.guarded(lambda: self.session.change(path, value, origin=control))
            control.value = self.session.recipe.setting(path)  # if it was refused

    def _write(self) -> None:
        self.session.write_frames(overwrite=self.overwrite.value)

    def _why_not_count(self) -> str:
        return "Peaks are being counted." if self.running else self.session.frames.why_not()

    def _why_not_write(self) -> str:
        wait = "Wait until the present work ends." if self.running else ""
        return wait or self.session.frames.why_not_write()

    def _why_not_resume(self) -> str:
        if reason := self._why_not_write():
            return reason
        if not self.session.frames.can_resume:
            return "There is no export to resume in this folder."
        return ""

    # ---- what is shown -----------------------------------------------------------------------
    def _recipe(self) -> None:
        with self._filling():
            for path, control in self._settings.items():
                value = self.session.recipe.setting(path)
                if control is not self.session.history.origin and control.value != value:
                    control.value = value
        self.browser.show_peaks()
        self._show_later()

    def _show_later(self) -> None:
        if self._is_open:
            self.session.look("frames", lambda: self.guarded(self._show))

    def _show(self) -> None:
        """Hits of all events, and what will be written."""
        self._show_hits()
        try:
            self.planned.value = planned(self.session.frames.plan(), self.session)
        except WorkbenchError as error:
            self.planned.value = note_text(str(error))
        self.update_buttons()

    def _show_peaks(self) -> None:
        peaks, hits = self.browser.peaks, self.session.recipe.frames.hits
        self.threshold.unit = self.browser.unit
        self.whole_adu.description = f"Whole {self.browser.unit}"
        if peaks is None:
            self.threshold.note = "This event has no image."
            return
        number = peaks.above(hits.threshold_adu).size
        self.threshold.note = f"This event: {in_words(number, hits)}."
        if peaks is not self._peaks:
            self._peaks = peaks
            with self.threshold.hold_sync():
                self.threshold.without = "No peaks in this event"
                self.threshold.set_image(low_heights(peaks.heights_adu, hits.threshold_adu))
                self.threshold.removed, self.threshold.highest = [], None
            self._show_hits()

    def _show_hits(self) -> None:
        survey, hits = self.session.frames.survey, self.session.recipe.frames.hits
        self.hits_figure.widget.layout.display = "none" if survey is None else ""
        if survey is None:
            return
        counts, shown = survey.counts(hits.threshold_adu), self.browser.number.value
        self.hits_figure.draw(
            lambda figure: figures.peaks_per_event(
                survey.indices, counts, hits.min_peaks, shown, figure=figure
            )
        )

    def _progress(self) -> None:
        progress = self.running
        if progress is not None:
            doing = "counting peaks" if progress.step == SURVEY else "writing"
            progress = replace(progress, message=doing)
        show_progress(self.progress, self.progress_text, progress)

    def _show_result(self) -> None:
        written = self.session.frames.written
        self.result.value = "" if written is None else result(written)


def low_heights(heights_adu: NDArray[np.float64], threshold_adu: float) -> NDArray[np.float64]:
    """Heights around a threshold: a few strong peaks would squeeze the others together."""
    if not heights_adu.size:
        return heights_adu
    top = max(float(np.percentile(heights_adu, 80)), 3 * threshold_adu)
    return heights_adu[heights_adu <= top]


def planned(plan: FramesPlan, session: Session) -> str:
    """What will be written and how large, as HTML."""
    frames = session.recipe.frames
    events = "events" if plan.events is None else f"{plan.events} events"
    if plan.hits is not None:
        what = f"{plan.hits} frames of {events}"
    else:
        what = f"the hits among {events}" if frames.only_hits else f"frames of {events}"
    size = ""
    if plan.bytes is not None:
        most = "at most " if plan.hits is None and frames.only_hits else ""
        free = "" if plan.free_bytes is None else f"; {size_text(plan.free_bytes)} are free"
        size = f" ({most}{size_text(plan.bytes)} before compression{free})"
    lines = [
        f"Run {plan.run}: {what}, {FORMATS[frames.format].text}{size}.",
        " ".join(plan.facts),
        f"Into {plan.folder}",
    ]
    return (
        "<b>What will be written</b>"
        + "".join(map(note_text, lines))
        + (warning_text(plan.warnings))
    )


def result(written: FramesWritten) -> str:
    """What was written, with links, as HTML."""
    size = sum(path.stat().st_size for path in written.files)
    files = [*written.files[:LINKS], *written.beside, written.table]
    files += [path for name in (MASK, GEOMETRY) if (path := written.folder / name).is_file()]
    more = len(written.files) - LINKS
    text = f"<b>{written.count} frames written</b> of {len(written.rows)} events, {size_text(size)}"
    text += f", in {html.escape(str(written.folder))}"
    text += "".join(f"<div>{link_to(path, path.name)}</div>" for path in files)
    if more > 0:
        text += note_text(f"and {more} more")
    return text + warning_text(written.warnings)
