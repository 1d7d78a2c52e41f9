"""What the HDF5 mask formats share: opening, our own reasons beside the format's words, errors.

Every file the workbench writes carries the reason words too, so that nothing is lost; another
program's file gives the good pixels, and ``imported`` as the reason of the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import FileFormatError, MaskError
from workbench.files import replacing
from workbench.mask.model import Mask, full_detector
from workbench.mask.rules import RULES

REASONS = "cspad_workbench/reasons"
FORMAT_ATTRIBUTE = "cspad_workbench_mask_format"


def write(path: str | os.PathLike[str], name: str, mask: Mask, fill: Callable[[Any], None]) -> None:
    """Write a file of format `name`: what `fill` puts into it, and the reasons."""
    import h5py

    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs[FORMAT_ATTRIBUTE] = name
        fill(file)
        reasons = dataset(file, REASONS, mask.reasons)
        reasons.attrs["polarity"] = "0 = good; bits are the rules that masked the pixel"
        reasons.attrs["bits"] = json.dumps({rule.bit: rule.name for rule in RULES.values()})
        reasons.attrs["provenance"] = json.dumps(dict(mask.provenance), default=str)


def dataset(file: Any, name: str, values: NDArray) -> Any:
    """Add a compressed dataset, readable without plug-ins."""
    return file.create_dataset(
        name, data=values, chunks=(1, *values.shape[1:]) if values.ndim == 3 else True,
        compression="gzip", compression_opts=4, shuffle=True,
    )  # fmt: skip


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open an HDF5 file; whatever goes wrong in reading is one line about the file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (FileFormatError, MaskError):
        raise
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(path, f"cannot be read as an HDF5 mask ({first}).") from error


def words(file: Any, path: str | os.PathLike[str], name: str) -> NDArray:
    """Whole numbers of the dataset `name`, as ``(32, 185, 388)``; its size is checked first.

    Raises
    ------
    FileFormatError
        If it is missing, of another type, or of another detector.
    """
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise FileFormatError(path, f"there is no mask at {name}.")
    if found.dtype.kind not in "biu" or found.size != np.prod((32, 185, 388)):
        shape = " × ".join(map(str, found.shape))
        raise FileFormatError(
            path, f"{name} holds {shape} values of type {found.dtype}, not a mask of a full CSPAD."
        )
    try:
        return full_detector(found[()], "mask")
    except MaskError as error:
        raise FileFormatError(path, str(error)) from error


def result(file: Any, path: str | os.PathLike[str], name: str, good: NDArray[np.bool_]) -> Mask:
    """Mask with the reasons beside it, if there are any and they agree with `good`."""
    provenance = {"file": os.fspath(path), "format": name}
    if REASONS in file:
        reasons = words(file, path, REASONS)
        if np.array_equal(reasons == 0, good):
            return Mask.from_reasons(reasons, provenance)
    return Mask.from_good(good, provenance)
