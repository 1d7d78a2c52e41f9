"""What the HDF5 mask formats share: opening, our own reasons beside the format's words, errors.

Every file the workbench writes carries the reason words too, so that nothing is lost; another
program's file gives the good pixels, and ``imported`` as the reason of the others. In the group
``cspad_workbench``:

``reasons``
    uint32 ``(32, 185, 388)``: the bits of `workbench.mask.RULES`, named in the attribute ``bits``.
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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import FileFormatError, MaskError
from workbench.files import replacing
from workbench.mask.account import Removal, Rescue, bit_words, part_counts
from workbench.mask.model import Mask, full_detector
from workbench.mask.planes import Plane, count, pack
from workbench.mask.rules import RULES

REASONS = "cspad_workbench/reasons"
REMOVALS = "cspad_workbench/removals"
SPARED = "cspad_workbench/spared"
KEPT = "cspad_workbench/kept"
MOST_BITS = 64
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
        _write_account(file, mask)


def _write_account(file: Any, mask: Mask) -> None:
    """Who removed and who kept each pixel, if the mask knows."""
    removed = [one.plane for one in mask.removals if one.plane is not None]
    if len(removed) != len(mask.removals):
        return
    bits = [
        {"rule": one.rule, "name": one.name, "layer": one.layer}
        for one in mask.removals[:MOST_BITS]
    ]
    if len(mask.removals) > MOST_BITS:
        bits[-1] = {"rule": bits[-1]["rule"], "name": "further layers", "layer": bits[-1]["layer"]}
    dataset(file, REMOVALS, bit_words(removed, MOST_BITS)).attrs["bits"] = json.dumps(bits)
    spared = [one.spared for one in mask.removals if one.spared is not None]
    kept = [one.plane for one in mask.rescues if one.plane is not None]
    if kept and spared:
        keepers = [{"name": one.name, "layer": one.layer} for one in mask.rescues[:MOST_BITS]]
        dataset(file, SPARED, bit_words(spared, MOST_BITS))
        dataset(file, KEPT, bit_words(kept, MOST_BITS)).attrs["bits"] = json.dumps(keepers)


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
    if found.is_virtual or found.external:  # HDF5 reads zeros where the other file is missing
        raise FileFormatError(
            path, f"{name} takes its values from other files.", hint="Read the mask from those."
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
            mask = Mask.from_reasons(reasons, provenance)
            return dataclasses.replace(mask, **_account(file, path, good))
    return Mask.from_good(good, provenance)


def _account(file: Any, path: str | os.PathLike[str], good: NDArray[np.bool_]) -> dict[str, Any]:
    """Removals and rescues of a file; nothing if there are none or they contradict the mask."""
    if REMOVALS not in file:
        return {}
    removed = words(file, path, REMOVALS)
    bits = _bits(file[REMOVALS], removed.dtype, ("rule", "name", "layer"))
    if not bits or not np.array_equal(removed == 0, good):
        return {}
    planes = _planes(removed, len(bits))
    spared: list[Any] = [None] * len(bits)
    rescues: tuple[Rescue, ...] = ()
    if SPARED in file and KEPT in file:
        kept = words(file, path, KEPT)
        keepers = _bits(file[KEPT], kept.dtype, ("name", "layer"))
        spared = _planes(words(file, path, SPARED), len(bits))
        rescues = tuple(
            Rescue(one["name"], one["layer"], count(plane), plane)
            for one, plane in zip(keepers, _planes(kept, len(keepers)), strict=True)
        )
    removals = tuple(
        Removal(one["rule"], one["name"], one["layer"], *rest)
        for one, *rest in zip(bits, part_counts(planes), planes, spared, strict=True)
    )
    return {"removals": removals, "rescues": rescues}


def _bits(found: Any, dtype: Any, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """What the bits of a dataset mean; nothing if that is not stated as it should be."""
    kinds = {"rule": str, "name": str, "layer": int | None}
    try:
        bits = json.loads(found.attrs["bits"])
        fits = len(bits) <= 8 * dtype.itemsize and all(
            isinstance(bit[key], kinds[key]) for bit in bits for key in keys
        )
    except (KeyError, TypeError, ValueError):
        return []
    return bits if fits and all(bit.get("rule", "part") in RULES for bit in bits) else []


def _planes(found: NDArray, bits: int) -> list[Plane]:
    return [pack((found >> found.dtype.type(bit) & 1) != 0) for bit in range(bits)]
