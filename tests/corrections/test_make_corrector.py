"""Correctors made from a calibration directory."""

from types import SimpleNamespace

import numpy as np
import pytest

from workbench.constants import constants_folder, deploy_constants
from workbench.corrections import make_corrector
from workbench.detectors import CSPAD
from workbench.errors import ConstantsError
from workbench.recipe import Corrections

ADDRESS, SHAPE = "CxiDs1.0:Cspad.0", CSPAD.shape


@pytest.fixture(scope="module")
def calib_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calib")
    deploy_constants(np.full(SHAPE, 1000.0), folder, ADDRESS, "pedestals", 0, 59)
    deploy_constants(np.full(SHAPE, 1100.0), folder, ADDRESS, "pedestals", 60)
    status = np.zeros(SHAPE, np.int64)
    status[1, 2, 3], status[4, 5, 6] = 2, 1 << 16
    deploy_constants(status, folder, ADDRESS, "pixel_status", 0)
    extra = np.zeros(SHAPE, np.int64)
    extra[7, 8, 9] = 1
    deploy_constants(extra, folder, ADDRESS, "status_extra", 0)
    deploy_constants(np.full(SHAPE, 2.0), folder, ADDRESS, "pixel_gain", 0)
    common = constants_folder(folder, ADDRESS, "common_mode")
    common.mkdir()
    (common / "70-end.data").write_text("5 50\n")
    return folder


def run(calib_dir, number=54):
    low = np.zeros(SHAPE, bool)
    low[0] = True
    return SimpleNamespace(
        calib_dir=calib_dir, address=ADDRESS, number=number, detector=CSPAD, low_gain=low
    )


RAW = np.full(SHAPE, 1200, np.int16)


def test_constants_follow_the_run_number(calib_dir):
    for number, expected in ((54, 200), (60, 100)):
        corrector = make_corrector(Corrections(), run(calib_dir, number))
        assert (corrector.apply(RAW) == expected).all()
        assert f"{'0-59' if number == 54 else '60-end'}.data" in corrector.steps[0].source


def test_gain_alone_is_that_of_the_configuration(calib_dir):
    corrected = make_corrector(Corrections(gain=6.85), run(calib_dir)).apply(RAW)
    np.testing.assert_allclose(corrected[0], 1370, rtol=1e-6)
    assert (corrected[1:] == 200).all()


def test_every_step_of_psana_is_described_in_its_order(calib_dir):
    corrector = make_corrector(Corrections.psana(), run(calib_dir, 70))
    described = corrector.describe()
    assert [step["step"] for step in described] == [
        "pedestals", "common mode", "gain", "pixel gain", "status mask",
    ]  # fmt: skip
    assert described[1]["parameters"] == [5, 50]
    assert described[2]["low_gain_pixels"] == 185 * 388
    assert described[4]["bad_pixels"] == 2  # bits above 16 do not count
    assert all(step["source"] for step in described)


def test_default_common_mode_without_a_file(calib_dir):
    corrector = make_corrector(Corrections.psana(), run(calib_dir, 54))
    assert corrector.common_mode.parameters == (1, 25, 25, 100, 1)
    assert np.count_nonzero(~corrector.common_mode.good) == 2


def test_missing_pedestals_are_told_and_not_taken_as_zero(tmp_path):
    with pytest.raises(ConstantsError, match=r"No pedestals serve run 54 .*pedestals"):
        make_corrector(Corrections(), run(tmp_path))


def test_without_a_calibration_directory_only_the_gain_can_be_corrected():
    with pytest.raises(ConstantsError, match="no calibration directory"):
        make_corrector(Corrections(), run(None))
    corrected = make_corrector(Corrections(pedestal=False, gain=2), run(None)).apply(RAW)
    assert corrected[0, 0, 0] == 2400


def test_steps_without_constants_are_left_out(tmp_path):
    deploy_constants(np.zeros(SHAPE), tmp_path, ADDRESS, "pedestals", 0)
    corrector = make_corrector(Corrections.psana(), run(tmp_path))
    assert [step["step"] for step in corrector.describe()] == ["pedestals", "common mode", "gain"]
    assert "all pixels as bad" in corrector.warnings[0]
