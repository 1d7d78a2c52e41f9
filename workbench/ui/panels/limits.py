"""The mask panel's limits: one control for each threshold rule, one more for low gain."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import ipywidgets as widgets

from workbench.mask.rules import LIMITS
from workbench.quantities import thousands
from workbench.session import Session
from workbench.ui.panels.base import row
from workbench.ui.widgets.image_view import ImageView, low_gain_trait
from workbench.ui.widgets.limit_control import LimitControl
from workbench.ui.widgets.styles import classed

if TYPE_CHECKING:
    from workbench.mask.suggest import Sensitivity
    from workbench.recipe import Thresholds


class LimitRow:
    """Limits of one gain.

    Parameters
    ----------
    low_gain : of the low-gain pixels (setting ``mask.low_gain``), or of all the others.

    Attributes
    ----------
    controls : the `LimitControl`, by recipe name.
    """

    def __init__(
        self,
        session: Session,
        view: ImageView,
        guarded: Callable[[Callable[[], object]], None],
        low_gain: bool = False,
    ) -> None:
        self.session, self.low_gain, self._guarded = session, low_gain, guarded
        self.group = "low_gain" if low_gain else "thresholds"
        limits = self._limits()
        self.controls: dict[str, LimitControl] = {}
        for name, rule in LIMITS.items():
            control = LimitControl(
                value=getattr(limits, name),
                label=f"Low gain: {rule.label.lower()}" if low_gain else rule.label,
                hint=rule.hint,
                unit=rule.unit,
                masks=rule.side,
                max=rule.slider[0],
                step=rule.slider[1],
                layout={"flex": "1 1 0"},
            )
            control.observe(partial(self._moved, name), "value")
            control.drive(view, low_gain_trait(name) if low_gain else name)
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
            if self.session.history.origin is not control and control.value != value:
                control.value = value

    def show_images(self) -> None:
        """Histograms of the images: of the pixels that these limits are for."""
        images, split = self.session.images, self.session.recipe.mask.low_gain is not None
        low = getattr(images, "low_gain", None)
        for name, control in self.controls.items():
            image = getattr(images, LIMITS[name].image, None)
            values = None if image is None else image.data
            control.unit = "ADU" if image is None else image.unit
            if values is not None and low is not None and split:
                values = values[low == self.low_gain]
            control.set_image(values, positive=bool(LIMITS[name].lowest))

    def show_counts(self) -> None:
        """What each limit removes, while it moves."""
        mask = self.session.counts
        if mask is None or self.low_gain:
            return
        for name, control in self.controls.items():
            total, alone, _ = mask.counts[LIMITS[name].name]
            control.note = _removes(total, alone)

    def show_sensitivity(self, sensitivities: Sequence[Sensitivity]) -> None:
        """What ±20 % of each limit would change, once it rests."""
        mask, prefix = self.session.counts, "low_gain." if self.low_gain else ""
        by_limit = {sensitivity.limit: sensitivity for sensitivity in sensitivities}
        for name, control in self.controls.items():
            sensitivity = by_limit.get(prefix + name)
            if sensitivity is None or mask is None:
                continue
            here, less, more = sensitivity.masked
            text = (
                f"20\u202f% lower: {_change(less - here)}; 20\u202f% higher: {_change(more - here)}"
            )
            if not self.low_gain:
                total, alone, _ = mask.counts[LIMITS[name].name]
                text = f"{_removes(total, alone)} {text}"
            control.note = text

    def suggestions(self, take: Callable[..., widgets.Button]) -> list[widgets.Widget]:
        """Lines with suggested limits, each with a button (made by `take`) that takes it."""
        session, split = self.session, self.session.recipe.mask.low_gain is not None
        lines = []
        for suggestion in session.results.suggestions(self.low_gain if split else None):
            label = self.controls[suggestion.limit].label
            reason = widgets.HTML(f'<span class="cw-note">{html.escape(suggestion.text)}</span>')
            if suggestion.value is None:
                name = widgets.HTML(f'<span class="cw-note">{html.escape(label)}: none,</span>')
                lines.append(row(name, reason))
                continue
            value = round(float(suggestion.value), 2)
            button = take(
                f"Take {label} {value:g} {self.controls[suggestion.limit].unit}", "Set this limit",
                partial(self.session.change, f"mask.{self.group}.{suggestion.limit}", value),
            )  # fmt: skip
            lines.append(row(button, reason))
        return lines

    def _limits(self) -> Thresholds:
        settings = self.session.recipe.mask
        return (settings.low_gain if self.low_gain else None) or settings.thresholds

    def _moved(self, name: str, _: object = None) -> None:
        settings, control = self.session.recipe.mask, self.controls[name]
        if self.low_gain and settings.low_gain is None:
            return
        if getattr(self._limits(), name) != control.value:
            path = f"mask.{self.group}.{name}"
            self._guarded(lambda: self.session.change(path, control.value, origin=control))
            control.value = getattr(self._limits(), name)  # if it was refused


def _removes(total: int, alone: int) -> str:
    return f"Removes {thousands(total)} pixels; {thousands(alone)} no other rule removes."


def _change(value: int) -> str:
    return f"{thousands(abs(value))} {'more' if value > 0 else 'fewer'}" if value else "no change"
