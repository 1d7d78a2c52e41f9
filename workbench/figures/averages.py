"""Statistics per sensor and the map of the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.figures.frame import ImageLike, detector_array, frame_of, good_pixels, unit_of
from workbench.figures.images import draw_image, percentile_limits
from workbench.figures.style import describe, empty, group_colours, note, styled
from workbench.geometry import Geometry

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def sensor_statistics(
    average: ImageLike,
    stddev: ImageLike,
    good: ImageLike | None = None,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Median and middle 90 % of average and noise for each sensor.

    Parameters
    ----------
    average, stddev : images of one detector, ADU.
    good : bool in the detector's shape, True = good; other pixels are left out.
    """
    figure = empty(figure, 9.0, 4.4)
    detector, mean = detector_array(average, "the average")
    _, noise = detector_array(stddev, "the standard deviation", detector)
    chosen = np.ones(detector.shape, bool) if good is None else good_pixels(good, detector)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, values, image, name in (
        (panels[0], mean, average, "average"),
        (panels[1], noise, stddev, "standard deviation"),
    ):
        spread = np.full((detector.modules, 3), np.nan)
        for sensor in range(detector.modules):
            good_values = values[sensor][chosen[sensor]]
            good_values = good_values[np.isfinite(good_values)]
            if good_values.size:
                spread[sensor] = np.percentile(good_values, (5, 50, 95))
        for group, colour in zip(detector.groups, group_colours(detector), strict=True):
            at = np.array(group.modules)
            low, middle, high = spread[at].T
            axes.errorbar(
                at, middle, (middle - low, high - middle), fmt="o", ms=4, capsize=2, lw=1,
                color=colour, label=group.name,
            )  # fmt: skip
        axes.set_ylabel(f"{name} ({unit_of(image)})")
        axes.grid(axis="y", lw=0.4, alpha=0.5)
        if np.isnan(spread).all():
            note(axes, "no pixel is left")
    panels[1].set_xlabel("sensor, counted through the detector")
    panels[1].set_xticks(range(0, detector.modules, max(1, detector.modules // 8)))
    panels[0].legend(ncols=4, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return describe(
        figure,
        "Median and middle 90 % of average and standard deviation for each of"
        f" {detector.modules} sensors.",
    )


@styled
def noise_map(
    stddev: ImageLike,
    geometry: Geometry | None = None,
    good: ImageLike | None = None,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Standard deviation of the dark run in geometry, and its distribution in each quadrant.

    Parameters
    ----------
    stddev : image, ADU.
    good : bool in the detector's shape, True = good; other pixels are drawn as gaps.
    """
    figure = empty(figure, 9.5, 4.2)
    detector, noise = detector_array(stddev, "the standard deviation")
    trusted = np.isfinite(noise) if good is None else good_pixels(good, detector)
    low, high = percentile_limits(noise, trusted, (0.5, 99.0))
    image, curves = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
    unit = unit_of(stddev)
    draw_image(
        image, np.where(trusted, noise, np.nan), frame_of(geometry, detector), limits=(low, high),
        title="noise of good pixels", step=2, unit=unit,
    )  # fmt: skip
    medians = []
    for group, colour in zip(detector.groups, group_colours(detector), strict=True):
        values = noise[group.slice][trusted[group.slice]]
        if not values.size:
            continue
        medians.append(float(np.median(values)))
        counts, edges = np.histogram(values, bins=150, range=(max(0.0, low - 1), 1.3 * high))
        curves.stairs(
            counts, edges, color=colour, lw=1.2,
            label=f"{group.name}: median {medians[-1]:.2f} {unit}",
        )  # fmt: skip
    curves.set_xlabel(f"standard deviation ({unit})")
    curves.set_ylabel("pixels")
    if medians:
        curves.legend()
    else:
        note(curves, "no pixel is good")
    listed = ", ".join(f"{value:.2f}" for value in medians)
    return describe(
        figure,
        f"Map and histogram of the noise; medians per {detector.group_word} {listed} {unit}.",
    )
