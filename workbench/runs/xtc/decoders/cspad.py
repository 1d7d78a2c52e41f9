"""CSPAD objects: configurations V1 to V5, data V1 and V2, and the CsPad2x2.

Layouts from ``psddldata/data/cspad.ddl.xml`` and ``cspad2x2.ddl.xml``. Data cannot be decoded
without the configuration of the same source, which says which sections of a quadrant they hold.
A section is a module, a quadrant a group of the detector.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from struct import unpack_from
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import CSPAD, CSPAD_2X2, Detector
from workbench.runs.xtc.datagram import Xtc
from workbench.runs.xtc.decoders.base import (
    Configuration,
    ModulePixels,
    PayloadError,
    check_config,
)
from workbench.runs.xtc.decoders.compression import decompress

ELEMENT_HEADER, ELEMENT_TRAILER = 32, 4
SECTION_PIXELS = CSPAD.rows * CSPAD.columns
SECTION_BYTES = 2 * SECTION_PIXELS
SECTIONS = CSPAD.modules_per_group
GAIN_MAP_ITEMS = CSPAD.asic_shape[0] * CSPAD.asic_shape[1]


class _Layout(NamedTuple):
    """Offsets in one version of a configuration; `gain_map` is counted within a quadrant."""

    size: int
    asic_mask: int
    quad_mask: int | None
    roi_mask: int | None
    quads: int
    stride: int
    gain_map: int


_LAYOUTS = {
    1: _Layout(287804, 36, 40, None, 44, 71940, 160),
    2: _Layout(287808, 36, 40, 44, 48, 71940, 160),
    3: _Layout(287844, 72, 76, 80, 84, 71940, 160),
    4: _Layout(287892, 72, 76, 80, 84, 71952, 172),
    5: _Layout(287928, 76, 80, 84, 88, 71960, 180),
}
_LAYOUTS_2X2 = {
    1: _Layout(71996, 36, None, 40, 44, 0, 172),
    2: _Layout(72008, 40, None, 44, 48, 0, 180),
}


@dataclass(frozen=True, eq=False)
class CspadConfig:
    """What a CSPAD configuration says about its data; see `Configuration`."""

    detector: Detector
    name: str
    version: int
    quad_mask: int
    asic_mask: int
    roi_mask: int | None
    gain_maps: NDArray[np.uint16]
    """``(quadrants, 185, 194)``: bit k is ASIC k of the quadrant, 1 = high gain."""
    gain_code: ClassVar[None] = None

    def __getstate__(self) -> dict[str, Any]:
        # what was derived is not sent along with some events: it is ten times as large
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def same_as(self, other: object) -> bool:
        """Whether both say the same."""
        if not isinstance(other, CspadConfig):
            return False
        return np.array_equal(self.gain_maps, other.gain_maps) and all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in fields(self)
            if field.name != "gain_maps"
        )

    @property
    def modules(self) -> tuple[int, ...]:
        """Sections that are read out."""
        if len(self.detector.groups) == 1:
            return tuple(range(self.detector.modules))
        version = 1 if self.roi_mask is None else 2
        return tuple(
            group.modules[section]
            for quad, group in enumerate(self.detector.groups)
            if self.quad_mask >> quad & 1
            for section in self.sections(quad, version)
        )

    def sections(self, quad: int, element_version: int) -> tuple[int, ...]:
        """Sections of a quadrant that its data hold, in the order they are stored."""
        if element_version == 1:  # ElementV1 knows no region of interest
            return (0, 1) if self.asic_mask & 0xF == 1 else tuple(range(SECTIONS))
        return self._regions[quad]

    @cached_property
    def _regions(self) -> list[tuple[int, ...]]:
        """Sections in the region of interest, by quadrant."""
        masks = [(self.roi_mask or 0) >> SECTIONS * quad for quad in range(len(CSPAD.groups))]
        return [tuple(s for s in range(SECTIONS) if mask >> s & 1) for mask in masks]

    @cached_property
    def low_gain(self) -> NDArray[np.bool_]:
        """True where a pixel is in low gain, bool array of the detector's shape."""
        low = np.empty(self.detector.shape, dtype=bool)
        for quad, sections in enumerate(self.detector.by_group(low)):
            asics = self.detector.by_asic(sections)
            for number, place in enumerate(np.ndindex(asics.shape[:2])):
                asics[place] = (self.gain_maps[quad] & np.uint16(1 << number)) == 0
        low.flags.writeable = False
        return low


@dataclass(frozen=True)
class CspadDecoder:
    """Decoder of the CSPAD, or of its 2×2; see `Decoder`."""

    detector: Detector
    name: str
    config_type: int
    element_type: int
    layouts: dict[int, _Layout]

    @property
    def config_types(self) -> frozenset[int]:
        """Types of its configurations."""
        return frozenset({self.config_type})

    @property
    def element_types(self) -> frozenset[int]:
        """Types of its data."""
        return frozenset({self.element_type})

    @property
    def largest_element(self) -> int:
        """Twice the full size: compressed noise may be larger than plain pixels."""
        quads = len(self.detector.groups) * (ELEMENT_HEADER + ELEMENT_TRAILER)
        return 2 * (quads + 2 * self.detector.pixels)

    def read_config(self, xtc: Xtc, payload: bytes) -> CspadConfig:
        """Read a configuration."""
        sizes = {version: layout.size for version, layout in self.layouts.items()}
        check_config(xtc, payload, self.name, sizes)
        layout = self.layouts[xtc.version]

        def number(offset: int) -> int:
            return int(unpack_from("<I", payload, offset)[0])

        starts = [
            layout.quads + quad * layout.stride + layout.gain_map
            for quad in range(len(self.detector.groups))
        ]
        maps = [np.frombuffer(payload, "<u2", GAIN_MAP_ITEMS, start) for start in starts]
        return CspadConfig(
            self.detector,
            self.name,
            version=xtc.version,
            quad_mask=1 if layout.quad_mask is None else number(layout.quad_mask),
            asic_mask=number(layout.asic_mask),
            roi_mask=None if layout.roi_mask is None else number(layout.roi_mask),
            gain_maps=np.stack(maps).reshape(-1, *self.detector.asic_shape),
        )

    def read_element(
        self, xtc: Xtc, payload: memoryview, config: Configuration | None
    ) -> tuple[ModulePixels, ...]:
        """Pixels of a data object, by quadrant.

        Quadrants are told by the number in their own header, never by their place. Bytes after
        the last quadrant are ignored.
        """
        if len(self.detector.groups) == 1:
            return _read_2x2(xtc, payload)
        if (
            not isinstance(config, CspadConfig)
            or config.detector is not self.detector
            or (xtc.version == 2 and config.roi_mask is None)
        ):
            raise PayloadError(
                f"{self.detector.name} data V{xtc.version} without a configuration that "
                "describes it."
            )
        if xtc.version not in (1, 2):
            raise PayloadError(
                f"expected {self.detector.name} data version 1 or 2, found version {xtc.version}."
            )
        wanted = (config.quad_mask & 0xF).bit_count()
        read = _read_compressed if xtc.compressed else _read_plain
        quadrants = read(xtc, payload, config, wanted)
        if not quadrants:
            raise PayloadError(
                f"expected {wanted} {self.detector.name} quadrants, the payload of {xtc.size} "
                "bytes holds none."
            )
        groups = self.detector.groups
        return tuple(
            ModulePixels(
                tuple(groups[quad].modules[section] for section in sections),
                pixels.reshape(len(sections), *self.detector.module_shape),
            )
            for quad, (sections, pixels) in sorted(quadrants.items())
            if sections
        )


_Quadrants = dict[int, tuple[tuple[int, ...], NDArray[np.int16]]]
"""Sections and their pixels (flat) by quadrant."""


def _read_plain(xtc: Xtc, payload: memoryview, config: CspadConfig, wanted: int) -> _Quadrants:
    quadrants: _Quadrants = {}
    place, end = 0, len(payload)
    for _ in range(wanted):
        if end - place < ELEMENT_HEADER:
            break
        quad = payload[place + 7] & 3
        sections = config.sections(quad, xtc.version)
        count = len(sections) * SECTION_PIXELS
        if end - place < ELEMENT_HEADER + 2 * count:
            break
        if quad not in quadrants:
            quadrants[quad] = sections, _view(payload, count, place + ELEMENT_HEADER)
        place += ELEMENT_HEADER + 2 * count + ELEMENT_TRAILER
    return quadrants


def _read_compressed(xtc: Xtc, payload: memoryview, config: CspadConfig, wanted: int) -> _Quadrants:
    quadrants: _Quadrants = {}
    limit = SECTIONS * SECTION_BYTES + ELEMENT_TRAILER
    for header, pixels in decompress(bytes(payload), ELEMENT_HEADER, limit, wanted):
        quad = header[7] & 3
        sections = config.sections(quad, xtc.version)
        count = len(sections) * SECTION_PIXELS
        if pixels.size < count:
            raise PayloadError(f"expected {count} pixels of quadrant {quad}, found {pixels.size}.")
        quadrants.setdefault(quad, (sections, pixels[:count]))
    return quadrants


def _read_2x2(xtc: Xtc, payload: memoryview) -> tuple[ModulePixels, ...]:
    count = CSPAD_2X2.pixels
    pixels: NDArray[np.int16] = np.empty(0, dtype="<i2")
    if xtc.compressed:
        blocks = decompress(bytes(payload), ELEMENT_HEADER, 2 * count + ELEMENT_TRAILER, 1)
        pixels = blocks[0][1] if blocks else pixels
    elif len(payload) >= ELEMENT_HEADER + 2 * count:
        pixels = _view(payload, count, ELEMENT_HEADER)
    if pixels.size < count:
        raise PayloadError(
            f"expected {ELEMENT_HEADER + 2 * count} bytes of CsPad2x2 data, found {xtc.size}."
        )
    # the section is the fastest index
    sections = pixels[:count].reshape(*CSPAD_2X2.module_shape, -1).transpose(2, 0, 1)
    return (ModulePixels(tuple(range(CSPAD_2X2.modules)), sections),)


def _view(payload: memoryview, count: int, place: int) -> NDArray[np.int16]:
    pixels = np.frombuffer(payload, "<i2", count, place)
    pixels.flags.writeable = False
    return pixels


CSPAD_DECODERS = (
    CspadDecoder(CSPAD, "CspadConfig", 29, 28, _LAYOUTS),
    CspadDecoder(CSPAD_2X2, "CsPad2x2Config", 43, 41, _LAYOUTS_2X2),
)
