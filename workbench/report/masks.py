"""The mask in words and numbers: its settings, and what each rule removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

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
    """Pixels each rule removed, in all and alone."""
    rows = [
        [words, count(one.total), count(one.exclusive), f"{100 * one.total / mask.good.size:.3f}"]
        for _, words, one in rules(mask, limits)
    ]
    removed = int(mask.good.size - np.count_nonzero(mask.good))
    rows.append(["in all", count(removed), "", f"{100 * removed / mask.good.size:.3f}"])
    return table(["removed because", "pixels", "for this reason alone", "%"], rows)


def thresholds(mask: Any, recipe: MaskSettings) -> Shown:
    """Settings of the mask beside what each rule removed."""
    return beside(settings(recipe), counts(mask, recipe.thresholds))


def rules(mask: Any, limits: Thresholds) -> Iterator[tuple[str, str, Any]]:
    """Name, words and counts of the threshold rules and of others that removed something."""
    from workbench.mask.rules import THRESHOLD_RULES

    for name, found in mask.counts.items():
        if found.total or (name in THRESHOLD_RULES and name != "not_a_number"):
            yield name, words_of(name, limits), found


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
