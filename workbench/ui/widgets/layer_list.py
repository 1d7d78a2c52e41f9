"""The rules and layers of a mask as a table: on or off, name, mode, order, what each removes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets as t

from workbench.ui.widgets.bundles import bundle


class LayerList(anywidget.AnyWidget):
    """A table whose rows are rules (which cannot be changed here) and layers.

    A row is a dictionary: ``name``; ``layer`` (its place, -1 for a rule), ``kind``, ``on``,
    ``mode``, ``modes`` (those to choose from); ``total``, ``alone``, ``together`` (pixels, or None
    where nothing is known) and ``kept`` (pixels it keeps, or None).
    """

    _esm = t.Unicode(bundle("layer_list.js")).tag(sync=True)
    _css = t.Unicode(bundle("layer_list.css")).tag(sync=True)

    rows: t.List[dict[str, Any]] = t.List(t.Dict(), help="rules and layers, in their order").tag(
        sync=True
    )
    selected = t.Int(-1, help="layer that is selected; -1: none").tag(sync=True)

    def __init__(self, act: Callable[[str, int, Any], None], **traits: object) -> None:
        """Call ``act(what, layer, value)`` for what a person does.

        `what` is ``on`` (value: bool), ``name`` (text), ``mode`` (text), ``move`` (-1 or 1) or
        ``remove``.
        """
        super().__init__(**traits)
        self._act = act
        self.on_msg(self._received)

    def _received(self, _: object, content: Mapping[str, Any], __: object) -> None:
        self._act(str(content["act"]), int(content["layer"]), content.get("value"))
