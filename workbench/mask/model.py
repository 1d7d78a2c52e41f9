"""A finished mask: which pixels are good, why the others are not, and how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.detector import (
    ASIC_COLUMNS,
    ASICS_PER_SENSOR,
    QUADRANTS,
    ROWS,
    SENSORS_PER_QUADRANT,
    SHAPE,
    asic_stack,
)
from workbench.errors import MaskError, WorkbenchError
from workbench.mask.account import Removal, Rescue, removals_of_words
from workbench.mask.rules import KNOWN_BITS, RULES, RuleCount, count_reasons

if TYPE_CHECKING:
    from workbench.mask.explain import PixelReport
    from workbench.mask.layers import LayerStack
    from workbench.recipe import MaskSettings


@dataclass(frozen=True, eq=False)
class Mask:
    """Trusted pixels of a full CSPAD.

    Attributes
    ----------
    good : bool ``(32, 185, 388)``, True = good.
    reasons : uint32 ``(32, 185, 388)``, the bits of `workbench.mask.RULES` that removed each
        pixel; 0 where `good`.
    counts : per rule, the pixels it removed (`RuleCount`: total, exclusive, cumulative).
    cctbx_counts : what ``cxi.make_dials_mask`` prints "from average", "from stddev" and "from
        max" (the two average tests added up, before the border); None for a mask not made from
        images.
    warnings : sentences about what looks implausible.
    removals : who removed pixels: rules, border and layers by name, with counts and places.
    rescues : layers that keep pixels others would remove.
    mix_ups : those of the warnings that say the images are swapped; such a mask is not written.
    provenance : where the mask comes from; plain and JSON-able.
    settings, stack : what the mask was made with (`LayerStack` holds the images), for `explain`.
    """

    good: NDArray[np.bool_]
    reasons: NDArray[np.uint32]
    counts: Mapping[str, RuleCount]
    cctbx_counts: tuple[int, int, int] | None = None
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    settings: MaskSettings | None = None
    stack: LayerStack | None = None
    mix_ups: tuple[str, ...] = ()
    removals: tuple[Removal, ...] = ()
    rescues: tuple[Rescue, ...] = ()

    def refuse_mix_up(self) -> None:
        """Raise `MaskError` if the images the mask is made from are swapped."""
        if self.mix_ups:
            raise MaskError(
                f"{self.mix_ups[0]} Nothing was written; give average and stddev of a dark run "
                "and the maximum of bright runs, in this order."
            )

    @classmethod
    def from_good(cls, good: NDArray, provenance: Mapping[str, Any] | None = None) -> Mask:
        """Mask from an array of good pixels alone; the reason of the others is ``imported``.

        Parameters
        ----------
        good : True = good; ``(32, 185, 388)``, ``(4, 8, 185, 388)``, the 64 panels
            ``(64, 185, 194)`` of DIALS, or ``(5920, 388)``.

        Raises
        ------
        MaskError
            If the array is not that of a full CSPAD.
        """
        good = np.ascontiguousarray(full_detector(np.asarray(good).astype(bool), "mask"))
        reasons = np.where(good, 0, RULES["imported"].flag).astype(np.uint32)
        return cls.from_reasons(reasons, provenance)

    @classmethod
    def from_reasons(cls, reasons: NDArray, provenance: Mapping[str, Any] | None = None) -> Mask:
        """Mask from an array of reason words (bits that no rule has are an error)."""
        reasons = np.ascontiguousarray(full_detector(np.asarray(reasons), "reasons"), np.uint32)
        unknown = int(np.bitwise_or.reduce(reasons, axis=None)) & ~KNOWN_BITS
        if unknown:
            raise MaskError(
                f"The reasons hold bits that no rule of this version has ({unknown:#x}); "
                "read them with a newer workbench."
            )
        return cls(
            reasons == 0,
            reasons,
            count_reasons(reasons),
            provenance=dict(provenance or {}),
            removals=removals_of_words(reasons),
        )

    def explain(self, pixel: tuple[int, int, int] | int) -> PixelReport:
        """Why a pixel (sensor, row, column) is masked or good; see `explain_pixel`."""
        from workbench.mask.explain import explain_pixel

        return explain_pixel(self, pixel)

    @cached_property
    def masked(self) -> int:
        """Number of masked pixels."""
        return int(self.good.size - np.count_nonzero(self.good))

    @property
    def pixels(self) -> int:
        """Number of pixels, good or not."""
        return int(self.good.size)

    @property
    def masked_fraction(self) -> float:
        """Masked pixels over all pixels, 0 to 1."""
        return self.masked / self.pixels

    @cached_property
    def masked_fraction_by_asic(self) -> NDArray[np.float64]:
        """Fraction masked of each ASIC: float64 ``(4, 8, 2)``, quadrant, sensor, ASIC."""
        good = asic_stack(self.good).reshape(-1, ROWS * ASIC_COLUMNS)
        fraction = 1.0 - np.count_nonzero(good, axis=1) / good.shape[1]
        return fraction.reshape(QUADRANTS, SENSORS_PER_QUADRANT, ASICS_PER_SENSOR)

    @property
    def masked_fraction_by_sensor(self) -> NDArray[np.float64]:
        """Fraction masked of each sensor: float64 ``(4, 8)``, quadrant, sensor."""
        return self.masked_fraction_by_asic.mean(axis=2)

    def cctbx_lines(self) -> list[str]:
        """Give the lines that ``cxi.make_dials_mask`` prints for this mask."""
        lines = []
        if self.cctbx_counts is not None:
            lines = [
                f"From {image}, masked out {pixels} pixels"
                for image, pixels in zip(
                    ("average", "stddev", "max"), self.cctbx_counts, strict=True
                )
            ]
        percent = 100 * self.masked_fraction
        total = f"Masked out {self.masked} pixels out of {self.pixels} ({percent:.2f}%)"
        return [*lines, total]

    def __repr__(self) -> str:
        return f"<Mask {self.masked} of {self.pixels} pixels masked>"


def full_detector(array: NDArray, what: str) -> NDArray:
    """View (or copy) of an array in the shape ``(32, 185, 388)``.

    Raises
    ------
    MaskError
        If it has none of the shapes a full CSPAD is stored in.
    """
    from workbench.images.model import as_detector_array

    try:
        found = as_detector_array(array)
    except WorkbenchError as error:
        raise MaskError(f"The {what} is not that of a full CSPAD: {error}") from error
    if found.shape != SHAPE:
        raise MaskError(
            f"The {what} is of another detector: {found.shape[0]} sensors, a full CSPAD has 32."
        )
    return found
