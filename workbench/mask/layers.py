"""Layers in their order: those that can be settled once, and those that follow the thresholds.

A run of layers that do not look at the mask so far acts on a pixel's reason word ``w`` as
``(0 if clear else w) | set``, whatever ``w`` is; such runs are merged into one word per pixel,
with `CLEAR` as its top bit. Growing and islands depend on the mask so far and stand between runs.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.detector import by_asic
from workbench.errors import MaskError
from workbench.mask.inputs import MaskImages
from workbench.mask.rules import NAMES, flags
from workbench.mask.select import Selection, edges, flag_of, select
from workbench.recipe import MaskSettings
from workbench.recipe.mask import FileLayer, GrowLayer, IslandLayer, Layer

CLEAR = np.uint32(1 << 31)
FOLLOWING = (GrowLayer, IslandLayer)
"""Layers that look at the mask so far."""

_KEPT_SELECTIONS = 24
_KEPT_RUNS = 6

Words = NDArray[np.uint32]


class LayerStack:
    """The layers of a mask over given images; selections are kept while their settings stay."""

    def __init__(self, images: MaskImages) -> None:
        self.images = images
        self._base = _image_rules(images)
        self._selections: OrderedDict[Any, Selection] = OrderedDict()
        self._runs: OrderedDict[Any, Words] = OrderedDict()

    def stages(self, settings: MaskSettings) -> tuple[Words, list[Layer | Words]]:
        """First run of settled layers (rules of the images, border) and what comes after it."""
        first: list[Layer] = []
        rest: list[Layer | Words] = []
        run: list[Layer] | None = first
        runs: list[list[Layer]] = [first]
        places: list[int] = []
        for layer in settings.layers:
            if not layer.on:
                continue
            if isinstance(layer, FOLLOWING):
                rest.append(layer)
                run = None
            elif run is None:
                run = [layer]
                runs.append(run)
                places.append(len(rest))
                rest.append(layer)  # replaced below by the words of the run
            else:
                run.append(layer)
        for place, layers in zip(places, runs[1:], strict=True):
            rest[place] = self._words(None, tuple(layers))
        return self._words(settings.border, tuple(first)), rest

    def selection(self, layer: Layer) -> Selection:
        """Pixels a settled layer selects, on or off, whatever its mode."""
        key = dataclasses.replace(layer, name="", on=True, mode="union"), self._stamp(layer)
        if key not in self._selections:
            self._selections[key] = select(layer, self.images)
            while len(self._selections) > _KEPT_SELECTIONS:
                self._selections.popitem(last=False)
        self._selections.move_to_end(key)
        return self._selections[key]

    def apply(self, layer: Layer, reasons: Words) -> None:
        """Change reason words in place by a layer that looks at the mask so far."""
        rule, selected = following_selection(layer, reasons)
        if layer.mode == "union":
            flat = reasons.reshape(-1)  # a view: reasons are always contiguous
            new = np.flatnonzero(selected.reshape(-1) & (flat == 0))
            flat[new] = flag_of(rule)
        elif layer.mode == "exclude":
            reasons[selected] = 0
        else:
            reasons[~selected] = 0

    def _stamp(self, layer: Layer) -> Any:
        """Tell a changed file from the one that was read."""
        if not isinstance(layer, FileLayer):
            return None
        try:
            status = (self.images.folder / Path(layer.path).expanduser()).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def _words(self, border: int | None, layers: tuple[Layer, ...]) -> Words:
        """Words of one run; the first run (`border` given) starts with the images' own rules."""
        key = border, layers, tuple(self._stamp(layer) for layer in layers)
        if key not in self._runs:
            words = self._base.copy() if border is not None else np.zeros_like(self._base)
            if border:
                by_asic(words)[..., edges((185, 194), border)] |= flag_of("asic_border")
            for layer in layers:
                _merge(words, layer, self.selection(layer))
            words.flags.writeable = False
            self._runs[key] = words
            while len(self._runs) > _KEPT_RUNS:
                self._runs.popitem(last=False)
        self._runs.move_to_end(key)
        return self._runs[key]


def act(words: Words, reasons: Words) -> None:
    """Let a run of settled layers act on reason words in place."""
    np.copyto(reasons, 0, where=(words & CLEAR) != 0)
    np.bitwise_or(reasons, words & ~CLEAR, out=reasons)


def following_selection(layer: Layer, reasons: Words) -> tuple[str, NDArray[np.bool_]]:
    """Rule and selected pixels of a layer that looks at the mask so far.

    Raises
    ------
    MaskError
        If the layer names a rule that does not exist.
    """
    from workbench.mask import neighbours

    if isinstance(layer, GrowLayer):
        unknown = [name for name in layer.of if name not in NAMES]
        if unknown:
            raise MaskError(
                f"A grow layer names the rule {unknown[0]!r}; known are {', '.join(NAMES)}."
            )
        masked = (reasons & np.uint32(flags(layer.of))) != 0 if layer.of else reasons != 0
        return "grown", neighbours.grown(masked, layer.pixels, layer.neighbours)
    assert isinstance(layer, IslandLayer)
    return "island", neighbours.islands(reasons == 0, layer.smaller_than, layer.neighbours)


def _merge(words: Words, layer: Layer, selection: Selection) -> None:
    if layer.mode == "union":
        for rule, selected in selection:
            np.bitwise_or(words, flag_of(rule), out=words, where=selected)
        return
    everything = selection[0][1]
    for _, selected in selection[1:]:
        everything = everything | selected
    np.copyto(words, CLEAR, where=everything if layer.mode == "exclude" else ~everything)


def _image_rules(images: MaskImages) -> Words:
    """Words of the rules that no setting changes: not above 0, not a number."""
    words = np.zeros(images.average.shape, np.uint32)
    words[images.average <= 0] |= flag_of("average_low")
    words[images.stddev <= 0] |= flag_of("stddev_low")
    for image in images.arrays:
        words[np.isnan(image)] |= flag_of("not_a_number")
    return words
