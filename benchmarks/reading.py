"""Speed and memory of reading a run, against plain reading of the same bytes.

    python benchmarks/reading.py [--events 10000] [--folder DIR]

The run is a sparse file, so that even 10 000 events (46 GB) need no disk; every page of every
event is touched where the table says so.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "runs"))
import xtc_builder as x

from workbench.runs import Run, open_run

QUAD = 1_148_516
EVENT_BYTES = 4 * QUAD + 80
"""Bytes of an event: four quadrants and their headers."""


def write_sparse_run(folder: Path, events: int) -> None:
    """A run whose pixels are holes of the file."""
    path = x.write(folder, x.run_bytes([], close=False))
    clock = x.Clock()
    size = path.stat().st_size
    template = x.full(np.zeros((32, 185, 388), np.int16))
    with path.open("r+b") as file:
        for _ in range(events):
            whole = x.dgram(x.L1, x.container(template), **clock.next())
            for start in (0, *(80 + quad * QUAD for quad in range(4))):
                file.seek(size + start)
                file.write(whole[start : start + 80])
            size += len(whole)
        file.truncate(size)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def plain(run: Run) -> tuple[int, float]:
    buffer, count, peak = bytearray(EVENT_BYTES), 0, 0.0
    with run.files[0].open("rb", buffering=0) as file:
        while file.readinto(buffer):
            count, peak = count + 1, max(peak, resident_mb())
    return count, peak


def through(touch: Callable) -> Callable[[Run], tuple[int, float]]:
    def read(run: Run) -> tuple[int, float]:
        count, peak = 0, 0.0
        for event in run.events():
            touch(event)
            count, peak = count + 1, max(peak, resident_mb())
        return count, peak

    return read


def touch_modules(event) -> None:
    for _, pixels in event.modules:
        pixels.reshape(-1)[::2048].sum()  # one number of every page


OUT = np.empty((32, 185, 388), np.int16)
CASES: dict[str, Callable[[Run], tuple[int, float]]] = {
    "read() into a buffer": plain,
    "headers of all objects": through(lambda event: event.fiducials),
    "modules, each page touched": through(touch_modules),
    "raw, copied into one array": through(lambda event: event.copy_raw_into(OUT)),
    "raw, a new array each": through(lambda event: event.raw),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        write_sparse_run(Path(name), args.events)
        run = open_run("cxim1416", 74, xtc_dir=name)
        plain(run)  # fills the file cache, as far as it goes
        start_mb, reference = resident_mb(), 0.0
        print(f"{'':28} ms/event  ratio  memory")
        for title, read in CASES.items():
            start = time.perf_counter()
            count, peak = read(run)
            cost = (time.perf_counter() - start) / count * 1e3
            reference = reference or cost
            print(f"{title:28} {cost:8.3f} {cost / reference:6.2f}  +{peak - start_mb:.0f} MB")


if __name__ == "__main__":
    main()
