"""A figure as PNG bytes, and as something a notebook shows with its alternative text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from workbench.figures.style import BACKGROUND, alt_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_BYTES = 400_000
_SMALLEST_DPI = 60


def to_png(figure: Figure, dpi: float = 130, max_bytes: int = MAX_BYTES) -> bytes:
    """Render a figure as PNG of at most about `max_bytes`.

    A picture that is too large is first reduced to a palette of 256 colours, then drawn at a
    lower resolution (not below 60 dpi).
    """
    while True:
        picture = _render(figure, dpi)
        if len(picture) <= max_bytes:
            return picture
        picture = _with_palette(picture)
        if len(picture) <= max_bytes or dpi <= _SMALLEST_DPI:
            return picture
        dpi = max(_SMALLEST_DPI, dpi * min(0.9, (max_bytes / len(picture)) ** 0.5))


class Picture:
    """A figure that a notebook shows as a static PNG with alternative text.

    Parameters
    ----------
    figure : the figure; its alternative text is taken along.
    dpi, max_bytes : as for `to_png`; a report of twenty pictures stays below 8 MB of HTML.
    """

    def __init__(self, figure: Figure, dpi: float = 120, max_bytes: int = 280_000) -> None:
        self.alt = alt_text(figure)
        self.png = to_png(figure, dpi, max_bytes)

    def __repr__(self) -> str:
        return f"<picture: {self.alt}>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        data = {"image/png": self.png, "text/plain": self.alt or "picture"}
        return data, {"image/png": {"alt": self.alt}}


def _render(figure: Figure, dpi: float) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    live, before, face = figure.canvas, figure.dpi, figure.get_facecolor()
    buffer = io.BytesIO()
    try:
        # A canvas of our own: a live (ipympl) canvas keeps its size and is put back afterwards.
        # It is drawn once; `print_figure` draws everything twice, the first time for the layout.
        canvas = FigureCanvasAgg(figure)
        figure.set_facecolor(BACKGROUND)
        figure.dpi = dpi
        canvas.print_png(buffer)
    finally:
        figure.set_canvas(live)
        figure.set_facecolor(face)
        if figure.dpi != before:
            figure.dpi = before
    return buffer.getvalue()


def _with_palette(picture: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        reduced = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        reduced.save(buffer, "png", optimize=True)
    return buffer.getvalue()
