"""What drawings are made of: boxes, arrows, words."""

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from workbench.figures.style import BLUE, INK, empty

DARK = "#4d4d4d"
"""Colour of small print."""


def canvas(width, height, x=(0.0, 1.0), y=(0.0, 1.0), equal=True):
    """Figure with one pair of axes without ticks."""
    figure = empty(None, width, height)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    figure.set_layout_engine("none")
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    if equal:
        axes.set_aspect("equal")
    axes.axis("off")
    return figure, axes


def box(axes, x, y, width, height, text, colour=BLUE, size=9, below="", bold=True):
    """Rounded box with its centre at x, y; `below` is smaller text in it."""
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=6",
            facecolor=f"{colour}22",
            edgecolor=colour,
            linewidth=1.3,
        )
    )
    lift = height * 0.16 if below else 0
    axes.text(
        x,
        y + lift,
        text,
        ha="center",
        va="center",
        fontsize=size,
        color=INK,
        fontweight="bold" if bold else "normal",
    )
    if below:
        axes.text(
            x,
            y - height * 0.2,
            below,
            ha="center",
            va="center",
            fontsize=size - 1.8,
            color=DARK,
            linespacing=1.25,
        )


def arrow(axes, start, end, colour=INK, style="-|>", width=1.4, bend=0.0, line="-"):
    """Arrow between two points."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle=style,
            mutation_scale=12,
            color=colour,
            linewidth=width,
            linestyle=line,
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=0,
            shrinkB=0,
        )
    )


def words(axes, x, y, text, size=8.5, colour=INK, ha="center", va="center", **more):
    """Text at a place."""
    axes.text(x, y, text, fontsize=size, color=colour, ha=ha, va=va, **more)
