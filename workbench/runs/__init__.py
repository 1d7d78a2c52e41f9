"""Runs: finding them on disk and reading their events."""

from workbench.runs.counting import count_events, estimate_events
from workbench.runs.event import Corrector, Event, MakeCorrector
from workbench.runs.frames import FrameEvent, Frames, open_frames
from workbench.runs.inspect import RunSummary, inspect_run, list_detectors
from workbench.runs.psdm import (
    ExperimentPlace,
    RunFile,
    RunFiles,
    find_experiment,
    list_experiments,
    list_runs,
)
from workbench.runs.run import Run, open_run
from workbench.runs.xtc.cspad import QuadData

__all__ = [
    "Corrector",
    "Event",
    "ExperimentPlace",
    "FrameEvent",
    "Frames",
    "MakeCorrector",
    "QuadData",
    "Run",
    "RunFile",
    "RunFiles",
    "RunSummary",
    "count_events",
    "estimate_events",
    "find_experiment",
    "inspect_run",
    "list_detectors",
    "list_experiments",
    "list_runs",
    "open_frames",
    "open_run",
]
