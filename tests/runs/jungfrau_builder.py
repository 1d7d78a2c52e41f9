"""Objects of a Jungfrau byte by byte, from psddldata's ``jungfrau.ddl``.

Nothing of the layouts comes from the package.
"""

from struct import pack

import numpy as np
from xtc_builder import xtc

PHY = 0x20002B00  # CxiDs1.0:Jungfrau.0, device 43
ADDRESS = "CxiDs1.0:Jungfrau.0"


def config(modules, version=4, shape=(512, 1024), size=None):
    body = pack("<4I2H2d", modules, *shape, 200, 0, 1, 0.0, 1e-5)
    if version >= 2:
        body += pack("<d8H", 2e-3, *range(8))
    if version >= 3:
        body += pack("<3Q", 11, 22, 33) * (8 if version == 3 else 32)
    return xtc(version << 16 | 107, body[:size], phy=PHY)


def data(pixels, version=2):
    modules = len(pixels)
    if version == 1:
        body = pack("<3I", 5, 6, 7)
    else:
        body = pack("<Q2I", 5, 6, 7) + pack("<QI4H", 8, 9, 10, 11, 12, 13) * modules
    return xtc(version << 16 | 108, body + pixels.astype("<u2").tobytes(), phy=PHY)


def frame(modules, seed=0):
    return np.random.default_rng(seed).integers(0, 1 << 16, (modules, 512, 1024)).astype(np.uint16)
