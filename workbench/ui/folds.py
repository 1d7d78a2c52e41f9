"""Parts of a panel that open and close; unlike an Accordion they are reached by keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import ipywidgets as widgets
import traitlets as t

from workbench.ui.widgets.styles import classed


class Folds(widgets.VBox):
    """Titles below each other; at most one of the parts is open.

    Parameters
    ----------
    parts, titles : what opens below each title.
    tooltips : one sentence for each.

    Attributes
    ----------
    selected_index : number of the part that is open, or None.
    heads : ToggleButton of each title.
    """

    selected_index = t.Int(None, allow_none=True)

    def __init__(
        self, parts: Sequence[widgets.Widget], titles: Sequence[str], tooltips: Sequence[str] = ()
    ) -> None:
        self._titles = tuple(titles)
        self.heads = [
            classed(
                widgets.ToggleButton(
                    tooltip=tooltip or f"Show or hide “{title}”", layout={"width": "100%"}
                ),
                "cw-fold",
            )
            for title, tooltip in zip(
                titles, [*tooltips, *[""] * (len(titles) - len(tooltips))], strict=True
            )
        ]
        self.bodies = [
            widgets.VBox([part], layout={"display": "none", "padding": "4px 8px"}) for part in parts
        ]
        both = zip(self.heads, self.bodies, strict=True)
        super().__init__([one for pair in both for one in pair], layout={"width": "100%"})
        for number, head in enumerate(self.heads):
            head.observe(partial(self._pressed, number), "value")
        self.observe(lambda change: self._show(), "selected_index")
        self._show()

    def _pressed(self, number: int, change: Any) -> None:
        if change.new:
            self.selected_index = number
        elif self.selected_index == number:
            self.selected_index = None

    def _show(self) -> None:
        for number, (head, body) in enumerate(zip(self.heads, self.bodies, strict=True)):
            is_open = number == self.selected_index
            head.value = is_open
            head.description = f"{'▾' if is_open else '▸'} {self._titles[number]}"
            body.layout.display = "" if is_open else "none"
