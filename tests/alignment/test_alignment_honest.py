"""What an alignment must not claim, and rings made without the code that models them."""

from types import SimpleNamespace

import numpy as np
import pytest

from workbench.alignment import align_quadrants
from workbench.alignment.degeneracies import turns_alike_deg
from workbench.alignment.quality import LIMITS, _scattered, judge
from workbench.alignment.result import QuadrantAlignment
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.recipe import AlignmentSettings
from workbench.simulate.junk import junk_image
from workbench.simulate.tracing import Cone, traced_powder

TRUTH = np.array([[5.36, 1.54], [-3.38, -7.31], [7.58, 1.55], [-4.64, 6.57]])
BEAM = {"distance_mm": 121.0, "wavelength_angstrom": 1.3051}


@pytest.fixture(scope="module")
def traced():
    """Photons thrown along skew, textured cones and caught by tilted sensors."""
    random = np.random.default_rng(5)
    true = Geometry.ideal()
    for sensor in true.sensors:
        true = true.rotate(sensor, z=float(random.normal(0, 0.05)), x=float(random.normal(0, 0.1)))
    cones = [Cone(angle, 3e5, skew_deg=0.05, texture=0.4) for angle in (5, 8, 11, 14.5, 18, 23, 28)]
    return true, traced_powder(true, cones, background=2e6, seed=1)


@pytest.mark.slow
def test_photons_thrown_along_cones_give_the_offsets(traced):
    true, data = traced
    found = align_quadrants(DetectorImage(data, true.move_quadrants(-TRUTH), **BEAM))
    errors = found.offsets_px - TRUTH
    assert np.sqrt(np.mean(errors**2)) < 0.1
    assert (np.abs(errors) < 4 * found.sigmas_px).all()
    assert [one.verdict for one in found.quadrants] == ["good"] * 4


def test_scatter_that_agrees_by_chance_is_refused():
    refined = SimpleNamespace(held_out=SimpleNamespace(rms_px=2.0), excess=13.0)
    assert "Rings lie 1.92 px (RMS)" in _scattered(refined, LIMITS)
    noise = SimpleNamespace(held_out=SimpleNamespace(rms_px=2.0), excess=1.0)
    assert not _scattered(noise, LIMITS), "weak rings have noise, which is no fault of theirs"


def judged(agreement=200.0, consistency=10.0, sigma=0.1, map_verdict="good"):
    """Verdict on a quadrant with these numbers."""
    quadrant = QuadrantAlignment(
        quadrant=0, offset_px=np.ones(2), covariance_px2=np.eye(2), cc=0.5, map=np.ones((41, 41)),
        trials_px=np.arange(-20.0, 21), peak_px=np.ones(2), pairs=1000, verdict=map_verdict,
        warnings=("About the map.",),
    )  # fmt: skip
    refined = SimpleNamespace(
        offsets_px=np.ones((1, 2)), covariance_px2=np.eye(2) * sigma**2, used=[True],
        sensor_split_px=np.ones((2, 1, 2)), held_out=SimpleNamespace(rms_px=0.1), excess=1.0,
        converged=True, iterations=5,
    )  # fmt: skip
    significance = SimpleNamespace(sigmas=[agreement], consistency=[consistency])
    return judge(quadrant, refined, significance, 20)


def test_sigma_is_compared_as_printed_and_the_limit_is_named():
    assert judged(sigma=0.254).verdict == "good"
    uncertain = judged(sigma=0.256)
    assert uncertain.verdict == "uncertain"
    assert "0.26 px only in its weakest direction (0.25 is good)" in uncertain.warnings[-1]
    assert judged(sigma=1.504).verdict == "uncertain"
    refused = judged(sigma=1.506)
    assert refused.verdict == "not determined"
    assert "1.51 px in its weakest direction (1.50 is the most)" in refused.warnings[0]


@pytest.mark.parametrize("consistency", [1.0, 3.5, 10.0])
def test_weaker_rings_go_from_good_through_uncertain_to_not_determined(consistency):
    order = ["not determined", "uncertain", "good"]
    ranks = [order.index(judged(agreement, consistency).verdict) for agreement in range(200)]
    assert set(np.diff(ranks)) == {0, 1}
    assert (ranks[0], ranks[-1]) == (0, 2)


def test_what_makes_a_map_unclear_is_no_warning_of_the_joint_refinement():
    assert judged(map_verdict="not determined").warnings == ()
    assert judged(map_verdict="uncertain").warnings == ()
    assert judged(map_verdict="good").warnings == ("About the map.",)


def turned(geometry, quadrant, degrees, about_px):
    """Geometry with a quadrant turned about a point (x, y) in pixels."""
    part = geometry.quadrants[quadrant]
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    away = np.array(part.origin_um[:2]) - np.array(about_px) * 109.92
    geometry = geometry.rotate(part, z=degrees)
    return geometry.move(geometry.quadrants[quadrant], [*(turn @ away - away), 0.0])


@pytest.mark.slow
def test_turns_about_the_beam_are_invisible_and_about_the_middle_look_like_offsets(traced):
    true, data = traced
    degrees = np.array([0.3, -0.2, 0.25, -0.3])
    middles = true.middles_px()
    beside = true
    for q in (0, 1):
        beside = turned(beside, q, degrees[q], about_px=(0, 0))
    for q in (2, 3):
        beside = turned(beside, q, degrees[q], about_px=middles[q])
    found = align_quadrants(DetectorImage(data, beside, **BEAM))
    expected = np.radians(degrees)[:, None] * middles[:, ::-1] * [1, -1]
    expected[:2] = 0
    assert np.abs(expected[2:]).max() > 1
    assert np.abs(found.offsets_px - expected).max() < 0.1
    assert turns_alike_deg(found.offsets_px, middles)[2:] == pytest.approx(degrees[2:], abs=0.02)
    assert found.quadrants[3].measures.turn_alike_deg == pytest.approx(-0.3, abs=0.02)
    assert any("about the beam changes no ring" in note for note in found.notes)
    assert any("the detector or the beam moved" in note for note in found.notes)


@pytest.mark.parametrize(
    "kind", ["plaid", "spots", "rows and columns", "squares", "rings elsewhere"]
)
@pytest.mark.slow
def test_structure_that_is_not_rings_is_never_taken_for_them(kind):
    true = Geometry.ideal()
    present = true.move_quadrants(np.random.default_rng(1).uniform(-6, 6, (4, 2)))
    image = DetectorImage(junk_image(kind, true, seed=1), present, **BEAM)
    found = align_quadrants(image, settings=AlignmentSettings(range_px=10))
    assert "good" not in {one.verdict for one in found.quadrants}
    assert not found.applied_px.any()
    assert found.notes == ()
