"""Quadrants panel: correlation maps, offsets, accepting, overruling, before and after."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as widgets
import numpy as np

from workbench.calibrants import CALIBRANTS
from workbench.errors import WorkbenchError
from workbench.ui.folds import Folds
from workbench.ui.form import Form
from workbench.ui.image_view import ImageView
from workbench.ui.maps_view import MapsView
from workbench.ui.panels.base import Panel, picture, row, show_picture, warning_text
from workbench.ui.session import Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS_PX = (0.1, 0.5, 1.0)


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
            self.panel.guarded(lambda: self.panel.session.overrule(self.quadrant, offset))

    def _accepted(self) -> None:
        if not self._quiet:
            chosen = self.accepted.value
            self.panel.guarded(lambda: self.panel.session.accept(self.quadrant, chosen))

    def show(self, one: Any) -> None:
        """Show a quadrant's alignment."""
        self._quiet = True
        try:
            for control, value in zip((self.x, self.y), one.offset_px, strict=True):
                control.disabled = False
                if abs(control.value - float(value)) > 5e-4:
                    control.value = round(float(value), 3)
            self.accepted.disabled = self.found.disabled = False
            self.accepted.value = one.accepted
        finally:
            self._quiet = False
        sigma = one.sigma_px
        known = f"± {sigma[0]:.2f}, {sigma[1]:.2f} px" if np.isfinite(sigma).all() else "± unknown"
        notes = warning_text(one.warnings)
        parts = [known, f"CC {one.cc:.4f}", one.halves_text, one.verdict]
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
            session.compute_alignment,
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
        self.maps.on_offset("nudge", partial(self._from_map, "nudge"))
        self.maps.on_offset("found", partial(self._from_map, "found"))
        self.rows = [QuadrantRow(self, quadrant) for quadrant in range(4)]
        self.verdict = widgets.HTML()
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
        self.comparison = picture()
        self.profiles = picture()
        self.details = Folds(
            [
                widgets.VBox([self.form.widget]),
                widgets.VBox([self.profiles]),
                widgets.VBox([self.comparison]),
                widgets.VBox([self.notes]),
            ],
            titles=[
                "Settings of the search",
                "Radial profiles before and after",
                "Powder picture",
                "What rings cannot tell",
            ],
        )
        self.details.observe(
            lambda change: session.later("quadrant figures", self._draw), "selected_index"
        )
        self.box.children = [
            self.message,
            row(
                self.find, self.cancel, self.progress,
                widgets.HBox([self.calibrant, self.before, self.after, self.blink]),
            ),
            self.verdict,
            self.maps,
            *[one.widget for one in self.rows],
            self.details,
        ]  # fmt: skip
        session.subscribe("alignment", lambda: session.later("maps", self._alignment))
        session.subscribe("progress", self._progress)
        session.subscribe("recipe", lambda: self.form.show(session.recipe.alignment))
        if session.found is not None:
            self._alignment()

    def _from_map(self, kind: str, quadrant: int, x: float, y: float) -> None:
        if kind == "nudge":
            self.guarded(lambda: self.session.nudge(quadrant, x, y))
        else:
            offset = (x, y) if kind == "set" else None
            self.guarded(lambda: self.session.overrule(quadrant, offset))

    def _show(self, arrangement: str) -> None:
        if self.session.found is None:
            raise WorkbenchError("Find the offsets first; then before and after can be compared.")
        self.blink.value = False
        self.view.arrangement = arrangement

    def _progress(self) -> None:
        moment = self.session.moment
        running = moment is not None and moment.step == self.step
        self.cancel.disabled = not running
        self.find.disabled = running
        self.progress.layout.visibility = "visible" if running else "hidden"
        if running and moment is not None:
            self.progress.value = moment.done

    def _alignment(self) -> None:
        alignment = self.session.alignment
        if alignment is None:
            return
        self.maps.show(alignment)
        for shown, one in zip(self.rows, alignment.quadrants, strict=True):
            shown.show(one)
        self.verdict.value = (
            f"<b>Mean CC {alignment.mean_cc:.4f}</b>, method {alignment.method}; offsets are "
            "displacements of the ring centre in pixels of lab x, y: the quadrant moves by minus "
            f"the offset. {warning_text(alignment.warnings)}"
        )
        self.notes.value = " ".join(alignment.notes)
        if self.details.selected_index is not None:
            self._draw()

    def _draw(self) -> None:
        from workbench import figures, pipeline

        images, alignment, mask = self.session.images, self.session.alignment, self.session.mask
        image = None if images is None else pipeline.alignment_image(images)
        if alignment is None or image is None:
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
