"""Each part of a session alone: listeners, log of calls, history with its file, jobs."""

import threading

import pytest

from workbench.errors import Cancelled, WorkbenchError
from workbench.recipe import Recipe, read_recipe
from workbench.session import History, Jobs, Log, Notifier
from workbench.session.log import Recorder, recorded


def test_a_listener_of_the_log_that_fails_is_dropped_and_logged():
    notifier = Notifier()
    log = Log(notifier)
    heard = []

    def broken():
        raise ValueError("broken listener")

    notifier.subscribe("log", broken)
    notifier.subscribe("log", lambda: heard.append(log.entries[-1].message))
    log.note("mask", "written")
    log.note("mask", "written again")
    assert heard[-1] == "written again"
    assert log.text().count("broken listener") == 1


class Recorded:
    def __init__(self, log):
        self.recorder = Recorder(log, "bench.session")

    @recorded
    def outer(self, number, *, name="", origin=None):
        self.inner()

    @recorded
    def inner(self):
        pass


def calls(log):
    return [entry.message for entry in log.entries if entry.is_call]


def test_calls_are_logged_as_python_without_those_within_them():
    log = Log()
    act = Recorded(log)
    act.outer(3, name="x")
    act.inner()
    assert calls(log) == ["bench.session.outer(3, name='x')", "bench.session.inner()"]


def test_calls_by_a_control_in_motion_replace_each_other():
    log = Log()
    act = Recorded(log)
    for name in "abc":
        act.outer(3, name=name, origin=act)
    act.outer(4, name="d", origin=act)
    assert calls(log) == [
        "bench.session.outer(3, name='c')", "bench.session.outer(4, name='d')"
    ]  # fmt: skip


def test_listeners_of_a_changed_recipe_know_the_control_that_changed_it():
    notifier, control, seen = Notifier(), object(), []
    history = History(Recipe(), notifier=notifier)
    notifier.subscribe("recipe", lambda: seen.append(history.origin))
    history.change("mask.border", 1, control)
    history.change("mask.border", 2)
    history.undo()
    assert seen == [control, None, None]
    assert history.origin is None


def test_a_refused_value_names_the_setting_and_is_no_step():
    history = History(Recipe())
    with pytest.raises(WorkbenchError, match="avg_max"):
        history.change("mask.thresholds.avg_max", -1.0)
    assert history.undoable is None


def test_a_recipe_without_a_file_is_saved_by_the_name_of_its_run(tmp_path):
    history = History(Recipe().changed("output.folder", str(tmp_path)))
    history.change("experiment.name", "cxim1416")
    history.change("experiment.bright", (74, 75))
    path = history.save()
    assert path == history.path == tmp_path / "cxim1416_r0074.calibration.toml"
    assert read_recipe(path) == history.recipe


@pytest.fixture
def jobs():
    return Jobs()


def test_the_error_of_a_step_is_kept_with_what_it_was_made_with(jobs):
    def fail(task, key):
        raise WorkbenchError("No runs.")

    jobs.start("images", fail, lambda step: (step, 1), jobs.slow)
    with pytest.raises(WorkbenchError):
        jobs.wait(300)
    failure = jobs.failures["images"]
    assert (failure.key, failure.message) == (("images", 1), "No runs.")
    jobs.start("images", lambda task, key: None, lambda step: (step, 2), jobs.slow)
    jobs.wait(300)
    assert not jobs.failures


def test_progress_is_that_of_the_long_work_while_it_runs(jobs):
    started, release = threading.Event(), threading.Event()

    def work(task, key):
        task.update(3, 12, "run 74")
        started.set()
        release.wait(300)

    jobs.start("images", work, lambda step: (), jobs.slow)
    assert started.wait(300)
    jobs.start("mask", lambda task, key: None, lambda step: (), jobs.quick)
    assert jobs.quick.wait(300)
    assert (jobs.progress.step, jobs.progress.done, jobs.progress.total) == ("images", 3, 12)
    release.set()
    jobs.wait(300)
    assert jobs.progress is None


def test_a_cancelled_step_is_no_failure(jobs):
    def work(task, key):
        jobs.cancel()
        assert task.cancelled
        raise Cancelled("Stopped.")

    jobs.start("images", work, lambda step: (), jobs.slow)
    jobs.wait(300)
    assert not jobs.failures
    assert not jobs.running
