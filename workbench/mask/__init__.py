"""The trusted-pixel mask: rules with reasons, layers, explanations, everyone's file formats.

Masks are ``True = good`` inside; each file format states and converts its own convention.
"""

from workbench.mask.evaluate import MaskEvaluator, build_mask, make_mask
from workbench.mask.explain import PixelReport, explain_pixel
from workbench.mask.formats import FORMATS, read_mask, write_mask
from workbench.mask.formats.psana import deploy_mask
from workbench.mask.images import ImageFacts, MaskImages
from workbench.mask.mask import Mask, MaskCounts
from workbench.mask.reasons import Kept, Removal
from workbench.mask.rules import RULES, Rule, RuleCount, ThresholdRule
from workbench.mask.suggest import removal_curve, sensitivity, suggest

__all__ = [
    "FORMATS", "RULES", "ImageFacts", "Kept", "Mask", "MaskCounts", "MaskEvaluator", "MaskImages",
    "PixelReport", "Removal", "Rule", "RuleCount", "ThresholdRule", "build_mask", "deploy_mask",
    "explain_pixel", "make_mask", "read_mask", "removal_curve",
    "sensitivity", "suggest", "write_mask",
]  # fmt: skip
