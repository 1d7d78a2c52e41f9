"""Correlation maps of whole quadrants find known offsets, and say so where there are none."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.alignment import Alignment, align_quadrants
from workbench.detectors import CSPAD, CSPAD_2X2, JUNGFRAU_05M, JUNGFRAU_4M
from workbench.errors import AlignmentError
from workbench.geometry import Geometry
from workbench.recipe import AlignmentSettings

TRUTH = np.array([[3.3, -2.4], [-4.6, 5.2], [6.5, 1.1], [-2.2, -7.7]])

MAPS_ONLY = AlignmentSettings(refine="none")

# what the maps find alone, and what the joint refinement makes of it
with_and_without_refinement = pytest.mark.parametrize(
    "refine", ["none", pytest.param("rings", marks=pytest.mark.slow)]
)


def powder(truth, spacing=24.6, photons=30.0, seed=0):
    """Rings every `spacing` px about the lab origin, seen with quadrants off by `truth`."""
    present = Geometry.ideal().move_quadrants(-np.asarray(truth))
    x, y = np.moveaxis(present.move_quadrants(truth).pixel_positions_um()[..., :2], -1, 0)
    radius = np.hypot(x, y) / CSPAD.pixel_um
    distance = radius - spacing * np.round(radius / spacing)
    rings = np.exp(-0.5 * (distance / 2.0) ** 2) * np.exp(-radius / 400)
    water = 5 * np.exp(-0.5 * ((radius - 500) / 150) ** 2)
    counts = np.random.default_rng(seed).poisson(photons * (rings + 0.2) + water)
    return counts.astype(float) * 10, present


@pytest.fixture(scope="module")
def sharp():
    """Sharp rings, aligned: the present geometry and what is found."""
    image, present = powder(TRUTH)
    return present, align_quadrants(image, present)


def test_offsets_of_sharp_rings_come_out_within_a_quarter_of_a_pixel():
    image, present = powder(TRUTH)
    found = align_quadrants(image, present, settings=MAPS_ONLY)
    assert np.abs(found.offsets_px - TRUTH).max() < 0.25
    assert all(one.map.shape == (41, 41) for one in found.quadrants)
    assert np.abs([one.trial_px for one in found.quadrants] - TRUTH).max() < 1


def test_corrected_geometry_is_the_true_one(sharp):
    present, found = sharp
    corrected = found.geometry.pixel_positions_um()
    true = present.move_quadrants(TRUTH).pixel_positions_um()
    assert np.abs(corrected - true).max() / CSPAD.pixel_um < 0.25


@with_and_without_refinement
def test_masked_and_saturated_pixels_take_no_part(refine):
    image, present = powder(TRUTH)
    mask = np.ones(CSPAD.shape, bool)
    mask[:, 40:80, 30:90] = False
    image[~mask] = np.random.default_rng(1).uniform(0, 1e4, np.count_nonzero(~mask))
    image[:, 100:110, 200:260] = 16383
    found = align_quadrants(image, present, mask, settings=AlignmentSettings(refine=refine))
    assert np.abs(found.offsets_px - TRUTH).max() < 0.3
    assert found.saturated_pixels > 0


@with_and_without_refinement
def test_a_peak_beyond_the_grid_widens_it(refine):
    truth = np.array([[26.0, 3.0], [0, 0], [0, 0], [0, 0]])
    image, present = powder(truth)
    settings = AlignmentSettings(range_px=24, refine=refine)
    found = align_quadrants(image, present, settings=settings)
    first = found.quadrants[0]
    assert np.abs(first.offset_px - truth[0]).max() < 0.5
    assert any("widened" in warning for warning in first.warnings)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(CSPAD.shape),
        np.full(CSPAD.shape, 7.3),
        np.full(CSPAD.shape, np.nan),
        np.random.default_rng(0).normal(10, 3, CSPAD.shape),
        np.random.default_rng(0).poisson(0.01, CSPAD.shape).astype(float),
    ],
    ids=["zero", "uniform", "nan", "noise", "dark counts"],
)
def test_without_rings_nothing_is_determined_and_nothing_moves(image):
    present = Geometry.ideal()
    found = align_quadrants(image, present)
    assert [one.verdict for one in found.quadrants] == ["not determined"] * 4
    assert all(one.warnings for one in found.quadrants)
    assert np.all(found.applied_px == 0)
    assert found.geometry == present
    json.dumps(found.to_dict(maps=True), allow_nan=False)


@pytest.mark.parametrize("detector", [CSPAD_2X2, JUNGFRAU_05M], ids=lambda one: one.name)
def test_a_mask_that_leaves_no_pixel_is_said_to(detector):
    image, mask = np.ones(detector.shape), np.zeros(detector.shape, bool)
    found = align_quadrants(image, Geometry.ideal(detector), mask)
    assert any(text.startswith("No pixel can be used") for text in found.warnings)
    assert {one.verdict for one in found.quadrants} == {"not determined"}


@with_and_without_refinement
def test_a_missing_quadrant_does_not_disturb_the_others(refine):
    image, present = powder(TRUTH)
    mask = np.ones(CSPAD.shape, bool)
    mask[8:16] = False
    found = align_quadrants(image, present, mask, settings=AlignmentSettings(refine=refine))
    assert found.quadrants[1].verdict == "not determined"
    assert np.abs(found.offsets_px - TRUTH)[[0, 2, 3]].max() < 0.25
    assert np.all(found.applied_px[1] == 0)


def test_wrong_shapes_are_refused_in_one_sentence():
    with pytest.raises(AlignmentError, match="shape"):
        align_quadrants(np.zeros((4, 8, 185, 388)), Geometry.ideal())
    with pytest.raises(AlignmentError, match="mask"):
        align_quadrants(np.zeros(CSPAD.shape), Geometry.ideal(), np.ones((64, 185, 194), bool))
    with pytest.raises(AlignmentError, match="no geometry"):
        align_quadrants(np.zeros(CSPAD.shape))
    with pytest.raises(AlignmentError, match="no method"):
        align_quadrants(np.zeros(CSPAD.shape), Geometry.ideal(), method="best")


def test_a_person_can_overrule_nudge_and_refuse_a_quadrant(sharp):
    _, found = sharp
    changed = found.with_offset(2, (1.5, -2.0)).nudged(2, (0.1, 0)).with_accepted(0, False)
    assert changed.quadrants[2].verdict == "overruled"
    assert np.allclose(changed.applied_px[2], (1.6, -2.0))
    assert np.all(changed.applied_px[0] == 0)
    assert np.all(found.applied_px[0] != 0), "the original stays as it was"
    with pytest.raises(AlignmentError):
        found.with_offset(4, (0, 0))
    with pytest.raises(AlignmentError):
        found.with_offset(0, (np.nan, 0))


def test_printed_lines_carry_those_of_quadrants_cbf(sharp):
    lines = sharp[1].lines()
    assert "Searching a grid with dimensions (41, 41)" in lines
    assert sum(line.startswith("max cc ") and " is at (" in line for line in lines) == 4
    assert any(line.startswith("Average CC: ") for line in lines)


@pytest.mark.slow
def test_modules_that_move_one_by_one_are_divided_by_their_asics():
    """The other modules say nothing of where a module is, so they cannot put it in doubt."""
    present = Geometry.ideal(JUNGFRAU_4M)
    random = np.random.default_rng(5)
    truth = random.uniform(-4, 4, (8, 2))
    place = present.pixel_positions_um()[..., :2] / JUNGFRAU_4M.pixel_um - truth[:, None, None]
    radius = np.hypot(place[..., 0], place[..., 1])
    rings = 100 + sum(400 * np.exp(-((radius - at) ** 2) / 18) for at in range(90, 1400, 70))
    found = align_quadrants(random.poisson(rings).astype(float), present)
    assert np.abs(found.offsets_px - truth).max() < 0.05
    even, odd = found.refinement.sensor_split_px
    assert np.abs(even - odd).max() < 0.1
    assert {one.verdict for one in found.quadrants} == {"good"}


@pytest.mark.parametrize(
    ("detector", "said"),
    [(CSPAD, "each quadrant turned about the beam"), (JUNGFRAU_4M, "rings of all modules")],
)
def test_the_method_is_said_in_words_of_the_detector(detector, said):
    result = SimpleNamespace(method="self", refinement=object(), detector=detector)
    assert said in Alignment.method_text.fget(result)
