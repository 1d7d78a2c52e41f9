"""Sensors off their place within a quadrant: what rings tell of them, and `--sensors`."""

import dataclasses

import numpy as np
import pytest

from workbench.alignment import align_quadrants
from workbench.detectors import CSPAD
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.recipe import AlignmentSettings
from workbench.simulate import powder_image

pytestmark = pytest.mark.slow

TRUTH = np.array([[5.36, 1.54], [-3.38, -7.31], [7.58, 1.55], [-4.64, 6.57]])
TRUE = Geometry.ideal()


@pytest.fixture(scope="module")
def image():
    """Many rings in a geometry whose sensors are 0.4 px off in x and in y."""
    random = np.random.default_rng(3)
    present = TRUE
    for sensor in range(CSPAD.modules):
        shift_um = random.normal(0, 0.4, 2) * CSPAD.pixel_um
        present = present.move(present.sensors[sensor], [*shift_um, 0.0])
    return DetectorImage(
        powder_image(TRUE, seed=21), present.move_quadrants(-TRUTH), distance_mm=121.0,
        wavelength_angstrom=1.3051,
    )  # fmt: skip


@pytest.fixture(scope="module")
def aligned(image):
    return align_quadrants(image, settings=AlignmentSettings(sensors=True, outward="full"))


def outwards_of(geometry):
    """Unit vectors from the beam to the middle of each sensor, ``(32, 2)``."""
    middles = geometry.pixel_positions_um()[..., :2].mean(axis=(1, 2))
    return middles / np.linalg.norm(middles, axis=1)[:, None]


def outward_errors_px(geometry):
    """How far each sensor is off outwards, beside what its quadrant is off, ``(32,)``."""
    outwards = outwards_of(TRUE)
    away = (geometry.pixel_positions_um() - TRUE.pixel_positions_um())[..., :2].mean(axis=(1, 2))
    error = np.sum(away * outwards, axis=1) / CSPAD.pixel_um
    for group in CSPAD.groups:
        axes = outwards[group.slice]
        error[group.slice] -= axes @ np.linalg.lstsq(axes, error[group.slice], rcond=None)[0]
    return error


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def test_sensors_are_moved_outwards_to_their_place_and_sigma_covers_it(aligned):
    quadrants_alone = dataclasses.replace(
        aligned, settings=dataclasses.replace(aligned.settings, sensors=False)
    )
    before, after = (outward_errors_px(a.geometry) for a in (quadrants_alone, aligned))
    assert rms(before) > 0.3
    assert rms(after) < 0.4 * rms(before)
    sigma = aligned.refinement.sensor_sigma_px[:, 0]
    assert 0.4 < rms(after / sigma) < 1.6, "neither too sure nor too unsure"


def test_along_the_rings_little_is_known_and_said_so(aligned):
    outwards, along = np.median(aligned.refinement.sensor_sigma_px, axis=0)
    assert along > 5 * outwards


def test_sensors_that_are_moved_sharpen_the_rings_and_hardly_move_quadrants(aligned, image):
    moved = dataclasses.replace(image, geometry=aligned.geometry)
    again = align_quadrants(moved, settings=AlignmentSettings(outward="full"))
    assert np.abs(again.offsets_px).max() < 0.4, "as far as sensors were off themselves"
    assert again.refinement.held_out.rms_px < aligned.refinement.held_out.rms_px / 2


def test_known_shifts_of_sensors_on_a_real_ring_are_measured(shared_data):
    """Sensors that see the one strong ring are told well, the others with a σ that covers it."""
    folder = shared_data / "rings"
    with np.load(folder / "cspad_agbeh.npz") as file:
        data, good = file["image"], file["good"]
    full = AlignmentSettings(outward="full")
    geometry = Geometry.read(folder / "cspad_agbeh-0-end.data")
    present = align_quadrants(data, geometry, good, settings=full).geometry
    random = np.random.default_rng(7401)
    shift = random.uniform(0.3, 1.0, CSPAD.modules) * random.choice([-1, 1], CSPAD.modules)
    outwards = outwards_of(present)
    moved = present
    for sensor in range(CSPAD.modules):
        step_um = outwards[sensor] * shift[sensor] * CSPAD.pixel_um
        moved = moved.move(moved.sensors[sensor], [*step_um, 0.0])
    before, after = (align_quadrants(data, seen, good, settings=full) for seen in (present, moved))
    quadrant = np.repeat(after.offsets_px - before.offsets_px, CSPAD.modules // 4, axis=0)
    expected = shift - np.sum(outwards * quadrant, axis=1)
    seen, known = (a.refinement.sensor_offset_px[:, 0] for a in (before, after))
    sigma = after.refinement.sensor_sigma_px[:, 0]
    error = known - seen - expected
    well = sigma < 0.3
    assert 8 <= np.count_nonzero(well) <= 20
    error -= np.average(error, weights=sigma**-2)  # all outwards changes but the ring's radius
    assert np.median(np.abs(error[well])) < 0.1 < np.median(np.abs(expected[well]))
    assert rms(error / sigma) < 1.6
