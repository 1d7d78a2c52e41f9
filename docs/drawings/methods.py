"""What is done with the data: corrections, mask, alignment."""

import numpy as np
from matplotlib.patches import Arc, Polygon, Rectangle

from drawings.tools import DARK, arrow, canvas, words
from workbench.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    VERMILLION,
    describe,
    empty,
    styled,
)


@styled
def raw_value():
    """What a raw value consists of, and what each correction takes away."""
    figure, axes = canvas(9, 3.7, (-235, 760), (-45, 365), equal=False)
    bars = [
        (
            "raw",
            0,
            (
                ("pedestal ≈ 1200 ADU", 150, FAINT),
                ("common mode", 34, PURPLE),
                ("light", 110, GREEN),
            ),
        ),
        ("− pedestal", 1, (("common mode", 34, PURPLE), ("light", 110, GREEN))),
        ("− common mode", 2, (("light", 110, GREEN),)),
        ("× gain", 3, (("light, as in high gain", 250, GREEN),)),
    ]
    for name, place, parts in bars:
        x, y = 200 * place - 160, 0
        for text, height, colour in parts:
            axes.add_patch(
                Rectangle((x, y), 110, height, facecolor=f"{colour}44", edgecolor=colour)
            )
            words(axes, x + 55, y + height / 2, text.replace(" ≈", "\n≈").replace(", ", ",\n"), 8.5)
            y += height
        axes.plot([x + 20, x + 20], [y - 14, y + 14], color=INK, lw=1.2)
        words(axes, x + 55, -22, name, 9.5, fontweight="bold")
        if place:
            arrow(axes, (x - 76, 60), (x - 14, 60))
    words(axes, -132, 318, "noise\n3 – 5 ADU", 8.5, DARK, ha="left")
    words(
        axes,
        565,
        130,
        "only for pixels in low gain,\nwhich deliver 1/6.85 of\n28 ADU per photon\nof 9.5 keV",
        8.5,
        DARK,
        ha="left",
    )
    axes.plot([-180, 755], [0, 0], color=INK, lw=0.8)
    return describe(
        figure,
        "Four bars. Raw: pedestal of about 1200 ADU, common mode, light, with a noise of 3 to 5"
        " ADU. Subtracting the pedestal and the common mode leaves the light; in low-gain pixels it"
        " is multiplied by 6.85.",
    )


@styled
def thresholds():
    """The three histograms and the limits between good pixels and others."""
    figure = empty(None, 9.4, 3.0)
    panels = figure.subplots(1, 3)
    grid = np.linspace(0, 1, 400)

    def peak(place, width, height):
        return height * np.exp(-(((grid - place) / width) ** 2))

    curves = [
        (
            "average of the dark run",
            peak(0.42, 0.06, 5.2) + 0.3 * peak(0.82, 0.1, 2.4) + 0.6 * peak(0.0, 0.015, 3.0),
            0.63,
            "above",
            "dead:\n≤ 0",
            "hot",
        ),
        (
            "standard deviation of the dark run",
            peak(0.3, 0.06, 5.2) + 0.32 * peak(0.7, 0.2, 3.6) + 0.5 * peak(0.0, 0.015, 3.4),
            0.46,
            "above",
            "stuck:\n≤ 0",
            "noisy",
        ),
        (
            "maximum of the bright runs",
            peak(0.62, 0.14, 5.2) + 0.7 * peak(0.1, 0.035, 3.6),
            0.24,
            "below",
            "never lit:\nunbonded,\ndead, in\nshadow",
            "",
        ),
    ]
    for axes, (title, values, limit, side, left, right) in zip(panels, curves, strict=True):
        axes.fill_between(grid, values, color=f"{BLUE}55", lw=0)
        axes.plot(grid, values, color=BLUE, lw=1.4)
        span = (limit, 1.0) if side == "above" else (-0.03, limit)
        axes.axvspan(*span, color=f"{VERMILLION}22", lw=0)
        if side == "above":
            axes.axvspan(-0.03, 0.012, color=f"{VERMILLION}22", lw=0)
        axes.axvline(limit, color=VERMILLION, lw=1.8)
        axes.set_title(title)
        axes.set_xlim(-0.03, 1.0)
        axes.set_ylim(0, 6.6)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("ADU")
        axes.text(0.02, 2.3 if side == "above" else 4.3, left, fontsize=8.5)
        axes.text(0.8, 1.3, right, fontsize=8.5, ha="center")
        axes.text(
            grid[values.argmax()],
            5.6,
            "good",
            fontsize=9,
            ha="center",
            fontweight="bold",
        )
    panels[0].set_ylabel("pixels (logarithmic)")
    return describe(
        figure,
        "Three histograms. Average of the dark run: good pixels form one peak, dead ones lie at 0,"
        " hot ones above the limit. Standard deviation: stuck pixels at 0, noisy ones above the"
        " limit. Maximum of the bright runs: pixels that were never lit lie below the limit.",
    )


@styled
def self_correlation():
    """Why a quadrant, turned about the right centre, is like itself."""
    figure = empty(None, 9.4, 3.5)
    figure.set_layout_engine("none")
    for number, (shift, title) in enumerate(
        (
            ((0.0, 0.0), "turned about the right centre"),
            ((16.0, -9.0), "turned about a wrong centre"),
        )
    ):
        axes = figure.add_axes((0.01 + 0.335 * number, 0.02, 0.32, 0.86))
        axes.set_xlim(-32, 118)
        axes.set_ylim(118, -32)
        axes.set_aspect("equal")
        axes.axis("off")
        outline = Polygon(
            [(4, 4), (104, 4), (104, 104), (4, 104)],
            closed=True,
            facecolor=f"{BLUE}10",
            edgecolor=BLUE,
            lw=1.1,
        )
        axes.add_patch(outline)
        turn = np.radians(25)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        centre = np.array(shift)
        corners = (outline.get_xy()[:4] - centre) @ matrix.T + centre
        turned = Polygon(corners, closed=True, facecolor=f"{ORANGE}10", edgecolor=ORANGE, lw=1.1)
        axes.add_patch(turned)
        moved = (np.zeros(2) - centre) @ matrix.T + centre
        for radius in (38, 62, 86):
            axes.add_patch(
                Arc((0, 0), 2 * radius, 2 * radius, theta1=2, theta2=88, color=BLUE, lw=2)
            )
            axes.add_patch(
                Arc(
                    moved,
                    2 * radius,
                    2 * radius,
                    theta1=27,
                    theta2=113,
                    color=ORANGE,
                    lw=2,
                    ls=(0, (3, 2)),
                )
            )
        axes.plot(*centre, "+", ms=13, mew=2, color=VERMILLION)
        axes.text(
            centre[0] - 4, centre[1] - 8, "trial centre", fontsize=8.5, ha="center", va="bottom"
        )
        told = "rings fall on rings: high" if number == 0 else "rings fall between rings: low"
        axes.set_title(f"{title}\n{told}", fontsize=9.5)
    axes = figure.add_axes((0.73, 0.15, 0.25, 0.68))
    offsets = np.linspace(-20, 20, 81)
    x, y = np.meshgrid(offsets, offsets, indexing="ij")
    along, across = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    values = np.exp(-((along - 3) ** 2) / 250 - (across + 4) ** 2 / 18)
    axes.imshow(values, extent=(-20, 20, 20, -20), cmap="viridis")
    axes.set_title("the map of all trial centres", fontsize=10)
    axes.set_xlabel("y offset (px)")
    axes.set_ylabel("x offset (px)")
    best = np.unravel_index(values.argmax(), values.shape)
    axes.plot(offsets[best[1]], offsets[best[0]], "+", ms=12, mew=2, color=VERMILLION)
    return describe(
        figure,
        "Left: a quadrant and its copy turned about the centre of the rings; the rings coincide."
        " Middle: turned about another centre they do not. Right: the correlation for all trial"
        " centres is a ridge, narrow across the direction to the quadrant and long along it, with"
        " its peak at the centre of the rings.",
    )
