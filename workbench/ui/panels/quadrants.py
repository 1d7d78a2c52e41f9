"""Quadrants panel: correlation maps, offsets, accepting, overruling, before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets

from workbench import figures, pipeline
from workbench.calibrants import CALIBRANTS
from workbench.errors import WorkbenchError
from workbench.quantities import plus_minus
from workbench.session import Session, State
from workbench.session.notifier import Topic
from workbench.ui.accordion import Accordion
from workbench.ui.filling import Filling
from workbench.ui.panels.base import (
    Panel,
    labelled,
    note_text,
    picture,
    row,
    show_picture,
    table,
    warning_text,
)
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.live_figure import LiveFigure
from workbench.ui.widgets.maps_view import MapsView, correlation
from workbench.ui.widgets.styles import classed, marked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.alignment import Alignment, QuadrantAlignment
    from workbench.figures import Profile
    from workbench.geometry import Geometry
    from workbench.images import DetectorImage
    from workbench.mask import Mask
    from workbench.ui.bridge import Bridge

PROFILES, UNCERTAINTY, RESIDUALS, COMPARISON, RANKING = 1, 2, 3, 4, 6  # parts of the details
UNREFINED = (
    "Only the joint refinement of the rings tells this; these offsets are of the maps alone. Set "
    "“refine” to “rings” in the settings of the search."
)

PROFILE_MARGINS_PX = (72, 44, 12, 24)
"""Left, bottom, right and top of the radial profile, for its texts."""


class QuadrantRow:
    """Offset of one quadrant: two numbers, whether it is used, back to the one of the search.

    Attributes
    ----------
    x, y : FloatText, px. accepted : Checkbox. reset : Button.
    """

    def __init__(self, panel: QuadrantsPanel, quadrant: int, name: str) -> None:
        self.panel, self.quadrant, self.name = panel, quadrant, name
        self._filling = Filling()
        self.x, self.y = (
            labelled(
                widgets.FloatText, f"{axis} (px)",
                f"Offset of {name} along lab {axis} in pixels; arrow keys change it by 0.1 px",
                "152px", step=0.1, disabled=True,
            )
            for axis in "xy"
        )  # fmt: skip
        self.accepted = labelled(
            widgets.Checkbox, "use",
            f"Move {name} in the corrected geometry; off: leave it where it is", "70px",
            value=True, indent=False, disabled=True,
        )  # fmt: skip
        self.reset = panel.button(
            "Undo by hand", "Return to the offset of the search", self.as_searched
        )
        self.reset.disabled = True
        self.text = widgets.HTML(layout={"flex": "1 1 auto", "min_width": "200px"})
        for control in (self.x, self.y):
            control.observe(lambda change: self._typed(), "value")
        self.accepted.observe(lambda change: self._accepted(), "value")
        label = widgets.HTML(f"<b>{name}</b>", layout={"width": f"{max(34, 11 * len(name))}px"})
        self.widget = row(label, self.x, self.y, self.accepted, self.reset, self.text)

    def as_searched(self) -> None:
        """Return to the offset of the search."""
        self.panel.session.overrule(self.quadrant, None)

    def _typed(self) -> None:
        if not self._filling:
            offset = (self.x.value, self.y.value)
            self._decide(lambda: self.panel.session.overrule(self.quadrant, offset))

    def _accepted(self) -> None:
        if not self._filling:
            chosen = self.accepted.value
            self._decide(lambda: self.panel.session.accept(self.quadrant, chosen))

    def _decide(self, act: Callable[[], None]) -> None:
        self.panel.guarded(act)
        alignment = self.panel.session.alignment
        if alignment is not None:  # what was refused is not shown
            self.show(alignment.quadrants[self.quadrant])

    def show(self, quadrant: QuadrantAlignment) -> None:
        """Show a quadrant's alignment."""
        with self._filling():
            for control, value in zip((self.x, self.y), quadrant.offset_px, strict=True):
                control.disabled = False
                if abs(control.value - float(value)) > 5e-4:
                    control.value = round(float(value), 3)
            self.accepted.disabled = quadrant.verdict == "not determined"
            self.reset.disabled = quadrant.verdict != "overruled"
            self.accepted.value = quadrant.accepted
        sigma = plus_minus(quadrant.sigma_px)
        known = f"{sigma.strip()} px" if sigma else "± unknown"
        apart = quadrant.measures.event_halves_apart_px
        halves = ""
        if quadrant.halves_text:
            halves = f"two halves of the events differ by {apart:.2f} px"
        parts = [known, correlation(quadrant), halves, quadrant.verdict]
        self.text.value = " · ".join(filter(None, parts)) + warning_text(quadrant.warnings)


class QuadrantsPanel(Panel):
    """Where the quadrants really are.

    Attributes
    ----------
    find, cancel : buttons. maps : `MapsView`. rows : a `QuadrantRow` for each quadrant.
    profile : live radial profile, to stand under the pictures (`under`).
    enlarged : live correlation map of one quadrant, if one was asked for.
    """

    step = "alignment"
    looks: ClassVar[Mapping[str, object]] = {
        "tiles": "maximum", "show_rings": True, "show_outlines": True,
    }  # fmt: skip

    def __init__(
        self, session: Session, view: ImageView | None = None, bridge: Bridge | None = None
    ) -> None:
        super().__init__(session, view, bridge)
        self._is_open = False
        self._shown: Alignment | None = None  # whose "after" was shown when it came
        self.find = self.button(
            "Find offsets",
            "Find the centre of the rings on each part of the detector",
            self._find,
            "primary",
            why_not=self._why_not_find,
        )
        self.cancel = self.button(
            "Cancel", "Stop the search", session.cancel, why_not=self._why_not_cancel
        )
        self.progress = widgets.FloatProgress(
            min=0, layout={"width": "160px", "visibility": "hidden"}
        )
        self.form = self.form_of("alignment", leave_out=("saturation_adu", "min_overlap"))
        self.maps = MapsView()
        for kind in ("set", "move", "nudge", "found"):
            self.maps.on_offset(kind, partial(self._from_map, kind))
        self.maps.on_offset("enlarge", lambda quadrant, x, y: self.enlarge(quadrant))
        self.profile = LiveFigure(session.later, 170, PROFILE_MARGINS_PX)
        self.under = (self.profile.widget,)
        self._known_profiles: dict[str, tuple[tuple[object, ...], Profile]] = {}  # before, after
        self.enlarged = LiveFigure(session.later, 330)
        self._enlarged: int | None = None
        self.smaller = classed(
            self.button("Close the large map", "Show the small maps alone again", self.reduce),
            "cw-closer",
        )
        self.large_box = widgets.VBox(
            [self.enlarged.widget, self.smaller], layout={"display": "none"}
        )
        self.rows: list[QuadrantRow] = []
        self.rows_box = widgets.VBox([])
        self.verdict = widgets.HTML()
        self.stale = widgets.HTML()
        self.notes = widgets.HTML()
        self.calibrant = labelled(
            widgets.Dropdown, "Rings of", "Calibrant whose rings are drawn over the picture",
            "180px", options=list(CALIBRANTS),
        )  # fmt: skip
        self.calibrant.observe(
            lambda change: self.guarded(lambda: self.bridge.show_rings_of(self.calibrant.value)),
            "value",
        )
        self.before, self.after = (
            self.button(
                text, f"Powder picture {what}", partial(self._show, arrangement),
                why_not=self._why_not_compare,
            )
            for text, what, arrangement in (
                ("Before", "in the present geometry", "assembled"),
                ("After", "in the corrected geometry", "corrected"),
            )
        )  # fmt: skip
        self.blink = widgets.ToggleButton(
            description="Blink",
            tooltip="Switch between before and after twice a second",
            layout={"width": "auto"},
        )
        widgets.link((self.blink, "value"), (self.view, "blink"))
        self.turn_off(self.blink, self._why_not_compare)
        self.view.observe(lambda change: self._show_which(), ["arrangement", "blink"])
        self.brighter = self.button(
            "Align on the maximum",
            "Find the offsets on the maximum of the bright runs instead of their average",
            partial(session.align_with, "image", "maximum"),
        )
        self.brighter.layout.display = "none"
        self.tilted = self.button(
            "Align with the tilt",
            "Find the offsets, and tilt the whole detector in the corrected geometry too",
            partial(session.align_with, "tilt", True),
        )
        self.tilted.layout.display = "none"
        self.ranking = widgets.HTML()
        self.comparison = picture()
        self.profiles = picture()
        self.uncertainty = LiveFigure(session.later, 480)
        self.residuals = LiveFigure(session.later, 330)
        self.unrefined = widgets.HTML()
        self.details = Accordion(
            {
                "Settings of the search": self.form.widget,
                "Radial profiles before and after": self.profiles,
                "How well each offset is known": widgets.VBox(
                    [self.unrefined, self.uncertainty.widget]
                ),
                "How well the rings of each sensor fit": widgets.VBox(
                    [self.unrefined, self.residuals.widget]
                ),
                "Powder picture": self.comparison,
                "What rings tell, and what they cannot": self.notes,
                "Which image has the clearest rings": self.ranking,
            }
        )
        self.details.observe(
            lambda change: session.later("quadrant figures", self._draw), "selected_index"
        )
        self.details.observe(lambda change: self._rank(), "selected_index")
        self.box.children = [
            self.message,
            row(
                self.find, self.cancel, self.progress, self.calibrant,
                widgets.HBox([self.before, self.after, self.blink]),
            ),
            self.stale,
            self.verdict,
            row(self.brighter, self.tilted),
            self.maps,
            self.large_box,
            self.rows_box,
            self.details,
        ]  # fmt: skip
        session.subscribe("alignment", lambda: session.later("maps", self._alignment))
        session.subscribe("progress", self._progress)
        for topic in ("status", "recipe", "alignment"):
            session.subscribe(topic, self._show_stale)
        for detector_known in ("images", "status"):
            session.subscribe(detector_known, self._make_rows)
        followed: tuple[Topic, ...] = ("images", "mask", "alignment")
        for topic in followed:
            session.subscribe(topic, self._profile_later)
        self.view.observe(lambda change: self._profile_later(), "rings")
        self._make_rows()
        self.update_buttons()
        self._progress()
        if session.results.search_result is not None:
            self._alignment()

    @property
    def title(self) -> str:
        """``Quadrants``, or ``Modules`` of a detector whose modules move one by one."""
        return f"{self.session.aligned_detector.group_word}s".capitalize()

    def _make_rows(self) -> None:
        """Make a row for each quadrant of the alignment, or before there is one of the detector."""
        result = self.session.results.search_result
        detector = self.session.aligned_detector if result is None else result.detector
        names = [group.name for group in detector.groups]
        if names != [quadrant.name for quadrant in self.rows]:
            self.rows = [QuadrantRow(self, n, name) for n, name in enumerate(names)]
            self.rows_box.children = [quadrant.widget for quadrant in self.rows]

    # ---- buttons that cannot act -------------------------------------------------------------
    def _why_not_find(self) -> str:
        if self.running:
            return "The search is running."
        images = self.session.images
        if images is None or not (images.bright_average or images.maximum):
            return "There is no image with powder rings yet; average a bright run or open one."
        return ""

    def _why_not_cancel(self) -> str:
        return "" if self.running else "No search is running."

    def _why_not_compare(self) -> str:
        has_offsets = self.session.results.search_result is not None
        return "" if has_offsets else "Find the offsets first; then before and after can be shown."

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
        session, images = self.session, self.session.images
        if self.details.selected_index != RANKING or images is None:
            return
        self.ranking.value = "Comparing the images …"
        groups = len(session.aligned_detector.groups)
        clear = f"clear {session.aligned_detector.group_word}s"

        def act() -> None:
            ranked = pipeline.rank_pictures(session.recipe, images, session.mask)
            rows = [
                [image.name, f"{image.mean_cc:.4f}", f"{image.clear} of {groups}"]
                for image in ranked
            ]
            self.ranking.value = table(["image", "mean CC", clear], rows) + note_text(
                "The setting “image” decides which of the two of all bright runs is used."
            )

        session.do_slowly("ranking", act)

    def _offer(self, alignment: Alignment) -> None:
        """Offer the maximum where the rings are weak, and the tilt where it is clear.

        What was tried already is not offered.
        """
        images, used = self.session.images, alignment.settings.image
        weak = any(
            quadrant.verdict in ("uncertain", "not determined") for quadrant in alignment.quadrants
        )
        both = images is not None and images.bright_average and images.maximum
        self.brighter.layout.display = "" if weak and both and used != "maximum" else "none"
        if images is not None and len(images.bright) > 1:
            self.brighter.description = f"Align on the maximum of {len(images.bright)} runs"
        refined = alignment.refinement
        tilt = refined is not None and refined.clear_tilt_deg is not None
        self.tilted.layout.display = "" if tilt and not alignment.settings.tilt else "none"

    def _show(self, arrangement: str) -> None:
        if reason := self._why_not_compare():
            raise WorkbenchError(reason)
        self.blink.value = False
        self.view.arrangement = arrangement

    def _show_which(self) -> None:
        """Mark the button of what the picture shows."""
        for button, arrangement in ((self.before, "assembled"), (self.after, "corrected")):
            shown = self.view.arrangement == arrangement and not self.view.blink
            marked(button, "cw-shown", shown and self.session.alignment is not None)

    # ---- live figures ------------------------------------------------------------------------
    def enlarge(self, quadrant: int) -> None:
        """Show the map of a quadrant large, with the CC at the cursor."""
        self._enlarged = quadrant
        self.large_box.layout.display = ""
        self.session.later("large map", self._draw_large)

    def reduce(self) -> None:
        """Show no map large."""
        self._enlarged = None
        self.large_box.layout.display = "none"

    def _draw_large(self) -> None:
        alignment, number = self.session.alignment, self._enlarged
        if alignment is not None and number is not None and number < len(alignment.quadrants):
            quadrant, name = alignment.quadrants[number], alignment.names[number]
            self.enlarged.draw(
                lambda figure: figures.correlation_map(quadrant, name, figure=figure)
            )

    def _profile_later(self) -> None:
        if self._is_open:
            self.session.later("radial profile", self._draw_profile)

    def _profile_of(
        self, which: str, image: DetectorImage, geometry: Geometry, mask: Mask | None
    ) -> Profile:
        """Profile of this image, as it was computed if nothing has changed."""
        known = self._known_profiles.get(which)
        if known is not None:
            seen, seen_geometry, seen_mask = known[0]
            if seen is image.data and seen_geometry == geometry and seen_mask is mask:
                return known[1]
        good = None if mask is None else mask.good
        profile = figures.radial_profile(image, geometry, good)
        self._known_profiles[which] = (image.data, geometry, mask), profile
        return profile

    def _draw_profile(self) -> None:
        """Mean intensity against radius, before and after, with the rings of the calibrant."""
        session, view = self.session, self.view
        images, alignment, mask = session.images, session.alignment, session.mask
        chosen = session.recipe.alignment.image
        image = None if images is None else pipeline.alignment_image(images, chosen)
        if image is None:
            return
        present = image.geometry if alignment is None else alignment.present
        if present is None:
            return
        before, after = self._profile_of("before", image, present, mask), None
        if alignment is not None:
            after = self._profile_of("after", image, alignment.geometry, mask)
        pixel_um = view.detector.pixel_um
        rings = [(1000 * radius / pixel_um, label) for radius, label in view.rings]
        reading = figures.radius_reading(pixel_um, view.distance_mm, view.wavelength)
        self.profile.draw(
            lambda figure: figures.ring_profile(
                before, after, rings=rings, reading=reading, figure=figure
            )
        )

    def activate(self) -> None:
        """The powder picture with the quadrants moved, once their offsets are known."""
        super().activate()
        self._is_open = True
        if self.session.alignment is not None:
            self.view.arrangement = "corrected"
        self._profile_later()

    def leave(self) -> None:
        """Remember how the view is set up; results that arrive do not change it then."""
        self._is_open = False
        super().leave()

    def _progress(self) -> None:
        progress = self.running
        self.progress.layout.visibility = "hidden" if progress is None else "visible"
        if progress is not None:
            self.progress.max = progress.total or 1
            self.progress.value = progress.done

    def _show_stale(self) -> None:
        stale, text = self.session.status(self.step).state == State.STALE, ""
        if self.session.status("images").state == State.STALE:
            text = "The images are older than the settings; compute them again in step 1"
            text += ", then find the offsets again." if stale else "."
        elif stale:
            text = "Images, mask or settings changed since these offsets; find them again."
        self.stale.value = note_text(text) if text else ""

    def _alignment(self) -> None:
        alignment = self.session.alignment
        if alignment is None:
            return
        if self._is_open and self._shown is not self.session.results.search_result:
            self.view.arrangement = "corrected"
        self._shown = self.session.results.search_result
        self._show_which()
        self.maps.show(alignment)
        self._draw_large()
        self._make_rows()
        for shown, quadrant in zip(self.rows, alignment.quadrants, strict=True):
            shown.show(quadrant)
        line, word = alignment.calibrant_line, alignment.detector.group_word
        calibrated = note_text(line) if line else ""
        self.verdict.value = (
            f"{alignment.method_text}; mean of the largest correlations "
            f"<b>{alignment.mean_cc:.4f}</b>. An offset is the displacement of the ring centre in "
            f"pixels of lab x, y; the {word} is moved by minus the offset. "
            f"{calibrated}{warning_text(alignment.warnings)}"
        )
        self.notes.value = " ".join(alignment.notes)
        self._offer(alignment)
        if self.details.selected_index is not None:
            self._draw()

    def _draw(self) -> None:
        images, alignment, mask = self.session.images, self.session.alignment, self.session.mask
        if alignment is None or images is None:
            return
        image = pipeline.alignment_image(images, alignment.settings.image)
        if image is None:
            return
        chosen, refinement = self.details.selected_index, alignment.refinement
        self.unrefined.value = "" if refinement else note_text(UNREFINED)
        for live in (self.uncertainty, self.residuals):
            live.widget.layout.display = "" if refinement else "none"
        if chosen == UNCERTAINTY and refinement is not None:
            self.uncertainty.draw(
                lambda figure: figures.offset_uncertainty(
                    refinement, alignment.names, alignment.places, figure=figure
                )
            )
        elif chosen == RESIDUALS and refinement is not None:
            self.residuals.draw(
                lambda figure: figures.ring_residuals(
                    refinement.held_out, alignment.present, figure=figure
                )
            )
        elif chosen == PROFILES:
            profiles = [
                self._profile_of("before", image, alignment.present, mask),
                self._profile_of("after", image, alignment.geometry, mask),
            ]
            show_picture(self.profiles, lambda: figures.radial_profiles(*profiles))
        elif chosen == COMPARISON:
            good = None if mask is None else mask.good
            geometries = alignment.present, alignment.geometry
            show_picture(
                self.comparison,
                lambda: figures.powder_comparison(image.data, *geometries, good=good),
            )

    def summary(self) -> str:
        """Offsets as lines."""
        lines = [super().summary()]
        if self.session.alignment is not None:
            lines += self.session.alignment.lines()
        return "\n".join(lines)

    def figure(self) -> Figure | None:
        """The correlation maps."""
        alignment = self.session.alignment
        if alignment is None:
            return None
        return figures.correlation_maps(alignment)
