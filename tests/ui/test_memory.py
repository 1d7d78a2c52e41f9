"""Playing with the mask for long costs no memory."""

import gc
import resource
import time
import weakref
from pathlib import Path

import matplotlib.pyplot
import pytest
from matplotlib.figure import Figure

from workbench.memory import give_back
from workbench.ui.app import Workbench

pytestmark = pytest.mark.slow


def resident_mb():
    """Memory of this process, MB."""
    give_back()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def figures():
    gc.collect()
    return sum(isinstance(one, Figure) for one in gc.get_objects())


def test_many_masks_leave_no_figures_and_no_memory_behind(image_set):
    bench = Workbench()
    session = bench.session
    session.use_images(image_set)
    session.wait(300)
    bench.open(bench.mask)
    made = []
    session.subscribe("mask", lambda: made.append(int(session.mask.good.sum())))

    def recompute(values):
        for value in values:
            session.change("mask.thresholds.maxproj_min", float(value))
            session.wait(300)

    recompute(range(200, 400, 20))  # caches fill, once
    memory, drawn, opened = resident_mb(), figures(), len(matplotlib.pyplot.get_fignums())
    made.clear()
    recompute(range(400, 1000, 20))
    assert len(made) >= 30
    assert len(set(made)) > 5
    assert figures() <= drawn + 1
    assert len(matplotlib.pyplot.get_fignums()) == opened
    # a mask and its reasons are 11 MB: were each kept, it would be 330 MB
    assert resident_mb() - memory < 120


def test_a_closed_workbench_leaves_nothing_behind(image_set, monkeypatch):
    monkeypatch.setattr("workbench.session.worker.IDLE_SECONDS", 0.01)

    def used():
        bench = Workbench()
        bench.session.use_images(image_set)
        for panel in bench.panels:
            bench.open(panel)
        bench.session.wait(300)
        bench.close()
        return weakref.ref(bench), weakref.ref(bench.session)

    left = list(used())
    memory = resident_mb()
    for _ in range(4):
        left += used()
    until = time.monotonic() + 300
    while any(one() is not None for one in left) and time.monotonic() < until:
        time.sleep(0.1)
        gc.collect()
    assert [one() for one in left] == [None] * 10
    # each held 115 MB
    assert resident_mb() - memory < 100
