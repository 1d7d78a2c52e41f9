"""Corrections of raw pixels in psana's order: pedestals, common mode, gain, pixel gain, status."""

from workbench.corrections.corrector import Corrector, make_corrector
from workbench.corrections.dark import (
    DarkConstants,
    DarkLimits,
    deploy_dark_constants,
    make_constants,
    refuse_deployed,
)
from workbench.corrections.steps import (
    CommonMode,
    Gain,
    Pedestals,
    PixelGain,
    StatusMask,
    Step,
)

__all__ = [
    "CommonMode",
    "Corrector",
    "DarkConstants",
    "DarkLimits",
    "Gain",
    "Pedestals",
    "PixelGain",
    "StatusMask",
    "Step",
    "deploy_dark_constants",
    "make_constants",
    "make_corrector",
    "refuse_deployed",
]
