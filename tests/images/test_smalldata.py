"""Sums of smalldata files: averages, deviations and maxima of the events that were added up.

The files are written by the rules of smalldata_tools (``processSums``), event by event.
"""

import h5py
import numpy as np
import pytest

import workbench as wb
from workbench.cli import main
from workbench.detectors import AGIPD_1M, CSPAD, CSPAD_2X2, EPIX10KA_QUAD, JUNGFRAU_05M
from workbench.errors import WorkbenchError
from workbench.pipeline.steps import finish, gather_images
from workbench.recipe import Images

RNG = np.random.default_rng(11)
PRESENT = np.array([1, 1, 0, 1, 1, 1])
XRAY = np.array([1, 0, 1, 1, 0, 1])


def smalldata(path, events, name="cam", dtype=np.float64, **left_out):
    """Add up the events in which the detector is; damaged ones are not added."""
    used = [event for event, there in zip(events, PRESENT, strict=True) if there]
    dark = [e for e, there, x in zip(events, PRESENT, XRAY, strict=True) if there and not x]
    with h5py.File(path, "w") as file:
        sums = file.create_group("Sums")
        for key, added in (("calib", used), ("calib_dropped", dark)):
            sums[f"{name}_{key}"] = np.sum(added, axis=0, dtype=dtype)
            sums[f"{name}_{key}_square"] = np.sum(np.square(added), axis=0, dtype=dtype)
        sums[f"{name}_calib_max"] = np.max(used, axis=0).astype(dtype)
        sums[f"{name}_calib_nhits_thresADU3"] = np.sum(np.array(used) > 3, axis=0)
        sums[f"{name}_calib_img"] = np.zeros((1200, 1300))
        file["event_time"] = np.arange(6)
        if "damage" not in left_out:
            file[f"damage/{name}"] = PRESENT
        if "light" not in left_out:
            file["lightStatus/xray"] = XRAY
    return np.array(used), np.array(dark)


@pytest.fixture
def events():
    return RNG.normal(20, 4, (6, *CSPAD_2X2.shape))


def test_sums_give_average_deviation_and_maximum(tmp_path, events):
    used, dark = smalldata(tmp_path / "a.h5", events)
    for name, expected, kind in (
        ("cam_calib", used.mean(axis=0), "average"),
        ("cam_calib_square", used.std(axis=0), "stddev"),
        ("cam_calib_max", used.max(axis=0), "maximum"),
        ("cam_calib_dropped", dark.mean(axis=0), "average"),
        ("cam_calib_dropped_square", dark.std(axis=0), "stddev"),
    ):
        image = wb.read_image(f"{tmp_path / 'a.h5'}:{name}")
        assert image.kind == kind
        assert np.allclose(image.data, expected, rtol=1e-6)
        same = wb.read_image(f"{tmp_path / 'a.h5'}:/Sums/{name}")
        assert np.array_equal(same.data, image.data)
        assert image.count == {"maximum": None}.get(kind, 2 if "dropped" in name else 5)


@pytest.mark.parametrize(
    "detector", [CSPAD, EPIX10KA_QUAD, JUNGFRAU_05M, AGIPD_1M], ids=lambda detector: detector.name
)
def test_the_detector_is_known_by_the_shape(tmp_path, detector):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["Sums/cam_calib"] = np.full(detector.shape, 12.0)
        file["timestamp"] = np.arange(4)
    image = wb.read_image(tmp_path / "a.h5")
    assert image.detector is detector
    assert (image.data == 3).all()


def test_a_deviation_lost_in_the_rounding_of_the_sums_is_not_a_number(tmp_path):
    events = RNG.normal(20, 4, (6, *CSPAD_2X2.shape))
    events[:, 0, 0] += 50_000
    used, _ = smalldata(tmp_path / "a.h5", events, dtype=np.float32)
    deviation = wb.read_image(f"{tmp_path / 'a.h5'}:cam_calib_square").data
    assert np.isnan(deviation[0, 0]).all()
    assert np.allclose(deviation[1], used.std(axis=0)[1], atol=0.02)


@pytest.mark.parametrize(
    ("name", "left_out", "problem"),
    [
        ("cam_calib_nhits_thresADU3", {}, "is not a sum over whole events"),
        ("cam_calib_img", {}, "picture assembled from the modules"),
        ("cam_calib_dropped", {"light": True}, "no lightStatus/xray"),
        ("cam_missing", {}, "there is no dataset cam_missing"),
        ("", {}, r"it holds 6 detector images .*Name one"),
    ],
)
def test_what_gives_no_image_is_refused_in_one_line(tmp_path, events, name, left_out, problem):
    smalldata(tmp_path / "a.h5", events, **left_out)
    with pytest.raises(WorkbenchError, match=problem) as refusal:
        wb.read_image(f"{tmp_path / 'a.h5'}:{name}" if name else tmp_path / "a.h5")
    assert "\n" not in str(refusal.value)


def test_the_mask_command_and_a_recipe_take_sums(tmp_path, events):
    smalldata(tmp_path / "a.h5", events)
    sums = [f"{tmp_path / 'a.h5'}:cam_{name}" for name in ("calib", "calib_square", "calib_max")]
    assert main(["mask", *sums, "--maxproj-min", "25", "-o", str(tmp_path / "mask.npy")]) == 0
    made = np.load(tmp_path / "mask.npy")
    assert made.shape == CSPAD_2X2.shape
    recipe = wb.Recipe().changed("images", Images(*sums))
    images = gather_images(recipe)
    assert images.maximum.count is None
    result = finish(recipe, images, None, None, save=False)
    assert {entry["path"] for entry in result.provenance["inputs"]} == {str(tmp_path / "a.h5")}


def test_sums_without_a_number_of_events_are_refused_but_for_the_maximum(tmp_path, events):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["Sums/cam_calib"] = events[0]
        file["Sums/cam_calib_max"] = events[0]
    with pytest.raises(WorkbenchError, match=r"number of events in .* is not known"):
        wb.read_image(f"{tmp_path / 'a.h5'}:cam_calib")
    assert np.array_equal(wb.read_image(f"{tmp_path / 'a.h5'}:cam_calib_max").data, events[0])


def test_without_a_record_of_damage_all_events_count(tmp_path, events):
    smalldata(tmp_path / "a.h5", events, damage=False)
    assert wb.read_image(f"{tmp_path / 'a.h5'}:cam_calib").count == 6


@pytest.mark.parametrize("name", ["Sums/cam_calib", "damage/cam", "lightStatus/xray"])
@pytest.mark.parametrize("odd", ["group", "huge"])
def test_what_is_no_sum_or_larger_than_any_is_refused_before_it_is_read(tmp_path, name, odd):
    path = tmp_path / "x.h5"
    smalldata(path, np.ones((6, *CSPAD_2X2.shape)))
    with h5py.File(path, "a") as file:
        del file[name]
        if odd == "group":
            file.create_group(name)
        else:
            file.create_dataset(name, (1 << 40,), "<f8", chunks=(1 << 16,))
    image = "cam_calib_dropped" if name == "lightStatus/xray" else "cam_calib"
    with pytest.raises(WorkbenchError, match=r"no dataset|expected|no lightStatus"):
        wb.read_image(f"{path}:{image}")
