"""Feed damaged runs to the reader for as long as you like.

    python benchmarks/fuzz_reader.py [--seconds 60] [--seed 0]

A good run is damaged at random (bytes changed, words set to telling values, pieces moved, cut
short), opened, read to the end and inspected. The only allowed outcomes are events and the
workbench's own errors; the script stops with the damaged file kept at the first other one.
It prints how often each outcome came, the slowest case and the growth of memory against the
bound (size of the files + 200 MB).
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from struct import pack

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "runs"))
import test_compression as packing
import xtc_builder as x

from workbench.averages import Threads, average_run
from workbench.errors import WorkbenchError
from workbench.runs import inspect_run, open_run
from workbench.runs.psdm import find_experiment

WORDS = [0, 1, 19, 20, 21, 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00010001, 0x8002001C, 36]


def good_runs() -> list[bytes]:
    """Runs with all kinds of objects, kept small by reading out few sections."""
    pixels = (np.arange(185 * 388) % 900).astype(np.int16).reshape(1, 185, 388)
    quads = [x.element(q, pixels) for q in (2, 0)]
    extra = [x.evr(40), x.ebeam(), x.epics_time(7, -499.0)]
    packed = pack("<I", 32) + x.element_header(0) + pack("<4I", 1, 0, 143564, 143576)
    packed += pack("<3I", 0, 0, 143564) + bytes(143564)
    runs = []
    for version in (1, 2, 3, 4, 5):
        roi = 0x00010001
        cfg = [
            x.config(version, quad_mask=5, roi=roi),
            x.epics_control(7, "CXI:DS1:MMS:06.RBV", -500.0),
        ]
        events = [[x.data(quads), *extra], [x.xtc(0x8002001C, packed), *extra], extra]
        runs.append(x.run_bytes(events * 2, cfg))
    # compressed by each engine and in each of its ways
    words = np.append(pixels.ravel(), [17, 18]).astype("<i2")
    engines = [(1, packing.hist16(words, 100, flag)) for flag in (0, 1, 3)]
    engines += [(2, packing.histn(words, 100, flag, 2, 5)) for flag in (1, 3)]
    cfg = [x.config(quad_mask=1, roi=1)]
    events = []
    for engine, data in engines:
        block = packing.block(x.element_header(0), engine, data, words.nbytes)
        events.append([x.xtc(0x8002001C, block), *extra])
    runs.append(x.run_bytes(events, cfg))
    # DAQ and control pieces, split events, damage
    whole = x.data([x.element(0, pixels)])
    broken = x.data([x.element(0, pixels)], damage=1 << 14)
    runs.append(x.run_bytes([[whole, whole], [broken, whole], [broken], [x.container(whole)]], cfg))
    return runs


def headers(content: bytes) -> list[int]:
    """Places that look like the type of an object."""
    words = np.frombuffer(content[: len(content) // 4 * 4], "<u4")
    return (4 * np.flatnonzero(np.isin(words >> 16, [1, 2, 0x8002, 5]))).tolist()


def damage(content: bytes, starts: list[int], others: list[bytes], rng: random.Random) -> bytes:
    """One damaged copy."""
    out = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        near = rng.random() < 0.7 and starts
        place = (
            max(0, rng.choice(starts) + rng.randint(-40, 40)) if near else rng.randrange(len(out))
        )
        kind = rng.random()
        if kind < 0.4:
            out[place : place + 4] = pack("<I", rng.choice(WORDS))
        elif kind < 0.7:
            out[place : place + 1] = bytes([rng.randrange(256)])
        elif kind < 0.8:
            del out[place : place + rng.choice([1, 2, 4, 20, 1000])]
        elif kind < 0.9:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            out[place:place] = other[start : start + rng.choice([4, 20, 40, 5000])]
        else:
            out = out[: place + 1]
    return bytes(out)


def outcome(folder: Path, averaged: bool = False) -> str:
    """Read everything, now and then by the compiled loops as well; name what came out."""
    names = []
    try:
        run = open_run("cxim1416", 74, xtc_dir=folder)
        events = 0
        for event in run.events():
            events += event.raw is not None
            _ = event.wavelength_angstrom, event.event_codes, event.encoder_mm
        names.append("events with data" if events else "events without data")
        if averaged:
            images = average_run(run, None, Threads(1))
            names.append("averaged" if images.count == events else "averaged otherwise")
    except WorkbenchError as error:
        names.append(type(error).__name__)
    try:
        inspect_run(find_experiment("cxim1416", xtc_dir=folder).run(74)).to_dict()
    except WorkbenchError as error:
        names.append(f"inspect: {type(error).__name__}")
    return ", ".join(names)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    seeds = good_runs()
    starts = [headers(content) for content in seeds]
    folder = Path(tempfile.mkdtemp(prefix="fuzz_reader-"))
    outcomes: Counter[str] = Counter()
    slowest, largest = 0.0, 0
    for content in seeds:
        x.write(folder, content)
        outcome(folder, averaged=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    end = time.monotonic() + args.seconds
    while time.monotonic() < end:
        size = 0
        for stream in range(rng.randint(1, 2)):
            number = rng.randrange(len(seeds))
            content = damage(seeds[number], starts[number], seeds, rng)
            x.write(folder, content, stream=80 * stream)
            size += len(content)
        start = time.monotonic()
        try:
            outcomes[outcome(folder, averaged=sum(outcomes.values()) % 20 == 0)] += 1
        except Exception:
            traceback.print_exc()
            print(f"The damaged run was kept in {folder}")
            return 1
        slowest, largest = max(slowest, time.monotonic() - start), max(largest, size)
        for path in folder.iterdir():
            path.unlink()
    shutil.rmtree(folder)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    for name, count in outcomes.most_common():
        print(f"{count:8d}  {name}")
    print(f"{sum(outcomes.values()):8d}  damaged runs, slowest {slowest:.2f} s")
    bound = largest / 1e6 + 200
    print(f"memory grew by {grown:.0f} MB (bound: {bound:.0f} MB)")
    return int(grown > bound)


if __name__ == "__main__":
    sys.exit(main())
