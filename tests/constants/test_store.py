"""Constants of a detector in its calibration directory."""

import numpy as np
import pytest

from workbench.constants import (
    constants_folder,
    deploy_constants,
    read_common_mode,
    read_constants,
    write_constants,
)
from workbench.detectors import CSPAD, CSPAD_2X2
from workbench.errors import ConstantsError, FileFormatError

ADDRESS = "CxiDs1.0:Cspad.0"


@pytest.fixture(scope="module")
def pedestals():
    return np.random.default_rng(1).normal(1200, 50, CSPAD.shape).astype(np.float32)


def test_deployed_pedestals_come_back_and_have_the_usual_shape(tmp_path, pedestals):
    path = deploy_constants(pedestals, tmp_path, ADDRESS, "pedestals", 54, comment="dark 54")
    assert path.name == "54-end.data"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == 5920
    assert len(lines[0].split()) == 388
    np.testing.assert_array_equal(read_constants(tmp_path, ADDRESS, "pedestals", 74), pedestals)
    assert read_constants(tmp_path, ADDRESS, "pedestals", 53) is None
    history = (path.parent / "HISTORY").read_text()
    assert "file:54-end.data" in history
    assert "dark 54" in history


def test_another_shape_with_the_right_count_keeps_the_linear_order(tmp_path, pedestals):
    folder = constants_folder(tmp_path, ADDRESS, "pedestals")
    folder.mkdir(parents=True)
    rounded = np.rint(pedestals)
    np.savetxt(folder / "0-end.data", rounded.reshape(11840, 194), fmt="%d")
    np.testing.assert_array_equal(read_constants(tmp_path, ADDRESS, "pedestals", 1), rounded)


def test_nothing_deployed_is_ever_replaced(tmp_path):
    status = np.zeros(CSPAD.shape, np.int32)
    path = deploy_constants(status, tmp_path, ADDRESS, "pixel_status", 1, 10)
    before = path.read_bytes()
    with pytest.raises(ConstantsError, match="deployed already"):
        deploy_constants(status + 1, tmp_path, ADDRESS, "pixel_status", 1, 10)
    assert path.read_bytes() == before
    assert len((path.parent / "HISTORY").read_text().splitlines()) == 1


def test_status_is_written_and_read_as_whole_numbers(tmp_path):
    status = np.zeros(CSPAD.shape)
    status[3, 4, 5] = 65535
    deploy_constants(status, tmp_path, ADDRESS, "pixel_status", 0)
    read = read_constants(tmp_path, ADDRESS, "pixel_status", 5)
    assert read.dtype == np.int64
    np.testing.assert_array_equal(read, status)
    with pytest.raises(ConstantsError, match="whole numbers"):
        write_constants(status + 0.5, tmp_path / "x.data", ADDRESS, "pixel_status")


def test_pixels_of_a_2x2_are_interleaved_in_the_file(tmp_path):
    address = "XppGon.0:Cspad2x2.0"
    values = np.arange(np.prod(CSPAD_2X2.shape), dtype=np.float32).reshape(CSPAD_2X2.shape)
    path = deploy_constants(values, tmp_path, address, "pedestals", 0)
    first = next(line for line in path.read_text().splitlines() if not line.startswith("#"))
    assert [float(word) for word in first.split()[:4]] == [0, 71780, 1, 71781]
    np.testing.assert_array_equal(read_constants(tmp_path, address, "pedestals", 1), values)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [(np.zeros((2, 3)), "shape"), (np.full(CSPAD.shape, np.nan), "NaN")],
)
def test_arrays_that_are_no_constants_are_refused(tmp_path, values, complaint):
    with pytest.raises(ConstantsError, match=complaint):
        deploy_constants(values, tmp_path, ADDRESS, "pedestals", 0)
    assert not list(tmp_path.rglob("*.data"))


def test_a_range_of_no_runs_is_refused(tmp_path):
    with pytest.raises(ConstantsError, match="not a range"):
        deploy_constants(np.zeros(CSPAD.shape), tmp_path, ADDRESS, "pedestals", 10, 9)


def test_common_mode_parameters(tmp_path):
    assert read_common_mode(tmp_path, ADDRESS, 1) is None
    folder = constants_folder(tmp_path, ADDRESS, "common_mode")
    folder.mkdir(parents=True)
    (folder / "0-end.data").write_text("1 25 25 100 1\n")
    assert read_common_mode(tmp_path, ADDRESS, 1) == (1, 25, 25, 100, 1)
    (folder / "5-end.data").write_text("# off\n")
    with pytest.raises(FileFormatError, match="found 0 numbers"):
        read_common_mode(tmp_path, ADDRESS, 6)
