"""Averaging real files through the session: pictures meanwhile, cancelling, live sliders."""

import time

import numpy as np
import pytest

from workbench import pipeline
from workbench.errors import Cancelled, WorkbenchError
from workbench.runs.run import XtcRun
from workbench.session import Session, State
from workbench.ui.app import Workbench


@pytest.fixture
def endless(monkeypatch):
    """Make runs (of these numbers) endless: their events come again and again, slowly."""
    real = XtcRun.events

    def make(*numbers):
        def events(self, corrections=None, selection=None):
            if self.number not in numbers:
                yield from real(self, corrections, selection)
                return
            give_up = time.monotonic() + 300
            while time.monotonic() < give_up:
                for event in real(self, corrections, selection):
                    time.sleep(0.002)
                    yield event

        monkeypatch.setattr(XtcRun, "events", events)

    yield make
    monkeypatch.undo()


@pytest.fixture
def sampled(sample):
    """Session on the sample experiment, with pictures at short intervals."""
    made = Session(pipeline.load_recipe(sample.recipe))
    made.results.snapshot_seconds = 0.05
    yield made
    made.cancel()
    made.wait(300)


def until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_pictures_arrive_while_averaging_goes_on(sampled, endless):
    dark = sampled.recipe.experiment.dark
    endless(dark)
    counts, pixels = [], []

    def look():
        counts.append(sampled.preview.count)
        pixels.append(float(sampled.preview.average[3, 100, 50]))
        assert sampled.preview.partial
        assert sampled.preview.run == dark

    sampled.subscribe("preview", look)
    sampled.compute_images()
    until(lambda: len(counts) >= 3)
    assert sampled.status("images").state == State.RUNNING
    assert counts == sorted(set(counts))
    assert np.isfinite(pixels).all()


def test_a_cancelled_bright_run_is_kept_and_marked_partial(sampled, endless):
    bright = sampled.recipe.experiment.bright[0]
    endless(bright)
    sampled.compute_images()
    until(lambda: sampled.preview is not None and sampled.preview.run == bright)
    assert sampled.status("images").state == State.RUNNING
    sampled.cancel()
    sampled.wait(300)
    assert sampled.status("images").state == State.PARTIAL
    assert sampled.images.partial
    assert not sampled.images.dark.partial
    assert sampled.images.bright[0].partial
    assert sampled.images.bright[0].count >= 24
    assert sampled.images.maximum is not None
    assert sampled.status("mask").state == State.DONE
    assert any("cancelled" in text for text in sampled.calibration().warnings)
    sampled.change("alignment.refine", "none")
    sampled.compute_alignment()
    sampled.wait(300)
    with pytest.raises(WorkbenchError, match="images step is not up to date"):
        sampled.store.plan()


def test_a_cancelled_dark_run_is_shown_too_and_averaging_again_completes_it(
    sampled, endless, monkeypatch
):
    endless(sampled.recipe.experiment.dark)
    sampled.compute_images()
    until(lambda: sampled.preview is not None)
    sampled.cancel()
    sampled.wait(300)
    assert sampled.status("images").state == State.PARTIAL
    assert sampled.images.dark.partial
    assert sampled.images.average is not None
    assert sampled.images.bright == ()
    assert sampled.status("mask").state == State.NOT_STARTED
    monkeypatch.undo()
    sampled.compute_images()
    sampled.wait(300)
    assert sampled.status("images").state == State.DONE
    assert not sampled.images.partial
    assert sampled.images.dark.count == 12
    assert sampled.status("mask").state == State.DONE


@pytest.mark.slow
def test_results_of_partial_images_are_out_of_date_once_the_images_are_complete(
    sampled, endless, monkeypatch
):
    sampled.change("alignment.refine", "none")
    bright = sampled.recipe.experiment.bright[0]
    endless(bright)
    sampled.compute_images()
    until(lambda: sampled.preview is not None and sampled.preview.run == bright)
    sampled.cancel()
    sampled.wait(300)
    sampled.compute_alignment()
    sampled.wait(300)
    monkeypatch.undo()
    sampled.compute_images()
    sampled.wait(300)
    assert sampled.status("mask").state == State.DONE
    assert sampled.status("alignment").state == State.STALE


def test_cancelling_before_the_first_event_leaves_a_clear_state(sampled, monkeypatch):
    real = pipeline.gather_images

    def cancelled(recipe, progress, **rest):
        progress.cancelled = True
        return real(recipe, progress, **rest)

    monkeypatch.setattr(pipeline, "gather_images", cancelled)
    sampled.compute_images()
    sampled.wait(300)  # a cancel is no error
    assert sampled.images is None
    assert sampled.status("images").state == State.NOT_STARTED
    assert "cancelled" in sampled.log.text()


def test_sliders_move_the_mask_while_averaging_goes_on(session, sample, endless):
    recipe = pipeline.load_recipe(sample.recipe)
    endless(recipe.experiment.dark)
    session.results.snapshot_seconds = 0.05
    session.set_recipe(session.recipe.changed("experiment", recipe.experiment))
    session.compute_images()
    until(lambda: session.preview is not None)
    masks = []
    session.subscribe("mask", lambda: masks.append(int(session.mask.good.sum())))
    for value in (500.0, 1500.0, 2500.0):
        seen = len(masks)
        session.change("mask.thresholds.maxproj_min", value)
        until(lambda seen=seen: len(masks) > seen)
        assert session.status("images").state == State.RUNNING
    assert masks[-1] < masks[0]
    assert session.status("mask").state == State.STALE  # it is of the images before
    session.cancel()
    session.wait(300)


def test_the_view_shows_the_partial_images_after_a_cancel(sample, endless):
    bench = Workbench(sample.recipe)
    session = bench.session
    session.results.snapshot_seconds = 0.05
    endless(session.recipe.experiment.bright[0])
    shown = []
    real = bench.view.set_image
    bench.view.set_image = lambda name, data: (shown.append((name, data)), real(name, data))
    session.compute_images()
    until(lambda: any(name == "maximum" for name, _ in shown))
    assert session.status("images").state == State.RUNNING
    session.cancel()
    session.wait(300)
    last = dict(shown)
    assert np.array_equal(last["maximum"], session.images.maximum.data)
    assert "(partial)" in bench.run.averaged.value
    assert "average again" in bench.run.averaged.value


def test_a_cancelled_recipe_still_raises(sample, tmp_path):
    class Cancelling:
        cancelled = False

        def update(self, done, total=None, message=""):
            self.cancelled = done > 0

    recipe = pipeline.load_recipe(sample.recipe).changed("output.folder", str(tmp_path / "out"))
    with pytest.raises(Cancelled, match="nothing was written"):
        pipeline.run_recipe(recipe, Cancelling())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_change_of_runs_taken_back_while_its_images_are_made_leaves_those_of_before(
    sampled, monkeypatch
):
    sampled.compute_images()
    sampled.wait(300)
    before, bright = sampled.images.maximum.data, sampled.recipe.experiment.bright
    gather = pipeline.gather_images

    def gather_and_take_back(*recipe, **options):
        images = gather(*recipe, **options)
        if sampled.recipe.experiment.bright != bright:
            sampled.undo()
        return images

    monkeypatch.setattr(pipeline, "gather_images", gather_and_take_back)
    sampled.change("experiment.bright", bright[:1])
    until(lambda: sampled.recipe.experiment.bright == bright)
    sampled.wait(300)
    assert sampled.status("images").state == State.DONE
    assert np.array_equal(sampled.images.maximum.data, before)
