"""AGIPD-1M of the European XFEL: four quadrants of four modules of 512 × 128 pixels.

A module has eight tiles of 64 × 128 pixels, the panels ``a0`` … ``a7`` of CrystFEL's files; each is
two ASICs of 64 × 64 side by side without a gap, and counts as one ASIC here. Tiles are 66 pixels
apart: the pixels on both sides of a seam are 400 µm long (European-XFEL/EXtra-geom
``detectors.py``, ``AGIPD_1MGeometry``: 200 µm, 64 × 128, ``asic_gap`` 2, ``panel_gap`` 29).

Design: first pixels of the quadrants at (-525, 625), (-550, -10), (520, -160), (542.5, 475) px in
the frame of CrystFEL, the example of that class's documentation; modules 157 px apart. In psana's
frame (CrystFEL's x, y, z are its -y, -x, -z) quadrants 0 and 1 are not turned, 2 and 3 by 180°.
"""

from __future__ import annotations

from workbench.detectors.base import Detector, GeometryTree, Placement, equal_groups

_PITCH_UM = (128 + 29) * 200.0
_MODULES = tuple(Placement((place - 1.5) * _PITCH_UM, 0.0, 0.0) for place in range(4))

AGIPD_1M = Detector(
    name="AGIPD-1M",
    calib_group="Agipd::CalibV1",
    device="AGIPD1M",
    address="SPB_DET_AGIPD1M-1",
    module_shape=(512, 128),
    asic_grid=(8, 1),
    groups=equal_groups("Q", 4, 4),
    pixel_um=200.0,
    wide_um=400.0,
    adc_max_adu=16383,
    tree=GeometryTree(
        "AGIPD:V1",
        "QUAD:V1",
        "AGIPD1M:V1",
        2 * _MODULES + 2 * tuple(Placement(-place.x_um, 0.0, 0.0) for place in _MODULES),
        (
            Placement(-65100.0, 52400.0, 0.0),
            Placement(61900.0, 57400.0, 0.0),
            Placement(66300.0, -51400.0, 180.0),
            Placement(-60700.0, -55900.0, 180.0),
        ),
    ),
    module_panels=True,
)
