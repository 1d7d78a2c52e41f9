"""What becomes of the pixels of a mask: steps that remove and keep them, in their order.

What no limit changes is worked out once: pixels that the same steps select are of one *class*.
Limits, grow and island layers give each pixel a few more bits. Class and bits make the *key* of a
pixel, from which alone it follows what removes it (`Steps.outcome`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.mask.reasons import compact
from workbench.mask.rules import ThresholdRule
from workbench.recipe.mask import GrowLayer, IslandLayer

_MOST_OUTCOMES = 4_000_000  # keys × parts that are worked out whether or not a pixel has them

Pixels = NDArray[np.bool_]
"""Bool, flat: one of each pixel."""
Packed = NDArray[np.uint8]
"""The same as bits."""
Bits = NDArray[np.integer]
"""One of each pixel, flat: beyond which limits it is, and which grow and island layers add it."""
Keys = NDArray[np.integer]


@dataclass(frozen=True)
class Part:
    """What removes pixels: the rule, what it is called, and the place of its layer, if any."""

    rule: str
    name: str
    layer: int | None = None


@dataclass(frozen=True, eq=False)
class Select:
    """A part that no limit and no other step changes."""

    part: Part
    pixels: Packed


@dataclass(frozen=True)
class Beyond:
    """A part that depends on a limit."""

    part: Part
    rule: ThresholdRule


@dataclass(frozen=True)
class Follow:
    """A part that looks at the mask so far."""

    part: Part
    layer: GrowLayer | IslandLayer


@dataclass(frozen=True, eq=False)
class Keep:
    """A layer that takes pixels out of the mask."""

    name: str
    layer: int
    pixels: Packed


Step = Select | Beyond | Follow | Keep


@dataclass(frozen=True, eq=False)
class Outcome:
    """What removes and keeps the pixels of each key: bool ``(keys, parts or keepers)``.

    Attributes
    ----------
    removed, spared : parts that remove the pixels, and those that would if no layer kept them.
    chosen, kept : keepers that select the pixels, and those that take them out of the mask.
    """

    removed: NDArray[np.bool_]
    spared: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    kept: NDArray[np.bool_]


class Steps:
    """The steps of a mask, and the class of each pixel: all that is the same for all limits.

    Attributes
    ----------
    parts, keepers : what the steps remove pixels for, and the layers that keep pixels.
    rules, follows : the steps that give a pixel a bit: first limits, then grow and island layers.
    """

    def __init__(self, steps: Sequence[Step], pixels: int) -> None:
        self._steps = steps
        self.parts = tuple(step.part for step in steps if not isinstance(step, Keep))
        self.keepers = tuple((step.name, step.layer) for step in steps if isinstance(step, Keep))
        self.rules = [step.rule for step in steps if isinstance(step, Beyond)]
        self.follows = [step for step in steps if isinstance(step, Follow)]
        self._bits = len(self.rules) + len(self.follows)
        static = [step.pixels for step in steps if isinstance(step, Select | Keep)]
        classes, self._members = _classified(static, pixels)
        self._all = len(self._members) << self._bits
        kind = np.int32 if self._all < 1 << 31 else np.int64
        self._resting: Keys = np.left_shift(classes, self._bits, dtype=kind)
        self._outcomes: dict[int, Outcome] = {}

    def no_bits(self) -> Bits:
        """Bits of pixels that no limit and no layer has looked at."""
        return np.zeros(self._resting.size, np.int8 if self._bits < 8 else np.int32)

    def counts(self, bits: Bits) -> tuple[Outcome, NDArray[np.int64]]:
        """What becomes of the pixels, and how many there are in each row of it."""
        from workbench.mask.mask_loops import count_keys

        outcome, keys, bits = self._outcome(bits, len(self.follows))
        return outcome, count_keys(keys, bits, len(outcome.removed))

    def rows(self, bits: Bits) -> tuple[Outcome, NDArray[np.int32]]:
        """What becomes of the pixels, and the row of it for each; no row is without pixels."""
        present, row = compact(self._resting | bits)
        return self._take_steps(present, len(self.follows)), row.astype(np.int32, copy=False)

    def masked(self, bits: Bits, follows: int) -> tuple[Pixels, Pixels]:
        """Pixels masked before a grow or island layer, and those of them that it starts from.

        Parameters
        ----------
        follows : how many grow and island layers come before that layer.
        """
        from workbench.mask.mask_loops import look_up

        outcome, keys, bits = self._outcome(bits, follows)
        masked = look_up(np.logical_or.reduce(outcome.removed, axis=1), keys, bits)
        layer = self.follows[follows].layer
        if not (isinstance(layer, GrowLayer) and layer.of):
            return masked, masked
        columns = [place for place, part in enumerate(self.parts) if part.rule in layer.of]
        starts = np.logical_or.reduce(outcome.removed[:, columns], axis=1)
        return masked, look_up(starts, keys, bits)

    def _outcome(self, bits: Bits, follows: int) -> tuple[Outcome, Keys, Bits]:
        """What becomes of the pixels before a grow or island layer.

        A pixel's row of it is the key that is returned, with the bits that are.
        """
        if self._all * len(self.parts) > _MOST_OUTCOMES:
            present, row = compact(self._resting | bits)
            return self._take_steps(present, follows), row, np.zeros_like(bits)
        if follows not in self._outcomes:
            self._outcomes[follows] = self._take_steps(np.arange(self._all), follows)
        return self._outcomes[follows], self._resting, bits

    def _take_steps(self, keys: Keys, follows: int) -> Outcome:
        of_class = self._members[keys >> self._bits]
        removed = np.zeros((len(keys), len(self.parts)), np.bool_)
        spared = np.zeros_like(removed)
        chosen = np.zeros((len(keys), len(self.keepers)), np.bool_)
        kept = np.zeros_like(chosen)
        part = keeper = member = limit = followed = 0
        for step in self._steps:
            if isinstance(step, Keep):
                here = chosen[:, keeper] = of_class[:, member]
                kept[:, keeper] = here & removed.any(axis=1)
                spared |= removed & here[:, None]
                removed[here] = False
                keeper, member = keeper + 1, member + 1
                continue
            if isinstance(step, Select):
                removed[:, part] = of_class[:, member]
                member += 1
            elif isinstance(step, Beyond):
                removed[:, part] = keys >> limit & 1
                limit += 1
            elif followed == follows:
                break
            else:
                removed[:, part] = keys >> len(self.rules) + followed & 1
                followed += 1
            part += 1
        return Outcome(removed, spared, chosen, kept)


def _classified(static: Sequence[Packed], size: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Class of each pixel, and which of the selections the pixels of each class are in."""
    classes: NDArray[np.int32] = np.zeros(size, np.int32)
    members = np.zeros((1, 0), np.bool_)
    for first in range(0, len(static), 8):
        group = static[first : first + 8]
        numbers = classes.astype(np.int64) << len(group)
        for bit, packed in enumerate(group):
            numbers |= np.unpackbits(packed, count=size) << np.uint8(bit)
        present, classes = compact(numbers)
        bits = present[:, None] >> np.arange(len(group)) & 1
        members = np.concatenate([members[present >> len(group)], bits.astype(np.bool_)], axis=1)
    return classes, members
