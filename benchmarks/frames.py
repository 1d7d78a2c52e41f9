"""Speed and memory of writing frames, against writing the same bytes and dxtbx reading them.

Each case runs in a process of its own: its peak memory is its own, and the first call, which
compiles and imports, is not counted. The reference writes as many bytes as the CBF files have to
the same disk, each file fsynced as ours are. dxtbx is Debian's (``python3-dials``); without it its
rows are left out.

    python benchmarks/frames.py [--events 50] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hdf5plugin
from machine import machine

import workbench as wb
from workbench.files import replacing
from workbench.simulate.experiment import write_experiment
from workbench.simulate.truth import BRIGHT_RUNS, DETZ_OFFSET_MM, EXPERIMENT

CASES = {
    "CBF, gain": ("cbf", wb.Corrections(gain=6.85)),
    "CBF, full calibration": ("cbf", wb.Corrections(pedestal=True, common_mode=True, gain=6.85)),
    "NXmx, bitshuffle, gain": ("nxmx", wb.Corrections(gain=6.85)),
    "CrystFEL, bitshuffle, gain": ("crystfel", wb.Corrections(gain=6.85)),
}
DEBIAN_PYTHON = "/usr/bin/python3"
DXTBX = """
import glob, json, sys, time
from dxtbx.model.experiment_list import ExperimentListFactory
names = sorted(glob.glob(sys.argv[1] + "/*.cbf") + glob.glob(sys.argv[1] + "/*.nxs"))
start, cpu, count = time.perf_counter(), time.process_time(), 0
for experiment in ExperimentListFactory.from_filenames(names):
    images = experiment.imageset
    for number in range(len(images)):
        images.get_raw_data(number)
        count += 1
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0]
print(json.dumps([seconds, cpu, 0, int(peak) / 1024, count]))
"""
Measured = tuple[float, float, int, float, int]
"""Seconds, CPU seconds, bytes written, peak memory in MB, frames."""


def write_case(title: str, sample: Path, folder: Path) -> Measured:
    """Write the frames of a run once in small, to warm up, and once in full."""
    format, corrections = CASES[title]
    run = wb.open_run(EXPERIMENT, BRIGHT_RUNS[0], psdm_dir=sample)

    def write(place: Path, **options: object) -> int:
        written = wb.write_frames(
            run, place, format, corrections=corrections, detz_offset_mm=DETZ_OFFSET_MM, **options
        )
        return written.count

    write(folder / "warm", selection=wb.Events(limit=2))
    start, cpu = time.perf_counter(), time.process_time()
    count = write(folder / "frames")
    return (
        time.perf_counter() - start, time.process_time() - cpu, size_of(folder / "frames"),
        peak_mb(), count,
    )  # fmt: skip


def peak_mb() -> float:
    """Largest memory of this program so far (``ru_maxrss`` counts the one before it too)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def plain_writing(like: Path, folder: Path) -> Measured:
    """Write files of the same sizes, of bytes that are there already."""
    sizes = [path.stat().st_size for path in sorted(like.glob("*.cbf"))]
    content = os.urandom(max(sizes))
    start, cpu = time.perf_counter(), time.process_time()
    for number, size in enumerate(sizes):
        with replacing(folder / f"{number}.bin") as temporary:
            temporary.write_bytes(memoryview(content)[:size])
    peak = peak_mb()
    return (
        time.perf_counter() - start, time.process_time() - cpu, sum(sizes), peak, len(sizes),
    )  # fmt: skip


def elsewhere(*command: str, python: str = sys.executable) -> Measured:
    environment = dict(os.environ)
    if python == DEBIAN_PYTHON:
        environment["HDF5_PLUGIN_PATH"] = hdf5plugin.PLUGINS_PATH
    done = subprocess.run(
        [python, *command], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where to write (default: in /tmp)")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        title, sample, folder = args.case
        print(json.dumps(write_case(title, Path(sample), Path(folder))))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        sample, out = Path(name, "sample"), Path(name, "out")
        write_experiment(sample, events=args.events)
        print(f"{machine()}; {args.events} events\n")
        print(f"{'':28} {'ms/frame':>9} {'CPU ms':>7} {'MB/frame':>9} {'ratio':>6} {'peak MB':>8}")
        reference = 0.0
        for title, (format, _) in CASES.items():
            measured = elsewhere(__file__, "--case", title, str(sample), str(out / title))
            if not reference:
                plain = plain_writing(out / title / "frames", out / "plain")
                reference = plain[0] / plain[4]
                show("the same bytes, fsynced", plain, reference)
            show(title, measured, reference)
            if format != "crystfel" and shutil.which("dials.find_spots"):
                read = elsewhere("-c", DXTBX, str(out / title / "frames"), python=DEBIAN_PYTHON)
                show(f"  dxtbx reads the {format}", read, reference)
            shutil.rmtree(out / title)


def show(title: str, measured: Measured, reference: float) -> None:
    seconds, cpu, size, peak, count = measured
    print(
        f"{title:28} {seconds / count * 1e3:9.1f} {cpu / count * 1e3:7.1f} "
        f"{size / count / 1e6:9.2f} {seconds / count / reference:6.2f} {peak:8.0f}",
        flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
