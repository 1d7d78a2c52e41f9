"""psana's text constants, whole numbers row by row: ``pixel_mask`` and ``pixel_status``.

``pixel_mask``: 1 = good, 0 = masked. ``pixel_status``: 0 = good, any other number masks; the
bits are those of psana's dark processing (1 noisy, 2 too quiet, 4 saturated, 8 too small
intensity, 16 average too large, 32 too small), and 64 for reasons it does not know.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from workbench.constants import deploy_constants, read_constants_file, write_constants
from workbench.detectors import DETECTORS
from workbench.errors import FileFormatError, MaskError
from workbench.files import read_regular
from workbench.mask.formats.bits import POLARITY, translated
from workbench.mask.mask import Mask

Kind = Literal["pixel_mask", "pixel_status"]
POLARITIES = {"pixel_mask": "1 = good", "pixel_status": POLARITY}
_FORMATS: dict[str, Kind] = {"psana-mask": "pixel_mask", "psana-status": "pixel_status"}


def numbers(mask: Mask, kind: Kind) -> NDArray[np.int32]:
    """Whole numbers ``(modules, rows, columns)`` of one kind of file."""
    if kind == "pixel_mask":
        return mask.good.astype(np.int32)
    return translated(mask.reasons, "psana").astype(np.int32)


def write(mask: Mask, path: str | os.PathLike[str], format: str) -> None:
    """Write one file; what it holds stands in its head."""
    kind = _FORMATS[format]
    comment = f"{POLARITIES[kind]}; made by cspad-workbench"
    address = mask.detector.address
    write_constants(numbers(mask, kind), path, address, kind, comment, overwrite=True)


def read(path: str | os.PathLike[str], format: str | None = None) -> Mask:
    """Read one file; which kind it is must be named, or stand in its head or folder.

    Raises
    ------
    FileFormatError
        If the kind is not known, or the file does not hold whole numbers for a known detector.
    """
    kind = _FORMATS[format] if format else _stated_kind(path)
    values = read_constants_file(path, dtype=np.int64)
    candidates = [d for d in DETECTORS if d.pixels == values.size]
    # an AGIPD-1M has as many pixels as a Jungfrau 1M, which psana's own files are of
    stated = [d for d in candidates[1:] if f" {d.address}".encode() in _head(path)]
    detector = next(iter(stated + candidates), None)
    if detector is None:
        sizes_text = " or ".join(f"{d.pixels} ({d.name})" for d in DETECTORS)
        raise FileFormatError(path, f"expected {sizes_text} numbers, found {values.size}.")
    if kind == "pixel_mask" and not np.all((values == 0) | (values == 1)):
        raise FileFormatError(path, "a pixel_mask holds 0 and 1 only; is this a pixel_status?")
    good = values == (1 if kind == "pixel_mask" else 0)
    if detector.interleaved_constants:
        good = np.moveaxis(good.reshape(*detector.module_shape, -1), -1, 0)
    return Mask.from_good(
        good.reshape(detector.shape), {"file": os.fspath(path), "format": f"psana {kind}"}
    )


def deploy_mask(
    mask: Mask,
    calib_dir: str | os.PathLike[str],
    address: str,
    first_run: int,
    last_run: int | None = None,
    kind: Kind = "pixel_mask",
    comment: str = "",
) -> Path:
    """Put a mask into a calibration directory, where psana takes it for runs from `first_run`.

    Returns
    -------
    The new file; one that exists is never replaced.

    Raises
    ------
    ConstantsError
        If that range of runs has one already, or cannot be written.
    MaskError
        If `kind` is neither ``pixel_mask`` nor ``pixel_status``.
    """
    if kind not in POLARITIES:
        raise MaskError(f"psana has no mask constants {kind!r}; use pixel_mask or pixel_status.")
    note = comment or f"{POLARITIES[kind]}; {mask.masked} pixels masked; made by cspad-workbench"
    return deploy_constants(
        numbers(mask, kind), calib_dir, address, kind, first_run, last_run, note
    )


def _head(path: str | os.PathLike[str]) -> bytes:
    try:
        return read_regular(path, 4096)
    except OSError as error:
        raise FileFormatError(path, f"cannot be read ({error.strerror}).") from error


def _stated_kind(path: str | os.PathLike[str]) -> Kind:
    head = _head(path)
    for kind in _FORMATS.values():
        if b"CALIB_TYPE " + kind.encode() in head or Path(path).parent.name == kind:
            return kind
    raise FileFormatError(
        path,
        "the file does not say whether 1 or 0 is a good pixel.",
        hint="Name the format, psana-mask (1 = good) or psana-status (0 = good).",
    )
