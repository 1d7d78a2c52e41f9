"""Canvas of a live figure, on the worker.

Messages of the browser (the mouse, a new size, a wish to be drawn) become work for the worker too,
and one lock is held while anything is drawn: callbacks of widgets may come on several threads.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from ipympl.backend_nbagg import Canvas, FigureManager
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine

from workbench.figures.live import DRAWING

if TYPE_CHECKING:
    from workbench.ui.widgets.live_figure import Later

REPLACED = ("draw", "refresh", "resize", "motion_notify", "ack")
"""Messages of which only the last counts."""


def make_canvas(later: Later, height_px: int) -> WorkerCanvas:
    """Canvas with an empty figure of this height, CSS pixels."""
    figure = Figure(figsize=(6.0, height_px / 100), layout="constrained")
    with DRAWING:
        canvas = WorkerCanvas(figure, later)
        canvas.header_visible = False
        canvas._size = (600, height_px)  # ipympl draws from a canvas of no size else
        canvas.resizable = False
        canvas.toolbar_position = "right"
        manager = FigureManager(canvas, 0)  # hangs itself on the canvas
    canvas.mpl_disconnect(manager.key_press_handler_id)
    return canvas


class WorkerCanvas(Canvas):  # type: ignore[misc]
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


class FixedMargins(LayoutEngine):
    """Margins of the one pair of axes in CSS pixels: left, bottom, right, top.

    matplotlib's own layout measures every text, which takes as long as drawing it.
    """

    _adjust_compatible = True
    _colorbar_gridspec = True

    def __init__(self, margins_px: tuple[int, int, int, int]) -> None:
        super().__init__()
        self._margins_px = margins_px

    def execute(self, fig: Figure) -> None:
        """Place the axes; matplotlib calls it before each drawing."""
        width, height = 100 * fig.get_size_inches()  # 100 CSS pixels an inch, as `make_canvas` says
        left, bottom, right, top = self._margins_px
        fig.subplots_adjust(
            left=left / width, right=max(1 - right / width, left / width + 0.01),
            bottom=bottom / height, top=1 - top / height,
        )  # fmt: skip
