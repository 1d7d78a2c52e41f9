"""Frames of other files through the rest of the workbench."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import workbench as wb

SHAPE = (32, 185, 388)
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "cbf"


def test_nan_and_masked_pixels_are_counted_per_pixel(tmp_path):
    frames = np.random.default_rng(1).normal(50, 3, (4, *SHAPE)).astype(np.float32)
    frames[1, 2, 3, 4] = np.nan
    bad = np.zeros((4, *SHAPE), np.uint8)
    bad[:3, 30, 0, 0] = 1
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        file["entry_1/data_1/data"], file["entry_1/data_1/mask"] = frames, bad
    images = wb.average_run(wb.open_frames(tmp_path / "a.cxi"))
    assert images.count == 4
    expected = np.full(SHAPE, 4)
    expected[2, 3, 4], expected[30, 0, 0] = 3, 1
    np.testing.assert_array_equal(images.pixel_count, expected)
    assert images.average[30, 0, 0] == pytest.approx(frames[3, 30, 0, 0])
    np.testing.assert_allclose(images.average[5], frames[:, 5].mean(0, dtype=np.float64))
    np.testing.assert_array_equal(images.maximum[5], frames[:, 5].max(0))


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real images are not in {REAL}")
def test_real_cspad_images():
    first, second = wb.open_frames(sorted(REAL.glob("idx-*.cbf"))).events()
    assert int(first.raw.sum(dtype=np.int64)) == 32_878_926
    assert int(second.raw.sum(dtype=np.int64)) == 48_707_932
    for event in (first, second):
        assert (event.raw.min(), event.raw.max()) == (-5136, 16383)
