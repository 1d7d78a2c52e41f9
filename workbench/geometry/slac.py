"""The SLAC geometry file (``geometry/0-end.data``), read and written without loss.

A line that starts with ``#`` is a comment; any other line that is not blank has 13 columns:
parent and its index, object and its index, origin x, y, z (µm), design angles about z, y, x and
tilts about z, y, x (degrees) (PSCalib ``GeometryAccess``, lcls-psana/PSCalib@b9f60ba).

A file read and written unchanged is byte-identical. In a changed row only the changed numbers are
written anew, with all their digits, and keep their columns where they fit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from workbench.errors import FileFormatError, GeometryError
from workbench.files import replacing
from workbench.geometry.objects import ANGLES, POSITIONS, GeometryObject, SourceLine
from workbench.geometry.tree import Geometry

COLUMNS = ("parent", "parent_index", "name", "index", *POSITIONS, *ANGLES)
LARGEST_FILE = 1 << 20

_PARAMETERS = (
    ("PARENT", "name and version of the parent object"),
    ("PARENT_IND", "index of the parent object"),
    ("OBJECT", "name and version of the object"),
    ("OBJECT_IND", "index of the object"),
    ("X0", "x-coordinate [um] of the object origin in the parent frame"),
    ("Y0", "y-coordinate [um] of the object origin in the parent frame"),
    ("Z0", "z-coordinate [um] of the object origin in the parent frame"),
    ("ROT_Z", "design rotation angle [deg] around the z axis of the parent frame"),
    ("ROT_Y", "design rotation angle [deg] around the y axis of the parent frame"),
    ("ROT_X", "design rotation angle [deg] around the x axis of the parent frame"),
    ("TILT_Z", "tilt angle [deg] around the z axis of the parent frame"),
    ("TILT_Y", "tilt angle [deg] around the y axis of the parent frame"),
    ("TILT_X", "tilt angle [deg] around the x axis of the parent frame"),
)


def read(path: str | os.PathLike[str]) -> Geometry:
    """Geometry of a SLAC file.

    Raises
    ------
    FileFormatError
        If it cannot be read or is not such a file; the message names the line.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise FileFormatError(path, f"cannot read this geometry ({error.strerror}).") from error
    return parse(decode(content, os.fspath(path)), os.fspath(path))


def decode(content: bytes, name: str) -> str:
    """Text of a geometry file; bytes that are not UTF-8 survive as surrogates.

    Raises
    ------
    FileFormatError
        If it is plainly not text, or far too long.
    """
    if len(content) > LARGEST_FILE:
        raise FileFormatError(name, "not a geometry file (longer than 1 MB).")
    junk = re.search(rb"[\x00-\x08\x0e-\x1f]", content)
    if junk:
        line = content.count(b"\n", 0, junk.start()) + 1
        raise FileFormatError(
            name, "not a geometry file (binary content).", line=line, offset=junk.start()
        )
    return content.decode("utf-8", "surrogateescape")


def parse(text: str, name: str = "geometry") -> Geometry:
    """Geometry from the text of a SLAC file; `name` is used in messages."""
    layout, objects = [], []
    for number, line in enumerate(re.split(r"(?<=\n)", text), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            layout.append(SourceLine(line))
            continue
        one = _parse_row(words, name, number)
        layout.append(SourceLine(line, one))
        objects.append(one)
    if not objects:
        raise FileFormatError(name, "no geometry in it (no row of 13 columns).")
    return Geometry(tuple(objects), tuple(layout), name)


def _parse_row(words: list[str], name: str, number: int) -> GeometryObject:
    if len(words) != len(COLUMNS):
        shown = " ".join(words)[:60].encode("ascii", "replace").decode()
        problem = f"expected {len(COLUMNS)} columns, found {len(words)}: {shown!r}."
        raise FileFormatError(name, problem, line=number)
    values: dict[str, str | int | float] = {}
    for column, word in zip(COLUMNS, words, strict=True):
        try:
            if column in ("parent", "name"):
                values[column] = word
            elif column.endswith("index"):
                values[column] = int(word) if word.isascii() and len(word) < 10 else _refuse()
            else:
                values[column] = float(word) if "_" not in word else _refuse()
        except ValueError:
            kind = "a whole number" if column.endswith("index") else "a number"
            shown = word[:40].encode("ascii", "replace").decode()
            problem = f"{column} should be {kind}, found {shown!r}."
            raise FileFormatError(name, problem, line=number) from None
    return GeometryObject(**values)  # type: ignore[arg-type]


def _refuse() -> int:
    raise ValueError


def to_text(geometry: Geometry) -> str:
    """Text of a SLAC file: lines as read, changed rows with their new numbers."""
    layout = geometry.layout or standard_layout(geometry.objects)
    objects = iter(geometry.objects)
    lines = []
    for line in layout:
        if line.object is None:
            lines.append(line.text)
            continue
        one = next(objects)
        lines.append(line.text if one == line.object else _rewrite(line.text, one))
    return "".join(lines)


def write(geometry: Geometry, path: Path, *, overwrite: bool = True) -> None:
    """Write a SLAC file atomically."""
    content = to_text(geometry).encode("utf-8", "surrogateescape")
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)


def number_text(value: float) -> str:
    """Shortest decimal text that reads back as exactly `value`, never in exponent form."""
    return np.format_float_positional(value + 0.0, trim="-")


def _rewrite(text: str, one: GeometryObject) -> str:
    """Row `text` with the numbers of `one`; what did not change keeps its digits and column."""
    parts = re.findall(r"(\s*)(\S+)", text)
    rest = text[len(text.rstrip()) :]
    line, late = "", 0
    for place, ((gap, word), column) in enumerate(zip(parts, COLUMNS, strict=True)):
        value = getattr(one, column)
        if column in ("parent", "name"):
            fresh = value
        elif float(word) == value:
            fresh = word
        else:
            fresh = number_text(value) if isinstance(value, float) else str(value)
        if place and (fresh != word or late):  # end where the old number ended
            width = len(gap) + len(word) - len(fresh) - late
            gap, late = " " * max(width, 1), max(1 - width, 0)
        line += gap + fresh
    return line + rest


def standard_layout(
    objects: Iterable[GeometryObject],
    comments: Sequence[str] = (),
    *,
    experiment: str = "",
    author: str = "",
    rounded: bool = False,
) -> tuple[SourceLine, ...]:
    """Lines of a new file: header comments and one line for each object.

    `rounded` writes whole µm and 1e-5°, as PSCalib's own writer does.
    """
    header = [
        "TITLE       Geometry parameters of CSPAD",
        f"DATE_TIME   {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %Z}",
        *([f"AUTHOR      {author}"] if author else []),
        *([f"EXPERIMENT  {experiment}"] if experiment else []),
        "DETECTOR    CSPAD",
        "CALIB_TYPE  geometry",
        "COMMENT:01  Each object is placed in the Cartesian frame of its parent object",
        *(f"COMMENT:{place:02d}  {comment}" for place, comment in enumerate(comments, start=2)),
        *(
            f"PARAM:{place:02d}    {name:<10s} - {meaning}"
            for place, (name, meaning) in enumerate(_PARAMETERS, start=1)
        ),
        "HDR PARENT IND     OBJECT IND     X0[um]   Y0[um]   Z0[um]"
        "   ROT-Z    ROT-Y    ROT-X    TILT-Z   TILT-Y   TILT-X",
    ]
    lines = [SourceLine(f"# {' '.join(line.split(chr(10)))}\n") for line in header]
    lines.append(SourceLine("\n"))
    for one in objects:
        lines.append(SourceLine(_row_text(one, rounded), one))
    return tuple(lines)


def _row_text(one: GeometryObject, rounded: bool) -> str:
    if rounded:
        origin = "".join(f" {value:8.0f}" for value in one.origin_um)
        design = "".join(f" {getattr(one, name):8.1f}" for name in ANGLES[:3])
        tilt = "".join(f" {getattr(one, name):8.5f}" for name in ANGLES[3:])
        numbers = f"{origin} {design}  {tilt}"
    else:
        origin = "".join(f" {number_text(getattr(one, name)):>10s}" for name in POSITIONS)
        design = "".join(f" {number_text(getattr(one, name)):>8s}" for name in ANGLES[:3])
        tilt = "".join(f" {number_text(getattr(one, name)):>10s}" for name in ANGLES[3:])
        numbers = f"{origin} {design} {tilt}"
    return f"{one.parent:<11s} {one.parent_index:3d} {one.name:<11s} {one.index:3d} {numbers}\n"


def rounded_copy(geometry: Geometry) -> Geometry:
    """Geometry on whole µm and 1e-5° (what PSCalib's writer keeps), with a fresh header."""
    layout = standard_layout(geometry.objects, rounded=True)
    try:
        return parse("".join(line.text for line in layout), geometry.source)
    except FileFormatError as error:  # cannot happen for a checked geometry
        raise GeometryError(str(error)) from error
