"""Merging images as cxi.cspad_average does, and runs as if they were one."""

import dataclasses

import h5py
import numpy as np
import pytest
from fake_runs import FakeRun, random_frames

from workbench.averages import average_run, merge_images, merge_runs
from workbench.detectors import CSPAD
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.images import DetectorImage, read_image, write_image


def image(seed, **fields):
    data = np.random.default_rng(seed).normal(300, 40, CSPAD.shape)
    return DetectorImage(data, **fields)


def test_maximum_mean_and_scatter_with_ddof_1():
    images = [image(seed, kind="maximum") for seed in range(3)]
    values = np.array([one.data for one in images])
    merged = merge_images(images)
    np.testing.assert_array_equal(merged.maximum.data, values.max(0))
    np.testing.assert_allclose(merged.average.data, values.mean(0), rtol=1e-14)
    np.testing.assert_allclose(merged.stddev.data, values.std(0, ddof=1), rtol=1e-12)
    assert not merged.weighted
    assert (merge_images(images[:1]).stddev.data == 0).all()


def test_averages_are_weighted_by_their_events_where_known():
    counts = (10, 30)
    images = [
        image(seed, kind="average", provenance={"count": count})
        for seed, count in enumerate(counts)
    ]
    merged = merge_images(images)
    assert merged.weighted
    assert merged.average.count == 40
    expected = 0.25 * images[0].data + 0.75 * images[1].data
    np.testing.assert_allclose(merged.average.data, expected, rtol=1e-14)
    one_unknown = [images[0], image(1, kind="average")]
    plain = (images[0].data + images[1].data) / 2
    np.testing.assert_allclose(merge_images(one_unknown).average.data, plain, rtol=1e-14)


def test_header_is_that_of_the_first_image_with_the_mean_wavelength():
    geometry = Geometry.ideal()
    images = [
        image(0, geometry=geometry, distance_mm=121.0, wavelength_angstrom=1.30),
        image(1, distance_mm=121.0, wavelength_angstrom=None),
        image(2, distance_mm=121.0, wavelength_angstrom=1.32),
    ]
    merged = merge_images(images).maximum
    assert merged.geometry is geometry
    assert merged.distance_mm == 121.0
    assert merged.wavelength_angstrom == pytest.approx(1.31)
    assert merged.timestamp is None


def test_nan_pixels_of_one_image_do_not_count():
    images = [image(0), image(1)]
    images[0].data[3, 4, 5] = np.nan
    for one in images:
        one.data[6, 7, 8] = np.nan
    merged = merge_images(images)
    assert merged.maximum.data[3, 4, 5] == images[1].data[3, 4, 5]
    assert merged.average.data[3, 4, 5] == images[1].data[3, 4, 5]
    assert np.isnan(merged.maximum.data[6, 7, 8])


def test_images_that_do_not_belong_together():
    with pytest.raises(WorkbenchError, match=r"b.cbf has the shape \(2, 185, 388\)"):
        merge_images([image(0), DetectorImage(np.zeros((2, 185, 388)))], ["a.cbf", "b.cbf"])
    with pytest.raises(WorkbenchError, match="no images"):
        merge_images([])
    moved = Geometry.ideal().move_quadrants(np.array([[3.0, 0]] * 4))
    pair = [image(0, geometry=Geometry.ideal(), kind="maximum", distance_mm=120),
            image(1, geometry=moved, kind="stddev", distance_mm=125)]  # fmt: skip
    warnings = " ".join(merge_images(pair, ["a", "b"]).warnings)
    assert "another geometry" in warnings
    assert "330 µm" in warnings
    assert "another distance" in warnings
    assert "different kinds" in warnings


def test_merged_runs_are_the_statistics_of_all_events():
    frames = random_frames(30)
    runs = [FakeRun(frames[:10]), FakeRun(frames[10:])]
    merged = merge_runs([average_run(run, detz_offset_mm=585.5) for run in runs])
    together = average_run(FakeRun(frames), detz_offset_mm=585.5)
    assert merged.count == 30
    np.testing.assert_array_equal(merged.maximum, together.maximum)
    np.testing.assert_allclose(merged.average, together.average, rtol=1e-13)
    np.testing.assert_allclose(merged.stddev, together.stddev, rtol=1e-9)
    # encoder positions begin anew in each run: (10 * 4.5 + 20 * 9.5) / 30 hundredths
    assert merged.encoder_mm == pytest.approx(-464 + 0.01 * 235 / 30)
    with pytest.raises(WorkbenchError, match="no runs"):
        merge_runs([])
    with pytest.raises(WorkbenchError, match="only runs of one detector"):
        merge_runs([together, average_run(FakeRun(random_frames(1, shape=(2, 185, 388))))])


def test_a_saved_run_keeps_its_values_and_tells_its_events(tmp_path):
    frames = random_frames(3, shape=CSPAD.shape)
    images = average_run(FakeRun(frames), detz_offset_mm=585.5)
    paths = images.save(tmp_path / "new", Geometry.ideal())
    assert [path.name for path in paths.values()] == [
        "cxim1416_avg-r0074.cbf", "cxim1416_stddev-r0074.cbf",
        "cxim1416_max-r0074.cbf", "cxim1416_min-r0074.cbf",
    ]  # fmt: skip
    for kind, path in paths.items():
        read = read_image(path)
        np.testing.assert_array_equal(read.data, getattr(images, kind))
        assert (read.kind, read.count) == (kind, 3)
        assert read.distance_mm == pytest.approx(images.distance_mm, abs=1e-5)
        assert read.wavelength_angstrom == pytest.approx(images.wavelength_angstrom)
    again = merge_images([read_image(paths["average"])] * 2)
    assert again.weighted


def test_file_names_take_the_fields_of_cctbx(tmp_path):
    images = average_run(FakeRun(random_frames(1)))
    assert images.file_name("{experiment!u}-{run:03d}") == "CXIM1416-074.cbf"
    with pytest.raises(WorkbenchError, match="known fields: experiment, run, address"):
        images.file_name("{trial}")
    with pytest.raises(WorkbenchError, match="own base name"):
        images.save(tmp_path, names={"average": "same", "stddev": "same"})
    assert not list(tmp_path.iterdir())


def test_images_of_a_2x2_are_saved_as_hdf5(tmp_path):
    images = average_run(FakeRun(random_frames(2, shape=(2, 185, 388))))
    path = images.save(tmp_path, kinds=("maximum",))["maximum"]
    assert path.suffix == ".h5"
    np.testing.assert_array_equal(read_image(path).data, images.maximum)


def test_what_is_merged_of_images_in_kev_is_in_kev(tmp_path):
    in_kev = [image(seed, kind="maximum", provenance={"unit": "keV"}) for seed in range(2)]
    merged = merge_images(in_kev).maximum
    assert (merged.unit, image(2).unit) == ("keV", "ADU")
    write_image(merged, tmp_path / "x.h5")
    assert read_image(tmp_path / "x.h5").unit == "keV"
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["entry/data"].attrs["units"] == "keV"


def test_images_in_kev_and_in_adu_are_not_merged():
    in_kev, in_adu = image(0, provenance={"unit": "keV"}), image(1)
    with pytest.raises(WorkbenchError, match=r"^b\.cbf is in ADU, a\.cbf in keV; only"):
        merge_images([in_kev, in_adu], ["a.cbf", "b.cbf"])
    runs = [average_run(FakeRun(random_frames(1))) for _ in range(2)]
    runs[1] = dataclasses.replace(runs[1], run=75, provenance={"unit": "keV"})
    with pytest.raises(WorkbenchError, match=r"^Run 75 is in keV, run 74 in ADU"):
        merge_runs(runs)
    assert merge_runs([runs[1], runs[1]]).unit == "keV"
