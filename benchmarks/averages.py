"""Speed and memory of averaging runs from XTC files, in one table.

    python benchmarks/averages.py [SAMPLE_FOLDER] [--repeats N] [--growth EVENTS]

Each figure stands beside two references of the same run of this script:

- *reading*: a plain ``readinto`` loop over the same bytes of the same files, which are in the
  system's cache for both;
- *psana*: what psana 1 with the loop of ``cxi.mpi_average`` was measured to take on the same files
  (`PSANA_MS`), scaled by a loop in numpy (`numpy_loop`) that tells how quick this machine is now.

Processor time leaves out waiting for other programs, yet not what they take of caches and memory
bandwidth: the table says how busy the machine was, and marks figures of a busy one. Without a
folder a sample experiment is written to a temporary one. ``--growth`` also averages runs of up to
so many events, with one and two threads and with one to four workers of Dask; these runs are sparse
files, which need no disk.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import reading
from machine import machine

from workbench.averages.collect import Job, collect
from workbench.pipeline import open_run
from workbench.recipe import Corrections
from workbench.runs import Run

EVENTS = 520
"""Events of a measurement; a shorter run is gone through several times."""
CASES = {
    "raw": None,
    "pedestal + gain": Corrections(gain=6.85),
    "psana's calibration": Corrections.psana(),
}
PSANA_MS = {"raw": 20.0, "pedestal + gain": 28.0, "psana's calibration": 35.0}
"""Processor time per event of psana 1 with cctbx's loop: the difference of 110 and 10 events."""
NUMPY_LOOP_MS = 9.0
"""What `numpy_loop` took in that hour: 16 times as long as adding raw events in memory, 0.56 ms."""


class Repeated:
    """A run whose events come several times over, read from the files each time."""

    def __init__(self, run: Run, times: int) -> None:
        self._run, self._times = run, times

    def __getattr__(self, name: str) -> object:
        return getattr(self._run, name)

    def events(self, *arguments: object):
        for _ in range(self._times):
            yield from self._run.events(*arguments)


def best(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Least processor time and least elapsed time of some repeats, seconds."""
    times = []
    for _ in range(repeats):
        processor, elapsed = time.process_time(), time.perf_counter()
        work()
        times.append((time.process_time() - processor, time.perf_counter() - elapsed))
    return min(p for p, _ in times), min(e for _, e in times)


def numpy_loop(frames: list[np.ndarray]) -> None:
    """What ``cxi.mpi_average`` does with raw events, in numpy."""
    first = frames[0].astype(np.float64)
    total, squares, maximum = first, first**2, first.copy()
    for raw in frames[1:]:
        data = raw.astype(np.float64)
        total += data
        squares += data**2
        maximum = np.maximum(maximum, data)


def read_files(files: tuple[Path, ...], times: int, buffer: bytearray) -> None:
    """Read files again and again, into the same memory."""
    for _ in range(times):
        for path in files:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def measure(folder: str, repeats: int) -> None:
    """Measure all cases on run 74 of the experiment and print the table."""
    run = open_run("cxim1416", 74, psdm_dir=folder)
    frames = [np.array(event.raw) for event in run.events() if event.raw is not None]
    times = -(-EVENTS // len(frames))
    events, files = times * len(frames), tuple(run.files)
    print(machine())
    loop_ms = best(lambda: numpy_loop(frames), repeats)[0] / len(frames) * 1e3
    scale = loop_ms / NUMPY_LOOP_MS
    print(f"numpy loop {loop_ms:.1f} ms an event: psana's figures are scaled by {scale:.2f}\n")
    print("ms an event           processor  x reading   psana  x quicker   elapsed  2 threads  x")

    def read_by(threads: int) -> None:
        buffers = [bytearray(reading.EVENT_BYTES) for _ in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            share = [files[number::threads] for number in range(threads)]
            list(pool.map(read_files, share, [times] * threads, buffers))

    read_ms, one = (1e3 * t / events for t in best(lambda: read_by(1), repeats))
    two = best(lambda: read_by(2), repeats)[1] / events * 1e3
    print(f"{'reading alone':22}{read_ms:9.2f}{'':31}{one:10.2f}{two:11.2f} {one / two:4.2f}")
    for name, corrections in CASES.items():
        job = Job(Repeated(run, times), corrections)
        collect(Job(run, corrections), 1)  # constants are read, loops compiled
        ours, one = (1e3 * t / events for t in best(lambda job=job: collect(job, 1), repeats))
        two = best(lambda job=job: collect(job, 2), repeats)[1] / events * 1e3
        psana = PSANA_MS[name] * scale
        print(
            f"{name:22}{ours:9.2f}{ours / read_ms:11.2f}{psana:8.1f}{psana / ours:11.1f}"
            f"{one:10.2f}{two:11.2f} {one / two:4.2f}"
        )
    print(f"\n{machine()}\n")


FRESH = """
import re, sys, time
from workbench.averages import Dask, Threads, average_run
from workbench.recipe import Events
from workbench.runs import open_run
if __name__ == "__main__":
    count = int(sys.argv[3])
    runner = Threads(count) if sys.argv[2] == "threads" else Dask(workers=count)
    run = open_run("cxim1416", 74, xtc_dir=sys.argv[1])
    start = time.perf_counter()
    average_run(run, None, runner, None, Events(limit=int(sys.argv[4])))
    elapsed = time.perf_counter() - start
    # not ru_maxrss: at exec that takes over the peak of the process it came from
    status = open("/proc/self/status").read()
    print(elapsed, int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024)
"""


def fresh_process(folder: Path, runner: str, count: int, events: int) -> tuple[float, float]:
    """Elapsed time (s) and peak memory (MB) of a fresh process that averages events raw."""
    script = folder / "average.py"
    script.write_text(FRESH)
    command = [sys.executable, str(script), str(folder), runner, str(count), str(events)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    elapsed, megabytes = map(float, done.stdout.split())
    return elapsed, megabytes


def growth(most: int) -> None:
    """Time and memory over the number of events, and over the number of workers."""
    print("raw events of a sparse run           events   elapsed s  ms an event  peak MB")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reading.write_sparse_run(folder, most)
        counts = [count for count in (50, 500, 5000) if count < most] + [most]
        cases = [("threads", threads, count) for threads in (1, 2) for count in counts]
        cases += [("workers", workers, min(2000, most)) for workers in (1, 2, 3, 4)]
        for runner, number, count in cases:
            elapsed, megabytes = fresh_process(folder, runner, number, count)
            print(
                f"{f'{number} {runner}':36}{count:7}{elapsed:12.1f}{elapsed / count * 1e3:13.2f}"
                f"{megabytes:9.0f}",
                flush=True,
            )
    print(f"\n{machine()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="sample experiment (workbench simulate)")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--growth", type=int, metavar="EVENTS", help="also runs of so many events")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder
        if folder is None:
            from workbench.simulate.experiment import write_experiment

            folder = temporary
            write_experiment(Path(folder), events=26)
        measure(str(folder), args.repeats)
    if args.growth:
        growth(args.growth)


if __name__ == "__main__":
    main()
