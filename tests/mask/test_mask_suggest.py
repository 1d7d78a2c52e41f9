"""Histograms, removal curves, sensitivity, suggestions and warnings."""

from types import SimpleNamespace

import numpy as np
import pytest

from workbench.detectors import CSPAD
from workbench.errors import MaskError
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.mask import MaskEvaluator, removal_curve, sensitivity, suggest
from workbench.recipe import MaskSettings, Thresholds

SHAPE = CSPAD.shape


@pytest.fixture(scope="module")
def evaluator(runs):
    return MaskEvaluator(runs.average, runs.stddev, runs.maximum)


def test_the_removal_curve_is_exact(evaluator, runs):
    limits = [0.0, 100.0, 300.0, 1500.5, runs.maximum.flat[77]]
    limits = sorted(limits)
    curve = removal_curve(evaluator, "maxproj_min", limits)
    assert curve.removed.tolist() == [int((runs.maximum < limit).sum()) for limit in limits]
    curve = removal_curve(evaluator, "avg_max")
    expected = [int((runs.average > limit).sum()) for limit in curve.limits]
    assert curve.removed.tolist() == expected
    assert np.all(curve.slope >= 0)


def test_a_plateau_has_no_slope(evaluator):
    curve = removal_curve(evaluator, "maxproj_min", np.linspace(200, 900, 50))
    assert np.all(curve.slope == 0)
    with pytest.raises(MaskError, match="no threshold"):
        removal_curve(evaluator, "maximum")


def test_sensitivity_is_that_of_the_whole_mask(evaluator):
    settings = MaskSettings(Thresholds(1300.0, 10.0, 300.0), border=1)
    found = {one.limit: one for one in sensitivity(evaluator, settings)}
    average = found["avg_max"]
    assert average.values == pytest.approx((1300, 1040, 1560))
    for value, masked in zip(average.values, average.masked, strict=True):
        assert (
            masked == evaluator.mask(MaskSettings(Thresholds(value, 10.0, 300.0), border=1)).masked
        )
    assert len(set(found["maxproj_min"].masked)) == 1, "on a plateau"
    assert max(average.masked) - average.masked[0] > 10000


def test_suggestions_find_the_bad_pixels_and_no_other(evaluator, runs):
    found = suggest(evaluator)
    assert all(one.value is not None and one.text for one in found)
    limits = Thresholds(**{one.limit: one.value for one in found})
    assert 1500 < limits.avg_max < 6000
    assert 5 < limits.stddev_max < 45
    assert 110 < limits.maxproj_min < 1000
    good = evaluator.mask(MaskSettings(limits)).good
    assert not good.flat[runs.bad].any()
    assert not good[runs.unbonded].any()
    others = np.ones(CSPAD.shape, bool)
    others.flat[runs.bad] = False
    assert np.count_nonzero(~good & others & ~runs.unbonded) < 30


def test_no_valley_no_suggestion(runs):
    dark = np.random.default_rng(0).normal(1300, 20, CSPAD.shape)
    found = suggest(MaskEvaluator(runs.average, runs.stddev, dark))[2]
    assert found.value is None
    assert "not apart" in found.text
    in_kev = DetectorImage(dark, provenance={"unit": "keV"})
    of_kev = suggest(MaskEvaluator(runs.average, runs.stddev, in_kev))
    assert ["keV" in suggestion.text for suggestion in of_kev] == [False, False, True]
    empty = suggest(MaskEvaluator(*(np.zeros(CSPAD.shape) for _ in range(3))))
    assert [one.value for one in empty] == [None, None, None]


def warned(*images, settings=None, **known):
    return " ".join(MaskEvaluator(*images, **known).mask(settings or MaskSettings()).warnings)


def test_plausible_images_raise_no_warning(runs):
    assert warned(runs.average, runs.stddev, runs.maximum) == ""


def test_a_rule_that_removes_too_much_is_named(runs):
    limits = MaskSettings(Thresholds(avg_max=1200.0))
    assert "limit: hot” removes 5" in warned(
        runs.average, runs.stddev, runs.maximum, settings=limits
    )


def test_a_pedestal_subtracted_dark_is_recognised(runs):
    text = warned(runs.average - 1200, runs.stddev, runs.maximum)
    assert "pedestal" in text
    assert "average ≤ 0: dead or below the pedestal” removes" in text


def test_swapped_images_are_recognised(runs):
    light = np.sqrt(np.maximum(runs.maximum, 0)) * 3
    dark_maximum = runs.average + 3 * 4
    assert "dark and bright seem swapped" in warned(runs.average, light, dark_maximum)
    assert "really dark" in warned(runs.average, light, runs.maximum)
    assert "was there light" in warned(runs.average, runs.stddev, dark_maximum)
    assert "are the two swapped" in warned(runs.stddev, runs.average, runs.maximum)


def image(data, kind, **facts):
    geometry = facts.pop("geometry", None)
    return DetectorImage(data, kind=kind, name=kind, provenance=facts, geometry=geometry)


def test_images_of_different_runs_are_recognised(runs):
    def text(*facts, kinds=("average", "stddev", "maximum")):
        pictures = zip((runs.average, runs.stddev, runs.maximum), kinds, facts, strict=True)
        return warned(*(image(data, kind, **fact) for data, kind, fact in pictures))

    one = {"run": {"experiment": "cxim1416", "run": 54}}
    bright = {"runs": [{"run": {"experiment": "cxim1416", "run": 74}}]}
    assert text(one, one, bright) == ""
    assert "different runs" in text(one, {"run": {"experiment": "cxim1416", "run": 55}}, bright)
    assert "dark run itself" in text(one, one, one)
    assert "different experiments" in text(one, one, {"run": {"experiment": "cxic0415", "run": 74}})
    assert "is used as the average" in text(
        one, one, bright, kinds=("maximum", "stddev", "maximum")
    )


def test_images_of_different_geometry_are_recognised(runs):
    here = Geometry.ideal()
    there = here.move_quadrants(np.array([[5.0, 0], [0, 0], [0, 0], [0, 0]]))
    same = [image(runs.average, "average", geometry=here), runs.stddev]
    assert warned(*same, image(runs.maximum, "maximum", geometry=here)) == ""
    text = warned(*same, image(runs.maximum, "maximum", geometry=there))
    assert "different geometries (up to 550 µm" in text


def test_images_may_be_any_object_with_data(runs):
    plain = SimpleNamespace(data=runs.average)
    assert warned(plain, runs.stddev, runs.maximum) == ""
