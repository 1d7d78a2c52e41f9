"""CSPAD objects: configurations V1–V5, elements V1 and V2, and the small CsPad2x2.

Layouts from ``psddldata/data/cspad.ddl.xml`` and ``cspad2x2.ddl.xml``. An element cannot be
decoded without the configuration of the same source, which says which sections it holds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.detector import (
    ASIC_COLUMNS,
    COLUMNS,
    QUADRANTS,
    ROWS,
    SENSORS_PER_QUADRANT,
    SHAPE,
    SHAPE_2X2,
)
from workbench.errors import FileFormatError
from workbench.runs.xtc.compression import decompress
from workbench.runs.xtc.datagram import TypeId, Xtc, XtcFile

ELEMENT_HEADER = 32
SECTION_PIXELS = ROWS * COLUMNS
SECTION_BYTES = 2 * SECTION_PIXELS
GAIN_MAP_ITEMS = ROWS * ASIC_COLUMNS
SIZE_2X2 = ELEMENT_HEADER + 2 * SECTION_BYTES

ALL_SECTIONS = tuple(range(SENSORS_PER_QUADRANT))

_U32 = Struct("<I")


class _Layout(NamedTuple):
    """Offsets of one version of CspadConfig; `gain_map` is counted within a quad."""

    size: int
    asic_mask: int
    quad_mask: int
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


class _Layout2x2(NamedTuple):
    size: int
    asic_mask: int
    roi_mask: int
    gain_map: int


def _layout_2x2(size: int, asic_mask: int, roi_mask: int, quad: int, gain: int) -> _Layout2x2:
    return _Layout2x2(size, asic_mask, roi_mask, quad + gain)


_LAYOUTS_2X2 = {
    1: _layout_2x2(71996, 36, 40, 44, 172),
    2: _layout_2x2(72008, 40, 44, 48, 180),
}


class QuadData(NamedTuple):
    """Sections of one quadrant as they lie in the file."""

    quad: int
    sections: tuple[int, ...]
    pixels: NDArray[np.int16]
    """``(len(sections), 185, 388)``, read-only; a view into the file if stored uncompressed."""


@dataclass(frozen=True, eq=False)
class Config:
    """What a CSPAD configuration says about its data."""

    version: int
    small: bool
    quad_mask: int
    asic_mask: int
    roi_mask: int | None
    gain_maps: NDArray[np.uint16]
    """``(quadrants, 185, 194)``: bit k is ASIC k of the quadrant, 1 = high gain."""

    def __getstate__(self) -> dict[str, Any]:
        # what was derived is not sent along with a part of a run: it is ten times as large
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def same_as(self, other: Config) -> bool:
        """Whether both say the same."""
        return np.array_equal(self.gain_maps, other.gain_maps) and all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in fields(self)
            if field.name != "gain_maps"
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the detector's array."""
        return SHAPE_2X2 if self.small else SHAPE

    def sections(self, quad: int, element_version: int) -> tuple[int, ...]:
        """Sections of a quadrant that its element holds, in the order they are stored."""
        if element_version == 1:  # ElementV1 knows no region of interest
            return (0, 1) if self.asic_mask & 0xF == 1 else ALL_SECTIONS
        return self._regions[quad]

    @cached_property
    def _regions(self) -> list[tuple[int, ...]]:
        """Sections in the region of interest, by quadrant."""
        masks = [(self.roi_mask or 0) >> 8 * quad for quad in range(QUADRANTS)]
        return [tuple(s for s in ALL_SECTIONS if mask >> s & 1) for mask in masks]

    @cached_property
    def low_gain(self) -> NDArray[np.bool_]:
        """True where a pixel is in low gain, bool array of `shape`."""
        sections = self.shape[0] // len(self.gain_maps)
        low = np.empty((len(self.gain_maps), sections, ROWS, 2, ASIC_COLUMNS), dtype=bool)
        for section in range(sections):
            for asic in range(2):
                bit = np.uint16(1 << 2 * section + asic)
                low[:, section, :, asic] = (self.gain_maps & bit) == 0
        low = low.reshape(self.shape)
        low.flags.writeable = False
        return low


def is_config(xtc: Xtc) -> bool:
    """True for a CSPAD or CsPad2x2 configuration."""
    return xtc.type_id in (TypeId.CSPAD_CONFIG, TypeId.CSPAD2X2_CONFIG)


def is_element(xtc: Xtc) -> bool:
    """True for CSPAD or CsPad2x2 data."""
    return xtc.type_id in (TypeId.CSPAD_ELEMENT, TypeId.CSPAD2X2_ELEMENT)


def read_config(file: XtcFile, xtc: Xtc) -> Config:
    """Read a configuration object.

    Raises
    ------
    FileFormatError
        If its version is unknown or it is shorter than that version.
    """
    small = xtc.type_id == TypeId.CSPAD2X2_CONFIG
    layouts: dict[int, Any] = _LAYOUTS_2X2 if small else _LAYOUTS
    name = "CsPad2x2Config" if small else "CspadConfig"
    layout = layouts.get(xtc.version)
    if layout is None or xtc.compressed:
        problem = f"expected {name} version 1 to {len(layouts)}, found version {xtc.version}."
        raise FileFormatError(file.path, problem, offset=xtc.offset)
    if xtc.size < layout.size:
        problem = f"expected {layout.size} bytes of {name}V{xtc.version}, found {xtc.size}."
        raise FileFormatError(file.path, problem, offset=xtc.offset)

    def number(offset: int) -> int:
        return _U32.unpack_from(file.buffer, xtc.offset + offset)[0]

    starts = [layout.gain_map]
    if not small:
        starts = [layout.quads + q * layout.stride + layout.gain_map for q in range(QUADRANTS)]
    maps = [file.array("<u2", GAIN_MAP_ITEMS, xtc.offset + start) for start in starts]
    return Config(
        version=xtc.version,
        small=small,
        quad_mask=1 if small else number(layout.quad_mask),
        asic_mask=number(layout.asic_mask),
        roi_mask=None if layout.roi_mask is None else number(layout.roi_mask),
        gain_maps=np.stack(maps).reshape(-1, ROWS, ASIC_COLUMNS),
    )


def read_element(file: XtcFile, xtc: Xtc, config: Config | None) -> tuple[QuadData, ...]:
    """Find the pixels of one data object; uncompressed ones are views into the file.

    Quadrants are told by the number in their own header, never by their place. Quadrants and
    sections the configuration leaves out are simply not there; so are those missing from the
    payload. Bytes after the last quadrant are ignored.

    Raises
    ------
    FileFormatError
        If not even one quadrant can be read.
    """
    if xtc.type_id == TypeId.CSPAD2X2_ELEMENT:
        return _read_2x2(file, xtc)
    if config is None or config.small or (xtc.version == 2 and config.roi_mask is None):
        problem = f"CSPAD data V{xtc.version} without a configuration that describes it."
        raise FileFormatError(file.path, problem, offset=xtc.offset)
    if xtc.version not in (1, 2):
        problem = f"expected CSPAD data version 1 or 2, found version {xtc.version}."
        raise FileFormatError(file.path, problem, offset=xtc.offset)
    wanted = (config.quad_mask & 0xF).bit_count()
    found: dict[int, QuadData] = {}
    if xtc.compressed:
        limit = SENSORS_PER_QUADRANT * SECTION_BYTES + 4
        payload = file.buffer[xtc.offset : xtc.offset + xtc.size]
        blocks = decompress(payload, file.path, xtc.offset, ELEMENT_HEADER, limit, wanted)
        for header, pixels in blocks:
            quad = header[7] & 3
            sections = config.sections(quad, xtc.version)
            count = len(sections) * SECTION_PIXELS
            if pixels.size < count:
                problem = f"expected {count} pixels of quadrant {quad}, found {pixels.size}."
                raise FileFormatError(file.path, problem, offset=xtc.offset)
            found.setdefault(quad, _quad(quad, sections, pixels[:count]))
    else:
        place, end = xtc.offset, xtc.offset + xtc.size
        for _ in range(wanted):
            if end - place < ELEMENT_HEADER:
                break
            quad = file.buffer[place + 7] & 3
            sections = config.sections(quad, xtc.version)
            count = len(sections) * SECTION_PIXELS
            if end - place < ELEMENT_HEADER + 2 * count:
                break
            if quad not in found:
                pixels = file.array("<i2", count, place + ELEMENT_HEADER)
                found[quad] = _quad(quad, sections, pixels)
            place += ELEMENT_HEADER + 2 * count + 4
    if not found:
        problem = f"expected {wanted} CSPAD quadrants, the payload of {xtc.size} bytes holds none."
        raise FileFormatError(file.path, problem, offset=xtc.offset)
    return tuple(found[quad] for quad in sorted(found) if found[quad].sections)


def _quad(quad: int, sections: tuple[int, ...], pixels: NDArray[np.int16]) -> QuadData:
    return QuadData(quad, sections, _aligned(pixels.reshape(len(sections), ROWS, COLUMNS)))


def _aligned(pixels: NDArray[np.int16]) -> NDArray[np.int16]:
    # extents are multiples of 4 by construction; a file that breaks this is copied once
    return pixels if pixels.flags.aligned else pixels.copy()


def _read_2x2(file: XtcFile, xtc: Xtc) -> tuple[QuadData, ...]:
    count = 2 * SECTION_PIXELS
    if xtc.compressed:
        payload = file.buffer[xtc.offset : xtc.offset + xtc.size]
        blocks = decompress(payload, file.path, xtc.offset, ELEMENT_HEADER, 2 * count + 4, 1)
        pixels = blocks[0][1] if blocks else np.empty(0, dtype="<i2")
    elif xtc.size >= SIZE_2X2:
        pixels = file.array("<i2", count, xtc.offset + ELEMENT_HEADER)
    else:
        pixels = np.empty(0, dtype="<i2")
    if pixels.size < count:
        problem = f"expected {SIZE_2X2} bytes of CsPad2x2 data, found {xtc.size}."
        raise FileFormatError(file.path, problem, offset=xtc.offset)
    sections = pixels[:count].reshape(ROWS, COLUMNS, 2).transpose(2, 0, 1)
    return (QuadData(0, (0, 1), _aligned(sections)),)


def gather(
    quads: tuple[QuadData, ...], shape: tuple[int, ...], out: NDArray[np.int16] | None = None
) -> NDArray[np.int16]:
    """Assemble the detector's array ``shape`` from its quadrants; absent parts are 0."""
    if out is None:
        out = np.empty(shape, dtype=np.int16)
    if sum(len(quad.sections) for quad in quads) < shape[0]:
        out[:] = 0
    for quad in quads:
        first = SENSORS_PER_QUADRANT * quad.quad
        if quad.sections == tuple(range(len(quad.sections))):
            out[first : first + len(quad.sections)] = quad.pixels
        else:
            out[[first + section for section in quad.sections]] = quad.pixels
    return out
