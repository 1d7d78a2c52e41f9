"""Real XTC files averaged by real workers: what threads give, whatever happens to the workers."""

import os
import pickle
import signal

import numpy as np
import pytest
from distributed import Client, LocalCluster

import workbench as wb
from workbench.averages import Dask, average_run
from workbench.errors import FileFormatError
from workbench.recipe import Events
from workbench.runs import Run

PSANA = wb.Corrections.psana()


def cluster(workers, processes=False):
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=processes, protocol="tcp://",
        dashboard_address=None, host="127.0.0.1",
    )  # fmt: skip


def open_run(experiment):
    return wb.open_run("cxim1416", 74, xtc_dir=experiment.xtc_dir, calib_dir=experiment.calib_dir)


@pytest.fixture(scope="module")
def run(sample) -> Run:
    return open_run(sample)


@pytest.fixture(scope="module")
def expected(run):
    return {c: average_run(run, c, detz_offset_mm=585.5) for c in (None, PSANA)}


def assert_identical(one, other):
    assert one.count == other.count
    assert one.skipped == other.skipped
    for name in ("maximum", "minimum", "pixel_count"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("average", "stddev"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-9)
    for name in ("distance_mm", "wavelength_angstrom", "seconds"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12)
    assert not one.partial


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 5])
def test_any_number_of_workers_gives_what_threads_give(run, expected, workers):
    with cluster(workers) as local:
        for corrections, images in expected.items():
            runner = Dask(local.scheduler_address, chunk_events=3)
            there = average_run(run, corrections, runner, detz_offset_mm=585.5)
            assert_identical(there, images)


def test_more_workers_than_events(run):
    two = Events(skip=3, limit=2)
    with cluster(5) as local:
        there = average_run(run, None, Dask(local, chunk_events=1), None, two, detz_offset_mm=1)
    assert there.count == 2
    assert_identical(there, average_run(run, selection=two, detz_offset_mm=1))


class Murder:
    """Progress that kills a worker as soon as a part is done."""

    cancelled = False

    def __init__(self, local):
        self.local, self.killed = local, None

    def update(self, done, total=None, message=""):
        if self.killed is None and 0 < done < total:
            self.killed = next(iter(self.local.workers.values())).pid
            os.kill(self.killed, signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_nothing(run, expected):
    with cluster(2, processes=True) as local, Client(local, set_as_default=False) as client:
        progress = Murder(local)
        there = average_run(
            run, PSANA, Dask(client, chunk_events=1), progress, detz_offset_mm=585.5
        )
    assert progress.killed
    assert_identical(there, expected[PSANA])


def test_a_part_is_small_and_reads_nothing_but_its_events(run):
    events = list(run.events())
    packed = pickle.dumps(run.subset(events[4:6]))
    assert len(packed) < 300_000  # the gain maps of the configuration; the events are some bytes
    assert len(pickle.dumps(run.subset(events))) - len(packed) < 1000 * len(events)
    part = pickle.loads(packed)
    found = list(part.events())
    assert part.event_count == 2
    assert (part.low_gain == run.low_gain).all()
    for event, original in zip(found, events[4:6], strict=True):
        np.testing.assert_array_equal(event.raw, original.raw)
        assert (event.index, event.key) == (original.index, original.key)
        assert event.photon_energy_ev == original.photon_energy_ev
        assert event.encoder_mm == original.encoder_mm


def test_a_file_that_is_shorter_where_the_worker_is_is_one_clear_error(sample, tmp_path):
    for path in sample.xtc_dir.glob("*-r0074-*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    copied = wb.open_run("cxim1416", 74, xtc_dir=tmp_path)
    packed = pickle.dumps(copied.subset(list(copied.events())))
    for path in tmp_path.iterdir():
        os.truncate(path, path.stat().st_size // 2)
    part = pickle.loads(packed)
    with pytest.raises(FileFormatError, match=r"expected an event up to byte .* same file"):
        list(part.events())
