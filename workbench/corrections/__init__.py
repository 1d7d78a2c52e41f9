"""Corrections of raw pixels in psana's order: pedestals, common mode, gain, pixel gain, status."""

from workbench.corrections.corrector import (
    AnyCorrector,
    Corrector,
    corrected_unit,
    make_corrector,
    unit_of_steps,
)
from workbench.corrections.dark import (
    DarkConstants,
    DarkLimits,
    deploy_dark_constants,
    make_constants,
    refuse_deployed,
)
from workbench.corrections.dark_ranges import AllRanges, RangeDark, join_ranges, range_dark
from workbench.corrections.gain_ranges import BankCommonMode, RangeCorrector
from workbench.corrections.steps import (
    CommonMode,
    Gain,
    Pedestals,
    PixelGain,
    StatusMask,
    Step,
)

__all__ = [
    "AllRanges",
    "AnyCorrector",
    "BankCommonMode",
    "CommonMode",
    "Corrector",
    "DarkConstants",
    "DarkLimits",
    "Gain",
    "Pedestals",
    "PixelGain",
    "RangeCorrector",
    "RangeDark",
    "StatusMask",
    "Step",
    "corrected_unit",
    "deploy_dark_constants",
    "join_ranges",
    "make_constants",
    "make_corrector",
    "range_dark",
    "refuse_deployed",
    "unit_of_steps",
]
