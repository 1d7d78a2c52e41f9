"""Tooltips where ipywidgets forgets them: text fields and lists that have a description.

Their views show a tooltip only without a description (ipywidgets 8.1); so it goes on the label.
"""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets

FORGOTTEN = (
    widgets.Text,
    widgets.Combobox,
    widgets.Dropdown,
    widgets.SelectMultiple,
    widgets.IntText,
    widgets.FloatText,
    widgets.BoundedIntText,
)


def explain(widget: Any) -> None:
    """Show the tooltips of a widget and of all within it, now and when they change."""
    for child in getattr(widget, "children", ()):
        explain(child)
    if isinstance(widget, FORGOTTEN) and widget.description and not widget.description_allow_html:
        words = html.escape(widget.description)

        def show(_: Any = None) -> None:
            tip = html.escape(widget.tooltip or "", quote=True)
            widget.description = f'<span title="{tip}">{words}</span>'

        widget.description_allow_html = True
        show()
        widget.observe(show, "tooltip")
