"""Runs: finding them on disk and reading their events."""

from workbench.runs.counting import count_events, estimate_events
from workbench.runs.event import XtcEvent
from workbench.runs.frames import FrameEvent, Frames, open_frames
from workbench.runs.inspect import RunSummary, inspect_run, list_detectors
from workbench.runs.protocols import Corrector, Event, EventSource, MakeCorrector, Run
from workbench.runs.psana_run import PsanaEvent, PsanaRun, open_psana
from workbench.runs.psdm import (
    ExperimentPlace,
    RunFile,
    RunFiles,
    find_experiment,
    list_experiments,
    list_runs,
)
from workbench.runs.run import XtcRun, open_run
from workbench.runs.subset import EventSubset
from workbench.runs.xtc.decoders import ModulePixels
from workbench.runs.xtc.events import GAIN_MAP_CHANGES

__all__ = [
    "GAIN_MAP_CHANGES",
    "Corrector",
    "Event",
    "EventSource",
    "EventSubset",
    "ExperimentPlace",
    "FrameEvent",
    "Frames",
    "MakeCorrector",
    "ModulePixels",
    "PsanaEvent",
    "PsanaRun",
    "Run",
    "RunFile",
    "RunFiles",
    "RunSummary",
    "XtcEvent",
    "XtcRun",
    "count_events",
    "estimate_events",
    "find_experiment",
    "inspect_run",
    "list_detectors",
    "list_experiments",
    "list_runs",
    "open_frames",
    "open_psana",
    "open_run",
]
