"""The queue behind the controls: order, latest value wins, errors are never lost."""

import threading

import pytest

from workbench.errors import Cancelled, MaskError
from workbench.session.log import Log
from workbench.session.worker import Worker


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def worker(log):
    return Worker("test", log)


def held(worker):
    """Keep the worker busy until the event is set."""
    started, release = threading.Event(), threading.Event()
    worker.submit("held", lambda task: (started.set(), release.wait(300)))
    assert started.wait(300)
    return release


def test_the_last_value_of_many_always_runs(worker):
    seen = []
    release = held(worker)
    for value in range(100):
        worker.submit("slider", lambda task, value=value: seen.append(value))
    release.set()
    assert worker.wait(300)
    assert seen == [99]


def test_different_work_keeps_its_order(worker):
    seen = []
    release = held(worker)
    for key in ("first", "second", "third", "first"):
        worker.submit(key, lambda task, key=key: seen.append(key))
    release.set()
    assert worker.wait(300)
    assert seen == ["first", "second", "third"]


def test_an_error_is_logged_as_a_sentence_and_raised_again_for_tests(worker, log):
    def fail(task):
        raise MaskError("The mask has the wrong shape.")

    worker.submit("mask", fail)
    worker.submit("next", lambda task: None)
    assert worker.wait(300)
    assert "wrong shape" in log.text()
    assert "Traceback" not in log.text(detail=True), "a mistake of the user needs none"
    with pytest.raises(MaskError):
        log.raise_unseen()
    log.raise_unseen()


def test_a_cancelled_task_is_told_and_is_no_error(worker, log):
    started = threading.Event()

    def act(task):
        started.set()
        while not task.cancelled:
            pass
        raise Cancelled("stopped")

    worker.submit("average", act)
    assert started.wait(300)
    assert worker.cancel()
    assert worker.wait(300)
    log.raise_unseen()


def test_cancel_drops_waiting_work(worker):
    seen = []
    release = held(worker)
    worker.submit("mask", lambda task: seen.append("mask"))
    worker.cancel("mask")
    release.set()
    assert worker.wait(300)
    assert seen == []


def test_progress_reports_the_end_even_when_throttled(log):
    told = []
    worker = Worker("test", log, lambda task, done, total, message: told.append(done))
    worker.submit("count", lambda task: [task.update(n, 500) for n in range(501)])
    assert worker.wait(300)
    assert told[-1] == 500
    assert len(told) < 100


def test_a_task_cannot_wait_for_its_own_worker(worker, log):
    worker.submit("self", lambda task: worker.wait(1))
    assert worker.wait(300)
    with pytest.raises(RuntimeError):
        log.raise_unseen()


def test_a_fault_of_the_program_is_logged_with_its_traceback(worker, log):
    worker.submit("mask", lambda task: 1 / 0)
    assert worker.wait(300)
    assert "bug in the program" in log.text()
    assert "Traceback" not in log.text()
    assert "Traceback" in log.text(detail=True)
