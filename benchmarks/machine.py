"""Where and when figures were measured: one line above each table, and one below."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path

from workbench import provenance

BUSY = 0.5
"""Load per core above which figures are marked."""
MARK = " BUSY: these figures are no measure of the program"


def machine() -> str:
    """Machine, how busy it is, and state of the code."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    name = model[1] if model else platform.machine()
    commit = provenance.commit() or "unknown"
    return f"{name}, {cores} cores; load {load:.1f}{_mark(load)}; commit {commit}"


class OtherPrograms:
    """What other programs take of the processors while figures are measured; print it after."""

    def __init__(self) -> None:
        self._start, self._taken = time.monotonic(), _taken_by_others()

    def __str__(self) -> str:
        cores = (_taken_by_others() - self._taken) / (time.monotonic() - self._start)
        return f"meanwhile other programs took {max(cores, 0.0):.1f} cores{_mark(cores)}"


def _mark(load: float) -> str:
    return MARK if load > BUSY * len(os.sched_getaffinity(0)) else ""


def _taken_by_others() -> float:
    """Processor time of all programs but this one and those it waited for, s."""
    user, nice, system, _idle, _waiting, *interrupts = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    everybody = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    return everybody - sum(os.times()[:4])
