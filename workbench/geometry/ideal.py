"""The design geometry of a CXI CSPAD.

Quadrants are turned by 90, 0, 270 and 180° at ±4500 µm; sensors by 0, 0, 270, 270, 180, 180, 270
and 270°. The sensor origins are means over the quadrants of the 2014-09-24 metrology of CXI DS1
(slaclab/psgeom@1c31208 ``ref_files/cspad``), rounded to 10 µm, so neighbours keep their gaps.
"""

from __future__ import annotations

from workbench.geometry.objects import GeometryObject
from workbench.geometry.slac import standard_layout
from workbench.geometry.tree import Geometry

SENSORS = (
    (21770.0, 33190.0, 0.0),
    (21770.0, 10460.0, 0.0),
    (33260.0, 68340.0, 270.0),
    (10710.0, 68350.0, 270.0),
    (68400.0, 56930.0, 180.0),
    (68370.0, 79690.0, 180.0),
    (77510.0, 21690.0, 270.0),
    (54740.0, 21690.0, 270.0),
)
QUADRANTS = (
    (-4500.0, -4500.0, 90.0),
    (-4500.0, 4500.0, 0.0),
    (4500.0, 4500.0, 270.0),
    (4500.0, -4500.0, 180.0),
)
RAIL_Z_UM = 1_000_000.0
"""Placeholder for the distance that geometry files carry; the real one comes from the beamline."""


def ideal_geometry() -> Geometry:
    """Design geometry as a new tree of 38 objects."""
    objects = [
        GeometryObject("QUAD:V1", quadrant, "SENS2X1:V1", sensor, x0=x, y0=y, rot_z=rotation)
        for quadrant in range(4)
        for sensor, (x, y, rotation) in enumerate(SENSORS)
    ]
    objects += [
        GeometryObject("CSPAD:V1", 0, "QUAD:V1", quadrant, x0=x, y0=y, rot_z=rotation)
        for quadrant, (x, y, rotation) in enumerate(QUADRANTS)
    ]
    objects += [
        GeometryObject("RAIL", 0, "CSPAD:V1", 0, z0=RAIL_Z_UM),
        GeometryObject("IP", 0, "RAIL", 0),
    ]
    rows = tuple(objects)
    return Geometry(rows, standard_layout(rows), "ideal geometry")
