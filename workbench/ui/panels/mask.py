"""Mask panel: three limits under their images, layers, counts per rule, warnings."""

from __future__ import annotations

import dataclasses
import html
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as widgets

from workbench.errors import WorkbenchError
from workbench.recipe import mask as settings_of
from workbench.ui.form import Form
from workbench.ui.image_view import ImageView
from workbench.ui.limit_control import LimitControl
from workbench.ui.panels.base import Panel, picture, row, show_picture, table, warning_text
from workbench.ui.session import Session
from workbench.ui.styles import classed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.images import DetectorImage
    from workbench.pipeline import ImageSet

LIMITS: dict[str, dict[str, Any]] = {
    "avg_max": {
        "label": "Average ≤",
        "max": 4000.0,
        "step": 1.0,
        "masks": "above",
        "hint": "Pixels with a dark average of 0 or less, or above this (ADU), are masked",
    },
    "stddev_max": {
        "label": "Std deviation ≤",
        "max": 20.0,
        "step": 0.05,
        "masks": "above",
        "hint": "Pixels with a dark standard deviation of 0, or above this (ADU), are masked",
    },
    "maxproj_min": {
        "label": "Maximum ≥ (maxproj-min)",
        "max": 1000.0,
        "step": 1.0,
        "masks": "below",
        "hint": "Pixels whose maximum in the bright runs stays below this (ADU) are masked",
    },
}
IMAGE_OF = {"avg_max": "average", "stddev_max": "stddev", "maxproj_min": "maximum"}
NEW_LAYERS: dict[str, Any] = {
    "unbonded pixels": settings_of.UnbondedLayer(name="unbonded pixels"),
    "wide columns": settings_of.WideLayer(name="wide columns"),
    "border of each sensor": settings_of.BorderLayer(name="border of each sensor"),
    "border of each ASIC": settings_of.BorderLayer(name="border of each ASIC", of="asic"),
    "saturated pixels": settings_of.SaturatedLayer(name="saturated pixels"),
    "outliers of the average": settings_of.OutlierLayer(name="outliers of the average"),
    "outliers of the deviation": settings_of.OutlierLayer(
        name="outliers of the deviation", image="stddev"
    ),
    "grow masked regions": settings_of.GrowLayer(name="grow masked regions"),
    "small islands": settings_of.IslandLayer(name="small islands"),
    "resolution range": settings_of.ResolutionLayer(name="resolution range", to_angstrom=2.0),
    "radius range": settings_of.RadiusLayer(name="radius range", to_mm=5.0),
    "line (beam-stop arm)": settings_of.LineLayer(
        name="line (beam-stop arm)", start_mm=(0.0, 0.0), end_mm=(0.0, 60.0), width_mm=2.0
    ),
    "quadrant, sensor or ASIC": settings_of.PartLayer(name="part", parts=("Q0S0A0",)),
}


class MaskPanel(Panel):
    """Which pixels to trust.

    Attributes
    ----------
    limits : the three `LimitControl`, by recipe name (``avg_max stddev_max maxproj_min``).
    counts : HTML with the counts.
    """

    title = "Mask"
    step = "mask"
    arrangement = "cw-wide-beside"
    looks: ClassVar[dict[str, Any]] = {"show_mask": True, "can_draw": True}

    def __init__(self, session: Session, view: ImageView | None = None) -> None:
        super().__init__(session, view)
        thresholds = session.recipe.mask.thresholds
        self.limits = {
            name: LimitControl(value=getattr(thresholds, name), layout={"flex": "1 1 0"}, **made)
            for name, made in LIMITS.items()
        }
        for name, control in self.limits.items():
            control.observe(partial(self._moved, name), "value")
            control.drive(self.view, name)
        self.border = widgets.BoundedIntText(
            value=session.recipe.mask.border,
            min=0,
            max=90,
            description="Border (pixels)",
            tooltip="Rows and columns masked along all four edges of each ASIC",
            style={"description_width": "initial"},
            layout={"width": "180px"},
        )
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
            "Keep as B", "Remember the present limits and layers as set B", self.keep_b
        )
        self.swap = self.button(
            "A ⇄ B", "Change between the present set (A) and the remembered one (B)", self.swap_b
        )
        self.swap.disabled = True
        self._b: Any = None
        self._b_of: Any = None  # images its mask was made of
        self.save = self.button(
            "Save mask", "Write the mask (DIALS pickle) into the output folder", self.save_mask
        )
        self.counts = widgets.HTML()
        self.counts.add_class("cw-count")
        self.rules = widgets.HTML()
        self.warnings = widgets.HTML()
        self.add_kind = widgets.Dropdown(
            options=list(NEW_LAYERS),
            description="New layer",
            tooltip="Kind of layer to add; shapes and pixels are drawn on the images",
            style={"description_width": "initial"},
            layout={"width": "310px"},
        )
        self.add = self.button("Add", "Add this layer after the others", self.add_layer)
        self.layers = widgets.VBox([])
        self.fraction = picture()
        self.curves = picture()
        details = widgets.Accordion(
            [widgets.VBox([self.curves]), widgets.VBox([self.fraction])],
            titles=["Pixels removed against threshold", "Fraction masked per ASIC"],
            selected_index=None,
        )
        details.observe(lambda change: session.later("mask figures", self._draw), "selected_index")
        self.details = details
        self.box.children = [
            self.message,
            classed(
                widgets.HBox(
                    list(self.limits.values()), layout={"width": "100%", "grid_gap": "14px"}
                ),
                "cw-limits",
            ),
            self.counts,
            row(self.border, self.suggest, self.keep, self.swap, self.save),
            self.suggestions,
            self.warnings,
            row(self.add_kind, self.add),
            self.layers,
            self.rules,
            details,
        ]
        session.subscribe("recipe", self._recipe)
        session.subscribe("images", lambda: session.later("mask histograms", self._images))
        session.subscribe("counts", self._counts)
        session.subscribe("mask", self._mask)
        self._shown_layers: Any = None
        self._forms: list[Form] = []
        self._layers()
        if session.images is not None:
            self._images()
            self._counts()
            self._mask()

    # ---- what the controls do ----------------------------------------------------------------
    def _moved(self, name: str, _: Any = None) -> None:
        control = self.limits[name]
        path = f"mask.thresholds.{name}"
        if self.session.recipe.setting(path) != control.value:
            self.guarded(lambda: self.session.change(path, control.value, origin=control))

    def add_layer(self) -> None:
        """Add a layer of the kind chosen."""
        self.session.add_layer(NEW_LAYERS[self.add_kind.value])

    def keep_b(self) -> None:
        """Remember the present settings as B."""
        self._b = self.session.recipe.mask
        self.swap.disabled = False
        self._show_b()

    def swap_b(self) -> None:
        """Change between A and B."""
        if self._b is None:
            raise WorkbenchError("There is no set B yet; press “Keep as B” first.")
        present = self.session.recipe.mask
        self.session.set_recipe(self.session.recipe.changed("mask", self._b), "A ⇄ B")
        self._b = present
        self._show_b()

    def _show_b(self) -> None:
        """Let the view blink between the mask in force and that of set B."""
        self._b_of = self.session.images

        def show() -> None:
            made = None if self._b is None else self.session.mask_of(self._b)
            self.view.set_other_mask(None if made is None else ~made.good)

        self.session.later("mask B", show)

    def save_mask(self) -> None:
        """Write the mask file."""
        path = self.session.save_mask()
        self.warnings.value = f'<div class="cw-note">Mask written to {path}.</div>'

    def show_suggestions(self) -> None:
        """Show suggested limits, each with a button that takes it."""
        rows = []
        for found in self.session.suggestions():
            if found.value is None:
                rows.append(widgets.HTML(f'<span class="cw-note">{html.escape(found.text)}</span>'))
                continue
            value = round(float(found.value), 2)
            take = self.button(
                f"{LIMITS[found.limit]['label']} {value:g} ADU",
                "Take this limit",
                partial(self.session.change, f"mask.thresholds.{found.limit}", value),
            )
            reason = widgets.HTML(f'<span class="cw-note">{html.escape(found.text)}</span>')
            rows.append(row(take, reason))
        self.suggestions.children = rows

    # ---- what is shown -----------------------------------------------------------------------
    def _recipe(self) -> None:
        settings = self.session.recipe.mask
        for name, control in self.limits.items():
            if self.session.origin is not control:
                value = getattr(settings.thresholds, name)
                if control.value != value:
                    control.value = value
        if self.border.value != settings.border:
            self.border.value = settings.border
        self._layers()

    def _images(self) -> None:
        images = self.session.images
        for name, control in self.limits.items():
            image = getattr(images, IMAGE_OF[name], None)
            control.set_image(None if image is None else image.data)

    def _counts(self) -> None:
        mask = self.session.counts
        if mask is None:
            return
        masked = max((count.cumulative for count in mask.counts.values()), default=0)
        percent = 100 * masked / mask.pixels
        average, stddev, maximum = mask.cctbx_counts or (0, 0, 0)
        self.counts.value = (
            f"<b>Masked {number(masked)} of {number(mask.pixels)} pixels ({percent:.2f} %)</b>"
            f" · average {number(average)} · std deviation {number(stddev)}"
            f" · maximum {number(maximum)}"
        )

    def _mask(self) -> None:
        mask = self.session.mask
        if mask is None:
            return
        if self._b is not None and self._b_of is not self.session.images:
            self._show_b()
        rows = [[one.label, *one.counts] for one in mask.removals if one.counts.total]
        self.rules.value = table(
            ["rule or layer", "removes", "it alone", "with those above"],
            rows,
            "Pixels removed, by rule and layer",
        )
        self.warnings.value = warning_text(mask.warnings)
        if self.details.selected_index is not None:
            self.session.later("mask figures", self._draw)

    def _layers(self) -> None:
        layers = self.session.recipe.mask.layers
        if layers == self._shown_layers:
            return
        same = self._shown_layers is not None and [type(one) for one in layers] == [
            type(one) for one in self._shown_layers
        ]
        self._shown_layers = layers
        if same:
            for form, layer in zip(self._forms, layers, strict=True):
                form.show(layer)
            return
        self._forms = []
        rows = []
        for place, layer in enumerate(layers):
            form = Form(
                layer,
                partial(self.session.set_layer, place),
                self.complain,
                leave_out=("sha256", "format"),
            )
            self._forms.append(form)
            title = widgets.HTML(
                f"<b>{place + 1}. {layer.kind}</b>", layout={"width": "110px", "flex": "0 0 auto"}
            )
            up = self.button(
                "↑", "Apply this layer earlier",
                partial(self.session.move_layer, place, -1), width="36px",
            )  # fmt: skip
            remove = self.button(
                "✕", "Remove this layer (undo brings it back)",
                partial(self.session.set_layer, place, None), width="36px",
            )  # fmt: skip
            rows.append(widgets.HBox([title, form.widget, up, remove], layout={"width": "100%"}))
        self.layers.children = rows

    def _draw(self) -> None:
        from workbench import figures

        images, mask = self.session.images, self.session.mask
        if images is None or mask is None:
            return
        if self.details.selected_index == 0:
            views = threshold_views(self.session)
            show_picture(self.curves, lambda: figures.threshold_curves(views))
        elif self.details.selected_index == 1:
            good, geometry = mask.good, images.geometry
            show_picture(self.fraction, lambda: figures.fraction_map(good, geometry))

    def summary(self) -> str:
        """Counts as ``cxi.make_dials_mask`` prints them, and the limits."""
        lines = [super().summary()]
        limits = dataclasses.asdict(self.session.recipe.mask.thresholds)
        lines.append(", ".join(f"{name} {value:g} ADU" for name, value in limits.items()))
        if self.session.mask is not None:
            lines += self.session.mask.cctbx_lines()
        return "\n".join(lines)

    def figure(self) -> Figure | None:
        """The three images with the mask over them."""
        from workbench import figures

        images, mask = self.session.images, self.session.mask
        if images is None:
            return None
        shown = {name: image.data for name, image in named_images(images).items()}
        if not shown:
            return None
        return figures.detector_images(
            shown, images.geometry, good=None if mask is None else mask.good
        )


def number(value: int) -> str:
    """Whole number with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u2009")


def threshold_views(session: Session) -> list[Any]:
    """What the curves of pixels removed against threshold need."""
    from workbench.figures.histograms import ThresholdView

    if session.images is None:
        return []
    shown = named_images(session.images)
    limits = session.recipe.mask.thresholds
    views = []
    if "average" in shown:
        views.append(ThresholdView("average", shown["average"].data, limits.avg_max, "above"))
    if "standard deviation" in shown:
        data = shown["standard deviation"].data
        views.append(ThresholdView("standard deviation", data, limits.stddev_max, "above"))
    if "maximum" in shown:
        views.append(ThresholdView("maximum", shown["maximum"].data, limits.maxproj_min, "below"))
    return views


def named_images(images: ImageSet) -> dict[str, DetectorImage]:
    """The images there are, by the names used in pictures."""
    named = {
        "average": images.average,
        "standard deviation": images.stddev,
        "maximum": images.maximum,
    }
    return {name: image for name, image in named.items() if image is not None}
