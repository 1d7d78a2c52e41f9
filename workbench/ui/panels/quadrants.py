"""Quadrants panel: correlation maps, offsets, accepting, overruling, before and after."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as widgets
import numpy as np

from workbench.calibrants import CALIBRANTS
from workbench.errors import WorkbenchError
from workbench.session import Session, State
from workbench.ui.folds import Folds
from workbench.ui.form import Form
from workbench.ui.panels.base import (
    Panel,
    note_text,
    picture,
    row,
    show_picture,
    table,
    warning_text,
)
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.maps_view import MapsView, correlation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKING = 4  # number of that fold


class QuadrantRow:
    """Offset of one quadrant: two numbers, accept, back to the one found.

    Attributes
    ----------
    x, y : FloatText, px. accepted : Checkbox. found : Button.
    """

    def __init__(self, panel: QuadrantsPanel, quadrant: int) -> None:
        self.panel, self.quadrant = panel, quadrant
        self._quiet = False
        number: dict[str, Any] = {
            "step": 0.1, "layout": {"width": "152px"}, "disabled": True,
            "style": {"description_width": "initial"},
        }  # fmt: skip
        self.x = widgets.FloatText(
            description="x (px)",
            tooltip=f"Offset of quadrant {quadrant} along lab x, pixels; arrows: 0.1 px",
            **number,
        )
        self.y = widgets.FloatText(
            description="y (px)",
            tooltip=f"Offset of quadrant {quadrant} along lab y, pixels; arrows: 0.1 px",
            **number,
        )
        self.accepted = widgets.Checkbox(
            value=True,
            indent=False,
            disabled=True,
            description="use",
            tooltip="Move this quadrant in the corrected geometry; off: leave it where it is",
            layout={"width": "70px"},
        )
        self.found = panel.button(
            "As found", "Return to the offset that was found", self.as_found, width="90px"
        )
        self.found.disabled = True
        self.text = widgets.HTML(layout={"flex": "1 1 auto", "min_width": "200px"})
        for control in (self.x, self.y):
            control.observe(lambda change: self._typed(), "value")
        self.accepted.observe(lambda change: self._accepted(), "value")
        label = widgets.HTML(f"<b>Q{quadrant}</b>", layout={"width": "34px"})
        self.widget = row(
            label, self.x, self.y, self.accepted, self.found, self.text,
        )  # fmt: skip

    def as_found(self) -> None:
        """Return to the offset that was found."""
        self.panel.session.overrule(self.quadrant, None)

    def _typed(self) -> None:
        if not self._quiet:
            offset = (self.x.value, self.y.value)
            self._decide(lambda: self.panel.session.overrule(self.quadrant, offset))

    def _accepted(self) -> None:
        if not self._quiet:
            chosen = self.accepted.value
            self._decide(lambda: self.panel.session.accept(self.quadrant, chosen))

    def _decide(self, act: Callable[[], None]) -> None:
        self.panel.guarded(act)
        alignment = self.panel.session.alignment
        if alignment is not None:  # what was refused is not shown
            self.show(alignment.quadrants[self.quadrant])

    def show(self, one: Any) -> None:
        """Show a quadrant's alignment."""
        self._quiet = True
        try:
            for control, value in zip((self.x, self.y), one.offset_px, strict=True):
                control.disabled = False
                if abs(control.value - float(value)) > 5e-4:
                    control.value = round(float(value), 3)
            self.accepted.disabled = one.verdict == "not determined"
            self.found.disabled = one.verdict != "overruled"
            self.accepted.value = one.accepted
        finally:
            self._quiet = False
        sigma = one.sigma_px
        known = f"± {sigma[0]:.2f}, {sigma[1]:.2f} px" if np.isfinite(sigma).all() else "± unknown"
        notes = warning_text(one.warnings)
        parts = [known, correlation(one), one.halves_text, one.verdict]
        self.text.value = " · ".join(part for part in parts if part) + notes


class QuadrantsPanel(Panel):
    """Where the quadrants really are.

    Attributes
    ----------
    find, cancel : buttons. maps : `MapsView`. rows : four `QuadrantRow`.
    """

    title = "Quadrants"
    step = "alignment"
    looks: ClassVar[dict[str, Any]] = {
        "tiles": "maximum", "show_rings": True, "show_outlines": True,
    }  # fmt: skip

    def __init__(self, session: Session, view: ImageView | None = None, bridge: Any = None) -> None:
        super().__init__(session, view)
        if bridge is not None:
            self.bridge = bridge
        self.find = self.button(
            "Find offsets",
            "Correlate each quadrant with itself, rotated, over all trial offsets",
            self._find,
            "primary",
        )
        self.cancel = self.button("Cancel", "Stop the search", session.cancel)
        self.cancel.disabled = True
        self.progress = widgets.FloatProgress(
            min=0, max=4, layout={"width": "160px", "visibility": "hidden"}
        )
        self.form = Form(
            session.recipe.alignment,
            lambda new: session.change("alignment", new),
            self.complain,
            leave_out=("saturation_adu", "min_overlap"),
        )
        self.maps = MapsView()
        self.maps.on_offset("set", partial(self._from_map, "set"))
        self.maps.on_offset("move", partial(self._from_map, "move"))
        self.maps.on_offset("nudge", partial(self._from_map, "nudge"))
        self.maps.on_offset("found", partial(self._from_map, "found"))
        self.rows = [QuadrantRow(self, quadrant) for quadrant in range(4)]
        self.verdict = widgets.HTML()
        self.stale = widgets.HTML()
        self.notes = widgets.HTML()
        self.calibrant = widgets.Dropdown(
            options=list(CALIBRANTS),
            description="Rings of",
            tooltip="Calibrant whose rings are drawn over the picture",
            style={"description_width": "initial"},
            layout={"width": "180px"},
        )
        self.calibrant.observe(
            lambda change: self.guarded(lambda: self.bridge.show_rings_of(self.calibrant.value)),
            "value",
        )
        self.before = self.button(
            "Before", "Powder picture in the present geometry", lambda: self._show("assembled")
        )
        self.after = self.button(
            "After", "Powder picture with the quadrants moved", lambda: self._show("corrected")
        )
        self.blink = widgets.ToggleButton(
            description="Blink",
            tooltip="Change between before and after twice a second",
            layout={"width": "auto"},
        )
        widgets.link((self.blink, "value"), (self.view, "blink"))
        self.brighter = self.button(
            "Align on the maximum",
            "Find the offsets on the merged maximum of the bright runs instead of their average",
            lambda: session.align_on("maximum"),
        )
        self.brighter.layout.display = "none"
        self.ranking = widgets.HTML()
        self.comparison = picture()
        self.profiles = picture()
        self.details = Folds(
            [
                widgets.VBox([self.form.widget]),
                widgets.VBox([self.profiles]),
                widgets.VBox([self.comparison]),
                widgets.VBox([self.notes]),
                widgets.VBox([self.ranking]),
            ],
            titles=[
                "Settings of the search",
                "Radial profiles before and after",
                "Powder picture",
                "What rings cannot tell",
                "Which picture has the clearest rings",
            ],
        )
        self.details.observe(
            lambda change: session.later("quadrant figures", self._draw), "selected_index"
        )
        self.details.observe(lambda change: self._rank(), "selected_index")
        self.box.children = [
            self.message,
            row(
                self.find, self.cancel, self.progress,
                widgets.HBox([self.calibrant, self.before, self.after, self.blink]),
            ),
            self.stale,
            self.verdict,
            row(self.brighter),
            self.maps,
            *[one.widget for one in self.rows],
            self.details,
        ]  # fmt: skip
        session.subscribe("alignment", lambda: session.later("maps", self._alignment))
        session.subscribe("progress", self._progress)
        for topic in ("status", "recipe", "alignment"):
            session.subscribe(topic, self._tell_stale)
        session.subscribe("recipe", lambda: self.form.show(session.recipe.alignment))
        if session.results.search_result is not None:
            self._alignment()

    def _find(self) -> None:
        self.form.show(self.session.recipe.alignment)  # a refused value is not what is used
        self.session.compute_alignment()

    def _from_map(self, kind: str, quadrant: int, x: float, y: float) -> None:
        if kind == "nudge":
            self.guarded(lambda: self.session.nudge(quadrant, x, y))
        else:
            offset = None if kind == "found" else (x, y)
            self.guarded(lambda: self.session.overrule(quadrant, offset, kind == "move"))

    def _rank(self) -> None:
        from workbench import pipeline

        session, images = self.session, self.session.images
        if self.details.selected_index != RANKING or images is None:
            return
        self.ranking.value = "Looking at each picture …"

        def act() -> None:
            rows = [
                [one.name, f"{one.mean_cc:.4f}", f"{one.clear} of 4"]
                for one in pipeline.rank_pictures(session.recipe, images, session.mask)
            ]
            self.ranking.value = (
                table(["picture", "mean CC", "clear quadrants"], rows)
                + "The setting <i>image</i> decides which of the two of all bright runs is used."
            )

        session.do_slowly("ranking", act)

    def _offer_maximum(self, alignment: Any) -> None:
        """The merged maximum is the next step where rings are weak and it was not tried yet."""
        images, used = self.session.images, alignment.settings.image
        weak = any(one.verdict in ("uncertain", "not determined") for one in alignment.quadrants)
        both = images is not None and images.bright_average and images.maximum
        self.brighter.layout.display = "" if weak and both and used != "maximum" else "none"
        if images is not None and len(images.bright) > 1:
            self.brighter.description = f"Align on the maximum of {len(images.bright)} runs"

    def _show(self, arrangement: str) -> None:
        if self.session.results.search_result is None:
            raise WorkbenchError("Find the offsets first; then before and after can be compared.")
        self.blink.value = False
        self.view.arrangement = arrangement

    def _progress(self) -> None:
        progress = self.session.jobs.progress
        running = progress is not None and progress.step == self.step
        self.cancel.disabled = not running
        self.find.disabled = running
        self.progress.layout.visibility = "visible" if running else "hidden"
        if running and progress is not None:
            self.progress.value = progress.done

    def _tell_stale(self) -> None:
        stale, text = self.session.status(self.step).state == State.STALE, ""
        if self.session.status("images").state == State.STALE:
            text = "The images are older than the settings (step 1 computes them again)"
            text += ", and so are the offsets." if stale else "."
        elif stale:
            text = "Images, mask or settings changed since; Find offsets follows them."
        self.stale.value = note_text(text) if text else ""

    def _alignment(self) -> None:
        alignment = self.session.alignment
        if alignment is None:
            return
        self.maps.show(alignment)
        for shown, one in zip(self.rows, alignment.quadrants, strict=True):
            shown.show(one)
        line = alignment.calibrant_line
        calibrated = note_text(line) if line else ""
        self.verdict.value = (
            f"<b>Mean CC {alignment.mean_cc:.4f}</b>, method {alignment.method}; offsets are "
            "displacements of the ring centre in pixels of lab x, y: the quadrant moves by minus "
            f"the offset. {calibrated}{warning_text(alignment.warnings)}"
        )
        self.notes.value = " ".join(alignment.notes)
        self._offer_maximum(alignment)
        if self.details.selected_index is not None:
            self._draw()

    def _draw(self) -> None:
        from workbench import figures, pipeline

        images, alignment, mask = self.session.images, self.session.alignment, self.session.mask
        if alignment is None or images is None:
            return
        image = pipeline.alignment_image(images, alignment.settings.image)
        if image is None:
            return
        good = None if mask is None else mask.good
        before, after = alignment.present, alignment.geometry
        if self.details.selected_index == 1:
            profiles = [figures.radial_profile(image.data, g, good=good) for g in (before, after)]
            show_picture(self.profiles, lambda: figures.radial_profiles(*profiles))
        elif self.details.selected_index == 2:
            show_picture(
                self.comparison,
                lambda: figures.powder_comparison(image.data, before, after, good=good),
            )

    def summary(self) -> str:
        """Offsets as lines."""
        lines = [super().summary()]
        if self.session.alignment is not None:
            lines += self.session.alignment.lines()
        return "\n".join(lines)

    def figure(self) -> Figure | None:
        """The four maps."""
        from workbench import figures

        alignment = self.session.alignment
        if alignment is None:
            return None
        return figures.correlation_maps(alignment, alignment.present)
