"""Events divided in halves: each event in one of them, both together the whole."""

import fnmatch
from collections import Counter

import cloudpickle
import fake_runs
import numpy as np
import pytest
from distributed import Client, LocalCluster
from fake_runs import FakeRun, random_frames
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.averages import Dask, Threads, average_run, merge_runs, read_state
from workbench.averages.collect import Job, collect
from workbench.averages.halves import half_name, is_half, make_halves
from workbench.errors import WorkbenchError
from workbench.images import read_image
from workbench.recipe import Corrections, Events

cloudpickle.register_pickle_by_value(fake_runs)  # workers do not find it
SHAPE = (1, 185, 388)


class Counted(FakeRun):
    """A fake run that tells how many events it has, as real ones do."""

    @property
    def event_count(self):
        return len(self.frames)


def frames_with_gaps(count=23):
    frames = random_frames(count, shape=SHAPE)
    frames[4] = frames[5] = frames[11] = None
    return frames


def expected_halves(frames, split, selection=None):
    """Halves by their definition, in numpy."""
    there = [
        (index, frame)
        for index, frame in enumerate(frames)
        if frame is not None and (selection or Events()).why_not_index(index) is None
    ]
    if split == "odd-even":
        return [np.array([frame for _, frame in there[half::2]], float) for half in (0, 1)]
    middle = len(frames) // 2
    return [
        np.array([frame for index, frame in there if (index >= middle) == later], float)
        for later in (False, True)
    ]


def assert_halves(images, expected):
    assert [half.count for half in images.halves] == [len(frames) for frames in expected]
    for half, frames in zip(images.halves, expected, strict=True):
        np.testing.assert_allclose(half.average, frames.mean(0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(half.stddev, frames.std(0), rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(half.maximum, frames.max(0))
        np.testing.assert_array_equal(half.minimum, frames.min(0))


def assert_same(divided, whole):
    """The whole of divided events is the whole of undivided ones, to rounding."""
    for name in ("maximum", "minimum", "pixel_count"):
        np.testing.assert_array_equal(getattr(divided, name), getattr(whole, name))
    for name in ("average", "stddev"):
        found, expected = getattr(divided, name), getattr(whole, name)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    assert (divided.count, divided.skipped) == (whole.count, whole.skipped)


@pytest.mark.parametrize("split", ["odd-even", "first-last"])
def test_each_event_is_in_one_half_and_both_together_are_the_whole(split):
    run = Counted(frames_with_gaps())
    images = average_run(run, halves=split)
    assert_halves(images, expected_halves(run.frames, split))
    assert_same(images, average_run(run))


def test_without_halves_nothing_changes():
    run = Counted(frames_with_gaps())
    plain, none = average_run(run), average_run(run, halves="none")
    assert plain.halves == none.halves == ()
    assert plain.average.tobytes() == none.average.tobytes()
    assert "halves" not in plain.provenance
    assert "halves" not in plain.describe()
    assert "halves" not in plain.state.subject


@settings(max_examples=20, deadline=None)
@given(
    present=st.lists(st.booleans(), min_size=4, max_size=16).filter(lambda there: sum(there) > 1),
    block=st.integers(1, 9),
    pieces=st.lists(st.integers(1, 15), max_size=3),
    skip=st.integers(0, 2),
    split=st.sampled_from(["odd-even", "first-last"]),
)
def test_halves_do_not_depend_on_blocks_nor_on_going_on(present, block, pieces, skip, split):
    frames = random_frames(len(present), shape=(1, 4, 5))
    run = Counted([frame if there else None for frame, there in zip(frames, present, strict=True)])
    every = Events(skip=skip)
    job = Job(run, selection=every, halves=make_halves(split, run, every))
    whole = collect(job, threads=1)
    counts = [0 if part is None else part.count for part in whole.parts]
    assert sum(counts) == whole.counts.used
    assert split == "first-last" or counts[0] - counts[1] in (0, 1)

    found = collect(job, threads=2, block_events=block)
    for part, other in zip(whole.parts, found.parts, strict=True):
        assert (part is None) == (other is None)
        if part is not None:
            np.testing.assert_array_equal(part.mean, other.mean)  # sums of integers are exact
            np.testing.assert_array_equal(part.maximum, other.maximum)

    state = None
    for limit in sorted(pieces):
        if any(present[skip : skip + limit]):
            chosen = Events(skip=skip, stop=skip + limit)
            state = average_run(run, selection=chosen, resume=state, halves="odd-even").state
    if any(present[skip:]):
        gone_on = average_run(run, selection=every, resume=state, halves="odd-even")
        at_once = average_run(run, selection=every, halves="odd-even")
        assert [h.count for h in gone_on.halves] == [h.count for h in at_once.halves]
        for one, other in zip(gone_on.halves, at_once.halves, strict=True):
            np.testing.assert_allclose(one.average, other.average, rtol=1e-12)
            np.testing.assert_array_equal(one.maximum, other.maximum)


def test_workers_and_threads_give_the_same_halves():
    run = Counted(frames_with_gaps())
    expected = expected_halves(run.frames, "odd-even")
    assert_halves(average_run(run, None, Threads(2), halves="odd-even"), expected)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://",
        dashboard_address=None, host="127.0.0.1",
    ) as local, Client(local, set_as_default=False) as client:  # fmt: skip
        begun = average_run(run, selection=Events(limit=7), halves="odd-even")
        for size, state in ((3, None), (4, None), (3, begun.state)):
            runner = Dask(client, chunk_events=size)
            there = average_run(run, None, runner, halves="odd-even", resume=state)
            assert_halves(there, expected)
        later = average_run(run, None, Dask(client, chunk_events=4), halves="first-last")
        assert_halves(later, expected_halves(run.frames, "first-last"))


def test_of_events_that_have_no_data_every_second_one_does_no_harm():
    """As where the detector is read out at half the rate of the beam."""
    frames = random_frames(12, shape=SHAPE)
    frames[1::2] = [None] * 6
    images = average_run(FakeRun(frames), halves="odd-even")
    assert [half.count for half in images.halves] == [3, 3]


def test_events_corrected_one_by_one_and_stacks_are_divided_too(sample):
    run = wb.open_run("cxim1416", 74, xtc_dir=sample.xtc_dir, calib_dir=sample.calib_dir)
    corrections = Corrections.psana()
    images = average_run(run, corrections, halves="odd-even")
    assert_same(images, average_run(run, corrections))
    frames = np.array([event.data for event in run.events(corrections)], float)
    expected = [frames[half::2] for half in (0, 1)]
    for half, of_half in zip(images.halves, expected, strict=True):
        np.testing.assert_allclose(half.average, of_half.mean(0), rtol=1e-6, atol=1e-4)
        np.testing.assert_array_equal(half.maximum, of_half.max(0))

    stack = random_frames(7, shape=SHAPE)
    floats = [frame.astype(np.float32) for frame in stack]
    floats[2][0, 0, 0] = np.nan
    run = FakeRun(floats, as_quads=False)
    run.source = "frames"
    images = average_run(run, halves="odd-even")
    assert images.halves[0].pixel_count[0, 0, 0] == 3
    assert images.halves[1].pixel_count[0, 0, 0] == 3


def test_the_middle_of_a_run_is_that_of_the_events_selected():
    def middle(count=100, **selection):
        return Events(**selection).middle(count)

    assert middle() == 50
    assert middle(skip=20) == 60
    assert middle(skip=20, stop=40) == 30
    assert middle(limit=10) == 5
    assert middle(skip=20, limit=10, every=3) == 35
    assert middle(indices=(3, 80, 90, 200)) == 80
    assert middle(count=0) == 0
    # which of them have the code is not known beforehand
    assert middle(limit=10, event_codes=(140,)) == 50


def test_a_middle_stays_where_it_was_when_the_run_has_grown(tmp_path):
    frames = frames_with_gaps(20)
    begun = average_run(Counted(frames[:12]), halves="first-last")
    grown = average_run(
        Counted(frames), halves="first-last", resume=begun.save_state(tmp_path / "run.npz")
    )
    assert [half.count for half in grown.halves] == [4, 13]
    assert grown.provenance["middle"] == 6


def test_one_half_without_events_is_told():
    images = average_run(FakeRun(random_frames(1, shape=SHAPE)), halves="odd-even")
    assert images.halves == ()
    assert "one half" in " ".join(images.warnings)


def test_what_cannot_be_divided_is_refused_in_one_line(tmp_path):
    run = FakeRun(random_frames(4, shape=SHAPE))
    with pytest.raises(WorkbenchError, match="odd-even or first-last, not 'thirds'"):
        average_run(run, halves="thirds")
    with pytest.raises(WorkbenchError, match="does not tell how many events"):
        average_run(run, halves="first-last")
    whole = average_run(run)
    divided = average_run(run, halves="odd-even").save_state(tmp_path / "run.npz")
    with pytest.raises(WorkbenchError, match=r"halves: none there, odd-even here"):
        average_run(run, halves="odd-even", resume=whole.state)
    with pytest.raises(WorkbenchError, match=r"run\.npz .*halves: odd-even there, none here"):
        average_run(run, resume=divided)
    assert [part.count for part in read_state(divided).collected.parts] == [2, 2]


def test_runs_divided_alike_are_merged_half_by_half():
    one, two = (Counted(random_frames(n, shape=SHAPE, seed=n)) for n in (6, 9))
    merged = merge_runs([average_run(run, halves="odd-even") for run in (one, two)])
    odd = np.array([*one.frames[::2], *two.frames[::2]], float)
    assert [half.count for half in merged.halves] == [8, 7]
    np.testing.assert_allclose(merged.halves[0].average, odd.mean(0), rtol=1e-9)
    mixed = merge_runs([average_run(one, halves="odd-even"), average_run(two)])
    assert mixed.halves == ()


def test_files_of_halves_are_not_taken_for_those_of_runs(tmp_path):
    run = FakeRun(random_frames(5, shape=fake_runs.SHAPE))
    paths = average_run(run, halves="odd-even").save(tmp_path)
    assert paths["odd average"].name == "cxim1416_odd-avg-r0074.cbf"
    assert paths["even maximum"].name == "cxim1416_even-max-r0074.cbf"
    assert len(list(tmp_path.iterdir())) == 8
    for pattern in ("*_max-r*.cbf", "*_max*.cbf", "*_avg-r*.cbf", "*_avg*.cbf"):
        assert not [
            p for p in paths.values() if is_half(p.name) and fnmatch.fnmatch(p.name, pattern)
        ]
    image = read_image(paths["odd average"])
    assert image.count == 3
    assert image.provenance["half"] == {"which": "odd", "split": "odd-even"}
    np.testing.assert_array_equal(image.data, np.mean(run.frames[::2], axis=0))
    for base in ("mine", "my_max", "of_run_74"):
        named = {half_name(base, half) for half in ("odd", "even", "first", "last")}
        assert len(named) == 4
        assert all(map(is_half, named))
        assert not is_half(base)


def test_what_a_half_tells_of_itself():
    images = average_run(Counted(frames_with_gaps()), halves="first-last", detz_offset_mm=585.5)
    first, last = images.halves
    assert images.describe()["halves"] == {"first": 9, "last": 11}
    assert first.provenance["count"] == 9
    assert images.provenance["counts_of_halves"] == [9, 11]
    assert first.halves == ()
    assert (first.distance_mm, last.skipped) == (images.distance_mm, images.skipped)
    assert Counter(images.skipped) == {"damaged (UserDefined)": 3}
    with pytest.raises(WorkbenchError, match="no state"):
        first.save_state("never.npz")
