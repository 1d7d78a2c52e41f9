"""Peaks of every event of a run, so that the threshold of hits can be chosen afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.averages.collect import Job, available_cores
from workbench.frames.peaks import find_peaks
from workbench.frames.writing import corrected, in_order
from workbench.progress import Progress, Silent
from workbench.recipe import Corrections, Events, Hits
from workbench.runs import Event, Run


@dataclass(frozen=True)
class RunPeaks:
    """Peaks of the events of a run.

    Attributes
    ----------
    run : its number.
    indices : int64, the events' numbers in the run.
    heights_adu : of the peaks of each event, see `Peaks`; None of an event without pixels.
    lowest_adu : threshold that they were found with.
    complete : False if it was cancelled; later events are missing.
    """

    run: int
    indices: NDArray[np.int64]
    heights_adu: tuple[NDArray[np.float64] | None, ...]
    lowest_adu: float
    complete: bool = True

    def counts(self, threshold_adu: float) -> NDArray[np.int64]:
        """Peaks of each event above a threshold of at least `lowest_adu`; -1 without pixels."""
        return np.array(
            [
                -1 if heights is None else np.count_nonzero(heights > threshold_adu)
                for heights in self.heights_adu
            ],
            dtype=np.int64,
        )

    def hits(self, hits: Hits) -> NDArray[np.int64]:
        """Numbers of the events that are hits."""
        counts = self.counts(hits.threshold_adu)
        return self.indices[(counts >= hits.min_peaks) & (counts >= 0)]


def survey_peaks(
    run: Run,
    corrections: Corrections | None = None,
    selection: Events | None = None,
    good: NDArray[np.bool_] | None = None,
    lowest_adu: float = 100.0,
    progress: Progress | None = None,
) -> RunPeaks:
    """Find the peaks of the selected events of a run, on threads.

    Parameters
    ----------
    corrections, selection, good : as for `write_frames`, of the detector's shape.
    lowest_adu : lowest threshold that will be asked for.
    progress : its ``cancelled`` ends it; what there is so far is given.
    """
    progress = progress or Silent()
    job = Job(run, corrections, selection)
    corrector, expected = job.corrector, job.expected

    def read(event: Event) -> tuple[int, NDArray[np.float64] | None]:
        raw = event.raw
        if raw is None:
            return event.index, None
        return event.index, find_peaks(corrected(raw, corrector), good, lowest_adu).heights_adu

    indices, heights = [], []
    threads = available_cores()
    with ThreadPoolExecutor(threads, thread_name_prefix="peaks") as pool:
        for index, peaks in in_order(pool, read, run.events(None, selection), threads):
            indices.append(index)
            heights.append(peaks)
            progress.update(len(indices), expected, f"run {run.number}")
            if progress.cancelled:
                break
    return RunPeaks(
        run.number, np.array(indices, np.int64), tuple(heights), lowest_adu, not progress.cancelled
    )
