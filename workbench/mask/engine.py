"""A mask that follows its settings: complete re-evaluation in a few milliseconds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.detector import SHAPE
from workbench.errors import MaskError
from workbench.mask.inputs import MaskImages
from workbench.mask.layers import CLEAR, LayerStack, act
from workbench.mask.model import Mask
from workbench.mask.plausible import count_warnings, image_warnings, mix_ups
from workbench.mask.rules import NAMES, RULES, RuleCount, count_words, flags
from workbench.recipe import MaskSettings, Thresholds

_MOVING = ("average_high", "stddev_high", "maximum_low")
_MOVING_FLAGS = np.array(
    [flags(name for bit, name in enumerate(_MOVING) if key >> bit & 1) for key in range(8)],
    np.uint32,
)


class MaskEngine:
    """Masks for any settings over the same images.

    Parameters
    ----------
    average, stddev, maximum : `DetectorImage` or arrays, as for `workbench.mask.make_mask`.
    geometry, distance_mm, wavelength_angstrom : default to those of the images.
    low_gain : bool ``(32, 185, 388)``, True = low gain, for `MaskSettings.low_gain`.
    occupancy : fraction of events with data in each pixel, for occupancy layers.
    folder : folder that names of imported masks are relative to.

    Raises
    ------
    MaskError
        If an image is not that of a full CSPAD.

    Notes
    -----
    `evaluate` is for a slider: it reuses its arrays. `mask` gives a result to keep. Both decide
    every pixel as a comparison of float64 numbers does. An engine is not for several threads at
    a time.
    """

    def __init__(
        self,
        average: Any,
        stddev: Any,
        maximum: Any,
        geometry: Any = None,
        *,
        distance_mm: float | None = None,
        wavelength_angstrom: float | None = None,
        low_gain: NDArray | None = None,
        occupancy: NDArray | None = None,
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
        self.stack = LayerStack(self.images)
        self._nan = tuple(int(np.count_nonzero(np.isnan(image))) for image in self.images.arrays)
        self._classes_of: NDArray[np.uint32] | None = None

    def mask(self, settings: MaskSettings, provenance: Mapping[str, Any] | None = None) -> Mask:
        """Mask for these settings, with arrays of its own (numpy alone, nothing to compile)."""
        limits = self._limits(settings)
        first, rest = self.stack.stages(settings)
        clear = first & CLEAR
        moving, removed = self._compare(limits)
        moving[clear != 0] = 0
        reasons = _MOVING_FLAGS[moving] | (first ^ clear)
        self._follow(rest, reasons)
        counts = count_words(*np.unique(reasons, return_counts=True))
        return self._result(
            settings, reasons == 0, reasons, counts, removed, dict(provenance or {})
        )

    def evaluate(self, settings: MaskSettings) -> Mask:
        """As `mask`, much quicker, but the next call overwrites the arrays of this one's result.

        Without grow and island layers the time does not depend on the number of layers, as long
        as only thresholds change between calls.
        """
        from workbench.mask import kernels

        limits = self._limits(settings)
        first, rest = self.stack.stages(settings)
        table = self._classes(first)
        keys, reasons, good, klass = self._arrays
        counts = np.zeros((4, table.size), np.int64)
        average, stddev, maximum = (image.codes for image in self.coded)
        cuts = np.array(
            [
                [image.code_of(limit) for limit in pair]
                for image, pair in zip(self.coded, limits, strict=True)
            ],
            np.uint16,
        )
        if settings.low_gain is None:
            kernels.compare(
                average, stddev, maximum, klass, cuts[0, 0], cuts[1, 0], cuts[2, 0], keys
            )
        else:
            kernels.compare_two_gains(average, stddev, maximum, klass, self._low, cuts, keys)
        kernels.tabulate(keys, table, reasons, good, counts)
        by_key = counts.sum(axis=0)
        for bit, (image, pair) in enumerate(zip(self.coded, limits, strict=True)):
            for gain, limit in enumerate(pair if settings.low_gain is not None else pair[:1]):
                pixels = image.undecided(limit)
                if settings.low_gain is not None:
                    pixels = pixels[self._low[pixels] == gain]
                old = keys[pixels]
                new = old | np.uint16(1 << bit)
                np.subtract.at(by_key, old, 1)
                np.add.at(by_key, new, 1)
                keys[pixels] = new
                reasons[pixels] = table[new]
                good[pixels] = table[new] == 0
        shaped = reasons.reshape(SHAPE)
        if rest:
            self._follow(rest, shaped)
            np.equal(reasons, 0, out=good)
            rule_counts = _count(reasons)
        else:
            rule_counts = count_words(table, by_key)
        every_key = np.arange(table.size)
        removed = [int(by_key[(every_key >> bit & 1) == 1].sum()) for bit in range(3)]
        return self._result(settings, good.reshape(SHAPE), shaped, rule_counts, removed, {})

    @cached_property
    def image_warnings(self) -> tuple[str, ...]:
        """What is implausible about the images, whatever the settings."""
        return tuple(image_warnings(self.images))

    @cached_property
    def mix_ups(self) -> tuple[str, ...]:
        """Signs that the images are swapped."""
        return tuple(mix_ups(self.images))

    @cached_property
    def coded(self) -> tuple[Any, Any, Any]:
        """The three images as `CodedImage`: above a limit, above a limit, below a limit."""
        from workbench.mask.coded import CodedImage

        average, stddev, maximum = self.images.arrays
        return (
            CodedImage(average, above=True),
            CodedImage(stddev, above=True),
            CodedImage(maximum, above=False),
        )

    def _result(
        self,
        settings: MaskSettings,
        good: NDArray[np.bool_],
        reasons: NDArray[np.uint32],
        counts: dict[str, RuleCount],
        removed: list[int],
        provenance: dict[str, Any],
    ) -> Mask:
        return Mask(
            good,
            reasons,
            counts,
            cctbx_counts=self._cctbx_counts(removed),
            warnings=(*self.mix_ups, *self.image_warnings, *count_warnings(counts, good.size)),
            mix_ups=self.mix_ups,
            provenance=provenance,
            settings=settings,
            stack=self.stack,
        )

    def _limits(self, settings: MaskSettings) -> list[tuple[float, float]]:
        """Limit of high and of low gain for average, stddev, maximum."""
        high, low = settings.thresholds, settings.low_gain
        if low is not None and self.images.low_gain is None:
            raise MaskError(
                "The settings give low-gain pixels limits of their own, but no gain map says "
                "which pixels those are; take the images from a run, or give a gain map."
            )
        return list(zip(_three(high), _three(low or high), strict=True))

    def _compare(self, limits: list[tuple[float, float]]) -> tuple[NDArray[np.uint8], list[int]]:
        """Bits of the three moving rules per pixel and the number of pixels each removes."""
        moving = np.zeros(SHAPE, np.uint8)
        removed = []
        tests = (np.greater, np.greater, np.less)
        for bit, (image, test, (high, low)) in enumerate(
            zip(self.images.arrays, tests, limits, strict=True)
        ):
            out = test(image, self._per_pixel(high, low))
            removed.append(int(np.count_nonzero(out)))
            moving |= out.view(np.uint8) << np.uint8(bit)
        return moving, removed

    def _per_pixel(self, high: float, low: float) -> Any:
        if high == low or self.images.low_gain is None:
            return high
        return np.where(self.images.low_gain, low, high)

    def _follow(self, rest: list[Any], reasons: NDArray[np.uint32]) -> None:
        for stage in rest:
            if isinstance(stage, np.ndarray):
                act(stage, reasons)
            else:
                self.stack.apply(stage, reasons)

    def _cctbx_counts(self, removed: list[int]) -> tuple[int, int, int]:
        """Give the counts cctbx prints: not a number fails both tests of an image."""
        zero = self._not_positive
        return (
            zero[0] + removed[0] + 2 * self._nan[0],
            zero[1] + removed[1] + 2 * self._nan[1],
            removed[2] + self._nan[2],
        )

    @cached_property
    def _not_positive(self) -> tuple[int, int]:
        return (
            int(np.count_nonzero(self.images.average <= 0)),
            int(np.count_nonzero(self.images.stddev <= 0)),
        )

    @cached_property
    def _low(self) -> NDArray[np.uint8]:
        assert self.images.low_gain is not None
        return np.ascontiguousarray(self.images.low_gain).reshape(-1).view(np.uint8)

    @cached_property
    def _arrays(self) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Reused arrays: keys, reasons, good, classes."""
        size = self.images.average.size
        return (
            np.empty(size, np.uint16),
            np.empty(size, np.uint32),
            np.empty(size, np.bool_),
            np.empty(size, np.uint16),
        )

    def _classes(self, words: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Reason word of each key, after numbering the different words of settled layers."""
        if self._classes_of is not words:
            from workbench.mask.kernels import DYNAMIC_BITS, TOP, classify

            found = np.empty((TOP >> DYNAMIC_BITS) + 1, np.uint32)
            number = classify(words.reshape(-1), self._arrays[3], found)
            if number < 0:
                raise MaskError(
                    "The layers overlap in more than 8192 different ways; use fewer at a time."
                )
            clear = found[:number, None] & CLEAR
            table = np.where(clear != 0, 0, _MOVING_FLAGS[None, :]) | (found[:number, None] ^ clear)
            self._table = np.ascontiguousarray(table.astype(np.uint32).reshape(-1))
            self._classes_of = words
        return self._table


def _three(limits: Thresholds) -> tuple[float, float, float]:
    return limits.avg_max, limits.stddev_max, limits.maxproj_min


def _count(reasons: NDArray[np.uint32]) -> dict[str, RuleCount]:
    from workbench.mask.kernels import count_rules

    total, exclusive, first = np.zeros((3, 32), np.int64)
    count_rules(reasons, total, exclusive, first)
    counts, before = {}, 0
    # The lowest bit of a word is the rule that comes first, as bits follow the order of RULES.
    for name in NAMES:
        bit = RULES[name].bit
        before += int(first[bit])
        counts[name] = RuleCount(int(total[bit]), int(exclusive[bit]), before)
    return counts
