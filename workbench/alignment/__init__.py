"""Quadrant alignment: where each quadrant sees the centre of the powder rings, and how surely."""

from workbench.alignment.align import align_quadrants
from workbench.alignment.correlation import CorrelationMap, correlation_map, trial_offsets
from workbench.alignment.peak import Peak, find_peak
from workbench.alignment.prepare import Prepared, prepare
from workbench.alignment.result import Alignment, QuadrantAlignment

__all__ = [
    "Alignment",
    "CorrelationMap",
    "Peak",
    "Prepared",
    "QuadrantAlignment",
    "align_quadrants",
    "correlation_map",
    "find_peak",
    "prepare",
    "trial_offsets",
]
