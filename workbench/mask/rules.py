"""The rules that take a pixel away: their names, reason bits and what they say to a person.

A mask holds one ``uint32`` word per pixel; bit ``RULES[name].bit`` is set if the rule `name`
removed the pixel, and a pixel is good exactly if its word is 0. Names and bits are part of the
files the workbench writes: a bit keeps its meaning in every version, new rules get new bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Rule(NamedTuple):
    """One reason for which a pixel is not trusted.

    Attributes
    ----------
    name : short name, used in files, counts and ``--json``.
    bit : position of its bit in the reason word, 0 to 30.
    text : what it means, for people.
    """

    name: str
    bit: int
    text: str

    @property
    def flag(self) -> int:
        """The reason word with only this rule's bit."""
        return 1 << self.bit


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("average_low", 0, "average ≤ 0: dead or below the pedestal"),
        Rule("average_high", 1, "average above its limit: hot"),
        Rule("stddev_low", 2, "standard deviation ≤ 0: stuck at one value"),
        Rule("stddev_high", 3, "standard deviation above its limit: noisy"),
        Rule("maximum_low", 4, "maximum below its limit: never lit (unbonded, dead or shadowed)"),
        Rule("not_a_number", 5, "one of the three values is not a number"),
        Rule("asic_border", 6, "near the edge of its ASIC"),
        Rule("sensor_border", 7, "near the edge of its sensor"),
        Rule("wide", 8, "wide pixel at the seam of a sensor's two ASICs"),
        Rule("unbonded", 9, "not bonded to the sensor"),
        Rule("unbonded_neighbour", 10, "beside a pixel that is not bonded"),
        Rule("grown", 11, "close to a masked pixel"),
        Rule("saturated", 12, "maximum at or above the saturation level"),
        Rule("low_occupancy", 13, "has data in too few events"),
        Rule("island", 14, "in a small island of good pixels among masked ones"),
        Rule("average_outlier", 15, "average far from that of its neighbours"),
        Rule("stddev_outlier", 16, "standard deviation far from that of its neighbours"),
        Rule("resolution", 17, "in a masked range of resolution"),
        Rule("radius", 18, "in a masked range of distance from the beam"),
        Rule("shape", 19, "inside a shape drawn on the detector"),
        Rule("pixel", 20, "masked by hand"),
        Rule("imported", 21, "masked in an imported file"),
        Rule("part", 22, "on a part of the detector that is switched off"),
        Rule("maximum_outlier", 23, "maximum far from that of its neighbours"),
    )
}

NAMES = tuple(RULES)
THRESHOLD_RULES = NAMES[:6]
"""The rules of ``cxi.make_dials_mask`` (which has no name for not-a-number)."""

KNOWN_BITS = sum(rule.flag for rule in RULES.values())


class RuleCount(NamedTuple):
    """How many pixels a rule removed.

    Attributes
    ----------
    total : pixels the rule removes, whether or not others remove them too.
    exclusive : pixels only this rule removes; they come back if it is switched off.
    cumulative : pixels that this rule and those before it in `RULES` remove together; that of
        the last rule is the number of masked pixels.
    """

    total: int
    exclusive: int
    cumulative: int


def rule_names(word: int) -> tuple[str, ...]:
    """Names of the rules in one reason word, in the order of `RULES`."""
    return tuple(name for name, rule in RULES.items() if int(word) & rule.flag)


def count_words(words: NDArray, pixels: NDArray) -> dict[str, RuleCount]:
    """Counts per rule from a table of reason words and the number of pixels that have each.

    Rules that remove nothing are included, so that every result has the same keys.
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
    return count_words(*np.unique(reasons, return_counts=True))


def flags(names: Iterable[str]) -> int:
    """Reason word with the bits of several rules."""
    word = 0
    for name in names:
        word |= RULES[name].flag
    return word
