"""The real silver behenate ring of a CSPAD: known shifts, masked rings, maps alone."""

import numpy as np
import pytest

from workbench.alignment import align_quadrants
from workbench.geometry import Geometry
from workbench.recipe import AlignmentSettings

TABLED = np.array([[-0.71, 1.23], [2.12, 3.49], [2.14, -2.51], [-2.21, -4.25]])
"""Offsets of a circle fit of arc points that shares nothing with ours."""


@pytest.fixture(scope="module")
def ring(shared_data):
    folder = shared_data / "rings"
    with np.load(folder / "cspad_agbeh.npz") as file:
        image, good = file["image"], file["good"]
    return image, Geometry.read(folder / "cspad_agbeh-0-end.data"), good


@pytest.fixture(scope="module")
def aligned(ring):
    image, present, good = ring
    return align_quadrants(image, present, good)


@pytest.mark.slow
def test_offsets_are_those_of_an_independent_fit(aligned):
    for quadrant in aligned.quadrants:
        assert quadrant.verdict == "uncertain"
        assert "px only in its weakest direction (0.25 is good)" in quadrant.warnings[-1]
    assert (np.abs(aligned.offsets_px - TABLED) < 2 * aligned.sigmas_px).all()
    weak = aligned.refinement.weak
    assert weak.sigma_px > 0.2, "one strong ring hardly tells a common move outwards"
    assert 0.05 < aligned.refinement.held_out.rms_px < 0.3


@pytest.mark.slow
def test_known_shifts_are_measured_and_an_aligned_image_stays(ring, aligned):
    image, present, good = ring
    shift = np.random.default_rng(5012).uniform(-12, 12, (4, 2))
    full = AlignmentSettings(outward="full")
    moved = align_quadrants(image, present.move_quadrants(-shift), good, settings=full)
    kept = aligned.refinement.weak.offset_px - aligned.refinement.weak.applied_px
    expected = shift + aligned.offsets_px + kept * aligned.refinement.outwards
    assert np.abs(moved.offsets_px - expected).max() < 0.03
    again = align_quadrants(image, moved.geometry, good, settings=full)
    assert np.abs(again.offsets_px).max() < 0.02


@pytest.mark.slow
def test_nothing_moves_where_the_strong_ring_is_masked(ring, aligned):
    image, present, good = ring
    positions = present.pixel_positions_um().reshape(4, -1, 3)[..., :2] / 109.92
    radius = np.hypot(*np.moveaxis(positions - aligned.offsets_px[:, None], -1, 0))
    beside = ~((radius > 330) & (radius < 480)).reshape(good.shape)
    without = align_quadrants(image, present, good & beside)
    assert {quadrant.verdict for quadrant in without.quadrants} == {"not determined"}
    assert not without.applied_px.any()


def test_maps_alone_are_uncertain_and_say_by_how_much(ring):
    image, present, good = ring
    alone = align_quadrants(image, present, good, settings=AlignmentSettings(refine="none"))
    assert {quadrant.verdict for quadrant in alone.quadrants} == {"uncertain"}
    ranks = AlignmentSettings(refine="none", transform="rank")
    of_ranks = align_quadrants(image, present, good, settings=ranks)
    assert {quadrant.verdict for quadrant in of_ranks.quadrants} == {"not determined"}
    assert "or the transform sqrt" in of_ranks.quadrants[0].warnings[0]
    errors = np.abs(alone.offsets_px - TABLED)
    assert errors.max() > 1, "broad rings pull the maps"
    assert (errors < 3 * alone.sigmas_px).all()
