"""How many peaks the events of a run have, and which of them are hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.figures.style import BLUE, FAINT, MASKED, ORANGE, describe, empty, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def peaks_per_event(
    indices: NDArray[np.int64],
    peaks: NDArray[np.int64],
    min_peaks: int,
    shown: int | None = None,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Peaks of each event, hits apart from blank ones.

    Parameters
    ----------
    indices, peaks : of the events: their numbers, and their peaks (-1: without pixels).
    min_peaks : fewest peaks of a hit.
    shown : number of the event that is looked at.
    """
    figure = empty(figure, 6.4, 1.8)
    axes = figure.subplots()
    axes.set_xlabel("event")
    axes.set_ylabel("peaks")
    there = peaks >= 0
    if not there.any():
        note(axes, "no event has data")
        return describe(figure, "Peaks per event: no event has data.")
    hits = there & (peaks >= min_peaks)
    size = 5.0 if indices.size < 500 else 2.0
    for chosen, colour, name in ((there & ~hits, FAINT, "no hit"), (hits, BLUE, "hit")):
        axes.plot(
            indices[chosen], peaks[chosen], ".", ms=size, color=colour,
            label=f"{np.count_nonzero(chosen)} {name}{'s' if name == 'hit' else ''}",
        )  # fmt: skip
    axes.axhline(min_peaks, color=MASKED, ls="--", lw=1.0)
    if shown is not None:
        axes.axvline(shown, color=ORANGE, lw=1.0)
    top = 1.6 * max(int(peaks.max()), min_peaks, 1)
    axes.set_ylim(-0.03 * top, top)
    if top > 100:
        axes.set_yscale("symlog", linthresh=10)
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 0.98), ncols=2, fontsize=7)
    axes.format_coord = lambda x, y: f"event {x:.0f} · {max(y, 0):.0f} peaks"  # type: ignore[method-assign]
    return describe(
        figure,
        f"Peaks of {np.count_nonzero(there)} events; {np.count_nonzero(hits)} have at least "
        f"{min_peaks} and are hits.",
    )
