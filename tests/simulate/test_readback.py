"""What was written is what the reader finds, and it behaves like a detector."""

import numpy as np
import pytest

import workbench as wb
from workbench.simulate import truth as t

EVENTS = 4


def raw_frames(sample, run):
    events = list(wb.open_run("cxim1416", run, psdm_dir=sample.folder).events())
    assert len(events) == EVENTS
    return events, np.stack([event.raw for event in events])


@pytest.fixture(scope="module")
def made():
    return t.make_truth(7)


@pytest.fixture(scope="module")
def healthy(sample):
    faulty = t.faulty_pixels(t.read_truth(sample.truth))
    return ~np.any([*faulty.values()], axis=0)


@pytest.fixture(scope="module")
def dark(sample):
    return raw_frames(sample, 54)


@pytest.fixture(scope="module")
def bright(sample):
    return raw_frames(sample, 74)


@pytest.fixture(scope="module")
def light(made):
    """Expected photons at intensity 1."""
    from workbench.simulate.physics import expected_photons

    positions = made.geometry.pixel_positions_um()
    return expected_photons(positions, t.SCENE, plane_z_um=t.ROOT_Z_UM)


def test_experiment_is_found_in_the_tree_and_by_its_folders(sample):
    assert wb.open_run("cxim1416", 75, psdm_dir=sample.folder).number == 75
    run = wb.open_run("cxim1416", 75, xtc_dir=sample.xtc_dir, calib_dir=sample.calib_dir)
    assert len(run.files) == 4


def test_events_come_in_order_with_beam_line_data(bright, dark):
    events, _ = bright
    times = [(event.seconds, event.nanoseconds) for event in events]
    assert times == sorted(times)
    assert len(set(times)) == EVENTS
    for event in events:
        assert event.encoder_mm + t.DETZ_OFFSET_MM == pytest.approx(121.018, abs=0.01)
        assert event.photon_energy_ev == pytest.approx(9500, abs=30)
    assert all(event.wavelength_angstrom is None for event in dark[0])


def test_fiducials_of_run_74_start_again(sample):
    """The run crosses fiducial 131040 if it is long enough; events stay in order."""
    events, _ = raw_frames(sample, 74)
    assert [event.fiducials for event in events] == [130983, 130986, 130989, 130992]


def test_gain_map_is_read_back(sample, made):
    run = wb.open_run("cxim1416", 74, psdm_dir=sample.folder)
    assert np.array_equal(run.low_gain, made.sensor.low_gain)


def test_dark_frames_are_pedestal_noise_and_common_mode(dark, made, healthy):
    _, frames = dark
    residual = frames - made.sensor.pedestal
    shifts = np.array([[frame[s][healthy[s]].mean() for s in range(32)] for frame in residual])
    assert 1 < shifts.std() < 3.5, "each sensor shifts from shot to shot"
    noise = (residual - shifts[:, :, None, None])[:, healthy]
    assert noise.std() == pytest.approx(4.0, abs=0.15)
    per_pixel = made.sensor.noise[healthy]
    assert per_pixel.min() >= 3
    assert per_pixel.max() <= 5


def test_a_photon_is_28_adu_and_a_low_gain_photon_a_6_85th(bright, made, healthy, light):
    _, frames = bright
    signal = (frames - made.sensor.pedestal).mean(axis=0)
    low = made.sensor.low_gain
    lit = light > 20
    slopes = {}
    for name, region in (("high", ~low), ("low", low)):
        chosen = healthy & region & lit
        slopes[name] = (signal[chosen] * light[chosen]).sum() / (light[chosen] ** 2).sum()
    # the shots' mean intensity is common to both
    assert slopes["high"] / slopes["low"] == pytest.approx(6.85, rel=0.02)
    assert slopes["high"] == pytest.approx(28, rel=0.25)


def test_photons_follow_poisson_statistics(bright, made, healthy, light):
    """Differences of two shots: variance = 28² (n₁ + n₂) + 2 σ²."""
    _, frames = bright
    signal = (frames[:2] - made.sensor.pedestal)[:, healthy & ~made.sensor.low_gain & (light > 10)]
    expected = light[healthy & ~made.sensor.low_gain & (light > 10)]
    scales = (signal * expected).sum(axis=1) / (expected**2).sum()
    pull = signal - scales[:, None] * expected
    variance = 28 * scales[:, None] * expected + 16 + 4
    assert (pull**2 / variance).mean() == pytest.approx(1, abs=0.05)


def test_shots_differ_in_intensity(sample, healthy, made):
    _, frames = raw_frames(sample, 75)
    totals = (frames - made.sensor.pedestal)[:, healthy].sum(axis=1)
    assert totals.std() / totals.mean() > 0.02


def test_faulty_pixels_show_their_faults(sample, dark, bright, made):
    faulty = t.faulty_pixels(t.read_truth(sample.truth))
    darkness, frames = dark[1].astype(float), bright[1].astype(float)
    assert (darkness[:, faulty["hot"]].mean(axis=0) > 2000).all()
    assert (frames[:, faulty["stuck"]] == 0).all()
    assert np.median(darkness[:, faulty["noisy"]].std(axis=0)) > 30
    for kind in ("dead", "unbonded"):
        difference = frames[:, faulty[kind]].mean(axis=0) - darkness[:, faulty[kind]].mean(axis=0)
        assert np.abs(difference).max() < 25
    assert darkness.max() == 16383, "some hot pixels sit at the end of the ADC"


def test_rings_are_round_in_the_true_geometry_and_not_in_the_deployed_one(bright, made, healthy):
    """Sharpness of the radial profile, per quadrant."""
    _, frames = bright
    gain = np.where(made.sensor.low_gain, 6.85, 1)
    image = ((frames - made.sensor.pedestal).mean(axis=0) * gain).reshape(4, -1)
    usable = healthy.copy()
    usable[:, :, 193:195] = False

    def sharpness(geometry):
        x, y, _ = np.moveaxis(geometry.pixel_positions_um(), -1, 0) / 109.92
        radius = np.hypot(x, y)
        found = []
        for quadrant in range(4):
            chosen = (usable & (radius > 160) & (radius < 500)).reshape(4, -1)[quadrant]
            bins = np.rint(2 * radius.reshape(4, -1)[quadrant][chosen]).astype(int)
            counts = np.maximum(np.bincount(bins), 1)
            profile = np.bincount(bins, image[quadrant][chosen]) / counts
            found.append(np.abs(np.diff(profile[325:995])).mean())
        return np.array(found)

    assert (sharpness(made.geometry) > 1.15 * sharpness(made.deployed)).all()
