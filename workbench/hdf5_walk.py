"""A walk through an HDF5 file: no deeper than any program writes one, and into no other file.

The HDF5 library trusts what it reads: a damaged file can make it search without end, ask for a
gigabyte, or crash. So this file is also run as a program, which imports nothing of the workbench:
``hdf5_walk.py FILE`` reads what a reader might read of the file, and ends well if the library
survives that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

DEEPEST = 20
MOST_OBJECTS = 20_000
MOST_BYTES = 64 * 2**20
"""Bytes read of the values; of a dataset that is longer the first frame is."""
MOST_MEMORY = 512 * 2**20
_TOO_MUCH = f"the HDF5 library asks for more than {MOST_MEMORY >> 20} MB"


def datasets(file: h5py.Group) -> Iterator[h5py.Dataset]:
    """Datasets in a file, each once, group by group; other files are not looked into.

    Groups deeper than `DEEPEST`, and what comes after `MOST_OBJECTS` objects, are left out.
    """
    import h5py

    return (item for item in _objects(file) if isinstance(item, h5py.Dataset))


def _objects(file: h5py.Group) -> Iterator[h5py.Group | h5py.Dataset]:
    import h5py

    seen: set[int] = set()
    waiting: list[tuple[h5py.Group | h5py.Dataset, int]] = [(file, 0)]
    while waiting and len(seen) < MOST_OBJECTS:
        item, depth = waiting.pop()
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            continue
        seen.add(place)
        yield item
        if isinstance(item, h5py.Group) and depth <= DEEPEST:
            names = [
                name for name in item if isinstance(item.get(name, getlink=True), h5py.HardLink)
            ]
            waiting += [(item[name], depth + 1) for name in reversed(names)]


@contextmanager
def _refusals() -> Iterator[None]:
    """Leave what the library refuses for the reader to say, but not that memory ended.

    A reader has more memory than this process, and would ask for it.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or "alloc" in str(error):
            sys.exit(_TOO_MUCH)


def _read_all(path: str) -> None:
    """Read attributes and values; what the library itself refuses is for the reader to say."""
    import h5py
    import hdf5plugin  # noqa: F401 (registers the filters of compressed files)

    left = MOST_BYTES
    with _refusals(), h5py.File(path, "r") as file:
        for item in _objects(file):
            with _refusals():
                for name in item.attrs:
                    with _refusals():
                        item.attrs[name]
            if isinstance(item, h5py.Dataset) and left > 0:
                with _refusals():
                    left -= _read_dataset(item, left)


def _read_dataset(dataset: h5py.Dataset, most: int) -> int:
    """Read a dataset, or its first frame and where its others stand; gives the number of bytes."""
    if dataset.chunks:
        dataset.id.get_num_chunks()
    if dataset.nbytes <= most:
        dataset[()]
        return int(dataset.nbytes)
    frame = int(dataset.nbytes // dataset.shape[0])
    if frame <= most:
        dataset[0]
    return frame


def _main(path: str) -> None:
    import h5py  # noqa: F401

    def peak_bytes() -> int:
        # not ru_maxrss: that begins with the peak of the process that started this one
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    before = peak_bytes()
    _read_all(path)
    if peak_bytes() - before > MOST_MEMORY:
        sys.exit(_TOO_MUCH)


if __name__ == "__main__":
    _main(sys.argv[1])
