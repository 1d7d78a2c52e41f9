"""Mask panel: limits under their images, layers, who removed how much, warnings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets

from workbench import figures
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.mask import FORMATS
from workbench.mask.rules import IMAGES
from workbench.quantities import thousands
from workbench.session import Session
from workbench.ui.accordion import Accordion
from workbench.ui.panels.base import (
    Panel,
    WholeNumber,
    in_words,
    labelled,
    note_text,
    picture,
    row,
    show_picture,
    warning_text,
)
from workbench.ui.panels.layers import LayersBox
from workbench.ui.panels.limits import LimitRow
from workbench.ui.panels.pixel_history import PixelHistoryBox
from workbench.ui.widgets.asic_map import asic_map
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.live_figure import LiveFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.pipeline import ImageSet
    from workbench.recipe import MaskSettings

BY_ENDING = "by its ending"
HISTORY = 2  # number of that part of the details


class MaskPanel(Panel):
    """Which pixels to trust.

    Attributes
    ----------
    limits : the three `LimitControl`, by recipe name (``avg_max stddev_max maxproj_min``).
    high, low : rows of limits; `low` is for low-gain pixels, shown if `two_gains` is on.
    layers : table of rules and layers (`LayersBox`).
    counts : HTML with the counts. picked : why the pixel that was clicked is masked or good.
    """

    title = "Mask"
    step = "mask"
    arrangement = "cw-wide-beside"
    looks: ClassVar[Mapping[str, object]] = {"show_mask": True, "can_draw": True}

    def __init__(self, session: Session, view: ImageView | None = None) -> None:
        super().__init__(session, view)
        self.high = LimitRow(session, self.view, self.guarded)
        self.low = LimitRow(session, self.view, self.guarded, low_gain=True)
        self.limits = self.high.controls
        self.two_gains = labelled(
            widgets.Checkbox, "Own limits for low gain",
            "Let the low-gain pixels of the run's gain map have limits of their own",
            value=session.recipe.mask.low_gain is not None, indent=False,
            layout={"margin": "2px 10px"},
        )  # fmt: skip
        self.two_gains.observe(lambda change: self.guarded(self._split_gains), "value")
        self.border = WholeNumber(
            "Border (pixels)", "Rows and columns masked along all four edges of each ASIC", "170px",
            value=session.recipe.mask.border, smallest=0, largest=90,
        )  # fmt: skip
        self.border.observe(
            lambda change: self.guarded(lambda: session.change("mask.border", self.border.value)),
            "value",
        )
        self.suggest = self.button(
            "Suggest limits",
            "Proposed limits by a stated robust rule; nothing changes until you take them",
            self.show_suggestions,
        )
        self.suggestions = widgets.VBox([])
        self.keep = self.button(
            "Remember this mask",
            "Remember the present limits and layers, to compare with others",
            self.keep_b,
        )
        self.swap = self.button(
            "Swap with the remembered mask",
            "Use the remembered limits and layers, and remember the present ones",
            self.swap_b,
        )
        self.swap.disabled = True
        self._b: MaskSettings | None = None  # the remembered settings
        self._b_of: ImageSet | None = None  # images its mask was made of
        self.counts = widgets.HTML()
        self.counts.add_class("cw-count")
        self.warnings = widgets.HTML()
        self.picked = widgets.HTML()
        self.layers = LayersBox(session, self.view, self.guarded, self.complain)
        self.asics = widgets.HTML(layout={"flex": "0 0 250px"})
        self._make_files()
        self.fraction = picture()
        self.curves = LiveFigure(session.later, 260)
        self.history = PixelHistoryBox(self)
        self.details = details = Accordion(
            {
                "Pixels removed against threshold": self.curves.widget,
                "Fraction masked per ASIC": widgets.VBox([self.fraction]),
                "History of the picked pixel over the events": self.history.box,
            }
        )
        details.observe(lambda change: session.later("mask figures", self._draw), "selected_index")
        details.observe(lambda change: self._read_history(), "selected_index")
        self.box.children = [
            self.message,
            self.high.widget,
            self.low.widget,
            self.counts,
            row(self.border, self.two_gains, self.suggest, self.keep, self.swap),
            self.suggestions,
            self.warnings,
            self.picked,
            widgets.HBox(
                [self.layers.widget, self.asics],
                layout={"width": "100%", "flex_flow": "row wrap", "grid_gap": "8px 14px"},
            ),
            self.files,
            self.saved,
        ]
        self.under = (details,)
        session.subscribe("recipe", self._recipe)
        session.subscribe("images", lambda: session.later("mask histograms", self._images))
        session.subscribe("counts", self._counts)
        session.subscribe("mask", self._mask)
        self.view.on("pick", lambda flat: self.guarded(lambda: self._pick(flat)))
        self._picked: int | None = None
        self._split: bool | None = None
        self._recipe()
        if session.images is not None:
            self._images()
            self._counts()
            self._mask()

    def _make_files(self) -> None:
        self.file = labelled(
            widgets.Text, "File", "Name of the mask file; it goes into the output folder", "240px",
            value=self.session.recipe.output.mask,
        )  # fmt: skip
        formats = [(f"{name}: {format.text}", name) for name, format in FORMATS.items()]
        self.format = labelled(
            widgets.Dropdown, "Format",
            "Format of the mask file and which value is a good pixel in it", "330px",
            options=[(BY_ENDING, ""), *formats],
        )  # fmt: skip
        self.save = self.button("Save mask", "Write the mask file", self.save_mask)
        self.saved = widgets.HTML()
        self.files = row(self.file, self.format, self.save)

    # ---- what the controls do ----------------------------------------------------------------
    def _split_gains(self) -> None:
        wanted, settings = self.two_gains.value, self.session.recipe.mask
        if wanted == (settings.low_gain is not None):
            return
        images = self.session.images
        if wanted and (images is None or images.low_gain is None):
            self.two_gains.value = False
            raise WorkbenchError(
                "No gain map says which pixels have low gain; average the runs here, since image "
                "files do not carry it."
            )
        self.session.change("mask.low_gain", settings.thresholds if wanted else None)

    def keep_b(self) -> None:
        """Remember the present settings as B."""
        self._b = self.session.recipe.mask
        self.swap.disabled = False
        self._show_b()

    def swap_b(self) -> None:
        """Change between A and B."""
        if self._b is None:
            raise WorkbenchError("No mask is remembered yet; press “Remember this mask” first.")
        present = self.session.recipe.mask
        self.session.set_recipe(
            self.session.recipe.changed("mask", self._b), "swap with the remembered mask"
        )
        self._b = present
        self._show_b()

    def _show_b(self) -> None:
        """Let the view blink between the mask in force and that of set B."""
        self._b_of = self.session.images

        def show() -> None:
            made = None if self._b is None else self.session.results.mask_of(self._b)
            self.view.set_other_mask(None if made is None else ~made.good)

        self.session.later("mask B", show)

    def save_mask(self) -> None:
        """Write the mask file."""
        folder, name = self.session.recipe.output.folder, self.file.value.strip()
        if not name:
            raise WorkbenchError("Write a file name for the mask first.")
        path = self.session.save_mask(Path(folder) / name, self.format.value or None)
        self.saved.value = note_text(f"Mask written to {path}.")

    def show_suggestions(self) -> None:
        """Show suggested limits, each with a button that takes it."""
        rows = self.high.suggestions(self.button)
        if self.session.recipe.mask.low_gain is not None:
            rows += self.low.suggestions(self.button)
        self.suggestions.children = rows

    def _pick(self, flat: int) -> None:
        self._picked = flat
        self._explain()
        self._read_history()

    def _read_history(self) -> None:
        if self.details.selected_index == HISTORY:
            self.history.read(self._picked)

    # ---- what is shown -----------------------------------------------------------------------
    def _recipe(self) -> None:
        settings = self.session.recipe.mask
        self.high.show_recipe()
        self.low.show_recipe()
        split = settings.low_gain is not None
        if split != self._split:
            self._split = split
            self.low.widget.layout.display = "" if split else "none"
            self.two_gains.value = split
            if self.session.images is not None:
                self.session.later("mask histograms", self._images)
        if self.border.value != settings.border:
            self.border.value = settings.border
        self.layers.show_recipe()

    def _images(self) -> None:
        self.high.show_images()
        if self.session.recipe.mask.low_gain is not None:
            self.low.show_images()

    def _counts(self) -> None:
        mask = self.session.counts
        if mask is None:
            return
        masked = mask.removals[-1].counts.cumulative
        percent = 100 * masked / mask.pixels
        by_image = zip(IMAGES.values(), mask.cctbx_counts or (), strict=False)
        self.counts.value = (
            f"<b>Masked {thousands(masked)} of {thousands(mask.pixels)} pixels "
            f"({percent:.2f} %)</b>"
            + "".join(f" · {image.words} {thousands(pixels)}" for image, pixels in by_image)
        )
        self.high.show_counts()
        self.layers.show_counts()

    def _mask(self) -> None:
        mask, images = self.session.mask, self.session.images
        if mask is None or images is None:
            return
        if self._b is not None and self._b_of is not images:
            self._show_b()
        self.warnings.value = warning_text([in_words(text) for text in mask.warnings])
        positions = (images.geometry or Geometry.ideal()).pixel_positions_um()
        self.asics.value = asic_map(self.view.detector, mask.masked_fraction_by_asic, positions)
        self._explain()
        self.session.later("mask sensitivity", self._sensitivity)
        if self.details.selected_index is not None:
            self.session.later("mask figures", self._draw)

    def _sensitivity(self) -> None:
        sensitivities = self.session.results.sensitivity()
        self.high.show_sensitivity(sensitivities)
        self.low.show_sensitivity(sensitivities)

    def _explain(self) -> None:
        if self._picked is not None and self.session.mask is not None:
            report = in_words(str(self.session.mask.explain(self._picked)))
            self.picked.value = note_text(f"Picked: {report}")

    def _draw(self) -> None:
        from workbench.figures.histograms import threshold_views

        images, mask = self.session.images, self.session.mask
        if images is None or mask is None:
            return
        if self.details.selected_index == 0:
            views = threshold_views(images, self.session.recipe.mask.thresholds)
            self.curves.draw(lambda figure: figures.threshold_curves(views, figure=figure))
        elif self.details.selected_index == 1:
            good, geometry = mask.good, images.geometry
            show_picture(self.fraction, lambda: figures.fraction_map(good, geometry))

    def summary(self) -> str:
        """Counts as ``cxi.make_dials_mask`` prints them, and the limits."""
        lines = [super().summary()]
        limits = dataclasses.asdict(self.session.recipe.mask.thresholds)
        lines.append(
            ", ".join(
                f"{name} {value:g} {self.high.controls[name].unit}"
                for name, value in limits.items()
            )
        )
        if self.session.mask is not None:
            lines += self.session.mask.cctbx_lines()
        return "\n".join(lines)

    def figure(self) -> Figure | None:
        """The three images with the mask over them."""
        images, mask = self.session.images, self.session.mask
        if images is None or not (shown := images.named()):
            return None
        return figures.detector_images(
            shown, images.geometry, good=None if mask is None else mask.good
        )
