"""The rules that mask a pixel: their names, reason bits and what they say to a person.

A mask holds one ``uint32`` word per pixel; bit ``RULES[name].bit`` is set if the rule `name`
masks the pixel, and a pixel is good exactly if its word is 0. Names and bits are part of the
files the workbench writes: a bit keeps its meaning in every version, new rules get new bits.

`RULES` has the threshold rules of `workbench.recipe.rules` and those listed here, which have no
limit: the fixed tests of the images, and the reasons of border and layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.recipe.rules import (
    CXI_BAD,
    CXI_DEAD,
    CXI_IGNORE,
    CXI_INVALID,
    CXI_MISSING,
    CXI_NOISY,
    CXI_RESOLUTION,
    CXI_SATURATED,
    CXI_SHADOWED,
    IMAGES,
    LIMITS,
    NX_DEAD,
    NX_NOISY,
    NX_OVER,
    NX_UNDER,
    NX_USER,
    Rule,
    ThresholdRule,
)

__all__ = [
    "IMAGES", "KNOWN_BITS", "LIMITS", "NOT_POSITIVE", "RULES", "Rule", "RuleCount",
    "ThresholdRule", "count_reasons", "count_words", "flags",
]  # fmt: skip

NOT_POSITIVE = {"average_low": "average", "stddev_low": "stddev"}
"""Rules that mask values at or below 0, and their image."""


def _rule(bit: int, name: str, text: str, cxi: int, nxmx: int, psana: int = 64) -> Rule:
    return Rule(name=name, bit=bit, text=text, cxi=cxi, nxmx=nxmx, psana=psana)


_WITHOUT_LIMIT = (
    _rule(0, "average_low", "average ≤ 0: dead or below the pedestal", CXI_DEAD, NX_UNDER, 32),
    _rule(2, "stddev_low", "standard deviation ≤ 0: stuck at one value", CXI_DEAD, NX_DEAD, 2),
    _rule(5, "not_a_number", "one of the three values is not a number", CXI_INVALID, NX_DEAD),
    _rule(6, "asic_border", "near the edge of its ASIC", CXI_IGNORE, NX_USER),
    _rule(7, "sensor_border", "near the edge of its sensor", CXI_IGNORE, NX_USER),
    _rule(8, "wide", "wide pixel at a seam between ASICs", CXI_IGNORE, NX_USER),
    _rule(9, "unbonded", "not bonded to the sensor", CXI_DEAD, NX_DEAD),
    _rule(10, "unbonded_neighbour", "beside a pixel that is not bonded", CXI_IGNORE, NX_USER),
    _rule(11, "grown", "close to a masked pixel", CXI_IGNORE, NX_USER),
    _rule(12, "saturated", "maximum at or above the saturation level", CXI_SATURATED, NX_OVER, 4),
    _rule(13, "low_occupancy", "has data in too few events", CXI_MISSING, NX_DEAD),
    _rule(14, "island", "in a small island of good pixels among masked ones", CXI_IGNORE, NX_USER),
    _rule(15, "average_outlier", "average far from that of its neighbours", CXI_BAD, NX_OVER),
    _rule(16, "stddev_outlier", "standard deviation far from that of its neighbours",
          CXI_NOISY, NX_NOISY),
    _rule(17, "resolution", "in a masked range of resolution", CXI_RESOLUTION, NX_USER),
    _rule(18, "radius", "in a masked range of distance from the beam", CXI_SHADOWED, NX_USER),
    _rule(19, "shape", "inside a shape drawn on the detector", CXI_SHADOWED, NX_USER),
    _rule(20, "pixel", "masked by hand", CXI_BAD, NX_USER),
    _rule(21, "imported", "masked in an imported file", CXI_BAD, NX_USER),
    _rule(22, "part", "on a part of the detector that is switched off", CXI_BAD, NX_USER),
    _rule(23, "maximum_outlier", "maximum far from that of its neighbours", CXI_BAD, NX_OVER),
)  # fmt: skip

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in sorted((*LIMITS.values(), *_WITHOUT_LIMIT), key=lambda rule: rule.bit)
}
"""All rules by name, in the order of their bits."""

OF_IMAGES = tuple(
    name
    for name, rule in RULES.items()
    if name in NOT_POSITIVE or name == "not_a_number" or isinstance(rule, ThresholdRule)
)
"""Rules that look at the values of a pixel, in the order in which they are counted."""

NAMES = tuple(RULES)
KNOWN_BITS = sum(rule.flag for rule in RULES.values())


class RuleCount(NamedTuple):
    """How many pixels a rule masks.

    Attributes
    ----------
    total : pixels the rule masks, whether or not others mask them too.
    exclusive : pixels only this rule masks; they come back if it is switched off.
    cumulative : pixels that this rule and those before it in `RULES` mask together; that of
        the last rule is the number of masked pixels.
    """

    total: int
    exclusive: int
    cumulative: int


def count_words(words: NDArray[Any], pixels: NDArray[Any]) -> dict[str, RuleCount]:
    """Counts per rule from a table of reason words and the number of pixels that have each.

    Rules that mask nothing are included, so that every result has the same keys.
    """
    words = np.asarray(words, dtype=np.uint32)
    pixels = np.asarray(pixels, dtype=np.int64)
    counts = {}
    before = 0
    for name, rule in RULES.items():
        before |= rule.flag
        counts[name] = RuleCount(
            int(pixels[(words & rule.flag) != 0].sum()),
            int(pixels[words == rule.flag].sum()),
            int(pixels[(words & before) != 0].sum()),
        )
    return counts


def count_reasons(reasons: NDArray[np.uint32]) -> dict[str, RuleCount]:
    """Counts per rule of an array of reason words."""
    return count_words(*np.unique(reasons[reasons != 0], return_counts=True))


def flags(names: Iterable[str]) -> int:
    """Reason word with the bits of several rules."""
    word = 0
    for name in names:
        word |= RULES[name].flag
    return word


def front_end_rules() -> list[dict[str, Any]]:
    """Rules that the browser draws by itself, as plain values for JSON, in the order of counts.

    Each has ``rule``, ``image``, ``sign`` (how a masked value compares with the limit: ``>``,
    ``<`` or ``≤``), ``unit``, and ``limit``: the name of the trait with the limit (that of low-gain
    pixels has ``low_`` before it), or 0 where the rule has no setting. A pixel is explained as
    ``<image> <value> <sign> <limit>``, in Python and in the browser.
    """
    rules: list[dict[str, Any]] = []
    for name in OF_IMAGES:
        rule = RULES[name]
        if isinstance(rule, ThresholdRule):
            where = {"image": rule.image, "sign": rule.sign, "unit": rule.unit}
            rules.append({"rule": name, **where, "limit": rule.limit})
        elif name in NOT_POSITIVE:
            where = {"image": NOT_POSITIVE[name], "sign": "≤", "unit": "ADU"}
            rules.append({"rule": name, **where, "limit": 0})
    return rules
