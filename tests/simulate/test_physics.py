"""Pictures have the rings, photons and statistics that physics asks for."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.simulate import powder_image
from workbench.simulate.physics import Scene, Shadow, expected_photons, ring_radii_px
from workbench.simulate.powder import shot_intensities, spot_stamps

PIXEL = 109.92


@pytest.fixture(scope="module")
def positions():
    return Geometry.ideal().pixel_positions_um()


def flat_positions(x_px, y_px, z_um=0.0):
    """Positions of loose pixels (no sensor), float64 (n, 1, 3)."""
    x, y = np.broadcast_arrays(np.asarray(x_px, float), np.asarray(y_px, float))
    z = np.full(x.shape, z_um)
    return np.stack([x * PIXEL, y * PIXEL, z], axis=-1)[:, None, :]


def bare(**changes):
    """Rings alone: unpolarised beam, no background."""
    return Scene(**{"background_photons": 0.0, "bandwidth": 0.0, "polarisation": 0.0} | changes)


def test_behenate_orders_lie_where_braggs_law_puts_them():
    scene = bare(distance_mm=121.0, wavelength_angstrom=1.30510)
    orders = np.arange(1, 21)
    # independent form of Bragg's law: s = tan(2θ)/sqrt(1+tan²2θ) = 2 sinθ cosθ
    sine = orders * 1.30510 / (2 * 58.380)
    radii = 121.0 / 0.10992 * 2 * sine * np.sqrt(1 - sine**2) / (1 - 2 * sine**2)
    assert ring_radii_px(scene)[:20] == pytest.approx(radii, rel=1e-9)
    line = flat_positions(np.arange(40, 500, 0.05), 0.0)
    photons = expected_photons(line, scene, plane_z_um=0)[:, 0]
    crest = (photons[1:-1] > photons[:-2]) & (photons[1:-1] >= photons[2:])
    found = np.arange(40, 500, 0.05)[1:-1][crest]
    inside = radii[(radii > 41) & (radii < 499)]
    # the fall of the solid angle pulls a crest inwards by a few thousandths of a pixel
    assert found == pytest.approx(inside, abs=0.06)


@pytest.mark.parametrize(
    ("calibrant", "spacings"),
    [
        ("LaB6", [4.15689, 2.93937, 2.39998, 2.07845]),  # 100 110 111 200
        ("CeO2", [3.12421, 2.70565, 1.91318, 1.63157]),  # 111 200 220 311
        ("Si", [3.13560, 1.92015, 1.63751, 1.35776]),  # 111 220 311 400
    ],
)
def test_other_calibrants_have_their_first_rings(calibrant, spacings):
    scene = bare(rings=calibrant, distance_mm=80.0, wavelength_angstrom=1.0)
    angles = 2 * np.arcsin(1.0 / (2 * np.array(spacings)))
    expected = 80.0 / 0.10992 * np.tan(angles)
    assert ring_radii_px(scene)[:4] == pytest.approx(expected, rel=1e-4)


def test_rings_that_cannot_be_reached_are_left_out():
    scene = bare(rings=[(0.6, 1.0), (20.0, 1.0)], wavelength_angstrom=1.3)
    assert np.isnan(ring_radii_px(scene)[0])
    assert np.isfinite(expected_photons(flat_positions([50.0, 900.0], 0), scene)).all()


def test_a_nearer_pixel_sees_a_ring_at_a_smaller_radius():
    """z is against the beam: a sensor with larger z is nearer to the sample."""
    scene = bare(rings=[(5.0, 1.0)], ring_width_px=1.0)
    x = np.arange(250, 400, 0.02)
    crests = [
        x[np.argmax(expected_photons(flat_positions(x, 0, z), scene, plane_z_um=0)[:, 0])]
        for z in (0.0, 500.0)
    ]
    assert crests[1] - crests[0] == pytest.approx(-0.5 / 121 * crests[0], abs=0.05)


def test_polarised_beam_scatters_less_along_the_polarisation():
    scene = Scene(rings=(), polarisation=1.0, background_photons=100.0)
    along, across = (
        expected_photons(place, scene, plane_z_um=0)[0, 0]
        for place in (flat_positions([0.0], [900.0]), flat_positions([900.0], [0.0]))
    )
    two_theta = np.arctan(900 * PIXEL / 121000)
    assert along / across == pytest.approx(np.cos(two_theta) ** 2, rel=1e-3)


def test_flat_background_falls_with_the_solid_angle():
    scene = Scene(rings=(), background_photons=0.0, flat_photons=10.0)
    place = flat_positions([0.0, 1100.0], 0)
    photons = expected_photons(place, scene, plane_z_um=0)[:, 0]
    assert photons[0] == pytest.approx(10, rel=1e-5)
    assert photons[1] == pytest.approx(10 * np.cos(np.arctan(1100 * PIXEL / 121000)) ** 3, rel=1e-5)


def test_wide_pixels_collect_two_and_a_half_times_the_area(positions):
    scene = Scene(rings=(), background_photons=0.0, flat_photons=10.0)
    photons = expected_photons(positions, scene)
    ratio = photons[:, :, 193] / photons[:, :, 191]
    assert ratio == pytest.approx(2.5, rel=0.02)


def test_wide_pixels_average_the_ring_over_their_width(positions):
    """A 1 px ring that crosses a seam at right angles is 2.5 px wide there, not doubled."""
    scene = bare(rings=[(6.0, 1.0)], ring_photons=100, ring_width_px=1.0)
    photons = expected_photons(positions, scene)
    assert photons[..., 193].max() < 0.95 * 2.5 * photons.max()
    assert photons[..., 193].sum() == pytest.approx(2.5 * photons[..., 191].sum(), rel=0.15)


def test_every_quadrant_sees_rings(positions):
    rings = expected_photons(positions, bare(ring_photons=20.0)).reshape(4, -1)
    for quadrant in rings:
        assert (quadrant > 3).mean() > 0.05
        assert (quadrant < 1).mean() > 0.1, "and the dark between them"


def test_beam_stop_and_its_arm_cast_a_shadow(positions):
    shadow = Shadow(radius_px=80, arm_width_px=20, arm_angle_deg=20)
    scene = Scene(rings=(), background_photons=20.0, shadow=shadow)
    light = expected_photons(positions, Scene(rings=(), background_photons=20.0))
    passed = expected_photons(positions, scene) / light
    x, y = positions[..., 0] / PIXEL, positions[..., 1] / PIXEL
    radius, angle = np.hypot(x, y), np.rad2deg(np.arctan2(y, x))
    assert passed[radius < 70].max() < 0.05
    assert passed[(radius > 300) & (np.abs(angle - 20) < 0.2)].max() < 0.05
    assert passed[(radius > 120) & (np.abs(angle - 20) > 20)].min() > 0.99


# ---- pictures ---------------------------------------------------------------------------------


def test_mean_and_variance_are_those_of_photons(positions):
    """28 ADU per photon, variance of the mean of N frames: (28² μ + σ²) / N."""
    arguments = {"rings": (), "background": 0, "flat": 20.0, "noise_adu": 4.0, "events": 10,
                 "intensity_spread": 0.0}  # fmt: skip
    scene = Scene(rings=(), background_photons=0.0, flat_photons=20.0)
    expected = expected_photons(positions, scene)
    image = powder_image(positions, **arguments)
    residual = image - 28 * expected
    count = residual.size
    sigma = np.sqrt((28**2 * expected + 16) / 10)
    assert abs((residual / sigma).mean()) < 5 / np.sqrt(count)
    assert (residual / sigma).std() == pytest.approx(1, abs=5 / np.sqrt(2 * count))


@pytest.mark.parametrize("photons", [0.3, 6.0, 40.0])
def test_a_single_frame_has_poisson_probabilities(positions, photons):
    """Both samplers (inversion, rejection) give the Poisson distribution: χ² per bin near 1."""
    from scipy.stats import poisson

    plane = np.zeros_like(positions)
    plane[..., 2] = 1e6
    image = powder_image(plane, rings=(), background=0, flat=photons, noise_adu=0.0, events=1,
                         intensity_spread=0.0, kind="maximum", seed=3)  # fmt: skip
    normal = np.ones(388, bool)
    normal[193:195] = False  # positions are all alike here: wide pixels have no neighbours
    counts = np.bincount(np.rint(image[:, :, normal] / 28).astype(int).reshape(-1))
    expected = poisson.pmf(np.arange(counts.size), photons) * counts.sum()
    enough = expected > 50
    chi2 = ((counts - expected)[enough] ** 2 / expected[enough]).sum() / enough.sum()
    assert chi2 < 3


def test_maximum_exceeds_the_average_and_grows_with_events(positions):
    few, many = (powder_image(positions, kind="maximum", events=n, seed=1) for n in (2, 5))
    average = powder_image(positions, events=5, seed=1)
    assert (few <= many).all(), "the first frames are the same"
    assert many.mean() > few.mean() > average.mean()


def test_same_arguments_give_the_same_picture(positions):
    first, second, other = (powder_image(positions, spots=20, events=3, seed=s) for s in (4, 4, 5))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_thread_count_does_not_change_a_picture(positions):
    import numba

    once = powder_image(positions, kind="maximum", events=2, seed=4)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert np.array_equal(powder_image(positions, kind="maximum", events=2, seed=4), once)
    finally:
        numba.set_num_threads(threads)


def test_dead_sensors_see_only_noise(positions):
    image = powder_image(positions, dead_sensors=(3, 17), spots=500, kind="maximum", events=2)
    dead = np.zeros(32, bool)
    dead[[3, 17]] = True
    assert np.abs(image[dead]).max() < 40
    assert np.median(image[~dead]) > 40


def test_geometry_and_its_positions_are_the_same_to_it(positions):
    assert np.array_equal(powder_image(Geometry.ideal(), seed=2), powder_image(positions, seed=2))


@pytest.mark.parametrize("on_rings", [True, False])
def test_spots_stand_out_where_they_may(positions, on_rings):
    plain, spotty = (
        powder_image(positions, kind="maximum", events=2, spots=n, spot_photons=3000,
                     spots_on_rings=on_rings, rings=[(5.0, 1.0)])
        for n in (0, 100)
    )  # fmt: skip
    struck = spotty - plain > 28 * 50
    assert struck.sum() > 200
    rings = expected_photons(positions, bare(rings=[(5.0, 1.0)]))
    near = rings[struck] > 1e-3
    assert near.mean() > 0.95 if on_rings else near.mean() < 0.3


def test_spots_hold_their_photons():
    random = np.random.RandomState(0)
    weights = np.zeros((32, 185, 388), np.float32)
    weights[5, 90, 200] = 1
    index, photons = spot_stamps(random, weights, 2000, 100.0)
    assert photons.sum() == pytest.approx(2000 * 100, rel=0.15)
    sensor, row, column = np.unravel_index(index, weights.shape)
    assert set(sensor) == {5}
    assert np.average(row, weights=photons) == pytest.approx(90, abs=0.1)
    assert np.average(column, weights=photons) == pytest.approx(200, abs=0.1)


def test_shot_intensities_average_one():
    values = shot_intensities(np.random.RandomState(1), 20000, 0.15)
    assert values.mean() == pytest.approx(1, abs=0.01)
    assert values.std() == pytest.approx(0.15, abs=0.01)
    assert values.min() > 0


def test_unusable_arguments_are_refused(positions):
    for arguments in ({"kind": "median"}, {"events": 0}, {"rings": "salt"}):
        with pytest.raises(WorkbenchError):
            powder_image(positions, **arguments)
    with pytest.raises(WorkbenchError, match="shape"):
        powder_image(positions[:2])
