"""Frames of a run for other programs: single events, corrected and masked, in their formats.

`peaks` counts peaks, `nxmx` and `crystfel` are HDF5 formats, `table` lists the events, `writing`
goes through a run.
"""

from __future__ import annotations

from workbench.frames.formats import FORMATS
from workbench.frames.peaks import Hits, count_peaks
from workbench.frames.table import FrameRow, read_table
from workbench.frames.writing import FramesWritten, write_frames

__all__ = [
    "FORMATS",
    "FrameRow",
    "FramesWritten",
    "Hits",
    "count_peaks",
    "read_table",
    "write_frames",
]
