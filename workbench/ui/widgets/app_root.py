"""What belongs to the whole workbench in the page: style sheet, keys, full screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets as t

from workbench.ui.widgets.bundles import bundle


class AppRoot(anywidget.AnyWidget):
    """Styles the box it stands in, keeps its keys from JupyterLab, and closes dialogs by Esc.

    A dialog is closed by clicking the last visible element of the class ``cw-closer`` in the box.

    Parameters
    ----------
    undo, redo : called for Ctrl+Z and Ctrl+Y outside text fields.
    """

    _esm = t.Unicode(bundle("app_root.js")).tag(sync=True)
    _css = t.Unicode(bundle("app.css")).tag(sync=True)

    full_screen_button = t.Bool(False, help="show a button for the whole screen").tag(sync=True)

    def __init__(
        self, undo: Callable[[], object], redo: Callable[[], object], **traits: object
    ) -> None:
        super().__init__(**traits)
        self._acts = {"undo": undo, "redo": redo}
        self.on_msg(self._received)

    def _received(self, _: object, content: Mapping[str, Any], __: object) -> None:
        act = self._acts.get(str(content.get("type")))
        if act is not None:
            act()
