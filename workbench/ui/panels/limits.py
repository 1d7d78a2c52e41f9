"""The mask panel's limits: three controls for all pixels, and three more for those of low gain."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as widgets

from workbench.session import Session
from workbench.ui.panels.base import row
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.limit_control import LimitControl
from workbench.ui.widgets.styles import classed

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
_RULE_OF = {"avg_max": "average_high", "stddev_max": "stddev_high", "maxproj_min": "maximum_low"}


class LimitRow:
    """Three limits of one gain.

    Parameters
    ----------
    low_gain : of the low-gain pixels (setting ``mask.low_gain``), or of all the others.

    Attributes
    ----------
    controls : the three `LimitControl`, by recipe name.
    """

    def __init__(
        self,
        session: Session,
        view: ImageView,
        guarded: Callable[[Callable[[], Any]], None],
        low_gain: bool = False,
    ) -> None:
        self.session, self.low_gain, self._guarded = session, low_gain, guarded
        self.group = "low_gain" if low_gain else "thresholds"
        limits = self._limits()
        self.controls: dict[str, LimitControl] = {}
        for name, made in LIMITS.items():
            label = f"Low gain: {made['label'].lower()}" if low_gain else made["label"]
            control = LimitControl(
                value=getattr(limits, name), layout={"flex": "1 1 0"}, **{**made, "label": label}
            )
            control.observe(partial(self._moved, name), "value")
            control.drive(view, f"low_{name}" if low_gain else name)
            self.controls[name] = control
        self.widget = classed(
            widgets.HBox(
                list(self.controls.values()), layout={"width": "100%", "grid_gap": "14px"}
            ),
            "cw-limits",
        )

    def show_recipe(self) -> None:
        """Follow the recipe, except where a control in the hand has made the change."""
        limits = self._limits()
        for name, control in self.controls.items():
            value = getattr(limits, name)
            if self.session.origin is not control and control.value != value:
                control.value = value

    def show_images(self) -> None:
        """Histograms of the images: of the pixels that these limits are for."""
        images, split = self.session.images, self.session.recipe.mask.low_gain is not None
        low = getattr(images, "low_gain", None)
        for name, control in self.controls.items():
            image = getattr(images, IMAGE_OF[name], None)
            values = None if image is None else image.data
            if values is not None and low is not None and split:
                values = values[low == self.low_gain]
            control.set_image(values)

    def show_counts(self) -> None:
        """What each limit removes, while it moves."""
        mask = self.session.counts
        if mask is None or self.low_gain:
            return
        for name, control in self.controls.items():
            total, alone, _ = mask.counts[_RULE_OF[name]]
            control.note = f"removes {_number(total)}, alone {_number(alone)}"

    def show_sensitivity(self, found: Any) -> None:
        """What ±20 % of each limit would change, once it rests."""
        mask, prefix = self.session.counts, "low_gain." if self.low_gain else ""
        moved = {one.limit: one for one in found}
        for name, control in self.controls.items():
            one = moved.get(prefix + name)
            if one is None or mask is None:
                continue
            here, less, more = one.masked
            text = f"−20 %: {_change(less - here)}, +20 %: {_change(more - here)} pixels masked"
            if not self.low_gain:
                total, alone, _ = mask.counts[_RULE_OF[name]]
                text = f"removes {_number(total)}, alone {_number(alone)} · {text}"
            control.note = text

    def suggestions(self, take: Callable[..., widgets.Button]) -> list[widgets.Widget]:
        """Lines with suggested limits, each with a button (made by `take`) that takes it."""
        session, split = self.session, self.session.recipe.mask.low_gain is not None
        lines = []
        for found in session.suggestions(self.low_gain) if split else session.suggestions():
            label = self.controls[found.limit].label
            reason = widgets.HTML(f'<span class="cw-note">{html.escape(found.text)}</span>')
            if found.value is None:
                name = widgets.HTML(f'<span class="cw-note">{html.escape(label)}: none,</span>')
                lines.append(row(name, reason))
                continue
            value = round(float(found.value), 2)
            button = take(
                f"{label} {value:g} ADU", "Take this limit",
                partial(self.session.change, f"mask.{self.group}.{found.limit}", value),
            )  # fmt: skip
            lines.append(row(button, reason))
        return lines

    def _limits(self) -> Any:
        settings = self.session.recipe.mask
        return (settings.low_gain if self.low_gain else None) or settings.thresholds

    def _moved(self, name: str, _: Any = None) -> None:
        settings, control = self.session.recipe.mask, self.controls[name]
        if self.low_gain and settings.low_gain is None:
            return
        if getattr(self._limits(), name) != control.value:
            path = f"mask.{self.group}.{name}"
            self._guarded(lambda: self.session.change(path, control.value, origin=control))
            control.value = getattr(self._limits(), name)  # if it was refused


def _number(value: int) -> str:
    return f"{value:,}".replace(",", "\u2009")


def _change(value: int) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else '±'}{_number(abs(value))}"
