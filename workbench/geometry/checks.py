"""What makes a set of geometry objects one usable CSPAD tree."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from workbench import detector
from workbench.detector import ASIC_COLUMNS, PIXEL_SIZE_UM, ROWS, WIDE_PIXEL_SIZE_UM
from workbench.errors import FileFormatError, GeometryError
from workbench.geometry.objects import ANGLES, POSITIONS, SENSOR_TYPE

if TYPE_CHECKING:
    from workbench.geometry.objects import GeometryObject
from workbench.geometry.tree import Geometry

LARGEST_UM = 1e9
LARGEST_DEG = 3600.0


def check_objects(geometry: Geometry) -> None:
    """Refuse what is not one tree with all sensors.

    Raises
    ------
    FileFormatError
        With file and line, if the geometry was read from a file.
    GeometryError
        Otherwise.
    """
    if not geometry.objects:
        raise GeometryError(f"{geometry.source}: there is no geometry in it (no object rows).")
    _check_numbers(geometry)
    _check_names(geometry)
    _check_tree(geometry)
    _check_sensors(geometry)


def overlapping_sensors(geometry: Geometry) -> list[tuple[int, int, float]]:
    """Pairs of sensors that overlap in the plane of the detector, with the depth in µm.

    Two rectangles are apart if and only if they are so along one of their own axes.
    """
    half = np.array(
        [WIDE_PIXEL_SIZE_UM + PIXEL_SIZE_UM * (ASIC_COLUMNS - 1), ROWS / 2 * PIXEL_SIZE_UM]
    )
    signs = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]) * half
    frames = [geometry.transform(sensor) for sensor in geometry.sensors]
    corners = [signs @ one.rotation[:2, :2].T + one.origin_um[:2] for one in frames]
    found = []
    for i, first in enumerate(frames):
        for j in range(i):
            axes = np.concatenate([first.rotation[:2, :2].T, frames[j].rotation[:2, :2].T])
            a, b = corners[i] @ axes.T, corners[j] @ axes.T
            depth = np.minimum(a.max(axis=0), b.max(axis=0)) - np.maximum(
                a.min(axis=0), b.min(axis=0)
            )
            if depth.min() > 0:
                found.append((j, i, float(depth.min())))
    return sorted(found)


def _check_numbers(geometry: Geometry) -> None:
    for place, one in enumerate(geometry.objects):
        for names, limit, unit in ((POSITIONS, LARGEST_UM, "µm"), (ANGLES, LARGEST_DEG, "degrees")):
            for name in names:
                value = getattr(one, name)
                if not math.isfinite(value) or abs(value) > limit:
                    problem = f"{name} of {one.key} is {value:g}; at most {limit:g} {unit} is sane."
                    raise _refusal(geometry, place, problem)
        if one.index < 0 or one.parent_index < 0:
            raise _refusal(geometry, place, f"the index of {one.key} is negative.")


def _check_names(geometry: Geometry) -> None:
    seen: dict[object, int] = {}
    parents = {(one.parent, one.parent_index) for one in geometry.objects}
    for place, one in enumerate(geometry.objects):
        for key in (one.key, (one.name, one.index)):
            if key in seen and (key == one.key or key in parents):
                first = _line_of(geometry, seen[key])
                where = f" (first in line {first})" if first else ""
                raise _refusal(geometry, place, f"{one.key} is defined twice{where}.")
            seen[key] = place
        if (one.parent, one.parent_index) == (one.name, one.index):
            raise _refusal(geometry, place, f"{one.name} {one.index} is its own parent.")


def _check_tree(geometry: Geometry) -> None:
    known = {(one.name, one.index) for one in geometry.objects}
    tops = Counter(
        (one.parent, one.parent_index)
        for one in geometry.objects
        if (one.parent, one.parent_index) not in known
    )
    if not tops:
        raise _refusal(geometry, 0, "the objects form a circle: each is below another one.")
    # one top is right; of several, those not called IP are misspelt or missing parents
    real = next((top for top in tops if top[0].startswith("IP")), tops.most_common(1)[0][0])
    reached = {real}
    queue = [real]
    while queue:
        for child in geometry._children.get(queue.pop(), []):
            if (child.name, child.index) not in reached:
                reached.add((child.name, child.index))
                queue.append((child.name, child.index))
    for place, one in enumerate(geometry.objects):
        parent = (one.parent, one.parent_index)
        if parent in tops and parent != real:
            problem = f"{one.key}: no row says where its parent {one.parent} {one.parent_index} is."
            raise _refusal(geometry, place, problem)
    for place, one in enumerate(geometry.objects):
        if (one.parent, one.parent_index) not in reached:
            chain = f"{one.key} is part of a circle of parents or hangs below one."
            raise _refusal(geometry, place, chain)


def _check_sensors(geometry: Geometry) -> None:
    sensors = geometry.sensors
    if len(sensors) not in (detector.SENSORS, detector.SHAPE_2X2[0]):
        raise GeometryError(
            f"{geometry.source}: expected the {detector.SENSORS} sensors ({SENSOR_TYPE}) of a "
            f"CSPAD or 2 of a 2×2, found {len(sensors)}{_missing(sensors)}."
        )
    groups: dict[tuple[str, int], list[int]] = {}
    for sensor in sensors:
        groups.setdefault((sensor.parent, sensor.parent_index), []).append(sensor.index)
    if len(sensors) == detector.SENSORS and len(groups) not in (1, detector.QUADRANTS):
        raise GeometryError(
            f"{geometry.source}: expected 4 quadrants of 8 sensors or 32 sensors under one object, "
            f"found the sensors under {len(groups)} objects."
        )
    for (name, index), indices in groups.items():
        if indices != list(range(len(sensors) // len(groups))):
            raise GeometryError(
                f"{geometry.source}: {name} {index} should have sensors 0 to "
                f"{len(sensors) // len(groups) - 1}, found {', '.join(map(str, indices))}."
            )


def _missing(sensors: tuple[GeometryObject, ...]) -> str:
    """Say which sensors of which quadrant are not there."""
    groups: dict[tuple[str, int], set[int]] = {}
    for sensor in sensors:
        groups.setdefault((sensor.parent, sensor.parent_index), set()).add(sensor.index)
    many = detector.SENSORS_PER_QUADRANT if len(groups) > 1 else detector.SENSORS
    lacks = [
        f"{name} {index} lacks {', '.join(map(str, sorted(set(range(many)) - there)))}"
        for (name, index), there in groups.items()
        if set(range(many)) - there
    ]
    return f" ({'; '.join(lacks)})" if lacks else ""


def _line_of(geometry: Geometry, place: int) -> int | None:
    """One-based line of the object at `place` in the file it was read from."""
    count = -1
    for number, line in enumerate(geometry.layout, start=1):
        if line.object is not None:
            count += 1
            if count == place:
                return number
    return None


def _refusal(geometry: Geometry, place: int, problem: str) -> Exception:
    line = _line_of(geometry, place)
    if line is None:
        return GeometryError(f"{geometry.source}: {problem}")
    return FileFormatError(geometry.source, problem, line=line)
