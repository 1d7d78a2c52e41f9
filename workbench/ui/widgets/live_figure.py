"""A live figure of matplotlib in a panel: drawn on the worker, as wide as its place, to zoom into.

Messages of the browser (the mouse, a new size, a wish to be drawn) become work for the worker too,
and one lock is held while anything is drawn: callbacks of widgets may come on several threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets as t
from ipympl.backend_nbagg import Canvas, FigureManager
from matplotlib.figure import Figure

from workbench.figures.live import DRAWING
from workbench.figures.style import themed
from workbench.ui.widgets.bundles import bundle
from workbench.ui.widgets.styles import classed

Later = Callable[[str, Callable[[], None]], None]
"""Runs ``act()`` on the worker as ``later(key, act)``; it replaces waiting work with that key."""

REPLACED = ("draw", "refresh", "resize", "motion_notify", "ack")
"""Messages of which only the last counts."""


class WorkerCanvas(Canvas):
    """Canvas whose messages are worked off by the worker."""

    def __init__(self, figure: Figure, later: Later) -> None:
        self._later = later
        self._numbers = itertools.count()
        super().__init__(figure)

    def _handle_message(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        kind = str(content["type"])
        key = kind if kind in REPLACED else f"{kind} {next(self._numbers)}"

        def act() -> None:
            with DRAWING:
                super(WorkerCanvas, self)._handle_message(self, content, buffers)

        self._later(f"{self.model_id} {key}", act)


class FigurePlace(anywidget.AnyWidget):
    """In the browser: gives the canvas the width of its place, and says if the page is dark."""

    _esm = t.Unicode(bundle("live_figure.js")).tag(sync=True)

    canvas = t.Unicode(help="reference to the canvas").tag(sync=True)
    height = t.Int(200, help="of the figure, CSS pixels").tag(sync=True)
    dark = t.Bool(False, help="the page is dark").tag(sync=True)


class LiveFigure:
    """A figure that is drawn by functions of `workbench.figures`.

    Parameters
    ----------
    later : runs work on the worker, as `Session.later`.
    height_px : of the figure, CSS pixels.

    Attributes
    ----------
    widget : what to display. canvas : of ipympl. figure : of matplotlib.
    """

    def __init__(self, later: Later, height_px: int) -> None:
        self._later = later
        self._fill: Callable[[Figure], object] | None = None
        self._homes: list[tuple[Any, Any]] = []  # limits of the axes as they were drawn
        self.figure = Figure(figsize=(6.0, height_px / 100), layout="constrained")
        with DRAWING:
            self.canvas = WorkerCanvas(self.figure, later)
            self.canvas.header_visible = False
            self.canvas._size = (600, height_px)  # ipympl draws from a canvas of no size else
            self.canvas.resizable = False
            self.canvas.toolbar_position = "right"
            manager = FigureManager(self.canvas, 0)  # hangs itself on the canvas
        self.canvas.mpl_disconnect(manager.key_press_handler_id)
        self.place = FigurePlace(canvas=f"IPY_MODEL_{self.canvas.model_id}", height=height_px)
        self.place.observe(lambda change: self._again(), "dark")
        self.widget = classed(widgets.VBox([self.place, self.canvas]), "cw-live")

    def draw(self, fill: Callable[[Figure], object]) -> None:
        """Draw by ``fill(figure)`` on the worker; where a person zoomed, the place stays."""
        self._fill = fill
        self._again()

    def _again(self) -> None:
        self._later(f"{self.canvas.model_id} fill", self._redraw)

    def _redraw(self) -> None:
        fill, toolbar = self._fill, self.canvas.toolbar
        if fill is None:
            return
        with DRAWING, themed(self.place.dark):
            seen = self._limits()
            fill(self.figure)
            homes = self._limits()
            toolbar.update()  # forgets where one was
            if len(seen) == len(homes) and seen != self._homes:
                toolbar.push_current()
                for axes, (x, y) in zip(self.figure.axes, seen, strict=True):
                    axes.set(xlim=x, ylim=y)
            self._homes = homes
            self.canvas.draw_idle()

    def _limits(self) -> list[tuple[Any, Any]]:
        return [(axes.get_xlim(), axes.get_ylim()) for axes in self.figure.axes]
