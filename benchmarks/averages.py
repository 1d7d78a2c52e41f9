"""Speed and memory of averaging, as ratios to the loops people use today, in the same run.

    python benchmarks/averages.py [SAMPLE_FOLDER] [--events N] [--repeats N] [--long N]

Reference loops: what ``cxi.mpi_average`` does per event in numpy (float64 copy, minus pedestals,
sum, sum of squares, maximum), and psana's calibration with common mode restated in numpy. Both
see the same events as ours, in memory.

"In memory" is the compiled loop alone, on arrays. "From XTC files" is everything from opening the
files to the finished images; the files were dropped from the system's cache and read again
before, since pages just written are mapped much more slowly than pages that were read. One thread
reads and adds in turn; two threads are that thread and one more. Times are the best of some
repeats: other work on the machine only adds. Without a folder a sample experiment is written to
a temporary one.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import reading

from workbench.averages.accumulators import CorrectedSums, RawSums
from workbench.averages.collect import BLOCK, Job, collect
from workbench.averages.halves import Halves
from workbench.corrections import make_corrector
from workbench.pipeline import open_run
from workbench.recipe import Corrections
from workbench.runs import ModulePixels

RAW, FULL, REFERENCE = 2048, 512, 64
"""Events of a measurement; a shorter run is gone through several times."""
PSANA = Path(__file__).parents[1] / "tests" / "corrections" / "psana_in_numpy.py"


class InMemory:
    """An event whose pixels are in memory."""

    def __init__(self, raw: np.ndarray) -> None:
        self.raw = raw
        self.modules = (ModulePixels(tuple(range(len(raw))), raw),)


def best(work: Callable[[], Any], events: int, repeats: int, clock: Any = None) -> float:
    """Milliseconds per event of the quickest of some repeats; of processor time by default.

    Processor time leaves out waiting for other programs on a busy machine.
    """
    clock = clock or time.process_time
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times) / events * 1e3


def mpi_average(frames: list[np.ndarray], pedestals: np.ndarray | None, gain: Any) -> None:
    """What cxi.mpi_average does to each event, in numpy."""
    total = squares = maximum = None
    for raw in frames:
        data = raw.astype(np.float64)
        if pedestals is not None:
            data = data - pedestals
            data[gain] *= 6.85
        if total is None:
            total, squares, maximum = data.copy(), data**2, data.copy()
        else:
            total += data
            squares += data**2
            maximum = np.maximum(maximum, data)


def numpy_calibration(frames: list[np.ndarray], run: Any) -> None:
    """psana's calibration in numpy, then sums as mpi_average has them."""
    specification = importlib.util.spec_from_file_location("psana_in_numpy", PSANA)
    psana = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(psana)
    corrector = make_corrector(Corrections.psana(), run)
    common, good = corrector.common_mode, corrector.common_mode.good
    gain = np.where(run.low_gain, np.float32(6.85), np.float32(1))
    mask = corrector.status_mask.good
    total = np.zeros(run.detector.shape, np.float32)
    squares, maximum = total.copy(), np.full(run.detector.shape, -np.inf, np.float32)
    for raw in frames:
        data = psana.calibrate(
            raw, corrector.pedestals.values, ~good, common.parameters, gain, None, mask
        )
        total += data
        squares += data**2
        maximum = np.maximum(maximum, data)


def kernel(frames: list[np.ndarray], make: Callable[[], Any]) -> None:
    """Our sums of events in memory, one thread."""
    sums = make()
    events = [InMemory(raw) for raw in frames]
    for start in range(0, len(events), BLOCK):
        block = sums.load(events[start : start + BLOCK])
        block.add()
        block.added()
    sums.statistics()


class Repeated:
    """A run whose events come several times over, read from the files each time."""

    def __init__(self, run: Any, times: int) -> None:
        self._run, self._times = run, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def events(self, *arguments: Any) -> Any:
        for _ in range(self._times):
            yield from self._run.events(*arguments)


def peak_memory(folder: Path, threads: int, events: int) -> float:
    """Peak resident memory (MB) of a fresh process that averages a long run."""
    code = (
        "import re, sys; from workbench.runs import open_run;"
        "from workbench.averages import average_run, Threads;"
        "from workbench.recipe import Events;"
        "run = open_run('cxim1416', 74, xtc_dir=sys.argv[1]);"
        "average_run(run, None, Threads(int(sys.argv[2])), None, Events(limit=int(sys.argv[3])));"
        # not ru_maxrss: at exec that takes over the peak of the process it came from
        "status = open('/proc/self/status').read();"
        "print(int(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1]) / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(threads), str(events)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="sample experiment (workbench simulate)")
    parser.add_argument("--events", type=int, default=64, help="events of a sample made here")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--long", type=int, default=10_000, help="events of the long run (memory)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder
        if folder is None:
            from workbench.simulate.experiment import write_experiment

            folder = temporary
            write_experiment(Path(folder), events=args.events)
        measure(str(folder), args.repeats)
    memory(args.long)


def cached(run: Any) -> None:
    """Have the files in the system's cache in the state in which reading from disk leaves them."""
    for path in run.files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while file.read(1 << 24):
                pass


def measure(folder: str, repeats: int) -> None:
    """Measure everything on run 74 of the experiment and print the tables."""
    run = open_run("cxim1416", 74, psdm_dir=folder)
    frames = [np.array(event.raw) for event in run.events() if event.raw is not None]
    in_run = len(frames)
    some, times = frames[:REFERENCE], {count: -(-count // in_run) for count in (RAW, FULL)}
    bright = make_corrector(Corrections(gain=6.85), run)
    full = make_corrector(Corrections.psana(), run)
    pedestals = bright.pedestals.values.astype(np.float64)
    low = np.asarray(run.low_gain)

    def raw_sums() -> RawSums:
        return RawSums(run.detector.shape)

    def bright_sums() -> RawSums:
        return RawSums(run.detector.shape, *bright.offset_and_factor)

    def full_sums() -> CorrectedSums:
        return CorrectedSums(full)

    for make in (raw_sums, bright_sums, full_sums):
        kernel(frames[:8], make)  # compile

    def in_memory(make: Callable[[], Any], events: int) -> float:
        stack = frames * times[events]
        return best(lambda: kernel(stack, make), len(stack), repeats)

    def read(
        corrections: Corrections | None,
        events: int,
        threads: int,
        clock: Any = None,
        halves: Halves | None = None,
    ) -> float:
        job = Job(Repeated(run, times[events]), corrections, halves=halves)
        collect(Job(run, corrections), threads)  # constants are read
        return best(lambda: collect(job, threads), times[events] * in_run, repeats, clock)

    ref_raw = best(lambda: mpi_average(some, None, None), len(some), repeats)
    our_raw = in_memory(raw_sums, RAW)
    ref_gain = best(lambda: mpi_average(some, pedestals, low), len(some), repeats)
    our_gain = in_memory(bright_sums, RAW)
    ref_full = best(lambda: numpy_calibration(frames[:8], run), 8, 2)
    our_full = in_memory(full_sums, FULL)
    cached(run)
    psana = Corrections.psana()
    raw_xtc, full_xtc = read(None, RAW, 1), read(psana, FULL, 1)
    halved = read(None, RAW, 1, halves=Halves("odd-even"))
    rows = [
        ("raw, numpy as mpi_average", ref_raw, ""),
        ("raw, ours in memory", our_raw, f"{ref_raw / our_raw:.1f} x quicker (wanted 10)"),
        ("raw, ours from XTC files, 1 thread", raw_xtc,
         f"{raw_xtc / our_raw:.2f} x the time in memory (wanted at most 2)"),
        ("raw, odd and even events apart, from XTC files", halved,
         f"{halved / raw_xtc:.2f} x the time of all together"),
        ("pedestal + gain, numpy as mpi_average", ref_gain, ""),
        ("pedestal + gain, ours in memory", our_gain,
         f"{ref_gain / our_gain:.1f} x quicker (wanted 10)"),
        ("psana calibration, numpy", ref_full, ""),
        ("psana calibration, ours in memory", our_full,
         f"{ref_full / our_full:.1f} x quicker (wanted 8)"),
        ("psana calibration, ours from XTC files, 1 thread", full_xtc,
         f"{full_xtc / our_full:.2f} x the time in memory (wanted at most 2)"),
    ]  # fmt: skip
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'processor time':52}{'ms/event':>9}")
    for name, milliseconds, note in rows:
        print(f"{name:52}{milliseconds:9.2f}  {note}")
    print(f"\n{'elapsed time from XTC files':52}{'1 thread':>9}{'2 threads':>10}")
    for name, corrections, events in (("raw", None, RAW), ("psana calibration", psana, FULL)):
        one, two = (read(corrections, events, threads, time.perf_counter) for threads in (1, 2))
        print(f"{name:52}{one:9.2f}{two:10.2f}  {one / two:.2f} x quicker (wanted 1.7)")


def memory(events: int) -> None:
    """Peak memory of averaging a short and a long run."""
    print()
    with tempfile.TemporaryDirectory() as temporary:
        reading.write_sparse_run(Path(temporary), events)
        for threads, wanted in ((1, 700), (2, 1200)):
            short, long = (peak_memory(Path(temporary), threads, n) for n in (500, events))
            print(
                f"peak memory, {threads} thread(s): {short:.0f} MB for 500 events, {long:.0f} MB "
                f"for {events} (wanted at most {wanted})"
            )


if __name__ == "__main__":
    main()
