"""The model of the rings: one answer from every start, a profile that is no noise, strengths."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from workbench.alignment.prepare import prepare
from workbench.alignment.refine import refine_rings
from workbench.alignment.ring_fit import RING_FIT, RingFit
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.simulate import powder_image

TRUTH = np.array([[1.9, -0.8], [-0.7, -1.6], [1.2, 0.5], [-1.4, 1.1]])


def prepared(**scene):
    true = Geometry.ideal()
    data = powder_image(true, **scene)
    image = DetectorImage(
        data, true.move_quadrants(-TRUTH), distance_mm=121.0, wavelength_angstrom=1.3051
    )
    return prepare(image)


@pytest.fixture(scope="module")
def weak():
    return prepared(photons_per_pixel=0.3, background=1.0, seed=11)


@pytest.fixture(scope="module")
def fitted(weak):
    """The weak rings' fit at the truth, small squares."""
    with threadpool_limits(limits=1, user_api="blas"):
        fit = RingFit(weak, TRUTH, np.ones(4, bool))
        fit.begin(RING_FIT.pools[-1])
        fit.step()
    return fit


@pytest.mark.slow
def test_weak_rings_lead_to_the_same_offsets_from_inside_and_from_outside(weak, fitted):
    outside, inside = (refine_rings(weak, TRUTH + way * fitted.outwards) for way in (0.6, -0.6))
    apart = np.abs(outside.offsets_px - inside.offsets_px).max()
    assert apart < 0.2 * outside.sigmas_px.max()
    pulls = (outside.offsets_px - TRUTH) / outside.sigmas_px
    assert np.abs(pulls).max() < 3
    # by the slopes alone, which are partly noise, it is 0.08
    assert 0.09 < outside.sigmas_px.max() < 0.2
    assert max(outside.iterations, inside.iterations) <= 15


@pytest.mark.slow
def test_the_equations_know_how_their_gradient_changes(fitted):
    k, profile = fitted.knots, fitted.profile
    outwards = fitted.outwards.ravel()

    def gradient():
        now = fitted.reduced()
        return now.right[k:] - now.matrix[k:, :k] @ profile

    with threadpool_limits(limits=1, user_api="blas"):
        equations = fitted.reduced()
        before = fitted.offsets
        try:
            fitted.offsets = before + 0.02 * fitted.outwards
            ahead = gradient()
            fitted.offsets = before - 0.02 * fitted.outwards
            behind = gradient()
        finally:
            fitted.offsets = before
    change = (behind - ahead) / 0.04
    exact = (equations.matrix + np.pad(equations.curvature, ((0, 0), (k, 0))))[k:, k:] @ outwards
    without = equations.matrix[k:, k:] @ outwards
    assert np.abs(change - exact).max() < 0.2 * np.abs(change - without).max()


@pytest.mark.slow
def test_the_image_says_how_wide_rings_are(fitted):
    wide = prepared(photons_per_pixel=1.0, ring_width_px=5.0, seed=12)
    with threadpool_limits(limits=1, user_api="blas"):
        fit = RingFit(wide, TRUTH, np.ones(4, bool))
        fit.begin(RING_FIT.pools[-1])
    assert fit.length_px > fitted.length_px > RING_FIT.lengths_px[0]


@pytest.mark.slow
def test_the_profile_may_vary_without_an_edge_that_would_hold_the_rings_in_place(fitted):
    ratio = fitted.variance[1:] / fitted.variance[:-1]
    assert ratio.max() < 2
    assert ratio.min() > 0.5


@pytest.mark.slow
def test_rings_on_a_strong_background_settle():
    strong = prepared(photons_per_pixel=1.0, background=40.0, seed=13)
    refined = refine_rings(strong, TRUTH)
    assert refined.converged
    errors = refined.offsets_px - TRUTH
    assert np.sqrt(np.mean(errors**2)) < 0.3
    assert (np.abs(errors) < 4 * refined.sigmas_px).all()


@pytest.mark.slow
def test_a_strong_background_does_not_move_all_quadrants_outwards():
    # weak rings on ten times their photons of water, hardly any noise
    faint = prepared(rings="LaB6", photons_per_pixel=1.0, events=2000, seed=14)
    refined = refine_rings(faint, TRUTH)
    assert abs(_outwards(refined)) < 0.08
    apart = np.diff(refined.held_out.ring_radius_px)
    assert apart.min() > 15, "a ring is not told twice"


@pytest.mark.slow
def test_what_is_smooth_in_two_rings_does_not_move_all_quadrants():
    rings = [(7.0, 1.0), (5.0, 0.6)]
    two = prepared(rings=rings, photons_per_pixel=200.0, background=100.0, events=300, seed=15)
    assert abs(_outwards(refine_rings(two, TRUTH))) < 0.008


def _outwards(refined):
    return np.sum((refined.offsets_px - TRUTH) * refined.outwards) / 4
