"""Reading and deploying the constants of a detector in a calibration directory."""

from __future__ import annotations

import math
import os
import socket
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.constants.choice import constants_folder, file_for_run
from workbench.constants.text import read_constants_file, write_constants_file
from workbench.detectors import Detector, find, sizes
from workbench.errors import ConstantsError, FileFormatError
from workbench.files import only_regular
from workbench.provenance import user

WHOLE_NUMBER_KINDS = frozenset({"pixel_status", "status_data", "status_extra", "pixel_mask"})
"""Kinds that are bits or flags; psana's C++ reader accepts nothing but whole numbers there."""

HISTORY = "HISTORY"


def read_constants(
    calib_dir: str | os.PathLike[str],
    address: str,
    kind: str,
    run: int,
    detector: Detector | None = None,
) -> NDArray[Any] | None:
    """Per-pixel constants that serve `run`, or None if none are deployed.

    `detector` is what took the run, where the address alone does not tell.

    Returns
    -------
    Read-only array ``(modules, rows, columns)``, int64 for status words and masks, else float32
    unless the file declares another type. Of a detector with gain ranges
    ``(ranges, modules, rows, columns)``; status words and masks may do without the first axis.

    Raises
    ------
    FileFormatError
        If the file that serves the run cannot be used; psana would silently take defaults.
    """
    path = file_for_run(constants_folder(calib_dir, address, kind), run)
    if path is None:
        return None
    return read_pixels(path, address, kind, detector)


def read_pixels(
    path: str | os.PathLike[str], address: str, kind: str, detector: Detector | None = None
) -> NDArray[Any]:
    """Per-pixel constants of one file in the detector's shape, read-only; see `read_constants`."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise FileFormatError(path, f"cannot be read ({error.strerror}).") from error
    detector = detector or find(address)
    return _read_pixels(os.fspath(path), detector, kind, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=6)
def _read_pixels(
    path: str, detector: Detector, kind: str, modified_ns: int, size: int
) -> NDArray[Any]:
    # parsing 2.3 million numbers takes half a second; a file that changed has another key
    dtype = np.int64 if kind in WHOLE_NUMBER_KINDS else None
    if detector.gain_ranges is not None:
        return _read_ranges(path, detector, kind, dtype)
    values = read_constants_file(path, detector.pixels, dtype)
    if detector.interleaved_constants:
        modules_last = values.reshape(*detector.module_shape, detector.modules)
        pixels = np.ascontiguousarray(np.moveaxis(modules_last, -1, 0))
    else:
        pixels = values.reshape(detector.shape)
    pixels.flags.writeable = False
    return pixels


def _read_ranges(path: str, detector: Detector, kind: str, dtype: DTypeLike | None) -> NDArray[Any]:
    """Constants of each gain range, or of all together where `kind` is bits."""
    values = read_constants_file(path, None, dtype)
    shapes = _shapes(detector, kind)
    for shape in shapes:
        if values.size == math.prod(shape):
            pixels = values.reshape(shape)
            pixels.flags.writeable = False
            return pixels
    ranges = shapes[0][0]
    raise FileFormatError(
        path,
        f"found {values.size} numbers; {kind} of the {detector.name} are {ranges} gain ranges × "
        f"{detector.shape_text}, {ranges * detector.pixels} numbers.",
        hint="Is it a constants file of this detector?",
    )


def _shapes(detector: Detector, kind: str) -> list[tuple[int, ...]]:
    """Shapes that constants of a kind may have, the usual one first."""
    if detector.gain_ranges is None:
        return [detector.shape]
    by_range = (detector.gain_ranges.count, *detector.shape)
    return [by_range, detector.shape] if kind in WHOLE_NUMBER_KINDS else [by_range]


def read_common_mode(
    calib_dir: str | os.PathLike[str], address: str, run: int
) -> tuple[float, ...] | None:
    """Numbers of the common_mode file that serves `run` (algorithm first), or None.

    Raises
    ------
    FileFormatError
        If the file holds no numbers, or more than the sixteen psana reads.
    """
    path = file_for_run(constants_folder(calib_dir, address, "common_mode"), run)
    if path is None:
        return None
    values = read_constants_file(path, dtype=np.float64)
    if not 1 <= values.size <= 16:
        raise FileFormatError(
            path, f"expected 'algorithm p1 p2 p3 p4', found {values.size} numbers."
        )
    return tuple(float(value) for value in values)


def write_constants(
    values: NDArray[Any],
    path: str | os.PathLike[str],
    address: str,
    kind: str,
    comment: str = "",
    *,
    overwrite: bool = False,
) -> None:
    """Write per-pixel constants in the form psana reads, a line for each row of a module.

    Raises
    ------
    ConstantsError
        If the array has not the detector's shape, or status words are not whole numbers.
    """
    values = np.asarray(values)
    detector = _detector_of(address, values.shape)
    shapes = _shapes(detector, kind)
    if values.shape not in shapes:
        raise ConstantsError(
            f"{kind} of {address} must have the shape {shapes[0]}, not {values.shape}."
        )
    if kind in WHOLE_NUMBER_KINDS:
        if not np.array_equal(values, np.rint(values)):
            raise ConstantsError(f"{kind} must be whole numbers; psana reads nothing else.")
        values = values.astype(np.int64)
    elif not np.isfinite(values).all():
        raise ConstantsError(f"{kind} holds NaN or infinite values; replace them first.")
    if detector.interleaved_constants:
        table = np.moveaxis(values, 0, -1).reshape(detector.rows, -1)
    else:
        table = values.reshape(-1, detector.columns)
    header = {"CALIB_TYPE": kind, "DETECTOR": address,
              "DATE_TIME": datetime.now().astimezone().isoformat(timespec="seconds")}  # fmt: skip
    if comment:
        header["COMMENT"] = comment
    write_constants_file(table, path, header, overwrite=overwrite)


def _detector_of(address: str, shape: tuple[int, ...]) -> Detector:
    """Detector of an address; of several kinds that share it, the one with arrays of `shape`."""
    first = find(address)
    return next((kind for kind in sizes(first) if kind.shape == shape[-3:]), first)


def deploy_constants(
    values: NDArray[Any],
    calib_dir: str | os.PathLike[str],
    address: str,
    kind: str,
    first_run: int,
    last_run: int | None = None,
    comment: str = "",
) -> Path:
    """Put constants into the calibration directory for runs `first_run` to `last_run`.

    A file that exists is never replaced. A line is added to the folder's ``HISTORY``.

    Returns
    -------
    The new file, ``<first_run>-<last_run>.data`` (``end`` for `last_run` None).

    Raises
    ------
    ConstantsError
        If constants of exactly that run range are deployed already, or the range is empty.
    """
    path = free_path(calib_dir, address, kind, first_run, last_run)
    write_constants(values, path, address, kind, comment, overwrite=False)
    append_history(path.parent, path.name, comment)
    return path


def free_path(
    calib_dir: str | os.PathLike[str],
    address: str,
    kind: str,
    first_run: int,
    last_run: int | None = None,
) -> Path:
    """File for constants that are to be deployed, which is not there yet; see `deploy_constants`.

    Raises
    ------
    ConstantsError
        If it is there, or the range of runs is empty.
    """
    if first_run < 0 or (last_run is not None and last_run < first_run):
        raise ConstantsError(f"runs {first_run} to {last_run} is not a range of runs.")
    name = f"{first_run}-{'end' if last_run is None else last_run}.data"
    path = constants_folder(calib_dir, address, kind) / name
    if os.path.lexists(path):
        raise ConstantsError(
            f"{path} is deployed already; nothing was written. Give another range of runs, or "
            "move that file away first."
        )
    return path


def append_history(folder: str | os.PathLike[str], file: str, comment: str = "") -> None:
    """Add the line ``<time> file:… user:… host:… comment:…`` to a folder's ``HISTORY``."""
    when = datetime.now().astimezone().isoformat(timespec="seconds")
    line = f"{when} file:{file} user:{user()} host:{socket.gethostname()}"
    if comment:
        line += " comment:" + " ".join(comment.split())
    path = Path(folder) / HISTORY
    try:
        with open(path, "a", encoding="utf-8", errors="replace", opener=only_regular) as history:
            history.write(line + "\n")
    except OSError as error:
        raise ConstantsError(f"{path} cannot be written ({error.strerror}).") from error
