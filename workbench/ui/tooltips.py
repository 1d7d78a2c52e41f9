"""Tooltips on the labels of text fields and lists.

ipywidgets 8.1 shows the tooltip of these only if they have no label.
"""

from __future__ import annotations

import html

import ipywidgets as widgets

ON_THE_LABEL = (
    widgets.Text,
    widgets.Combobox,
    widgets.Dropdown,
    widgets.SelectMultiple,
    widgets.FloatText,
    widgets.BoundedIntText,
)


def tooltips_on_labels(widget: widgets.Widget) -> None:
    """Show the tooltips of a widget and of all within it, now and when they change."""
    for child in getattr(widget, "children", ()):
        tooltips_on_labels(child)
    is_plain = isinstance(widget, ON_THE_LABEL) and not widget.description_allow_html
    if is_plain and widget.description:
        label = html.escape(widget.description)

        def show(_: object = None) -> None:
            tooltip = html.escape(widget.tooltip or "", quote=True)
            widget.description = f'<span title="{tooltip}">{label}</span>'

        widget.description_allow_html = True
        show()
        widget.observe(show, "tooltip")
