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
    assert rms(after / sigma) < 1.6
    assert sigma.max() < 0.25


def test_where_there_are_many_rings_sensors_are_moved_along_them_too(aligned):
    wrong = aligned.geometry.pixel_positions_um() - TRUE.pixel_positions_um()
    assert rms(wrong[..., :2].mean(axis=(1, 2))) / CSPAD.pixel_um < 0.15


def test_sensors_that_are_moved_sharpen_the_rings_and_hardly_move_quadrants(aligned, image):
    moved = dataclasses.replace(image, geometry=aligned.geometry)
    again = align_quadrants(moved, settings=AlignmentSettings(outward="full"))
    assert np.abs(again.offsets_px).max() < 0.1
    assert again.refinement.held_out.rms_px < aligned.refinement.held_out.rms_px / 4


@pytest.mark.parametrize(
    ("shift_px", "along"), [(0.3, False), (2.0, False), (2.0, True)],
    ids=["a little outwards", "outwards", "along the rings"],
)  # fmt: skip
def test_a_sensor_off_its_place_is_named_and_moved_back(shift_px, along):
    """It counts against the mean of the eight sensors of its quadrant."""
    out = outwards_of(TRUE)[13]
    way = np.array([-out[1], out[0]]) if along else out
    shift_um = way * shift_px * CSPAD.pixel_um
    present = TRUE.move(TRUE.sensors[13], [*shift_um, 0.0])
    image = DetectorImage(
        powder_image(TRUE, seed=22), present, distance_mm=121.0, wavelength_angstrom=1.3051
    )
    found = align_quadrants(image, settings=AlignmentSettings(sensors=True, outward="full"))
    offset = found.refinement.sensor_offset_px
    measured = offset[13] - offset[8:16].mean(axis=0)
    assert measured[int(along)] == pytest.approx(shift_px * 7 / 8, abs=0.1 if along else 0.04)
    assert np.argmax(np.abs(offset[:, int(along)])) == 13
    named = "Out of place, outwards from the beam: sensor 13 by" in " ".join(found.notes)
    assert named == (not along), "offsets along the rings may be turns"
    assert "Moved within their quadrants" in found.sensors_line
    assert found.sensors_line in found.lines()
    wrong = found.geometry.pixel_positions_um() - TRUE.pixel_positions_um()
    assert np.abs(wrong[..., :2]).max() / CSPAD.pixel_um < 0.15 * shift_px


def test_sensors_of_a_real_ring_are_told_within_their_uncertainty(shared_data):
    """One strong ring says little of single sensors, and σ says so."""
    folder = shared_data / "rings"
    with np.load(folder / "cspad_agbeh.npz") as file:
        data, good = file["image"], file["good"]
    full = AlignmentSettings(outward="full")
    geometry = Geometry.read(folder / "cspad_agbeh-0-end.data")
    present = align_quadrants(data, geometry, good, settings=full).geometry
    shift = np.random.default_rng(7402).normal(0, 0.4, (CSPAD.modules, 2))
    moved = present
    for sensor in range(CSPAD.modules):
        moved = moved.move(moved.sensors[sensor], [*(shift[sensor] * CSPAD.pixel_um), 0.0])
    before, after = (align_quadrants(data, seen, good, settings=full) for seen in (present, moved))
    assert "Out of place" not in " ".join(before.notes)
    own = shift - np.repeat(shift.reshape(4, 8, 2).mean(axis=1), 8, axis=0)
    expected = np.sum(own * outwards_of(present), axis=1)
    seen, known = (a.refinement.sensor_offset_px[:, 0] for a in (before, after))
    error = known - seen - expected
    assert 0.3 < rms(error / after.refinement.sensor_sigma_px[:, 0]) < 1.5
