"""HDF5 files: written whole or not at all, and searched no deeper than any program writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workbench.files import replacing

if TYPE_CHECKING:
    import h5py

DEEPEST = 20
MOST_OBJECTS = 20_000


@contextmanager
def replacing_hdf5(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[h5py.File]:
    """Give an HDF5 file in memory to fill, and write it to `path` as `replacing` does.

    The library does not survive a disk that is full when it closes a file of its own.

    Raises
    ------
    WorkbenchError
        If the file cannot be written; `path` is then as it was.
    """
    import h5py

    with replacing(path, overwrite=overwrite) as temporary:
        with h5py.File(temporary, "w", driver="core", backing_store=False) as file:
            yield file
            file.flush()
            content = file.id.get_file_image()
        temporary.write_bytes(content)


def datasets(file: h5py.Group) -> Iterator[h5py.Dataset]:
    """Datasets in a file, each once, group by group; other files are not looked into.

    Groups deeper than `DEEPEST`, and what comes after `MOST_OBJECTS` objects, are left out.
    """
    import h5py

    seen: set[int] = set()
    waiting: list[tuple[h5py.Group | h5py.Dataset, int]] = [(file, 0)]
    while waiting and len(seen) < MOST_OBJECTS:
        item, depth = waiting.pop()
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            continue
        seen.add(place)
        if isinstance(item, h5py.Dataset):
            yield item
        elif isinstance(item, h5py.Group) and depth <= DEEPEST:
            names = [
                name for name in item if isinstance(item.get(name, getlink=True), h5py.HardLink)
            ]
            waiting += [(item[name], depth + 1) for name in reversed(names)]
