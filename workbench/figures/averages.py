"""Statistics per sensor and the map of the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from workbench.detector import QUADRANTS, SENSORS, SENSORS_PER_QUADRANT
from workbench.figures.frame import frame_of, full
from workbench.figures.images import draw_image, percentile_limits
from workbench.figures.style import QUADRANT_COLOURS, describe, empty, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.geometry import Geometry


@styled
def sensor_statistics(
    average: ArrayLike,
    stddev: ArrayLike,
    good: ArrayLike | None = None,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Median and middle 90 % of average and noise for each of the 32 sensors.

    Parameters
    ----------
    average, stddev : ``(32, 185, 388)``, ADU.
    good : bool ``(32, 185, 388)``, True = good; other pixels are left out.
    """
    figure = empty(figure, 9.0, 4.4)
    chosen = np.ones((SENSORS, 1, 1), bool) if good is None else full(good, "the mask", bool)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, values, name in (
        (panels[0], full(average, "the average"), "average"),
        (panels[1], full(stddev, "the standard deviation"), "standard deviation"),
    ):
        spread = np.full((SENSORS, 3), np.nan)
        for sensor in range(SENSORS):
            kept = values[sensor][np.broadcast_to(chosen[sensor], values[sensor].shape)]
            kept = kept[np.isfinite(kept)]
            if kept.size:
                spread[sensor] = np.percentile(kept, (5, 50, 95))
        for quadrant in range(QUADRANTS):
            at = np.arange(SENSORS_PER_QUADRANT) + quadrant * SENSORS_PER_QUADRANT
            low, middle, high = spread[at].T
            axes.errorbar(
                at, middle, (middle - low, high - middle), fmt="o", ms=4, capsize=2, lw=1,
                color=QUADRANT_COLOURS[quadrant], label=f"Q{quadrant}",
            )  # fmt: skip
        axes.set_ylabel(f"{name} (ADU)")
        axes.grid(axis="y", lw=0.4, alpha=0.5)
        if np.isnan(spread).all():
            note(axes, "no pixel is left")
    panels[1].set_xlabel("sensor (8 × quadrant + section)")
    panels[1].set_xticks(range(0, SENSORS, 4))
    panels[0].legend(ncols=4, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return describe(
        figure, "Median and middle 90 % of average and standard deviation for each of 32 sensors."
    )


@styled
def noise_map(
    stddev: ArrayLike,
    geometry: Geometry | None = None,
    good: ArrayLike | None = None,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Standard deviation of the dark run in geometry, and its distribution in each quadrant.

    Parameters
    ----------
    stddev : ``(32, 185, 388)``, ADU.
    good : bool ``(32, 185, 388)``, True = good; other pixels are drawn as gaps.
    """
    figure = empty(figure, 9.5, 4.2)
    noise = full(stddev, "the standard deviation")
    trusted = np.isfinite(noise) if good is None else full(good, "the mask", bool)
    low, high = percentile_limits(noise, trusted, (0.5, 99.0))
    image, curves = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
    draw_image(
        image, np.where(trusted, noise, np.nan), frame_of(geometry), limits=(low, high),
        title="noise of good pixels", step=2,
    )  # fmt: skip
    medians = []
    for quadrant in range(QUADRANTS):
        part = slice(quadrant * SENSORS_PER_QUADRANT, (quadrant + 1) * SENSORS_PER_QUADRANT)
        values = noise[part][trusted[part]]
        if not values.size:
            continue
        medians.append(float(np.median(values)))
        counts, edges = np.histogram(values, bins=150, range=(max(0.0, low - 1), 1.3 * high))
        curves.stairs(
            counts, edges, color=QUADRANT_COLOURS[quadrant], lw=1.2,
            label=f"Q{quadrant}: median {medians[-1]:.2f} ADU",
        )  # fmt: skip
    curves.set_xlabel("standard deviation (ADU)")
    curves.set_ylabel("pixels")
    if medians:
        curves.legend()
    else:
        note(curves, "no pixel is good")
    listed = ", ".join(f"{value:.2f}" for value in medians)
    return describe(figure, f"Map and histogram of the noise; medians per quadrant {listed} ADU.")
