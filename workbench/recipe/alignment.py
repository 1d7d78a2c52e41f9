"""Settings of the quadrant alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.recipe.fields import require, require_choices, setting

Method = Literal["quadrant", "cctbx"]


@dataclass(frozen=True)
class AlignmentSettings:
    """How quadrant offsets are found."""

    method: Method = setting(
        "quadrant", "quadrant: all sensors, sub-pixel; cctbx: as cspad.quadrants_cbf"
    )
    image: Literal["average", "maximum"] = setting(
        "average", "picture of the bright runs to align on; the maximum shows weak, spotty rings"
    )
    refine: Literal["rings", "none"] = setting(
        "rings", "rings: all quadrants together until one radial profile fits all; none: maps only"
    )
    groups: Literal["default", "sides"] = setting(
        "default",
        "what moves as one: default, quadrants or the modules of a Jungfrau; sides, the two sides "
        "of a Jungfrau 4M on two motors",
    )
    calibrant: Literal["unknown", "AgBeh", "LaB6", "CeO2", "Si"] = setting(
        "unknown", "known rings (AgBeh, LaB6, CeO2, Si) also give distance and outward shift"
    )
    outward: Literal["supported", "full"] = setting(
        "supported",
        "all quadrants moving outwards together: as far as the rings support it, or as fitted",
    )
    fixed: tuple[int, ...] = setting(
        (), "quadrants that are where they should be; the others are aligned to them"
    )
    sensors: bool = setting(
        False, "also move each sensor within its quadrant as far as the rings support it"
    )
    tilt: bool = setting(
        False, "also turn the whole detector about lab x and y if the rings clearly ask for it"
    )
    range_px: int = setting(20, "trial offsets from -range to +range pixels in x and y")
    step_px: float = setting(1.0, "pixels between trial offsets")
    angles_deg: tuple[float, ...] = setting(
        (30.0, 45.0, 60.0), "rotation angles of the self-correlation, degrees"
    )
    transform: Literal["sqrt", "log", "rank", "linear"] = setting(
        "sqrt",
        "compresses intensities, so that bright spots count less: sqrt, log, rank or linear",
    )
    background_px: int = setting(25, "width of the running mean subtracted as background, pixels")
    multi_angle: bool = setting(
        True, "method cctbx: maximum over 21 angles (20 to 70 degrees), else 45 degrees only"
    )
    min_overlap: float = setting(
        0.3, "least share of the largest number of pixel pairs a trial needs"
    )
    saturation_adu: float | None = setting(
        None, "ADU; pixels at or above are left out (default: the largest value of the ADC)"
    )
    halves: Literal["none", "odd-even", "first-last"] = setting(
        "none", "compare halves of the events: odd-even every second one; first-last by time"
    )

    def __post_init__(self) -> None:
        require_choices(self)
        require(1 <= self.range_px <= 100, f"range_px is {self.range_px}; use 1 to 100 pixels")
        require(
            0.1 <= self.step_px <= self.range_px,
            f"step_px is {self.step_px}; use 0.1 pixels up to range_px",
        )
        require(len(self.angles_deg) > 0, "angles_deg is empty; 45 degrees is usual")
        require(
            all(0 < abs(angle) < 180 for angle in self.angles_deg),
            "angles_deg must lie between 0 and 180 degrees",
        )
        require(
            self.background_px >= 3,
            f"background_px is {self.background_px}; it must be 3 pixels or more",
        )
        require(
            all(quadrant >= 0 for quadrant in self.fixed),
            "fixed: quadrants are numbered 0, 1, 2, …",
        )
        require(
            0 <= self.min_overlap < 1,
            f"min_overlap is {self.min_overlap}; it must be from 0 to below 1",
        )
        require(
            self.saturation_adu is None or self.saturation_adu > 0,
            f"saturation_adu is {self.saturation_adu}; it must be above 0 ADU",
        )


@dataclass(frozen=True)
class Decisions:
    """What a person decided after looking at the alignment."""

    overruled: tuple[tuple[float, float, float], ...] = setting(
        (), "offsets set by hand: [quadrant, x, y], pixels"
    )
    rejected: tuple[int, ...] = setting((), "quadrants left where they are")

    def __post_init__(self) -> None:
        quadrants = [entry[0] for entry in self.overruled] + list(self.rejected)
        require(
            all(quadrant >= 0 and quadrant == int(quadrant) for quadrant in quadrants),
            "quadrants are numbered 0, 1, 2, …",
        )
        require(
            all(abs(value) < 1e4 for entry in self.overruled for value in entry[1:]),
            "an offset set by hand must be finite and below 10000 pixels",
        )

    def overruling(self, quadrant: int, offset_px: tuple[float, float] | None) -> Decisions:
        """Copy with one quadrant's offset set by hand (None: as found)."""
        overruled = [entry for entry in self.overruled if int(entry[0]) != quadrant]
        if offset_px is not None:
            overruled.append((float(quadrant), float(offset_px[0]), float(offset_px[1])))
        return Decisions(tuple(sorted(overruled)), self.rejected)

    def rejecting(self, quadrant: int, rejected: bool = True) -> Decisions:
        """Copy in which one quadrant stays where it is, or does not."""
        rejected_quadrants = set(self.rejected) - {quadrant} | ({quadrant} if rejected else set())
        return Decisions(self.overruled, tuple(sorted(rejected_quadrants)))
