"""From images and settings to a mask: the one evaluator of rules, border and layers.

A pixel is masked if any *part* (a rule of the images, the border, a layer) removes it in the end:

- a part removes its pixels, whether or not others remove them too;
- a layer of mode ``exclude`` keeps its pixels, whatever removed them before it; one of mode
  ``intersection`` keeps all pixels but its own;
- grow and island layers look at the mask as the steps before them left it, and remove pixels
  that were good until then.

What no limit changes is worked out once: pixels that the same steps select are of one *class*.
Limits, grow and island layers give each pixel a few more bits. Class and bits make the *key* of a
pixel, from which alone it follows what removes it (`_Stack.outcome`), and so also the counts: how
many pixels have each key.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import MaskError
from workbench.mask.checks import count_warnings, image_warnings, mix_ups
from workbench.mask.images import ImageLike, MaskImages
from workbench.mask.layers import Pixels, asic_border, follow, select
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
_STACKS = 2  # settings A and B
_MOST_FATES = 4_000_000  # keys × parts that are worked out whether or not a pixel has them

Packed = NDArray[np.uint8]
Keys = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True)
class Part:
    """What removes pixels: the rule, what it is called, and the place of its layer, if any."""

    rule: str
    name: str
    layer: int | None = None


@dataclass(frozen=True, eq=False)
class _Select:
    """A part that no limit and no other step changes."""

    part: Part
    pixels: Packed


@dataclass(frozen=True)
class _Beyond:
    """A part that depends on a limit."""

    part: Part
    rule: ThresholdRule


@dataclass(frozen=True)
class _Follow:
    """A part that looks at the mask so far."""

    part: Part
    layer: GrowLayer | IslandLayer


@dataclass(frozen=True, eq=False)
class _Keep:
    """A layer that takes pixels out of the mask."""

    name: str
    layer: int
    pixels: Packed


_Step = _Select | _Beyond | _Follow | _Keep


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What removes and keeps the pixels of each key: bool ``(keys, parts or keepers)``.

    `keys` are in increasing order; None: all there can be, so that a key is its own place.
    """

    removed: NDArray[np.bool_]
    spared: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    keys: Keys | None

    def place(self, keys: Keys) -> Keys:
        """Row of each key."""
        return keys if self.keys is None else np.searchsorted(self.keys, keys)


class _Stack:
    """Steps, and the class of each pixel: all that is the same for all limits.

    Attributes
    ----------
    parts, keepers : what the steps remove pixels for, and the layers that keep pixels.
    rules, follows : the steps that give a pixel a bit: first limits, then grow and island layers.
    resting : key of each pixel without any of these bits, flat.
    resting_keys, resting_pixels : those keys, and how many pixels have them.
    """

    def __init__(self, steps: Sequence[_Step], shape: tuple[int, int, int]) -> None:
        self.steps = steps
        self.parts = tuple(step.part for step in steps if not isinstance(step, _Keep))
        self.keepers = tuple((step.name, step.layer) for step in steps if isinstance(step, _Keep))
        self.rules = [step.rule for step in steps if isinstance(step, _Beyond)]
        self.follows = [step for step in steps if isinstance(step, _Follow)]
        self.bits = len(self.rules) + len(self.follows)
        static = [step.pixels for step in steps if isinstance(step, _Select | _Keep)]
        classes, self._members = _classified(static, math.prod(shape))
        self._all = len(self._members) << self.bits
        self.resting: Keys = classes.astype(np.int32 if self._all < 1 << 31 else np.int64)
        self.resting <<= self.bits
        self.resting_keys = np.arange(len(self._members)) << self.bits
        self.resting_pixels = np.bincount(classes, minlength=len(self._members))
        self._outcomes: dict[int, _Outcome] = {}
        self._at_rest: dict[bytes, Pixels] = {}  # the last four, by what becomes of each class

    def outcome(self, keys: Keys, follows: int) -> _Outcome:
        """What becomes of pixels with these keys, and of those at rest.

        Parameters
        ----------
        follows : steps are taken up to the grow or island layer that so many come before.
        """
        if self._all * len(self.parts) > _MOST_FATES:
            return self._take_steps(np.union1d(self.resting_keys, keys), follows, True)
        if follows not in self._outcomes:
            self._outcomes[follows] = self._take_steps(np.arange(self._all), follows, False)
        return self._outcomes[follows]

    def masked(self, where: Keys, keys: Keys, follows: int) -> tuple[Pixels, Pixels]:
        """Pixels masked before a grow or island layer, and those of them that it starts from.

        Parameters
        ----------
        where, keys : pixels (flat) that have bits, and their keys.
        """
        outcome, layer = self.outcome(keys, follows), self.follows[follows].layer
        masked = self._spread(np.logical_or.reduce(outcome.removed, axis=1), outcome, where, keys)
        wanted = layer.of if isinstance(layer, GrowLayer) else ()
        if not wanted:
            return masked, masked
        columns = [place for place, part in enumerate(self.parts) if part.rule in wanted]
        sources = np.logical_or.reduce(outcome.removed[:, columns], axis=1)
        return masked, self._spread(sources, outcome, where, keys)

    def _spread(
        self, flags: NDArray[np.bool_], outcome: _Outcome, where: Keys, keys: Keys
    ) -> Pixels:
        is_complete = outcome.keys is None
        at_rest = flags[outcome.place(self.resting_keys)].tobytes()
        pixels = self._at_rest.get(at_rest) if is_complete else None
        if pixels is None:
            pixels = flags[outcome.place(self.resting)]
            if is_complete:
                self._at_rest = {**dict(list(self._at_rest.items())[-3:]), at_rest: pixels}
        pixels = pixels.copy()
        pixels[where] = flags[outcome.place(keys)]
        return pixels

    def _take_steps(self, keys: Keys, follows: int, some: bool) -> _Outcome:
        of_class = self._members[keys >> self.bits]
        removed = np.zeros((len(keys), len(self.parts)), np.bool_)
        spared = np.zeros_like(removed)
        chosen = np.zeros((len(keys), len(self.keepers)), np.bool_)
        kept = np.zeros_like(chosen)
        part = keeper = member = limit = followed = 0
        for step in self.steps:
            if isinstance(step, _Keep):
                here = chosen[:, keeper] = of_class[:, member]
                kept[:, keeper] = here & removed.any(axis=1)
                spared |= removed & here[:, None]
                removed[here] = False
                keeper, member = keeper + 1, member + 1
                continue
            if isinstance(step, _Select):
                removed[:, part] = of_class[:, member]
                member += 1
            elif isinstance(step, _Beyond):
                removed[:, part] = keys >> limit & 1
                limit += 1
            elif followed == follows:
                break
            else:
                removed[:, part] = keys >> len(self.rules) + followed & 1
                followed += 1
            part += 1
        return _Outcome(removed, spared, chosen, kept, keys if some else None)


class MaskEvaluator:
    """Masks for any settings over the same images.

    Parameters
    ----------
    average, stddev, maximum : `DetectorImage` or arrays, as for `workbench.mask.make_mask`.
    geometry, distance_mm, wavelength_angstrom : default to those of the images.
    low_gain : bool ``(modules, rows, columns)``, True = low gain, for `MaskSettings.low_gain`.
    occupancy : fraction of events with data in each pixel, for occupancy layers.
    folder : folder that names of imported masks are relative to.

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
        *,
        distance_mm: float | None = None,
        wavelength_angstrom: float | None = None,
        low_gain: ArrayLike | None = None,
        occupancy: ArrayLike | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.images = MaskImages.of(
            average,
            stddev,
            maximum,
            geometry=geometry,
            distance_mm=distance_mm,
            wavelength_angstrom=wavelength_angstrom,
            low_gain=low_gain,
            occupancy=occupancy,
            folder=folder,
        )
        self._stacks: OrderedDict[Any, _Stack] = OrderedDict()
        self._selections: OrderedDict[Any, tuple[tuple[str, Packed], ...]] = OrderedDict()
        self._compared: dict[str, tuple[tuple[float, float], Pixels, int]] = {}

    def evaluate(self, settings: MaskSettings) -> MaskCounts:
        """Counts of the mask for these settings.

        The first call with other layers or another border takes longer than those that follow.
        """
        stack, _, keys = self._moved(settings)
        outcome = stack.outcome(keys, len(stack.follows))
        pixels = np.bincount(outcome.place(keys), minlength=len(outcome.removed))
        at_rest = stack.resting_pixels - np.bincount(
            keys >> stack.bits, minlength=len(stack.resting_pixels)
        )
        pixels[outcome.place(stack.resting_keys)] += at_rest
        present = np.flatnonzero(pixels)
        removed, kept_columns = outcome.removed[present], outcome.kept[present]
        return MaskCounts(**self._counts(settings, stack, pixels[present], removed, kept_columns))

    def mask(self, settings: MaskSettings, provenance: Mapping[str, Any] | None = None) -> Mask:
        """Mask for these settings."""
        stack, where, keys = self._moved(settings)
        outcome = stack.outcome(keys, len(stack.follows))
        every = stack.resting.copy()
        every[where] = keys
        present, row = compact(outcome.place(every))
        table = ReasonTable(
            row.astype(np.int32, copy=False).reshape(self.images.detector.shape),
            outcome.removed[present],
            outcome.spared[present],
            outcome.chosen[present],
            outcome.kept[present],
        )
        pixels = np.bincount(row)
        counts = self._counts(settings, stack, pixels, table.removed, table.kept)
        for name in ("removals", "kept"):
            counts[name] = tuple(dataclasses.replace(one, table=table) for one in counts[name])
        reasons = _reason_words(stack.parts, table.removed)[table.row]
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
    def _moved(self, settings: MaskSettings) -> tuple[_Stack, Keys, Keys]:
        """Pixels (flat) that are beyond a limit, or that grow and island layers add; their keys."""
        if settings.low_gain is not None and self.images.low_gain is None:
            raise MaskError(
                "The settings give low-gain pixels limits of their own, but no gain map says "
                "which pixels those are; take the images from a run, or give a gain map."
            )
        stack, shape = self._stack(settings), self.images.detector.shape
        bits: Keys = np.zeros(math.prod(shape), np.int8 if stack.bits < 8 else np.int32)
        for bit, rule in enumerate(stack.rules):
            beyond = self._beyond(rule, settings)[0].reshape(-1)
            bits |= np.left_shift(beyond, bit, dtype=bits.dtype)
        where = np.flatnonzero(bits != 0)
        keys = stack.resting[where] | bits[where]
        for number, step in enumerate(stack.follows):
            masked, source = stack.masked(where, keys, number)
            added = follow(step.layer, masked.reshape(shape), source.reshape(shape)).reshape(-1)
            bits |= np.left_shift(added, len(stack.rules) + number, dtype=bits.dtype)
            where = np.flatnonzero(bits != 0)
            keys = stack.resting[where] | bits[where]
        return stack, where, keys

    def _stack(self, settings: MaskSettings) -> _Stack:
        stamps = tuple((layer, self._file_stamp(layer)) for layer in settings.layers)
        key = settings.border, stamps
        if key not in self._stacks:
            self._stacks[key] = _Stack(self._steps(settings), self.images.detector.shape)
            while len(self._stacks) > _STACKS:
                self._stacks.popitem(last=False)
        self._stacks.move_to_end(key)
        return self._stacks[key]

    def _steps(self, settings: MaskSettings) -> list[_Step]:
        steps: list[_Step] = []
        for name in OF_IMAGES:
            rule, part = RULES[name], Part(name, name)  # `limit_words` has the name with the limit
            if isinstance(rule, ThresholdRule):
                steps.append(_Beyond(part, rule))
            else:
                steps.append(_Select(part, self._without_limit[name]))
        if settings.border:
            part = Part("asic_border", f"border of each ASIC, {settings.border} pixels")
            steps.append(_Select(part, np.packbits(asic_border(self.images, settings.border))))
        for place, layer in enumerate(settings.layers):
            if layer.on:
                steps += self._layer_steps(place, layer)
        return steps

    def _layer_steps(self, place: int, layer: Layer) -> list[_Step]:
        name = label(layer)
        if isinstance(layer, GrowLayer):
            unknown = [rule for rule in layer.of if rule not in RULES]
            if unknown:
                raise MaskError(
                    f"A grow layer names the rule {unknown[0]!r}; known are {', '.join(RULES)}."
                )
            return [_Follow(Part("grown", name, place), layer)]
        if isinstance(layer, IslandLayer):
            return [_Follow(Part("island", name, place), layer)]
        selection = self._selection(layer)
        if layer.mode != "union":
            chosen = np.bitwise_or.reduce([pixels for _, pixels in selection])
            return [_Keep(name, place, chosen if layer.mode == "exclude" else ~chosen)]
        return [
            _Select(Part(rule, name if number == 0 else f"{name}: neighbours", place), pixels)
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

    def _file_stamp(self, layer: Layer) -> Any:
        """Tell a changed file from the one that was read."""
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
        stack: _Stack,
        pixels: NDArray[np.int64],
        removed: NDArray[np.bool_],
        kept: NDArray[np.bool_],
    ) -> dict[str, Any]:
        """Arguments of `MaskCounts`, of rows of an outcome and how many pixels have each."""
        words = _reason_words(stack.parts, removed)
        names = limit_words(settings)
        removals = tuple(
            Removal(
                part.rule,
                part.name if part.layer is not None else names.get(part.rule, part.name),
                part.layer,
                counts,
                place,
            )
            for place, (part, counts) in enumerate(
                zip(stack.parts, column_counts(removed, pixels), strict=True)
            )
        )
        keepers = tuple(
            Kept(name, layer, int(pixels[kept[:, place]].sum()), place)
            for place, (name, layer) in enumerate(stack.keepers)
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


def limit_words(settings: MaskSettings) -> dict[str, str]:
    """What the rules of the images say, with their limits."""
    high, low = settings.thresholds, settings.low_gain or settings.thresholds
    words = {rule: f"{image} ≤ 0" for rule, image in NOT_POSITIVE.items()}
    words["not_a_number"] = "not a number"
    for name, rule in LIMITS.items():
        limit, other = getattr(high, name), getattr(low, name)
        words[rule.name] = f"{rule.image} {rule.sign} {limit:g} {rule.unit}"
        if limit != other:
            words[rule.name] += f" (low gain {other:g})"
    return words


def _reason_words(parts: Sequence[Part], removed: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Reason word of each row of an outcome."""
    words = np.zeros(len(removed), np.uint32)
    for part, column in zip(parts, removed.T, strict=True):
        words[column] |= np.uint32(RULES[part.rule].flag)
    return words


def _classified(static: Sequence[Packed], size: int) -> tuple[Keys, NDArray[np.bool_]]:
    """Class of each pixel, and which of the selections the pixels of each class are in."""
    classes: Keys = np.zeros(size, np.int32)
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
    *,
    low_gain: ArrayLike | None = None,
    occupancy: ArrayLike | None = None,
    distance_mm: float | None = None,
    wavelength_angstrom: float | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Mask:
    """Make the mask that settings describe, layers included; see `make_mask` for the images.

    Parameters
    ----------
    settings : the ``mask`` section of a recipe.
    geometry, distance_mm, wavelength_angstrom : for shapes, radius and resolution; by default
        those of the images.
    low_gain : bool ``(modules, rows, columns)``, True = low gain, if `settings.low_gain` has own
        limits.
    occupancy : fraction of events with data in each pixel, ``(modules, rows, columns)``.
    folder : folder that names of imported masks are relative to (that of the recipe).

    Raises
    ------
    MaskError
        If an image is not that of a known detector, or something a layer needs is not there.
    FileFormatError
        If an imported mask cannot be read.
    """
    evaluator = MaskEvaluator(
        avg,
        std,
        max,
        geometry,
        distance_mm=distance_mm,
        wavelength_angstrom=wavelength_angstrom,
        low_gain=low_gain,
        occupancy=occupancy,
        folder=folder,
    )
    return evaluator.mask(settings, {"settings": dataclasses.asdict(settings)})
