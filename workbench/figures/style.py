"""How all pictures look: dark text on white, sizes that survive print, safe for colour-blind eyes.

Categories use the palette of Okabe and Ito (https://jfly.uni-koeln.de/color/); intensities use
perceptually uniform maps; what a mask removes is orange on grey.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from workbench.detectors import Detector

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

INK = "#1a1a1a"
FAINT = "#8a8a8a"
BACKGROUND = "white"
GAP = "#e9e9ee"
"""Colour of the places in a detector picture where there is no pixel."""

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
CATEGORIES = (VERMILLION, BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, BLACK)
GROUP_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW, BLACK)
MASKED = VERMILLION

INTENSITY = "viridis"
SIGNED = "PuOr"
UNDER_MASK = "gray"

_SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "figure.titlesize": 11.0,
    "figure.facecolor": BACKGROUND,
    "axes.facecolor": BACKGROUND,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "image.interpolation": "antialiased",
    "axes.formatter.useoffset": False,
}

_DARK = {
    name: {BACKGROUND: "#111111", INK: "#e8e8e8"}[value]
    for name, value in _SETTINGS.items()
    if value in (BACKGROUND, INK)
}
_IS_DARK = ContextVar("_IS_DARK", default=False)


@contextmanager
def themed(dark: bool) -> Iterator[None]:
    """Draw light on dark, if `dark`, what is drawn meanwhile: for a page that is dark."""
    before = _IS_DARK.set(dark)
    try:
        yield
    finally:
        _IS_DARK.reset(before)


def group_colours(detector: Detector) -> list[str]:
    """Colour of each group of a detector; with many groups they come again."""
    return [GROUP_COLOURS[at % len(GROUP_COLOURS)] for at in range(len(detector.groups))]


def module_colours(detector: Detector) -> list[str]:
    """Colour of each module: that of its group."""
    colours = zip(detector.groups, group_colours(detector), strict=True)
    return [colour for group, colour in colours for _ in group.modules]


def styled(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Run a drawing function under the settings of this module."""

    @wraps(draw)
    def drawn(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        import matplotlib

        settings = _SETTINGS | _DARK if _IS_DARK.get() else _SETTINGS
        with matplotlib.rc_context(settings):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return drawn


def empty(figure: Figure | None, width: float, height: float) -> Figure:
    """Give a cleared figure: the one handed in (keeping its size), or a new one in inches."""
    from matplotlib import rcParams

    if figure is None:
        from workbench.figures.live import NotebookFigure

        return NotebookFigure(figsize=(width, height), layout="constrained")
    figure.clear()
    figure.set_facecolor(rcParams["figure.facecolor"])
    figure.set_layout_engine("constrained")
    return figure


def describe(figure: Figure, text: str) -> Figure:
    """Attach the alternative text that a reader who cannot see the picture is given."""
    figure.set_label(" ".join(text.split()))
    return figure


def alt_text(figure: Figure) -> str:
    """Alternative text of a figure of this package."""
    return str(figure.get_label())


def with_gap(name: str) -> Colormap:
    """Give a colour map in which places without a value have the colour `GAP`."""
    from matplotlib import colormaps

    return colormaps[name].with_extremes(bad=GAP)


def note(axes: Axes, text: str) -> None:
    """Say in the middle of empty axes why they are empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")
    axes.set_xticks([])
    axes.set_yticks([])
