"""Choosing a folder or file by clicks: a list of what is in a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import ipywidgets as widgets

from workbench.errors import WorkbenchError
from workbench.ui.filling import Filling
from workbench.ui.panels.base import note_text, row
from workbench.ui.widgets.styles import classed

if TYPE_CHECKING:
    from workbench.ui.panels.base import Panel

UP = "↑ the folder above"
MOST = 1000  # entries listed


class PathBrowser:
    """One list of folders and files, for whichever path box it was opened.

    Attributes
    ----------
    box : what to display. entries : Select; a folder that is clicked opens, a file is taken.
    use, cancel : buttons.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._target: widgets.Combobox | None = None
        self._suffixes: tuple[str, ...] = ()
        self._filling = Filling()
        self.folder = ""
        self.title = widgets.HTML()
        self.entries = widgets.Select(
            options=[], rows=10, layout={"width": "100%"},
            description="Folders and files", style={"description_width": "112px"},
        )  # fmt: skip
        self.use = panel.button(
            "Use this folder", "Take the folder that is listed", lambda: self._take(self.folder)
        )
        self.cancel = classed(
            panel.button("Cancel", "Leave the path as it is", self.close), "cw-closer"
        )
        self.box = classed(
            widgets.VBox([self.title, self.entries, row(self.use, self.cancel)]), "cw-offer"
        )
        self.entries.observe(lambda change: panel.guarded(self._clicked), "value")
        self.close()

    def beside(self, box: widgets.Combobox, suffixes: tuple[str, ...] = ()) -> widgets.HBox:
        """A path box with a button that opens the list for it.

        Parameters
        ----------
        suffixes : endings of the files to choose from; none: a folder is chosen.
        """
        box.layout.flex = "1 1 auto"
        button = self._panel.button(
            "…", f"{box.description}: choose it on disk", lambda: self.open(box, suffixes),
            width="36px",
        )  # fmt: skip
        return widgets.HBox([box, button], layout={"width": "auto"})

    def open(self, box: widgets.Combobox, suffixes: tuple[str, ...] = ()) -> None:
        """List the folder that a path box names, or the one its file is in."""
        self._target, self._suffixes = box, suffixes
        start = os.path.abspath(os.path.expanduser(box.value.strip() or "."))
        while not os.path.isdir(start):
            start = os.path.dirname(start)
        self.use.layout.display = "none" if suffixes else ""
        self._list(start)
        self.box.layout.display = ""

    def close(self) -> None:
        """Hide the list."""
        self.box.layout.display = "none"

    def _list(self, folder: str) -> None:
        try:
            listed = sorted(os.scandir(folder), key=lambda entry: entry.name.lower())
        except OSError as error:
            raise WorkbenchError(f"{folder} cannot be listed ({error.strerror}).") from error
        shown = [entry for entry in listed if not entry.name.startswith(".")]
        options = [(UP, os.path.dirname(folder))]
        options += [(f"{entry.name}/", entry.path) for entry in shown if entry.is_dir()]
        options += [
            (entry.name, entry.path)
            for entry in shown
            if self._suffixes and entry.name.lower().endswith(self._suffixes) and entry.is_file()
        ]
        self.folder = folder
        what = self._target.description if self._target is not None else ""
        self.title.value = f"<b>{what}</b>" + note_text(folder)
        with self._filling():
            self.entries.options = options[:MOST]
            self.entries.index = None

    def _clicked(self) -> None:
        chosen = self.entries.value
        if self._filling or chosen is None:
            return
        if os.path.isdir(chosen):
            self._list(chosen)
        else:
            self._take(chosen)

    def _take(self, path: str) -> None:
        self.close()
        if self._target is not None:
            self._target.value = path
