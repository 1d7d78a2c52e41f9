"""Figures in notebooks: live under ``%matplotlib widget``, else a picture.

matplotlib's caches of fonts and math text are shared by all figures, so one lock is held while
anything is drawn in a thread.
"""

from __future__ import annotations

import io
import sys
import threading
from types import ModuleType
from typing import Any

from matplotlib import rcParams
from matplotlib.figure import Figure

DRAWING = threading.RLock()
"""Held while matplotlib draws."""
_LIVE = ("widget", "ipympl", "module://ipympl.backend_nbagg")


class NotebookFigure(Figure):
    """A figure without pyplot that a notebook shows as the last value of a cell."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        with DRAWING:
            backend = _live_backend()
            if backend is not None:
                return _canvas(self, backend)._repr_mimebundle_()
            from matplotlib.backends.backend_agg import FigureCanvasAgg

            picture, words = io.BytesIO(), str(self.get_label())
            FigureCanvasAgg(self).print_figure(picture, format="png")
            data = {"image/png": picture.getvalue(), "text/plain": words or "picture"}
            return data, {"image/png": {"alt": words}}


def _live_backend() -> ModuleType | None:
    """ipympl's backend if ``%matplotlib widget`` is in force; makes matplotlib choose none."""
    chosen = dict.__getitem__(rcParams, "backend")
    return sys.modules.get("ipympl.backend_nbagg") if chosen in _LIVE else None


def _canvas(figure: Figure, backend: ModuleType) -> Any:
    """The figure's live canvas, made if it has none; pyplot does not know of it."""
    if not isinstance(figure.canvas, backend.Canvas):
        canvas = backend.Canvas(figure)
        canvas.header_visible = False
        backend.FigureManager(canvas, 0)  # hangs itself on the canvas
    return figure.canvas
