"""Histogram of an image under its threshold: where the limit lies, what it removes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.figures.frame import ImageLike, pixels_of, unit_of
from workbench.figures.style import (
    BLUE,
    INK,
    MASKED,
    describe,
    empty,
    note,
    styled,
)
from workbench.quantities import thousands
from workbench.recipe.rules import IMAGES, LIMITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from workbench.images import DetectorImage
    from workbench.pipeline import ImageSet
    from workbench.recipe import Thresholds

Side = Literal["above", "below"]


@dataclass(frozen=True)
class ThresholdView:
    """One image and the limit laid on it.

    Attributes
    ----------
    name : e.g. ``average of the dark run``.
    data : image of any shape, ADU.
    limit : the threshold, ADU.
    removes : the side of the limit that is masked. ``above``: also values at or below 0.
    positive : False: not those.
    unit : of data and limit.
    """

    name: str
    data: NDArray[Any]
    limit: float
    removes: Side
    positive: bool = True
    unit: str = "ADU"

    def removed(self, limit: float | None = None) -> int:
        """Pixels that this rule removes with its own or another limit."""
        limit = self.limit if limit is None else limit
        if self.removes == "below":
            return int(np.count_nonzero(~(self.data >= limit)))
        good = self.data <= limit
        if self.positive:
            good &= self.data > 0
        return int(np.count_nonzero(~good))


def threshold_views(
    images: ImageSet, limits: Thresholds, of_runs: bool = False
) -> list[ThresholdView]:
    """Images that threshold rules look at, each with its limit.

    Parameters
    ----------
    of_runs : the names say which runs they are of.
    """
    views = []
    for limit, rule in LIMITS.items():
        image: DetectorImage | None = getattr(images, rule.image)
        if image is not None:
            kind, value = IMAGES[rule.image], getattr(limits, limit)
            name = kind.of_runs if of_runs else kind.words
            positive = bool(rule.lowest)
            views.append(ThresholdView(name, image.data, value, rule.side, positive, image.unit))
    return views


def histogram_range(data: NDArray[Any], limit: float) -> tuple[float, float]:
    """Range in ADU that shows nearly all pixels and the limit, not the last outlier."""
    sample = np.asarray(data).ravel()[::5]
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return min(0.0, limit - 1.0), limit + 1.0
    low, high = np.percentile(finite, (0.02, 99.9))
    low, high = min(float(low), limit), max(float(high), limit)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


@styled
def threshold_histogram(
    name: str,
    data: ImageLike,
    limit: float,
    removes: Side,
    *,
    bins: int = 240,
    figure: Figure | None = None,
) -> Figure:
    """Logarithmic histogram with the limit as a line and the masked side shaded.

    Parameters
    ----------
    name : what the image is, for the title.
    data : an image, or pixels in any shape, ADU.
    limit : the threshold, ADU.
    removes : ``above`` masks values above the limit and at or below 0, ``below`` those under it.
    """
    figure = empty(figure, 4.6, 2.8)
    view = ThresholdView(name, pixels_of(data), limit, removes, unit=unit_of(data))
    draw_histogram(figure.add_subplot(), view, bins)
    return describe(figure, _alt(view))


@styled
def threshold_histograms(views: Sequence[ThresholdView], *, figure: Figure | None = None) -> Figure:
    """Histograms of several images side by side; see `threshold_histogram`."""
    figure = empty(figure, 4.3 * max(1, len(views)), 2.9)
    axes = figure.subplots(1, max(1, len(views)), squeeze=False)[0]
    for number, (place, view) in enumerate(zip(axes, views, strict=True)):
        draw_histogram(place, view, label_y=number == 0)
    return describe(figure, " ".join(_alt(view) for view in views))


def draw_histogram(
    axes: Axes, view: ThresholdView, bins: int = 240, label_y: bool = True
) -> Line2D | None:
    """Draw one histogram; gives the line at the limit, which a panel may drag."""
    values = np.asarray(view.data).ravel()
    values = values[np.isfinite(values)]
    low, high = histogram_range(values, view.limit)
    axes.set_title(view.name)
    axes.set_xlabel(view.unit)
    if label_y:
        axes.set_ylabel("pixels")
    if not values.size:
        note(axes, "no pixel has a value")
        return None
    counts, edges = np.histogram(values, bins=_edges(low, high, bins))
    axes.stairs(counts, edges, fill=True, color=BLUE, alpha=0.85)
    axes.set_yscale("log")
    axes.set_ylim(0.7, 3.0 * max(1, counts.max()))
    axes.set_xlim(low, high)
    masked = [(low, view.limit)] if view.removes == "below" else [(view.limit, high)]
    if view.removes == "above" and low < 0:
        masked.append((low, 0.0))
        axes.axvline(0.0, color=MASKED, lw=0.8, ls=":")
    for span in masked:
        axes.axvspan(*span, color=MASKED, alpha=0.16, lw=0)
    line = axes.axvline(view.limit, color=MASKED, lw=1.6)
    sign = "≥" if view.removes == "below" else "≤"
    removed = view.removed()
    share = 100 * removed / view.data.size
    outside = int(np.count_nonzero((values < low) | (values > high)))
    hidden = f"\n{thousands(outside)} outside the picture" if outside else ""
    axes.text(
        0.98,
        0.97,
        f"good {sign} {view.limit:g} {view.unit}\n"
        f"removes {thousands(removed)} ({share:.2f} %){hidden}",
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=8,
        color=INK,
        bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 2},
    )
    return line


def _edges(low: float, high: float, bins: int) -> NDArray[np.float64]:
    """Edges of about `bins` bins; of whole ADU where that is fine enough, lest integers comb."""
    width = (high - low) / bins
    if width <= 0.2:
        return np.linspace(low, high, bins + 1)
    width = max(1.0, float(np.ceil(width)))
    return np.arange(np.floor(low) - 0.5, high + width, width)


def _alt(view: ThresholdView) -> str:
    comparison = "at least" if view.removes == "below" else "at most"
    return (
        f"Histogram of the {view.name}, counts on a logarithmic scale; good pixels have "
        f"{comparison} {view.limit:g} {view.unit}, {view.removed()} of {view.data.size} pixels"
        " are removed."
    )
