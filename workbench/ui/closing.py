"""Closing widgets: ipywidgets keeps each one, and all it holds, until it is closed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import ipywidgets as widgets


def close_widgets(owner: object) -> int:
    """Close all widgets an object of this package reaches; gives how many there were.

    Looked through are the object's attributes, containers, the traits of widgets, and other
    objects of this package that are met on the way.
    """
    seen: dict[int, object] = {}  # the objects too: an id is used again once its object is gone
    waiting: list[object] = [owner]
    reached: list[widgets.Widget] = []
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        if isinstance(item, widgets.Widget):
            reached.append(item)
            with contextlib.suppress(Exception):
                waiting += [getattr(item, name) for name in item.keys if name[0] != "_"]
        if isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif type(item).__module__.startswith(__package__):
            waiting += list(getattr(item, "__dict__", {}).values())
    for widget in reached:
        widget.close()
    return len(reached)
