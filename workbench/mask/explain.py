"""Why one pixel is masked, or good."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import Detector
from workbench.errors import MaskError
from workbench.mask.images import MaskImages
from workbench.mask.reasons import Kept, ReasonTable, Removal
from workbench.mask.rules import IMAGES, NOT_POSITIVE, RULES, ThresholdRule
from workbench.recipe import MaskSettings


class Explained(Protocol):
    """What is read of a `Mask`."""

    @property
    def detector(self) -> Detector: ...
    @property
    def good(self) -> NDArray[np.bool_]: ...
    @property
    def removals(self) -> tuple[Removal, ...]: ...
    @property
    def kept(self) -> tuple[Kept, ...]: ...
    @property
    def table(self) -> ReasonTable | None: ...
    @property
    def settings(self) -> MaskSettings | None: ...
    @property
    def images(self) -> MaskImages | None: ...


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
    sensor, row, column : place in ``(modules, rows, columns)``; row is slow, column is fast.
    quadrant, section : group and module in it, from 0 (quadrant and sensor of a CSPAD).
    asic, asic_column : ASIC of the module and the fast index in it.
    panel : the panel's name in CBF files.
    good : True = good.
    reasons : what removes it, in the order of rules and layers.
    spared : what would remove it if the layers in `kept_by` did not keep it.
    kept_by : names of the layers that keep it.
    average, stddev, maximum : in `units`, or None if the mask was not made from images.
    x_mm, y_mm, radius_mm : lab position, or None without a geometry.
    resolution_angstrom : or None without distance and wavelength.
    low_gain : None if not known.
    units : of the images, ``ADU`` or ``keV``; empty if the mask was not made from images.
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
    units: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        where = " ".join(re.findall("[A-Z]+[0-9]+", self.panel.removeprefix("ARRAY_D0")))
        parts = [f"{where} slow {self.row} fast {self.column}"]
        if self.x_mm is not None and self.y_mm is not None:
            parts.append(f"x {self.x_mm:.2f} y {self.y_mm:.2f} mm")
        if self.resolution_angstrom is not None:
            parts.append(f"{self.resolution_angstrom:.2f} Å")
        if self.average is not None:
            average, stddev, maximum = self._unit_words()
            parts.append(
                f"avg {self.average:.1f}{average} std {self.stddev:.2f}{stddev} "
                f"max {self.maximum:.1f}{maximum}"
            )
        if self.low_gain:
            parts.append("low gain")
        verdict = "good" if self.good else "masked: " + _joined(self.reasons)
        if self.spared:
            keepers = " and ".join(self.kept_by)
            verdict += f" (would be removed by {_joined(self.spared)}; kept by {keepers})"
        return " · ".join([*parts, verdict])

    def _unit_words(self) -> list[str]:
        """Unit behind each value; behind the last one alone where all have the same."""
        units = [self.units.get(name, "ADU") for name in IMAGES]
        same = len(set(units)) == 1
        return ["" if same and place < 2 else f" {unit}" for place, unit in enumerate(units)]

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)


def explain_pixel(mask: Explained, pixel: tuple[int, int, int] | int) -> PixelReport:
    """Where a pixel is, what its values are, what masks it, and which layers keep it.

    Parameters
    ----------
    mask : a mask; one made from images also gives the values, positions and limits.
    pixel : module, row, column, or the flat index in ``(modules, rows, columns)``.

    Raises
    ------
    MaskError
        If there is no such pixel.
    """
    detector = mask.detector
    place = sensor, row, column = _place(pixel, detector)
    group = next(n for n, group in enumerate(detector.groups) if sensor in group.modules)
    height, width = detector.asic_shape
    asic = row // height * detector.asic_grid[1] + column // width
    pixel_values = _pixel_values(mask.images, place)
    removed, spared, kept = _alike(mask.table, place)

    def reasons(flags: NDArray[np.bool_]) -> tuple[Reason, ...]:
        return tuple(
            Reason(removal.rule, _text(removal, pixel_values, mask.settings), removal.layer)
            for removal in mask.removals
            if flags[removal.place]
        )

    return PixelReport(
        sensor=sensor,
        row=row,
        column=column,
        quadrant=group,
        section=sensor - detector.groups[group].modules.start,
        asic=asic,
        asic_column=column % width,
        panel=detector.panel_names()[sensor * detector.asics_per_module + asic],
        good=bool(mask.good[place]),
        reasons=reasons(removed),
        spared=reasons(spared),
        kept_by=tuple(keeper.label for keeper in mask.kept if kept[keeper.place]),
        **pixel_values,
    )


def _alike(
    table: ReasonTable | None, place: tuple[int, int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """What removes, spares and keeps a pixel, by columns of the table."""
    if table is None:
        nothing = np.zeros(0, np.bool_)
        return nothing, nothing, nothing
    row = table.row[place]
    return table.removed[row], table.spared[row], table.kept[row]


def _joined(reasons: Sequence[Reason]) -> str:
    return "; ".join(reason.text for reason in reasons)


def _place(pixel: tuple[int, int, int] | int, detector: Detector) -> tuple[int, int, int]:
    try:
        place = (
            np.unravel_index(int(pixel), detector.shape)
            if isinstance(pixel, (int, np.integer))
            else pixel
        )
        sensor, row, column = (int(index) for index in place)
        if not all(
            0 <= i < size for i, size in zip((sensor, row, column), detector.shape, strict=True)
        ):
            raise ValueError
    except (TypeError, ValueError):
        raise MaskError(
            f"There is no pixel {pixel}; give module 0-{detector.modules - 1}, row "
            f"0-{detector.rows - 1}, column 0-{detector.columns - 1}."
        ) from None
    return sensor, row, column


def _pixel_values(images: MaskImages | None, place: tuple[int, int, int]) -> dict[str, Any]:
    if images is None:
        return {}
    values: dict[str, Any] = {name: float(images.image(name)[place]) for name in IMAGES}
    values["units"] = images.units
    if images.low_gain is not None:
        values["low_gain"] = bool(images.low_gain[place])
    if images.geometry is not None:
        values["x_mm"], values["y_mm"] = (float(value) for value in images.xy_mm[(..., *place)])
        values["radius_mm"] = float(images.radius_mm[place])
        if (images.distance_mm or 0) > 0 and (images.wavelength_angstrom or 0) > 0:
            values["resolution_angstrom"] = float(images.resolution_angstrom[place])
    return values


def _text(removal: Removal, pixel_values: dict[str, Any], settings: MaskSettings | None) -> str:
    rule = RULES[removal.rule]
    if removal.layer is not None:
        return removal.label
    if not pixel_values or settings is None:
        return rule.text
    limits = settings.thresholds
    if pixel_values.get("low_gain") and settings.low_gain is not None:
        limits = settings.low_gain
    if isinstance(rule, ThresholdRule):
        limit = getattr(limits, rule.limit)
        return f"{rule.image} {pixel_values[rule.image]:g} {rule.sign} {limit:g}"
    if removal.rule in NOT_POSITIVE:
        image = NOT_POSITIVE[removal.rule]
        return f"{image} {pixel_values[image]:g} ≤ 0"
    return removal.name if removal.rule == "asic_border" else rule.text
