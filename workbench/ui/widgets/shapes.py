"""Between shapes on the pictures (points in lab mm) and layers of the recipe."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from workbench.errors import WorkbenchError
from workbench.recipe.mask import CircleLayer, Layer, LineLayer, PolygonLayer, RectangleLayer

ARM_MM = 2.0
"""Width of a line that was drawn."""
ShapeLayer = RectangleLayer | CircleLayer | PolygonLayer | LineLayer
KINDS: Mapping[str, type[ShapeLayer]] = {
    "rectangle": RectangleLayer,
    "circle": CircleLayer,
    "polygon": PolygonLayer,
    "line": LineLayer,
}

Points = Sequence[Sequence[float]]


class Outline(TypedDict):
    """What the view draws of a layer: points in lab mm, and the layer's place, mode and name."""

    kind: str
    points: list[list[float]]
    layer: int
    mode: str
    name: str
    width: NotRequired[float]


def shape_layer(kind: str, points: Points, present: Iterable[Layer] = ()) -> ShapeLayer:
    """Layer of a shape drawn with these points (lab x, y in mm), with a name none of `present` has.

    Raises
    ------
    WorkbenchError
        If the points enclose nothing.
    """
    if kind not in KINDS:
        raise WorkbenchError(f"There is no shape {kind!r}; draw a {', a '.join(KINDS)}.")
    name = free_name(f"drawn {kind}", present)
    width: dict[str, Any] = {"width_mm": ARM_MM} if kind == "line" else {}
    return _made(kind, points, lambda fields: KINDS[kind](name=name, **width, **fields))


def reshaped(layer: Layer, points: Points) -> ShapeLayer:
    """The layer of a shape that was moved or bent to other points.

    Raises
    ------
    WorkbenchError
        If the layer is no shape, or the points enclose nothing.
    """
    if not isinstance(layer, ShapeLayer):
        raise WorkbenchError(f"A layer of kind {layer.kind} has no shape to move.")
    return _made(layer.kind, points, lambda fields: dataclasses.replace(layer, **fields))


def outlines(present: Sequence[Layer]) -> list[Outline]:
    """What the view draws of the layers that are on: kind and points, and whose they are."""
    shapes = []
    for place, layer in enumerate(present):
        if not (layer.on and isinstance(layer, ShapeLayer)):
            continue
        name = layer.name or layer.kind
        shape = Outline(
            kind=layer.kind, points=_points(layer), layer=place, mode=layer.mode, name=name
        )
        if isinstance(layer, LineLayer):
            shape["width"] = layer.width_mm
        shapes.append(shape)
    return shapes


def free_name(name: str, present: Iterable[Layer]) -> str:
    """Name, with a number if a layer has it already."""
    taken = {layer.name for layer in present}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free


def _made(kind: str, points: Points, make: Callable[[dict[str, Any]], ShapeLayer]) -> ShapeLayer:
    corners = [(round(float(x), 3), round(float(y), 3)) for x, y in points]
    if len(corners) < 2:
        raise WorkbenchError(f"A {kind} needs at least two points; draw it again.")
    (x0, y0), (x1, y1) = corners[:2]
    fields: dict[str, dict[str, Any]] = {
        "rectangle": {"x_mm": (min(x0, x1), max(x0, x1)), "y_mm": (min(y0, y1), max(y0, y1))},
        "circle": {"centre_mm": corners[0], "radius_mm": round(math.dist(*corners[:2]), 3)},
        "polygon": {"points_mm": tuple(corners)},
        "line": {"start_mm": corners[0], "end_mm": corners[1]},
    }
    if kind == "line" and corners[0] == corners[1]:
        raise WorkbenchError("The line has no length; drag from one end to the other.")
    try:
        return make(fields[kind])
    except ValueError as error:
        raise WorkbenchError(f"{error}.") from error


def _points(layer: ShapeLayer) -> list[list[float]]:
    if isinstance(layer, RectangleLayer):
        (x0, x1), (y0, y1) = layer.x_mm, layer.y_mm
        return [[x0, y0], [x1, y1]]
    if isinstance(layer, CircleLayer):
        x, y = layer.centre_mm
        return [[x, y], [x + layer.radius_mm, y]]
    if isinstance(layer, PolygonLayer):
        return [list(point) for point in layer.points_mm]
    return [list(layer.start_mm), list(layer.end_mm)]
