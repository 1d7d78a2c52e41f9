"""The thresholds of cxi.make_dials_mask, their operators and counts."""

import numpy as np
import pytest

import workbench as wb
from workbench.detectors import CSPAD
from workbench.errors import MaskError

SHAPE = CSPAD.shape


def images(seed=1):
    random = np.random.default_rng(seed)
    average = random.normal(1100, 500, CSPAD.shape)
    stddev = random.normal(6, 3, CSPAD.shape)
    maximum = random.normal(900, 300, CSPAD.shape)
    for image, value in zip((average, stddev, maximum), (2000.0, 10.0, 300.0), strict=True):
        image.flat[random.choice(image.size, 3000, replace=False)] = value
        image.flat[random.choice(image.size, 3000, replace=False)] = 0.0
        image.flat[random.choice(image.size, 3000, replace=False)] = np.nan
        image.flat[random.choice(image.size, 300, replace=False)] = np.inf
        image.flat[random.choice(image.size, 300, replace=False)] = -np.inf
    return average, stddev, maximum


def restatement(average, stddev, maximum, avg_max, stddev_max, maxproj_min, border):
    """What make_dials_mask does, panel by panel: mask, and its three printed counts."""
    panels, counts = [], np.zeros(3, int)
    for a, s, m in zip(*map(CSPAD.asic_stack, (average, stddev, maximum)), strict=True):
        tests = [[a > 0, a <= avg_max], [s > 0, s <= stddev_max], [m >= maxproj_min]]
        counts += [sum(int((~test).sum()) for test in group) for group in tests]
        panel = np.logical_and.reduce([test for group in tests for test in group])
        if border:
            panel[:border] = panel[-border:] = False
            panel[:, :border] = panel[:, -border:] = False
        panels.append(panel)
    return np.array(panels), tuple(counts)


@pytest.mark.parametrize(
    ("limits", "border"), [((2000.0, 10.0, 300.0), 0), ((1300.5, 7.1, 800.3), 3)]
)
def test_equals_the_formula_pixel_for_pixel_and_count_for_count(limits, border):
    pictures = images()
    mask = wb.make_mask(*pictures, wb.Thresholds(*limits), border=border)
    panels, counts = restatement(*pictures, *limits, border)
    np.testing.assert_array_equal(CSPAD.asic_stack(mask.good), panels)
    assert mask.cctbx_counts == counts
    assert mask.masked == np.count_nonzero(~panels)
    assert mask.cctbx_lines()[0] == f"From average, masked out {counts[0]} pixels"


def test_each_rule_has_its_operator():
    """Good: 0 < avg <= max, 0 < std <= max, maximum >= min; at the limits themselves."""
    cases = {  # average, stddev, maximum: rules
        (1.0, 1.0, 300.0): [],
        (2000.0, 10.0, 300.0): [],
        (0.0, 1.0, 300.0): ["average_low"],
        (np.nextafter(2000.0, 3000), 1.0, 300.0): ["average_high"],
        (1.0, 0.0, 300.0): ["stddev_low"],
        (1.0, np.nextafter(10.0, 11), 300.0): ["stddev_high"],
        (1.0, 1.0, np.nextafter(300.0, 0)): ["maximum_low"],
        (-1.0, 11.0, 0.0): ["average_low", "stddev_high", "maximum_low"],
        (np.nan, 1.0, 300.0): ["not_a_number"],
        (np.inf, 1.0, np.inf): ["average_high"],
    }
    pictures = [np.full(CSPAD.shape, value) for value in (1.0, 1.0, 300.0)]
    for pixel, values in enumerate(cases):
        for picture, value in zip(pictures, values, strict=True):
            picture.flat[pixel] = value
    mask = wb.make_mask(*pictures)
    for pixel, rules in enumerate(cases.values()):
        word = mask.reasons.flat[pixel]
        assert [name for name, rule in wb.mask.RULES.items() if word & rule.flag] == rules


def test_counts_are_total_exclusive_and_cumulative():
    average, stddev, maximum = (np.full(CSPAD.shape, value) for value in (1.0, 1.0, 300.0))
    average.flat[:10] = 0  # ten by this rule, four of them by this alone
    maximum.flat[4:30] = 0
    counts = wb.make_mask(average, stddev, maximum).counts
    assert counts["average_low"] == (10, 4, 10)
    assert counts["maximum_low"] == (26, 20, 30)
    assert counts["not_a_number"] == (0, 0, 30)


def test_a_border_wider_than_the_asic_masks_everything():
    pictures = [np.full(CSPAD.shape, value) for value in (1.0, 1.0, 300.0)]
    assert wb.make_mask(*pictures, border=500).masked == pictures[0].size


def test_takes_the_shapes_a_full_detector_is_stored_in():
    average, stddev, maximum = images(2)
    expected = wb.make_mask(average, stddev, maximum).good
    other = wb.make_mask(
        average.reshape(4, 8, 185, 388), CSPAD.asic_stack(stddev), maximum.reshape(5920, 388)
    )
    np.testing.assert_array_equal(other.good, expected)


def test_the_fraction_masked_shows_a_dead_asic():
    pictures = [np.full(CSPAD.shape, value) for value in (1.0, 1.0, 300.0)]
    pictures[2][8 * 2 + 5, :, 194:] = 0
    fraction = wb.make_mask(*pictures).masked_fraction_by_asic
    assert fraction.shape == (4, 8, 2)
    assert fraction[2, 5, 1] == 1
    assert fraction.sum() == 1


@pytest.mark.parametrize("shape", [(185, 388), (2, 185, 388), (1920, 1920)])
def test_an_image_of_another_detector_is_refused(shape):
    whole = np.ones(CSPAD.shape)
    with pytest.raises(MaskError, match="maximum image is"):
        wb.make_mask(whole, whole, np.ones(shape))
    with pytest.raises(MaskError, match="real numbers"):
        wb.make_mask(whole.astype(complex), whole, whole)
