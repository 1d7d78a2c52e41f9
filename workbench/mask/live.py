"""A mask that follows its limits: one `LiveMask` for settings that differ in limits alone.

What limits do not change is worked out once. Pixels that the same steps select are of one
*class*; a pixel's fate depends on its class and on a few *moving bits*, one for each rule with a
limit and one for each grow or island layer. A table holds the fate for each class and each
combination of bits, and a tally how many pixels there are of each. When a limit moves, planes of
the moving bits are worked out word by word, and only pixels whose bits changed are looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.detector import COLUMNS, PIXELS, SENSORS, SHAPE
from workbench.mask import kernels
from workbench.mask.planes import PLANE_SHAPE, VALID, WORDS, Plane, empty, pack
from workbench.mask.program import MOVING, Follow, Keep, Moving, Part, Remove, Step
from workbench.mask.rules import NAMES, RULES, RuleCount
from workbench.recipe.mask import GrowLayer

_MOST_FATES = 4_000_000
"""Entries of the tables (classes × combinations × parts) that are still worth it."""
_MOST_BITS = 8


class TooManyClasses(Exception):
    """The layers overlap in too many ways for tables."""


@dataclass(frozen=True)
class _Stage:
    """What a grow or island layer sees, per class; planes that add nothing are None.

    Attributes
    ----------
    settled : masked pixels whatever the moving bits, and those among its sources.
    gates : per earlier moving bit, where it masks; a bit that masks nowhere is left out.
    sources : the same for its sources.
    """

    step: Follow
    settled: Plane
    settled_source: Plane
    gates: tuple[tuple[int, Plane | None], ...]
    source_gates: tuple[tuple[int, Plane | None], ...]


class LiveMask:
    """Reasons, good pixels and counts of given steps, for any limits.

    Attributes
    ----------
    reasons, good : ``(32, 185, 388)``; the next `move` overwrites them.
    parts : what removes pixels, in their order.

    Raises
    ------
    TooManyClasses
        If the layers overlap in too many different ways.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.parts = tuple(step.part for step in steps if not isinstance(step, Keep))
        self.keepers = tuple((step.name, step.layer) for step in steps if isinstance(step, Keep))
        self._follows = [step for step in steps if isinstance(step, Follow)]
        bits = len(MOVING) + len(self._follows)
        if bits > _MOST_BITS:
            raise TooManyClasses
        self._classes, members = _classified(steps)
        if len(members) * (len(self.parts) << bits) > _MOST_FATES:
            raise TooManyClasses
        self._stages: list[_Stage] = []
        removed, kept = self._fates(steps, members, bits)
        self._words = _reason_words(self.parts, removed)
        self._pixels = np.zeros(self._words.shape, np.int64)
        self._pixels[:, 0] = np.bincount(self._classes, minlength=len(members))
        self._counted = _Counted(self.parts, removed, kept, self._words)
        self._now = np.zeros((bits, *PLANE_SHAPE), np.uint64)
        self._before = np.zeros_like(self._now)
        self._islands: dict[int, tuple[Plane, Plane]] = {}
        self.reasons = self._words[:, 0][self._classes].reshape(SHAPE)
        self.good = self.reasons == 0

    def move(self, planes: Sequence[Plane]) -> None:
        """Bring everything up to other limits: planes of the rules in `MOVING`."""
        now = self._now
        for bit, plane in enumerate(planes):
            now[bit] = plane
        for number, stage in enumerate(self._stages):
            self._follow(number, stage)
        rows = (-1, WORDS)
        kernels.settle(
            now.reshape(len(now), *rows), self._before.reshape(len(now), *rows), self._classes,
            self._words.reshape(-1), self._pixels.reshape(-1), self.reasons.reshape(-1),
            self.good.reshape(-1), COLUMNS,
        )  # fmt: skip

    def counts(self) -> tuple[dict[str, RuleCount], list[RuleCount], list[int]]:
        """Counts per rule, per part, and pixels kept per keeper."""
        return self._counted.counts(self._pixels)

    # ---- grow and islands --------------------------------------------------------------------
    def _follow(self, number: int, stage: _Stage) -> None:
        out = self._now[len(MOVING) + number]
        masked = self._joined(stage.settled, stage.gates)
        settings = stage.step.settings
        if isinstance(settings, GrowLayer):
            source = masked
            if settings.of:
                source = self._joined(stage.settled_source, stage.source_gates)
            kernels.grow(source, settings.pixels, settings.neighbours == 8, VALID[0, 0], out)
            out &= ~masked
            return
        if number not in self._islands:
            self._islands[number] = (empty(), empty())
            changed = np.ones(SENSORS, np.bool_)
        else:
            changed = (self._islands[number][0] != masked).any(axis=(1, 2))
        island = self._islands[number][1]
        kernels.islands(
            ~masked & VALID, settings.smaller_than, settings.neighbours == 8, VALID[0, 0],
            changed, island,
        )  # fmt: skip
        self._islands[number] = masked, island
        out[...] = island

    def _joined(self, settled: Plane, gates: tuple[tuple[int, Plane | None], ...]) -> Plane:
        joined = settled.copy()
        for bit, gate in gates:
            joined |= self._now[bit] if gate is None else self._now[bit] & gate
        return joined

    def _stage(self, step: Follow, before: NDArray[np.bool_], known: int) -> _Stage:
        """`before`: bool ``(classes, combinations, parts so far)``."""
        step.check()
        chosen = [place for place in range(before.shape[2]) if self.parts[place].rule in
                  step.sources]  # fmt: skip
        masked = np.logical_or.reduce(before, axis=2)
        source = np.logical_or.reduce(before[:, :, chosen], axis=2)
        return _Stage(
            step,
            self._plane(masked[:, 0]),
            self._plane(source[:, 0]),
            self._gates(masked, known),
            self._gates(source, known),
        )

    def _gates(self, masked: NDArray[np.bool_], known: int) -> tuple[tuple[int, Plane | None], ...]:
        found: list[tuple[int, Plane | None]] = []
        for bit in range(known):
            alone = masked[:, 1 << bit]
            if np.all(alone):
                found.append((bit, None))
            elif np.any(alone & ~masked[:, 0]):
                found.append((bit, self._plane(alone)))
        return tuple(found)

    def _plane(self, of_class: NDArray[np.bool_]) -> Plane:
        return pack(of_class[self._classes].reshape(SHAPE))

    # ---- tables ------------------------------------------------------------------------------
    def _fates(
        self, steps: Sequence[Step], members: NDArray[np.bool_], bits: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """What removes and what keeps a pixel, for each class and combination of moving bits.

        The same steps as `workbench.mask.program.run`, for a class at a time instead of planes.

        Returns
        -------
        removed : bool ``(classes, combinations, parts)``.
        kept : bool ``(classes, combinations, keepers)``.
        """
        combinations = np.arange(1 << bits)
        removed = np.zeros((len(members), combinations.size, len(self.parts)), np.bool_)
        kept = np.zeros((len(members), combinations.size, len(self.keepers)), np.bool_)
        part = keeper = member = 0
        follow = len(MOVING)
        for step in steps:
            if isinstance(step, Keep):
                chosen = members[:, member]
                kept[..., keeper] = chosen[:, None] & removed[..., :part].any(axis=2)
                removed[chosen, :, :part] = False
                keeper, member = keeper + 1, member + 1
                continue
            if isinstance(step, Remove):
                removed[..., part] = members[:, member, None]
                member += 1
            elif isinstance(step, Moving):
                removed[..., part] = combinations >> step.limit & 1
            else:
                self._stages.append(self._stage(step, removed[..., :part], follow))
                removed[..., part] = combinations >> follow & 1
                follow += 1
            part += 1
        return removed, kept


class _Counted:
    """Counts from a tally of pixels, by matrices of ones."""

    def __init__(
        self,
        parts: tuple[Part, ...],
        removed: NDArray[np.bool_],
        kept: NDArray[np.bool_],
        words: NDArray[np.uint32],
    ) -> None:
        fates = words.size
        by_part = removed.reshape(fates, len(parts))
        flags = np.array([RULES[name].flag for name in NAMES], np.uint32)
        by_rule = (words.reshape(fates, 1) & flags) != 0
        self._parts, self._keepers = len(parts), kept.shape[2]
        self._ones = np.concatenate(
            [*_total_alone_first(by_part), kept.reshape(fates, -1), *_total_alone_first(by_rule)],
            axis=1,
        )

    def counts(
        self, pixels: NDArray[np.int64]
    ) -> tuple[dict[str, RuleCount], list[RuleCount], list[int]]:
        flat = pixels.reshape(-1)
        present = np.flatnonzero(flat)
        sums = flat[present].astype(np.float64) @ self._ones[present].astype(np.float64)
        found = np.rint(sums).astype(np.int64)
        cut = 3 * self._parts
        parts = _rule_counts(found[:cut])
        kept = found[cut : cut + self._keepers].tolist()
        rules = dict(zip(NAMES, _rule_counts(found[cut + self._keepers :]), strict=True))
        return rules, parts, kept


def _total_alone_first(removed: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Where a column is set, set alone, and set as the first one."""
    hits = removed.sum(axis=1, dtype=np.int16)[:, None]
    before = np.cumsum(removed, axis=1, dtype=np.int16) - removed
    return [removed, removed & (hits == 1), removed & (before == 0)]


def _rule_counts(found: NDArray[np.int64]) -> list[RuleCount]:
    total, alone, first = found.reshape(3, -1)
    return [
        RuleCount(*counts)
        for counts in zip(total.tolist(), alone.tolist(), np.cumsum(first).tolist(), strict=True)
    ]


def _reason_words(parts: tuple[Part, ...], removed: NDArray[np.bool_]) -> NDArray[np.uint32]:
    words = np.zeros(removed.shape[:2], np.uint32)
    for place, part in enumerate(parts):
        words[removed[..., place]] |= np.uint32(RULES[part.rule].flag)
    return words


def _classified(steps: Sequence[Step]) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Class of each pixel, and which planes of the settled steps each class is in."""
    classes = np.zeros(PIXELS, np.uint16)
    members = np.zeros((1, 0), np.bool_)
    for step in steps:
        if not isinstance(step, Remove | Keep):
            continue
        renumber = np.full(2 * len(members), -1, np.int64)
        number = kernels.refine(classes, step.plane.reshape(-1, WORDS), COLUMNS, renumber)
        if number < 0:
            raise TooManyClasses
        keys = np.flatnonzero(renumber >= 0)
        refined = np.empty((number, members.shape[1] + 1), np.bool_)
        refined[renumber[keys], :-1] = members[keys >> 1]
        refined[renumber[keys], -1] = keys & 1
        members = refined
    return classes, members
