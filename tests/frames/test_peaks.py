"""A peak: above the threshold, above its surroundings, the highest among its neighbours."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.frames import Hits, count_peaks, find_peaks

SHAPE = (2, 40, 50)


@pytest.fixture
def quiet():
    """An event with noise of 4 ADU and no peak."""
    return np.random.default_rng(3).normal(0, 4, SHAPE).astype(np.float32)


def test_noise_has_no_peaks(quiet):
    assert count_peaks(quiet) == 0


def test_each_spot_counts_once(quiet):
    for module, row, column in ((0, 5, 5), (0, 20, 30), (1, 10, 40)):
        quiet[module, row - 1 : row + 2, column - 1 : column + 2] += 400
        quiet[module, row, column] += 300
    assert count_peaks(quiet) == 3


def test_equal_neighbours_are_one_peak(quiet):
    quiet[0, 10, 10] = quiet[0, 10, 11] = quiet[0, 11, 10] = 900
    assert count_peaks(quiet) == 1


def test_a_masked_pixel_is_no_peak_and_hides_none_beside_it(quiet):
    good = np.ones(SHAPE, bool)
    good[0, 10, 10] = False
    quiet[0, 10, 10], quiet[0, 10, 11] = 5000, 700
    assert count_peaks(quiet, good) == 1
    assert count_peaks(quiet) == 1  # the hot one instead


def test_a_pixel_without_a_value_is_no_peak(quiet):
    quiet[0, 10, 10], quiet[0, 20, 20] = np.nan, 700
    assert count_peaks(quiet) == 1


def test_strong_background_with_its_own_scatter_has_no_peaks():
    photons = np.random.default_rng(4).poisson(90, SHAPE)
    assert count_peaks((28.0 * photons).astype(np.float32)) == 0


def test_a_slope_is_no_peak():
    slope = np.broadcast_to(np.arange(50, dtype=np.float32) * 100, SHAPE)
    assert count_peaks(np.ascontiguousarray(slope)) == 0


def test_peaks_that_were_found_tell_the_count_at_every_higher_threshold(quiet):
    quiet[0, ::8, ::8] += np.linspace(100, 2000, 35, dtype=np.float32).reshape(5, 7)
    peaks = find_peaks(quiet, threshold_adu=50)
    for threshold in (50, 300, 301.5, 1200, 5000):
        assert peaks.above(threshold).size == count_peaks(quiet, threshold_adu=threshold)
    assert 0 < peaks.above(1200).size < peaks.places.size
    assert (quiet.flat[peaks.places] > 50).all()


def test_a_mask_of_another_shape_is_refused(quiet):
    with pytest.raises(WorkbenchError, match="mask"):
        count_peaks(quiet, np.ones((2, 40, 49), bool))


@pytest.mark.parametrize("wrong", [{"min_peaks": -1}, {"threshold_adu": 0}])
def test_impossible_hits_are_refused(wrong):
    with pytest.raises(WorkbenchError):
        Hits(**wrong)
