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
    refuse_gain_ranges,
)
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
    "StatusMask",
    "Step",
    "corrected_unit",
    "deploy_dark_constants",
    "make_constants",
    "make_corrector",
    "refuse_deployed",
    "refuse_gain_ranges",
    "unit_of_steps",
]
