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
def aligned():
    """Many rings in a geometry whose sensors are 0.4 px off in x and in y, and its alignment."""
    random = np.random.default_rng(3)
    present = TRUE
    for sensor in range(CSPAD.modules):
        shift_um = random.normal(0, 0.4, 2) * CSPAD.pixel_um
        present = present.move(present.sensors[sensor], [*shift_um, 0.0])
    image = DetectorImage(
        powder_image(TRUE, seed=21), present.move_quadrants(-TRUTH), distance_mm=121.0,
        wavelength_angstrom=1.3051,
    )  # fmt: skip
    return align_quadrants(image, settings=AlignmentSettings(sensors=True, outward="full"))


def outward_errors_px(geometry):
    """How far each sensor is off outwards, beside what its quadrant is off, ``(32,)``."""
    middles = TRUE.pixel_positions_um()[..., :2].mean(axis=(1, 2))
    outwards = middles / np.linalg.norm(middles, axis=1)[:, None]
    away = (geometry.pixel_positions_um() - TRUE.pixel_positions_um())[..., :2].mean(axis=(1, 2))
    error = np.sum(away * outwards, axis=1) / CSPAD.pixel_um
    for group in CSPAD.groups:
        axes = outwards[group.slice]
        error[group.slice] -= axes @ np.linalg.lstsq(axes, error[group.slice], rcond=None)[0]
    return error


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def test_sensors_are_moved_outwards_to_less_than_half_and_sigma_covers_it(aligned):
    quadrants_alone = dataclasses.replace(
        aligned, settings=dataclasses.replace(aligned.settings, sensors=False)
    )
    before, after = (outward_errors_px(a.geometry) for a in (quadrants_alone, aligned))
    assert rms(before) > 0.3
    assert rms(after) < rms(before) / 2
    sigma = aligned.refinement.sensor_sigma_px[:, 0]
    assert 0.4 < rms(after / sigma) < 1.6, "neither too sure nor too unsure"


def test_along_the_rings_little_is_known_and_said_so(aligned):
    outwards, along = np.median(aligned.refinement.sensor_sigma_px, axis=0)
    assert along > 5 * outwards


def test_shifts_of_sensors_move_no_quadrant(aligned):
    refined = aligned.refinement
    for group in CSPAD.groups:
        shift = refined.sensor_offset_px[group.slice, 0]
        middles = aligned.present.pixel_positions_um()[group.slice, ..., :2].mean(axis=(1, 2))
        outwards = middles / np.linalg.norm(middles, axis=1)[:, None]
        assert np.abs(shift @ outwards / len(shift)).max() < 0.01
