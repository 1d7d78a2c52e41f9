"""Reasons of the workbench in the bit words of other conventions, where 0 is a good pixel.

CXI: ``cxidb`` file format 1.6, section "mask". NXmx: ``NXdetector/pixel_mask`` of the NeXus
definitions. psana: what ``pixel_status`` files of CSPAD dark processing hold.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workbench.mask.rules import RULES

CXI_INVALID, CXI_SATURATED, CXI_HOT, CXI_DEAD, CXI_SHADOWED = 0x1, 0x2, 0x4, 0x8, 0x10
CXI_IGNORE, CXI_BAD, CXI_RESOLUTION, CXI_MISSING, CXI_NOISY = 0x40, 0x80, 0x100, 0x200, 0x400
CXI_NOTES = 0x20 | 0x800 | 0x2000 | 0x4000
"""Bits that do not make a pixel bad: in a peak, corrected, peak of a hit finder, background."""

CXI: dict[str, int] = {
    "average_low": CXI_DEAD,
    "average_high": CXI_HOT,
    "stddev_low": CXI_DEAD,
    "stddev_high": CXI_NOISY,
    "maximum_low": CXI_DEAD,
    "not_a_number": CXI_INVALID,
    "asic_border": CXI_IGNORE,
    "sensor_border": CXI_IGNORE,
    "wide": CXI_IGNORE,
    "unbonded": CXI_DEAD,
    "unbonded_neighbour": CXI_IGNORE,
    "grown": CXI_IGNORE,
    "saturated": CXI_SATURATED,
    "low_occupancy": CXI_MISSING,
    "island": CXI_IGNORE,
    "average_outlier": CXI_BAD,
    "stddev_outlier": CXI_NOISY,
    "resolution": CXI_RESOLUTION,
    "radius": CXI_SHADOWED,
    "shape": CXI_SHADOWED,
    "pixel": CXI_BAD,
    "imported": CXI_BAD,
    "part": CXI_BAD,
    "maximum_outlier": CXI_BAD,
}

NX_DEAD, NX_UNDER, NX_OVER, NX_NOISY, NX_USER = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 8
NXMX: dict[str, int] = {
    "average_low": NX_UNDER,
    "average_high": NX_OVER,
    "stddev_low": NX_DEAD,
    "stddev_high": NX_NOISY,
    "maximum_low": NX_DEAD,
    "not_a_number": NX_DEAD,
    "asic_border": NX_USER,
    "sensor_border": NX_USER,
    "wide": NX_USER,
    "unbonded": NX_DEAD,
    "unbonded_neighbour": NX_USER,
    "grown": NX_USER,
    "saturated": NX_OVER,
    "low_occupancy": NX_DEAD,
    "island": NX_USER,
    "average_outlier": NX_OVER,
    "stddev_outlier": NX_NOISY,
    "resolution": NX_USER,
    "radius": NX_USER,
    "shape": NX_USER,
    "pixel": NX_USER,
    "imported": NX_USER,
    "part": NX_USER,
    "maximum_outlier": NX_OVER,
}

PSANA_OTHER = 64
"""Status bit of rules that psana's dark processing does not have."""
PSANA_STATUS: dict[str, int] = dict.fromkeys(RULES, PSANA_OTHER) | {
    "stddev_high": 1,
    "stddev_low": 2,
    "saturated": 4,
    "maximum_low": 8,
    "average_high": 16,
    "average_low": 32,
}


def translated(reasons: NDArray[np.uint32], table: Mapping[str, int]) -> NDArray[np.uint32]:
    """Words in another convention: each reason's bits of `table`, joined."""
    words, place = np.unique(reasons, return_inverse=True)
    others = np.zeros(words.size, np.uint32)
    for name, rule in RULES.items():
        others[(words & np.uint32(rule.flag)) != 0] |= np.uint32(table[name])
    return others[place].reshape(reasons.shape)
