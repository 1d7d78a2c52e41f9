"""Speed and memory of averaging, as ratios to the loops people use today, in the same run.

    python benchmarks/averages.py [SAMPLE_FOLDER] [--events N] [--repeats N]

Reference loops: what ``cxi.mpi_average`` does per event in numpy (float64 copy, minus pedestals,
sum, sum of squares, maximum), and psana's calibration with common mode restated in numpy. Both
see the same events as ours. Times are the best of some repeats: other work on the machine only
adds. Without a folder a sample experiment is written to a temporary one.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from workbench.averages.accumulators import CorrectedSums, RawSums
from workbench.averages.collect import BLOCK, Job, collect
from workbench.corrections import make_corrector
from workbench.pipeline import open_run
from workbench.recipe import Corrections

PSANA = Path(__file__).parents[1] / "tests" / "corrections" / "psana_in_numpy.py"


class InMemory:
    """An event whose pixels are in memory."""

    quads = ()

    def __init__(self, raw: np.ndarray) -> None:
        self.raw = raw


def best(work: Callable[[], Any], events: int, repeats: int) -> float:
    """Milliseconds per event of the quickest of some repeats."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
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
    total = np.zeros(run.shape, np.float32)
    squares, maximum = total.copy(), np.full(run.shape, -np.inf, np.float32)
    for raw in frames:
        data = psana.calibrate(
            raw, corrector.pedestals.values, ~good, common.parameters, gain, None, mask
        )
        total += data
        squares += data**2
        maximum = np.maximum(maximum, data)


def kernel(frames: list[np.ndarray], make: Callable[[], Any], parts: range | None = None) -> None:
    """Our sums of events in memory, one thread."""
    sums = make()
    events = [InMemory(raw) for raw in frames]
    for start in range(0, len(events), BLOCK):
        block = sums.load(events[start : start + BLOCK])
        for part in range(sums.parts):
            sums.add(block, part)
        sums.loaded(len(events[start : start + BLOCK]))
    sums.statistics()


def peak_memory(folder: str, threads: int, repeats: int) -> float:
    """Peak resident memory (MB) of a fresh process that averages the run some times over."""
    code = (
        "import sys, resource; from workbench.pipeline import open_run;"
        "from workbench.averages import average_run, Threads;"
        "run = open_run('cxim1416', 74, psdm_dir=sys.argv[1]);"
        "[average_run(run, None, Threads(int(sys.argv[2]))) for _ in range(int(sys.argv[3]))];"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, str(threads), str(repeats)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="sample experiment (workbench simulate)")
    parser.add_argument("--events", type=int, default=64, help="events of a sample made here")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder
        if folder is None:
            from workbench.simulate.experiment import write_experiment

            folder = temporary
            write_experiment(Path(folder), events=args.events)
        measure(str(folder), args.repeats)


def measure(folder: str, repeats: int) -> None:
    """Measure everything on run 74 of the experiment and print the table."""
    run = open_run("cxim1416", 74, psdm_dir=folder)
    frames = [np.array(event.raw) for event in run.events() if event.raw is not None]
    n = len(frames)
    bright = make_corrector(Corrections(gain=6.85), run)
    full = make_corrector(Corrections.psana(), run)
    pedestals = bright.pedestals.values.astype(np.float64)
    low = np.asarray(run.low_gain)

    def raw_sums() -> RawSums:
        return RawSums(run.shape)

    def bright_sums() -> RawSums:
        return RawSums(run.shape, *bright.offset_and_factor)

    def full_sums() -> CorrectedSums:
        return CorrectedSums(full)

    for make in (raw_sums, bright_sums, full_sums):
        kernel(frames[:8], make)  # compile

    def read(corrections: Corrections | None, threads: int) -> float:
        job = Job(run, corrections)
        return best(lambda: collect(job, threads), n, repeats)

    ref_raw = best(lambda: mpi_average(frames, None, None), n, repeats)
    our_raw = best(lambda: kernel(frames, raw_sums), n, repeats)
    ref_gain = best(lambda: mpi_average(frames, pedestals, low), n, repeats)
    our_gain = best(lambda: kernel(frames, bright_sums), n, repeats)
    ref_full = best(lambda: numpy_calibration(frames[: max(4, n // 4)], run), max(4, n // 4), 2)
    our_full = best(lambda: kernel(frames, full_sums), n, repeats)
    xtc_raw, xtc_two = read(None, 1), read(None, 2)
    full_one, full_two = read(Corrections.psana(), 1), read(Corrections.psana(), 2)
    rows = [
        ("raw, numpy as mpi_average", ref_raw, ""),
        ("raw, ours in memory", our_raw, f"{ref_raw / our_raw:.1f} x quicker (wanted 10)"),
        ("raw, ours from XTC files, 1 thread", xtc_raw,
         f"{xtc_raw / our_raw:.2f} x the time in memory (wanted at most 2)"),
        ("raw, ours from XTC files, 2 threads", xtc_two, f"{xtc_raw / xtc_two:.2f} x one thread"),
        ("pedestal + gain, numpy as mpi_average", ref_gain, ""),
        ("pedestal + gain, ours in memory", our_gain,
         f"{ref_gain / our_gain:.1f} x quicker (wanted 10)"),
        ("psana calibration, numpy", ref_full, ""),
        ("psana calibration, ours in memory", our_full,
         f"{ref_full / our_full:.1f} x quicker (wanted 8)"),
        ("psana calibration, ours from XTC files, 1 thread", full_one,
         f"{full_one / our_full:.2f} x the time in memory"),
        ("psana calibration, ours from XTC files, 2 threads", full_two,
         f"{full_one / full_two:.2f} x one thread (wanted 1.7)"),
    ]  # fmt: skip
    print(f"{n} events, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':52}{'ms/event':>9}")
    for name, milliseconds, note in rows:
        print(f"{name:52}{milliseconds:9.2f}  {note}")
    print()
    for threads, wanted in ((1, 700), (2, 1200)):
        once, often = peak_memory(folder, threads, 1), peak_memory(folder, threads, 20)
        print(
            f"peak memory, {threads} thread(s): {once:.0f} MB for {n} events, {often:.0f} MB for "
            f"{20 * n} (wanted at most {wanted})"
        )
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
