"""The CSPAD: four quadrants of eight sensors ("2x1" modules) of two ASICs; and its 2×2.

Pixel layout of a sensor: PSCalib ``SegGeometryCspad2x1V1`` (lcls-psana/PSCalib@b9f60ba): the two
columns at the seam of a sensor's ASICs are 274.80 µm wide, the others 109.92 µm. Unbonded is the
diagonal ``(10 k, 10 k)``, ``k = 0 … 18``, of each ASIC.

Design: quadrants are turned by 90, 0, 270 and 180° at ±4500 µm; sensors by 0, 0, 270, 270, 180,
180, 270 and 270°. The sensor origins are means over the quadrants of the 2014-09-24 metrology of
CXI DS1 (slaclab/psgeom@1c31208 ``ref_files/cspad``), rounded to 10 µm, so neighbours keep their
gaps.
"""

from __future__ import annotations

import dataclasses

from workbench.detectors.base import Detector, GeometryTree, Placement, equal_groups

_SENSORS = (
    Placement(21770.0, 33190.0, 0.0),
    Placement(21770.0, 10460.0, 0.0),
    Placement(33260.0, 68340.0, 270.0),
    Placement(10710.0, 68350.0, 270.0),
    Placement(68400.0, 56930.0, 180.0),
    Placement(68370.0, 79690.0, 180.0),
    Placement(77510.0, 21690.0, 270.0),
    Placement(54740.0, 21690.0, 270.0),
)
_QUADRANTS = (
    Placement(-4500.0, -4500.0, 90.0),
    Placement(-4500.0, 4500.0, 0.0),
    Placement(4500.0, 4500.0, 270.0),
    Placement(4500.0, -4500.0, 180.0),
)

CSPAD = Detector(
    name="CSPAD",
    calib_group="CsPad::CalibV1",
    device="Cspad",
    address="CxiDs1.0:Cspad.0",
    module_shape=(185, 388),
    asic_grid=(1, 2),
    groups=equal_groups("Q", 4, 8),
    pixel_um=109.92,
    wide_um=274.80,
    adc_max_adu=16383,
    low_gain_factor=6.85,
    unbonded_in_asic=tuple((place, place) for place in range(0, 185, 10)),
    cbf_type="CS PAD",
    tree=GeometryTree("SENS2X1:V1", "QUAD:V1", "CSPAD:V1", 4 * _SENSORS, _QUADRANTS),
)

CSPAD_2X2 = dataclasses.replace(
    CSPAD,
    name="CSPAD 2×2",
    calib_group="CsPad2x2::CalibV1",
    device="Cspad2x2",
    address="CxiSc1.0:Cspad2x2.0",
    groups=equal_groups("Q", 1, 2),
    interleaved_constants=True,
    cbf_type=None,
    tree=GeometryTree(
        "SENS2X1:V1",
        None,
        "CSPAD2X2:V1",
        (Placement(0.0, 11370.0, 0.0), Placement(0.0, -11370.0, 0.0)),
    ),
)
