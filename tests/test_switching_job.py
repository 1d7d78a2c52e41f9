"""The whole job by command line for detectors that switch their gain.

Each sample experiment is written, averaged, masked, aligned and deployed, and held to its truth.
"""

import contextlib
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

import workbench as wb
from workbench.cli import main
from workbench.constants import constants_folder
from workbench.geometry import Geometry

pytestmark = pytest.mark.slow
TOLERANCE_PX = {"epix10k2m": 0.1, "jungfrau4m": 0.1}


def run(*words):
    assert main([str(word) for word in words]) == 0, words


@pytest.fixture(scope="module", params=TOLERANCE_PX)
def job(request, tmp_path_factory):
    """One sample experiment after all commands."""
    base, out = tmp_path_factory.mktemp("sample"), tmp_path_factory.mktemp("out")
    run("simulate", base, "--detector", request.param, "--events", 6, "--seed", 77)
    truth = json.loads((base / "truth.json").read_text())
    name, address = truth["experiment"], truth["address"]
    calib = base / name[:3].upper() / name / "calib"
    average = ("average", "-x", name, "-a", address, "--psdm-dir", base, "-o", out, "-d", 121)
    run(*average, "-r", 10, "--raw-data")
    run(*average, "-r", 20)
    end = next(out.glob(f"{name}_avg-r0020.*")).suffix
    image = {kind: out / f"{name}_{kind}{end}" for kind in ("avg-r0010", "stddev-r0010",
             "max-r0020", "avg-r0020")}  # fmt: skip
    mask = out / "mask.npy"
    run("mask", image["avg-r0010"], image["stddev-r0010"], image["max-r0020"], "-a", 5000,
        "-s", 20, "-m", 30, "-o", mask)  # fmt: skip
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run("align", image["avg-r0020"], "--mask", mask, "-o", out / "aligned.data", "--json")
    run("geometry", "deploy", out / "aligned.data", "-C", calib, "-a", address)
    deployed = constants_folder(calib, address, "geometry") / "0-end.data"
    return SimpleNamespace(
        name=request.param, base=base, out=out, truth=truth, image=image, calib=calib,
        address=address, deployed=deployed, mask=wb.read_mask(mask),
        alignment=json.loads(printed.getvalue()),
    )  # fmt: skip


def test_the_dark_average_is_that_of_the_first_range_without_gain_bits(job):
    dark = wb.read_image(job.image["avg-r0010"])
    hot = np.zeros(dark.data.size, bool)
    hot[job.truth["faulty_hot"]] = True
    assert dark.unit == "ADU"
    assert np.median(dark.data) == pytest.approx(
        job.truth["gain_ranges"][0]["pedestal_adu"], rel=0.1
    )
    assert dark.data.reshape(-1)[hot].min() > 8900
    assert np.quantile(dark.data, 0.999) < 5000


def test_pixels_switch_on_the_bright_rings_and_agree_with_their_neighbours(job):
    opened = wb.open_run(
        job.truth["experiment"], 20, job.address, psdm_dir=job.base, calib_dir=job.calib
    )
    event = next(iter(opened.events(wb.Corrections(pixel_gain=True, status_mask=True))))
    usable = event.data != 0  # of a bad status else
    switched = (event.raw >> 14 > 0) & usable
    assert 0.01 < switched.mean() < 0.98
    photons = event.data / (job.truth["photon_energy_ev"] / 1000)
    boundary = job.truth["switch_adu"] / (
        job.truth["gain_ranges"][0]["adu_per_kev"] * job.truth["photon_energy_ev"] / 1000
    )
    near = np.abs(photons - boundary) < 4
    # on both sides of the switch as many photons per pixel, within what one pixel may be off
    assert photons[switched].min() > boundary - 8
    assert np.quantile(photons[~switched & usable], 0.9999) < boundary + 2
    assert (near & switched).sum() > 100


def test_averages_with_gain_constants_say_that_they_are_in_kev(job):
    for kind in ("avg-r0020", "max-r0020"):
        assert wb.read_image(job.image[kind]).unit == "keV"


def test_faulty_pixels_and_the_beam_stop_are_masked(job):
    good = job.mask.good.reshape(-1)
    for kind in ("hot", "noisy", "dead"):
        assert good[job.truth[f"faulty_{kind}"]].mean() < 0.05, kind
    assert good.mean() > 0.8


def test_the_deployed_geometry_has_every_module_moved_to_the_truth(job):
    true = Geometry.read(job.base / "geometry/true.data")
    first = Geometry.read(job.base / "geometry/deployed.data")
    now = Geometry.read(job.deployed)
    detector = now.detector
    assert detector.name == job.truth["detector"]
    assert all(a != b for a, b in zip(first.modules, now.modules, strict=True))
    away = (now.pixel_positions_um() - true.pixel_positions_um())[..., :2] / detector.pixel_um
    of_groups = np.array([away[group.slice].mean(axis=(0, 1, 2)) for group in detector.groups])
    # where the beam is belongs to the whole detector
    of_groups -= of_groups.mean(axis=0)
    assert np.abs(of_groups).max() < TOLERANCE_PX[job.name]
    assert wb.GeometryStore(job.calib, job.address).current().number == 1


def test_the_result_says_where_offsets_come_from_the_ring_fit_alone(job):
    alone = any("joint ring fit alone" in note for note in job.alignment["notes"])
    assert alone == (job.name == "jungfrau4m")
    assert job.alignment["determined"]


def test_the_modules_of_a_side_move_together(job):
    if job.name != "jungfrau4m":
        pytest.skip("one grouping only")
    shift = np.array([[5.31, -3.22], [-4.17, 6.83]])
    true = Geometry.read(job.base / "geometry/true.data")
    true.move_quadrants(-np.repeat(shift, 4, axis=0)).write(job.out / "sides.data")
    run("align", job.image["avg-r0020"], "--mask", job.out / "mask.npy", "--groups", "sides",
        "--geometry", job.out / "sides.data", "-o", job.out / "from-sides.data")  # fmt: skip
    now = Geometry.read(job.out / "from-sides.data")
    away = (now.pixel_positions_um() - true.pixel_positions_um())[..., :2].mean(axis=(1, 2)) / 75
    assert np.ptp(away.reshape(2, 4, 2), axis=1).max() < 1e-4
    assert np.abs(away - away.mean(axis=0)).max() < TOLERANCE_PX[job.name]


def test_masks_images_and_frames_are_written_in_every_format(job):
    for ending in ("npy", "pickle", "h5", "edf"):
        path = job.out / f"again.{ending}"
        wb.write_mask(job.mask, path)
        assert np.array_equal(wb.read_mask(path).good, job.mask.good), ending
    image = wb.read_image(job.image["avg-r0020"])
    for ending in ("cbf", "h5"):
        path = job.out / f"copy.{ending}"
        wb.write_image(image, path)
        again = wb.read_image(path)
        assert np.array_equal(again.data, image.data, equal_nan=True)
        assert again.geometry == image.geometry
    for ending in ("geom", "data", "npy"):
        path = job.out / f"geometry.{ending}"
        image.geometry.write(path)
        away = Geometry.read(path).pixel_positions_um() - image.geometry.pixel_positions_um()
        assert np.abs(away).max() < 0.01, ending
