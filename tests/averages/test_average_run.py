"""Averages of a run: exact values, events left out, distance, wavelength, cancelling."""

import threading

import numpy as np
import pytest
from fake_runs import SHAPE, SMALL, FakeRun, random_frames

from workbench.averages import Threads, average_run
from workbench.averages.accumulators import CorrectedSums
from workbench.corrections import (
    CommonMode,
    Corrector,
    Gain,
    Pedestals,
    PixelGain,
    make_corrector,
)
from workbench.errors import Cancelled, NoEventsError, WorkbenchError
from workbench.recipe import Corrections, Events


def stack(frames):
    return np.array([frame for frame in frames if frame is not None], float)


@pytest.mark.parametrize("count", [1, 2, 4, 7, 33])
@pytest.mark.parametrize("as_quads", [True, False])
def test_raw_images_are_those_of_numpy(count, as_quads):
    frames = random_frames(count)
    images = average_run(FakeRun(frames, as_quads=as_quads))
    values = stack(frames)
    assert images.count == count
    np.testing.assert_allclose(images.average, values.mean(0), rtol=1e-14)
    np.testing.assert_allclose(images.stddev, values.std(0), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(images.maximum, values.max(0))
    np.testing.assert_array_equal(images.minimum, values.min(0))
    assert {images.average.dtype, images.stddev.dtype, images.maximum.dtype} == {np.dtype(float)}


def test_the_whole_range_of_int16_is_exact():
    rng = np.random.default_rng(2)
    frames = [rng.integers(-32768, 32768, SMALL).astype(np.int16) for _ in range(9)]
    for frame in frames:
        frame[0, 0, :4] = -32768
        frame[0, 1, :4] = 32767
    images = average_run(FakeRun(frames))
    np.testing.assert_allclose(images.average, stack(frames).mean(0), rtol=1e-14, atol=1e-11)
    np.testing.assert_allclose(images.stddev, stack(frames).std(0), rtol=1e-13)
    assert (images.stddev[0, :2, :4] == 0).all()


@pytest.mark.parametrize("value", [16383, 16384, -16383, -16384, 23171, 32767, -32768])
@pytest.mark.parametrize("count", [8, 16, 17, 40])
def test_values_beyond_the_converters_range_lose_no_square(value, count):
    frames = [np.full((1, 185, 388), 7, np.int16) for _ in range(count)]
    for frame in frames[::2]:
        frame[0, 1, 5] = value
    frames[0][0, 2, :] = value
    images = average_run(FakeRun(frames))
    np.testing.assert_allclose(images.stddev, stack(frames).std(0), rtol=1e-13)
    np.testing.assert_allclose(images.average, stack(frames).mean(0), rtol=1e-15)


def test_a_pixel_that_never_changes_has_exactly_no_stddev():
    frames = random_frames(201, shape=(1, 185, 388))
    for frame in frames:
        frame[0, 3, :] = np.arange(388) * 42
    assert (average_run(FakeRun(frames)).stddev[0, 3] == 0).all()


def test_the_number_of_threads_changes_no_bit():
    frames = random_frames(21)
    one, three = (average_run(FakeRun(frames), runner=Threads(n)) for n in (1, 3))
    for name in ("average", "stddev", "maximum", "minimum"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
    with pytest.raises(WorkbenchError, match="0 threads"):
        average_run(FakeRun(frames), runner=Threads(0))


def test_absent_sections_are_zero_and_not_counted():
    frames = random_frames(5, shape=(9, 185, 388))
    images = average_run(FakeRun(frames, absent={2, 8}))
    assert (images.pixel_count[[2, 8]] == 0).all()
    assert (images.pixel_count[[0, 1, 3, 7]] == 5).all()
    for values in (images.average, images.stddev, images.maximum, images.minimum):
        assert (values[[2, 8]] == 0).all()
    np.testing.assert_allclose(images.average[3], stack(frames).mean(0)[3])


def test_events_without_data_are_counted_by_reason_and_not_averaged():
    frames = random_frames(8)
    frames[3] = None
    images = average_run(FakeRun(frames), selection=Events(skip=1))
    assert images.count == 6
    assert images.skipped == {"damaged (UserDefined)": 1, "before the first event used": 1}
    np.testing.assert_allclose(images.average, stack(frames[1:]).mean(0))
    assert images.provenance["count"] == 6
    assert images.provenance["skipped"] == dict(images.skipped)


def test_selected_events_alone_are_averaged():
    frames = random_frames(12)
    chosen = [frames[i] for i in (3, 6, 9)]
    images = average_run(FakeRun(frames), selection=Events(skip=3, every=3, limit=3))
    np.testing.assert_array_equal(images.maximum, stack(chosen).max(0))
    by_energy = Events(photon_energy_min_ev=9503, photon_energy_max_ev=9504)
    assert average_run(FakeRun(frames), selection=by_energy).count == 2
    assert average_run(FakeRun(frames), selection=Events(event_codes=(140,))).count == 12


@pytest.mark.parametrize("threads", [1, 2])
def test_a_common_mode_of_pixels_in_a_row_is_subtracted_from_each_event(sample, tmp_path, threads):
    """Rows go on from one section to the next; sections an event lacks have no value."""
    own = tmp_path / "CsPad::CalibV1" / "CxiDs1.0:Cspad.0"
    (own / "common_mode").mkdir(parents=True)
    (own / "common_mode" / "0-end.data").write_text("3 100 50 128\n")
    for kind in ("pedestals", "pixel_status"):
        there = sample.calib_dir / "CsPad::CalibV1" / "CxiDs1.0:Cspad.0" / kind
        (own / kind).symlink_to(there, target_is_directory=True)
    run = FakeRun(random_frames(7, SHAPE), tmp_path, absent=(0, 9))
    settings = Corrections.psana()
    corrector = make_corrector(settings, run)
    assert corrector.common_mode.algorithm == 3
    frames = [frame.copy() for frame in run.frames]
    for frame in frames:
        frame[[0, 9]] = 0
    run.frames = frames
    values = np.array([corrector.apply(frame) for frame in frames], float)
    values[:, [0, 9]] = 0
    images = average_run(run, settings, Threads(threads))
    np.testing.assert_allclose(images.average, values.mean(0), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(images.stddev, values.std(0), rtol=1e-7, atol=1e-6)
    np.testing.assert_array_equal(images.maximum, values.max(0))
    assert (images.pixel_count[[0, 9]] == 0).all()
    assert images.count == 7
    steps = [step["step"] for step in images.provenance["corrections"]]
    assert steps[:2] == ["pedestals", "common mode"]


@pytest.mark.parametrize("count", [3, 11])
@pytest.mark.parametrize("second_factor", [False, True])
def test_sums_of_corrected_events_are_of_the_events_corrected_alone(count, second_factor):
    rng = np.random.default_rng(count)
    pedestals = rng.normal(1200, 60, SMALL).astype(np.float32)
    away = rng.normal(0, 4, (count, *SMALL)) + rng.normal(0, 9, (count, SMALL[0], 1, 1))
    run = FakeRun(list(np.rint(pedestals + away).astype(np.int16)))
    corrector = Corrector(
        run.detector,
        Pedestals(pedestals),
        CommonMode(good=rng.random(SMALL) < 0.9),
        Gain(6.85, rng.random(SMALL) < 0.3),
        PixelGain(rng.normal(1, 0.1, SMALL).astype(np.float32)) if second_factor else None,
    )
    sums = CorrectedSums(corrector)
    pending = sums.load(list(run.events()))
    pending.add()
    pending.added()
    values = np.array([corrector.apply(frame) for frame in run.frames], float)
    result = sums.statistics()
    np.testing.assert_array_equal(result.maximum, values.max(0))
    np.testing.assert_array_equal(result.minimum, values.min(0))
    np.testing.assert_allclose(result.mean, values.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.stddev(), values.std(0), rtol=1e-9)


def test_distance_wavelength_and_time_are_means_over_the_events_averaged():
    images = average_run(FakeRun(random_frames(3)), detz_offset_mm=585.5)
    assert images.encoder_mm == pytest.approx(-463.99)
    assert images.distance_mm == pytest.approx(585.5 - 463.99)
    assert images.wavelength_angstrom == pytest.approx(12398.4187 / 9501, rel=1e-7)
    assert images.timestamp == "2014-05-13T16:53Z21.500"
    assert average_run(FakeRun(random_frames(1))).distance_mm is None


def test_what_the_run_does_not_tell_is_unknown(monkeypatch):
    import fake_runs

    class Dark(fake_runs.FakeEvent):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.encoder_mm = self.wavelength_angstrom = None

    monkeypatch.setattr(fake_runs, "FakeEvent", Dark)
    images = average_run(FakeRun(random_frames(2)), detz_offset_mm=121.0)
    assert images.wavelength_angstrom is None
    assert images.distance_mm == 121.0
    assert "offset alone" in images.warnings[0]


def test_an_empty_run_is_one_clear_error():
    frames = [None, *random_frames(1)]
    with pytest.raises(NoEventsError, match=r"cxim1416 run 74 has no events .*1 damaged"):
        average_run(FakeRun(frames), selection=Events(limit=1))


class Stop:
    """Progress that cancels after some events."""

    def __init__(self, after):
        self.after, self.done = after, 0

    @property
    def cancelled(self):
        return self.done >= self.after

    def update(self, done, total=None, message=""):
        self.done, self.total = done, total


def test_cancelling_keeps_a_valid_partial_result():
    frames = random_frames(40, shape=(1, 185, 388))
    images = average_run(FakeRun(frames), progress=Stop(20))
    assert images.partial
    assert 20 <= images.count < 30  # a cancel is noticed within 8 events
    np.testing.assert_allclose(images.average, stack(frames[: images.count]).mean(0))
    with pytest.raises(Cancelled):
        average_run(FakeRun([None, *frames]), progress=Stop(1), selection=Events(limit=1))


def test_progress_tells_how_many_events_are_expected():
    progress = Stop(99)
    average_run(FakeRun(random_frames(5)), progress=progress, selection=Events(limit=4))
    assert (progress.done, progress.total) == (4, 4)


def test_images_so_far_are_shown_while_running():
    frames = random_frames(150, shape=(1, 185, 388))
    shown, threads = [], threading.active_count()
    images = average_run(FakeRun(frames), snapshot=shown.append, snapshot_seconds=0)
    assert len(shown) >= 2
    assert all(s.partial and 0 < s.count <= 150 for s in shown)
    assert not images.partial
    first = shown[0]
    np.testing.assert_allclose(first.average, stack(frames[: first.count]).mean(0))
    assert threading.active_count() <= threads


@pytest.mark.parametrize("shape", [(4, 185, 388), (3, 185, 380)])
def test_events_of_another_shape_are_refused(shape):
    frames = random_frames(1) + random_frames(1, shape=shape)
    with pytest.raises(WorkbenchError, match="shape"):
        average_run(FakeRun(frames, as_quads=False))


def test_stacks_of_floating_point_frames_leave_out_nan_per_pixel():
    frames = [np.full(SMALL, float(i)) for i in range(4)]
    frames[1][0, 0, 0] = np.nan
    for frame in frames:
        frame[0, 0, 1] = np.nan
    run = FakeRun(frames, as_quads=False)
    run.source = "frames"
    images = average_run(run)
    assert images.average[0, 0, 0] == pytest.approx((0 + 2 + 3) / 3)
    assert images.pixel_count[0, 0, 0] == 3
    assert np.isnan(images.average[0, 0, 1])
    assert np.isnan(images.maximum[0, 0, 1])
    assert images.average[2, 100, 100] == 1.5
    doubled = average_run(run, Corrections(pedestal=False, gain=2.0))
    np.testing.assert_array_equal(doubled.average, images.average)  # no pixel is in low gain
    run.low_gain[:] = True
    doubled = average_run(run, Corrections(pedestal=False, gain=2.0))
    np.testing.assert_array_equal(doubled.average, 2 * images.average)
    np.testing.assert_array_equal(doubled.pixel_count, images.pixel_count)
