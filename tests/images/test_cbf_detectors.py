"""CBF files of the ePix10k2M and the Jungfrau: pixels and places come back as they were."""

import numpy as np
import pytest

from workbench.detectors import EPIX10K2M, JUNGFRAU_1M
from workbench.geometry import Geometry
from workbench.images import DetectorImage, read_image, write_image


@pytest.mark.parametrize("detector", [EPIX10K2M, JUNGFRAU_1M], ids=lambda d: d.name)
def test_an_image_comes_back_with_its_geometry(detector, tmp_path):
    geometry = Geometry.ideal(detector)
    geometry = geometry.replace(geometry.modules[1], tilt_z=0.3, tilt_x=-0.1, x0=1234.5)
    pixels = np.arange(detector.pixels, dtype=np.int32).reshape(detector.shape)
    write_image(DetectorImage(pixels, geometry, distance_mm=121.0), tmp_path / "x.cbf")
    image = read_image(tmp_path / "x.cbf")
    assert image.detector is detector
    assert image.distance_mm == 121.0
    assert np.array_equal(image.data, pixels)
    assert image.geometry == geometry


def test_places_are_read_from_the_axes_where_the_file_carries_no_other_geometry(tmp_path):
    geometry = Geometry.ideal(JUNGFRAU_1M)
    write_image(DetectorImage(np.zeros(JUNGFRAU_1M.shape, np.int32), geometry), tmp_path / "x.cbf")
    content = (tmp_path / "x.cbf").read_bytes()
    own = content.replace(b"_cspad_workbench.geometry ", b"_cspad_workbench.nothing. ")
    assert own != content
    (tmp_path / "x.cbf").write_bytes(own)
    away = read_image(tmp_path / "x.cbf").geometry.pixel_positions_um()
    away = away[..., :2] - geometry.pixel_positions_um()[..., :2]
    assert np.abs(away).max() < 0.01
