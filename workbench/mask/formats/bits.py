"""Reasons of the workbench in the bit words of other conventions, where 0 is a good pixel.

CXI: ``cxidb`` file format 1.6, section "mask". NXmx: ``NXdetector/pixel_mask`` of the NeXus
definitions. psana: what ``pixel_status`` files of CSPAD dark processing hold. The bits of each rule
stand in the table of rules.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from workbench.mask.rules import RULES, Rule

Convention = Literal["cxi", "nxmx", "psana"]

CXI_NOTES = 0x20 | 0x800 | 0x2000 | 0x4000
"""Bits that do not make a pixel bad: in a peak, corrected, peak of a hit finder, background."""


POLARITY = "0 = good, bits say why not"
"""Note for files of words."""


def bits_of(rule: Rule, convention: Convention) -> int:
    """Bits that say in a convention what the rule says."""
    return {"cxi": rule.cxi, "nxmx": rule.nxmx, "psana": rule.psana}[convention]


def all_bits(convention: Convention) -> int:
    """Every bit that `translated` may set."""
    bits = 0
    for rule in RULES.values():
        bits |= bits_of(rule, convention)
    return bits


def good_in_cxi(words: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where words of CXI bits say that a pixel is good."""
    return np.asarray((words.astype(np.uint32) & np.uint32(~CXI_NOTES & 0xFFFFFFFF)) == 0)


def translated(reasons: NDArray[np.uint32], convention: Convention) -> NDArray[np.uint32]:
    """Words in another convention: the bits of each reason, joined."""
    words, place = np.unique(reasons, return_inverse=True)
    others = np.zeros(words.size, np.uint32)
    for rule in RULES.values():
        others[(words & np.uint32(rule.flag)) != 0] |= np.uint32(bits_of(rule, convention))
    return others[place].reshape(reasons.shape)
