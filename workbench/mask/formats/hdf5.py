"""What the HDF5 mask formats share: opening, our own reasons beside the format's words, errors.

Every file the workbench writes carries the reason words too, so that nothing is lost; another
program's file gives the good pixels, and ``imported`` as the reason of the others. In the group
``cspad_workbench``:

``reasons``
    uint32 ``(modules, rows, columns)``: the bits of `workbench.mask.RULES`, named in the attribute
    ``bits``.
``removals``
    which rule or layer removed a pixel, one bit for each; ``bits`` is a list, from the lowest, of
    rule, name, and place of the layer. More than 64 share the last bit.
``spared``, ``kept``
    only if layers keep pixels: which of the removals would take the pixel, and which of the layers
    (``bits``) keep it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import DETECTORS
from workbench.errors import FileFormatError, MaskError, first_line
from workbench.files import parse_json
from workbench.hdf5 import reading_hdf5, replacing_hdf5
from workbench.mask.images import detector_array
from workbench.mask.mask import Mask
from workbench.mask.reasons import table_of_words, with_table
from workbench.mask.rules import RULES

if TYPE_CHECKING:
    import h5py

REASONS = "cspad_workbench/reasons"
REMOVALS = "cspad_workbench/removals"
SPARED = "cspad_workbench/spared"
KEPT = "cspad_workbench/kept"
MOST_BITS = 64
FORMAT_ATTRIBUTE = "cspad_workbench_mask_format"


def write(
    path: str | os.PathLike[str], name: str, mask: Mask, fill: Callable[[h5py.Group], None]
) -> None:
    """Write a file of format `name`: what `fill` puts into it, and the reasons."""
    with replacing_hdf5(path) as file:
        file.attrs[FORMAT_ATTRIBUTE] = name
        fill(file)
        reasons = dataset(file, REASONS, mask.reasons)
        reasons.attrs["polarity"] = "0 = good; bits are the rules that masked the pixel"
        reasons.attrs["bits"] = json.dumps({rule.bit: rule.name for rule in RULES.values()})
        reasons.attrs["provenance"] = json.dumps(dict(mask.provenance), default=str)
        _write_table(file, mask)


def _write_table(file: h5py.Group, mask: Mask) -> None:
    """What removes and what keeps each pixel, if the mask knows."""
    table = mask.table
    if table is None:
        return
    bits: list[dict[str, Any]] = [
        {"rule": removal.rule, "name": removal.name, "layer": removal.layer}
        for removal in mask.removals[:MOST_BITS]
    ]
    if len(mask.removals) > MOST_BITS:
        bits[-1]["name"] = "further layers"
    removed = dataset(file, REMOVALS, table.words(table.removed, MOST_BITS))
    removed.attrs["bits"] = json.dumps(bits)
    if mask.kept:
        keepers = [{"name": keeper.name, "layer": keeper.layer} for keeper in mask.kept[:MOST_BITS]]
        dataset(file, SPARED, table.words(table.spared, MOST_BITS))
        kept_dataset = dataset(file, KEPT, table.words(table.kept, MOST_BITS))
        kept_dataset.attrs["bits"] = json.dumps(keepers)


def dataset(file: h5py.Group, name: str, values: NDArray[Any]) -> h5py.Dataset:
    """Add a compressed dataset, readable without plug-ins."""
    return file.create_dataset(
        name, data=values, chunks=(1, *values.shape[1:]) if values.ndim == 3 else True,
        compression="gzip", compression_opts=4, shuffle=True,
    )  # fmt: skip


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open an HDF5 file; whatever goes wrong in reading is one line about the file."""
    try:
        with reading_hdf5(path) as file:
            yield file
    except (FileFormatError, MaskError):
        raise
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        problem = f"cannot be read as an HDF5 mask ({first_line(error)})."
        raise FileFormatError(path, problem) from error


def words(file: h5py.Group, path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    """Whole numbers of the dataset `name`, ``(modules, rows, columns)``; its size is checked first.

    Raises
    ------
    FileFormatError, MaskError
        If it is missing, of another type, or not that of a known detector.
    """
    import h5py

    item = file.get(name)
    if not isinstance(item, h5py.Dataset):
        raise FileFormatError(path, f"there is no mask at {name}.")
    sizes = {detector.pixels for detector in DETECTORS}
    if item.dtype.kind not in "biu" or item.size not in sizes:
        shape = " × ".join(map(str, item.shape or ()))
        raise FileFormatError(
            path,
            f"{name} holds {shape} values of type {item.dtype}, not a mask of a known detector.",
        )
    if item.is_virtual or item.external:  # HDF5 reads zeros where the other file is missing
        raise FileFormatError(
            path, f"{name} takes its values from other files.", hint="Read the mask from those."
        )
    return detector_array(item[()], "mask")[1]


def result(
    file: h5py.Group, path: str | os.PathLike[str], name: str, good: NDArray[np.bool_]
) -> Mask:
    """Mask with the reasons beside it, if there are any and they agree with `good`."""
    provenance = {"file": os.fspath(path), "format": name}
    if REASONS in file:
        reasons = words(file, path, REASONS)
        if np.array_equal(reasons == 0, good):
            return _with_table(file, path, Mask.from_reasons(reasons, provenance))
    return Mask.from_good(good, provenance)


def _with_table(file: h5py.Group, path: str | os.PathLike[str], mask: Mask) -> Mask:
    """Mask with the removals and keepers of a file, if it has them and they fit the mask."""
    if REMOVALS not in file:
        return mask
    removed = words(file, path, REMOVALS)
    bits = _bits(file[REMOVALS], removed.dtype, ("rule", "name", "layer"))
    if not bits or not np.array_equal(removed == 0, mask.good):
        return mask
    more: list[NDArray[Any]] = []
    keepers: list[dict[str, Any]] = []
    if SPARED in file and KEPT in file:
        more = [words(file, path, SPARED), words(file, path, KEPT)]
        keepers = _bits(file[KEPT], more[1].dtype, ("name", "layer"))
    if any(array.shape != removed.shape for array in more):
        return mask
    table = table_of_words(removed, range(len(bits)), *more, keepers=len(keepers))
    removals, kept = with_table(
        [(bit["rule"], bit["name"], bit["layer"]) for bit in bits],
        [(keeper["name"], keeper["layer"]) for keeper in keepers],
        table,
    )
    return dataclasses.replace(mask, removals=removals, kept=kept)


def _bits(
    dataset: h5py.Dataset, dtype: np.dtype[Any], keys: tuple[str, ...]
) -> list[dict[str, Any]]:
    """What the bits of a dataset mean; nothing if that is not stated as it should be."""
    kinds = {"rule": str, "name": str, "layer": int | None}
    try:
        bits = parse_json(dataset.attrs["bits"])
        fits = len(bits) <= 8 * dtype.itemsize and all(
            isinstance(bit[key], kinds[key]) for bit in bits for key in keys
        )
    except (KeyError, TypeError, ValueError):
        return []
    return bits if fits and all(bit.get("rule", "part") in RULES for bit in bits) else []
