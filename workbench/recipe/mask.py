"""Settings of the trusted-pixel mask: limits, border and layers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from workbench.recipe.fields import require, section, setting
from workbench.recipe.rules import Thresholds


@dataclass(frozen=True)
class _Layer:
    """What all layers have; a layer selects pixels, its mode says what happens to them."""

    name: str = setting("", "for people")
    on: bool = setting(True, "false: the layer does nothing")
    mode: Literal["union", "intersection", "exclude"] = setting(
        "union",
        "union: mask the selected pixels too; intersection: of the masked pixels keep masked only "
        "the selected ones; exclude: un-mask the selected pixels",
    )

    def check(self) -> None:
        """Refuse what cannot be meant (ValueError)."""

    def __post_init__(self) -> None:
        _freeze(self)
        self.check()


def _freeze(settings: _Layer | MaskSettings) -> None:
    """Turn lists, also nested, into tuples: settings are compared and used as keys."""

    def frozen(value: object) -> object:
        return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value

    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if isinstance(value, (list, tuple)):
            object.__setattr__(settings, entry.name, frozen(value))


def _numbers(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)


@dataclass(frozen=True)
class BorderLayer(_Layer):
    """Pixels near the edges of each ASIC or of each sensor."""

    kind: ClassVar[str] = "border"
    pixels: int = setting(1, "width of the border")
    of: Literal["asic", "sensor"] = setting("sensor", "edges of each ASIC or of each sensor")

    def check(self) -> None:
        require(self.pixels >= 1, f"border: pixels is {self.pixels}; it must be 1 or more")


@dataclass(frozen=True)
class WideLayer(_Layer):
    """The wide columns at the seam of a sensor's two ASICs."""

    kind: ClassVar[str] = "wide"


@dataclass(frozen=True)
class UnbondedLayer(_Layer):
    """Pixels without a bond to the sensor, and if wanted those beside them."""

    kind: ClassVar[str] = "unbonded"
    neighbours: Literal[0, 4, 8] = setting(0, "mask also 4 or 8 neighbours of each")


@dataclass(frozen=True)
class GrowLayer(_Layer):
    """Pixels close to one that the thresholds and the layers before have masked."""

    kind: ClassVar[str] = "grow"
    pixels: int = setting(1, "how far")
    neighbours: Literal[4, 8] = setting(8, "4: along rows and columns; 8: diagonally too")
    of: tuple[str, ...] = setting((), "grow only what these rules masked (empty: all rules)")

    def check(self) -> None:
        require(1 <= self.pixels <= 50, f"grow: pixels is {self.pixels}; use 1 to 50")
        require(self.mode == "union", f"grow: mode is {self.mode}; it can only be union")


@dataclass(frozen=True)
class IslandLayer(_Layer):
    """Good pixels in small islands, closed in by masked pixels or edges of the sensor."""

    kind: ClassVar[str] = "island"
    smaller_than: int = setting(5, "pixels; islands of this size or more stay good")
    neighbours: Literal[4, 8] = setting(4, "4: diagonal pixels do not connect; 8: they do")

    def check(self) -> None:
        require(
            self.smaller_than >= 2,
            f"island: smaller_than is {self.smaller_than}; it must be 2 or more",
        )
        require(self.mode == "union", f"island: mode is {self.mode}; it can only be union")


@dataclass(frozen=True)
class SaturatedLayer(_Layer):
    """Pixels whose maximum reaches the saturation level."""

    kind: ClassVar[str] = "saturated"
    level: float | None = setting(
        None, "ADU; maximum >= this is saturated (default: the largest value of the ADC)"
    )

    def check(self) -> None:
        require(
            self.level is None or _numbers(self.level),
            "saturated: level is not a finite number of ADU",
        )


@dataclass(frozen=True)
class OccupancyLayer(_Layer):
    """Pixels that have data in too few events."""

    kind: ClassVar[str] = "occupancy"
    at_least: float = setting(0.5, "fraction of the events, 0 to 1; below this is masked")

    def check(self) -> None:
        require(0 < self.at_least <= 1, f"occupancy: at_least is {self.at_least}; use 0 to 1")


@dataclass(frozen=True)
class OutlierLayer(_Layer):
    """Pixels whose value is far from those of its neighbours on the same ASIC."""

    kind: ClassVar[str] = "outlier"
    image: Literal["average", "stddev", "maximum"] = setting("average", "which image")
    sigmas: float = setting(6.0, "masked if further than this from the neighbours' median")
    radius: int = setting(2, "pixels; the neighbours are a square of 2 radius + 1")
    at_least: float = setting(1.0, "ADU; smaller differences are never outliers")

    def check(self) -> None:
        require(
            _numbers(self.sigmas) and self.sigmas > 0,
            f"outlier: sigmas is {self.sigmas}; it must be above 0",
        )
        require(1 <= self.radius <= 5, f"outlier: radius is {self.radius}; use 1 to 5 pixels")
        require(
            _numbers(self.at_least) and self.at_least >= 0,
            f"outlier: at_least is {self.at_least}; it must be 0 ADU or more",
        )


@dataclass(frozen=True)
class ResolutionLayer(_Layer):
    """Pixels in a range of resolution."""

    kind: ClassVar[str] = "resolution"
    from_angstrom: float = setting(0.0, "Å; from this d-spacing")
    to_angstrom: float = setting(math.inf, "Å; to this d-spacing")

    def check(self) -> None:
        require(
            0 <= self.from_angstrom < self.to_angstrom,
            f"resolution: {self.from_angstrom} to {self.to_angstrom} Å is not a range",
        )


@dataclass(frozen=True)
class RadiusLayer(_Layer):
    """Pixels in a range of distance from the beam, in the detector plane."""

    kind: ClassVar[str] = "radius"
    from_mm: float = setting(0.0, "mm")
    to_mm: float = setting(math.inf, "mm")

    def check(self) -> None:
        require(
            0 <= self.from_mm < self.to_mm,
            f"radius: {self.from_mm} to {self.to_mm} mm is not a range",
        )


@dataclass(frozen=True)
class RectangleLayer(_Layer):
    """Pixels in a rectangle of the lab, across panels."""

    kind: ClassVar[str] = "rectangle"
    x_mm: tuple[float, float] = setting((0.0, 0.0), "mm; from, to along lab x")
    y_mm: tuple[float, float] = setting((0.0, 0.0), "mm; from, to along lab y")

    def check(self) -> None:
        require(
            _numbers(*self.x_mm, *self.y_mm)
            and self.x_mm[0] < self.x_mm[1]
            and self.y_mm[0] < self.y_mm[1],
            f"rectangle: x {self.x_mm}, y {self.y_mm} mm encloses nothing; give from < to",
        )


@dataclass(frozen=True)
class CircleLayer(_Layer):
    """Pixels in a circle of the lab, e.g. a beam stop."""

    kind: ClassVar[str] = "circle"
    centre_mm: tuple[float, float] = setting((0.0, 0.0), "mm; lab x, y (the beam is at 0, 0)")
    radius_mm: float = setting(1.0, "mm")

    def check(self) -> None:
        require(_numbers(*self.centre_mm), "circle: centre_mm is not finite")
        require(
            _numbers(self.radius_mm) and self.radius_mm > 0,
            f"circle: radius_mm is {self.radius_mm}; it must be above 0",
        )


@dataclass(frozen=True)
class PolygonLayer(_Layer):
    """Pixels in a polygon of the lab; where its sides cross, by the even-odd rule."""

    kind: ClassVar[str] = "polygon"
    points_mm: tuple[tuple[float, float], ...] = setting((), "mm; lab x, y of the corners")

    def check(self) -> None:
        require(
            len(self.points_mm) >= 3,
            f"polygon: {len(self.points_mm)} corners enclose nothing; give 3 or more",
        )
        require(
            all(_numbers(*point) for point in self.points_mm), "polygon: a corner is not finite"
        )


@dataclass(frozen=True)
class LineLayer(_Layer):
    """Pixels along a line of the lab, e.g. the arm of a beam stop."""

    kind: ClassVar[str] = "line"
    start_mm: tuple[float, float] = setting((0.0, 0.0), "mm; lab x, y")
    end_mm: tuple[float, float] = setting((0.0, 0.0), "mm; lab x, y")
    width_mm: float = setting(1.0, "mm")

    def check(self) -> None:
        require(_numbers(*self.start_mm, *self.end_mm), "line: an end is not finite")
        require(
            _numbers(self.width_mm) and self.width_mm > 0,
            f"line: width_mm is {self.width_mm}; it must be above 0",
        )


@dataclass(frozen=True)
class PixelLayer(_Layer):
    """Single pixels, picked by hand."""

    kind: ClassVar[str] = "pixels"
    pixels: tuple[tuple[int, int, int], ...] = setting((), "module, row, column, each from 0")

    def check(self) -> None:
        for pixel in self.pixels:
            require(
                len(pixel) == 3 and min(pixel) >= 0,
                f"pixels: there is no pixel {pixel}; give module, row, column, each from 0",
            )


@dataclass(frozen=True)
class PartLayer(_Layer):
    """Whole groups (quadrants), modules (sensors) or ASICs."""

    kind: ClassVar[str] = "part"
    parts: tuple[str, ...] = setting((), "e.g. Q2, Q0S5, Q1S3A0")

    def check(self) -> None:
        for part in self.parts:
            require(
                re.fullmatch(r"[A-Z]+\d+(S\d+(A\d+)?)?", part) is not None,
                f"part: {part!r} is not the name of a part; write it like the quadrant Q2, the "
                "sensor Q0S5 or the ASIC Q1S3A0",
            )


@dataclass(frozen=True)
class FileLayer(_Layer):
    """The masked pixels of a mask file."""

    kind: ClassVar[str] = "file"
    path: str = setting("", "mask file; relative to the recipe")
    format: str | None = setting(None, "its format (default: by the ending)")
    sha256: str | None = setting(None, "if given, the file must have this SHA-256")

    def check(self) -> None:
        require(bool(self.path), "file: path is empty; name a mask file")


Layer = (
    BorderLayer
    | WideLayer
    | UnbondedLayer
    | GrowLayer
    | IslandLayer
    | SaturatedLayer
    | OccupancyLayer
    | OutlierLayer
    | ResolutionLayer
    | RadiusLayer
    | RectangleLayer
    | CircleLayer
    | PolygonLayer
    | LineLayer
    | PixelLayer
    | PartLayer
    | FileLayer
)
"""One layer of a mask; the layers are applied in their order, after limits and border."""


@dataclass(frozen=True)
class MaskSettings:
    """Everything that decides the mask."""

    thresholds: Thresholds = section(Thresholds)
    border: int = setting(0, "pixels masked along all four edges of each ASIC")
    low_gain: Thresholds | None = setting(None, "own limits of the low-gain pixels")
    layers: tuple[Layer, ...] = setting((), "applied in this order, after limits and border")

    def __post_init__(self) -> None:
        _freeze(self)
        require(self.border >= 0, f"border is {self.border}; it must be 0 pixels or more")
