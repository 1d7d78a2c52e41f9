"""Geometry files of the ePix10k2M and the Jungfrau, and where psana has their pixels."""

import numpy as np
import pytest

from workbench.alignment import align_quadrants
from workbench.constants import constants_folder
from workbench.detectors import EPIX10K2M, JUNGFRAU_1M, JUNGFRAU_4M
from workbench.errors import (
    AlignmentError,
    GeometryError,
    VersionStoreError,
    WorkbenchError,
)
from workbench.geometry import Geometry
from workbench.geometry.store.store import GeometryStore

# rows of psana's default_constants_epix10ka2m_v1 and geometry-def-jungfrau1M.data
ROW = "{} 0 {} {} {} {} 0 {} {} {} 0.0 0.0 0.0\n"
JUNGFRAU = "".join(
    ROW.format("JFCAMERA:V1", "JUNGFRAU:{}", index, 0, y, 0, 0, "{}")
    for index, y in enumerate((20625, -20625))
) + ROW.format("IP:V1", "JFCAMERA:V1", 0, 0, 0, 90, 0, 0)


@pytest.mark.parametrize(("version", "turn_x"), [("V2", 180), ("V1", 0)])
def test_rows_of_a_jungfrau_rise_in_version_2_and_fall_in_version_1(version, turn_x):
    geometry = Geometry.parse(JUNGFRAU.format(version, turn_x, version, turn_x))
    assert geometry.detector is JUNGFRAU_1M
    x = np.concatenate([np.arange(256) + s for s in (-514.5, -256.5, 1.5, 259.5)]) * 75
    y = np.concatenate([np.arange(256) + s for s in (-256.5, 1.5)]) * 75
    y = y if version == "V2" else y[::-1]
    # turned by 180° about x, moved, then by 90° about z
    turned = -y if turn_x else y
    positions = geometry.pixel_positions_um()
    np.testing.assert_allclose(positions[0, :, :, 0], -(turned + 20625)[:, None] + 0 * x, atol=1e-6)
    np.testing.assert_allclose(positions[0, :, :, 1], x + 0 * turned[:, None], atol=1e-6)


def test_pixels_of_an_epix_module_are_where_psana_has_them():
    geometry = Geometry.ideal(EPIX10K2M)
    half = np.arange(192) * 100 + 175
    x = np.concatenate([-half[::-1], half])
    half = np.arange(176) * 100 + 175
    y = np.concatenate([half[::-1], -half])
    positions = geometry.pixel_positions_um()
    # module 12: not turned in CAMERA at (-23591, -59310), which is turned by 90°
    np.testing.assert_allclose(positions[12, :, :, 0], -(y - 59310)[:, None] + 0 * x, atol=1e-6)
    np.testing.assert_allclose(positions[12, :, :, 1], x - 23591 + 0 * y[:, None], atol=1e-6)


@pytest.mark.parametrize("detector", [EPIX10K2M, JUNGFRAU_4M], ids=lambda d: d.name)
def test_no_modules_of_the_design_overlap_and_a_moved_group_takes_its_modules_along(
    detector, tmp_path
):
    geometry = Geometry.ideal(detector)
    assert not geometry.quadrants
    offsets = np.zeros((len(detector.groups), 2))
    offsets[1] = 3, -2
    geometry.move_quadrants(offsets).write(tmp_path / "0-end.data")
    moved = Geometry.read(tmp_path / "0-end.data")
    away = (moved.pixel_positions_um() - geometry.pixel_positions_um()) / detector.pixel_um
    expected = np.zeros((detector.modules, 3))
    expected[detector.groups[1].slice] = -3, 2, 0
    np.testing.assert_allclose(away.mean(axis=(1, 2)), expected, atol=1e-6)
    cells = geometry.snapped(fill=False)
    flat = cells.rows.astype(np.int64) * cells.shape[1] + cells.columns
    assert np.bincount(flat.reshape(-1)).max() == 1


@pytest.mark.parametrize("ending", ["geom", "npy", "data"])
def test_a_jungfrau_geometry_survives_other_formats(ending, tmp_path):
    geometry = Geometry.ideal(JUNGFRAU_4M)
    geometry.write(tmp_path / f"g.{ending}")
    again = Geometry.read(tmp_path / f"g.{ending}")
    assert again.detector is JUNGFRAU_4M
    away = again.pixel_positions_um() - geometry.pixel_positions_um()
    assert np.abs(away).max() < 0.01


def test_the_geometry_of_another_detector_is_not_deployed(tmp_path):
    store = GeometryStore(tmp_path, EPIX10K2M.address)
    with pytest.raises(WorkbenchError, match=r"Jungfrau 4M.*nothing was deployed"):
        store.deploy(Geometry.ideal(JUNGFRAU_4M))
    with pytest.raises(WorkbenchError, match="EPIX10KA"):
        Geometry.parse(
            "".join(ROW.format("CAMERA", "EPIX10KA:V1", i, 0, 0, 0, 0, 0) for i in range(15))
            + ROW.format("IP", "CAMERA", 0, 0, 0, 90, 0, 0)
        )
    assert not constants_folder(tmp_path, EPIX10K2M.address, "geometry").exists()


def test_a_module_that_is_missing_is_named_and_the_order_of_lines_does_not_matter():
    geometry = Geometry.ideal(JUNGFRAU_4M)
    lines = geometry.to_text().splitlines()
    first, second, third = [n for n, line in enumerate(lines) if " JUNGFRAU:V2 " in line][:3]
    swapped = [*lines]
    swapped[first], swapped[second] = lines[second], lines[first]
    read = Geometry.parse("\n".join(swapped))
    assert np.array_equal(read.pixel_positions_um(), geometry.pixel_positions_um())
    with pytest.raises(GeometryError, match=r"8 modules \(JUNGFRAU\) of the Jungfrau 4M, found 7 .*"
                       "JFCAMERA:V1 0 lacks 2") as told:  # fmt: skip
        Geometry.parse("\n".join([*lines[:third], *lines[third + 1 :]]))
    assert "CSPAD" not in str(told.value)


def test_a_geometry_of_another_detector_is_neither_aligned_nor_deployed(tmp_path):
    image = np.zeros(JUNGFRAU_4M.shape, np.float32)
    with pytest.raises(AlignmentError, match=r"of a Jungfrau 4M, .* of a Jungfrau 1M; give the"):
        align_quadrants(image, geometry=Geometry.ideal(JUNGFRAU_1M))
    store = GeometryStore(tmp_path, "CxiDs1.0:Jungfrau.0")
    with pytest.raises(VersionStoreError, match=r"\(ePix10k2M\), but .*Jungfrau.0 is a Jungfrau;"):
        store.deploy(Geometry.ideal(EPIX10K2M))
