"""Settings of the quadrant alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.recipe.fields import require, setting


@dataclass(frozen=True)
class AlignmentSettings:
    """How quadrant offsets are found."""

    method: Literal["quadrant", "cctbx"] = setting(
        "quadrant", "quadrant: all sensors, sub-pixel; cctbx: as cspad.quadrants_cbf"
    )
    range_px: int = setting(20, "trial offsets from -range to +range pixels in x and y")
    angles_deg: tuple[float, ...] = setting((45.0,), "rotation angles of the self-correlation")

    def __post_init__(self) -> None:
        require(1 <= self.range_px <= 100, f"range_px is {self.range_px}; use 1 to 100 pixels")
        require(len(self.angles_deg) > 0, "angles_deg is empty; 45 degrees is usual")
        require(
            all(0 < abs(angle) < 180 for angle in self.angles_deg),
            "angles_deg must lie between 0 and 180 degrees",
        )
