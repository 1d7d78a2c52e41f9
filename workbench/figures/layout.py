"""Drawings that explain the detector: its parts and numbers, its axes and signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.figures.frame import frame_of
from workbench.figures.images import label_axes
from workbench.figures.style import (
    FAINT,
    INK,
    ORANGE,
    VERMILLION,
    describe,
    empty,
    group_colours,
    module_colours,
    styled,
)
from workbench.geometry import Geometry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def detector_layout(geometry: Geometry | None = None, *, figure: Figure | None = None) -> Figure:
    """Quadrants, sensors (sections) and ASICs with their numbers, seen along the beam's return.

    A dot marks the pixel (0, 0) of each sensor; its first row runs from the dot to ASIC 1.
    """
    from matplotlib.collections import PolyCollection

    figure = empty(figure, 7.0, 7.0)
    axes = figure.add_subplot()
    frame = frame_of(geometry)
    outlines = frame.outlines()[..., ::-1]
    detector = frame.detector
    colours = module_colours(detector)
    groups = [group.name for group in detector.groups for _ in group.modules]
    axes.add_collection(
        PolyCollection(
            list(outlines), facecolors=[f"{colour}26" for colour in colours], edgecolors=colours,
            linewidths=1.0,
        )
    )  # fmt: skip
    asics = frame.asic_centres()
    down, across = detector.asic_grid
    for sensor in range(detector.modules):
        corners = outlines[sensor]
        a, b, c, d = corners
        for share in np.arange(1, across) / across:
            seam = (1 - share) * a + share * b, (1 - share) * d + share * c
            axes.plot(*np.transpose(seam), color=colours[sensor], lw=0.6, ls=":")
        for share in np.arange(1, down) / down:
            seam = (1 - share) * a + share * d, (1 - share) * b + share * c
            axes.plot(*np.transpose(seam), color=colours[sensor], lw=0.6, ls=":")
        middle = asics[sensor].mean(axis=0)
        axes.text(
            middle[1], middle[0], detector.module_name(sensor)[len(groups[sensor]) :], ha="center",
            va="center", fontsize=10, fontweight="bold", color=INK,
        )  # fmt: skip
        for asic in range(detector.asics_per_module):
            x, y = asics[sensor, asic]
            axes.text(y, x, f"A{asic}", ha="center", va="center", fontsize=7, color=FAINT)
        dot = 0.94 * corners[0] + 0.06 * corners[2]
        axes.plot(*dot, "o", ms=3.5, color=colours[sensor])
    for group, (x, y), colour in zip(
        detector.groups, frame.geometry.middles_px(), group_colours(detector), strict=True
    ):
        axes.text(
            y, x, group.name, ha="center", va="center", fontsize=26,
            fontweight="bold", color=colour, alpha=0.35,
        )  # fmt: skip
    _draw_axes(axes, 170.0)
    low, high = outlines.min(axis=(0, 1)) - 30, outlines.max(axis=(0, 1)) + 30
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(high[1], low[1])
    label_axes(axes)
    sensors = len(detector.groups[0].modules)
    return describe(
        figure,
        f"The {detector.name}: {len(detector.groups)} {detector.group_word}s from"
        f" {detector.groups[0].name} to {detector.groups[-1].name} of {sensors} sensors S0 to"
        f" S{sensors - 1}, each of {detector.asics_per_module} ASICs; psana x points down, y to the"
        " right.",
    )


@styled
def axes_and_signs(*, figure: Figure | None = None) -> Figure:
    """What an offset means: the rings seen by a misplaced quadrant, and which way it is moved."""
    from matplotlib.patches import Arc, Rectangle

    figure = empty(figure, 9.0, 4.4)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    offset = np.array([14.0, 22.0])  # x, y in pixels
    for axes, shift, title in (
        (panels[0], offset, "as deployed: the ring's centre lies at the offset"),
        (panels[1], np.zeros(2), "corrected: the quadrant moved by minus the offset"),
    ):
        corner = -offset + shift + np.array([12.0, 12.0])
        sheet = axes.add_patch(
            Rectangle(
                (corner[1], corner[0]), 100, 100, facecolor="#0072b220", edgecolor="#0072b2", lw=1.2
            )
        )
        axes.text(corner[1] + 96, corner[0] + 96, "quadrant", ha="right", va="bottom", fontsize=9)
        for radius in (45, 70, 95):
            ring = axes.add_patch(
                Arc((shift[1], shift[0]), 2 * radius, 2 * radius, theta1=0, theta2=90,
                    color=VERMILLION, lw=1.4)
            )  # fmt: skip
            ring.set_clip_path(sheet)
            axes.add_patch(
                Arc(
                    (0, 0), 2 * radius, 2 * radius, theta1=0, theta2=90, color=FAINT, lw=0.8, ls=":"
                )
            )
        axes.plot(0, 0, "o", color=INK, ms=4)
        axes.annotate("beam", (0, 0), (-22, -6), fontsize=9, ha="center", va="center", color=INK)
        if shift.any():
            axes.annotate(
                "", (shift[1], shift[0]), (0, 0), arrowprops={"arrowstyle": "->", "color": ORANGE,
                                                              "lw": 2},
            )  # fmt: skip
            axes.text(shift[1] + 3, shift[0] - 3, "offset", color=INK, fontsize=9)
        axes.set_title(title)
        label_axes(axes)
        axes.set_xlabel("y (px)")
        axes.set_ylabel("x (px)")
    panels[0].set_xlim(-40, 140)
    panels[0].set_ylim(140, -40)
    return describe(
        figure,
        "Left: a quadrant placed wrongly sees rings about a centre displaced from the beam by the"
        " offset. Right: moved by minus the offset its rings are concentric with the beam.",
    )


def _draw_axes(axes: Axes, length: float) -> None:
    for name, (dy, dx) in {"y": (length, 0.0), "x": (0.0, length)}.items():
        axes.annotate(
            "", (dy, dx), (0, 0), arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.4}
        )
        axes.text(1.12 * dy, 1.12 * dx, name, ha="center", va="center", fontsize=11, color=INK)
    axes.plot(0, 0, "o", ms=9, mfc="white", mec=INK)
    axes.plot(0, 0, "o", ms=3, color=INK)
    axes.text(-14, -14, "z", ha="right", va="bottom", fontsize=11, color=INK)
