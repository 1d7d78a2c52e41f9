"""Jungfrau 0.5M, 1M and 4M: configurations V1 to V4, elements V1 and V2.

Layouts from ``psddldata/data/jungfrau.ddl`` (lcls-psana/psddldata). The number of modules in the
configuration says which of the detectors it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from struct import unpack_from
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import JUNGFRAU_05M, JUNGFRAU_1M, JUNGFRAU_4M, Detector
from workbench.runs.xtc.datagram import Xtc
from workbench.runs.xtc.decoders.base import (
    Configuration,
    ModulePixels,
    PayloadError,
    check_config,
    whole_frame,
)

BY_MODULES = {detector.modules: detector for detector in (JUNGFRAU_05M, JUNGFRAU_1M, JUNGFRAU_4M)}
CONFIG_BYTES = {1: 36, 2: 60, 3: 252, 4: 828}
HEADER_BYTES = {1: 12, 2: 16}
"""Of an element, before what is told of each module and the frame."""
MODULE_BYTES = {1: 0, 2: 20}


@dataclass(frozen=True, eq=False)
class JungfrauConfig:
    """What the configuration of a Jungfrau says about its data; see `Configuration`."""

    detector: Detector
    version: int
    gain_mode: int
    name: ClassVar[str] = "JungfrauConfig"

    @property
    def modules(self) -> tuple[int, ...]:
        """All modules: none can be left out."""
        return tuple(range(self.detector.modules))

    @cached_property
    def low_gain(self) -> NDArray[np.bool_]:
        """All False: the data say which pixels are in low gain."""
        return np.zeros(self.detector.shape, bool)

    @cached_property
    def gain_code(self) -> NDArray[np.uint8]:
        """All 0: the gain does not depend on the configuration."""
        return np.zeros(self.detector.shape, np.uint8)

    def same_as(self, other: object) -> bool:
        """Whether both say the same."""
        return isinstance(other, JungfrauConfig) and (
            (self.detector, self.version, self.gain_mode)
            == (other.detector, other.version, other.gain_mode)
        )


@dataclass(frozen=True)
class JungfrauDecoder:
    """Decoder of all Jungfraus; see `Decoder`."""

    detector: Detector = JUNGFRAU_4M
    config_types = frozenset({107})
    element_types = frozenset({108})

    @property
    def largest_element(self) -> int:
        """Twice the size of the largest."""
        return 2 * (
            HEADER_BYTES[2] + MODULE_BYTES[2] * JUNGFRAU_4M.modules + 2 * JUNGFRAU_4M.pixels
        )

    def read_config(self, xtc: Xtc, payload: bytes) -> JungfrauConfig:
        """Read a configuration."""
        check_config(xtc, payload, JungfrauConfig.name, CONFIG_BYTES)
        modules, rows, columns, _, gain_mode = unpack_from("<4IH", payload)
        detector = BY_MODULES.get(modules)
        if detector is None or (rows, columns) != detector.module_shape:
            known = ", ".join(map(str, BY_MODULES))
            rows_columns = " × ".join(map(str, JUNGFRAU_4M.module_shape))
            raise PayloadError(
                f"expected a Jungfrau of {known} modules of {rows_columns} pixels, found {modules} "
                f"of {rows} × {columns}."
            )
        return JungfrauConfig(detector, xtc.version, gain_mode)

    def read_element(
        self, xtc: Xtc, payload: memoryview, config: Configuration | None
    ) -> tuple[ModulePixels, ...]:
        """Pixels of an element, uint16 with the gain bits; the configuration says how many."""
        if not isinstance(config, JungfrauConfig):
            raise PayloadError("JungfrauElement without a configuration that describes it.")
        if xtc.version not in HEADER_BYTES or xtc.compressed:
            raise PayloadError(
                f"expected JungfrauElement version 1 or 2, found version {xtc.version}."
            )
        detector, header, module = (
            config.detector, HEADER_BYTES[xtc.version], MODULE_BYTES[xtc.version],
        )  # fmt: skip
        start = header + module * detector.modules
        pixels = 2 * detector.rows * detector.columns
        return whole_frame(detector, payload, start, header, module + pixels)


JUNGFRAU_DECODERS = (JungfrauDecoder(),)
