"""From settings and images to the steps of a mask; what layers select is kept between calls."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from workbench.detector import ASIC_COLUMNS, ROWS, SHAPE, by_asic
from workbench.mask.inputs import MaskImages
from workbench.mask.planes import VALID, Plane, empty, pack, union
from workbench.mask.program import MOVING, Follow, Keep, Moving, Part, Remove, Step
from workbench.mask.select import edges, select
from workbench.recipe import MaskSettings
from workbench.recipe.mask import FileLayer, GrowLayer, IslandLayer, Layer

_KEPT_SELECTIONS = 64

Selection = tuple[tuple[str, Plane], ...]
"""Rule and the pixels it selects."""


class LayerStack:
    """The steps of masks over given images."""

    def __init__(self, images: MaskImages) -> None:
        self.images = images
        self._selections: OrderedDict[Any, Selection] = OrderedDict()
        self._base: dict[str, Plane] = {
            "average_low": pack(images.average <= 0),
            "stddev_low": pack(images.stddev <= 0),
            "not_a_number": pack(
                np.isnan(images.average) | np.isnan(images.stddev) | np.isnan(images.maximum)
            ),
        }

    def steps(self, settings: MaskSettings) -> list[Step]:
        """Steps of settings; their limits enter the names alone.

        Raises
        ------
        MaskError, FileFormatError
            If something that a layer needs is not there.
        """
        steps: list[Step] = []
        names = rule_names_with_limits(settings)
        for rule in ("average_low", "average_high", "stddev_low", "stddev_high", "maximum_low",
                     "not_a_number"):  # fmt: skip
            part = Part(rule, names[rule])
            if rule in MOVING:
                steps.append(Moving(part, MOVING.index(rule)))
            else:
                steps.append(Remove(part, self._base[rule]))
        if settings.border:
            part = Part("asic_border", f"border of each ASIC, {settings.border} pixels")
            steps.append(Remove(part, _border(settings.border)))
        for place, layer in enumerate(settings.layers):
            if layer.on:
                steps += self._layer(place, layer)
        return steps

    def stamp(self, settings: MaskSettings) -> Any:
        """Whatever decides `steps`, to tell whether they are still the same."""
        layers = tuple((layer, self._file_stamp(layer)) for layer in settings.layers)
        return settings.border, layers

    def selection(self, layer: Layer) -> Selection:
        """Pixels that a layer selects, on or off, whatever its mode (not grow, island)."""
        key = dataclasses.replace(layer, name="", on=True, mode="union"), self._file_stamp(layer)
        if key not in self._selections:
            chosen = select(layer, self.images)
            self._selections[key] = tuple((rule, pack(pixels)) for rule, pixels in chosen)
            while len(self._selections) > _KEPT_SELECTIONS:
                self._selections.popitem(last=False)
        self._selections.move_to_end(key)
        return self._selections[key]

    def unmasked(self, settings: MaskSettings) -> Plane:
        """Pixels that some layer keeps, whether or not anything would remove them."""
        keeps = [step.plane for step in self.steps(settings) if isinstance(step, Keep)]
        return union(keeps, empty())

    def _layer(self, place: int, layer: Layer) -> list[Step]:
        name = label(layer)
        if isinstance(layer, GrowLayer):
            return [Follow(Part("grown", name, place), layer)]
        if isinstance(layer, IslandLayer):
            return [Follow(Part("island", name, place), layer)]
        selection = self.selection(layer)
        if layer.mode != "union":
            chosen = union((plane for _, plane in selection), empty())
            kept = chosen if layer.mode == "exclude" else ~chosen & VALID
            return [Keep(name, place, kept)]
        return [
            Remove(Part(rule, name if number == 0 else f"{name}: neighbours", place), plane)
            for number, (rule, plane) in enumerate(selection)
        ]

    def _file_stamp(self, layer: Layer) -> Any:
        """Tell a changed file from the one that was read."""
        if not isinstance(layer, FileLayer):
            return None
        try:
            status = (self.images.folder / Path(layer.path).expanduser()).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def label(layer: Layer) -> str:
    """Name of a layer, or its kind if it has none."""
    return layer.name or layer.kind


def rule_names_with_limits(settings: MaskSettings) -> dict[str, str]:
    """What the rules of ``cxi.make_dials_mask`` say, with their limits in ADU."""
    high, low = settings.thresholds, settings.low_gain or settings.thresholds

    def limit(name: str) -> str:
        one, other = getattr(high, name), getattr(low, name)
        return f"{one:g} ADU" if one == other else f"{one:g} ADU (low gain {other:g})"

    return {
        "average_low": "average ≤ 0",
        "average_high": f"average > {limit('avg_max')}",
        "stddev_low": "stddev ≤ 0",
        "stddev_high": f"stddev > {limit('stddev_max')}",
        "maximum_low": f"maximum < {limit('maxproj_min')}",
        "not_a_number": "not a number",
    }


def _border(width: int) -> Plane:
    pixels = np.zeros(SHAPE, np.bool_)
    by_asic(pixels)[...] = edges((ROWS, ASIC_COLUMNS), width)
    return pack(pixels)
