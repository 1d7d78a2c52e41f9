"""Why each pixel is masked: by which rules and layers, and which layers keep it good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import MaskError
from workbench.mask.rules import RULES, RuleCount

COUNTS_ALONE = (
    "These are counts without a picture; the mask that MaskEvaluator.mask gives knows the pixels."
)


@dataclass(frozen=True, eq=False)
class ReasonTable:
    """What masks and what keeps every pixel. Pixels for which all of it is the same share a row.

    Attributes
    ----------
    row : row of each pixel, int32 ``(modules, rows, columns)``.
    removed : bool ``(n, removals)``, what masks the pixels of a row in the end.
    spared : bool ``(n, removals)``, what would mask them if a later layer did not keep them.
    chosen : bool ``(n, keepers)``, the layers that keep the pixels, masked or not.
    kept : bool ``(n, keepers)``, the layers that keep the pixels and found them masked.
    """

    row: NDArray[np.int32]
    removed: NDArray[np.bool_]
    spared: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    kept: NDArray[np.bool_]

    def words(self, flags: NDArray[np.bool_], bits: int) -> NDArray[np.unsignedinteger[Any]]:
        """One word per pixel, bit `n` for column `n` of `flags`; all after `bits` share the last.

        Returns
        -------
        uint8 to uint64 ``(modules, rows, columns)``, as wide as is needed.
        """
        return bit_words(flags, bits)[self.row]


@dataclass(frozen=True, eq=False)
class Removal:
    """What one rule, the border or one layer masks.

    Attributes
    ----------
    rule : its name in `workbench.mask.RULES`; layers of one kind share it.
    name : that of the layer, or what the rule says.
    layer : place of the layer in the settings, from 0; None for what is no layer.
    counts : pixels it masks in all, alone, and together with those before it.
    place : its column in `table`.
    table : which pixels, or None if only the counts are known.
    """

    rule: str
    name: str
    layer: int | None
    counts: RuleCount
    place: int = 0
    table: ReasonTable | None = None

    @property
    def where(self) -> NDArray[np.bool_]:
        """Pixels it masks: bool ``(modules, rows, columns)``."""
        table = _known(self.table)
        return table.removed[:, self.place][table.row]

    @property
    def spared(self) -> NDArray[np.bool_]:
        """Pixels it would mask if a later layer did not keep them, as `where`."""
        table = _known(self.table)
        return table.spared[:, self.place][table.row]

    @property
    def label(self) -> str:
        """Name with the number of the layer, counted from 1."""
        return self.name if self.layer is None else layer_label(self.layer, self.name)


@dataclass(frozen=True, eq=False)
class Kept:
    """What a layer keeps good (modes ``exclude`` and ``intersection``).

    Attributes
    ----------
    name, layer, place, table : as for `Removal`.
    pixels : how many were masked before it and good after it.
    """

    name: str
    layer: int
    pixels: int
    place: int = 0
    table: ReasonTable | None = None

    @property
    def where(self) -> NDArray[np.bool_]:
        """Pixels it keeps: bool ``(modules, rows, columns)``."""
        table = _known(self.table)
        return table.kept[:, self.place][table.row]

    @property
    def label(self) -> str:
        """Name with the number of the layer, counted from 1."""
        return layer_label(self.layer, self.name)


def layer_label(place: int, name: str) -> str:
    """Name of a layer with its number, counted from 1."""
    return f"layer {place + 1} “{name}”"


def bit_words(flags: NDArray[np.bool_], bits: int) -> NDArray[np.unsignedinteger[Any]]:
    """One word per row of `flags`; see `ReasonTable.words`."""
    used = min(flags.shape[1], bits)
    words = np.zeros(len(flags), np.uint64)
    for place, column in enumerate(flags.T):
        words[column] |= np.uint64(1 << min(place, bits - 1))
    width = next(width for width in (8, 16, 32, 64) if used <= width)
    return words.astype(f"uint{width}")


def column_counts(flags: NDArray[np.bool_], pixels: NDArray[np.int64]) -> list[RuleCount]:
    """Counts of each column of `flags`; `pixels` says how many pixels have each row."""
    hits = flags.sum(axis=1, dtype=np.int16)
    before = np.zeros(len(flags), np.bool_)
    counts = []
    for column in flags.T:
        before |= column
        alone = int(pixels[column & (hits == 1)].sum())
        counts.append(RuleCount(int(pixels[column].sum()), alone, int(pixels[before].sum())))
    return counts


def with_table(
    removals: Sequence[tuple[str, str, int | None]],
    keepers: Sequence[tuple[str, int]],
    table: ReasonTable,
) -> tuple[tuple[Removal, ...], tuple[Kept, ...]]:
    """Removals (rule, name, layer) and keepers (name, layer) of the columns of a table."""
    pixels = np.bincount(table.row.reshape(-1), minlength=len(table.removed))
    counts = column_counts(table.removed, pixels)
    removed = tuple(
        Removal(*removal, counted, place, table)
        for place, (removal, counted) in enumerate(zip(removals, counts, strict=True))
    )
    kept = tuple(
        Kept(*keeper, int(pixels[table.kept[:, place]].sum()), place, table)
        for place, keeper in enumerate(keepers)
    )
    return removed, kept


def table_of_words(
    removed: NDArray[Any], removals: Sequence[int], *more: NDArray[Any], keepers: int = 0
) -> ReasonTable:
    """Table of words that hold one bit per column.

    Parameters
    ----------
    removed : words ``(modules, rows, columns)`` of what masks each pixel.
    removals : bit of each removal in `removed`.
    more : words of what is spared (the same bits) and of what is kept (bits 0, 1, …), if any.
    keepers : number of layers that keep pixels.
    """
    words = [array.reshape(-1) for array in (removed, *more)]
    row = np.zeros(removed.size, np.int64)
    for array in words:
        present, place = compact(array)
        row = compact(row * len(present) + place)[1]
    alike = np.zeros(int(row.max(initial=0)) + 1, np.int64)  # a pixel of each row
    alike[row] = np.arange(row.size)

    def columns(number: int, bits: Sequence[int]) -> NDArray[np.bool_]:
        if number >= len(words):
            return np.zeros((alike.size, len(bits)), np.bool_)
        shifts = np.array(bits, np.uint64)
        of_row = words[number][alike].astype(np.uint64)
        return (of_row[:, None] >> shifts & np.uint64(1)).astype(np.bool_)

    kept = columns(2, range(keepers))
    rows = row.astype(np.int32).reshape(removed.shape)
    return ReasonTable(rows, columns(0, removals), columns(1, removals), kept, kept)


def compact(keys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Numbers that occur, and the place of each key among them (as ``np.unique``, but quicker)."""
    size = int(keys.max(initial=0)) + 1
    if size > 1 << 24:
        present, place = np.unique(keys, return_inverse=True)
        return present, place.reshape(keys.shape)
    flat = keys.reshape(-1).astype(np.intp, copy=False)  # numpy 1 counts no unsigned numbers
    present = np.flatnonzero(np.bincount(flat, minlength=size))
    places = np.zeros(size, np.int32)
    places[present] = np.arange(present.size)
    return present, places[keys]


def removals_of_words(reasons: NDArray[np.uint32]) -> tuple[Removal, ...]:
    """Removals by rule, of reason words alone."""
    present = int(np.bitwise_or.reduce(reasons, axis=None))
    rules = [rule for rule in RULES.values() if present & rule.flag]
    table = table_of_words(reasons, [rule.bit for rule in rules])
    names = [(rule.name, rule.text.partition(":")[0], None) for rule in rules]
    return with_table(names, [], table)[0]


def _known(table: ReasonTable | None) -> ReasonTable:
    if table is None:
        raise MaskError(COUNTS_ALONE)
    return table
