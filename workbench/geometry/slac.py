"""The text of a SLAC geometry file (``geometry/0-end.data``): rows to text and back, losslessly.

A line that starts with ``#`` is a comment; any other line that is not blank has 13 columns:
parent and its index, object and its index, origin x, y, z (µm), design angles about z, y, x and
tilts about z, y, x (degrees) (PSCalib ``GeometryAccess``, lcls-psana/PSCalib@b9f60ba).

A file read and written unchanged is byte-identical. In a changed row only the changed numbers are
written anew, with all their digits, and keep their columns where they fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np

from workbench.detectors import Detector
from workbench.errors import FileFormatError
from workbench.geometry.objects import ANGLES, POSITIONS, GeometryObject, SourceLine

INDICES = ("parent_index", "index")
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


def parse_rows(text: str, name: str) -> tuple[tuple[GeometryObject, ...], tuple[SourceLine, ...]]:
    """Objects and lines of the text of a SLAC file; `name` is used in messages.

    Raises
    ------
    FileFormatError
        If a row is not made of 13 columns of the right kind; the message names the line.
    """
    layout: list[SourceLine] = []
    for number, line in enumerate(re.split(r"(?<=\n)", text), start=1):
        words = line.split()
        is_row = words and not words[0].startswith("#")
        layout.append(SourceLine(line, _parse_row(words, name, number) if is_row else None))
    objects = tuple(line.object for line in layout if line.object is not None)
    if not objects:
        raise FileFormatError(name, "no geometry in it (no row of 13 columns).")
    return objects, tuple(layout)


def _parse_row(words: list[str], name: str, number: int) -> GeometryObject:
    if len(words) != len(COLUMNS):
        shown = " ".join(words)[:60]
        problem = f"expected {len(COLUMNS)} columns, found {len(words)}: {shown!r}."
        raise FileFormatError(name, problem, line=number)
    values: dict[str, str | int | float] = {}
    for column, word in zip(COLUMNS, words, strict=True):
        try:
            if column in ("parent", "name"):
                values[column] = word
            elif "_" in word or not word.isascii() or (column in INDICES and len(word) > 9):
                raise ValueError
            else:
                values[column] = int(word) if column in INDICES else float(word)
        except ValueError:
            kind = "a whole number" if column in INDICES else "a number"
            problem = f"{column} should be {kind}, found {word[:40]!r}."
            raise FileFormatError(name, problem, line=number) from None
    return GeometryObject(**values)  # type: ignore[arg-type]


def rows_text(objects: Iterable[GeometryObject], layout: Iterable[SourceLine]) -> str:
    """Text of a SLAC file: lines as read, changed rows with their new numbers."""
    rows = iter(objects)
    lines = []
    for line in layout:
        row = None if line.object is None else next(rows)
        lines.append(line.text if row is None or row == line.object else _rewrite(line.text, row))
    return "".join(lines)


def number_text(value: float) -> str:
    """Shortest decimal text that reads back as exactly `value`, never in exponent form."""
    return np.format_float_positional(value + 0.0, trim="-")


def _rewrite(text: str, row: GeometryObject) -> str:
    """Line `text` with the numbers of `row`; what did not change keeps its digits and column."""
    parts = re.findall(r"(\s*)(\S+)", text)
    rest = text[len(text.rstrip()) :]
    line, late = "", 0
    for place, ((gap, word), column) in enumerate(zip(parts, COLUMNS, strict=True)):
        value = getattr(row, column)
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
    detector: Detector,
    comments: Sequence[str] = (),
    *,
    rounded: bool = False,
) -> tuple[SourceLine, ...]:
    """Lines of a new file: header comments and one line for each object.

    `rounded` writes whole µm and 1e-5°, as PSCalib's own writer does.
    """
    header = [
        f"TITLE       Geometry parameters of {detector.name}",
        f"DATE_TIME   {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %Z}",
        f"DETECTOR    {detector.name}",
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
    lines += [SourceLine(_row_text(row, rounded), row) for row in objects]
    return tuple(lines)


def _row_text(row: GeometryObject, rounded: bool) -> str:
    origin, design, tilt = (
        [getattr(row, name) for name in names] for names in (POSITIONS, ANGLES[:3], ANGLES[3:])
    )
    if rounded:
        numbers = "".join(f" {value:8.0f}" for value in origin)
        numbers += " " + "".join(f" {value:8.1f}" for value in design)
        numbers += "  " + "".join(f" {value:8.5f}" for value in tilt)
    else:
        numbers = "".join(f" {number_text(value):>10s}" for value in origin)
        numbers += " " + "".join(f" {number_text(value):>8s}" for value in design)
        numbers += " " + "".join(f" {number_text(value):>10s}" for value in tilt)
    return f"{row.parent:<11s} {row.parent_index:3d} {row.name:<11s} {row.index:3d} {numbers}\n"
