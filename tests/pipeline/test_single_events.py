"""Single events of a run, and one pixel in many of them."""

import numpy as np
import pytest

import workbench as wb
from workbench.errors import Cancelled, NoEventsError
from workbench.pipeline import pixel_history, read_event
from workbench.progress import Silent
from workbench.recipe import Corrections, Events

PIXEL = (3 * 185 + 40) * 388 + 120


@pytest.fixture(scope="module")
def run(sample):
    return wb.open_run("cxim1416", 74, psdm_dir=sample.folder)


def test_an_event_is_read_by_its_number_raw_or_corrected(run):
    raw, corrected = read_event(run, 5), read_event(run, 5, Corrections())
    expected = next(event for event in run.events(Corrections()) if event.index == 5)
    assert raw.index == corrected.index == 5
    assert raw.key == expected.key
    np.testing.assert_array_equal(raw.data, raw.raw)
    np.testing.assert_array_equal(corrected.data, expected.data)


def test_an_event_that_is_not_there_is_refused(run):
    with pytest.raises(NoEventsError, match="has no event 999; it has about 12"):
        read_event(run, 999)


def test_a_history_holds_the_values_averages_are_made_of(run):
    history = pixel_history(run, PIXEL, Corrections())
    assert history.indices.tolist() == list(range(12))
    images = wb.average_run(run, Corrections())
    assert history.values_adu.mean() == pytest.approx(images.average.flat[PIXEL], abs=1e-3)
    assert history.values_adu.max() == pytest.approx(images.maximum.flat[PIXEL], abs=1e-3)


def test_a_long_run_is_read_in_part_evenly(run):
    assert pixel_history(run, PIXEL, most=4).indices.tolist() == [0, 3, 6, 9]
    selected = pixel_history(run, PIXEL, selection=Events(skip=6))
    assert selected.indices.tolist() == list(range(6, 12))
    few = pixel_history(run, PIXEL, selection=Events(limit=3), most=4)
    assert few.indices.tolist() == [0, 1, 2]  # so few are all read, however long the run is


def test_reading_a_history_can_be_cancelled(run):
    progress = Silent()
    progress.cancelled = True
    with pytest.raises(Cancelled):
        pixel_history(run, PIXEL, progress=progress)
