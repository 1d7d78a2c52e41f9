"""What a mask removes: by which rule, where, how much, and how that depends on a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detectors import find
from workbench.figures.frame import (
    Frame,
    ImageLike,
    blocks_with_any,
    frame_of,
    full,
    pixels_of,
    unit_of,
)
from workbench.figures.histograms import Side, ThresholdView, histogram_range
from workbench.figures.images import label_axes, name_groups
from workbench.figures.style import (
    BLUE,
    CATEGORIES,
    FAINT,
    GAP,
    INK,
    MASKED,
    ORANGE,
    describe,
    empty,
    note,
    styled,
    with_gap,
)
from workbench.mask.suggest import pixels_masked
from workbench.quantities import thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.geometry import Geometry

_KEPT = "#f7f7fa"
_CURVE_POINTS = 400
_FLAT = 0.1  # pixels per ADU; less is not drawn


@styled
def mask_rules(
    removed: Mapping[str, ArrayLike],
    geometry: Geometry | None = None,
    *,
    figure: Figure | None = None,
) -> Figure:
    """What each rule removed: a picture in colours, and bars with total and exclusive counts.

    Parameters
    ----------
    removed : rule → bool ``(modules, rows, columns)``, True where the rule removes the pixel. Rules
        that remove nothing are listed but take no colour.
    """
    figure = empty(figure, 10.0, 4.9)
    rules = {name: full(where, name, bool) for name, where in removed.items()}
    hits = np.zeros(next(iter(rules.values())).shape if rules else (), dtype=np.uint8)
    for where in rules.values():
        hits += where
    counts = {
        name: (int(where.sum()), int((where & (hits == 1)).sum())) for name, where in rules.items()
    }
    picture, bars = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    frame = frame_of(geometry)
    drawn = [name for name, (total, _) in counts.items() if total]
    colours = {name: CATEGORIES[i % len(CATEGORIES)] for i, name in enumerate(drawn)}
    _draw_categories(picture, frame, {name: rules[name] for name in drawn}, hits, colours)
    picture.set_title("removed pixels by rule")
    _draw_bars(bars, counts, colours)
    union = int(np.count_nonzero(hits))
    bars.set_title(f"{thousands(union)} pixels removed in all")
    listed = "; ".join(f"{name}: {total}, alone {only}" for name, (total, only) in counts.items())
    return describe(figure, f"Removed pixels coloured by rule. Counts: {listed}. In all {union}.")


def _draw_categories(
    axes: Axes,
    frame: Frame,
    rules: Mapping[str, NDArray[np.bool_]],
    hits: NDArray[np.uint8],
    colours: Mapping[str, str],
) -> None:
    """Colour each removed pixel by its rule; rules that remove few pixels lie on top."""
    from matplotlib.colors import ListedColormap

    present = blocks_with_any(frame.index >= 0)
    shown = np.where(present, 1, 0).astype(np.int16)
    order = sorted(rules, key=lambda name: -int(rules[name].sum()))
    palette = [GAP, _KEPT]
    for name in order:
        palette.append(colours[name])
        where = blocks_with_any(frame.assemble(rules[name].astype(np.uint8), 0).astype(bool))
        shown[where] = len(palette) - 1
    axes.imshow(
        shown, cmap=ListedColormap(palette), vmin=-0.5, vmax=len(palette) - 0.5,
        extent=frame.extent, interpolation="nearest",
    )  # fmt: skip
    name_groups(axes, frame)
    label_axes(axes)


def _draw_bars(
    axes: Axes, counts: Mapping[str, tuple[int, int]], colours: Mapping[str, str]
) -> None:
    if not counts:
        note(axes, "no rule is on")
        return
    names = list(counts)
    at = np.arange(len(names))
    totals = np.array([counts[name][0] for name in names], dtype=float)
    alone = np.array([counts[name][1] for name in names], dtype=float)
    tints = [colours.get(name, FAINT) for name in names]
    axes.barh(at, totals, color=tints, alpha=0.35, height=0.7)
    axes.barh(at, alone, color=tints, height=0.36)
    axes.set_yticks(at, names)
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=10)
    top = max(100.0, float(totals.max()))
    axes.set_xlim(0, 60 * top)
    for place, total, only in zip(at, totals, alone, strict=True):
        axes.text(
            max(1.0, total) * 1.3, float(place), f"{thousands(total)} ({thousands(only)})",
            va="center", fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_xlabel("pixels: total, pale (by this rule alone, dark)")


@styled
def fraction_map(
    good: ArrayLike, geometry: Geometry | None = None, *, figure: Figure | None = None
) -> Figure:
    """Fraction masked of each ASIC, in geometry: a dead ASIC is seen at once.

    Parameters
    ----------
    good : bool ``(modules, rows, columns)``, True = good.
    """
    figure = empty(figure, 6.4, 5.4)
    trusted = full(good, "the mask", bool)
    detector = find(trusted.shape)
    fraction = 100 * (1 - detector.by_asic(trusted).mean(axis=(2, 3)))
    asics = np.broadcast_to(fraction.reshape(-1, 1, 1), (detector.asics, *detector.asic_shape))
    array = detector.from_asic_stack(asics.astype(np.float32))
    frame = frame_of(geometry, detector)
    axes = figure.add_subplot()
    top = min(100.0, max(1.0, float(fraction.max())))
    shown = axes.imshow(
        np.ma.masked_invalid(frame.assemble(array)), cmap=with_gap("YlOrBr"), vmin=0, vmax=top,
        extent=frame.extent, interpolation="nearest",
    )  # fmt: skip
    middles = frame.asic_centres()
    for (x, y), value in zip(middles.reshape(-1, 2), fraction.reshape(-1), strict=True):
        axes.text(
            y, x, f"{value:.2g}" if value < 99.95 else "100", ha="center", va="center",
            fontsize=6, color="white" if value > 0.6 * top else INK,
        )  # fmt: skip
    name_groups(axes, frame)
    label_axes(axes)
    axes.set_title("masked pixels per ASIC (%)")
    figure.colorbar(shown, ax=axes, shrink=0.85, pad=0.02).set_label("masked (%)")
    worst = detector.asic_names()[int(fraction.argmax())]
    return describe(
        figure,
        f"Percentage of masked pixels of each ASIC; median {np.median(fraction):.2f} %, largest"
        f" {fraction.max():.2f} % in {worst}.",
    )


@styled
def threshold_curve(
    name: str,
    data: ImageLike,
    limit: float,
    removes: Side,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Pixels removed against the threshold: a flat part means the choice does not matter much.

    Parameters
    ----------
    name, data, limit, removes : as for `workbench.figures.threshold_histogram`.
    """
    figure = empty(figure, 4.6, 2.9)
    view = ThresholdView(name, pixels_of(data), limit, removes, unit=unit_of(data))
    draw_curve(figure.add_subplot(), view, label_slope=True)
    return describe(figure, _curve_alt(view))


@styled
def threshold_curves(views: Sequence[ThresholdView], *, figure: Figure | None = None) -> Figure:
    """Curves of several rules side by side; see `threshold_curve`."""
    figure = empty(figure, 4.3 * max(1, len(views)), 2.9)
    axes = figure.subplots(1, max(1, len(views)), squeeze=False)[0]
    for number, (place, view) in enumerate(zip(axes, views, strict=True)):
        draw_curve(place, view, label_y=number == 0, label_slope=number == len(views) - 1)
    return describe(figure, " ".join(_curve_alt(view) for view in views))


def draw_curve(
    axes: Axes, view: ThresholdView, label_y: bool = True, label_slope: bool = False
) -> None:
    """Draw removed pixels against threshold, their slope, the limit, and the ±20 % about it.

    The slope, grey, is how many pixels one ADU (or keV) decides about; it is least on a plateau.
    """
    values = np.asarray(view.data, dtype=np.float64).ravel()
    missing = int(np.count_nonzero(~np.isfinite(values)))
    values = values[np.isfinite(values)]
    axes.set_title(view.name)
    axes.set_xlabel(f"threshold ({view.unit})")
    if label_y:
        axes.set_ylabel("pixels removed")
    if not values.size:
        note(axes, "no pixel has a value")
        return
    low, high = histogram_range(values, view.limit)
    limits = np.linspace(low, high, _CURVE_POINTS)
    positive = view.positive and view.removes == "above"
    numbers = np.sort(values, axis=None)
    removed = pixels_masked(numbers, limits, view.removes, positive).astype(np.float64)
    steep = axes.twinx()
    slope = np.abs(np.gradient(removed, limits))
    steep.fill_between(limits, _FLAT, np.maximum(slope, _FLAT), color=FAINT, alpha=0.35, lw=0)
    steep.set_yscale("log")
    steep.set_ylim(_FLAT, 100 * max(1.0, float(slope.max())))  # in the lower part of the picture
    steep.tick_params(labelsize=7, colors=FAINT)
    steep.spines["right"].set_visible(True)
    if label_slope:
        steep.set_ylabel(f"slope: pixels per {view.unit}", color=FAINT)
    axes.set_zorder(steep.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(limits, np.maximum(removed + missing, 0.7), color=BLUE, lw=1.6)
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.axvspan(0.8 * view.limit, 1.2 * view.limit, color=ORANGE, alpha=0.25, lw=0)
    axes.axvline(view.limit, color=MASKED, lw=1.4)
    here, less, more = (view.removed(factor * view.limit) for factor in (1.0, 0.8, 1.2))
    axes.plot([view.limit], [max(here, 0.7)], "o", color=MASKED, ms=5)
    axes.grid(lw=0.4, alpha=0.5)
    moved = f"20 % lower: {_change(less - here)} pixels\n20 % higher: {_change(more - here)} pixels"
    axes.set_title(f"{view.name}\n\n")
    axes.text(0.5, 1.02, moved, transform=axes.transAxes, ha="center", va="bottom", fontsize=8)


@styled
def mask_difference(
    first: ArrayLike,
    second: ArrayLike,
    names: tuple[str, str] = ("A", "B"),
    geometry: Geometry | None = None,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Where two masks differ: removed by both, by the first alone, by the second alone.

    Parameters
    ----------
    first, second : bool ``(modules, rows, columns)``, True = good.
    names : what to call them.
    """
    figure = empty(figure, 8.6, 5.0)
    bad_a, bad_b = (~full(mask, "the mask", bool) for mask in (first, second))
    parts = {
        "removed by both": bad_a & bad_b,
        f"only by {names[0]}": bad_a & ~bad_b,
        f"only by {names[1]}": bad_b & ~bad_a,
    }
    colours = dict(zip(parts, (FAINT, BLUE, MASKED), strict=True))
    picture, bars = figure.subplots(1, 2, width_ratios=(1.6, 1.0))
    _draw_categories(picture, frame_of(geometry), parts, bad_a.astype(np.uint8), colours)
    counts = {name: int(where.sum()) for name, where in parts.items()}
    bars.barh(list(counts), list(counts.values()), color=list(colours.values()))
    bars.invert_yaxis()
    bars.set_xlabel("pixels")
    bars.margins(x=0.35)
    for place, count in enumerate(counts.values()):
        bars.text(count, place, f" {thousands(count)}", va="center", fontsize=8)
    bars.locator_params(axis="x", nbins=4)
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    return describe(figure, f"Difference of two masks in pixels: {listed}.")


def _change(pixels: int) -> str:
    return f"{'+' if pixels >= 0 else '−'}{thousands(abs(pixels))}"


def _curve_alt(view: ThresholdView) -> str:
    return (
        f"Pixels removed against the threshold on the {view.name}: {view.removed()} at"
        f" {view.limit:g} {view.unit}, {view.removed(0.8 * view.limit)} at 20 % less,"
        f" {view.removed(1.2 * view.limit)} at 20 % more."
    )
