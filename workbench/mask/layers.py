"""Which pixels a layer selects: of itself, or (grow, island) of the mask before the layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.errors import MaskError
from workbench.files import sha256
from workbench.mask.formats import read_mask
from workbench.mask.images import MaskImages
from workbench.recipe.mask import (
    BorderLayer,
    CircleLayer,
    FileLayer,
    GrowLayer,
    IslandLayer,
    Layer,
    LineLayer,
    OccupancyLayer,
    OutlierLayer,
    PartLayer,
    PixelLayer,
    PolygonLayer,
    RadiusLayer,
    RectangleLayer,
    ResolutionLayer,
    SaturatedLayer,
    UnbondedLayer,
    WideLayer,
)

Pixels = NDArray[np.bool_]
"""Bool ``(modules, rows, columns)``, True = selected."""
Selection = tuple[tuple[str, Pixels], ...]
"""Rule, and the pixels that it masks."""


@singledispatch
def select(layer: Layer, images: MaskImages) -> Selection:
    """Pixels that a layer selects, with the rule that becomes their reason.

    Raises
    ------
    MaskError
        If what the layer needs (geometry, wavelength, a file …) is not there.
    """
    raise MaskError(f"There is no kind of layer {type(layer).__name__}.")


def edges(shape: tuple[int, int], width: int) -> Pixels:
    """Outer `width` rows and columns of an image of `shape`."""
    frame = np.ones(shape, bool)
    frame[width : max(shape[0] - width, width), width : max(shape[1] - width, width)] = False
    return frame


def asic_border(images: MaskImages, width: int) -> Pixels:
    """Outer `width` rows and columns of each ASIC."""
    detector = images.detector
    module = np.tile(edges(detector.asic_shape, width), detector.asic_grid)
    return np.broadcast_to(module, detector.shape)


@select.register
def _border(layer: BorderLayer, images: MaskImages) -> Selection:
    if layer.of == "asic":
        return (("asic_border", asic_border(images, layer.pixels)),)
    module = edges(images.detector.module_shape, layer.pixels)
    return (("sensor_border", np.broadcast_to(module, images.detector.shape)),)


@select.register
def _wide(layer: WideLayer, images: MaskImages) -> Selection:
    selected = _nothing(images)
    selected[:, list(images.detector.wide_rows)] = True
    selected[..., list(images.detector.wide_columns)] = True
    return (("wide", selected),)


@select.register
def _unbonded(layer: UnbondedLayer, images: MaskImages) -> Selection:
    unbonded = images.unbonded
    if layer.neighbours == 0:
        return (("unbonded", unbonded),)
    around = grown(unbonded, 1, layer.neighbours) & ~unbonded
    return (("unbonded", unbonded), ("unbonded_neighbour", around))


@select.register
def _saturated(layer: SaturatedLayer, images: MaskImages) -> Selection:
    level = images.detector.saturation_adu if layer.level is None else layer.level
    return (("saturated", images.maximum >= level),)


@select.register
def _occupancy(layer: OccupancyLayer, images: MaskImages) -> Selection:
    if images.occupancy is None:
        raise MaskError(
            "An occupancy layer needs the fraction of events in which each pixel has data; "
            "average the run here, or switch the layer off."
        )
    return (("low_occupancy", ~(images.occupancy >= layer.at_least)),)


@select.register
def _outlier(layer: OutlierLayer, images: MaskImages) -> Selection:
    from workbench.mask.mask_loops import outliers

    image = images.image(layer.image)
    usable = np.isfinite(image) & ~images.unbonded
    asic_shape = images.detector.asic_shape
    far = outliers(image, usable, asic_shape, layer.radius, layer.sigmas, layer.at_least)
    return ((f"{layer.image}_outlier", far),)


@select.register
def _resolution(layer: ResolutionLayer, images: MaskImages) -> Selection:
    spacing = images.resolution_angstrom
    return (("resolution", (spacing >= layer.from_angstrom) & (spacing <= layer.to_angstrom)),)


@select.register
def _radius(layer: RadiusLayer, images: MaskImages) -> Selection:
    radius = images.radius_mm
    return (("radius", (radius >= layer.from_mm) & (radius <= layer.to_mm)),)


@select.register
def _rectangle(layer: RectangleLayer, images: MaskImages) -> Selection:
    x, y = images.xy_mm
    return (("shape", in_rectangle(x, y, layer.x_mm, layer.y_mm)),)


@select.register
def _circle(layer: CircleLayer, images: MaskImages) -> Selection:
    x, y = images.xy_mm
    inside = (x - layer.centre_mm[0]) ** 2 + (y - layer.centre_mm[1]) ** 2 <= layer.radius_mm**2
    return (("shape", inside),)


@select.register
def _polygon(layer: PolygonLayer, images: MaskImages) -> Selection:
    x, y = images.xy_mm
    return (("shape", in_polygon(x, y, layer.points_mm)),)


@select.register
def _line(layer: LineLayer, images: MaskImages) -> Selection:
    """Within half a width of the line from start to end, which is round at its ends."""
    start = layer.start_mm
    dx, dy = layer.end_mm[0] - start[0], layer.end_mm[1] - start[1]
    square = dx * dx + dy * dy
    x, y = images.xy_mm[0] - start[0], images.xy_mm[1] - start[1]
    along = np.clip((x * dx + y * dy) / square, 0.0, 1.0) if square else np.zeros_like(x)
    return (("shape", np.hypot(x - along * dx, y - along * dy) <= layer.width_mm / 2),)


@select.register
def _pixels(layer: PixelLayer, images: MaskImages) -> Selection:
    selected, detector = _nothing(images), images.detector
    for pixel in layer.pixels:
        if not all(index < size for index, size in zip(pixel, detector.shape, strict=True)):
            raise MaskError(
                f"{detector.name} has no pixel {pixel}; give module 0-{detector.modules - 1}, row "
                f"0-{detector.rows - 1}, column 0-{detector.columns - 1}."
            )
        selected[pixel] = True
    return (("pixel", selected),)


@select.register
def _part(layer: PartLayer, images: MaskImages) -> Selection:
    selected = _nothing(images)
    for part in layer.parts:
        selected[images.detector.part(part)] = True
    return (("part", selected),)


@select.register
def _file(layer: FileLayer, images: MaskImages) -> Selection:
    path = images.folder / Path(layer.path).expanduser()
    imported = read_mask(path, layer.format)
    if layer.sha256 is not None and sha256(path) != layer.sha256.lower():
        raise MaskError(
            f"{path}: this is not the mask the recipe means (its SHA-256 differs from "
            f"{layer.sha256[:12]}…); restore the file or take sha256 out of the layer."
        )
    if imported.detector is not images.detector:
        raise MaskError(
            f"{path}: this is a mask of the {imported.detector.name}, and the images are of the "
            f"{images.detector.name}."
        )
    return (("imported", ~imported.good),)


def _nothing(images: MaskImages) -> Pixels:
    return np.zeros(images.detector.shape, np.bool_)


# ---- layers that look at the mask before them --------------------------------------------------
def follow(layer: GrowLayer | IslandLayer, masked: Pixels, source: Pixels) -> Pixels:
    """Pixels that a grow or island layer adds to a mask.

    Parameters
    ----------
    masked : pixels masked before the layer.
    source : those of them that grow.
    """
    if isinstance(layer, GrowLayer):
        return grown(source, layer.pixels, layer.neighbours) & ~masked
    from workbench.mask.mask_loops import islands

    return islands(masked, layer.smaller_than, layer.neighbours == 8)


def grown(masked: Pixels, pixels: int, neighbours: int) -> Pixels:
    """Masked pixels and those up to `pixels` steps away in their module, 4 or 8 ways a step."""
    now = masked
    for _ in range(pixels):
        upright = now.copy()
        upright[:, 1:] |= now[:, :-1]
        upright[:, :-1] |= now[:, 1:]
        source = upright if neighbours == 8 else now
        after = upright.copy()
        after[..., 1:] |= source[..., :-1]
        after[..., :-1] |= source[..., 1:]
        now = after
    return now


# ---- shapes in the lab plane; x and y in mm ----------------------------------------------------
Point = Sequence[float]
Coordinate = NDArray[np.float64]


def in_rectangle(x: Coordinate, y: Coordinate, x_range: Point, y_range: Point) -> Pixels:
    """Inside or on the sides of an upright rectangle."""
    return (x >= x_range[0]) & (x <= x_range[1]) & (y >= y_range[0]) & (y <= y_range[1])


def in_polygon(x: Coordinate, y: Coordinate, points: Sequence[Point]) -> Pixels:
    """Inside a polygon by the even-odd rule: a ray along +x crosses an odd number of sides."""
    corners = np.asarray(points, dtype=np.float64)
    inside = np.zeros(x.shape, dtype=bool)
    low, high = corners.min(axis=0), corners.max(axis=0)
    near = np.nonzero(in_rectangle(x, y, (low[0], high[0]), (low[1], high[1])))
    px, py = x[near], y[near]
    odd = np.zeros(px.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (py >= min(y0, y1)) & (py < max(y0, y1))
        crosses &= px < x0 + (py - y0) * ((x1 - x0) / (y1 - y0))
        odd ^= crosses
    inside[near] = odd
    return inside
