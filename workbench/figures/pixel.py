"""What one pixel had in the events of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.figures.style import BLUE, MASKED, ORANGE, describe, empty, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PixelEvents:
    """Values of a pixel in one run, and the thresholds they meet.

    Attributes
    ----------
    name : e.g. ``dark run 54``.
    indices : of the events. values_adu : of the pixel in `unit`, NaN where an event has no data.
    statistics, thresholds : name and value of each line, e.g. ``("average", 1203.4)``.
    unit : ``ADU`` or ``keV``.
    """

    name: str
    indices: NDArray[np.int64]
    values_adu: NDArray[np.float32]
    statistics: Sequence[tuple[str, float]] = ()
    thresholds: Sequence[tuple[str, float]] = ()
    unit: str = "ADU"


@styled
def pixel_history(
    runs: Sequence[PixelEvents], title: str = "", *, figure: Figure | None = None
) -> Figure:
    """Value per event and histogram of one pixel, a row for each run, with its thresholds.

    Parameters
    ----------
    title : says which pixel it is.
    """
    figure = empty(figure, 9.6, 2.4 * max(1, len(runs)))
    grid = figure.subplots(max(1, len(runs)), 2, squeeze=False, width_ratios=(2.2, 1.0))
    for (events, histogram), run in zip(grid, runs, strict=False):
        events.set_title(run.name, loc="left")
        events.set_ylabel(run.unit)
        events.set_xlabel("event")
        histogram.set_xlabel(run.unit)
        histogram.set_ylabel("events")
        values = run.values_adu[np.isfinite(run.values_adu)]
        if not values.size:
            note(events, "no event has data of this pixel")
            continue
        events.plot(run.indices, run.values_adu, ".", ms=5, color=BLUE)
        histogram.hist(values, bins="auto" if values.size > 20 else 10, color=BLUE)
        low, high = float(values.min()), float(values.max())
        room = 0.6 * (high - low) or 5.0
        for lines, colour, style in ((run.statistics, ORANGE, "-"), (run.thresholds, MASKED, "--")):
            for name, value in lines:
                if not low - room <= value <= high + room:
                    name = f"{name} (not in this range)"
                else:
                    histogram.axvline(value, color=colour, ls=style, lw=1.2)
                    low, high = min(low, value), max(high, value)
                events.axhline(value, color=colour, ls=style, lw=1.2, label=f"{name} {value:.4g}")
        margin = 0.08 * (high - low) or 1.0
        events.set_ylim(low - margin, high + margin)
        events.legend(loc="upper right", fontsize=7).set_in_layout(False)
        events.format_coord = lambda x, y, unit=run.unit: f"event {x:.0f} · {y:.4g} {unit}"
    figure.suptitle(title, fontsize=9, ha="left", x=0.01)
    named = "; ".join(f"{run.name}, {run.values_adu.size} events" for run in runs)
    return describe(figure, f"Values of {title or 'a pixel'} in each event: {named}.")
