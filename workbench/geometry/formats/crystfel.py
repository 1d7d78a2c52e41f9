"""CrystFEL ``.geom`` files: one panel per ASIC, with its corner in pixels and its directions.

Panels are named by group (``q0a0``) in Cheetah's slab, or by module (``p0a0``) in a stack of
modules (`Detector.module_panels`), as the European XFEL does for its AGIPD.

The format: crystfel_geometry(5), taw10/crystfel ``doc/man``. Its frame has z along the beam and is
right-handed; LCLS geometries are found in it in several orientations about the beam. `FRAMES` are
those with the axes of psana in them; we write psana's own laboratory frame ``(-y, -x, -z)``. When a
file is read, its frame is the one stated in a comment of ours, else the one in which the modules
are turned most like those of the design; the reader says which.

Read here and not by cfelpyutils 2.2: that refuses directions with an exponent, takes a missing or
misspelt setting for NaN without a word, names no line of a faulty file, and brings pandas.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DETECTORS, Detector
from workbench.errors import FileFormatError, GeometryError, cannot_read
from workbench.files import read_regular, replacing
from workbench.geometry.fit import orthonormal, tree_from_modules
from workbench.geometry.ideal import RAIL_Z_UM
from workbench.geometry.objects import Transform
from workbench.geometry.registry import GeometryFile, GeometryWarning, WriteOptions
from workbench.geometry.slac import decode
from workbench.geometry.tree import Geometry

FRAMES: dict[str, NDArray[np.float64]] = {
    # rows: CrystFEL x, y, z of the psana vector; all are right-handed
    "-y -x -z": np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]]),
    "-x +y -z": np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]]),
    "+y +x -z": np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]]),
    "+x -y -z": np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
}
LAB = "-y -x -z"
CLEN = "/LCLS/detector_1/EncoderValue"
_FRAME_COMMENT = "; axes x y z are psana's"
_SLAB = ("dim1 = ss", "dim2 = fs")
_PLACES = ("fs", "ss", "corner_x", "corner_y", "coffset")
LARGEST_MISFIT_UM = 1.0
"""Pixels further than this from a rigid module are said."""


@dataclass(frozen=True)
class CrystfelGeometry:
    """What a ``.geom`` file says.

    Attributes
    ----------
    geometry : in the psana frame.
    distance_mm : camera length plus the panels' common offset; None if it is a path in the data.
    offset_mm : common offset of the panels from the camera length.
    frame : which of `FRAMES` the file is in.
    left_um : how far pixels of the file are at most from those of the geometry, which has rigid
        modules where the file has single ASICs.
    """

    geometry: Geometry
    distance_mm: float | None
    offset_mm: float
    frame: str
    left_um: float


def panel_names(detector: Detector) -> list[str]:
    """Names of the panels in panel order: by group ``q0a0`` … ``q3a15``, or by module ``p0a0`` …"""
    if detector.module_panels:
        return [
            f"p{module}a{asic}"
            for module in range(detector.modules)
            for asic in range(detector.asics_per_module)
        ]
    return [
        f"q{index}a{asic}"
        for index, group in enumerate(detector.groups)
        for asic in range(len(group.modules) * detector.asics_per_module)
    ]


# ---- writing -------------------------------------------------------------------------------------


def crystfel_text(
    geometry: Geometry,
    *,
    distance_mm: float | None = None,
    data: str = "/entry_1/data_1/data",
    mask: str | None = "/entry_1/data_1/mask",
    mask_good: int = 0,
    mask_bad: int = 0xFFFF,
    frame: str | None = None,
    like: str | None = None,
) -> str:
    """Text of a ``.geom`` file for data in Cheetah's slab, or a stack of modules.

    Parameters
    ----------
    distance_mm : written as ``clen``; where it is None, the path in the data is.
    data, mask, mask_good, mask_bad : where the pixel values and the mask are in the data files.
    frame : of `FRAMES`; None for that of `like`, else for psana's laboratory frame.
    like : text of another ``.geom`` file, whose lines are all kept but for the panels' places
        and ``res``; they are written in its frame and with its common offset from ``clen``.

    Raises
    ------
    GeometryError
        If the frame is not known, or `like` is of another detector.
    """
    detector = geometry.detector
    template = None if like is None else parse_crystfel(like, "template", frame)
    frame = frame or (LAB if template is None else template.frame)
    if frame not in FRAMES:
        raise GeometryError(f"{frame!r} is not a frame; known are {', '.join(FRAMES)}.")
    if like is not None and template is not None:
        if template.geometry.detector is not detector:
            raise GeometryError(
                f"{geometry.source}: the template is of {template.geometry.detector.a_name}, the "
                f"geometry of {detector.a_name}."
            )
        offset = template.offset_mm
        panels = _panel_lines(geometry, FRAMES[frame], offset)
        camera = None if distance_mm is None else f"{(distance_mm - offset) / 1000:.12g}"
        return _filled_in(like, panels, frame, camera, detector)
    panels = _panel_lines(geometry, FRAMES[frame])
    camera = CLEN if distance_mm is None else f"{distance_mm / 1000:.12g}"
    lines = [
        f"; {detector.name} geometry, written by cspad-workbench",
        f"{_FRAME_COMMENT} {frame}",
        "",
        f"clen = {camera}",
        "photon_energy = /LCLS/photon_energy_eV",
        f"res = {1e6 / detector.pixel_um!r}",
        "adu_per_eV = 0.00338",
        "",
        f"data = {data}",
    ]
    if mask is not None:
        lines += [
            f"mask = {mask}",
            f"mask_good = 0x{mask_good:04x}",
            f"mask_bad = 0x{mask_bad:04x}",
        ]
    lines += ["dim0 = %", *([] if detector.module_panels else _SLAB), ""]
    names = panel_names(detector)
    for index, group in enumerate(detector.groups):
        lines.append(f"rigid_group_q{index} = " + ",".join(names[detector.asics_of(group)]))
    asics, by_module = detector.asics_per_module, "p" if detector.module_panels else "a"
    for module in range(detector.modules):
        of_module = names[module * asics : (module + 1) * asics]
        lines.append(f"rigid_group_{by_module}{module} = " + ",".join(of_module))
    for collection, letter, count in (
        ("quadrants", "q", len(detector.groups)), ("asics", by_module, detector.modules),
    ):  # fmt: skip
        members = ",".join(f"{letter}{index}" for index in range(count))
        lines.append(f"rigid_group_collection_{collection} = {members}")
    for name, items in panels.items():
        lines.append("")
        lines += [f"{name}/{key} = {value}" for key, value in items.items()]
    return "\n".join(lines) + "\n"


def write_crystfel(geometry: Geometry, path: Path, options: WriteOptions) -> None:
    """Write a ``.geom`` file; ``options.like`` is a file whose other lines are kept."""
    template = None if options.like is None else _read_text(options.like)
    text = crystfel_text(geometry, distance_mm=options.distance_mm, like=template)
    with replacing(path, overwrite=options.overwrite) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def _panel_lines(
    geometry: Geometry, axes: NDArray[np.float64], offset_mm: float = 0.0
) -> dict[str, dict[str, str]]:
    """Settings of each panel, with all digits that matter (1e-9 px, 1e-15 of a direction)."""
    detector = geometry.detector
    rows, columns = detector.asic_shape
    pixel_um, depth = detector.pixel_um, geometry.base.origin_um[2]
    names = iter(panel_names(detector))
    panels = {}
    for module, object_name in enumerate(geometry.modules):
        rotation, origin = geometry.transform(object_name)
        origin = axes @ (origin - [0, 0, depth])
        fast, slow = axes @ rotation[:, 0], -(axes @ rotation[:, 1])
        group = next(i for i, group in enumerate(detector.groups) if module in group.modules)
        in_group = module - detector.groups[group].modules.start
        for asic in range(detector.asics_per_module):
            # corner of the first pixel: outer edge of a regular grid of the ASIC
            x, y = detector.asic_centre_px(asic)
            corner = origin + pixel_um * ((x - columns / 2) * fast + (-y - rows / 2) * slow)
            down, across = divmod(asic, detector.asic_grid[1])
            first_column, first_row = across * columns, down * rows
            dims = {}
            if detector.module_panels:
                dims = {"dim1": str(module), "dim2": "ss", "dim3": "fs"}
            else:
                first_column += group * detector.columns
                first_row += in_group * detector.rows
            panels[next(names)] = dims | {
                "min_fs": str(first_column),
                "min_ss": str(first_row),
                "max_fs": str(first_column + columns - 1),
                "max_ss": str(first_row + rows - 1),
                "fs": _vector_text(fast),
                "ss": _vector_text(slow),
                "corner_x": f"{corner[0] / pixel_um:.9f}",
                "corner_y": f"{corner[1] / pixel_um:.9f}",
                "coffset": f"{corner[2] / 1e6 + offset_mm / 1000:.13f}",
            }
    return panels


def _vector_text(vector: NDArray[np.float64]) -> str:
    return " ".join(f"{value:+.15f}{axis}" for value, axis in zip(vector, "xyz", strict=True))


def _filled_in(
    template: str,
    panels: dict[str, dict[str, str]],
    frame: str,
    camera: str | None,
    detector: Detector,
) -> str:
    """Template with the panels' places replaced; the rest stays as it is."""
    seen: set[tuple[str, str]] = set()
    lines = [f"{_FRAME_COMMENT} {frame}"]
    for line in template.splitlines():
        name, item, _ = _split_line(line)
        if line.startswith(_FRAME_COMMENT):
            continue
        if name in panels and item in _PLACES:
            if (name, item) not in seen:
                lines.append(f"{name}/{item} = {panels[name][item]}")
            seen.add((name, item))
            continue
        if name is None and item == "clen" and camera is not None:
            line = f"clen = {camera}"
        elif item == "res":  # corners are counted in exactly these pixels
            line = f"{f'{name}/' if name else ''}res = {1e6 / detector.pixel_um!r}"
        lines.append(line)
    for name, items in panels.items():
        missing = [key for key in _PLACES if (name, key) not in seen]
        lines += [f"{name}/{key} = {items[key]}" for key in missing]
    return "\n".join(lines) + "\n"


# ---- reading -------------------------------------------------------------------------------------


def looks_like_crystfel(start: bytes) -> bool:
    """True if the first bytes of a file are those of a CrystFEL geometry."""
    return (
        re.search(rb"(?m)^\s*\w+/(min_fs|corner_x|fs|dim\d)\s*=|^\s*rigid_group", start) is not None
    )


def read_geometry(path: Path) -> GeometryFile[Geometry]:
    """Geometry and distance of a ``.geom`` file.

    Warns
    -----
    GeometryWarning
        If ASICs of one module are not those of a rigid one.
    """
    panels = read_crystfel(path)
    if panels.left_um > LARGEST_MISFIT_UM:
        warnings.warn(
            f"{path}: its ASICs do not form rigid modules; pixels are up to "
            f"{panels.left_um:.1f} µm from their places in the file.",
            GeometryWarning,
            stacklevel=2,
        )
    return GeometryFile(panels.geometry, panels.distance_mm)


def read_crystfel(path: str | os.PathLike[str], frame: str | None = None) -> CrystfelGeometry:
    """Read a ``.geom`` file of a known detector (see `panel_names`).

    Raises
    ------
    FileFormatError
        If a panel or a setting is missing or no number; the message names the line.
    """
    return parse_crystfel(_read_text(path), os.fspath(path), frame)


def parse_crystfel(text: str, name: str = "geometry", frame: str | None = None) -> CrystfelGeometry:
    """Geometry from the text of a ``.geom`` file; `frame` (of `FRAMES`) is found out if None."""
    defaults = _Settings("", name)
    panels: dict[str, _Settings] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(_FRAME_COMMENT) and frame is None:
            stated = line.removeprefix(_FRAME_COMMENT).strip()
            frame = stated if stated in FRAMES else None
        panel, item, value = _split_line(line)
        if item is None:
            if line.partition(";")[0].strip():
                raise FileFormatError(name, "expected 'name = value'.", line=number)
        elif panel is None:
            defaults[item] = (value, number)
        else:
            if panel not in panels:  # a panel starts with what was set before it
                panels[panel] = _Settings(panel, name, defaults)
            panels[panel][item] = (value, number)
    detector = max(DETECTORS, key=lambda candidate: _likeness(candidate, panels))
    names = panel_names(detector)
    missing = [panel for panel in names if panel not in panels]
    if missing:
        problem = f"expected the {detector.name} panels {names[0]} … {names[-1]}; {missing[0]} is "
        raise FileFormatError(name, f"{problem}missing.")
    places = [panels[panel].place(detector) for panel in names]
    if detector.module_panels:
        for place, panel in enumerate(names):
            panels[panel].check_module(place // detector.asics_per_module)
    fast, slow, corner = (np.stack(vectors) for vectors in zip(*places, strict=True))
    offset_um = float(corner[:, 2].mean())
    if abs(offset_um) <= 1000:  # a tilt of the detector, no motor's offset
        offset_um = 0.0
    corner[:, 2] -= offset_um
    modules, left = _modules(detector, fast, slow, corner, name)
    frame = frame or _likely_frame(detector, modules)
    back, depth = FRAMES[frame].T, np.array([0, 0, RAIL_Z_UM])
    modules = [Transform(back @ own.rotation, back @ own.origin_um + depth) for own in modules]
    comments = [f"from {os.path.basename(name)} (CrystFEL axes x y z = psana {frame})"]
    geometry = tree_from_modules(detector, modules, name, comments)
    try:
        camera_mm = float(panels[names[0]].get("clen", ("", 0))[0]) * 1000
    except ValueError:
        camera_mm = math.nan
    distance = camera_mm + offset_um / 1000 if math.isfinite(camera_mm) else None
    return CrystfelGeometry(geometry, distance, offset_um / 1000, frame, left)


def _likeness(detector: Detector, panels: dict[str, _Settings]) -> tuple[int, int, bool]:
    """Number of the detector's panels that are there, less the missing ones, and if they fit."""
    names = panel_names(detector)
    present = [panels[name] for name in names if name in panels]
    rows, columns = detector.asic_shape
    fits = all(panel.size() == [columns, rows] for panel in present[:1])
    return len(present), len(present) - len(names), fits


def _read_text(path: str | os.PathLike[str]) -> str:
    try:
        return decode(read_regular(path), os.fspath(path))
    except OSError as error:
        raise FileFormatError(path, cannot_read("geometry", error)) from error


def _split_line(line: str) -> tuple[str | None, str | None, str]:
    """Panel (None: all), setting (None: no setting) and value of a line."""
    left, equals, value = line.partition(";")[0].partition("=")
    if not equals:
        return None, None, ""
    panel, slash, item = left.strip().rpartition("/")
    return (panel.strip() if slash else None), item.strip(), value.strip()


class _Settings(dict[str, tuple[str, int]]):
    """Settings of one panel: text and line of each."""

    def __init__(self, panel: str, file: str, defaults: _Settings | None = None) -> None:
        super().__init__(defaults or {})
        self.panel, self.file = panel, file

    def refusal(self, key: str, problem: str) -> FileFormatError:
        return FileFormatError(self.file, problem, line=self.get(key, ("", None))[1])

    def number(self, key: str, default: float | None = None) -> float:
        text = self.get(key, ("", 0))[0]
        try:
            value = default if default is not None and not text else float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or abs(value) > 1e9:
            what = f"found {text[:40]!r}" if text else "it is missing"
            raise self.refusal(key, f"{self.panel}/{key} should be a number, {what}.")
        return value

    def direction(self, key: str) -> NDArray[np.float64]:
        """Unit vector of a sum such as ``+0.9x -0.1y``."""
        text = self.get(key, ("", 0))[0]
        compact = text.replace(" ", "")
        terms = re.findall(r"([+-]?(?:\d+\.?\d*|\.\d+)?(?:[eE][+-]?\d+)?)([xyz])", compact)
        if not terms or "".join(factor + axis for factor, axis in terms) != compact:
            problem = f"{self.panel}/{key} should be a direction like +0.9x -0.1y, found "
            raise self.refusal(key, f"{problem}{text[:40]!r}.")
        vector = np.zeros(3)
        for factor, axis in terms:
            vector["xyz".index(axis)] += float(factor + "1" if factor in ("", "+", "-") else factor)
        length = float(np.linalg.norm(vector))
        if not 0.9 < length < 1.1:
            problem = f"{self.panel}/{key} has length {length:.3g}; expected 1."
            raise self.refusal(key, problem)
        return vector / length

    def size(self) -> list[float]:
        """Pixels along fast and slow."""
        return [
            self.number(f"max_{axis}") - self.number(f"min_{axis}") + 1 for axis in ("fs", "ss")
        ]

    def check_module(self, module: int) -> None:
        """Refuse a panel whose data are another module's: images would be drawn wrong."""
        for key in ("dim0", "dim1"):
            text = self.get(key, ("", 0))[0]
            if text.isdecimal() and int(text) != module:
                problem = f"{self.panel} belongs to module {module}, its data to module {text} "
                raise self.refusal(key, f"{problem}({key}); the modules must be in order.")

    def place(
        self, detector: Detector
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Directions of fast and slow (unit vectors) and the first corner (µm)."""
        rows, columns = detector.asic_shape
        size = self.size()
        if size != [columns, rows]:
            problem = f"{self.panel} has {size[0]:g} × {size[1]:g} pixels, an ASIC of "
            raise self.refusal("min_fs", f"{problem}{detector.a_name} {columns} × {rows}.")
        resolution = self.number("res")
        if not 0 < resolution < 1e9:
            raise self.refusal("res", "res should be pixels per metre.")
        pixel = 1e6 / resolution
        if abs(pixel - detector.pixel_um) > 0.05:
            problem = f"its pixels are {pixel:.3f} µm, those of {detector.a_name} "
            raise self.refusal("res", f"{problem}{detector.pixel_um} µm.")
        corner = [
            self.number("corner_x") * pixel,
            self.number("corner_y") * pixel,
            self.number("coffset", 0.0) * 1e6,
        ]
        return self.direction("fs"), self.direction("ss"), np.array(corner)


def _modules(
    detector: Detector,
    fast: NDArray[np.float64],
    slow: NDArray[np.float64],
    corner: NDArray[np.float64],
    name: str,
) -> tuple[list[Transform], float]:
    """Modules through their ASICs, and how far pixels are left at most, µm."""
    (rows, columns), asics = detector.asic_shape, detector.asics_per_module
    pixel_um, panels = detector.pixel_um, panel_names(detector)
    design_px = np.array([detector.asic_centre_px(asic) for asic in range(asics)])
    middle_of_asic = pixel_um * (columns / 2 * fast + rows / 2 * slow)
    modules, left = [], 0.0
    for first in range(0, detector.asics, asics):
        own = slice(first, first + asics)
        centres = corner[own] + middle_of_asic[own]
        apart_px = np.linalg.norm(centres - centres[0], axis=1) / pixel_um
        expected_px = np.linalg.norm(design_px - design_px[0], axis=1)
        if (np.abs(apart_px - expected_px) > 3).any():
            raise FileFormatError(
                name,
                f"the ASICs {panels[first]} to {panels[first + asics - 1]} are not side by side as "
                f"on a module of {detector.a_name}; a SLAC file cannot describe this geometry.",
            )
        rotation = orthonormal(fast[own].mean(axis=0), -slow[own].mean(axis=0))
        middle = centres.mean(axis=0)
        modules.append(Transform(rotation, middle))
        for panel, (x, y) in zip(range(first, first + asics), design_px, strict=True):
            for u, v in _corner_pixels(rows, columns):
                there = corner[panel] + pixel_um * (u * fast[panel] + v * slow[panel])
                own_frame = [x + u - columns / 2, y + rows / 2 - v, 0]
                ours = middle + pixel_um * (rotation @ own_frame)
                left = max(left, float(np.abs(there - ours).max()))
    return modules, left


def _corner_pixels(rows: int, columns: int) -> Iterator[tuple[float, float]]:
    """Centres of the four corner pixels of an ASIC, fast and slow, in pixels."""
    for u in (0.5, columns - 0.5):
        for v in (0.5, rows - 0.5):
            yield u, v


def _likely_frame(detector: Detector, modules: Sequence[Transform]) -> str:
    """Frame in which the modules are turned most like those of the design."""
    design = Geometry.ideal(detector)
    wanted = [design.transform(module).rotation for module in design.modules]

    def likeness(axes: NDArray[np.float64]) -> float:
        return sum(
            float(np.trace(ideal.T @ axes.T @ module.rotation))
            for ideal, module in zip(wanted, modules, strict=True)
        )

    return max(FRAMES, key=lambda frame: likeness(FRAMES[frame]))
