"""What a detector is: modules of pixels, their ASICs, and the groups that move as one.

Every full-detector array has the shape ``(modules, rows, columns)``. A module is what the data
deliver as one block (a CSPAD sensor of 185 × 388 pixels); a group is what is mounted as one piece
(a CSPAD quadrant of eight sensors) and moves as one in the alignment.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Group:
    """Modules that move as one.

    Attributes
    ----------
    name : e.g. ``Q0``.
    modules : indices of its modules in the detector's arrays, consecutive.
    """

    name: str
    modules: range

    @property
    def slice(self) -> slice:
        """Its modules, as an index of the first axis of a detector array."""
        return slice(self.modules.start, self.modules.stop)


@dataclass(frozen=True)
class Grouping:
    """Another choice of what moves as one, e.g. the two sides of a detector on two motors.

    Attributes
    ----------
    name : by which the recipe chooses it (``alignment.groups``).
    groups : in array order; each has all modules of some of the detector's own groups.
    self_rotation : each spans enough angle for maps of its rotational self-correlation.
    """

    name: str
    groups: tuple[Group, ...]
    self_rotation: bool


class Placement(NamedTuple):
    """Place of an object in its parent's frame: origin (µm) and turns about the axes (degrees)."""

    x_um: float
    y_um: float
    rot_z_deg: float
    rot_y_deg: float = 0.0
    rot_x_deg: float = 0.0


@dataclass(frozen=True)
class GeometryTree:
    """Names of the objects in a SLAC geometry file, and their places in the design.

    Attributes
    ----------
    module, group, detector : object names, e.g. ``SENS2X1:V1``, ``QUAD:V1``, ``CSPAD:V1``;
        `group` is None where the file has no level of groups.
    modules : design place of each module in its parent's frame.
    groups : design place of each group in the detector's frame; empty without such a level.
    rail : name of the object that carries the detector along the beam; None where the detector
        stands in the top frame itself.
    rot_z_deg : turn of the detector about z in the frame above it.
    """

    module: str
    group: str | None
    detector: str
    modules: tuple[Placement, ...]
    groups: tuple[Placement, ...] = ()
    rail: str | None = "RAIL"
    rot_z_deg: float = 0.0

    @property
    def module_type(self) -> str:
        """Name of a module without its version, e.g. ``SENS2X1``."""
        return self.module.partition(":")[0]


@dataclass(frozen=True)
class GainRanges:
    """How a detector that chooses its gain by pixel and event says which one a datum has.

    A raw datum holds its ADC value in the lowest `data_bits` bits and gain bits above them. Which
    range they stand for may depend on how the pixel is configured: on its gain code.

    Attributes
    ----------
    names : of the ranges, in the order of the files of constants, e.g. ``AHL-H``.
    factors : what a value in each range is multiplied with to be on the scale of the first range;
        nominal, for use without constants of gain. Below 0 where the ADC value falls with light.
    table : range by gain code of the pixel and by the two highest bits of the datum (15 and 14);
        -1 where no range has them.
    common_mode : ranges whose pixels take part in the common mode.
    banks : blocks of a module that are read out together, down and across; their pixels share a
        common mode.
    data_bits : bits of the ADC value.
    """

    names: tuple[str, ...]
    factors: tuple[float, ...]
    table: tuple[tuple[int, int, int, int], ...]
    common_mode: tuple[int, ...]
    banks: tuple[int, int]
    data_bits: int = 14

    @property
    def count(self) -> int:
        """Number of ranges."""
        return len(self.names)


class Part(NamedTuple):
    """A group, module or ASIC of a detector, as an index of its arrays."""

    modules: slice
    rows: slice
    columns: slice


@dataclass(frozen=True)
class Detector:
    """What a detector is.

    Attributes
    ----------
    name : e.g. ``CSPAD``.
    calib_group : its folder in the calibration directory, e.g. ``CsPad::CalibV1``.
    device : its device in addresses, e.g. ``Cspad`` in ``CxiDs1.0:Cspad.0``.
    address : an address to start with, as example and default.
    module_shape : rows and columns of a module.
    asic_grid : ASICs of a module, down and across.
    groups : what moves as one, in array order; together all modules.
    groupings : other choices of that, see `grouped`.
    grouping : name of the choice that `groups` is; ``default`` for the detector's own.
    pixel_um : size of a pixel.
    wide_um : size of the pixels on both sides of a seam between ASICs, across the seam.
    adc_max_adu : largest value of the ADC; pixels that reach it are saturated.
    low_gain_factor : usual ratio of high to low gain, where the configuration of a run chooses
        one of two gains for each pixel; else None.
    gain_ranges : how raw data say which gain they have; None if they do not.
    unbonded_in_asic : rows and columns, in each ASIC, of pixels without a bond to the sensor.
    tree : names and design places of its objects in geometry files.
    interleaved_constants : the module is the fastest index in files of constants.
    self_rotation : each group spans enough angle for maps of its rotational self-correlation.
    sensor_um : thickness of the silicon sensor; photons are absorbed at some depth in it.
    cbf_type : its type in the headers of CBF files; None if no CBF is made of it.
    rows_up : names of those modules in geometry files whose row 0 lies at the bottom, at the lowest
        y of the module's frame; it lies at the top of all others.
    module_panels : CrystFEL's files name its panels by module (``p0a0``) and hold its modules as a
        stack; else by group (``q0a0``), in Cheetah's slab.
    """

    name: str
    calib_group: str
    device: str
    address: str
    module_shape: tuple[int, int]
    asic_grid: tuple[int, int]
    groups: tuple[Group, ...]
    pixel_um: float
    wide_um: float
    adc_max_adu: int
    tree: GeometryTree
    low_gain_factor: float | None = None
    unbonded_in_asic: tuple[tuple[int, int], ...] = ()
    interleaved_constants: bool = False
    self_rotation: bool = True
    sensor_um: float = 500.0
    gain_ranges: GainRanges | None = None
    cbf_type: str | None = None
    module_panels: bool = False
    rows_up: tuple[str, ...] = ()
    groupings: tuple[Grouping, ...] = ()
    grouping: str = "default"

    def __post_init__(self) -> None:
        rows, columns = self.module_shape
        down, across = self.asic_grid
        if rows % down or columns % across:
            raise ValueError(f"{self.name}: {self.module_shape} is not divided by {self.asic_grid}")
        for groups in (self.groups, *(grouping.groups for grouping in self.groupings)):
            if [m for group in groups for m in group.modules] != list(range(self.modules)):
                raise ValueError(f"{self.name}: the groups do not list all modules in order")

    def __repr__(self) -> str:
        return f"<Detector {self.name}: {self.shape_text}>"

    # ---- sizes -------------------------------------------------------------------------------

    @property
    def a_name(self) -> str:
        """Its name after ``a`` or ``an``."""
        return f"{'an' if self.name[0] in 'AEIOUaeiou' else 'a'} {self.name}"

    @property
    def modules(self) -> int:
        """Number of modules."""
        return self.groups[-1].modules.stop

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the detector's arrays: modules, rows, columns."""
        return (self.modules, *self.module_shape)

    @property
    def shape_text(self) -> str:
        """Shape for people, e.g. ``32 × 185 × 388``."""
        return " × ".join(map(str, self.shape))

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return math.prod(self.shape)

    @property
    def raw_dtype(self) -> type[np.int16] | type[np.uint16]:
        """Type of raw pixels; without sign where gain bits stand above the ADC value."""
        return np.int16 if self.gain_ranges is None else np.uint16

    @property
    def saturation_adu(self) -> float:
        """Value that no pixel in range reaches: the ADC's largest, on the scale of high gain."""
        factors = (1.0,) if self.gain_ranges is None else self.gain_ranges.factors
        return float(self.adc_max_adu) * max(map(abs, factors))

    @property
    def rows(self) -> int:
        """Rows of a module (slow axis)."""
        return self.module_shape[0]

    @property
    def columns(self) -> int:
        """Columns of a module (fast axis)."""
        return self.module_shape[1]

    @property
    def asics_per_module(self) -> int:
        """Number of ASICs of a module."""
        return math.prod(self.asic_grid)

    @property
    def asics(self) -> int:
        """Number of ASICs."""
        return self.modules * self.asics_per_module

    @property
    def asic_shape(self) -> tuple[int, int]:
        """Rows and columns of an ASIC."""
        return self.rows // self.asic_grid[0], self.columns // self.asic_grid[1]

    @property
    def modules_per_group(self) -> int:
        """Number of modules of each group.

        Raises
        ------
        ValueError
            If the groups differ in size.
        """
        (size,) = {len(group.modules) for group in self.groups}
        return size

    @property
    def group_word(self) -> str:
        """What its groups are called: ``quadrant``, ``side`` of two, ``module`` if each is one."""
        if all(len(group.modules) == 1 for group in self.groups):
            return "module"
        return "side" if len(self.groups) == 2 else "quadrant"

    def grouped(self, grouping: str) -> Detector:
        """This detector with the groups of one of its `groupings`; ``default`` gives itself.

        For what moves modules. Names, files and masks are those of the detector's own groups.

        Raises
        ------
        WorkbenchError
            If it has no such grouping; the message lists those it has.
        """
        if grouping == self.grouping:
            return self
        for choice in self.groupings:
            if choice.name == grouping:
                return replace(
                    self, groups=choice.groups, self_rotation=choice.self_rotation,
                    grouping=grouping,
                )  # fmt: skip
        names = " or ".join(repr(name) for name in self.grouping_names)
        raise WorkbenchError(
            f"{self.name} has no groups {grouping!r}; set alignment.groups to {names}."
        )

    @property
    def grouping_names(self) -> tuple[str, ...]:
        """What `grouped` knows."""
        return "default", *(grouping.name for grouping in self.groupings)

    def by_module(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values ``(groups, …)`` repeated for each module of a group, ``(modules, …)``."""
        return np.repeat(values, [len(group.modules) for group in self.groups], axis=0)

    def asics_of(self, group: Group) -> slice:
        """ASICs of a group, as an index of arrays over all ASICs in panel order."""
        each = self.asics_per_module
        return slice(group.modules.start * each, group.modules.stop * each)

    # ---- arrays ------------------------------------------------------------------------------

    def by_group(self, array: NDArray[Any]) -> NDArray[Any]:
        """View ``(groups, modules of a group, rows, columns)`` of a detector array."""
        return array.reshape(len(self.groups), self.modules_per_group, *self.module_shape)

    def by_asic(self, array: NDArray[Any]) -> NDArray[Any]:
        """Detector array as ``(modules, ASICs of a module, rows, columns of an ASIC)``.

        ASICs are counted along the rows of the module first. The leading axis may be any number
        of modules. It is a view where the ASICs stand in one row, else a copy.
        """
        down, across = self.asic_grid
        rows, columns = self.asic_shape
        tiles = array.reshape(-1, down, rows, across, columns).swapaxes(2, 3)
        return tiles.reshape(-1, down * across, rows, columns)

    def asic_of_pixel(self) -> NDArray[np.uint16]:
        """Which ASIC of its module each pixel belongs to, ``(rows, columns)``, as in `by_asic`."""
        height, width = self.asic_shape
        down = np.arange(self.rows, dtype=np.uint16)[:, None] // np.uint16(height)
        across = np.arange(self.columns, dtype=np.uint16) // np.uint16(width)
        return np.asarray(down * np.uint16(self.asic_grid[1]) + across)

    def asic_stack(self, array: NDArray[Any]) -> NDArray[Any]:
        """Copy ``(ASICs, rows, columns of an ASIC)`` of a detector array, in panel order."""
        return self.by_asic(array).reshape(-1, *self.asic_shape)

    def from_asic_stack(self, stack: NDArray[Any]) -> NDArray[Any]:
        """Inverse of `asic_stack`."""
        down, across = self.asic_grid
        rows, columns = self.asic_shape
        tiles = np.asarray(stack).reshape(self.modules, down, across, rows, columns)
        return tiles.swapaxes(2, 3).reshape(self.shape)

    @property
    def slab_shape(self) -> tuple[int, int]:
        """Shape of Cheetah's slab: modules of a group down, groups across."""
        return self.modules_per_group * self.rows, len(self.groups) * self.columns

    @property
    def crystfel_shape(self) -> tuple[int, ...]:
        """Shape of a frame in CrystFEL's files: Cheetah's slab, or the stack of modules."""
        return self.shape if self.module_panels else self.slab_shape

    def to_crystfel(self, array: NDArray[Any]) -> NDArray[Any]:
        """Detector array as CrystFEL's files hold it; see `crystfel_shape`."""
        return array if self.module_panels else self.to_slab(array)

    def to_slab(self, array: NDArray[Any]) -> NDArray[Any]:
        """Cheetah's slab of a detector array; see `slab_shape`."""
        tiles = array.reshape(len(self.groups), -1, self.columns)
        return tiles.transpose(1, 0, 2).reshape(self.slab_shape)

    def as_array(self, array: ArrayLike) -> NDArray[Any] | None:
        """Array in the layout ``(modules, rows, columns)``, a view where possible; else None.

        Understood are that layout, groups × modules × rows × columns, psana's two-dimensional
        ones (modules or ASICs below one another), ASIC panels, Cheetah's slab and the flat
        values. Leading axes of length 1 are dropped.
        """
        values = np.asarray(array)
        for leading in range(values.ndim):
            candidate = values.reshape(values.shape[leading:])
            shape: tuple[int, ...] = candidate.shape
            if shape == self.shape:
                return candidate
            if shape == (self.asics, *self.asic_shape):
                return self.from_asic_stack(candidate)
            if len(self.groups) > 1 and shape == self.slab_shape:
                slab = candidate.reshape(-1, len(self.groups), self.columns)
                return slab.transpose(1, 0, 2).reshape(self.shape)
            if shape in self._plain_shapes:
                return candidate.reshape(self.shape)
            if values.shape[leading] != 1:
                return None
        return None

    @cached_property
    def _plain_shapes(self) -> frozenset[tuple[int, ...]]:
        """Shapes that hold the pixels in the same order."""
        rows, columns = self.module_shape
        lines = self.modules * rows
        shapes: set[tuple[int, ...]] = {(lines, columns), (self.pixels,)}
        if self.asic_grid[0] == 1:
            shapes.add((lines * self.asic_grid[1], self.asic_shape[1]))
        if len({len(group.modules) for group in self.groups}) == 1:
            shapes.add((len(self.groups), self.modules_per_group, rows, columns))
        return frozenset(shapes)

    # ---- names -------------------------------------------------------------------------------

    def module_name(self, module: int) -> str:
        """Name of a module, e.g. ``Q0S5``."""
        for group in self.groups:
            if module in group.modules:
                return f"{group.name}S{module - group.modules.start}"
        raise WorkbenchError(f"{self.name} has no module {module}.")

    def asic_names(self) -> list[str]:
        """Names of all ASICs in panel order, e.g. ``Q0S0A0``."""
        return [
            f"{self.module_name(module)}A{asic}"
            for module in range(self.modules)
            for asic in range(self.asics_per_module)
        ]

    def panel_names(self) -> list[str]:
        """Names of the panels in CBF files, in panel order, e.g. ``ARRAY_D0Q0S0A0``."""
        return [f"ARRAY_D0{name}" for name in self.asic_names()]

    def part(self, name: str) -> Part:
        """Pixels of a group (``Q2``), module (``Q0S5``) or ASIC (``Q1S3A0``).

        Raises
        ------
        WorkbenchError
            If the detector has no such part; the message says which there are.
        """
        rows, columns = slice(0, self.rows), slice(0, self.columns)
        match = re.fullmatch(r"([A-Z]+\d+)(?:S(\d+)(?:A(\d+))?)?", name)
        group = match and next((g for g in self.groups if g.name == match[1]), None)
        if not match or not group:
            raise WorkbenchError(self._no_part(name))
        if match[2] is None:
            return Part(group.slice, rows, columns)
        if int(match[2]) >= len(group.modules):
            raise WorkbenchError(self._no_part(name))
        module = group.modules.start + int(match[2])
        modules = slice(module, module + 1)
        if match[3] is None:
            return Part(modules, rows, columns)
        if int(match[3]) >= self.asics_per_module:
            raise WorkbenchError(self._no_part(name))
        down, across = divmod(int(match[3]), self.asic_grid[1])
        height, width = self.asic_shape
        return Part(
            modules,
            slice(down * height, (down + 1) * height),
            slice(across * width, (across + 1) * width),
        )

    def _no_part(self, name: str) -> str:
        first, last = self.groups[0], self.groups[-1]
        end = f"{last.name}S{len(last.modules) - 1}"
        return (
            f"{self.name} has no part {name!r}; name a group {first.name}-{last.name}, a module "
            f"{first.name}S0-{end} or an ASIC {first.name}S0A0-{end}A{self.asics_per_module - 1}."
        )

    # ---- pixels ------------------------------------------------------------------------------

    @property
    def seam_gap_px(self) -> float:
        """What the wide pixels add to the distance of the pixel centres across a seam, pixels."""
        return round(2 * (self.wide_um / self.pixel_um - 1), 9)

    @property
    def wide_rows(self) -> tuple[int, ...]:
        """Rows of a module whose pixels are wide along the slow axis."""
        return _beside_seams(self.rows, self.asic_grid[0])

    @property
    def wide_columns(self) -> tuple[int, ...]:
        """Columns of a module whose pixels are wide along the fast axis."""
        return _beside_seams(self.columns, self.asic_grid[1])

    def module_coordinates_um(
        self, wide_pixel_centre: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixel coordinates in a module's own frame: x of each column, y of each row.

        The frame's origin is the module's centre; x goes along the columns, y against the rows.
        Wide pixels stand on the regular grid of their ASIC, as in psana, or with
        `wide_pixel_centre` at their true centres.
        """
        x = self._along(self.columns, self.asic_grid[1], wide_pixel_centre)
        y = self._along(self.rows, self.asic_grid[0], wide_pixel_centre)[::-1].copy()
        return x, y

    def _along(self, count: int, asics: int, wide_pixel_centre: bool) -> NDArray[np.float64]:
        """Coordinates of `count` pixels in `asics` blocks about 0, ascending."""
        if asics == 1:
            return self.pixel_um * (np.arange(count, dtype=float) - (count - 1) / 2)
        each, gap = count // asics, self.seam_gap_px
        blocks = []
        for asic in range(asics // 2):
            start = (gap + 1) / 2 + asic * (each + gap)
            block = start * self.pixel_um + self.pixel_um * np.arange(each)
            if wide_pixel_centre:
                inward = (self.wide_um - self.pixel_um) / 2
                if asic == 0:
                    block[0] = self.wide_um / 2
                else:
                    block[0] -= inward
                if asic < asics // 2 - 1:
                    block[-1] += inward
            blocks.append(block)
        outer = np.concatenate(blocks)
        return np.concatenate([-outer[::-1], outer])

    def asic_centre_px(self, asic: int) -> tuple[float, float]:
        """Centre of an ASIC's regular grid in its module's frame, in pixels (x, y).

        On that grid all pixels have the usual size, as psana, CrystFEL and CBF files count them.
        """
        down, across = divmod(asic, self.asic_grid[1])
        height, width = self.asic_shape
        x_um, y_um = self.module_coordinates_um()
        x = x_um[[across * width, (across + 1) * width - 1]].mean() / self.pixel_um
        y = y_um[[down * height, (down + 1) * height - 1]].mean() / self.pixel_um
        return round(float(x), 9), round(float(y), 9)

    def module_edges_um(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Edges of the pixels in a module's own frame: x of each column's, y of each row's.

        One more than there are columns and rows, in their order; wide pixels have their true size.
        """
        x = self._edges(self.columns, self.asic_grid[1])
        y = self._edges(self.rows, self.asic_grid[0])[::-1].copy()
        return x, y

    def _edges(self, count: int, asics: int) -> NDArray[np.float64]:
        """Edges of `count` pixels in `asics` blocks about 0, ascending."""
        if asics == 1:
            return self.pixel_um * (np.arange(count + 1, dtype=float) - count / 2)
        each = count // asics
        pitch_um = (each + self.seam_gap_px) * self.pixel_um
        blocks = []
        for block in range(asics // 2):
            edges = self.wide_um + self.pixel_um * np.arange(each) + block * pitch_um
            if block < asics // 2 - 1:
                edges[-1] = (block + 1) * pitch_um  # the next seam
            blocks.append(edges)
        outer = np.concatenate(blocks)
        return np.concatenate([-outer[::-1], [0.0], outer])

    def pixel_at_um(
        self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column of the pixels that cover places in a module's own frame.

        -1 stands for a place outside the module along that axis.
        """
        rows = self._pixel_along(-y_um, self.rows, self.asic_grid[0])
        return rows, self._pixel_along(x_um, self.columns, self.asic_grid[1])

    def _pixel_along(
        self, place_um: NDArray[np.float64], count: int, asics: int
    ) -> NDArray[np.intp]:
        if asics == 1:
            pixel = np.rint((count - 1) / 2 + place_um / self.pixel_um).astype(np.intp)
            return np.where((pixel >= 0) & (pixel < count), pixel, -1)
        each, outermost = count // asics, asics // 2 - 1
        pitch_um = (each + self.seam_gap_px) * self.pixel_um
        away = np.abs(place_um)
        block = np.minimum((away // pitch_um).astype(np.intp), outermost)
        in_block = away - block * pitch_um
        pixel = np.floor((in_block - self.wide_um) / self.pixel_um).astype(np.intp) + 1
        pixel = np.maximum(pixel, 0)
        pixel = np.where(block < outermost, np.minimum(pixel, each - 1), pixel)
        outward = block * each + pixel
        edge = self.wide_um + self.pixel_um * (each - 1)
        inside = (in_block <= edge) | (block < outermost)
        inside &= outward < count // 2
        place = np.where(place_um < 0, count // 2 - 1 - outward, count // 2 + outward)
        return np.where(inside, place, -1)

    def unbonded_pixels(self) -> NDArray[np.bool_]:
        """Where pixels are not bonded to the sensor: bool in the detector's shape, True there."""
        unbonded = np.zeros(self.shape, dtype=bool)
        height, width = self.asic_shape
        for row, column in self.unbonded_in_asic:
            unbonded[:, row::height, column::width] = True
        return unbonded

    # ---- for the browser ---------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What the front end needs to know, as plain values for JSON."""
        return {
            "name": self.name,
            "modules": self.modules,
            "rows": self.rows,
            "columns": self.columns,
            "asicGrid": list(self.asic_grid),
            "pixelMm": self.pixel_um / 1000,
            "wideMm": self.wide_um / 1000,
            "adcMax": self.adc_max_adu,
            "groupWord": self.group_word,
            "groups": [
                {"name": group.name, "start": group.modules.start, "stop": group.modules.stop}
                for group in self.groups
            ],
        }


def _beside_seams(count: int, asics: int) -> tuple[int, ...]:
    each = count // asics
    return tuple(place for seam in range(1, asics) for place in (seam * each - 1, seam * each))


def equal_groups(prefix: str, groups: int, modules_per_group: int) -> tuple[Group, ...]:
    """Groups of the same size, named ``<prefix>0``, ``<prefix>1``, …"""
    return tuple(
        Group(f"{prefix}{place}", range(place * modules_per_group, (place + 1) * modules_per_group))
        for place in range(groups)
    )
