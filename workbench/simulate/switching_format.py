"""Bytes of the XTC objects of detectors that switch their gain: ePix10k2M and Jungfrau 4M.

Layouts from psddldata's ``epix.ddl`` and ``jungfrau.ddl`` (lcls-psana/psddldata); what a reader
does not need is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import EPIX10K2M, JUNGFRAU_4M
from workbench.simulate.xtc_format import Kind


@dataclass(frozen=True)
class Epix10k2MPayloads:
    """Objects of an ePix10k2M whose pixels all switch from high to low gain by themselves."""

    def config(self) -> tuple[Kind, bytes]:
        """Epix::Config10ka2MV2."""
        registers = [0] * 26
        registers[22] = 1 << 4  # trbit: high gain before the switch
        asic = pack("<26I", *registers)
        rows, columns = EPIX10K2M.module_shape
        element = pack("<3I", 0xE0, 0xE1, 0xF) + 4 * asic + bytes(2 * rows * columns + 2 * columns)
        evr = pack("<HBBI", 1, 40, 40, 0)
        return Kind.EPIX10KA2M_CONFIG, evr + 4 * bytes(1156) + EPIX10K2M.modules * element

    def element(
        self, pixels: NDArray[Any], number: int, fiducials: int, ticks: int
    ) -> tuple[Kind, list[bytes]]:
        """Epix::ArrayV1."""
        modules, _, columns = EPIX10K2M.shape
        return Kind.EPIX10KA_ARRAY, [
            pack("<I", number + 1),
            np.ascontiguousarray(pixels, "<u2").tobytes(),
            bytes(modules * 4 * columns * 2),  # calibration rows
            bytes(modules * 2 * columns // 2 * 4),  # environmental rows
            bytes(2 * EPIX10K2M.asics),  # temperatures
        ]


@dataclass(frozen=True)
class Jungfrau4MPayloads:
    """Objects of a Jungfrau 4M.

    Attributes
    ----------
    gain_mode : Jungfrau::ConfigV4's: 0 pixels switch their gain by themselves; 3 and 4
        (ForcedGain1, ForcedGain2) all are in the second and third range, as in dark runs of these.
    """

    gain_mode: int = 0

    def config(self) -> tuple[Kind, bytes]:
        """Jungfrau::ConfigV4 for up to 32 modules."""
        head = pack(
            "<4I2H3d8H", *JUNGFRAU_4M.shape, 200, self.gain_mode, 1, 0.0, 1e-5, 2e-3,
            *[0] * 8,
        )  # fmt: skip
        return Kind.JUNGFRAU_CONFIG, head + bytes(32 * 24)

    def element(
        self, pixels: NDArray[Any], number: int, fiducials: int, ticks: int
    ) -> tuple[Kind, list[bytes]]:
        """Jungfrau::ElementV2."""
        return Kind.JUNGFRAU_ELEMENT, [
            pack("<QII", number + 1, ticks, fiducials),
            *(pack("<QI4H", 0, 100, module, 0, 0, 0) for module in range(JUNGFRAU_4M.modules)),
            np.ascontiguousarray(pixels, "<u2").tobytes(),
        ]
