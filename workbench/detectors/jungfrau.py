"""The Jungfrau 0.5M, 1M and 4M: 1, 2 and 8 modules of 512 × 1024 pixels with 2 × 4 ASICs.

Pixel layout of a module: psana ``SegGeometryJungfrauV1`` (slac-lcls/lcls2): pixels of 75 µm, ASICs
of 256 × 256 that are 258 pixels apart, so that the pixels at the seams are 150 µm wide. Row 0 lies
at the bottom of a ``JUNGFRAU:V2`` (``SegGeometryJungfrauV2``), at the top of a ``JUNGFRAU:V1``.
Places: psana's ``geometry-def-jungfrau05M.data``, ``…1M.data`` and ``…4M.data``.

Every module is a group. A module spans too small an angle for maps of its self-correlation. Where
a 4M stands on two motors, modules 0 to 3 and 4 to 7, on both sides of the beam, move as one.

Gain: bits 15 and 14 of a datum are 00, 01 and 11 in the three ranges, 10 is bad (psana
``UtilsJungfrau``). Nominal gains are those that psana takes by default, 41.5, -1.39 and
-0.11 ADU/keV.
"""

from __future__ import annotations

import dataclasses

from workbench.detectors.base import (
    Detector,
    GainRanges,
    GeometryTree,
    Group,
    Grouping,
    Placement,
    equal_groups,
)

_GAIN_RANGES = GainRanges(
    names=("g0", "g1", "g2"),
    factors=(1.0, 41.5 / -1.39, 41.5 / -0.11),
    table=((0, 1, -1, 2),),
    common_mode=(0,),
    banks=(2, 16),
)

JUNGFRAU_05M = Detector(
    name="Jungfrau 0.5M",
    calib_group="Jungfrau::CalibV1",
    device="Jungfrau",
    address="MfxEndstation.0:Jungfrau.0",
    module_shape=(512, 1024),
    asic_grid=(2, 4),
    groups=(Group("M0", range(1)),),
    pixel_um=75.0,
    wide_um=150.0,
    adc_max_adu=16383,
    tree=GeometryTree("JUNGFRAU:V2", None, "JFCAMERA", (Placement(0.0, 0.0, 90.0),), rail=None),
    rows_up=("JUNGFRAU:V2",),
    cbf_type="Jungfrau 0.5M",
    self_rotation=False,
    sensor_um=320.0,
    gain_ranges=_GAIN_RANGES,
)

JUNGFRAU_1M = dataclasses.replace(
    JUNGFRAU_05M,
    name="Jungfrau 1M",
    cbf_type="Jungfrau 1M",
    groups=equal_groups("M", 2, 1),
    tree=GeometryTree(
        "JUNGFRAU:V2",
        None,
        "JFCAMERA:V1",
        (
            Placement(0.0, 20625.0, 0.0, rot_x_deg=180.0),
            Placement(0.0, -20625.0, 0.0, rot_x_deg=180.0),
        ),
        rail=None,
        rot_z_deg=90.0,
    ),
)

_PLACES_4M = (
    (-56807.1, 44005.5), (-15557.5, 44005.5), (25692.1, 33921.7), (66941.7, 33921.7),
    (-66941.7, -33921.7), (-25692.1, -33921.7), (15557.5, -44005.5), (56807.1, -44005.5),
)  # fmt: skip
JUNGFRAU_4M = dataclasses.replace(
    JUNGFRAU_05M,
    name="Jungfrau 4M",
    cbf_type="Jungfrau 4M",
    address="CxiDs1.0:Jungfrau.0",
    groups=equal_groups("M", 8, 1),
    groupings=(Grouping("sides", equal_groups("SIDE", 2, 4), self_rotation=True),),
    tree=GeometryTree(
        "JUNGFRAU:V2",
        None,
        "JFCAMERA:V1",
        tuple(Placement(x, y, 90.0, rot_y_deg=180.0) for x, y in _PLACES_4M),
        rail=None,
        rot_z_deg=90.0,
    ),
)
