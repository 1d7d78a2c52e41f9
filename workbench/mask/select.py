"""Which pixels a layer selects, for the layers that do not depend on the mask so far."""

from __future__ import annotations

import re
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.detector import (
    ASIC_COLUMNS,
    SENSORS_PER_QUADRANT,
    SHAPE,
    WIDE_COLUMNS,
    by_asic,
    unbonded_pixels,
)
from workbench.errors import MaskError
from workbench.files import sha256
from workbench.mask import shapes
from workbench.mask.inputs import MaskImages
from workbench.recipe import mask as recipe

Selection = tuple[tuple[str, NDArray[np.bool_]], ...]
"""Rule and the pixels it selects, bool ``(32, 185, 388)``."""


@singledispatch
def select(layer: Any, images: MaskImages) -> Selection:
    """Pixels that a layer selects, with the rule that becomes their reason.

    Raises
    ------
    MaskError
        If what the layer needs (geometry, wavelength, a file …) is not there.
    """
    raise MaskError(f"There is no kind of layer {type(layer).__name__}.")


def edges(shape: tuple[int, int], width: int) -> NDArray[np.bool_]:
    """Outer `width` rows and columns of an image of `shape`."""
    frame = np.ones(shape, bool)
    frame[width : max(shape[0] - width, width), width : max(shape[1] - width, width)] = False
    return frame


@select.register
def _border(layer: recipe.BorderLayer, images: MaskImages) -> Selection:
    selected = np.zeros(SHAPE, bool)
    if layer.of == "asic":
        by_asic(selected)[...] = edges((SHAPE[1], ASIC_COLUMNS), layer.pixels)
    else:
        selected[...] = edges(SHAPE[1:], layer.pixels)
    return ((f"{layer.of}_border", selected),)


@select.register
def _wide(layer: recipe.WideLayer, images: MaskImages) -> Selection:
    selected = np.zeros(SHAPE, bool)
    selected[..., list(WIDE_COLUMNS)] = True
    return (("wide", selected),)


@select.register
def _unbonded(layer: recipe.UnbondedLayer, images: MaskImages) -> Selection:
    unbonded = unbonded_pixels()
    if layer.neighbours == 0:
        return (("unbonded", unbonded),)
    around = np.zeros(SHAPE, bool)
    steps = [(0, 1), (0, -1), (1, 0), (-1, 0)]
    steps += [(1, 1), (1, -1), (-1, 1), (-1, -1)] if layer.neighbours == 8 else []
    rows, columns = np.nonzero(unbonded[0])
    for down, right in steps:
        r, c = rows + down, columns + right
        inside = (r >= 0) & (r < SHAPE[1]) & (c >= 0) & (c < SHAPE[2])
        around[:, r[inside], c[inside]] = True
    return (("unbonded", unbonded), ("unbonded_neighbour", around & ~unbonded))


@select.register
def _saturated(layer: recipe.SaturatedLayer, images: MaskImages) -> Selection:
    return (("saturated", images.maximum >= layer.level),)


@select.register
def _occupancy(layer: recipe.OccupancyLayer, images: MaskImages) -> Selection:
    if images.occupancy is None:
        raise MaskError(
            "An occupancy layer needs the fraction of events in which each pixel has data; "
            "average the run here, or switch the layer off."
        )
    return (("low_occupancy", ~(images.occupancy >= layer.at_least)),)


@select.register
def _outlier(layer: recipe.OutlierLayer, images: MaskImages) -> Selection:
    from workbench.mask.outliers import outliers

    image = getattr(images, layer.image)
    usable = np.isfinite(image) & ~unbonded_pixels()
    found = outliers(image, usable, layer.radius, layer.sigmas, layer.at_least)
    return ((f"{layer.image}_outlier", found),)


@select.register
def _resolution(layer: recipe.ResolutionLayer, images: MaskImages) -> Selection:
    spacing = images.resolution_angstrom
    return (("resolution", (spacing >= layer.from_angstrom) & (spacing <= layer.to_angstrom)),)


@select.register
def _radius(layer: recipe.RadiusLayer, images: MaskImages) -> Selection:
    radius = images.radius_mm
    return (("radius", (radius >= layer.from_mm) & (radius <= layer.to_mm)),)


@select.register
def _rectangle(layer: recipe.RectangleLayer, images: MaskImages) -> Selection:
    x, y = images.xy_mm
    return (("shape", shapes.in_rectangle(x, y, layer.x_mm, layer.y_mm)),)


@select.register
def _circle(layer: recipe.CircleLayer, images: MaskImages) -> Selection:
    x, y = images.xy_mm
    return (("shape", shapes.in_circle(x, y, layer.centre_mm, layer.radius_mm)),)


@select.register
def _polygon(layer: recipe.PolygonLayer, images: MaskImages) -> Selection:
    x, y = images.xy_mm
    return (("shape", shapes.in_polygon(x, y, layer.points_mm)),)


@select.register
def _line(layer: recipe.LineLayer, images: MaskImages) -> Selection:
    x, y = images.xy_mm
    inside = shapes.along_line(x, y, layer.start_mm, layer.end_mm, layer.width_mm)
    return (("shape", inside),)


@select.register
def _pixels(layer: recipe.PixelLayer, images: MaskImages) -> Selection:
    selected = np.zeros(SHAPE, bool)
    if layer.pixels:
        selected[tuple(np.array(layer.pixels).T)] = True
    return (("pixel", selected),)


@select.register
def _part(layer: recipe.PartLayer, images: MaskImages) -> Selection:
    selected = np.zeros(SHAPE, bool)
    for part in layer.parts:
        selected[part_of_detector(part)] = True
    return (("part", selected),)


@select.register
def _file(layer: recipe.FileLayer, images: MaskImages) -> Selection:
    from workbench.mask.formats import read_mask

    path = images.folder / Path(layer.path).expanduser()
    imported = read_mask(path, layer.format)
    if layer.sha256 is not None and sha256(path) != layer.sha256.lower():
        raise MaskError(
            f"{path}: this is not the mask the recipe means (its SHA-256 differs from "
            f"{layer.sha256[:12]}…); restore the file or take sha256 out of the layer."
        )
    return (("imported", ~imported.good),)


def part_of_detector(name: str) -> tuple[slice, ...]:
    """Index of a quadrant, sensor or ASIC (``Q2``, ``Q0S5``, ``Q1S3A0``) in ``(32, 185, 388)``.

    Raises
    ------
    MaskError
        If there is no such part.
    """
    match = re.fullmatch("Q([0-3])(?:S([0-7])(?:A([01]))?)?", name)
    if match is None:
        raise MaskError(f"There is no part {name!r} of the detector; write Q2, Q0S5 or Q1S3A0.")
    quadrant, sensor, asic = (None if group is None else int(group) for group in match.groups())
    first = SENSORS_PER_QUADRANT * (quadrant or 0)
    if sensor is None:
        return (slice(first, first + SENSORS_PER_QUADRANT),)
    if asic is None:
        return (slice(first + sensor, first + sensor + 1),)
    columns = slice(ASIC_COLUMNS * asic, ASIC_COLUMNS * (asic + 1))
    return (slice(first + sensor, first + sensor + 1), slice(None), columns)
