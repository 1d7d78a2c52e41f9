"""Pedestals, rms and status made from a dark run."""

from types import SimpleNamespace

import numpy as np
import pytest

from workbench.constants import read_constants
from workbench.corrections import deploy_dark_constants, make_constants
from workbench.detectors import CSPAD
from workbench.errors import ConstantsError

ADDRESS, SHAPE = "CxiDs1.0:Cspad.0", CSPAD.shape


@pytest.fixture
def dark():
    rng = np.random.default_rng(4)
    average = rng.normal(1200, 40, SHAPE)
    stddev = rng.normal(4, 0.3, SHAPE)
    return SimpleNamespace(
        detector=CSPAD, average=average, stddev=stddev, maximum=average + 4 * stddev,
        minimum=average - 4 * stddev, count=50, pixel_count=np.full(SHAPE, 50),
    )  # fmt: skip


def test_pedestals_and_rms_are_average_and_stddev(dark):
    constants = make_constants(dark)
    np.testing.assert_allclose(constants.pedestals, dark.average, rtol=1e-6)
    np.testing.assert_allclose(constants.pixel_rms, dark.stddev, rtol=1e-6)
    assert constants.pedestals.dtype == np.float32
    assert not constants.pixel_status.any()


def test_each_kind_of_bad_pixel_has_its_bit(dark):
    dark.stddev[0, 0, 0] = 80  # noisy
    dark.stddev[0, 0, 1] = 0  # stuck
    dark.average[0, 0, 2], dark.maximum[0, 0, 2] = 16383, 16383
    dark.average[0, 0, 3] = dark.maximum[0, 0, 3] = dark.stddev[0, 0, 3] = 0
    dark.maximum[0, 0, 4] = 16383  # one cosmic ray is no reason
    dark.pixel_count[5] = 0
    status = make_constants(dark).pixel_status
    assert list(status[0, 0, :5]) == [1, 2, 4 | 16, 2 | 8 | 32, 0]
    assert (status[5] == 2 | 8 | 32).all()
    assert np.count_nonzero(status) == 4 + status[5].size


def test_absent_sections_get_no_pedestal(dark):
    dark.pixel_count[5] = 0
    dark.average[5] = np.nan
    assert (make_constants(dark).pedestals[5] == 0).all()


def test_corrected_and_short_runs_are_refused(dark):
    dark.average -= 1200
    with pytest.raises(ConstantsError, match="subtracted already"):
        make_constants(dark)
    dark.count = 9
    with pytest.raises(ConstantsError, match="9 dark events are too few"):
        make_constants(dark)


def test_deployed_constants_serve_the_runs_and_replace_nothing(dark, tmp_path):
    constants = make_constants(dark)
    deploy_dark_constants(constants, tmp_path, ADDRESS, 54, 60, "from run 54")
    for kind in ("pedestals", "pixel_rms", "pixel_status"):
        np.testing.assert_array_equal(
            read_constants(tmp_path, ADDRESS, kind, 58), getattr(constants, kind)
        )
        assert read_constants(tmp_path, ADDRESS, kind, 61) is None
    with pytest.raises(ConstantsError, match="nothing was written"):
        deploy_dark_constants(constants, tmp_path, ADDRESS, 54, 60)
    assert len(list(tmp_path.rglob("*.data"))) == 3
    assert len(list(tmp_path.rglob("HISTORY"))) == 3
