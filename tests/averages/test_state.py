"""An averaging is saved, gone on from later, and no event counts twice."""

import json
from dataclasses import replace

import cloudpickle
import fake_runs
import numpy as np
import pytest
from fake_runs import FakeRun, random_frames
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.averages import Dask, average_run, merge_runs, read_state
from workbench.errors import FileFormatError, WorkbenchError
from workbench.recipe import Corrections, Events

cloudpickle.register_pickle_by_value(fake_runs)  # workers do not find it
SHAPE = (1, 185, 388)


def frames_with_gaps(count=40):
    frames = random_frames(count, shape=SHAPE)
    frames[5] = frames[22] = None
    return frames


def assert_same(one, other):
    assert one.count == other.count
    assert one.skipped == other.skipped
    for name in ("maximum", "minimum", "pixel_count"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("average", "stddev"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-12)
    for name in ("distance_mm", "wavelength_angstrom", "seconds"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12)
    for name in ("first_event", "last_event"):
        assert one.provenance[name] == other.provenance[name]


class Stop:
    def __init__(self, after):
        self.after, self.cancelled = after, False

    def update(self, done, total=None, message=""):
        self.cancelled = done >= self.after


def test_a_cancelled_averaging_is_gone_on_from(tmp_path):
    run = FakeRun(frames_with_gaps())
    whole = average_run(run, detz_offset_mm=585.5)
    begun = average_run(run, progress=Stop(16), detz_offset_mm=585.5)
    assert begun.partial
    assert begun.count < whole.count
    begun.save_state(tmp_path / "run.npz")
    finished = average_run(run, detz_offset_mm=585.5, resume=tmp_path / "run.npz")
    assert_same(finished, whole)
    assert not finished.partial
    assert finished.provenance["resumed"]["events"] == begun.count
    assert finished.provenance["resumed"]["when"]
    again = average_run(run, detz_offset_mm=585.5, resume=finished.save_state(tmp_path / "2.npz"))
    assert_same(again, whole)  # all events were counted before
    in_memory = average_run(run, detz_offset_mm=585.5, resume=begun.state)
    assert_same(in_memory, whole)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(0, 3))
def test_any_pieces_give_the_whole(limits, skip):
    run = FakeRun([*random_frames(11, shape=SHAPE), None])
    state = None
    for limit in sorted(limits):
        state = average_run(run, selection=Events(skip=skip, limit=limit), resume=state).state
    together = average_run(run, detz_offset_mm=1.0, selection=Events(skip=skip), resume=state)
    assert_same(together, average_run(run, detz_offset_mm=1.0, selection=Events(skip=skip)))


def test_a_run_that_has_grown_is_gone_on_from():
    frames = frames_with_gaps()
    begun = average_run(FakeRun(frames[:17]))
    grown = average_run(FakeRun(frames), resume=begun.state, detz_offset_mm=0)
    assert_same(grown, average_run(FakeRun(frames), detz_offset_mm=0))


def test_events_of_equal_time_are_events_of_their_own():
    class Twins(FakeRun):
        def events(self, corrections=None, selection=None):
            for event in super().events(corrections, selection):
                event.key = (1, 2, 3)
                yield event

    run = Twins(random_frames(6, shape=SHAPE))
    begun = average_run(run, selection=Events(limit=2))
    assert average_run(run, resume=begun.state).count == 6


@pytest.mark.slow
def test_a_cluster_goes_on_too(tmp_path):
    run = FakeRun(frames_with_gaps(30))
    begun = average_run(run, selection=Events(limit=11))
    begun.save_state(tmp_path / "run.npz")
    finished = average_run(
        run, None, Dask(workers=1, chunk_events=8), detz_offset_mm=3, resume=tmp_path / "run.npz"
    )
    assert_same(finished, average_run(run, detz_offset_mm=3))


def test_the_state_of_another_averaging_is_refused(tmp_path):
    run = FakeRun(random_frames(3, shape=SHAPE))
    path = average_run(run).save_state(tmp_path / "run.npz")

    def changed(**attributes):
        other = FakeRun(run.frames)
        for name, value in attributes.items():
            setattr(other, name, value)
        return other

    with pytest.raises(
        WorkbenchError, match=r"run\.npz is the state of another .*run: 74 there, 75 here"
    ):
        average_run(changed(number=75), resume=path)
    with pytest.raises(WorkbenchError, match=r"detector: CxiDs1.0:Cspad.0 there, CxiDs2"):
        average_run(changed(address="CxiDs2.0:Cspad.0"), resume=path)
    with pytest.raises(WorkbenchError, match=r"corrections: raw there, gain × 6\.85 here"):
        average_run(run, Corrections(pedestal=False, gain=6.85), resume=path)
    doubled = Corrections(pedestal=False, gain=2.0)
    corrected = average_run(run, doubled)
    low = np.zeros(SHAPE, bool)
    low[0, 0, 0] = True
    with pytest.raises(WorkbenchError, match="constants: "):
        average_run(changed(low_gain=low), doubled, resume=corrected.state)
    with pytest.raises(WorkbenchError, match="merged"):
        merge_runs([corrected, corrected]).save_state(path)


def test_damaged_states_are_refused_in_one_line(tmp_path):
    images = average_run(FakeRun(random_frames(3, shape=SHAPE)))
    path = images.save_state(tmp_path / "run.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    about = json.loads(str(arrays["about"]))

    def refused(problem, **changes):
        np.savez(path, **{**arrays, **changes})
        with pytest.raises(FileFormatError, match=problem) as error:
            read_state(path)
        assert "\n" not in str(error.value)

    refused("found 'mask'", about=np.array(json.dumps({**about, "format": "mask"})))
    refused("newer version", about=np.array(json.dumps({**about, "version": 99})))
    refused("saved state", about=np.array("no JSON"))
    refused("saved state", about=np.array(json.dumps({**about, "means": {}})))
    refused("contradict", about=np.array(json.dumps({**about, "events": 4})))
    refused("keys", keys=np.zeros((3, 2), np.uint32))
    refused("do not match", m2=np.zeros((2, 2)))
    refused("do not match", mean=np.zeros(SHAPE, np.float32))
    refused("below zero", pixel_count=np.full(SHAPE, -1))
    for content in (b"", b"not a zip", b"PK\x03\x04 broken", path.read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="saved state"):
            read_state(path)
    with pytest.raises(FileFormatError, match="No such file"):
        read_state(tmp_path / "absent.npz")
    with pytest.raises(WorkbenchError, match="no event"):
        replace(images.state, collected=replace(images.state.collected, parts=(None,))).save(path)
