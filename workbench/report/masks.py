"""The mask in words and numbers: its settings, and what each rule removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from workbench.mask import RuleCount
from workbench.recipe import MaskSettings, Thresholds
from workbench.report.text import Shown, beside, count, sentence, table, together


def settings(mask: MaskSettings) -> Shown:
    """Thresholds, border, and layers in their order."""
    limits, low = mask.thresholds, mask.low_gain
    rows = [
        [words, f"{getattr(limits, name):g}", *([f"{getattr(low, name):g}"] if low else [])]
        for name, words in (
            ("avg_max", "0 < average of the dark run ≤"),
            ("stddev_max", "0 < standard deviation of the dark run ≤"),
            ("maxproj_min", "maximum of the bright runs ≥"),
        )
    ]
    header = ["a good pixel has", "limit (ADU)", *(["limit in low gain (ADU)"] if low else [])]
    shown = [table(header, rows)]
    if mask.border:
        shown.append(sentence(f"A border of {mask.border} pixels of each ASIC is masked."))
    if mask.layers:
        layers = [
            [
                number, one.kind, one.name, one.mode if one.on else f"{one.mode}, switched off",
                _layer_settings(one),
            ]
            for number, one in enumerate(mask.layers, 1)
        ]  # fmt: skip
        shown.append(table(["", "layer", "name", "mode", "settings"], layers))
    return together(*shown)


def counts(mask: Any, limits: Thresholds) -> Shown:
    """Pixels each rule and layer removed, in all and alone; pixels that layers keep."""
    rows = [
        [words, count(one.total), count(one.exclusive), f"{100 * one.total / mask.good.size:.3f}"]
        for words, one, _ in removed(mask, limits)
    ]
    masked = int(mask.good.size - np.count_nonzero(mask.good))
    rows.append(["in all", count(masked), "", f"{100 * masked / mask.good.size:.3f}"])
    shown = table(["removed because", "pixels", "for this reason alone", "%"], rows)
    if not mask.kept:
        return shown
    kept = [[one.label, count(one.pixels)] for one in mask.kept]
    return together(shown, table(["kept, though masked before", "pixels"], kept))


def thresholds(mask: Any, recipe: MaskSettings) -> Shown:
    """Settings of the mask beside what each rule removed."""
    return beside(settings(recipe), counts(mask, recipe.thresholds))


def removed(mask: Any, limits: Thresholds) -> Iterator[tuple[str, RuleCount, Any]]:
    """Words, counts and places of the threshold rules and of what else removed pixels.

    Places are None for a rule that removed nothing.
    """
    from workbench.mask.rules import OF_IMAGES

    for one in mask.removals:
        if one.counts.total:
            words = one.label if one.layer is not None else words_of(one.rule, limits)
            yield words, one.counts, one.where
        elif one.rule in OF_IMAGES and one.rule != "not_a_number":
            yield words_of(one.rule, limits), one.counts, None


def words_of(rule: str, limits: Thresholds | None = None) -> str:
    """What a rule removes; with its limit if `limits` are given."""
    from workbench.mask.rules import RULES

    if limits is not None:
        numbers = {
            "average_high": f"average > {limits.avg_max:g}",
            "stddev_high": f"stddev > {limits.stddev_max:g}",
            "maximum_low": f"maximum < {limits.maxproj_min:g}",
        }
        if rule in numbers:
            return numbers[rule]
    plain = {"average_low": "average ≤ 0", "stddev_low": "stddev ≤ 0"}
    return plain.get(rule, RULES[rule].text.partition(":")[0])


def _layer_settings(layer: Any) -> str:
    told = []
    for one in dataclasses.fields(layer):
        value = getattr(layer, one.name)
        if one.name in ("name", "on", "mode") or value is None:
            continue
        if isinstance(value, tuple) and len(value) > 6:
            value = f"{len(value)} entries"
        told.append(f"{one.name} {value}")
    return ", ".join(told)
