"""Objects of an ePix10k2M and a quad byte by byte, from psddldata's ``epix.ddl``.

Nothing of the layouts comes from the package.
"""

from struct import pack

import numpy as np
from xtc_builder import xtc

MFX_2M, MFX_QUAD = 0x30003000, 0x30003200  # MfxEndstation 48, devices 48 and 50
ADDRESS = {16: "MfxEndstation.0:Epix10ka2M.0", 4: "MfxEndstation.0:Epix10kaQuad.0"}
PHY = {16: MFX_2M, 4: MFX_QUAD}
CONFIG_TYPE = {16: 117, 4: 120}


def quad_registers(version):
    words = lambda n: pack(f"<{n}I", *range(n))  # noqa: E731
    adc = b"".join(words(8 + 8 + 1) for _ in range(10))
    if version == 1:
        # clock and trigger, cards, power, acquisition, forced, readout, scope, converters, tester
        return (
            words(3)
            + words(2)
            + words(6)
            + words(7)
            + words(2)
            + words(2)
            + words(5)
            + adc
            + (words(6))
        )
    firmware = words(3) + b"h" * 64 + b"d" * 256
    return (
        words(3) + firmware + words(6) + words(7) + words(2) + words(3) + words(4) + words(5) + adc
        + words(6)
    )  # fmt: skip


def element_config(pixel_bits, trbits):
    """Elem10kaConfigV1: `trbits` of the ASICs 0 … 3, each in bit 4 of register 23 of 26."""
    parts = [pack("<3I", 1, 2, 0xF)]
    for trbit in trbits:
        registers = [0xFFFFFFEF] * 26
        registers[22] |= trbit << 4
        parts.append(pack("<26I", *registers))
    parts.append(pixel_bits.astype("<u2").tobytes())
    parts.append(b"\x0f" * (2 * 384))
    return b"".join(parts)


def config(modules=16, version=2, pixel_bits=None, trbits=(1, 1, 1, 1), kind=None, **source):
    bits = np.full((modules, 352, 384), 0xC) if pixel_bits is None else pixel_bits
    body = pack("<HBBI", 1, 40, 41, 0)
    body += quad_registers(version if version in (1, 2) else 2) * (modules // 4)
    body += b"".join(element_config(each, trbits) for each in bits)
    kind = CONFIG_TYPE[modules] if kind is None else kind
    return xtc(version << 16 | kind, body, **{"phy": PHY[modules], **source})


def data(pixels, number=7, version=1, **source):
    modules = len(pixels)
    body = pack("<I", number) + pixels.astype("<u2").tobytes()
    body += np.full((modules, 4, 384), 0x1234, "<u2").tobytes()
    body += np.full((modules, 2, 192), 0x56789ABC, "<u4").tobytes()
    body += np.full(4 * modules, 0xBEEF, "<u2").tobytes()
    return xtc(version << 16 | 118, body, **{"phy": PHY.get(modules, MFX_2M), **source})


def frame(modules=16, seed=0):
    return np.random.default_rng(seed).integers(0, 0x8000, (modules, 352, 384)).astype(np.uint16)
