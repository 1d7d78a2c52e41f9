"""What stands in a page where no kernel runs: text and pictures instead of widgets.

An executed notebook keeps the widgets' view, a PNG and text; JupyterLab shows the first it can.
Converters to HTML prefer the view too, which is dead there, so a notebook that is executed without
a browser gets no view at all.
"""

from __future__ import annotations

import base64
import functools
import html
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets
    from matplotlib.figure import Figure

    from workbench.ui.panels.base import Panel

EXECUTORS = ("nbconvert", "papermill", "jupyter-execute", "jupyter-nbconvert")
"""Programs that execute notebooks without a browser, by the first words of their command line."""


@functools.cache
def nobody_looks() -> bool:
    """Whether this kernel was started by a program that executes notebooks without a browser."""
    try:
        words = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode().split("\0")
    except (OSError, ValueError):
        return False
    return executes(words)


def executes(words: Sequence[str]) -> bool:
    """Whether a command line is one of the `EXECUTORS`."""
    return any(os.path.basename(word) in EXECUTORS for word in words[:4])


def png(draw: Callable[[], Figure | None], dpi: int = 90) -> bytes | None:
    """PNG of what `draw` gives; safe from any thread."""
    drawn = _drawn(draw, dpi)
    return None if drawn is None else drawn[0]


def mimebundle(
    widget: ipywidgets.Widget, panels: Sequence[Panel], figure: Callable[[], Figure | None] | None
) -> dict[str, Any]:
    """Widget view for JupyterLab, PNG and text for pages where no kernel runs."""
    summary = "\n".join(panel.summary() for panel in panels)
    if nobody_looks():
        return {"text/plain": summary, "text/html": page(panels)}
    bundle: dict[str, Any] = dict(widget._repr_mimebundle_() or {})
    bundle["text/plain"] = summary
    picture = None if figure is None else png(figure)
    if picture is not None:
        bundle["image/png"] = base64.b64encode(picture).decode("ascii")
    return bundle


def page(panels: Sequence[Panel]) -> str:
    """Text and picture of each panel, as HTML that needs nothing else."""
    parts = []
    for panel in panels:
        parts.append(f"<pre>{html.escape(panel.summary())}</pre>")
        drawn = _drawn(panel.figure, 90)
        if drawn is not None:
            picture, words = base64.b64encode(drawn[0]).decode("ascii"), html.escape(drawn[1])
            parts.append(
                f'<img alt="{words}" style="max-width: 100%" src="data:image/png;base64,{picture}">'
            )
    return "\n".join(parts)


def _drawn(draw: Callable[[], Figure | None], dpi: int) -> tuple[bytes, str] | None:
    from workbench.figures import to_png
    from workbench.figures.live import DRAWING
    from workbench.figures.style import alt_text

    with DRAWING:
        figure = draw()
        return None if figure is None else (to_png(figure, dpi=dpi), alt_text(figure))
