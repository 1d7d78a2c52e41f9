"""Every call of averaging and of writing fails once: lost events are counted, old files stand."""

from contextlib import suppress

import numpy as np
import pytest
import xtc_builder as x
from faults import ERRNOS, at_call, fail

import workbench as wb
from workbench import provenance
from workbench.averages import Threads
from workbench.errors import WorkbenchError
from workbench.mask import Mask

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
    for number in range(1, calls[0] + 1):
        try:
            with at_call(number, fail(ERRNOS[number % len(ERRNOS)])):
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
    for number in range(1, calls[0] + 1):
        wb.write_mask(old, path)
        before = {file.name for file in tmp_path.iterdir()}
        with suppress(WorkbenchError), at_call(number, fail(ERRNOS[number % len(ERRNOS)])):
            wb.write_mask(new, path)
        good = wb.read_mask(path, format="psana-mask" if ending == ".txt" else None).good
        assert good.all() or not good.any()
        assert {file.name for file in tmp_path.iterdir()} == before
    wb.write_mask(new, path)
