"""Average, standard deviation, maximum and minimum of runs, on threads or on a cluster."""

from workbench.averages.average import average_run, deployed_geometry
from workbench.averages.cluster import Dask
from workbench.averages.collect import Runner, Threads
from workbench.averages.halves import HALVES
from workbench.averages.merging import MergedImages, merge_images, merge_runs
from workbench.averages.results import BASE_NAMES, FRAME_NAMES, RunImages
from workbench.averages.state import AveragingState, read_state
from workbench.averages.statistics import Statistics, merge_all

__all__ = [
    "BASE_NAMES",
    "FRAME_NAMES",
    "HALVES",
    "AveragingState",
    "Dask",
    "MergedImages",
    "RunImages",
    "Runner",
    "Statistics",
    "Threads",
    "average_run",
    "deployed_geometry",
    "merge_all",
    "merge_images",
    "merge_runs",
    "read_state",
]
