"""numpy: bool ``(modules, rows, columns)``, True = good; ``<file>.json`` beside it says so too."""

from __future__ import annotations

import json
import os

import numpy as np

from workbench.errors import FileFormatError
from workbench.files import replacing
from workbench.mask.mask import Mask
from workbench.numpy_files import read_array

POLARITY = "True = good"
MAX_BYTES = 64 * 2**20


def write(mask: Mask, path: str | os.PathLike[str]) -> None:
    """Write the array, and a note about its convention to ``<path>.json``."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, mask.good)
    note = {
        "polarity": POLARITY,
        "shape": "module (sensor 8 quadrant + section of a CSPAD), slow, fast",
        "masked": mask.masked,
        "rules": {name: count.total for name, count in mask.counts.items() if count.total},
    }
    with replacing(f"{os.fspath(path)}.json") as temporary:
        temporary.write_text(json.dumps(note, indent=1) + "\n")


def read(path: str | os.PathLike[str]) -> Mask:
    """Read an array of bool, or of 0 and 1, where True or 1 is good.

    Raises
    ------
    FileFormatError, MaskError
        If it is anything else (an array of objects is never loaded).
    """
    array = read_array(path, MAX_BYTES)
    if array.dtype.kind not in "biu":
        raise FileFormatError(path, "not an array of True and False.")
    if array.dtype.kind != "b" and not np.isin(np.unique(array), (0, 1)).all():
        raise FileFormatError(path, "the array holds more than 0 and 1; 1 = good is expected.")
    return Mask.from_good(array, {"file": os.fspath(path), "format": "npy"})
