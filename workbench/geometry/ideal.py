"""The design geometry of a detector, from the places that its description gives."""

from __future__ import annotations

from workbench.detectors import Detector
from workbench.geometry.objects import GeometryObject

RAIL_Z_UM = 1_000_000.0
"""Placeholder for the distance that geometry files carry; the real one comes from the beamline."""


def ideal_objects(detector: Detector) -> tuple[GeometryObject, ...]:
    """Rows of the design geometry: modules, groups (where the tree has them), detector, rail."""
    tree = detector.tree
    objects = []
    for group_index, group in enumerate(detector.groups):
        for index, module in enumerate(group.modules):
            x, y, rot_z, rot_y, rot_x = tree.modules[module]
            parent: tuple[str, int] = (tree.detector, 0)
            if tree.group is not None:
                parent = (tree.group, group_index)
            else:
                index = module
            objects.append(
                GeometryObject(
                    *parent, tree.module, index, x0=x, y0=y, rot_z=rot_z, rot_y=rot_y, rot_x=rot_x
                )
            )
    objects += [
        GeometryObject(tree.detector, 0, tree.group or "", index, x0=x, y0=y, rot_z=rot_z)
        for index, (x, y, rot_z, *_) in enumerate(tree.groups)
    ]
    above = tree.rail or "IP"
    objects.append(GeometryObject(above, 0, tree.detector, 0, z0=RAIL_Z_UM, rot_z=tree.rot_z_deg))
    if tree.rail is not None:
        objects.append(GeometryObject("IP", 0, tree.rail, 0))
    return tuple(objects)
