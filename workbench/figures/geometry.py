"""What changed between two geometries: arrows on the detector, and a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.figures.frame import outlines_of
from workbench.figures.images import label_axes
from workbench.figures.style import FAINT, describe, empty, group_colours, module_colours, styled
from workbench.geometry import Geometry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_VISIBLE_PX = 0.005
"""Shifts below this are no more than rounding, and are not drawn."""


@dataclass(frozen=True)
class Motion:
    """How parts of the detector moved from one geometry to another.

    Attributes
    ----------
    middles_px : ``(n, 2)``, psana x, y of each part's middle before, pixels.
    shift_px : ``(n, 2)``, displacement of the middle, pixels.
    rotation_deg : ``(n,)``, rotation about z, degrees, counter-clockwise seen along −z.
    """

    middles_px: NDArray[np.float64]
    shift_px: NDArray[np.float64]
    rotation_deg: NDArray[np.float64]


def motion(
    before: Geometry, after: Geometry, part: Literal["sensor", "quadrant"] = "sensor"
) -> Motion:
    """Rigid motion of each sensor or quadrant (group) between two geometries (least squares)."""
    detector = before.detector
    old, new = (
        geometry.pixel_positions_um()[:, ::8, ::8, :2] / detector.pixel_um
        for geometry in (before, after)
    )
    if part == "quadrant":
        places = [group.slice for group in detector.groups]
    else:
        places = [slice(module, module + 1) for module in range(detector.modules)]
    middles, shifts, turns = [], [], []
    for place in places:
        a, b = old[place].reshape(-1, 2), new[place].reshape(-1, 2)
        middle, moved = a.mean(axis=0), b.mean(axis=0)
        a, b = a - middle, b - moved
        turned = np.sum(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
        middles.append(middle)
        shifts.append(moved - middle)
        turns.append(np.degrees(np.arctan2(turned, np.sum(a * b))))
    return Motion(np.array(middles), np.array(shifts), np.array(turns))


@styled
def geometry_difference(
    before: Geometry,
    after: Geometry,
    *,
    names: tuple[str, str] = ("before", "after"),
    figure: Figure | None = None,
) -> Figure:
    """Displacement of every sensor as arrows (drawn longer, the factor is stated), and a table."""
    figure = empty(figure, 9.8, 5.2)
    picture, table = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
    sensors, quadrants = motion(before, after), motion(before, after, "quadrant")
    _draw_arrows(picture, before, sensors, quadrants)
    picture.set_title(f"from {names[0]} to {names[1]}")
    _draw_table(table, before, after, sensors, quadrants)
    listed = "; ".join(
        f"{group.name} x {x:+.2f} y {y:+.2f} px"
        for group, (x, y) in zip(before.detector.groups, quadrants.shift_px, strict=True)
    )
    return describe(
        figure,
        f"Shift of the {before.detector.group_word}s from {names[0]} to {names[1]}: {listed}.",
    )


def _draw_arrows(axes: Axes, before: Geometry, sensors: Motion, quadrants: Motion) -> None:
    from matplotlib.collections import PolyCollection

    outlines = outlines_of(before)[..., ::-1]
    detector = before.detector
    colours = module_colours(detector)
    axes.add_collection(
        PolyCollection(list(outlines), facecolors="#f4f4f6", edgecolors=FAINT, linewidths=0.7)
    )
    longest = float(np.hypot(*sensors.shift_px.T).max())
    factor = _round_down(190.0 / longest) if longest > _VISIBLE_PX else 1.0
    if longest > _VISIBLE_PX:
        axes.quiver(
            sensors.middles_px[:, 1], sensors.middles_px[:, 0],
            factor * sensors.shift_px[:, 1], factor * sensors.shift_px[:, 0],
            color=colours, angles="xy", scale_units="xy", scale=1, width=0.005, headwidth=3.5,
            headlength=4, headaxislength=3.6, zorder=3,
        )  # fmt: skip
    else:
        axes.text(0.5, 0.5, "nothing moved", transform=axes.transAxes, ha="center", va="center")
    low, high = outlines.min(axis=(0, 1)) - 40, outlines.max(axis=(0, 1)) + 40
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(high[1], low[1])
    label_axes(axes)
    for group, (x, y), colour in zip(
        detector.groups, quadrants.middles_px, group_colours(detector), strict=True
    ):
        axes.text(
            y, x, group.name, ha="center", va="center", fontsize=10, fontweight="bold",
            color=colour,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.75, "lw": 0},
        )  # fmt: skip
    if longest > _VISIBLE_PX:
        axes.text(0.0, 1.0, f"arrows × {factor:g}", transform=axes.transAxes, va="top", fontsize=8)


def _draw_table(
    axes: Axes, before: Geometry, after: Geometry, sensors: Motion, quadrants: Motion
) -> None:
    from matplotlib.transforms import Bbox

    axes.axis("off")
    detector = before.detector
    colours = group_colours(detector)
    heights = [
        [geometry.pixel_positions_um()[group.slice, ..., 2].mean() for group in detector.groups]
        for geometry in (before, after)
    ]
    rows = [
        [
            group.name,
            _signed(x, 2),
            _signed(y, 2),
            _signed(x * detector.pixel_um, 0),
            _signed(y * detector.pixel_um, 0),
            _signed(new - old, 0),
            _signed(angle, 3),
        ]
        for group, (x, y), angle, old, new in zip(
            detector.groups, quadrants.shift_px, quadrants.rotation_deg, *heights, strict=True
        )
    ]
    table = axes.table(
        rows,
        colLabels=["", "x (px)", "y (px)", "x (µm)", "y (µm)", "z (µm)", "turn (°)"],
        cellLoc="right",
        loc="upper center",
        bbox=Bbox.from_bounds(0.0, 0.55, 1.0, 0.4),
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    for (row, column), cell in table.get_celld().items():
        cell.set_linewidth(0.5)
        if row and column == 0:
            cell.get_text().set_color(colours[row - 1])
            cell.get_text().set_fontweight("bold")
    sizes = [len(group.modules) for group in detector.groups]
    whole = np.repeat(quadrants.shift_px, sizes, axis=0)
    inner = float(np.hypot(*(sensors.shift_px - whole).T).max())
    text = f"Largest shift of a sensor: {np.hypot(*sensors.shift_px.T).max():.2f} px."
    if max(sizes) > 1:
        text += f"\nOf a sensor within its {detector.group_word}: {inner:.3f} px."
    axes.text(0.0, 0.46, text, transform=axes.transAxes, va="top")


def _signed(value: float, digits: int) -> str:
    rounded = round(float(value), digits) + 0.0
    return f"{rounded:.{digits}f}" if rounded == 0 else f"{rounded:+.{digits}f}".replace("-", "−")


def _round_down(value: float) -> float:
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step for step in (5, 2, 1) if step * power <= value * (1 + 1e-9)) * power)
