"""The trusted-pixel mask: rules with reasons, layers, explanations, everyone's file formats.

Masks are ``True = good`` inside; each file format states and converts its own convention.
"""

from workbench.mask.account import Removal, Rescue, bit_words
from workbench.mask.build import build_mask, make_mask
from workbench.mask.evaluate import MaskEvaluator
from workbench.mask.explain import PixelReport, explain_pixel
from workbench.mask.formats import FORMATS, read_mask, write_mask
from workbench.mask.formats.psana import deploy_mask
from workbench.mask.inputs import MaskImages
from workbench.mask.model import Mask
from workbench.mask.rules import RULES, Rule, RuleCount, rule_names
from workbench.mask.tuning import histogram, removal_curve, sensitivity, suggest

__all__ = [
    "FORMATS",
    "RULES",
    "Mask",
    "MaskEvaluator",
    "MaskImages",
    "PixelReport",
    "Removal",
    "Rescue",
    "Rule",
    "RuleCount",
    "bit_words",
    "build_mask",
    "deploy_mask",
    "explain_pixel",
    "histogram",
    "make_mask",
    "read_mask",
    "removal_curve",
    "rule_names",
    "sensitivity",
    "suggest",
    "write_mask",
]
