"""Every call of averaging and of writing fails once: lost events are counted, old files stand."""

from contextlib import suppress
from itertools import product

import numpy as np
import pytest
import xtc_builder as x
from faults import ERRNOS, at_call, fail, in_child, kill

import workbench as wb
from workbench import provenance
from workbench.averages import Threads, read_state
from workbench.errors import WorkbenchError
from workbench.mask import Mask
from workbench.recipe import Events

EVENTS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of which one section is read out, with a value of its own in each event."""
    folder = tmp_path_factory.mktemp("run")
    pictures = [np.full((1, 185, 388), 2**number, np.int16) for number in range(EVENTS)]
    events = [[x.data([x.element(0, picture)]), x.evr(40)] for picture in pictures]
    x.write(folder, x.run_bytes(events, [x.config(quad_mask=1, roi=1)]))
    return folder


def averaged(folder):
    run = wb.open_run("cxim1416", 74, xtc_dir=folder)
    return run, wb.average_run(run, runner=Threads(1))


def test_each_call_of_averaging_fails_once(folder, monkeypatch):
    monkeypatch.setattr("workbench.provenance.software", dict)  # hundreds of calls of its own
    assert averaged(folder)[1].count == EVENTS  # imports and compiles
    with at_call(0, None) as calls:
        averaged(folder)
    lost = refused = 0
    for number, error in product(range(1, calls[0] + 1), ERRNOS):
        try:
            with at_call(number, fail(error)):
                run, images = averaged(folder)
        except WorkbenchError:
            refused += 1
            continue
        missing = EVENTS - images.count
        if missing:
            lost += 1
            assert run.problems
        # a mean of powers of two says which events are in it
        total = round(float(images.average[0].max()) * images.count)
        assert total.bit_count() == images.count
        assert total < 2**EVENTS
    assert lost
    assert refused
    assert averaged(folder)[1].count == EVENTS


@pytest.mark.slow
def test_killed_at_each_call_of_averaging_and_saving(folder, tmp_path, monkeypatch):
    """The state from before stands or the new one; going on from either gives every event."""
    monkeypatch.setattr("workbench.provenance.software", dict)
    state = tmp_path / "state.npz"

    def go_on():
        run = wb.open_run("cxim1416", 74, xtc_dir=folder)
        images = wb.average_run(run, runner=Threads(1), resume=state)
        images.save_state(state)
        return images.count

    run = wb.open_run("cxim1416", 74, xtc_dir=folder)
    begun = wb.average_run(run, runner=Threads(1), selection=Events(limit=2))
    begun.save_state(state)
    before = state.read_bytes()
    assert go_on() == EVENTS  # imports and compiles
    number, status, counts = 0, -9, set()
    while status:
        number += 1
        state.write_bytes(before)

        def work(number=number):
            with at_call(number, kill):
                go_on()

        status = in_child(work)
        assert status in (0, -9)
        counts.add(read_state(state).collected.counts.used)
        for left in tmp_path.glob(".state.npz.*"):
            left.unlink()
    assert number > 30
    assert counts == {2, EVENTS}
    state.write_bytes(before)
    assert go_on() == EVENTS


def test_versions_of_software_that_cannot_be_read_cost_no_result():
    provenance._version.cache_clear()
    with at_call(0, None) as calls:
        right = provenance.software()
    for number in range(1, calls[0] + 1, calls[0] // 12):
        provenance._version.cache_clear()
        with at_call(number, fail(ERRNOS[0])):
            assert provenance.software().items() <= right.items()


@pytest.mark.parametrize("ending", [".pickle", ".npy", ".cxi", ".edf", ".txt"])
def test_each_call_of_writing_fails_once(tmp_path, ending):
    """The old file stands or the new one; no temporary file is left."""
    path = tmp_path / f"mask{ending}"
    shape = (2, 185, 388)
    old, new = (Mask.from_good(np.full(shape, value)) for value in (False, True))
    wb.write_mask(old, path)
    with at_call(0, None) as calls:
        wb.write_mask(new, path)
    whole = set()  # contents that were read and are all of the old mask, or of the new one
    for number, error in product(range(1, calls[0] + 1), ERRNOS):
        wb.write_mask(old, path)
        before = {file.name for file in tmp_path.iterdir()}
        with suppress(WorkbenchError), at_call(number, fail(error)):
            wb.write_mask(new, path)
        if (content := path.read_bytes()) not in whole:
            good = wb.read_mask(path, format="psana-mask" if ending == ".txt" else None).good
            assert good.all() or not good.any()
            whole.add(content)
        assert {file.name for file in tmp_path.iterdir()} == before
    wb.write_mask(new, path)
