"""Where and when figures were measured: one line above each table."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from workbench import provenance

BUSY = 0.5
"""Load per core above which figures are marked."""


def machine() -> str:
    """Machine, how busy it is, and state of the code."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    busy = " BUSY: these figures are no measure of the program" if load > BUSY * cores else ""
    name = model[1] if model else platform.machine()
    commit = provenance.commit() or "unknown"
    return f"{name}, {cores} cores; load {load:.1f}{busy}; commit {commit}"
