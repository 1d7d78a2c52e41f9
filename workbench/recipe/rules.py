"""The threshold rules of the mask: each is one field of `Thresholds`, and nothing else lists them.

Command options, sliders, histograms, curves, explanations, reports, the browser and the bits in
mask files read `LIMITS`. The table stands beside the recipe, below the mask, because its entries
are settings of the recipe; `workbench.mask.rules` adds the rules that have no limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from workbench.recipe.fields import require

CXI_INVALID, CXI_SATURATED, CXI_HOT, CXI_DEAD, CXI_SHADOWED = 0x1, 0x2, 0x4, 0x8, 0x10
CXI_IGNORE, CXI_BAD, CXI_RESOLUTION, CXI_MISSING, CXI_NOISY = 0x40, 0x80, 0x100, 0x200, 0x400
"""Bits of the CXI format (``cxidb`` file format 1.6, section "mask")."""
NX_DEAD, NX_UNDER, NX_OVER, NX_NOISY, NX_USER = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 8
"""Bits of ``NXdetector/pixel_mask`` (NeXus definitions)."""
PSANA_OTHER = 64
"""Status bit of reasons that psana's dark processing does not have."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One reason for which a pixel is masked.

    Attributes
    ----------
    name : short name, used in files, counts and ``--json``.
    bit : position of its bit in the reason word, 0 to 30. A bit keeps its meaning in every version.
    text : what it means, for people.
    cxi, nxmx, psana : its bits in words of CXI, NXmx and psana's ``pixel_status``.
    """

    name: str
    bit: int
    text: str
    cxi: int
    nxmx: int
    psana: int = PSANA_OTHER

    @property
    def flag(self) -> int:
        """The reason word with only this rule's bit."""
        return 1 << self.bit


@dataclass(frozen=True)
class RuleImage:
    """An image that threshold rules look at.

    Attributes
    ----------
    name : ``average``, ``stddev`` or ``maximum``.
    words : its name in sentences and titles.
    runs : what it is taken from.
    positive : whether values at or below 0 are masked whatever the limits.
    """

    name: str
    words: str
    runs: str
    positive: bool = False

    @property
    def of_runs(self) -> str:
        """Its name, and what it is taken from."""
        return f"{self.words} of the {self.runs}"


IMAGES: dict[str, RuleImage] = {
    image.name: image
    for image in (
        RuleImage("average", "average", "dark run", positive=True),
        RuleImage("stddev", "standard deviation", "dark run", positive=True),
        RuleImage("maximum", "maximum", "bright runs"),
    )
}


@dataclass(frozen=True, kw_only=True)
class ThresholdRule(Rule):
    """A rule that masks pixels on one side of a limit that a person sets.

    Attributes
    ----------
    image : of `IMAGES`.
    side : the side of the limit that is masked; the limit itself is good.
    default : limit to begin with, in `unit`.
    label, hint : of its control.
    slider : upper end and step of its slider, in `unit`.
    letter : short option of the command, or empty.
    limit : name of its setting in `Thresholds`, which is that of the field.
    """

    image: str
    side: Literal["above", "below"]
    default: float
    label: str
    hint: str
    slider: tuple[float, float]
    letter: str = ""
    unit: str = "ADU"
    limit: str = ""

    @property
    def sign(self) -> str:
        """How a masked value compares with the limit."""
        return ">" if self.side == "above" else "<"

    @property
    def good_sign(self) -> str:
        """How a good value compares with the limit."""
        return "≤" if self.side == "above" else "≥"

    @property
    def lowest(self) -> str:
        """``0 <`` where values at or below 0 are masked too, else nothing."""
        return "0 < " if self.side == "above" and IMAGES[self.image].positive else ""

    def check(self, value: float) -> None:
        """Refuse a limit that cannot be meant (RecipeError)."""
        if self.side == "above":
            require(value > 0, f"{self.limit} is {value}; it must be above 0 {self.unit}")
        usual = f"{self.default:g} {self.unit} is usual"
        require(not math.isnan(value), f"{self.limit} is not a number; {usual}")


def _limit(rule: ThresholdRule) -> float:
    sign = "<=" if rule.side == "above" else ">="
    good = f"{rule.lowest}{rule.image} {sign} this ({IMAGES[rule.image].runs})"
    doc = f"{rule.unit}; a good pixel has {good}"
    return field(default=rule.default, metadata={"doc": doc, "rule": rule})


@dataclass(frozen=True)
class Thresholds:
    """Limits a good pixel keeps: 0 < avg ≤ avg_max, 0 < std ≤ stddev_max, max ≥ maxproj_min.

    The comparison operators are those of ``cxi.make_dials_mask`` (cctbx.xfel).
    """

    avg_max: float = _limit(
        ThresholdRule(
            name="average_high", bit=1, text="average above its limit: hot",
            cxi=CXI_HOT, nxmx=NX_OVER, psana=16,
            image="average", side="above", default=2000.0, slider=(4000.0, 1.0), letter="a",
            label="Average ≤",
            hint="Pixels with a dark average of 0 or less, or above this (ADU), are masked",
        )
    )  # fmt: skip
    stddev_max: float = _limit(
        ThresholdRule(
            name="stddev_high", bit=3, text="standard deviation above its limit: noisy",
            cxi=CXI_NOISY, nxmx=NX_NOISY, psana=1,
            image="stddev", side="above", default=10.0, slider=(20.0, 0.05), letter="s",
            label="Standard deviation ≤",
            hint="Pixels with a dark standard deviation of 0, or above this (ADU), are masked",
        )
    )  # fmt: skip
    maxproj_min: float = _limit(
        ThresholdRule(
            name="maximum_low", bit=4,
            text="maximum below its limit: never lit (unbonded, dead or shadowed)",
            cxi=CXI_DEAD, nxmx=NX_DEAD, psana=8,
            image="maximum", side="below", default=300.0, slider=(1000.0, 1.0), letter="m",
            label="Maximum ≥ (maxproj-min)",
            hint="Pixels whose maximum in the bright runs stays below this (ADU) are masked",
        )
    )  # fmt: skip

    def __post_init__(self) -> None:
        for name, rule in LIMITS.items():
            rule.check(getattr(self, name))


LIMITS: dict[str, ThresholdRule] = {
    entry.name: replace(entry.metadata["rule"], limit=entry.name) for entry in fields(Thresholds)
}
"""Threshold rule of each setting of `Thresholds`."""
