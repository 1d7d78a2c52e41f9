"""The ePix10k2M: four quadrants of four modules of 2 × 2 ASICs; and the ePix10ka quad.

Pixel layout of a module: psana ``SegGeometryEpix10kaV1`` (slac-lcls/lcls2): the pixels at the seams
of the ASICs are 225 µm wide, the others 100 µm. Places: psana's ``default_constants_epix10ka2m_v1``
and its ``geometry-def-epix10kaquad.data`` without tilts (the same repository). Deployed files have
no level of quadrants.

Gain: psana ``UtilsEpix10ka`` (slac-lcls, psana's ``Detector``): bit 14 of the datum, the pixel's
configuration bits 2 (g) and 3 (ga) and the trbit of its ASIC choose one of seven ranges. The gain
code is g + 2 ga + 4 trbit.
"""

from __future__ import annotations

import dataclasses

from workbench.detectors.base import (
    Detector,
    GainRanges,
    GeometryTree,
    Placement,
    equal_groups,
)

_MEDIUM, _LOW = 16.40 / 5.466, 16.40 / 0.164
"""Ratios of the nominal gains, 16.40, 5.466 and 0.164 ADU/keV in high, medium and low gain."""
_NOTHING = (-1, -1, -1, -1)
_GAIN_RANGES = GainRanges(
    names=("FH", "FM", "FL", "AHL-H", "AML-M", "AHL-L", "AML-L"),
    factors=(1.0, _MEDIUM, _LOW, 1.0, _MEDIUM, _LOW, _LOW),
    table=(
        (4, 6, 4, 6),  # automatic, medium to low
        _NOTHING,
        (2, 2, 2, 2),  # fixed low
        (1, 1, 1, 1),  # fixed medium
        (3, 5, 3, 5),  # automatic, high to low
        _NOTHING,
        (2, 2, 2, 2),
        (0, 0, 0, 0),  # fixed high
    ),
    common_mode=(0, 1, 3, 4),
    banks=(2, 8),
)

_MODULES = (
    Placement(-59032.0, 23573.0, 270.0),
    Placement(-59026.0, 64317.0, 270.0),
    Placement(-17405.0, 23567.0, 270.0),
    Placement(-17039.0, 63692.0, 270.0),
    Placement(23423.0, 59147.0, 180.0),
    Placement(64071.0, 59039.0, 180.0),
    Placement(23779.0, 17334.0, 180.0),
    Placement(63997.0, 17181.0, 180.0),
    Placement(59152.0, -23403.0, 90.0),
    Placement(58942.0, -64143.0, 90.0),
    Placement(17468.0, -23658.0, 90.0),
    Placement(17029.0, -63871.0, 90.0),
    Placement(-23591.0, -59310.0, 0.0),
    Placement(-64155.0, -59056.0, 0.0),
    Placement(-23622.0, -17240.0, 0.0),
    Placement(-63991.0, -17169.0, 0.0),
)

EPIX10K2M = Detector(
    name="ePix10k2M",
    calib_group="Epix10ka2M::CalibV1",
    device="Epix10ka2M",
    address="MfxEndstation.0:Epix10ka2M.0",
    module_shape=(352, 384),
    asic_grid=(2, 2),
    groups=equal_groups("Q", 4, 4),
    pixel_um=100.0,
    wide_um=225.0,
    adc_max_adu=16383,
    tree=GeometryTree("EPIX10KA:V1", None, "CAMERA", _MODULES, rail=None, rot_z_deg=90.0),
    gain_ranges=_GAIN_RANGES,
    cbf_type="ePix10k2M",
)

EPIX10KA_QUAD = dataclasses.replace(
    EPIX10K2M,
    name="ePix10ka quad",
    calib_group="Epix10kaQuad::CalibV1",
    device="Epix10kaQuad",
    cbf_type="ePix10ka quad",
    address="MfxEndstation.0:Epix10kaQuad.0",
    groups=equal_groups("Q", 1, 4),
    tree=GeometryTree(
        "EPIX10KA:V1",
        None,
        "CAMERA",
        (
            Placement(20248.0, -20908.0, 0.0),
            Placement(-20144.0, -20823.0, 0.0),
            Placement(20150.0, 20934.0, 0.0),
            Placement(-20254.0, 20797.0, 0.0),
        ),
        rail=None,
        rot_z_deg=90.0,
    ),
)
