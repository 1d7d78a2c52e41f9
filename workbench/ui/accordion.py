"""Titles that open and close what is below them, reached by keyboard unlike those of ipywidgets."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets as widgets
import traitlets as t

from workbench.ui.widgets.styles import classed


class Accordion(widgets.VBox):  # type: ignore[misc]
    """Titles below each other; at most one of the contents is open.

    Parameters
    ----------
    contents : what opens below each title.

    Attributes
    ----------
    selected_index : number of the content that is open, or None.
    heads : ToggleButton of each title.
    """

    selected_index = t.Int(None, allow_none=True)

    def __init__(self, contents: Mapping[str, widgets.Widget]) -> None:
        self._titles = tuple(contents)
        self.heads = [
            classed(
                widgets.ToggleButton(tooltip=f"Show or hide “{title}”", layout={"width": "100%"}),
                "cw-accordion",
            )
            for title in contents
        ]
        self.bodies = [
            widgets.VBox([content], layout={"display": "none", "padding": "4px 8px"})
            for content in contents.values()
        ]
        pairs = zip(self.heads, self.bodies, strict=True)
        super().__init__([child for pair in pairs for child in pair], layout={"width": "100%"})
        for number, head in enumerate(self.heads):
            head.observe(lambda change, number=number: self._pressed(number, change.new), "value")
        self.observe(lambda change: self._show(), "selected_index")
        self._show()

    def _pressed(self, number: int, pressed: bool) -> None:
        if pressed:
            self.selected_index = number
        elif self.selected_index == number:
            self.selected_index = None

    def _show(self) -> None:
        for number, (head, body) in enumerate(zip(self.heads, self.bodies, strict=True)):
            is_open = number == self.selected_index
            head.value = is_open
            head.description = f"{'▾' if is_open else '▸'} {self._titles[number]}"
            body.layout.display = "" if is_open else "none"
