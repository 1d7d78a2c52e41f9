"""All benchmarks one after the other, in one document: ``python benchmarks > figures.md``.

Above each table stand the machine, its load when the table was begun, and the state of the code;
below it what other programs took meanwhile; a busy machine is marked. What load the last benchmark
leaves is waited for, up to two minutes.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from machine import BUSY, OtherPrograms, machine

TABLES = {
    "Reading a run": "reading.py",
    "Averages": "averages.py",
    "Mask": "mask.py",
    "Alignment": "alignment.py --seeds 1",
    "Geometry and image files": "geometry.py",
    "Frames": "frames.py",
    "Start of the workbench": "ui_start.py",
    "Slider": "ui_latency.py",
    "Indexing by DIALS": "indexing.py",
}
PATIENCE_SECONDS = 120


def main() -> int:
    failed = 0
    for title, command in TABLES.items():
        wait_for_quiet()
        print(f"\n## {title}\n\n`benchmarks/{command}`; {machine()}\n\n```", flush=True)
        others = OtherPrograms()
        script, *options = shlex.split(command)
        failed |= subprocess.call([sys.executable, Path(__file__).with_name(script), *options])
        print(f"```\n\n{others}", flush=True)
    return failed


def wait_for_quiet() -> None:
    """Wait until the load of the last minute has gone down."""
    end = time.monotonic() + PATIENCE_SECONDS
    while os.getloadavg()[0] > BUSY * len(os.sched_getaffinity(0)) and time.monotonic() < end:
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(main())
