"""The Jungfrau: modules of 512 × 1024 pixels with 2 × 4 ASICs.

Pixel layout of a module: psana ``SegGeometryJungfrauV1`` (slac-lcls/lcls2): pixels of 75 µm, ASICs
of 256 × 256 that are 258 pixels apart, so that the pixels at the seams are 150 µm wide. Place:
psana's ``geometry-def-jungfrau05M.data``.

Gain: bits 15 and 14 of a datum are 00, 01 and 11 in the three ranges, 10 is bad (psana
``UtilsJungfrau``). Nominal gains are those that psana takes by default, 41.5, -1.39 and
-0.11 ADU/keV.
"""

from __future__ import annotations

from workbench.detectors.base import Detector, GainRanges, GeometryTree, Group, Placement

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
    self_rotation=False,
    sensor_um=320.0,
    gain_ranges=_GAIN_RANGES,
)
