"""A mask that follows its settings: complete re-evaluation in a few milliseconds."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.detector import SHAPE
from workbench.errors import MaskError
from workbench.mask.account import Removal, Rescue, removals_of, rescues_of
from workbench.mask.inputs import MaskImages
from workbench.mask.layers import LayerStack, rule_names_with_limits
from workbench.mask.model import Mask
from workbench.mask.planes import Plane, count, pack, unpack
from workbench.mask.plausible import count_warnings, image_warnings, mix_ups
from workbench.mask.program import run
from workbench.mask.rules import RULES, count_reasons
from workbench.recipe import MaskSettings, Thresholds

if TYPE_CHECKING:
    from workbench.mask.live import LiveMask

_KEPT_LIVE = 2  # settings A and B


class MaskEvaluator:
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
        self._live: OrderedDict[Any, LiveMask | None] = OrderedDict()
        self._planes: dict[int, tuple[Any, Plane, int]] = {}

    def mask(self, settings: MaskSettings, provenance: Mapping[str, Any] | None = None) -> Mask:
        """Mask for these settings, with arrays of its own (numpy alone, nothing to compile)."""
        moving = [pack(found) for found in self._compare(self._limits(settings))]
        outcome = run(self.stack.steps(settings), moving)
        reasons = np.zeros(SHAPE, np.uint32)
        for part, plane in zip(outcome.parts, outcome.removed, strict=True):
            if plane.any():
                flag = np.uint32(RULES[part.rule].flag)
                np.bitwise_or(reasons, flag, out=reasons, where=unpack(plane))
        return self._result(
            settings,
            (reasons == 0, reasons, count_reasons(reasons)),
            [count(plane) for plane in moving],
            removals_of(outcome),
            rescues_of(outcome),
            dict(provenance or {}),
        )

    def evaluate(self, settings: MaskSettings) -> Mask:
        """As `mask`, much quicker, but the next call overwrites the arrays of this one's result.

        The first call with other layers or another border takes longer; the time of those that
        follow depends on how many pixels change, hardly on the layers. The result does not know
        which layer removed which pixel (`Removal.plane`), only how many.
        """
        limits = self._limits(settings)
        live = self._live_mask(settings)
        if live is None:
            return self.mask(settings)
        moving = [self._moving(place, pair) for place, pair in enumerate(limits)]
        live.move([plane for plane, _ in moving])
        rules, parts, kept = live.counts()
        names = rule_names_with_limits(settings)
        removals = tuple(
            Removal(part.rule, names.get(part.rule, part.name), part.layer, counts)
            for part, counts in zip(live.parts, parts, strict=True)
        )
        rescues = tuple(
            Rescue(name, layer, pixels)
            for (name, layer), pixels in zip(live.keepers, kept, strict=True)
        )
        return self._result(
            settings,
            (live.good, live.reasons, rules),
            [pixels for _, pixels in moving],
            removals,
            rescues,
            {},
        )

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
        arrays: tuple[NDArray[np.bool_], NDArray[np.uint32], Any],
        beyond: Sequence[int],
        removals: tuple[Removal, ...],
        rescues: tuple[Rescue, ...],
        provenance: dict[str, Any],
    ) -> Mask:
        good, reasons, counts = arrays
        return Mask(
            good,
            reasons,
            counts,
            cctbx_counts=self._cctbx_counts(beyond),
            warnings=(*self.mix_ups, *self.image_warnings, *count_warnings(removals, good.size)),
            mix_ups=self.mix_ups,
            provenance=provenance,
            settings=settings,
            stack=self.stack,
            removals=removals,
            rescues=rescues,
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

    def _compare(self, limits: list[tuple[float, float]]) -> list[NDArray[np.bool_]]:
        """Pixels beyond each of the three limits."""
        tests = (np.greater, np.greater, np.less)
        return [
            test(image, self._per_pixel(*pair))
            for image, test, pair in zip(self.images.arrays, tests, limits, strict=True)
        ]

    def _per_pixel(self, high: float, low: float) -> Any:
        if high == low or self.images.low_gain is None:
            return high
        return np.where(self.images.low_gain, low, high)

    # ---- following a slider ------------------------------------------------------------------
    def _live_mask(self, settings: MaskSettings) -> LiveMask | None:
        """Tables for all limits with the layers of `settings`; None if they would be too large."""
        from workbench.mask.live import LiveMask, TooManyClasses

        key = self.stack.stamp(settings)
        if key not in self._live:
            try:
                self._live[key] = LiveMask(self.stack.steps(settings))
            except TooManyClasses:
                self._live[key] = None
            while len(self._live) > _KEPT_LIVE:
                self._live.popitem(last=False)
        self._live.move_to_end(key)
        return self._live[key]

    def _moving(self, place: int, pair: tuple[float, float]) -> tuple[Plane, int]:
        """Pixels beyond one of the limits, and how many; the last answer is kept."""
        known = self._planes.get(place)
        if known is None or known[0] != pair:
            image, (high, low) = self.coded[place], pair
            plane = image.plane(high)
            if low == high:
                pixels = int(image.removed(high)[0])
            else:
                plane ^= (plane ^ image.plane(low)) & self._low_gain
                pixels = count(plane)
            known = self._planes[place] = (pair, plane, pixels)
        return known[1:]

    @cached_property
    def _low_gain(self) -> Plane:
        assert self.images.low_gain is not None
        return pack(self.images.low_gain)

    # ---- what cctbx prints -------------------------------------------------------------------
    def _cctbx_counts(self, beyond: Sequence[int]) -> tuple[int, int, int]:
        """Give the counts cctbx prints: not a number fails both tests of an image."""
        zero = self._not_positive
        return (
            zero[0] + beyond[0] + 2 * self._nan[0],
            zero[1] + beyond[1] + 2 * self._nan[1],
            beyond[2] + self._nan[2],
        )

    @cached_property
    def _not_positive(self) -> tuple[int, int]:
        return (
            int(np.count_nonzero(self.images.average <= 0)),
            int(np.count_nonzero(self.images.stddev <= 0)),
        )


def _three(limits: Thresholds) -> tuple[float, float, float]:
    return limits.avg_max, limits.stddev_max, limits.maxproj_min
