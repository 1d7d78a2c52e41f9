"""What makes a set of geometry objects one usable tree of a known detector."""

from __future__ import annotations

import math
from collections.abc import Sequence

from workbench.detectors import DETECTORS, Detector
from workbench.errors import FileFormatError, GeometryError, WorkbenchError
from workbench.geometry.objects import (
    ANGLES,
    POSITIONS,
    GeometryObject,
    Name,
    SourceLine,
    children_by_parent,
    modules_below,
    top_of,
)

LARGEST_UM = 1e9
LARGEST_DEG = 3600.0


def check_objects(
    objects: Sequence[GeometryObject], layout: Sequence[SourceLine], source: str
) -> tuple[Detector, tuple[GeometryObject, ...]]:
    """Refuse what is not one tree with all modules of a detector; give detector and modules.

    Raises
    ------
    FileFormatError
        With file and line, if the geometry was read from a file (`layout` has its lines).
    GeometryError
        Otherwise.
    """
    if not objects:
        raise GeometryError(f"{source}: it contains no geometry (no object rows).")
    checked = _Rows(objects, layout, source)
    checked.check_numbers()
    checked.check_names()
    return recognise(objects, checked.check_tree(), source)


class _Rows:
    """Rows with what a message needs: where each stands in its file."""

    def __init__(
        self, objects: Sequence[GeometryObject], layout: Sequence[SourceLine], source: str
    ) -> None:
        self.objects, self.source = objects, source
        self.lines = [
            number for number, line in enumerate(layout, start=1) if line.object is not None
        ]

    def refusal(self, place: int, problem: str) -> WorkbenchError:
        if not self.lines:
            return GeometryError(f"{self.source}: {problem}")
        return FileFormatError(self.source, problem, line=self.lines[place])

    def check_numbers(self) -> None:
        """Refuse numbers beyond any detector, and negative indices."""
        for place, row in enumerate(self.objects):
            for names, limit, unit in (
                (POSITIONS, LARGEST_UM, "µm"),
                (ANGLES, LARGEST_DEG, "degrees"),
            ):
                for name in names:
                    value = getattr(row, name)
                    if not math.isfinite(value) or abs(value) > limit:
                        problem = f"{name} of {row.key} is {value:g}; "
                        raise self.refusal(place, f"{problem}the limit is {limit:g} {unit}.")
            if row.index < 0 or row.parent_index < 0:
                raise self.refusal(place, f"the index of {row.key} is negative.")

    def check_names(self) -> None:
        """Refuse an object defined twice, and one that is its own parent."""
        seen: dict[object, int] = {}
        parents = {row.parent_name for row in self.objects}
        for place, row in enumerate(self.objects):
            for key in (row.key, row.own_name):
                if key in seen and (key == row.key or key in parents):
                    where = f" (first in line {self.lines[seen[key]]})" if self.lines else ""
                    raise self.refusal(place, f"{row.key} is defined twice{where}.")
                seen[key] = place
            if row.parent_name == row.own_name:
                raise self.refusal(place, f"{row.name} {row.index} is its own parent.")

    def check_tree(self) -> Name:
        """Refuse circles and parents that no row places; gives the top of the tree."""
        top = top_of(self.objects)
        if top is None:
            raise self.refusal(0, "the parents form a circle: each object is below another one.")
        own_names = {row.own_name for row in self.objects}
        children = children_by_parent(self.objects)
        reached = {top}
        queue = [top]
        while queue:
            for child in children.get(queue.pop(), []):
                if child.own_name not in reached:
                    reached.add(child.own_name)
                    queue.append(child.own_name)
        for place, row in enumerate(self.objects):
            if row.parent_name not in own_names and row.parent_name != top:
                problem = f"{row.key}: no row says where its parent {row.parent} "
                raise self.refusal(place, f"{problem}{row.parent_index} is.")
        for place, row in enumerate(self.objects):
            if row.parent_name not in reached:
                problem = f"{row.key} is part of a circle of parents, or below one."
                raise self.refusal(place, problem)
        return top


def recognise(
    objects: Sequence[GeometryObject], top: Name, source: str
) -> tuple[Detector, tuple[GeometryObject, ...]]:
    """Detector whose modules a tree has, and these in the order of the pixel arrays.

    Raises
    ------
    GeometryError
        If it has another number of modules than every known detector, or they are not grouped as
        that detector's are.
    """
    children = children_by_parent(objects)
    nearest: tuple[Detector, list[GeometryObject]] = (DETECTORS[0], [])
    for detector in DETECTORS:
        modules = modules_below(top, children, detector.tree.module_type)
        if len(modules) == detector.modules:
            _check_groups(detector, modules, source)
            return detector, tuple(modules)
        away = abs(len(modules) - detector.modules)
        if modules and (not nearest[1] or away < abs(len(nearest[1]) - nearest[0].modules)):
            nearest = detector, modules
    kind = nearest[0].tree.module_type
    expected = " or ".join(
        f"the {detector.modules} {'module' if detector.modules == 1 else 'modules'} "
        f"({detector.tree.module_type}) of the {detector.name}"
        for detector in DETECTORS
        if not nearest[1] or detector.tree.module_type == kind
    )
    count = len(nearest[1]) or "none"
    raise GeometryError(f"{source}: expected {expected}, found {count}{_missing(*nearest)}.")


def _check_groups(detector: Detector, modules: Sequence[GeometryObject], source: str) -> None:
    """Refuse modules that are neither grouped as the detector's nor all below one object."""
    groups: dict[Name, list[int]] = {}
    for module in modules:
        groups.setdefault(module.parent_name, []).append(module.index)
    if len(groups) not in (1, len(detector.groups)):
        raise GeometryError(
            f"{source}: expected the {detector.modules} modules of {detector.a_name} below "
            f"{len(detector.groups)} groups or below one object, found them below {len(groups)}."
        )
    many = len(modules) // len(groups)
    for (name, index), indices in groups.items():
        if indices != list(range(many)):
            raise GeometryError(
                f"{source}: {name} {index} should have modules 0 to {many - 1}, "
                f"found {', '.join(map(str, indices))}."
            )


def _missing(detector: Detector, modules: Sequence[GeometryObject]) -> str:
    """Say which modules of which group are not there."""
    groups: dict[Name, set[int]] = {}
    for module in modules:
        groups.setdefault(module.parent_name, set()).add(module.index)
    wanted = set(range(detector.modules_per_group if len(groups) > 1 else detector.modules))
    lacks = [
        f"{name} {index} lacks {', '.join(map(str, sorted(wanted - indices)))}"
        for (name, index), indices in groups.items()
        if wanted - indices
    ]
    return f" ({'; '.join(lacks)})" if lacks else ""
