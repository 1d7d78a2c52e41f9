"""Which events of a run become frames for DIALS and CrystFEL, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.recipe.corrections import Corrections
from workbench.recipe.events import Events
from workbench.recipe.fields import require, section, setting

FormatName = Literal["cbf", "nxmx", "crystfel"]


@dataclass(frozen=True)
class Hits:
    """Which events are hits: those with at least so many peaks (see `workbench.frames.peaks`)."""

    min_peaks: int = setting(15, "fewest peaks of a hit")
    threshold_adu: float = setting(
        300.0, "height of a peak above zero and its surroundings, ADU; keV of events in keV"
    )

    def __post_init__(self) -> None:
        require(self.min_peaks >= 0, f"a hit cannot have {self.min_peaks} peaks; use 0 or more")
        require(
            self.threshold_adu > 0,
            f"the threshold of peaks is {self.threshold_adu:g}; it must be above 0",
        )


@dataclass(frozen=True)
class FrameSettings:
    """Frames of single events. The calibration does not depend on them."""

    run: int | None = setting(None, "run whose events are written (default: first bright run)")
    format: FormatName = setting(
        "nxmx", "cbf: a file for each event; nxmx: HDF5 for DIALS; crystfel: CXI with .geom"
    )
    only_hits: bool = setting(True, "only events with at least min_peaks peaks")
    whole_adu: bool = setting(False, "round to whole ADU; smaller files")
    folder: str = setting("", "where to (default: frames-r<run> in the output folder)")
    hits: Hits = section(Hits)
    corrections: Corrections = section(Corrections.psana, "those of psana's Detector.calib")
    events: Events = section(Events, "of these the hits are chosen")
