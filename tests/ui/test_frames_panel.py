"""The fifth step: peaks of the event shown, hits of the run, frames written."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from workbench import pipeline
from workbench.frames import find_peaks
from workbench.recipe import Events
from workbench.ui.app import Workbench


@pytest.fixture
def bench(sample, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    recipe = pipeline.load_recipe(sample.recipe).changed("output.folder", str(tmp_path / "out"))
    made = Workbench(recipe.changed("frames.events", Events(limit=2)))
    made.open(made.frames)
    yield made
    made.close()


@pytest.fixture
def spots(monkeypatch):
    """Events are noise of 4 ADU, with 9 × 19 spots of 100 to 2000 ADU in their first module."""
    real = pipeline.read_event

    def read(run, index, corrections=None):
        event = real(run, index, corrections)
        data = np.random.default_rng(index).normal(0, 4, event.data.shape).astype(np.float32)
        data[0, 10:180:20, 10:380:20] += np.linspace(100, 2000, 9 * 19).reshape(9, 19)
        names = ("index", "seconds", "nanoseconds", "fiducials", "photon_energy_ev", "missing",
                 "wavelength_angstrom", "event_codes")  # fmt: skip
        return SimpleNamespace(data=data, **{name: getattr(event, name) for name in names})

    monkeypatch.setattr(pipeline, "read_event", read)


def until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.mark.slow
def test_hits_are_chosen_by_eye_and_written(spots, bench):
    panel, session = bench.frames, bench.session
    until(lambda: "This event" in panel.threshold.note)
    assert bench.view.tiles == "single event"
    assert len(bench.view.peaks) == panel.browser.peaks.above(300).size
    assert 140 < len(bench.view.peaks) < 160
    assert panel.threshold.note.startswith(f"This event: {len(bench.view.peaks)} peak")
    until(lambda: "among 2 events" in panel.planned.value)
    assert not panel.write.disabled
    assert panel.cancel.disabled
    assert panel.resume.disabled
    assert "Count the peaks" in panel.browser.next_hit.tooltip

    few = len(bench.view.peaks)
    panel.threshold.value = 70.0  # below what was looked for: found again
    until(lambda: len(bench.view.peaks) == 9 * 19)
    assert session.recipe.frames.hits.threshold_adu == 70
    bench.undo.click()
    until(lambda: len(bench.view.peaks) == few)
    assert panel.threshold.value == 300

    panel.min_peaks.box.value = -7
    assert "-7 is no whole number from 0" in panel.min_peaks.reason.value
    assert session.recipe.frames.hits.min_peaks == 15
    panel.min_peaks.box.value = 0
    panel.count.click()
    session.wait(300)
    until(lambda: "2 frames of 2 events" in panel.planned.value)
    assert not panel.browser.next_hit.disabled
    panel.min_peaks.box.value = 1000
    until(lambda: panel.browser.next_hit.disabled)
    assert "No event is a hit" in panel.browser.next_hit.tooltip
    bench.undo.click()
    until(lambda: not panel.browser.next_hit.disabled)
    panel.browser.next_hit.click()
    until(lambda: "event 1: " in bench.view.event)
    panel.browser.next_hit.click()
    assert "There is no hit after event 1." in panel.message.value
    with pytest.raises(Exception, match="no hit after"):
        session.wait(300)

    panel.write.click()
    session.wait(300)
    assert "2 frames written" in panel.result.value
    assert "frames: 2 frames of 2 events: " in bench.status.value
    assert "5 Frames – done" in bench.steps[4].description
    bench.open(bench.run)
    assert bench.view.peaks == []
    assert bench.view.event == ""


def test_an_event_that_comes_after_its_panel_was_left_is_not_shown(bench, monkeypatch):
    session, arrived, left = bench.session, threading.Event(), threading.Event()
    until(lambda: bench.view.tiles == "single event")
    real = bench.view.set_image

    def set_image(name, values):
        real(name, values)
        arrived.set()
        left.wait(300)

    monkeypatch.setattr(bench.view, "set_image", set_image)
    bench.frames.browser.step(1)
    assert arrived.wait(300)
    bench.open(bench.mask)
    left.set()
    session.wait(300)
    assert bench.view.tiles == "side by side"
    assert bench.view.event == ""


def test_an_event_without_peaks_says_so_in_place_of_the_histogram(spots, bench, monkeypatch):
    until(lambda: bench.frames.threshold.counts)
    monkeypatch.setattr(
        "workbench.ui.panels.hits.find_peaks",
        lambda data, good, lowest: find_peaks(0 * data, good, lowest),
    )
    bench.frames.browser.step(1)
    until(lambda: not bench.frames.threshold.counts)
    assert bench.frames.threshold.without == "No peaks in this event"
    assert bench.frames.threshold.note == "This event: 0 peaks, no hit."


def test_events_and_threshold_are_in_kev_where_the_events_are(bench, monkeypatch):
    until(lambda: "peak" in bench.view.event)
    assert (bench.frames.threshold.unit, bench.view.units["event"]) == ("ADU", "ADU")
    monkeypatch.setattr("workbench.ui.panels.events.corrected_unit", lambda settings, run: "keV")
    bench.frames.browser.step(1)
    until(lambda: bench.frames.threshold.unit == "keV")
    assert bench.view.units["event"] == "keV"
    assert bench.frames.whole_adu.description == "Whole keV"


def test_the_runs_of_the_experiment_are_offered_and_opening_changes_nothing(bench):
    before = bench.recipe
    until(lambda: len(bench.frames.browser.run.options) == 2)
    assert [number for _, number in bench.frames.browser.run.options] == [74, 75]
    until(lambda: "peak" in bench.view.event)
    assert bench.recipe == before
    bench.frames.browser.run.value = 75
    until(lambda: "run 75" in bench.view.event)
    assert bench.recipe.frames.run == 75
    bench.undo.click()
    until(lambda: "run 74" in bench.view.event)
