"""Names of widgets for the style sheet."""

from __future__ import annotations

import threading

import ipywidgets as widgets

_MARKING = threading.Lock()  # the names of a widget are read, changed and set again


def classed(widget: widgets.Widget, *names: str) -> widgets.Widget:
    """Give a widget names for the style sheet."""
    for name in names:
        widget.add_class(name)
    return widget


def marked(widget: widgets.Widget, name: str, wanted: bool) -> None:
    """Give a widget a name for the style sheet, or take it away; from any thread."""
    with _MARKING:
        (widget.add_class if wanted else widget.remove_class)(name)
