"""Settings of the trusted-pixel mask."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.recipe.fields import require, section, setting


@dataclass(frozen=True)
class Thresholds:
    """Limits a good pixel keeps: 0 < avg ≤ avg_max, 0 < std ≤ stddev_max, max ≥ maxproj_min.

    The comparison operators are those of ``cxi.make_dials_mask`` (cctbx.xfel).
    """

    avg_max: float = setting(2000.0, "ADU; a good pixel has 0 < average <= this (dark run)")
    stddev_max: float = setting(10.0, "ADU; a good pixel has 0 < stddev <= this (dark run)")
    maxproj_min: float = setting(300.0, "ADU; a good pixel has maximum >= this (bright run)")

    def __post_init__(self) -> None:
        require(self.avg_max > 0, f"avg_max is {self.avg_max}; it must be above 0 ADU")
        require(self.stddev_max > 0, f"stddev_max is {self.stddev_max}; it must be above 0 ADU")


@dataclass(frozen=True)
class MaskSettings:
    """Everything that decides the mask."""

    thresholds: Thresholds = section(Thresholds)
    border: int = setting(0, "pixels masked along all four edges of each ASIC")

    def __post_init__(self) -> None:
        require(self.border >= 0, f"border is {self.border}; it must be 0 pixels or more")
