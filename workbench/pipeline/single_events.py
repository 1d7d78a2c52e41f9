"""Single events of a run: one as an image, and what one pixel had in many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.corrections import corrected_unit
from workbench.errors import Cancelled, NoEventsError
from workbench.progress import Progress
from workbench.recipe import Corrections, Events

if TYPE_CHECKING:
    from workbench.runs import Event, Run

MOST_EVENTS = 400
"""Events that `pixel_history` reads."""


@dataclass(frozen=True)
class PixelHistory:
    """Values of one pixel in the events of a run.

    Attributes
    ----------
    run : number of the run.
    pixel : its place in the flattened detector array.
    indices : int64, the events' numbers in the run.
    values_adu : float32 in `unit`, NaN where an event has no pixels.
    unit : ``ADU``, or ``keV`` where the pixels are corrected to that.
    """

    run: int
    pixel: int
    indices: NDArray[np.int64]
    values_adu: NDArray[np.float32]
    unit: str = "ADU"


def read_event(run: Run, index: int, corrections: Corrections | None = None) -> Event:
    """One event by its number in the run, from 0; `Event.data` has it corrected.

    Parameters
    ----------
    corrections : None or none of them: as it was recorded.

    Raises
    ------
    NoEventsError
        If the run has no such event.
    """
    event = next(run.events(corrections or Corrections.none(), Events(indices=(index,))), None)
    if event is None:
        raise NoEventsError(f"{run.title} has no event {index}; it has about {run.event_count}.")
    return event


def pixel_history(
    run: Run,
    pixel: int,
    corrections: Corrections | None = None,
    selection: Events | None = None,
    most: int = MOST_EVENTS,
    progress: Progress | None = None,
) -> PixelHistory:
    """Read one pixel in at most about `most` events, evenly spread over the run.

    Parameters
    ----------
    pixel : place in the flattened detector array.
    corrections, selection : as for `Run.events`; the values are those that averages are made of.

    Raises
    ------
    Cancelled
        If `progress` says so.
    """
    corrections = corrections or Corrections.none()
    total = run.event_count or most
    step = max(1, -(-len((selection or Events()).among(total)) // most))
    indices: list[int] = []
    values: list[float] = []
    for number, event in enumerate(run.events(corrections, selection)):
        if number % step:
            continue  # its pixels are not read
        data = event.data
        indices.append(event.index)
        values.append(np.nan if data is None else float(data.flat[pixel]))
        if progress is not None:
            progress.update(event.index + 1, total, f"run {run.number}")
            if progress.cancelled:
                raise Cancelled("Reading the pixel's history was cancelled.")
    return PixelHistory(
        run.number, pixel, np.array(indices, dtype=np.int64), np.array(values, dtype=np.float32),
        corrected_unit(corrections, run),
    )  # fmt: skip
