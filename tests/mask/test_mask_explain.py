"""Why a pixel is masked: place, values, and every rule in words."""

import json

import numpy as np
import pytest

import workbench as wb
from workbench.detectors import CSPAD
from workbench.errors import MaskError
from workbench.images import DetectorImage
from workbench.mask import build_mask, explain_pixel
from workbench.recipe import MaskSettings, Thresholds
from workbench.recipe.mask import CircleLayer, GrowLayer, LineLayer, PartLayer, PixelLayer

SHAPE = CSPAD.shape


@pytest.fixture(scope="module")
def mask(geometry):
    average, stddev, maximum = (
        np.full(CSPAD.shape, 1200.0),
        np.full(CSPAD.shape, 4.0),
        np.full(CSPAD.shape, 900.0),
    )
    average[9, 100, 200], maximum[9, 100, 200] = 2310.25, 80.0
    stddev[0, 0, 0] = np.nan
    low_gain = np.zeros(CSPAD.shape, bool)
    low_gain[5] = True
    settings = MaskSettings(
        low_gain=Thresholds(avg_max=1000.0),
        layers=(
            PixelLayer("by hand", pixels=((9, 100, 200), (9, 100, 210))),
            GrowLayer(of=("pixel",)),
            CircleLayer("good centre", mode="exclude", radius_mm=8.0),
        ),
    )
    return build_mask(
        settings, average, stddev, maximum, geometry,
        low_gain=low_gain, distance_mm=121.0, wavelength_angstrom=1.3,
    )  # fmt: skip


def test_place_values_and_every_rule(mask, geometry):
    report = mask.explain((9, 100, 200))
    assert (report.quadrant, report.section, report.asic) == (1, 1, 1)
    assert (report.row, report.column, report.asic_column) == (100, 200, 6)
    assert report.panel == "ARRAY_D0Q1S1A1"
    assert (report.average, report.stddev, report.maximum) == (2310.25, 4.0, 80.0)
    x, y, _ = geometry.pixel_positions_um()[9, 100, 200] / 1000
    assert (report.x_mm, report.y_mm) == pytest.approx((x, y))
    radius = np.hypot(x, y)
    assert report.resolution_angstrom == pytest.approx(
        1.3 / (2 * np.sin(0.5 * np.arctan(radius / 121.0))), rel=1e-3
    )
    assert not report.good
    assert [reason.rule for reason in report.reasons] == ["average_high", "maximum_low", "pixel"]
    assert [reason.layer for reason in report.reasons] == [None, None, 0]
    assert report.reasons[0].text == "average 2310.25 > 2000"
    assert report.reasons[1].text == "maximum 80 < 300"
    assert report.reasons[2].text == "layer 1 “by hand”"
    line = str(report)
    assert "\n" not in line
    for word in ("Q1 S1 A1", "slow 100 fast 200", "mm", "Å", "average 2310.25 > 2000", "by hand"):
        assert word in line


def test_low_gain_pixels_are_told_their_own_limit(mask):
    report = mask.explain((5, 10, 20))
    assert report.low_gain
    assert report.reasons[0].text == "average 1200 > 1000"


def test_grown_good_and_missing_values(mask):
    assert [reason.rule for reason in mask.explain((9, 101, 211)).reasons] == ["grown"]
    good = mask.explain(31 * 185 * 388 + 12 * 388 + 7)
    assert (good.sensor, good.row, good.column, good.good) == (31, 12, 7, True)
    assert str(good).endswith("good")
    assert mask.explain((0, 0, 0)).reasons[0].rule == "not_a_number"


def test_values_and_limits_have_the_unit_of_their_image():
    flat = np.ones(CSPAD.shape)
    in_kev = DetectorImage(80 * flat, provenance={"unit": "keV"})
    mask = build_mask(MaskSettings(), 1200 * flat, 4 * flat, in_kev)
    report = mask.explain((0, 0, 0))
    assert "avg 1200.0 ADU std 4.00 ADU max 80.0 keV" in str(report)
    assert [removal.name for removal in mask.removals if removal.counts.total] == [
        "maximum < 300 keV"
    ]
    in_adu = build_mask(MaskSettings(), 1200 * flat, 4 * flat, 80 * flat)
    assert "avg 1200.0 std 4.00 max 80.0 ADU" in str(in_adu.explain((0, 0, 0)))


def test_a_kept_pixel_tells_what_would_remove_it_and_who_keeps_it(geometry):
    radius = np.hypot(*np.moveaxis(geometry.pixel_positions_um()[..., :2], -1, 0))
    place = np.unravel_index(radius.argmin(), CSPAD.shape)
    average = np.full(CSPAD.shape, 1200.0)
    average[place] = 5000.0
    settings = MaskSettings(
        layers=(
            CircleLayer("beam stop", radius_mm=9.0),
            CircleLayer("good centre", mode="exclude", radius_mm=8.0),
            PartLayer("only quadrant 0", mode="intersection", parts=("Q0",)),
        )
    )
    mask = build_mask(
        settings, average, np.full(CSPAD.shape, 4.0), np.full(CSPAD.shape, 900.0), geometry
    )
    report = mask.explain(place)
    assert report.good
    assert report.reasons == ()
    assert [one.text for one in report.spared] == ["average 5000 > 2000", "layer 1 “beam stop”"]
    assert report.kept_by == ("layer 2 “good centre”",)
    assert str(report).endswith(
        "good (would be removed by average 5000 > 2000; layer 1 “beam stop”; kept by layer 2 "
        "“good centre”)"
    )
    between = np.argwhere((radius > 8500) & (radius < 9000))
    outside = next(tuple(one) for one in between if one[0] >= 8)
    assert mask.explain(outside).kept_by == ("layer 3 “only quadrant 0”",)
    inside = next(tuple(one) for one in between if one[0] < 8)
    assert not mask.explain(inside).good
    assert mask.explain((31, 184, 387)).spared == ()


def test_two_shapes_are_told_apart(geometry):
    ring = CircleLayer("ring", radius_mm=20.0)
    arm = LineLayer("arm", end_mm=(0.0, 60.0), width_mm=3.0)
    ones = np.ones(CSPAD.shape)
    mask = build_mask(MaskSettings(layers=(ring, arm)), ones, ones, 900 * ones, geometry)
    x, y = mask.images.xy_mm
    for where, expected in (
        ((x - 5) ** 2 + (y - 15) ** 2, ["layer 1 “ring”"]),
        (x**2 + (y - 40) ** 2, ["layer 2 “arm”"]),
        (x**2 + (y - 15) ** 2, ["layer 1 “ring”", "layer 2 “arm”"]),
    ):
        place = np.unravel_index(where.argmin(), CSPAD.shape)
        assert [one.text for one in mask.explain(place).reasons] == expected
        assert {one.rule for one in mask.explain(place).reasons} == {"shape"}


def test_a_mask_from_a_file_knows_places_and_rules_only():
    good = np.ones(CSPAD.shape, bool)
    good[1, 2, 3] = False
    report = explain_pixel(wb.Mask.from_good(good), (1, 2, 3))
    assert report.average is None
    assert report.x_mm is None
    assert report.reasons[0].text == "masked in an imported file"


def test_a_report_is_json(mask):
    assert json.loads(json.dumps(mask.explain((9, 100, 200)).as_dict()))["section"] == 1


@pytest.mark.parametrize("pixel", [(32, 0, 0), (0, -1, 0), (0, 0), "x", -1, 32 * 185 * 388, None])
def test_there_is_no_such_pixel(mask, pixel):
    with pytest.raises(MaskError, match="no pixel"):
        mask.explain(pixel)
