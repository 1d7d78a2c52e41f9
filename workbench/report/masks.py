"""The mask in words and numbers: its settings, and what each rule removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from workbench.mask import Mask, RuleCount
from workbench.mask.rules import IMAGES, LIMITS, NOT_POSITIVE, OF_IMAGES, RULES, ThresholdRule
from workbench.quantities import thousands
from workbench.recipe import MaskSettings, Thresholds
from workbench.recipe.mask import Layer
from workbench.report.text import Shown, beside, sentence, table, together


def settings(mask: MaskSettings, units: Mapping[str, str] | None = None) -> Shown:
    """Thresholds, border, and layers in their order.

    Parameters
    ----------
    units : of the images ``average``, ``stddev`` and ``maximum`` that are not in ADU.
    """
    limits, low = mask.thresholds, mask.low_gain
    others = {name: unit for name, unit in (units or {}).items() if unit != "ADU"}
    rows = []
    for name, rule in LIMITS.items():
        words = f"{rule.lowest}{IMAGES[rule.image].of_runs} {rule.good_sign}"
        unit = f" {others[rule.image]}" if rule.image in others else ""
        own = [f"{getattr(low, name):g}{unit}"] if low else []
        rows.append([words, f"{getattr(limits, name):g}{unit}", *own])
    given = "(ADU, if not said otherwise)" if others else "(ADU)"
    header = [
        "a good pixel has",
        f"limit {given}",
        *([f"limit in low gain {given}"] if low else []),
    ]
    shown = [table(header, rows)]
    if mask.border:
        shown.append(sentence(f"A border of {mask.border} pixels of each ASIC is masked."))
    if mask.layers:
        layers = [
            [
                number, layer.kind, layer.name,
                layer.mode if layer.on else f"{layer.mode}, switched off",
                _layer_settings(layer),
            ]
            for number, layer in enumerate(mask.layers, 1)
        ]  # fmt: skip
        shown.append(table(["", "layer", "name", "mode", "settings"], layers))
    return together(*shown)


def counts(mask: Mask, limits: Thresholds) -> Shown:
    """Pixels each rule and layer removed, in all and alone; pixels that layers keep."""
    rows = [
        [
            words,
            thousands(counts.total),
            thousands(counts.exclusive),
            f"{100 * counts.total / mask.pixels:.3f}",
        ]
        for words, counts, _ in removed(mask, limits)
    ]
    rows.append(["in all", thousands(mask.masked), "", f"{100 * mask.masked_fraction:.3f}"])
    shown = table(["removed because", "pixels", "for this reason alone", "%"], rows)
    if not mask.kept:
        return shown
    kept = [[keeper.label, thousands(keeper.pixels)] for keeper in mask.kept]
    return together(shown, table(["kept, though masked before", "pixels"], kept))


def thresholds(mask: Mask, recipe: MaskSettings, units: Mapping[str, str] | None = None) -> Shown:
    """Settings of the mask beside what each rule removed; see `settings` and `counts`."""
    return beside(settings(recipe, units), counts(mask, recipe.thresholds))


def removed(
    mask: Mask, limits: Thresholds
) -> Iterator[tuple[str, RuleCount, NDArray[np.bool_] | None]]:
    """Words, counts and places of the threshold rules and of what else removed pixels.

    Places are None for a rule that removed nothing.
    """
    for removal in mask.removals:
        of_rule = removal.layer is None
        words = words_of(removal.rule, limits) if of_rule else removal.label
        if removal.counts.total:
            yield words, removal.counts, removal.where
        elif removal.rule in OF_IMAGES and removal.rule != "not_a_number":
            yield words, removal.counts, None


def words_of(name: str, limits: Thresholds | None = None) -> str:
    """What a rule masks; with its limit if `limits` are given."""
    rule = RULES[name]
    if isinstance(rule, ThresholdRule) and limits is not None:
        return f"{rule.image} {rule.sign} {getattr(limits, rule.limit):g}"
    if name in NOT_POSITIVE:
        return f"{NOT_POSITIVE[name]} ≤ 0"
    return rule.text.partition(":")[0]


def _layer_settings(layer: Layer) -> str:
    settings = []
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if field.name in ("name", "on", "mode") or value is None:
            continue
        if isinstance(value, tuple) and len(value) > 6:
            value = f"{len(value)} entries"
        settings.append(f"{field.name} {value}")
    return ", ".join(settings)
