"""Quadrant alignment: where each quadrant sees the centre of the powder rings, and how surely."""

from workbench.alignment.align import align_quadrants
from workbench.alignment.correlation import CorrelationMap, correlation_map, trial_offsets
from workbench.alignment.overlap import overlaps_px
from workbench.alignment.peak import Peak, find_peak
from workbench.alignment.polarisation import PolarisationCheck, polarisation_check
from workbench.alignment.prepare import Prepared, prepare
from workbench.alignment.rank import RankedImage, rank_images
from workbench.alignment.refine import Refinement, refine_rings
from workbench.alignment.result import Alignment, QuadrantAlignment, in_words_of
from workbench.alignment.sharpness import RingSharpness, ring_sharpness

__all__ = [
    "Alignment",
    "CorrelationMap",
    "Peak",
    "PolarisationCheck",
    "Prepared",
    "QuadrantAlignment",
    "RankedImage",
    "Refinement",
    "RingSharpness",
    "align_quadrants",
    "correlation_map",
    "find_peak",
    "in_words_of",
    "overlaps_px",
    "polarisation_check",
    "prepare",
    "rank_images",
    "refine_rings",
    "ring_sharpness",
    "trial_offsets",
]
