"""Letting go of widgets: ipywidgets keeps each one, and all it holds, until it is closed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import ipywidgets as widgets


def close_widgets(owner: Any) -> int:
    """Close all widgets an object of this package reaches; gives how many there were.

    Looked through are the object's attributes, containers, the traits of widgets, and other
    objects of this package that are met on the way.
    """
    seen: dict[int, Any] = {}  # the objects too: a number is used again once its object is gone
    waiting, found = [owner], []
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, widgets.Widget):
            found.append(one)
            with contextlib.suppress(Exception):
                waiting += [getattr(one, name) for name in one.keys if name[0] != "_"]
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one
        elif type(one).__module__.startswith(__package__):
            waiting += _attributes(one)
    for widget in found:
        widget.close()
    return len(found)


def _attributes(one: Any) -> Iterable[Any]:
    return list(getattr(one, "__dict__", {}).values())
