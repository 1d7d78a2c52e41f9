"""Speed and memory of averaging runs from XTC files, in one table.

    python benchmarks/averages.py [SAMPLE_FOLDER] [--repeats N] [--growth EVENTS]

Each figure stands beside references of the same run of this script:

- *reading alone*: a plain ``readinto`` loop over the same bytes of the same files, which are in the
  system's cache for both, into memory of one event, which stays in the processor's cache;
- *into a block*: the same into memory of as many events as are added at once;
- *plain loop*: that, and a loop as one would write it down with numba, which adds in float32;
- *copying*: as many bytes copied between large arrays: what two threads are worth to the memory;
- *psana*: what psana 1 with the loop of ``cxi.mpi_average`` was measured to take on the same files
  (`PSANA_MS`), scaled by a loop in numpy (`numpy_loop`) that tells how quick this machine is now.

Times of an event are the difference of many and few events. What a call takes whatever their number
is a table of its own, with modules from their bytecode, as in every process but the first; the
bound is what numba alone takes to import itself and to load a loop of two lines from its cache.

The detectors with gain ranges stand beside the CSPAD, with pedestal and gain from files, a million
pixels each, measured in turn.

Processor time leaves out waiting for other programs, yet not what they take of caches and memory
bandwidth: lines above and below each table say how busy the machine was, and mark figures of a busy
one. Without a folder a sample experiment is written to a temporary one. ``--growth`` also averages
runs of up to so many events, with one and two threads and with one to four workers of Dask; such a
run is one chunk of `CHUNK_EVENTS` events (0.9 GB) under many names.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import reading
import xtc_builder as x
from machine import OtherPrograms, machine
from numba import njit

from workbench.averages.collect import BLOCK, Job, collect
from workbench.pipeline import open_run
from workbench.recipe import Corrections
from workbench.runs import Run
from workbench.simulate.switching import BRIGHT_RUN, SAMPLES, write_switching_experiment

GAIN = "pedestal + gain"
FEW, MANY = 4, 20
"""How often a run of 26 events is gone through; with `FEW` all memory was used once."""
CHUNK_EVENTS = 200
COPIED = 20
TILE = 8192
CASES = {
    "raw": None,
    GAIN: Corrections(gain=6.85),
    "psana's calibration": Corrections.psana(),
}
PSANA_MS = {"raw": 20.0, GAIN: 28.0, "psana's calibration": 35.0}
"""Processor time per event of psana 1 with cctbx's loop: the difference of 110 and 10 events."""
NUMPY_LOOP_MS = 9.0
"""What `numpy_loop` took in that hour: 16 times as long as adding raw events in memory, 0.56 ms."""


class Repeated:
    """A run whose events come several times over, read from the files each time."""

    def __init__(self, run: Run) -> None:
        self._run, self.passes = run, 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._run, name)

    def events(self, *arguments: object):
        for _ in range(self.passes):
            yield from self._run.events(*arguments)


def once(work: Callable[[], object]) -> np.ndarray:
    """Processor time and elapsed time, s."""
    processor, elapsed = time.process_time(), time.perf_counter()
    work()
    return np.array([time.process_time() - processor, time.perf_counter() - elapsed])


def of_an_event(
    works: list[Callable[[int], object]],
    events: int,
    repeats: int,
    few: int = FEW,
    many: int = MANY,
) -> list[np.ndarray]:
    """Processor time and elapsed time of an event of each work, ms; they take turns.

    A work is given how often to go through that many events. The times are medians of `repeats`
    differences.
    """
    differences = [
        [once(partial(work, many)) - once(partial(work, few)) for work in works]
        for _ in range(repeats)
    ]
    return list(np.median(differences, axis=0) / ((many - few) * events) * 1e3)


def averaging(run: Run, corrections: Corrections | None, threads: int) -> Callable[[int], object]:
    """Averaging the events of a run several times over."""
    repeated = Repeated(run)
    job = Job(repeated, corrections)
    collect(job, threads)  # constants are read, loops compiled

    def go(passes: int) -> None:
        repeated.passes = passes
        collect(job, threads)

    return go


def numpy_loop(frames: list[np.ndarray]) -> None:
    """What ``cxi.mpi_average`` does with raw events, in numpy."""
    first = frames[0].astype(np.float64)
    total, squares, maximum = first, first**2, first.copy()
    for raw in frames[1:]:
        data = raw.astype(np.float64)
        total += data
        squares += data**2
        maximum = np.maximum(maximum, data)


def read_files(files: tuple[Path, ...], times: int, events: int) -> None:
    """Read files again and again, into memory of so many events in turn."""
    size = reading.EVENT_BYTES
    memory, place = memoryview(np.zeros(events * size, np.uint8)), 0
    for _ in range(times):
        for path in files:
            with path.open("rb", buffering=0) as file:
                while file.readinto(memory[place * size : (place + 1) * size]):
                    place = (place + 1) % events


def copy_arrays(source: np.ndarray, target: np.ndarray, number: int) -> None:
    """Copy the bytes of so many events, between arrays larger than any cache."""
    for _ in range(number // COPIED):
        target[:] = source


@njit(nogil=True)
def plain_loop(events, sums, squares, maximum, minimum):  # type: ignore[no-untyped-def]
    """Add events, int16 ``(events, pixels)``; the statistics of some pixels stay in the cache."""
    for start in range(0, sums.size, TILE):
        total, square = sums[start : start + TILE], squares[start : start + TILE]
        high, low = maximum[start : start + TILE], minimum[start : start + TILE]
        for event in range(events.shape[0]):
            pixels = events[event, start : start + TILE]
            for i in range(pixels.size):
                value = np.float32(pixels[i])
                total[i] += value
                square[i] += value * value
                high[i], low[i] = max(high[i], pixels[i]), min(low[i], pixels[i])


def read_and_add(files: tuple[Path, ...], times: int) -> None:
    """Read files into a block again and again, and add each block when it is full."""
    size = reading.EVENT_BYTES
    block = np.zeros((BLOCK, size), np.uint8)
    memory, pixels, place = memoryview(block.reshape(-1)), block.view(np.int16), 0
    arrays = [np.zeros(size // 2, dtype) for dtype in (np.float32, np.float32, np.int16, np.int16)]
    for _ in range(times):
        for path in files:
            with path.open("rb", buffering=0) as file:
                while file.readinto(memory[place * size : (place + 1) * size]):
                    place = (place + 1) % BLOCK
                    if not place:
                        plain_loop(pixels, *arrays)
    plain_loop(pixels[:place], *arrays)


def on_threads(work: Callable[..., None], files: tuple[Path, ...], threads: int) -> Callable:
    """Work on files, shared out to threads."""

    def go(passes: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            shares = [files[number::threads] for number in range(threads)]
            list(pool.map(lambda share: work(share, passes), shares))

    return go


def measure(folder: str, repeats: int) -> None:
    """Measure all cases on run 74 of the experiment and print the table."""
    run = open_run("cxim1416", 74, psdm_dir=folder)
    frames = [np.array(event.raw) for event in run.events() if event.raw is not None]
    events, files = len(frames), tuple(run.files)
    print(machine())
    others = OtherPrograms()
    loop_ms = min(once(lambda: numpy_loop(frames))[0] for _ in range(repeats)) / events * 1e3
    scale = loop_ms / NUMPY_LOOP_MS
    print(f"numpy loop {loop_ms:.1f} ms an event: psana's figures are scaled by {scale:.2f}\n")
    print(
        "ms an event           processor  x reading  x plain   psana  x quicker   elapsed  "
        "2 threads  x"
    )
    large = [np.ones(COPIED * reading.EVENT_BYTES, np.uint8) for _ in range(4)]

    def copying(threads: int) -> Callable[[int], object]:
        def go(passes: int) -> None:
            with ThreadPoolExecutor(threads) as pool:
                number = [passes * events // threads] * threads
                list(pool.map(copy_arrays, large[:threads], large[2:], number))

        return go

    references: dict[str, Callable[[int], Callable[[int], object]]] = {
        "reading alone": partial(on_threads, partial(read_files, events=1), files),
        "into a block": partial(on_threads, partial(read_files, events=BLOCK), files),
        "plain loop": partial(on_threads, read_and_add, files),
        "copying": copying,
    }
    averages = {name: partial(averaging, run, CASES[name]) for name in CASES}
    plain_loop(np.zeros((1, 1), np.int16), *(np.zeros(1, t) for t in ("f4", "f4", "i2", "i2")))
    processor: dict[str, float] = {}
    for name, make in (references | averages).items():
        (ours, elapsed), (_, two) = of_an_event([make(1), make(2)], events, repeats)
        processor[name] = ours
        plain, against = "", ""
        if name in CASES:
            psana = PSANA_MS[name] * scale
            plain = f"{ours / processor['plain loop']:.2f}"
            against = f"{psana:.1f}{psana / ours:11.1f}"
        print(
            f"{name:22}{ours:9.2f}{ours / processor['reading alone']:11.2f}{plain:>9}{against:>19}"
            f"{elapsed:10.2f}{two:11.2f} {elapsed / two:4.2f}",
            flush=True,
        )
    large.clear()
    print(f"\n{others}\n")
    gain_ranges(run, repeats)
    fixed_costs(folder)


def gain_ranges(cspad: Run, repeats: int) -> None:
    """Detectors with gain ranges, beside what the CSPAD takes for a million pixels."""
    others = OtherPrograms()
    print("pedestal + gain       ms an event  ms a million pixels  x CSPAD")
    with tempfile.TemporaryDirectory() as folder:
        runs = [cspad]
        for name, sample in SAMPLES.items():
            made = write_switching_experiment(Path(folder) / name, name, events=26)
            address = sample.detector.address
            runs.append(
                open_run(sample.experiment, BRIGHT_RUN, address=address, psdm_dir=made.folder)
            )
        works = [averaging(run, CASES[GAIN], 1) for run in runs]
        times = of_an_event(works, 26, repeats, few=2, many=6)
        pixels = [run.detector.pixels / 1e6 for run in runs]
        for run, (ours, _), millions in zip(runs, times, pixels, strict=True):
            ratio = ours / millions / (times[0][0] / pixels[0])
            print(f"{run.detector.name:22}{ours:11.1f}{ours / millions:21.2f}{ratio:9.2f}")
    print(f"\n{others}\n")


CALLS = """
import sys, time
start = time.process_time()
import workbench as wb
print(time.process_time() - start)
start = time.process_time()
from workbench.averages import average_run
from workbench.recipe import Events
print(time.process_time() - start)
run = wb.open_run("cxim1416", 74, psdm_dir=sys.argv[1])
corrections = {"raw": None, "pedestal + gain": wb.Corrections(gain=6.85),
               "psana's calibration": wb.Corrections.psana()}[sys.argv[2]]
for _ in range(3):
    start = time.process_time()
    average_run(run, corrections, selection=Events(limit=1))
    print(time.process_time() - start)
"""


NUMBA = """
import time
import numpy
print(0.0)
start = time.process_time()
from numba import njit
print(time.process_time() - start)
@njit(cache=True)
def loop(array):
    for i in range(array.size):
        array[i] += 1
start = time.process_time()
loop(numpy.zeros(1))
print(time.process_time() - start)
"""


def fixed_costs(folder: str) -> None:
    """What calls of one event take: imports, loading compiled loops and constants, result."""
    others = OtherPrograms()
    print("processor ms          import workbench  other imports  first call  in all  later call")
    with tempfile.TemporaryDirectory() as temporary:
        script = Path(temporary) / "loop.py"
        script.write_text(NUMBA)
        commands = {"numba alone": [str(script)]}
        commands |= {name: ["-c", CALLS, folder, name] for name in CASES}
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(temporary) / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for name, command in commands.items():
            runs = []
            for _ in range(4):
                done = subprocess.run(
                    [sys.executable, *command],
                    capture_output=True, text=True, check=True, env=environment,
                )  # fmt: skip
                runs.append([1e3 * float(word) for word in done.stdout.split()])
            # in the first, modules and loops are compiled
            package, modules, first, *later = np.median(runs[1:], axis=0)
            last = f"{min(later):12.0f}" if later else ""
            print(
                f"{name:22}{package:16.0f}{modules:15.0f}{first:12.0f}"
                f"{package + modules + first:8.0f}{last}",
                flush=True,
            )
    print(f"\n{others}\n")


FRESH = """
import os, re, resource, sys, time
from workbench.averages import Dask, Threads, average_run
from workbench.recipe import Events
from workbench.runs import open_run
if __name__ == "__main__":
    count = int(sys.argv[3])
    runner = Threads(count) if sys.argv[2] == "threads" else Dask(workers=count)
    run = open_run("cxim1416", 74, xtc_dir=sys.argv[1])
    start, before = time.perf_counter(), sum(os.times()[:4])
    average_run(run, None, runner, None, Events(limit=int(sys.argv[4])))
    elapsed, processor = time.perf_counter() - start, sum(os.times()[:4]) - before
    # not ru_maxrss: at exec that takes over the peak of the process it came from
    status = open("/proc/self/status").read()
    own = int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
    # a worker's process has ended and is larger than what it came from
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(elapsed, processor, own / 1024, worker / 1024)
"""


def write_long_run(folder: Path, events: int) -> None:
    """A run of at least so many events: a chunk with noise in each pixel, under many names."""
    first = folder / "e780-r0074-s00-c000.xtc"
    clock, noise = x.Clock(), np.random.default_rng(18)
    frames = [x.full(noise.normal(1200, 4, (32, 185, 388)).astype(np.int16)) for _ in range(4)]
    with first.open("wb") as file:
        file.write(x.run_bytes([], clock=clock, close=False))
        for number in range(min(CHUNK_EVENTS, events)):
            file.write(x.dgram(x.L1, x.container(frames[number % 4]), **clock.next()))
    for chunk in range(1, -(-events // CHUNK_EVENTS)):
        os.link(first, folder / f"e780-r0074-s00-c{chunk:03}.xtc")


def fresh_process(folder: Path, runner: str, count: int, events: int) -> tuple[float, ...]:
    """Elapsed and processor time (s) and peak memory (MB) of a fresh process that averages events
    raw, and the memory (MB) of the largest process it started."""
    script = folder / "average.py"
    script.write_text(FRESH)
    command = [sys.executable, str(script), str(folder), runner, str(count), str(events)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return tuple(map(float, done.stdout.split()))


def growth(most: int) -> None:
    """Time and memory over the number of events, and over the number of workers."""
    others = OtherPrograms()
    print(
        "raw events, fresh processes  events  elapsed s  ms an event  processor s  peak MB"
        "  of a worker"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_long_run(folder, most)
        counts = [count for count in (50, 500, 5000) if count < most] + [most]
        cases = [("threads", threads, count) for threads in (1, 2) for count in counts]
        cases += [("workers", workers, most) for workers in (1, 2, 3, 4)]
        for runner, number, count in cases:
            elapsed, processor, own, of_worker = fresh_process(folder, runner, number, count)
            workers = f"{of_worker:13.0f}" if runner == "workers" else ""
            print(
                f"{f'{number} {runner}':27}{count:8}{elapsed:11.1f}{elapsed / count * 1e3:13.2f}"
                f"{processor:13.1f}{own:9.0f}{workers}",
                flush=True,
            )
    print(f"\n{others}")


def keep_memory() -> None:
    """Start again so that freed memory is used again, as the pages of a long run are.

    What the system takes for fresh pages varies more from call to call than all that is measured.
    """
    kept = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
    if not kept.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | kept)
    for name in kept:
        del os.environ[name]  # processes started from here are as a user's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="sample experiment (workbench simulate)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--growth", type=int, metavar="EVENTS", help="also runs of so many events")
    args = parser.parse_args()
    keep_memory()
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
