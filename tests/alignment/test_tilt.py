"""A tilt of the whole detector that the geometry lacks: measured, told, applied on request."""

import dataclasses

import numpy as np
import pytest

from workbench.alignment import align_quadrants
from workbench.geometry import Geometry
from workbench.geometry.fit import turned
from workbench.images import DetectorImage
from workbench.recipe import AlignmentSettings
from workbench.simulate import powder_image

TILT_DEG = (0.2, -0.1)


@pytest.fixture(scope="module")
def tilted():
    """A powder image of a tilted detector in a flat geometry with shifted quadrants."""
    true = turned(Geometry.ideal(), *TILT_DEG)
    present = Geometry.ideal().move_quadrants(np.random.default_rng(8).uniform(-6, 6, (4, 2)))
    return powder_image(true, seed=8), present, true


def aligned(picture, geometry, **settings):
    image = DetectorImage(picture, geometry, distance_mm=121.0, wavelength_angstrom=1.3051)
    return align_quadrants(image, settings=AlignmentSettings(**settings))


def worst_px(geometry, true):
    apart = geometry.pixel_positions_um()[..., :2] - true.pixel_positions_um()[..., :2]
    return np.abs(apart).max() / true.detector.pixel_um


@pytest.mark.slow
def test_a_tilt_is_told_and_two_alignments_bring_every_pixel_to_its_place(tilted):
    picture, present, true = tilted
    first = aligned(picture, present)
    measured, sigma = first.refinement.tilt_deg, first.refinement.tilt_sigma_deg
    assert (np.abs(measured - TILT_DEG) < 2 * sigma).all()
    assert any("tilted by +0.2" in warning and "--tilt" in warning for warning in first.warnings)
    assert worst_px(first.geometry, true) > 0.5, "offsets alone do not make up for it"
    applied = dataclasses.replace(first, settings=AlignmentSettings(tilt=True))
    second = aligned(picture, applied.geometry, tilt=True)
    assert worst_px(second.geometry, true) < 0.25
    assert second.refinement.held_out.rms_px < 0.3 * first.refinement.held_out.rms_px


@pytest.mark.slow
def test_without_the_distance_or_a_tilt_none_is_told(tilted):
    picture, present, true = tilted
    unknown = align_quadrants(picture, present, settings=AlignmentSettings(tilt=True))
    assert np.isnan(unknown.refinement.tilt_deg).all()
    assert unknown.geometry == present.move_quadrants(unknown.applied_px)
    flat = aligned(picture, true)
    assert flat.refinement.clear_tilt_deg is None
    assert not any("tilted" in warning for warning in flat.warnings)


def test_turning_a_geometry_leaves_the_beam_where_it_is_and_is_kept_in_its_file():
    flat = Geometry.ideal()
    positions = turned(flat, *TILT_DEG).pixel_positions_um()
    x, y, z = np.moveaxis(flat.pixel_positions_um(), -1, 0)
    about_x, about_y = np.radians(TILT_DEG)
    height = positions[..., 2] - positions[..., 2].mean()
    expected = z - z.mean() + about_x * y - about_y * x
    np.testing.assert_allclose(height, expected, rtol=0, atol=2.0)
    np.testing.assert_allclose(positions[..., 0], x, rtol=0, atol=2.0)
    again = Geometry.parse(turned(flat, *TILT_DEG).to_text())
    np.testing.assert_allclose(again.pixel_positions_um(), positions, rtol=0, atol=0.05)
