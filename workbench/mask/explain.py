"""Why one pixel is masked, or good."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.detector import (
    ASIC_COLUMNS,
    COLUMNS,
    ROWS,
    SENSORS_PER_QUADRANT,
    SHAPE,
    asic_name,
)
from workbench.errors import MaskError
from workbench.mask.planes import holds
from workbench.mask.rules import RULES, rule_names

if TYPE_CHECKING:
    from workbench.mask.account import Removal
    from workbench.mask.model import Mask


@dataclass(frozen=True)
class Reason:
    """One rule or layer that removes a pixel.

    Attributes
    ----------
    rule : its name in `workbench.mask.RULES`.
    text : why, with the pixel's value or the layer's name.
    layer : place of the layer in the settings, from 0; None for what is no layer.
    """

    rule: str
    text: str
    layer: int | None = None


@dataclass(frozen=True)
class PixelReport:
    """All that is known about a pixel; ``str()`` gives one line for a status bar.

    Attributes
    ----------
    sensor, row, column : place in ``(32, 185, 388)``; row is slow, column is fast.
    quadrant, section : quadrant 0 to 3 and sensor 0 to 7 in it.
    asic, asic_column : ASIC 0 or 1 and the fast index in it (0 to 193).
    panel : the panel's name in CBF files.
    good : True = good.
    reasons : what removes it, in the order of rules and layers.
    spared : what would remove it if the layers in `kept_by` did not keep it.
    kept_by : names of the layers that keep it.
    average, stddev, maximum : ADU, or None if the mask was not made from images.
    x_mm, y_mm, radius_mm : lab position, or None without a geometry.
    resolution_angstrom : or None without distance and wavelength.
    low_gain : None if not known.
    """

    sensor: int
    row: int
    column: int
    quadrant: int
    section: int
    asic: int
    asic_column: int
    panel: str
    good: bool
    reasons: tuple[Reason, ...]
    spared: tuple[Reason, ...] = ()
    kept_by: tuple[str, ...] = ()
    average: float | None = None
    stddev: float | None = None
    maximum: float | None = None
    x_mm: float | None = None
    y_mm: float | None = None
    radius_mm: float | None = None
    resolution_angstrom: float | None = None
    low_gain: bool | None = None

    def __str__(self) -> str:
        parts = [
            f"Q{self.quadrant} S{self.section} A{self.asic} slow {self.row} fast {self.column}"
        ]
        if self.x_mm is not None and self.y_mm is not None:
            parts.append(f"x {self.x_mm:.2f} y {self.y_mm:.2f} mm")
        if self.resolution_angstrom is not None:
            parts.append(f"{self.resolution_angstrom:.2f} Å")
        if self.average is not None:
            parts.append(f"avg {self.average:.1f} std {self.stddev:.2f} max {self.maximum:.1f} ADU")
        if self.low_gain:
            parts.append("low gain")
        verdict = "good" if self.good else "masked: " + _joined(self.reasons)
        if self.spared:
            keepers = " and ".join(self.kept_by)
            verdict += f" (would be removed by {_joined(self.spared)}; kept by {keepers})"
        return " · ".join([*parts, verdict])

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)


def explain_pixel(mask: Mask, pixel: tuple[int, int, int] | int) -> PixelReport:
    """Where a pixel is, what its values are, what removes it, and which layers keep it.

    Parameters
    ----------
    mask : a mask; one made from images also tells the values, positions and limits.
    pixel : sensor, row, column, or the flat index in ``(32, 185, 388)``.

    Raises
    ------
    MaskError
        If there is no such pixel.
    """
    sensor, row, column = _place(pixel)
    asic, asic_column = divmod(column, ASIC_COLUMNS)
    quadrant, section = divmod(sensor, SENSORS_PER_QUADRANT)
    place = sensor, row, column
    known = _known(mask, place)

    def reasons(which: str) -> tuple[Reason, ...]:
        planes = ((one, getattr(one, which)) for one in mask.removals)
        return tuple(
            Reason(one.rule, _text(one, known, mask), one.layer)
            for one, plane in planes
            if plane is not None and holds(plane, row, column, sensor)
        )

    removed = reasons("plane")
    if not removed:  # a mask that follows a slider knows the rules alone
        names = rule_names(int(mask.reasons[place]))
        removed = tuple(Reason(name, RULES[name].text) for name in names)
    return PixelReport(
        sensor=sensor,
        row=row,
        column=column,
        quadrant=quadrant,
        section=section,
        asic=asic,
        asic_column=asic_column,
        panel=asic_name(quadrant, section, asic),
        good=bool(mask.good[place]),
        reasons=removed,
        spared=reasons("spared"),
        kept_by=tuple(
            one.label
            for one in mask.rescues
            if one.plane is not None and holds(one.plane, row, column, sensor)
        ),
        **known,
    )


def _joined(reasons: tuple[Reason, ...]) -> str:
    return "; ".join(reason.text for reason in reasons)


def _place(pixel: tuple[int, int, int] | int) -> tuple[int, int, int]:
    try:
        if isinstance(pixel, (int, np.integer)):
            if not 0 <= pixel < SHAPE[0] * ROWS * COLUMNS:
                raise ValueError
            sensor, rest = divmod(int(pixel), ROWS * COLUMNS)
            return sensor, rest // COLUMNS, rest % COLUMNS
        sensor, row, column = (int(index) for index in pixel)
        if not all(0 <= i < size for i, size in zip((sensor, row, column), SHAPE, strict=True)):
            raise ValueError
    except (TypeError, ValueError):
        raise MaskError(
            f"There is no pixel {pixel}; give sensor 0-31, row 0-184, column 0-387."
        ) from None
    return sensor, row, column


def _known(mask: Mask, place: tuple[int, int, int]) -> dict[str, Any]:
    if mask.stack is None:
        return {}
    images = mask.stack.images
    known: dict[str, Any] = {
        "average": float(images.average[place]),
        "stddev": float(images.stddev[place]),
        "maximum": float(images.maximum[place]),
    }
    if images.low_gain is not None:
        known["low_gain"] = bool(images.low_gain[place])
    if images.geometry is not None:
        known["x_mm"], known["y_mm"] = (float(value) for value in images.xy_mm[(..., *place)])
        known["radius_mm"] = float(images.radius_mm[place])
        if (images.distance_mm or 0) > 0 and (images.wavelength_angstrom or 0) > 0:
            known["resolution_angstrom"] = float(images.resolution_angstrom[place])
    return known


def _text(removal: Removal, known: dict[str, Any], mask: Mask) -> str:
    if removal.layer is not None:
        return removal.label
    if not known or mask.settings is None:
        return RULES[removal.rule].text
    limits = mask.settings.thresholds
    if known.get("low_gain") and mask.settings.low_gain is not None:
        limits = mask.settings.low_gain
    average, stddev, maximum = known["average"], known["stddev"], known["maximum"]
    texts = {
        "average_low": f"average {average:g} ≤ 0",
        "average_high": f"average {average:g} > {limits.avg_max:g}",
        "stddev_low": f"stddev {stddev:g} ≤ 0",
        "stddev_high": f"stddev {stddev:g} > {limits.stddev_max:g}",
        "maximum_low": f"maximum {maximum:g} < {limits.maxproj_min:g}",
        "asic_border": removal.name,
    }
    return texts.get(removal.rule, RULES[removal.rule].text)
