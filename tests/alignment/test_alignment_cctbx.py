"""The restated cspad.quadrants_cbf: scores, argmax and conventions of the program."""

import json
from pathlib import Path

import numpy as np
import pytest

from workbench.alignment import align_quadrants, cctbx
from workbench.cli import main
from workbench.detectors import CSPAD, CSPAD_2X2
from workbench.errors import AlignmentError
from workbench.geometry import Geometry
from workbench.images import DetectorImage, read_image, write_image
from workbench.recipe import AlignmentSettings
from workbench.simulate import powder_image

TRUTH = np.array([[-3.0, 2.0], [4.0, -5.0], [-6.0, -1.0], [2.0, 7.0]])
SINGLE = AlignmentSettings(method="cctbx", multi_angle=False)


@pytest.fixture(scope="module")
def image():
    true = Geometry.ideal()
    return DetectorImage(
        powder_image(true), true.move_quadrants(-TRUTH), distance_mm=121.0,
        wavelength_angstrom=1.30527,
    )  # fmt: skip


def pinned_image():
    """Rings, hot pixels and pixels below the trusted range, made of formulas; sensors tilted."""
    geometry = Geometry.ideal()
    for number, sensor in enumerate(geometry.sensors):
        tilt = {"x": 0.02 * (number % 5 - 2), "y": 0.03 * (number % 3 - 1), "z": 0.1}
        geometry = geometry.rotate(sensor, **tilt)
    x, y, _ = np.moveaxis(geometry.pixel_positions_um() / CSPAD.pixel_um, -1, 0)
    rings = 200 * np.exp(-np.hypot(x, y) / 300) * (1 + np.cos(np.hypot(x, y) / 6))
    number = np.arange(x.size, dtype=np.uint64).reshape(x.shape)
    grain = number * 2654435761 % 4294967296 % 101
    data = np.round(rings + grain).astype(np.int32)
    data[grain == 7] = -1000
    data[(grain == 8) & (number % 7 == 0)] = 1000
    seen = geometry.move_quadrants(-np.array([[-3.3, 2.4], [4.6, -5.2], [-6.5, -1.1], [2.2, 7.7]]))
    return DetectorImage(data, seen, distance_mm=121.0, wavelength_angstrom=1.3051)


@pytest.mark.slow
def test_scores_and_lines_are_those_of_the_real_program():
    """Pinned to cspad.quadrants_cbf itself.

    scores_of_quadrants_cbf.json was recorded from the program of cctbx 2022.9 (Debian, its
    quadrant_self_correlation compiled from the public source) run on `pinned_image()` as written
    by `write_image`.
    """
    known = json.loads(Path(__file__).with_name("scores_of_quadrants_cbf.json").read_text())
    image = pinned_image()
    found = align_quadrants(image, settings=SINGLE)
    lines = [line for line in found.lines() if line.startswith("max cc")]
    assert lines == known["printed_angle_45"]
    for quadrant in range(4):
        whole = found.quadrants[quadrant].map[::5, ::5]
        assert np.abs(whole - known["angle_45_every_fifth_trial"][quadrant]).max() < 2e-9
        near = cctbx.quadrant_map(image, image.geometry, quadrant, 2, cctbx.MULTI_ANGLES).cc
        real = known["maximum_over_21_angles_trials_-2_to_2"][quadrant]
        assert np.abs(near - real).max() < 2e-9


def score_by_the_text(array, origin, trial, angle):
    """One score, written straight from the description of the program."""
    a = np.radians(angle)
    turn = np.array([[np.sin(a), -np.cos(a)], [np.cos(a), np.sin(a)]])
    origin, trial = np.array(origin), np.array(trial, dtype=float)
    places = np.stack(np.meshgrid(*map(np.arange, array.shape), indexing="ij")).reshape(2, -1)
    moved = turn @ places + (turn @ (origin - trial) + trial - origin)[:, None]
    moved = np.trunc(moved + np.copysign(0.5, moved)).astype(int)
    inside = ((moved >= 0) & (moved < np.array(array.shape)[:, None])).all(axis=0)
    one, two = array[tuple(places[:, inside])], array[tuple(moved[:, inside])]
    both = (one >= -400) & (two >= -400)
    return np.corrcoef(one[both], two[both])[0, 1]


def test_scores_follow_the_text_to_a_millionth():
    random = np.random.default_rng(3)
    array = random.normal(100, 30, (185, 194))
    array[random.random(array.shape) < 0.05] = -1000
    origin = (21.37, -30.84)
    trials = np.array([-20.0, -1.0, 0.0, 2.0, 20.0])
    for angle in (20.0, 45.0, 67.5):
        scores = cctbx.score_map(array, origin, trials, (angle,))
        for i, j in ((0, 0), (2, 3), (4, 1), (0, 4)):
            expected = score_by_the_text(array, origin, (trials[i], trials[j]), angle)
            assert scores[i, j] == pytest.approx(expected, abs=1e-9)


def test_several_angles_give_their_maximum():
    array = np.random.default_rng(4).normal(100, 30, (185, 194))
    trials = np.arange(-1.0, 2.0)
    each = [cctbx.score_map(array, (20.0, -31.0), trials, (a,)) for a in (30.0, 45.0)]
    both = cctbx.score_map(array, (20.0, -31.0), trials, (30.0, 45.0))
    assert np.allclose(both, np.maximum(*each), atol=1e-12)
    assert len(cctbx.MULTI_ANGLES) == 21
    assert cctbx.MULTI_ANGLES[0] == 20
    assert cctbx.MULTI_ANGLES[-1] == 70


def test_asic_nearest_the_beam_and_offsets_within_its_bias(image):
    found = align_quadrants(image, settings=SINGLE)
    assert [one.panel for one in found.quadrants] == [f"ARRAY_D0Q{q}S1A0" for q in range(4)]
    assert np.abs(found.offsets_px - TRUTH).max() <= 3
    assert np.array_equal(found.offsets_px, np.round(found.offsets_px))
    lines = found.lines()
    assert lines[0] == "Doing cross-correlation on panel ARRAY_D0Q0S1A0"
    assert lines[1] == "Searching a grid with dimensions (41, 41)"
    assert lines[2].startswith("Rastering row -20 -19 ")
    assert lines[2].endswith(" 19 20 ")  # the program leaves this space
    assert lines[3].startswith("max cc  0.")
    assert any(line.startswith("Average CC:  0.") for line in lines)


def test_shift_applied_is_the_one_printed(image):
    found = align_quadrants(image, settings=SINGLE)
    before, after = (
        g.pixel_positions_um()[..., :2].reshape(4, -1, 2).mean(axis=1)
        for g in (image.geometry, found.geometry)
    )
    assert (before - after) / 109.92 == pytest.approx(found.offsets_px, abs=1e-6)


def test_attenuation_of_silicon_is_that_of_dxtbx():
    """Values that cctbx.eltbx.attenuation_coefficient gives for Si, 1/mm."""
    for wavelength, expected in ((1.0, 4.207986), (1.272607, 8.51606), (1.305, 9.159197)):
        found = cctbx.silicon_attenuation_per_mm(wavelength)
        assert found == pytest.approx(expected, rel=1e-5)


def test_parallax_moves_a_corner_as_in_dxtbx(image):
    """Pixel (0, 0) of a panel does not lie at 0 mm: a fifth to a half of a pixel off."""
    panel = cctbx.panels(image.geometry, CSPAD, 0, 121.0, 1.305)[15]
    x, y = panel.pixel_to_mm(0, 0)
    assert 0.02 < np.hypot(x, y) < 0.1
    assert cctbx.panels(image.geometry, CSPAD, 0, 121.0, None)[15].pixel_to_mm(0, 0) == (0.0, 0.0)
    back = panel.mm_to_pixel(*panel.pixel_to_mm(3, 5))
    assert back == pytest.approx((3, 5), abs=0.01)


def test_an_empty_image_stays_where_it_is(image):
    empty = DetectorImage(np.zeros_like(image.data), image.geometry, distance_mm=121.0)
    found = align_quadrants(empty, settings=SINGLE)
    assert [one.trial_px for one in found.quadrants] == [(0.0, 0.0)] * 4
    assert not found.applied_px.any()


def test_without_a_distance_it_says_what_is_missing(image):
    with pytest.raises(AlignmentError, match="distance"):
        align_quadrants(DetectorImage(image.data, image.geometry), settings=SINGLE)


def test_command_prints_the_programs_lines_first_and_moves_only_quadrants(tmp_path, capsys):
    image = pinned_image()
    write_image(image, tmp_path / "rings.cbf")
    assert main(["align", "--method", "cctbx", "--single-angle", f"{tmp_path}/rings.cbf"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == f"Based on the file {tmp_path}/rings.cbf,"
    assert lines[4:6] == ["    ", "Doing cross-correlation on panel ARRAY_D0Q0S1A0"]
    assert lines[-2] == f"Saving result to {tmp_path}/rings_cc.cbf"
    moved = read_image(tmp_path / "rings_cc.cbf")
    assert np.array_equal(moved.data, image.data)
    shift = moved.geometry.pixel_positions_um() - image.geometry.pixel_positions_um()
    for quadrant, offset in enumerate([(-4, 1), (4, -4), (-6, -1), (2, 5)]):
        expected = [*(-np.array(offset) * CSPAD.pixel_um), 0]
        assert np.abs(shift[8 * quadrant : 8 * quadrant + 8] - expected).max() < 1e-3


def test_other_detectors_are_refused(image):
    data = np.zeros(CSPAD_2X2.shape)
    with pytest.raises(AlignmentError, match="for the CSPAD only"):
        cctbx.quadrant_map(data, image.geometry, 0, 2, (45.0,))
