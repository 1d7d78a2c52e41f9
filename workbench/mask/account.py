"""Who removed a pixel: one `Removal` for each rule, border and layer, one `Rescue` for each layer
that keeps pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.detector import SHAPE
from workbench.errors import MaskError
from workbench.mask.planes import Plane, count, pack, unpack
from workbench.mask.program import Outcome
from workbench.mask.rules import RULES, RuleCount

LIVE = (
    "A mask that follows a slider does not keep which pixel fell to which layer; take the mask "
    "that MaskEvaluator.mask gives."
)


@dataclass(frozen=True, eq=False)
class Removal:
    """What one rule, the border or one layer removes.

    Attributes
    ----------
    rule : its name in `workbench.mask.RULES`; layers of one kind share it.
    name : that of the layer, or what the rule says.
    layer : place of the layer in the settings, from 0; None for what is no layer.
    counts : pixels it removes in all, alone, and together with those before it.
    plane, spared : pixels it removes in the end; and those that a later layer keeps although it
        would remove them (`workbench.mask.planes`; None: not known).
    """

    rule: str
    name: str
    layer: int | None
    counts: RuleCount
    plane: Plane | None = None
    spared: Plane | None = None

    @property
    def where(self) -> NDArray[np.bool_]:
        """Pixels it removes: bool ``(32, 185, 388)``."""
        if self.plane is None:
            raise MaskError(LIVE)
        return unpack(self.plane)

    @property
    def label(self) -> str:
        """Name with the number of the layer, counted from 1."""
        return self.name if self.layer is None else f"layer {self.layer + 1} “{self.name}”"


@dataclass(frozen=True, eq=False)
class Rescue:
    """What a layer keeps (modes ``exclude`` and ``intersection``).

    Attributes
    ----------
    name, layer : as for `Removal`.
    pixels : how many were masked before it and good after it.
    plane : these pixels (None: not known).
    """

    name: str
    layer: int
    pixels: int
    plane: Plane | None = None

    @property
    def where(self) -> NDArray[np.bool_]:
        """Pixels it keeps: bool ``(32, 185, 388)``."""
        if self.plane is None:
            raise MaskError(LIVE)
        return unpack(self.plane)

    @property
    def label(self) -> str:
        """Name with the number of the layer, counted from 1."""
        return f"layer {self.layer + 1} “{self.name}”"


def removals_of(outcome: Outcome) -> tuple[Removal, ...]:
    """Removals of the steps that were taken."""
    counts = part_counts(outcome.removed)
    spared = outcome.spared or (None,) * len(counts)
    return tuple(
        Removal(part.rule, part.name, part.layer, counted, removed, kept)
        for part, counted, removed, kept in zip(
            outcome.parts, counts, outcome.removed, spared, strict=True
        )
    )


def rescues_of(outcome: Outcome) -> tuple[Rescue, ...]:
    """Rescues of the steps that were taken."""
    return tuple(
        Rescue(name, layer, count(plane), plane)
        for (name, layer), plane in zip(outcome.keepers, outcome.kept, strict=True)
    )


def part_counts(planes: Sequence[Plane]) -> list[RuleCount]:
    """Total, exclusive and cumulative count of each of several planes."""
    if not planes:
        return []
    once, twice = np.zeros_like(planes[0]), np.zeros_like(planes[0])
    totals, together = [], []
    for plane in planes:
        twice |= once & plane
        once |= plane
        totals.append(count(plane))
        together.append(count(once))
    alone = [count(plane & ~twice) for plane in planes]
    return [RuleCount(*numbers) for numbers in zip(totals, alone, together, strict=True)]


def bit_words(planes: Sequence[Plane], bits: int) -> NDArray[np.unsignedinteger]:
    """One word per pixel, bit `n` for the `n`-th plane; the last of `bits` is shared by the rest.

    Returns
    -------
    uint8 to uint64 ``(32, 185, 388)``, as wide as is needed.
    """
    used = min(len(planes), bits)
    dtype = next(kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64)
                 if used <= np.dtype(kind).itemsize * 8)  # fmt: skip
    words = np.zeros(SHAPE, dtype)
    for place, plane in enumerate(planes):
        if plane.any():
            flag = dtype(1 << min(place, bits - 1))
            np.bitwise_or(words, flag, out=words, where=unpack(plane))
    return words


def removals_of_words(reasons: NDArray[np.uint32]) -> tuple[Removal, ...]:
    """Removals by rule, of reason words alone."""
    present = int(np.bitwise_or.reduce(reasons, axis=None))
    rules = [rule for rule in RULES.values() if present & rule.flag]
    planes = [pack((reasons & np.uint32(rule.flag)) != 0) for rule in rules]
    return tuple(
        Removal(rule.name, rule.text.partition(":")[0], None, counts, plane)
        for rule, counts, plane in zip(rules, part_counts(planes), planes, strict=True)
    )
