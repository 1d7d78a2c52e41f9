"""ePix10k2M and ePix10ka quad: configurations V1 and V2, arrays V1.

Layouts from ``psddldata/data/epix.ddl`` (lcls-psana/psddldata): ``Config10ka2MV1`` and ``V2``,
``Config10kaQuadV1`` and ``V2``, ``Elem10kaConfigV1``, ``Asic10kaConfigV1``, ``ArrayV1``. Order of
the trbits: psana ``UtilsEpix10ka.cbits_config_epix10ka``. The gain code is that of
`workbench.detectors.epix10k`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import EPIX10K2M, EPIX10KA_QUAD, Detector
from workbench.runs.xtc.datagram import Xtc
from workbench.runs.xtc.decoders.base import (
    Configuration,
    ModulePixels,
    PayloadError,
    check_config,
    whole_frame,
)

ROWS, COLUMNS = EPIX10K2M.module_shape
EVR_BYTES = 8
QUAD_BYTES = {1: 812, 2: 1156}
"""Quad10kaConfig by version; a detector has one for each four modules."""
ASIC_BYTES, ASICS = 104, 4
TRBIT = 88
"""Register 23 of an ASIC, whose bit 4 is the trbit."""
PIXELS = 12 + ASICS * ASIC_BYTES
"""Pixel configuration, after carrier numbers, ASIC mask and ASICs of an element."""
ELEMENT_BYTES = PIXELS + 2 * ROWS * COLUMNS + 2 * COLUMNS
ASIC_OF_QUARTER = (2, 1, 3, 0)
"""ASIC of each quarter of a module: top left, top right, bottom left, bottom right."""
CALIBRATION_ROWS, ENVIRONMENTAL_ROWS = 4, 2
ARRAY_BYTES = (
    2 * ROWS * COLUMNS
    + 2 * CALIBRATION_ROWS * COLUMNS
    + 2 * ENVIRONMENTAL_ROWS * COLUMNS
    + 2 * ASICS
)
"""Of one module in an array."""
GAIN_BITS, GAIN_SHIFT = 12, 2


@dataclass(frozen=True, eq=False)
class Epix10kaConfig:
    """What the configuration of an ePix10ka says about its data; see `Configuration`.

    `gain_code` is g + 2 ga + 4 trbit of each pixel, uint8 of the detector's shape.
    """

    detector: Detector
    name: str
    version: int
    gain_code: NDArray[np.uint8]

    @property
    def modules(self) -> tuple[int, ...]:
        """All modules: none can be left out."""
        return tuple(range(self.detector.modules))

    @cached_property
    def low_gain(self) -> NDArray[np.bool_]:
        """True where a pixel is fixed in low gain, bool array of the detector's shape."""
        ranges = self.detector.gain_ranges
        assert ranges is not None
        fixed_low = np.array([row[0] == ranges.names.index("FL") for row in ranges.table])
        return np.asarray(fixed_low[self.gain_code])

    def same_as(self, other: object) -> bool:
        """Whether both say the same."""
        return (
            isinstance(other, Epix10kaConfig)
            and (self.detector, self.version) == (other.detector, other.version)
            and np.array_equal(self.gain_code, other.gain_code)
        )


@dataclass(frozen=True)
class Epix10kaDecoder:
    """Decoder of the ePix10k2M, or of the quad; see `Decoder`."""

    detector: Detector
    name: str
    config_type: int
    element_types = frozenset({118})

    @property
    def config_types(self) -> frozenset[int]:
        """Types of its configurations."""
        return frozenset({self.config_type})

    @property
    def largest_element(self) -> int:
        """Twice the full size."""
        return 2 * (4 + EPIX10K2M.modules * ARRAY_BYTES)

    def read_config(self, xtc: Xtc, payload: bytes) -> Epix10kaConfig:
        """Read a configuration."""
        modules = self.detector.modules
        starts = {version: EVR_BYTES + modules // 4 * quad for version, quad in QUAD_BYTES.items()}
        sizes = {version: start + modules * ELEMENT_BYTES for version, start in starts.items()}
        check_config(xtc, payload, self.name, sizes)
        start = starts[xtc.version]
        codes = np.empty(self.detector.shape, np.uint8)
        # quarters of the modules, ``(modules, down, rows, across, columns)``: no copy
        down, across = self.detector.asic_grid
        quarters = codes.reshape(modules, down, ROWS // down, across, COLUMNS // across)
        for module in range(modules):
            element = start + module * ELEMENT_BYTES
            pixels = np.frombuffer(payload, "<u2", ROWS * COLUMNS, element + PIXELS)
            codes[module] = (pixels.reshape(ROWS, COLUMNS) & GAIN_BITS) >> GAIN_SHIFT
            for quarter, asic in enumerate(ASIC_OF_QUARTER):
                register = payload[element + 12 + asic * ASIC_BYTES + TRBIT]
                of_quarter = quarters[module, quarter // across, :, quarter % across]
                of_quarter |= np.uint8((register >> 4 & 1) << 2)
        codes.flags.writeable = False
        return Epix10kaConfig(self.detector, self.name, xtc.version, codes)

    def read_element(
        self, xtc: Xtc, payload: memoryview, config: Configuration | None
    ) -> tuple[ModulePixels, ...]:
        """Pixels of an array, uint16 with the gain bit; the configuration says which detector."""
        if not isinstance(config, Epix10kaConfig):
            raise PayloadError("Epix10kaArray without a configuration that describes it.")
        if xtc.version != 1 or xtc.compressed:
            raise PayloadError(f"expected Epix10kaArray version 1, found version {xtc.version}.")
        return whole_frame(config.detector, payload, start=4, header=4, module=ARRAY_BYTES)


EPIX10KA_DECODERS = (
    Epix10kaDecoder(EPIX10K2M, "Epix10ka2MConfig", 117),
    Epix10kaDecoder(EPIX10KA_QUAD, "Epix10kaQuadConfig", 120),
)
