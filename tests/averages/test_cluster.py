"""Averages on a Dask cluster: a real scheduler and workers on the loopback interface."""

import json
import os
import signal
import subprocess
import sys
import time
from unittest import mock

import cloudpickle
import dask
import fake_runs
import numpy as np
import pytest
from distributed import Client, LocalCluster

from workbench.averages import Dask, average_run
from workbench.averages.average import find_runner
from workbench.averages.cluster import chunk_size, deaf_to_signals
from workbench.errors import FileFormatError, NoEventsError, WorkbenchError
from workbench.recipe import Events

cloudpickle.register_pickle_by_value(fake_runs)


def cluster(workers):
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=False, protocol="tcp://",
        dashboard_address=None, host="127.0.0.1",
    )  # fmt: skip


def assert_identical(one, other):
    assert one.count == other.count
    assert one.skipped == other.skipped
    for name in ("maximum", "minimum", "pixel_count"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("average", "stddev"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-12)
    for name in ("distance_mm", "wavelength_angstrom", "seconds"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12)


@pytest.fixture(scope="module")
def run():
    frames = fake_runs.random_frames(23)
    frames[4] = None
    return fake_runs.FakeRun(frames)


def test_workers_give_what_threads_give(run, tmp_path):
    here = average_run(run, detz_offset_mm=585.5, selection=Events(skip=2))
    assert here.skipped == {"before the first event used": 2, "damaged (UserDefined)": 1}
    with cluster(2) as local:
        file = tmp_path / "scheduler.json"  # as dask scheduler --scheduler-file writes it
        file.write_text(json.dumps({"type": "Scheduler", "address": local.scheduler_address}))
        runner = Dask(str(file), chunk_events=4)
        there = average_run(run, None, runner, detz_offset_mm=585.5, selection=Events(skip=2))
    assert_identical(there, here)
    assert not there.partial


class Stop:
    cancelled = False

    def update(self, done, total=None, message=""):
        self.cancelled = self.cancelled or done >= 4


class Watch(Stop):
    def __init__(self):
        self.seen = []

    def update(self, done, total=None, message=""):
        self.seen.append((done, total))
        self.where = message


def test_more_workers_than_events_snapshots_errors_and_cancelling(run):
    frames = fake_runs.random_frames(2, shape=(1, 185, 388))
    with cluster(5) as local, Client(local, set_as_default=False) as client:
        few = fake_runs.FakeRun(frames)
        assert_identical(
            average_run(few, None, Dask(client, chunk_events=1), detz_offset_mm=1),
            average_run(few, detz_offset_mm=1),
        )
        shown, progress = [], Watch()
        whole = average_run(
            run, None, Dask(client, chunk_events=2), progress, snapshot=shown.append,
            snapshot_seconds=0,
        )  # fmt: skip
        assert whole.count == 22
        assert progress.seen[-1] == (23, 23)
        assert progress.where == "5 workers"
        assert all(images.partial and 0 < images.count <= 22 for images in shown)

        stopped = average_run(run, None, Dask(client, chunk_events=2), Stop())
        assert stopped.count >= 3
        assert stopped.partial or stopped.count == 22

        broken = fake_runs.FakeRun([*frames, fake_runs.random_frames(1)[0]], as_quads=False)
        with pytest.raises(WorkbenchError, match="only events of one detector"):
            average_run(broken, None, Dask(client, chunk_events=1))
        with pytest.raises(NoEventsError, match="no events"):
            average_run(run, None, Dask(client), selection=Events(skip=4, limit=1))


class Slow(fake_runs.FakeRun):
    """Its events are found slowly, as on a busy disk."""

    def events(self, corrections=None, selection=None):
        for event in super().events(corrections, selection):
            time.sleep(0.1 if event.index > 8 else 0)
            yield event

    def subset(self, events):
        return fake_runs.FakeRun(self.frames).subset(events)  # the workers find theirs at once


def test_a_cancel_while_events_are_still_found_keeps_what_the_workers_have():
    slow = Slow(fake_runs.random_frames(2, shape=(1, 20, 388)) * 500)  # some 100 s, if it went on
    shown, progress = [], Watch()
    progress.update = lambda *told: (Watch.update(progress, *told), Stop.update(progress, *told))
    with cluster(2) as local, Client(local, set_as_default=False) as client:
        runner = Dask(client, chunk_events=2)
        images = average_run(
            slow, None, runner, progress, snapshot=shown.append, snapshot_seconds=0
        )
    assert images.partial
    assert 4 <= images.count < 1000
    assert shown
    assert "events found" in progress.where


def test_local_workers_do_not_hear_ctrl_c():
    """It goes to all processes of a terminal; they would end with what they have done."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with deaf_to_signals():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            child.send_signal(number)
        time.sleep(1)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def test_workers_without_the_workbench_are_named(run, monkeypatch):
    with cluster(1) as local, Client(local, set_as_default=False) as client:
        monkeypatch.setattr("workbench.averages.cluster.__version__", "99.0")
        with pytest.raises(WorkbenchError, match=r"install version 99\.0 where the workers run"):
            average_run(run, None, Dask(client))


def test_a_missing_scheduler_is_one_clear_error(run, monkeypatch, tmp_path):
    monkeypatch.setattr("workbench.averages.cluster.ANSWER_SECONDS", 1)
    with pytest.raises(WorkbenchError, match=r"no Dask scheduler at 'tcp://127.0.0.1:9'"):
        average_run(run, None, "tcp://127.0.0.1:9")
    with pytest.raises(WorkbenchError, match=r"nowhere\.json does not tell .* --scheduler-file"):
        average_run(run, None, str(tmp_path / "nowhere.json"))
    with pytest.raises(WorkbenchError, match="0 workers"):
        average_run(run, None, Dask(workers=0))
    with pytest.raises(WorkbenchError, match="no runner"):
        average_run(run, None, 3)


def test_workers_that_die_as_they_start_are_not_waited_for(run):
    with (
        mock.patch.dict(os.environ),  # in which a nanny that fails leaves what it set
        dask.config.set({"distributed.nanny.pre-spawn-environ": {"PYTHONHOME": "/nowhere"}}),
        pytest.raises(WorkbenchError, match=r"1 workers of Dask do not start .*--runner threads"),
    ):
        average_run(run, None, Dask(workers=1))


def test_chunks_depend_on_the_events_alone():
    assert chunk_size(None) == chunk_size(40) == chunk_size(16_000) == 250
    assert chunk_size(100_000) == 1563
    assert find_runner("dask") == Dask()
    assert find_runner("tcp://host:8786") == Dask("tcp://host:8786")
    assert find_runner("scheduler.json") == Dask("scheduler.json")


def test_file_errors_of_workers_arrive_whole():
    error = FileFormatError("a.xtc", "expected more.", offset=5, hint="Copy it again.")
    copy = cloudpickle.loads(cloudpickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.offset == 5
