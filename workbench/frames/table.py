"""The table of the events that were looked at: a CSV file, one line per event."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from workbench.errors import FileFormatError, cannot_read
from workbench.files import read_regular, replacing

LARGEST_TABLE = 1 << 30


@dataclass(frozen=True)
class FrameRow:
    """One event of the table.

    Attributes
    ----------
    event : its index in the run.
    time_utc : ISO 8601 with nanoseconds; empty if unknown.
    seconds, nanoseconds, fiducials : of the event, 0 if unknown.
    photon_energy_ev, wavelength_angstrom, distance_mm : None if unknown.
    peaks : number of peaks; None without pixels.
    file, frame : where it was written, and which frame of the file it is (from 0); empty and None
        if it was not.
    note : why there is no frame: ``no hit``, or why the event has no pixels.
    """

    event: int
    time_utc: str
    seconds: int
    nanoseconds: int
    fiducials: int
    photon_energy_ev: float | None
    wavelength_angstrom: float | None
    distance_mm: float | None
    peaks: int | None
    file: str = ""
    frame: int | None = None
    note: str = ""

    @property
    def written(self) -> bool:
        """True if there is a frame of the event."""
        return bool(self.file)


NAMES = tuple(field.name for field in fields(FrameRow))


def utc_text(seconds: int, nanoseconds: int) -> str:
    """Time as ``2016-02-21T03:06:40.123456789Z``; empty if unknown."""
    if not seconds:
        return ""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def write_table(rows: Iterable[FrameRow], path: str | os.PathLike[str]) -> None:
    """Write the table, whole or not at all."""
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(NAMES)
        for row in rows:
            values = (getattr(row, name) for name in NAMES)
            writer.writerow("" if value is None else value for value in values)


def read_table(path: str | os.PathLike[str]) -> list[FrameRow]:
    """Read a table that `write_table` wrote.

    Raises
    ------
    FileFormatError
        If it is no such table; the message names the line.
    """
    try:
        text = read_regular(Path(path), LARGEST_TABLE).decode("utf-8")
    except OSError as error:
        raise FileFormatError(path, cannot_read("table", error)) from error
    except UnicodeDecodeError as error:
        raise FileFormatError(path, "is no table of frames (no text).") from error
    lines = csv.reader(text.splitlines())
    rows: list[FrameRow] = []
    try:
        if tuple(next(lines, ())) != NAMES:
            raise FileFormatError(path, f"expected the columns {', '.join(NAMES)}.", line=1)
        for values in lines:
            rows.append(_row(dict(zip(NAMES, values, strict=True))))
    except (ValueError, csv.Error) as error:
        raise FileFormatError(
            path, f"a line of a table of frames was expected ({error}).", line=lines.line_num
        ) from error
    return rows


def _row(values: dict[str, str]) -> FrameRow:
    def whole(name: str) -> int | None:
        return int(values[name]) if values[name] else None

    def real(name: str) -> float | None:
        return float(values[name]) if values[name] else None

    return FrameRow(
        event=int(values["event"]),
        time_utc=values["time_utc"],
        seconds=int(values["seconds"]),
        nanoseconds=int(values["nanoseconds"]),
        fiducials=int(values["fiducials"]),
        photon_energy_ev=real("photon_energy_ev"),
        wavelength_angstrom=real("wavelength_angstrom"),
        distance_mm=real("distance_mm"),
        peaks=whole("peaks"),
        file=values["file"],
        frame=whole("frame"),
        note=values["note"],
    )
