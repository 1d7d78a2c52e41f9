"""Layout of a calibration directory and psana's choice of the file that serves a run.

``calib/<group>/<address>/<kind>/<begin>-<end>.data``, as `CalibFileFinder` of lcls-psana/PSCalib
looks it up.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

from workbench.detectors import find
from workbench.errors import ConstantsError

_NAME = re.compile(r"([0-9]+)-([0-9]+|end)\.data")


def constants_folder(calib_dir: str | os.PathLike[str], address: str, kind: str) -> Path:
    """Folder of one kind of constants of one detector.

    Parameters
    ----------
    calib_dir : calibration directory, e.g. ``…/cxim1416/calib``.
    address : detector, e.g. ``CxiDs1.0:Cspad.0``.
    kind : ``pedestals``, ``pixel_status``, ``common_mode``, ``geometry``, …

    Raises
    ------
    ConstantsError
        If `address` or `kind` cannot be the name of a folder.
    WorkbenchError
        If no detector has such an address.
    """
    for name, value in (("address", address), ("kind of constants", kind)):
        if not value or value in (".", "..") or "/" in value or "\0" in value:
            raise ConstantsError(
                f"{value!r} is not a valid {name}; expected e.g. CxiDs1.0:Cspad.0 and pedestals."
            )
    return Path(calib_dir) / find(address).calib_group / address / kind


def run_range(name: str) -> tuple[int, float] | None:
    """First and last run that a file named `name` serves (``inf`` for ``end``), else None."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    begin, end = match.groups()
    return int(begin), math.inf if end == "end" else int(end)


def file_for_run(folder: str | os.PathLike[str], run: int) -> Path | None:
    """File of `folder` that serves `run`, or None if there is none (or no such folder).

    psana's rule: of the files ``<begin>-<end>.data`` with begin <= run <= end the one with the
    largest begin, of those the one with the smallest end. Other files (``HISTORY``,
    ``0-end.data.v1``, …) do not count.

    Raises
    ------
    ConstantsError
        If the folder exists and cannot be listed.
    """
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConstantsError(
            f"{folder}: cannot list this folder of constants ({error.strerror})."
        ) from error
    name = serving_file(names, run)
    return None if name is None else Path(folder) / name


def serving_file(names: Iterable[str], run: int) -> str | None:
    """Which of these file names serves `run`; None if none does. See `file_for_run`."""
    serving = []
    for name in names:
        runs = run_range(name)
        if runs is not None and runs[0] <= run <= runs[1]:
            serving.append((-runs[0], runs[1], name))
    return min(serving)[2] if serving else None


def served_instead(names: Iterable[str], name: str) -> dict[str, list[str]]:
    """Runs of the file `name` for which psana reads another one of `names`.

    Returns
    -------
    Ranges of runs, e.g. ``["5-53", "81-end"]``, by the file that is read for them.
    """
    files = {*names, name}
    ranges = {file: runs for file in files if (runs := run_range(file)) is not None}
    first, last = ranges[name]
    begins = {begin for begin, _ in ranges.values()} | {end + 1 for _, end in ranges.values()}
    starts = sorted(begin for begin in begins if first <= begin <= last and begin != math.inf)
    instead: dict[str, list[tuple[int, float]]] = {}
    for start, following in zip(starts, [*starts[1:], last + 1], strict=True):
        file = serving_file(files, int(start))
        if file is None or file == name:
            continue
        parts = instead.setdefault(file, [])
        begin = parts.pop()[0] if parts and parts[-1][1] + 1 == start else int(start)
        parts.append((begin, following - 1))
    return {
        file: [_range_text(begin, end) for begin, end in parts] for file, parts in instead.items()
    }


def _range_text(begin: int, end: float) -> str:
    if end == math.inf:
        return f"{begin}-end"
    return f"{begin}" if begin == end else f"{begin}-{end:.0f}"
