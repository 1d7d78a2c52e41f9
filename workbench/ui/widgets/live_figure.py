"""A live figure of matplotlib in a panel: drawn on the worker, as wide as its place, to zoom into.

matplotlib and ipympl are loaded when a figure is drawn first, not before the page is seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets as widgets
import traitlets as t

from workbench.ui.widgets.bundles import bundle
from workbench.ui.widgets.styles import classed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.ui.widgets.worker_canvas import WorkerCanvas

Later = Callable[[str, Callable[[], None]], None]
"""Runs ``act()`` on the worker as ``later(key, act)``; it replaces waiting work with that key."""


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
    margins_px : left, bottom, right and top of a figure of one pair of axes that is redrawn while
        somebody waits; None: as much as the texts need.

    Attributes
    ----------
    widget : what to display; empty until something is drawn.
    """

    def __init__(
        self, later: Later, height_px: int, margins_px: tuple[int, int, int, int] | None = None
    ) -> None:
        self._later, self._height_px, self._margins_px = later, height_px, margins_px
        self._fill: Callable[[Figure], object] | None = None
        self._homes: list[tuple[Any, Any]] = []  # limits of the axes as they were drawn
        self._making = threading.Lock()
        self.widget = classed(widgets.VBox([]), "cw-live")

    @cached_property
    def _made(self) -> tuple[FigurePlace, WorkerCanvas]:
        from workbench.ui.widgets.worker_canvas import make_canvas

        canvas = make_canvas(self._later, self._height_px)
        place = FigurePlace(canvas=f"IPY_MODEL_{canvas.model_id}", height=self._height_px)
        place.observe(lambda change: self._again(), "dark")
        self.widget.children = [place, canvas]
        return place, canvas

    @property
    def place(self) -> FigurePlace:
        """Keeps the figure as wide as its place."""
        with self._making:
            return self._made[0]

    @property
    def canvas(self) -> WorkerCanvas:
        """Canvas of ipympl."""
        with self._making:
            return self._made[1]

    @property
    def figure(self) -> Figure:
        """Figure of matplotlib."""
        figure: Figure = self.canvas.figure
        return figure

    def draw(self, fill: Callable[[Figure], object]) -> None:
        """Draw by ``fill(figure)`` on the worker; where a person zoomed, the place stays."""
        self._fill = fill
        self._again()

    def _again(self) -> None:
        self._later(f"live figure {id(self)} fill", self._redraw)

    def _redraw(self) -> None:
        from workbench.figures.live import DRAWING
        from workbench.figures.style import themed
        from workbench.ui.widgets.worker_canvas import FixedMargins

        fill, toolbar = self._fill, self.canvas.toolbar
        if fill is None:
            return
        with DRAWING, themed(self.place.dark):
            seen = self._limits()
            fill(self.figure)
            if self._margins_px is not None:
                self.figure.set_layout_engine(FixedMargins(self._margins_px))
            homes = self._limits()
            toolbar.update()  # forgets where one was
            if len(seen) == len(homes) and seen != self._homes:
                toolbar.push_current()
                for axes, (x, y) in zip(self.figure.axes, seen, strict=True):
                    axes.set(xlim=x, ylim=y)
            self._homes = homes
            self.canvas.draw()

    def _limits(self) -> list[tuple[Any, Any]]:
        return [(axes.get_xlim(), axes.get_ylim()) for axes in self.figure.axes]
