"""A finished mask: which pixels are good, why the others are not, and how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.detectors import Detector
from workbench.errors import MaskError
from workbench.mask.explain import PixelReport, explain_pixel
from workbench.mask.images import MaskImages, detector_array
from workbench.mask.reasons import Kept, ReasonTable, Removal, removals_of_words
from workbench.mask.rules import IMAGES, KNOWN_BITS, RULES, RuleCount, count_reasons
from workbench.recipe import MaskSettings

_CCTBX_IMAGES = tuple("max" if name == "maximum" else name for name in IMAGES)


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskCounts:
    """How many pixels a mask has, and what masks them.

    Attributes
    ----------
    detector : whose mask it is.
    masked : number of masked pixels.
    counts : per rule, the pixels it masks (`RuleCount`: total, exclusive, cumulative).
    removals : what masks pixels: rules, border and layers by name, with counts and places.
    kept : layers that keep pixels which others would mask.
    cctbx_counts : what ``cxi.make_dials_mask`` prints "from average", "from stddev" and "from
        max" (the two average tests added up, before the border); None for a mask not made from
        images.
    warnings : sentences about what looks implausible.
    mix_ups : those of the warnings that say the images are swapped; such a mask is not written.
    settings : what it was made with, or None.
    """

    detector: Detector
    masked: int
    counts: Mapping[str, RuleCount]
    removals: tuple[Removal, ...] = ()
    kept: tuple[Kept, ...] = ()
    cctbx_counts: tuple[int, ...] | None = None
    warnings: tuple[str, ...] = ()
    mix_ups: tuple[str, ...] = ()
    settings: MaskSettings | None = None

    @property
    def pixels(self) -> int:
        """Number of pixels, good or not."""
        return self.detector.pixels

    @property
    def masked_fraction(self) -> float:
        """Masked pixels over all pixels, 0 to 1."""
        return self.masked / self.pixels


@dataclass(frozen=True, eq=False, kw_only=True)
class Mask(MaskCounts):
    """Trusted pixels of a detector.

    Attributes
    ----------
    good : bool ``(modules, rows, columns)``, True = good.
    reasons : uint32 ``(modules, rows, columns)``, the bits of `workbench.mask.RULES` that mask each
        pixel; 0 where `good`.
    masked, counts, removals, kept : see `MaskCounts`.
    provenance : where the mask comes from; plain and JSON-able.
    images : what the mask was made from, or None.
    """

    good: NDArray[np.bool_]
    reasons: NDArray[np.uint32]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    images: MaskImages | None = None

    def refuse_mix_up(self) -> None:
        """Raise `MaskError` if the images the mask is made from are swapped."""
        if self.mix_ups:
            raise MaskError(
                f"{self.mix_ups[0]} Nothing was written; give average and stddev of a dark run "
                "and the maximum of bright runs, in this order."
            )

    @classmethod
    def from_good(cls, good: ArrayLike, provenance: Mapping[str, Any] | None = None) -> Mask:
        """Mask from an array of good pixels alone; the reason of the others is ``imported``.

        Parameters
        ----------
        good : True = good; any layout of a known detector, as ``(modules, rows, columns)``, the
            ASIC panels of DIALS, or psana's two-dimensional one.

        Raises
        ------
        MaskError
            If the array is not that of a known detector.
        """
        _, trusted = detector_array(np.asarray(good).astype(bool), "mask")
        reasons = np.where(trusted, 0, RULES["imported"].flag).astype(np.uint32)
        return cls.from_reasons(reasons, provenance)

    @classmethod
    def from_reasons(cls, reasons: ArrayLike, provenance: Mapping[str, Any] | None = None) -> Mask:
        """Mask from an array of reason words (bits that no rule has are an error)."""
        detector, words = detector_array(reasons, "reasons")
        words = np.ascontiguousarray(words, np.uint32)
        unknown = int(np.bitwise_or.reduce(words, axis=None)) & ~KNOWN_BITS
        if unknown:
            raise MaskError(
                f"The reasons hold bits that no rule of this version has ({unknown:#x}); "
                "read them with a newer workbench."
            )
        good = words == 0
        return cls(
            detector=detector,
            masked=int(good.size - np.count_nonzero(good)),
            counts=count_reasons(words),
            removals=removals_of_words(words),
            good=good,
            reasons=words,
            provenance=dict(provenance or {}),
        )

    def explain(self, pixel: tuple[int, int, int] | int) -> PixelReport:
        """Why a pixel (module, row, column) is masked or good; see `explain_pixel`."""
        return explain_pixel(self, pixel)

    @property
    def table(self) -> ReasonTable | None:
        """What masks and keeps every pixel, if that is known."""
        return self.removals[0].table if self.removals else None

    @cached_property
    def masked_fraction_by_asic(self) -> NDArray[np.float64]:
        """Fraction masked of each ASIC: float64 ``(groups, modules of a group, ASICs)``."""
        detector = self.detector
        good = detector.by_asic(self.good).reshape(detector.asics, -1)
        fraction = 1.0 - np.count_nonzero(good, axis=1) / good.shape[1]
        shape = len(detector.groups), -1, detector.asics_per_module
        return np.asarray(fraction).reshape(shape)

    @property
    def masked_fraction_by_module(self) -> NDArray[np.float64]:
        """Fraction masked of each module: float64 ``(groups, modules of a group)``."""
        return np.asarray(self.masked_fraction_by_asic.mean(axis=2))

    def cctbx_lines(self) -> list[str]:
        """Give the lines that ``cxi.make_dials_mask`` prints for this mask."""
        lines = []
        if self.cctbx_counts is not None:
            lines = [
                f"From {image}, masked out {pixels} pixels"
                for image, pixels in zip(_CCTBX_IMAGES, self.cctbx_counts, strict=True)
            ]
        percent = 100 * self.masked_fraction
        total = f"Masked out {self.masked} pixels out of {self.pixels} ({percent:.2f}%)"
        return [*lines, total]

    def __repr__(self) -> str:
        return f"<Mask {self.masked} of {self.pixels} pixels masked>"
