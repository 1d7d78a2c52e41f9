"""CrystFEL ``.geom`` files: 64 panels with corners in pixels and directions of fast and slow.

The format: crystfel_geometry(5), taw10/crystfel ``doc/man``. Its frame has z along the beam and is
right-handed; LCLS geometries are found in it in several orientations about the beam. `FRAMES` are
those with the axes of psana in them; we write psana's own laboratory frame ``(-y, -x, -z)``. When a
file is read, its frame is the one stated in a comment of ours, else the one in which the sensors
are turned most like those of a CXI CSPAD; the reader says which.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench import detector
from workbench.errors import FileFormatError, GeometryError
from workbench.files import replacing
from workbench.geometry.fit import orthonormal, tree_from_sensors
from workbench.geometry.objects import Transform
from workbench.geometry.slac import decode
from workbench.geometry.tree import Geometry

PIXEL_UM = detector.PIXEL_SIZE_UM
FRAMES: dict[str, NDArray[np.float64]] = {
    # rows: CrystFEL x, y, z of the psana vector; all are right-handed
    "-y -x -z": np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]]),
    "-x +y -z": np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]]),
    "+y +x -z": np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]]),
    "+x -y -z": np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
}
LAB = "-y -x -z"
_FRAME_COMMENT = "; axes x y z are psana's"
_PANEL = re.compile(r"q([0-3])a(1[0-5]|[0-9])")
_PLACES = ("min_fs", "min_ss", "max_fs", "max_ss", "fs", "ss", "corner_x", "corner_y", "coffset")


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
        sensors where the file has single ASICs.
    """

    geometry: Geometry
    distance_mm: float | None
    offset_mm: float
    frame: str
    left_um: float


# ---- writing -------------------------------------------------------------------------------------


def crystfel_text(
    geometry: Geometry,
    *,
    distance_mm: float | None = None,
    photon_energy: float | str = "/LCLS/photon_energy_eV",
    clen: str = "/LCLS/detector_1/EncoderValue",
    data: str = "/entry_1/data_1/data",
    mask: str | None = "/entry_1/data_1/mask",
    mask_good: int = 0,
    mask_bad: int = 0xFFFF,
    adu_per_ev: float = 0.00338,
    frame: str | None = None,
    like: str | None = None,
) -> str:
    """Text of a ``.geom`` file for data in Cheetah's slab (1480 × 1552).

    Parameters
    ----------
    distance_mm : written as ``clen``; where it is None, `clen` is (a path in the data).
    data, mask, mask_good, mask_bad : where the pixel values and the mask are in the data files.
    frame : of `FRAMES`; None for that of `like`, else for psana's laboratory frame.
    like : text of another ``.geom`` file, whose lines are all kept but for the panels' places
        and ``res``; they are written in its frame and with its common offset from ``clen``.

    Raises
    ------
    GeometryError
        If it is not a full CSPAD, or `like` has other panels.
    """
    if len(geometry.sensors) != detector.SENSORS:
        raise GeometryError(f"{geometry.source}: only the full CSPAD is written for CrystFEL.")
    template = None if like is None else parse_crystfel(like, "template", frame)
    frame = frame or (LAB if template is None else template.frame)
    if frame not in FRAMES:
        raise GeometryError(f"{frame!r} is no frame; known are {', '.join(FRAMES)}.")
    if like is not None and template is not None:
        offset = template.offset_mm
        panels = _panel_lines(geometry, FRAMES[frame], offset)
        camera = None if distance_mm is None else f"{(distance_mm - offset) / 1000:.12g}"
        return _filled_in(like, panels, frame, camera)
    panels = _panel_lines(geometry, FRAMES[frame])
    camera = f"{distance_mm / 1000:.12g}" if distance_mm is not None else clen
    lines = [
        "; CSPAD geometry, written by cspad-workbench",
        f"{_FRAME_COMMENT} {frame}",
        "",
        f"clen = {camera}",
        f"photon_energy = {photon_energy}",
        f"res = {1e6 / PIXEL_UM!r}",
        f"adu_per_eV = {adu_per_ev:g}",
        "",
        f"data = {data}",
    ]
    if mask is not None:
        lines += [
            f"mask = {mask}",
            f"mask_good = 0x{mask_good:04x}",
            f"mask_bad = 0x{mask_bad:04x}",
        ]
    lines += ["dim0 = %", "dim1 = ss", "dim2 = fs", ""]
    for q in range(detector.QUADRANTS):
        lines.append(f"rigid_group_q{q} = " + ",".join(f"q{q}a{a}" for a in range(16)))
    for place in range(detector.SENSORS):
        q, s = divmod(place, detector.SENSORS_PER_QUADRANT)
        lines.append(f"rigid_group_a{place} = q{q}a{2 * s},q{q}a{2 * s + 1}")
    lines.append("rigid_group_collection_quadrants = q0,q1,q2,q3")
    lines.append("rigid_group_collection_asics = " + ",".join(f"a{i}" for i in range(32)))
    for name, items in panels.items():
        lines.append("")
        lines += [f"{name}/{key} = {value}" for key, value in items.items()]
    return "\n".join(lines) + "\n"


def write_crystfel(
    geometry: Geometry,
    path: str | os.PathLike[str],
    *,
    distance_mm: float | None = None,
    like: str | os.PathLike[str] | None = None,
    overwrite: bool = True,
) -> None:
    """Write a ``.geom`` file; `like` is a file whose other lines are kept (see `crystfel_text`)."""
    template = None if like is None else _read_text(like)
    text = crystfel_text(geometry, distance_mm=distance_mm, like=template)
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def _panel_lines(
    geometry: Geometry, axes: NDArray[np.float64], offset_mm: float = 0.0
) -> dict[str, dict[str, str]]:
    """Settings of each panel, with all digits that matter (1e-9 px, 1e-15 of a direction)."""
    rows, columns = detector.ROWS, detector.ASIC_COLUMNS
    depth = _detector_depth_um(geometry)
    panels = {}
    for place, sensor in enumerate(geometry.sensors):
        q, s = divmod(place, detector.SENSORS_PER_QUADRANT)
        rotation, origin = geometry.transform(sensor)
        origin = axes @ (origin - [0, 0, depth])
        fast, slow = axes @ rotation[:, 0], -(axes @ rotation[:, 1])
        for a in range(detector.ASICS_PER_SENSOR):
            # corner of the first pixel: outer edge of a regular grid of the ASIC
            start = (-98.5 if a == 0 else 98.5) - columns / 2
            corner = origin + PIXEL_UM * (start * fast - rows / 2 * slow)
            first_column, first_row = q * detector.COLUMNS + a * columns, s * rows
            panels[f"q{q}a{2 * s + a}"] = {
                "min_fs": str(first_column),
                "min_ss": str(first_row),
                "max_fs": str(first_column + columns - 1),
                "max_ss": str(first_row + rows - 1),
                "fs": _vector_text(fast),
                "ss": _vector_text(slow),
                "corner_x": f"{corner[0] / PIXEL_UM:.9f}",
                "corner_y": f"{corner[1] / PIXEL_UM:.9f}",
                "coffset": f"{corner[2] / 1e6 + offset_mm / 1000:.13f}",
            }
    return panels


def _detector_depth_um(geometry: Geometry) -> float:
    """z of the detector's own origin in the top frame: where its distance is measured to."""
    one = geometry.parent(geometry.quadrants[0] if geometry.quadrants else geometry.sensors[0])
    return 0.0 if one is None else float(geometry.transform(one).origin_um[2])


def _vector_text(vector: NDArray[np.float64]) -> str:
    return " ".join(f"{value:+.15f}{axis}" for value, axis in zip(vector, "xyz", strict=True))


def _filled_in(
    template: str, panels: dict[str, dict[str, str]], frame: str, camera: str | None
) -> str:
    """Template with the panels' places replaced; the rest stays as it is."""
    seen: set[tuple[str, str]] = set()
    lines = [f"{_FRAME_COMMENT} {frame}"]
    for line in template.splitlines():
        name, item, _ = _split_line(line)
        if line.startswith(_FRAME_COMMENT):
            continue
        if name in panels and item in _PLACES:
            if item in panels[name] and item not in _PLACES[:4]:
                if (name, item) not in seen:
                    lines.append(f"{name}/{item} = {panels[name][item]}")
                seen.add((name, item))
                continue
        elif name is None and item == "clen" and camera is not None:
            line = f"clen = {camera}"
        elif item == "res":  # corners are counted in exactly these pixels
            line = f"{f'{name}/' if name else ''}res = {1e6 / PIXEL_UM!r}"
        lines.append(line)
    for name, items in panels.items():
        missing = [key for key in _PLACES[4:] if (name, key) not in seen]
        lines += [f"{name}/{key} = {items[key]}" for key in missing]
    return "\n".join(lines) + "\n"


# ---- reading -------------------------------------------------------------------------------------


def looks_like_crystfel(start: bytes) -> bool:
    """True if the first bytes of a file are those of a CrystFEL geometry."""
    return (
        re.search(rb"(?m)^\s*\w+/(min_fs|corner_x|fs|dim\d)\s*=|^\s*rigid_group", start) is not None
    )


def read_crystfel(path: str | os.PathLike[str], frame: str | None = None) -> CrystfelGeometry:
    """Read a ``.geom`` file of a CSPAD (panels ``q0a0`` … ``q3a15``).

    Raises
    ------
    FileFormatError
        If a panel or a setting is missing or no number; the message names the line.
    """
    return parse_crystfel(_read_text(path), os.fspath(path), frame)


def parse_crystfel(text: str, name: str = "geometry", frame: str | None = None) -> CrystfelGeometry:
    """Geometry from the text of a ``.geom`` file; `frame` (of `FRAMES`) is found out if None."""
    defaults: dict[str, tuple[str, int]] = {}
    panels: dict[str, dict[str, tuple[str, int]]] = {}
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
        elif _PANEL.fullmatch(panel):
            if panel not in panels:  # a panel starts with what was set before it
                panels[panel] = dict(defaults)
            panels[panel][item] = (value, number)
    names = [f"q{q}a{a}" for q in range(4) for a in range(16)]
    missing = [one for one in names if one not in panels]
    if missing:
        raise FileFormatError(
            name, f"expected the CSPAD panels q0a0 … q3a15; {missing[0]} is not there."
        )
    fast, slow, corner = (np.empty((64, 3)) for _ in range(3))
    for place, panel in enumerate(names):
        fast[place], slow[place], corner[place] = _panel_place(panels[panel], panel, name)
    offset = float(corner[:, 2].mean())
    offset = offset if abs(offset) > 1000 else 0.0  # a motor's offset, not a tilt of the detector
    corner[:, 2] -= offset
    sensors, left = _sensors(fast, slow, corner, name)
    frame = frame or _likely_frame(sensors)
    back = FRAMES[frame].T
    frames = [Transform(back @ one.rotation, back @ one.origin_um) for one in sensors]
    depth = 1e6  # the placeholder that SLAC files carry
    frames = [Transform(one.rotation, one.origin_um + np.array([0, 0, depth])) for one in frames]
    comments = [f"from {os.path.basename(name)} (CrystFEL axes x y z = psana {frame})"]
    try:
        clen = float(panels["q0a0"].get("clen", ("", 0))[0])
    except ValueError:
        clen = math.nan
    distance = clen * 1000 + offset / 1000 if math.isfinite(clen) else None
    geometry = tree_from_sensors(frames, name, comments)
    return CrystfelGeometry(geometry, distance, offset / 1000, frame, left)


def _read_text(path: str | os.PathLike[str]) -> str:
    try:
        return decode(Path(path).read_bytes(), os.fspath(path))
    except OSError as error:
        raise FileFormatError(path, f"cannot read this geometry ({error.strerror}).") from error


def _split_line(line: str) -> tuple[str | None, str | None, str]:
    """Panel (None: all), setting (None: no setting) and value of a line."""
    left, equals, value = line.partition(";")[0].partition("=")
    if not equals:
        return None, None, ""
    panel, slash, item = left.strip().rpartition("/")
    return (panel.strip() if slash else None), item.strip(), value.strip()


def _panel_place(
    items: dict[str, tuple[str, int]], panel: str, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Directions of fast and slow (unit vectors) and the first corner (µm) of a panel."""

    def number(key: str, default: float | None = None) -> float:
        value, line = items.get(key, ("", None))
        try:
            found = float(value) if value or default is None else default
        except ValueError:
            found = math.nan
        if not math.isfinite(found) or abs(found) > 1e9:
            what = f"found {value[:40]!r}" if value else "it is not there"
            raise FileFormatError(name, f"{panel}/{key} should be a number, {what}.", line=line)
        return found

    size = [number(f"max_{a}") - number(f"min_{a}") + 1 for a in ("fs", "ss")]
    if size != [detector.ASIC_COLUMNS, detector.ROWS]:
        raise FileFormatError(
            name,
            f"{panel} has {size[0]:g} × {size[1]:g} pixels, an ASIC of a CSPAD 194 × 185.",
            line=items["min_fs"][1],
        )
    resolution = number("res")
    if not 0 < resolution < 1e9:
        raise FileFormatError(name, "res should be pixels per metre.", line=items["res"][1])
    pixel = 1e6 / resolution
    if abs(pixel - PIXEL_UM) > 0.05:
        problem = f"its pixels are {pixel:.3f} µm, those of a CSPAD {PIXEL_UM} µm."
        raise FileFormatError(name, problem, line=items["res"][1])
    vectors = [_direction(items, key, panel, name) for key in ("fs", "ss")]
    corner = [number("corner_x") * pixel, number("corner_y") * pixel, number("coffset", 0.0) * 1e6]
    return vectors[0], vectors[1], np.array(corner)


def _direction(
    items: dict[str, tuple[str, int]], key: str, panel: str, name: str
) -> NDArray[np.float64]:
    value, line = items.get(key, ("", None))
    compact = value.replace(" ", "")
    terms = re.findall(r"([+-]?(?:\d+\.?\d*|\.\d+)?(?:[eE][+-]?\d+)?)([xyz])", compact)
    if not terms or "".join(a + b for a, b in terms) != compact:
        shown = value[:40].encode("ascii", "replace").decode()
        problem = f"{panel}/{key} should be a direction like +0.9x -0.1y, found {shown!r}."
        raise FileFormatError(name, problem, line=line)
    vector = np.zeros(3)
    for factor, axis in terms:
        vector["xyz".index(axis)] += float(factor + "1" if factor in ("", "+", "-") else factor)
    length = float(np.linalg.norm(vector))
    if not 0.9 < length < 1.1:
        problem = f"{panel}/{key} has length {length:.3g}; expected 1."
        raise FileFormatError(name, problem, line=line)
    return vector / length


def _sensors(
    fast: NDArray[np.float64], slow: NDArray[np.float64], corner: NDArray[np.float64], name: str
) -> tuple[list[Transform], float]:
    """Sensors through their two ASICs, and how far pixels are left at most, µm."""
    rows, columns = detector.ROWS, detector.ASIC_COLUMNS
    corners = [(u, v) for u in (0.5, columns - 0.5) for v in (0.5, rows - 0.5)]
    sensors, left = [], 0.0
    for place in range(detector.SENSORS):
        pair = slice(2 * place, 2 * place + 2)
        centres = corner[pair] + PIXEL_UM * (columns / 2 * fast[pair] + rows / 2 * slow[pair])
        across = centres[1] - centres[0]
        if abs(float(np.linalg.norm(across)) / PIXEL_UM - 197) > 3:
            q, s = divmod(place, detector.SENSORS_PER_QUADRANT)
            raise FileFormatError(
                name,
                f"the ASICs q{q}a{2 * s} and q{q}a{2 * s + 1} are not side by side as on a 2×1 "
                "sensor; such a geometry has no place in a SLAC file.",
            )
        rotation = orthonormal(fast[pair].mean(axis=0), -slow[pair].mean(axis=0))
        middle = centres.mean(axis=0)
        sensors.append(Transform(rotation, middle))
        for a in (0, 1):
            for u, v in corners:
                there = corner[2 * place + a] + PIXEL_UM * (
                    u * fast[2 * place + a] + v * slow[2 * place + a]
                )
                x = (-98.5 if a == 0 else 98.5) + u - columns / 2
                ours = middle + PIXEL_UM * (rotation @ [x, rows / 2 - v, 0])
                left = max(left, float(np.abs(there - ours).max()))
    return sensors, left


def _likely_frame(sensors: Sequence[Transform]) -> str:
    """Frame in which the sensors are turned most like those of the design."""
    design = Geometry.ideal()
    wanted = [design.transform(sensor).rotation for sensor in design.sensors]

    def likeness(axes: NDArray[np.float64]) -> float:
        return sum(
            float(np.trace(ideal.T @ axes.T @ one.rotation))
            for ideal, one in zip(wanted, sensors, strict=True)
        )

    return max(FRAMES, key=lambda frame: likeness(FRAMES[frame]))
