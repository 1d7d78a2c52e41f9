"""From images and settings to a mask: the one evaluator of rules, border and layers.

A pixel is masked if any *part* (a rule of the images, the border, a layer) removes it in the end:

- a part removes its pixels, whether or not others remove them too;
- a layer of mode ``exclude`` keeps its pixels, whatever removed them before it; one of mode
  ``intersection`` keeps all pixels but its own;
- grow and island layers look at the mask as the steps before them left it, and remove pixels
  that were good until then.

What no limit changes is worked out once: pixels that the same steps select are of one *class*.
Limits, grow and island layers give each pixel a few more bits. Class and bits make the *key* of a
pixel, from which alone it follows what removes it (`Steps.counts`), and so also the counts: how
many pixels have each key.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from workbench.errors import MaskError
from workbench.mask.checks import count_warnings, image_warnings, mix_ups
from workbench.mask.images import ImageFacts, ImageLike, MaskImages
from workbench.mask.layers import asic_border, follow, select
from workbench.mask.mask import Mask, MaskCounts
from workbench.mask.reasons import Kept, ReasonTable, Removal, column_counts, compact
from workbench.mask.rules import (
    IMAGES,
    LIMITS,
    NOT_POSITIVE,
    OF_IMAGES,
    RULES,
    ThresholdRule,
    count_words,
)
from workbench.recipe import MaskSettings, Thresholds
from workbench.recipe.mask import FileLayer, GrowLayer, IslandLayer, Layer

if TYPE_CHECKING:
    from workbench.geometry import Geometry

_SELECTIONS = 64  # layers whose pixels are remembered
_ORDERS = 2  # settings A and B
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
        return np.zeros(self._resting.size, np.int8 if self._bits < 8 else np.int64)

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


class MaskEvaluator:
    """Masks for any settings over the same images.

    Parameters
    ----------
    average, stddev, maximum : `DetectorImage` or arrays, as for `workbench.mask.make_mask`.
    geometry : for shapes, radius and resolution; by default that of the images.
    facts : see `ImageFacts`.

    Raises
    ------
    MaskError
        If an image is not that of a known detector, or they are of different ones.

    Notes
    -----
    `evaluate` gives counts, for a slider; `mask` the pixels too. Both compare float64 numbers. An
    evaluator is not for several threads at a time.
    """

    def __init__(
        self,
        average: ImageLike | None,
        stddev: ImageLike | None,
        maximum: ImageLike | None,
        geometry: Geometry | None = None,
        **facts: Unpack[ImageFacts],
    ) -> None:
        self.images = MaskImages.of(average, stddev, maximum, geometry, **facts)
        self._orders: OrderedDict[object, Steps] = OrderedDict()
        self._selections: OrderedDict[object, tuple[tuple[str, Packed], ...]] = OrderedDict()
        self._compared: dict[str, tuple[tuple[float, float], Pixels, int]] = {}

    def evaluate(self, settings: MaskSettings) -> MaskCounts:
        """Counts of the mask for these settings.

        The first call with other layers or another border takes longer than those that follow.
        """
        steps = self._steps(settings)
        outcome, pixels = steps.counts(self._bits(settings, steps))
        present = np.flatnonzero(pixels)
        removed, kept = outcome.removed[present], outcome.kept[present]
        return MaskCounts(**self._counts(settings, steps, pixels[present], removed, kept))

    def mask(self, settings: MaskSettings, provenance: Mapping[str, Any] | None = None) -> Mask:
        """Mask for these settings."""
        steps = self._steps(settings)
        outcome, row = steps.rows(self._bits(settings, steps))
        table = ReasonTable(
            row.reshape(self.images.detector.shape),
            outcome.removed, outcome.spared, outcome.chosen, outcome.kept,
        )  # fmt: skip
        counts = self._counts(settings, steps, np.bincount(row), table.removed, table.kept)
        for name in ("removals", "kept"):
            counts[name] = tuple(dataclasses.replace(entry, table=table) for entry in counts[name])
        reasons = _reason_words(steps.parts, table.removed)[table.row]
        return Mask(
            **counts,
            good=reasons == 0,
            reasons=reasons,
            provenance=dict(provenance or {}),
            images=self.images,
        )

    @cached_property
    def image_warnings(self) -> tuple[str, ...]:
        """What is implausible about the images, whatever the settings."""
        return tuple(image_warnings(self.images))

    @cached_property
    def mix_ups(self) -> tuple[str, ...]:
        """Signs that the images are swapped."""
        return tuple(mix_ups(self.images))

    # ---- the steps ---------------------------------------------------------------------------
    def _bits(self, settings: MaskSettings, steps: Steps) -> Bits:
        """Which limits each pixel is beyond, and which grow and island layers add it; flat."""
        if settings.low_gain is not None and self.images.low_gain is None:
            raise MaskError(
                "The settings give low-gain pixels limits of their own, but no gain map says "
                "which pixels those are; take the images from a run, or give a gain map."
            )
        bits, shape = steps.no_bits(), self.images.detector.shape
        for bit, rule in enumerate(steps.rules):
            beyond = self._beyond(rule, settings)[0].reshape(-1)
            bits |= np.multiply(beyond.view(np.int8), 1 << bit, dtype=bits.dtype)
        for number, step in enumerate(steps.follows):
            masked, source = (pixels.reshape(shape) for pixels in steps.masked(bits, number))
            added = follow(step.layer, masked, source).reshape(-1)
            bit = len(steps.rules) + number
            bits |= np.multiply(added.view(np.int8), 1 << bit, dtype=bits.dtype)
        return bits

    def _steps(self, settings: MaskSettings) -> Steps:
        key = (
            settings.border,
            tuple((layer, self._file_stamp(layer)) for layer in settings.layers),
        )
        if key not in self._orders:
            self._orders[key] = Steps(self._ordered(settings), self.images.detector.pixels)
            while len(self._orders) > _ORDERS:
                self._orders.popitem(last=False)
        self._orders.move_to_end(key)
        return self._orders[key]

    def _ordered(self, settings: MaskSettings) -> list[Step]:
        steps: list[Step] = []
        for name in OF_IMAGES:
            rule, part = RULES[name], Part(name, name)  # `limit_words` has the name with the limit
            if isinstance(rule, ThresholdRule):
                steps.append(Beyond(part, rule))
            else:
                steps.append(Select(part, self._without_limit[name]))
        if settings.border:
            part = Part("asic_border", f"border of each ASIC, {settings.border} pixels")
            steps.append(Select(part, np.packbits(asic_border(self.images, settings.border))))
        for place, layer in enumerate(settings.layers):
            if layer.on:
                steps += self._layer_steps(place, layer)
        return steps

    def _layer_steps(self, place: int, layer: Layer) -> list[Step]:
        name = label(layer)
        if isinstance(layer, GrowLayer):
            unknown = [rule for rule in layer.of if rule not in RULES]
            if unknown:
                raise MaskError(
                    f"A grow layer names the rule {unknown[0]!r}; known are {', '.join(RULES)}."
                )
            return [Follow(Part("grown", name, place), layer)]
        if isinstance(layer, IslandLayer):
            return [Follow(Part("island", name, place), layer)]
        selection = self._selection(layer)
        if layer.mode != "union":
            chosen = np.bitwise_or.reduce([pixels for _, pixels in selection])
            return [Keep(name, place, chosen if layer.mode == "exclude" else ~chosen)]
        return [
            Select(Part(rule, name if number == 0 else f"{name}: neighbours", place), pixels)
            for number, (rule, pixels) in enumerate(selection)
        ]

    def _selection(self, layer: Layer) -> tuple[tuple[str, Packed], ...]:
        """Pixels that a layer selects, on or off, whatever its mode (not grow, island)."""
        key = dataclasses.replace(layer, name="", on=True, mode="union"), self._file_stamp(layer)
        if key not in self._selections:
            selection = select(layer, self.images)
            self._selections[key] = tuple((rule, np.packbits(pixels)) for rule, pixels in selection)
            while len(self._selections) > _SELECTIONS:
                self._selections.popitem(last=False)
        self._selections.move_to_end(key)
        return self._selections[key]

    def _file_stamp(self, layer: Layer) -> tuple[int, int] | None:
        """Distinguish a changed file from the one that was read."""
        if not isinstance(layer, FileLayer):
            return None
        try:
            status = (self.images.folder / Path(layer.path).expanduser()).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    # ---- the images --------------------------------------------------------------------------
    @cached_property
    def _without_limit(self) -> dict[str, Packed]:
        """Pixels of the rules of the images that have no limit."""
        images = self.images
        missing = np.isnan(images.average) | np.isnan(images.stddev) | np.isnan(images.maximum)
        return {
            **{rule: np.packbits(images.image(name) <= 0) for rule, name in NOT_POSITIVE.items()},
            "not_a_number": np.packbits(missing),
        }

    def _beyond(self, rule: ThresholdRule, settings: MaskSettings) -> tuple[Pixels, int]:
        """Pixels beyond a limit, and how many; kept until the limit changes."""
        high, low = settings.thresholds, settings.low_gain or settings.thresholds
        pair = getattr(high, rule.limit), getattr(low, rule.limit)
        compared = self._compared.get(rule.limit)
        if compared is None or compared[0] != pair:
            image, compare = self.images.image(rule.image), _COMPARE[rule.side]
            pixels = compare(image, pair[0])
            if pair[0] != pair[1] and self.images.low_gain is not None:
                np.copyto(pixels, compare(image, pair[1]), where=self.images.low_gain)
            compared = self._compared[rule.limit] = (pair, pixels, int(np.count_nonzero(pixels)))
        return compared[1:]

    # ---- the counts --------------------------------------------------------------------------
    def _counts(
        self,
        settings: MaskSettings,
        steps: Steps,
        pixels: NDArray[np.int64],
        removed: NDArray[np.bool_],
        kept: NDArray[np.bool_],
    ) -> dict[str, Any]:
        """Arguments of `MaskCounts`, of rows of an outcome and how many pixels have each."""
        words = _reason_words(steps.parts, removed)
        names = limit_words(settings, self.images.units)
        removals = tuple(
            Removal(
                part.rule,
                part.name if part.layer is not None else names.get(part.rule, part.name),
                part.layer,
                counts,
                place,
            )
            for place, (part, counts) in enumerate(
                zip(steps.parts, column_counts(removed, pixels), strict=True)
            )
        )
        keepers = tuple(
            Kept(name, layer, int(pixels[kept[:, place]].sum()), place)
            for place, (name, layer) in enumerate(steps.keepers)
        )
        detector = self.images.detector
        warnings = (
            *self.mix_ups, *self.image_warnings, *count_warnings(removals, detector.pixels),
        )  # fmt: skip
        return {
            "detector": detector,
            "masked": int(pixels[words != 0].sum()),
            "counts": count_words(words, pixels),
            "removals": removals,
            "kept": keepers,
            "cctbx_counts": self._cctbx_counts(settings),
            "warnings": warnings,
            "mix_ups": self.mix_ups,
            "settings": settings,
        }

    def _cctbx_counts(self, settings: MaskSettings) -> tuple[int, ...]:
        """Give the counts cctbx prints: not a number fails every test of an image."""
        counts = []
        for name in IMAGES:
            zero, missing = self._not_positive[name]
            tests = [rule for rule in LIMITS.values() if rule.image == name]
            beyond = sum(self._beyond(rule, settings)[1] for rule in tests)
            of_zero = name in NOT_POSITIVE.values()
            counts.append((zero if of_zero else 0) + beyond + (len(tests) + of_zero) * missing)
        return tuple(counts)

    @cached_property
    def _not_positive(self) -> dict[str, tuple[int, int]]:
        """Pixels at or below 0, and those that are not a number, of each image."""
        images = {name: self.images.image(name) for name in IMAGES}
        return {
            name: (int(np.count_nonzero(image <= 0)), int(np.count_nonzero(np.isnan(image))))
            for name, image in images.items()
        }


_COMPARE = {"above": np.greater, "below": np.less}


def label(layer: Layer) -> str:
    """Name of a layer, or its kind if it has none."""
    return layer.name or layer.kind


def limit_words(settings: MaskSettings, units: Mapping[str, str]) -> dict[str, str]:
    """What the rules of the images say, with their limits, in the units of the images."""
    high, low = settings.thresholds, settings.low_gain or settings.thresholds
    words = {rule: f"{image} ≤ 0" for rule, image in NOT_POSITIVE.items()}
    words["not_a_number"] = "not a number"
    for name, rule in LIMITS.items():
        limit, other = getattr(high, name), getattr(low, name)
        words[rule.name] = f"{rule.image} {rule.sign} {limit:g} {units[rule.image]}"
        if limit != other:
            words[rule.name] += f" (low gain {other:g})"
    return words


def _reason_words(parts: Sequence[Part], removed: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Reason word of each row of an outcome."""
    words = np.zeros(len(removed), np.uint32)
    for part, column in zip(parts, removed.T, strict=True):
        words[column] |= np.uint32(RULES[part.rule].flag)
    return words


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


def make_mask(
    avg: ImageLike,
    std: ImageLike,
    max: ImageLike,
    thresholds: Thresholds | None = None,
    border: int = 0,
) -> Mask:
    """Make a mask by the rules of ``cxi.make_dials_mask`` (cctbx.xfel).

    A pixel is good if ``0 < avg <= avg_max``, ``0 < std <= stddev_max`` and
    ``max >= maxproj_min``; what is not a number is masked. Then the outer `border` rows and
    columns of each ASIC are masked.

    Parameters
    ----------
    avg, std : average and standard deviation of a dark run, ADU; `DetectorImage` or array
        ``(modules, rows, columns)``, or another layout of the detector, e.g. ASIC panels.
    max : maximum of one or more bright runs, ADU.
    thresholds : limits in ADU; by default those of ``cxi.make_dials_mask``.
    border : pixels.

    Raises
    ------
    MaskError
        If an image is not that of a known detector, or they are of different ones.
    """
    settings = MaskSettings(thresholds=thresholds or Thresholds(), border=border)
    return build_mask(settings, avg, std, max)


def build_mask(
    settings: MaskSettings,
    avg: ImageLike,
    std: ImageLike,
    max: ImageLike,
    geometry: Geometry | None = None,
    **facts: Unpack[ImageFacts],
) -> Mask:
    """Make the mask that settings describe, layers included; see `make_mask` for the images.

    Parameters
    ----------
    settings : the ``mask`` section of a recipe.
    geometry : for shapes, radius and resolution; by default that of the images.
    facts : see `ImageFacts`.

    Raises
    ------
    MaskError
        If an image is not that of a known detector, or something a layer needs is not there.
    FileFormatError
        If an imported mask cannot be read.
    """
    evaluator = MaskEvaluator(avg, std, max, geometry, **facts)
    return evaluator.mask(settings, {"settings": dataclasses.asdict(settings)})
