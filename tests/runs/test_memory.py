"""Long runs cost no memory, and what was handed out stays valid."""

import gc
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xtc_builder as x

from workbench.recipe import Events
from workbench.runs import open_run


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """80 events of full size; pixels are holes of the file but for a mark in each event."""
    folder = tmp_path_factory.mktemp("long")
    path = x.write(folder, x.run_bytes([], close=False))
    template = x.full(np.zeros((32, 185, 388), np.int16))
    clock = x.Clock()
    with path.open("ab") as file:
        for number in range(80):
            whole = x.dgram(x.L1, x.container(template), **clock.next())
            start = file.seek(0, os.SEEK_END)
            file.truncate(start + len(whole))
            with path.open("r+b") as out:
                for quad in range(4):
                    place = start + 80 + quad * 1_148_516
                    out.seek(start if quad == 0 else place)
                    out.write(whole[(0 if quad == 0 else 80 + quad * 1_148_516) :][:120])
                out.seek(start + 80 + 32)
                out.write(np.int16(number).tobytes())
    return folder


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def test_memory_does_not_grow_with_the_run(long_run):
    run = open_run("cxim1416", 74, xtc_dir=long_run)
    list(run.events())
    gc.collect()
    before, grown, seen = resident_mb(), 0.0, 0
    for event in run.events():
        for _, pixels in event.modules:
            seen += int(pixels[0, 0, 0])
            assert pixels.max() >= 0  # touches every page of 368 MB
        grown = max(grown, resident_mb() - before)
    assert seen == 80 * 79 // 2
    assert grown < 130


def test_events_can_be_read_after_all_have_been_gone_through(long_run):
    events = list(open_run("cxim1416", 74, xtc_dir=long_run).events())
    gc.collect()
    assert [int(event.raw[0, 0, 0]) for event in events[::8]] == list(range(0, 80, 8))


def test_a_run_can_be_sent_to_other_processes(long_run):
    run = open_run("cxim1416", 74, xtc_dir=long_run)
    other = pickle.loads(pickle.dumps(run))
    assert (other.number, other.address, other.files) == (run.number, run.address, run.files)
    picked = [int(e.raw[0, 0, 0]) for e in other.events(selection=Events(skip=5, limit=2))]
    assert picked == [5, 6]


def test_a_run_is_read_by_several_threads_at_once(long_run):
    run = open_run("cxim1416", 74, xtc_dir=long_run)

    def marks(skip):
        selection = Events(skip=skip, every=4)
        return [int(event.raw[0, 0, 0]) for event in run.events(selection=selection)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(marks, range(4)))
    assert found == [list(range(skip, 80, 4)) for skip in range(4)]
