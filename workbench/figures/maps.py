"""Correlation maps of the quadrants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.figures.frame import frame_of
from workbench.figures.style import (
    BLUE,
    FAINT,
    INTENSITY,
    ORANGE,
    VERMILLION,
    describe,
    empty,
    note,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from workbench.alignment import Alignment, QuadrantAlignment
    from workbench.alignment.refine import Refinement
    from workbench.geometry import Geometry

_SMALLEST_ELLIPSE_PX = 0.6


@styled
def correlation_maps(
    alignment: Alignment | Sequence[QuadrantAlignment],
    geometry: Geometry | None = None,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Correlation maps in the detector's layout with peak, uncertainty and cross-section.

    Parameters
    ----------
    alignment : result of `workbench.align_quadrants`, or its quadrants.
    geometry : decides which quadrant stands where; default that of the alignment, or the ideal
        CSPAD. With more than two maps in a row there are no sections.
    """
    if isinstance(alignment, Sequence):
        quadrants = alignment
    else:
        quadrants, geometry = alignment.quadrants, geometry or alignment.present
    maps = [np.asarray(quadrant.map, dtype=float) for quadrant in quadrants]
    finite = np.concatenate([values[np.isfinite(values)] for values in maps])
    limits = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    frame = frame_of(geometry)
    detector = frame.detector if isinstance(alignment, Sequence) else alignment.detector
    places = frame.geometry.places(detector.groups)
    rows, columns = (1 + max(place[axis] for place in places) for axis in (0, 1))
    figure = empty(figure, 10.0, 3.2 * rows)
    sections = columns <= 2
    widths = (1.0, 0.62) if sections else (1.0,)
    grid = figure.add_gridspec(rows, len(widths) * columns, width_ratios=widths * columns)
    shown = None
    sentences = []
    for group, (row, column), quadrant in zip(detector.groups, places, quadrants, strict=True):
        place = figure.add_subplot(grid[row, len(widths) * column])
        image = draw_map(place, quadrant, limits)
        shown = image or shown
        title = _title(group.name, quadrant)
        sentences.append(title.replace("\n", ", ") + ".")
        if sections:
            draw_section(figure.add_subplot(grid[row, 2 * column + 1]), quadrant)
        else:
            title = title.replace(", y", "\ny")
        place.set_title(title, loc="left", fontsize=9)
    if shown is not None:
        bar = figure.colorbar(shown, ax=figure.axes, shrink=0.5, pad=0.01, aspect=35)
        bar.set_label("correlation")
    words = f"Correlation maps of the {detector.group_word}s."
    return describe(figure, " ".join([words, *sentences]))


@styled
def correlation_map(
    quadrant: QuadrantAlignment, name: str = "", *, figure: Figure | None = None
) -> Figure:
    """One correlation map, large, with its sections; a live figure reads the CC at the cursor."""
    figure = empty(figure, 7.2, 4.4)
    place, section = figure.subplots(1, 2, width_ratios=(1.6, 1.0))
    image = draw_map(place, quadrant)
    if image is not None:
        image.set_mouseover(False)  # `read` says it already
        figure.colorbar(image, ax=place, shrink=0.8, pad=0.01).set_label("correlation")
    trials = np.asarray(quadrant.trials_px, dtype=float)
    values = np.asarray(quadrant.map, dtype=float)

    def read(y: float, x: float) -> str:
        row, column = (int(np.argmin(np.abs(trials - at))) for at in (x, y))
        at = f"offset x {trials[row]:+.1f}, y {trials[column]:+.1f} px"
        return f"{at} · CC {values[row, column]:.4f}".replace("-", "−")

    place.format_coord = read
    section.format_coord = lambda x, y: f"offset {x:+.2f} px · CC {y:.4f}".replace("-", "−")
    draw_section(section, quadrant)
    place.set_title(name, loc="left")
    return describe(figure, f"Correlation map {name} with its sections through the peak.")


@styled
def offset_uncertainty(
    refinement: Refinement,
    names: Sequence[str],
    places: Sequence[tuple[int, int]] | None = None,
    *,
    figure: Figure | None = None,
) -> Figure:
    """How well the offset of each group is known, and in which direction it is not.

    One square for each group, about its offset as fitted: the standard deviation as an ellipse,
    the offsets from even and from odd modules alone, and the offset that is applied; dotted the
    direction in which all groups move outwards together.

    Parameters
    ----------
    names : of the groups.
    places : row and column of each, from 0, as `Alignment.places` has them; default: one row.
    """
    from matplotlib.patches import Ellipse

    if not refinement.used.any():
        return describe(empty(figure, 4.0, 1.0), "No group took part in the joint refinement.")
    places = places or [(0, group) for group in range(len(names))]
    rows, columns = (1 + max(place[axis] for place in places) for axis in (0, 1))
    figure = empty(figure, 2.4 * columns + 0.4, 2.6 * rows + 0.8)
    grid = figure.add_gridspec(rows, columns)
    weak = refinement.weak
    for group in np.flatnonzero(refinement.used).tolist():
        row, column = places[group]
        axes = figure.add_subplot(grid[row, column])
        own = slice(2 * group, 2 * group + 2)
        covariance = refinement.covariance_px2[own, own]
        squares, directions = np.linalg.eigh(covariance)
        width, height = 2 * np.sqrt(np.maximum(squares, 0.0))
        kept = 0.0 if weak is None else weak.offset_px - weak.applied_px
        fitted = refinement.offsets_px[group] + kept * refinement.outwards[group]
        angle = float(np.degrees(np.arctan2(directions[0, 0], directions[1, 0])))
        axes.add_patch(
            Ellipse((0, 0), width, height, angle=angle, fill=False, edgecolor=BLUE, lw=1.2)
        )
        axes.plot(0, 0, "+", color=BLUE, ms=9, label="as fitted, with 1 σ")
        halves = refinement.sensor_split_px[:, group] - fitted
        for (x, y), half, style in zip(halves, ("even", "odd"), "sD", strict=True):
            axes.plot(y, x, style, color=FAINT, ms=4, label=f"{half} modules alone")
        down, right = refinement.offsets_px[group] - fitted
        axes.plot(right, down, "o", color=VERMILLION, ms=5, label="as applied")
        shown = float(np.abs([*halves.ravel(), down, right]).max())
        reach = max(2.5 * float(np.sqrt(squares[-1])), 1.2 * shown, 0.02)
        out = 0.9 * reach * refinement.outwards[group]
        axes.plot([-out[1], out[1]], [-out[0], out[0]], ls=":", color=FAINT, lw=0.9, zorder=0)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(reach, -reach)
        axes.set_aspect("equal")
        axes.set_title(names[group], loc="left")
        axes.set_xlabel("y (px)")
        if column == 0:
            axes.set_ylabel("x (px)")
        axes.locator_params(nbins=4)
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2)
    words = "One group is held where it is."
    if weak is not None:
        words = (
            f"outwards in common (dotted): {weak.offset_px:+.2f} ± {weak.sigma_px:.2f} px as "
            f"fitted, {weak.applied_px:+.2f} px applied"
        ).replace("-", "−")
    figure.suptitle(words.replace(": ", ":\n"), fontsize="medium")
    return describe(figure, f"Uncertainty of the offset of each group; {words}.")


def draw_map(
    axes: Axes, quadrant: QuadrantAlignment, limits: tuple[float, float] | None = None
) -> AxesImage | None:
    """Draw the map of one quadrant, x down and y to the right as in the detector pictures."""
    values = np.asarray(quadrant.map, dtype=float)
    trials = np.asarray(quadrant.trials_px, dtype=float)
    axes.set_xlabel("y offset (px)")
    axes.set_ylabel("x offset (px)")
    if not np.isfinite(values).any():
        note(axes, "not determined")
        return None
    half = 0.5 * (trials[1] - trials[0]) if len(trials) > 1 else 0.5
    image = axes.imshow(
        np.ma.masked_invalid(values),
        extent=(trials[0] - half, trials[-1] + half, trials[-1] + half, trials[0] - half),
        cmap=INTENSITY, interpolation="nearest",
        vmin=None if limits is None else limits[0], vmax=None if limits is None else limits[1],
    )  # fmt: skip
    peak = np.nanmax(values)
    spread = peak - np.nanmedian(values)
    if spread > 0 and len(trials) > 2:
        axes.contour(
            trials, trials, np.where(np.isfinite(values), values, np.nanmin(values)),
            levels=(peak - 0.5 * spread,), colors="white", linewidths=0.8,
        )  # fmt: skip
    axes.axhline(0, color="white", lw=0.4, alpha=0.6)
    axes.axvline(0, color="white", lw=0.4, alpha=0.6)
    x, y = (float(value) for value in quadrant.offset_px)
    if _lost(quadrant):
        return image
    axes.plot([y], [x], "+", color=VERMILLION, ms=13, mew=1.8)
    _draw_ellipse(axes, quadrant)
    return image


def _draw_ellipse(axes: Axes, quadrant: QuadrantAlignment) -> None:
    """Three standard deviations about the offset, drawn no smaller than can be seen."""
    from matplotlib.patches import Ellipse

    x, y = (float(value) for value in quadrant.offset_px)
    covariance = np.asarray(quadrant.covariance_px2)
    if not np.isfinite(covariance).all():
        return
    squares, directions = np.linalg.eigh(covariance)
    width, height = 2 * np.maximum(3 * np.sqrt(np.maximum(squares, 0)), _SMALLEST_ELLIPSE_PX)
    angle = float(np.degrees(np.arctan2(directions[0, 0], directions[1, 0])))
    axes.add_patch(
        Ellipse(
            (y, x), float(width), float(height), angle=angle,
            fill=False, edgecolor=ORANGE, linewidth=1.2,
        )
    )  # fmt: skip


def draw_section(axes: Axes, quadrant: QuadrantAlignment) -> None:
    """Correlation along x and along y through the highest trial of one quadrant's map."""
    values = np.asarray(quadrant.map, dtype=float)
    trials = np.asarray(quadrant.trials_px, dtype=float)
    axes.set_xlabel("offset (px)")
    if not np.isfinite(values).any():
        note(axes, "no values")
        return
    at_x, at_y = np.unravel_index(int(np.nanargmax(values)), values.shape)
    axes.plot(trials, values[:, at_y], color=BLUE, lw=1.2)
    axes.plot(trials, values[at_x, :], color=VERMILLION, lw=1.2, ls="--")
    for value, colour, style in zip(
        quadrant.offset_px, (BLUE, VERMILLION), ("-", "--"), strict=True
    ):
        if np.isfinite(value):
            axes.axvline(float(value), color=colour, lw=0.8, ls=style, alpha=0.6)
    axes.set_title("along x: solid\nalong y: dashed", loc="left", fontsize=8)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(lw=0.4, alpha=0.5)
    axes.set_box_aspect(1.6)


def _title(name: str, quadrant: QuadrantAlignment) -> str:
    x, y = (float(value) for value in quadrant.offset_px)
    if _lost(quadrant):
        return f"{name}: not determined"
    x_text, y_text = (
        f"{value:+.2f}".replace("-", "−") + (f" ± {sigma:.2f}" if np.isfinite(sigma) else "")
        for value, sigma in zip((x, y), quadrant.sigma_px, strict=True)
    )
    return f"{name}: x {x_text}, y {y_text} px\ncorrelation {float(quadrant.cc):.4f}"


def _lost(quadrant: QuadrantAlignment) -> bool:
    return quadrant.verdict == "not determined" or not np.isfinite(quadrant.offset_px).all()
