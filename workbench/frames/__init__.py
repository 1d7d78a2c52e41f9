"""Frames of a run for other programs: single events, corrected and masked, in their formats.

`peaks` counts peaks, `survey` those of a whole run, `nxmx` and `crystfel` are HDF5 formats, `table`
lists the events, `writing` goes through a run.
"""

from __future__ import annotations

from workbench.frames.formats import FORMATS
from workbench.frames.peaks import Peaks, count_peaks, find_peaks
from workbench.frames.survey import RunPeaks, survey_peaks
from workbench.frames.table import FrameRow, read_table
from workbench.frames.writing import FramesWritten, write_frames
from workbench.recipe import Hits

__all__ = [
    "FORMATS",
    "FrameRow",
    "FramesWritten",
    "Hits",
    "Peaks",
    "RunPeaks",
    "count_peaks",
    "find_peaks",
    "read_table",
    "survey_peaks",
    "write_frames",
]
