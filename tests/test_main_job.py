"""The whole job by command line: raw runs to an installed geometry version, held to the truth."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench.cli import main
from workbench.geometry import Geometry
from workbench.simulate.truth import SCENE, faulty_pixels, read_truth

pytestmark = pytest.mark.usefixtures("aligned_once")

ADDRESS = "CxiDs1.0:Cspad.0"
TOLERANCE_PX = 0.25


def run(*words):
    """Type a command line; it must succeed."""
    assert main([str(word) for word in words]) == 0, words


class Job:
    """The folders of one calibration."""

    def __init__(self, base):
        self.sample, self.out = base / "sample", base / "out"
        self.xtc = self.sample / "CXI/cxim1416/xtc"
        self.calib = self.sample / "CXI/cxim1416/calib"
        self.deployed = self.calib / "CsPad::CalibV1" / ADDRESS / "geometry"
        self.mask = self.out / "mask.pickle"
        self.average, self.stddev = (
            self.out / f"cxim1416_{kind}-r0054.cbf" for kind in ("avg", "stddev")
        )
        self.maximum = self.out / "cxim1416_max-r0074.cbf"
        self.corrected = self.out / "cxim1416_max-r0074_cc.cbf"

    def average_run(self, number, *corrections):
        run("average", "--experiment", "cxim1416", "--run", number, "--xtc-dir", self.xtc,
            "--calib-dir", self.calib, "--detz-offset", 585.5, *corrections,
            "--outputdir", self.out)  # fmt: skip


@pytest.fixture(scope="module")
def job(own_copy, tmp_path_factory):
    """All commands in their order, each as a user types it, on what ``simulate`` writes."""
    job = Job(tmp_path_factory.mktemp("job"))
    own_copy(job.sample)
    job.average_run(54, "--raw-data")
    job.average_run(74, "-g", 6.85)
    run("mask", job.average, job.stddev, job.maximum, "--maxproj-min", 300, "-o", job.mask)
    run("align", job.maximum, "--mask", job.mask)
    new = job.out / "0-end.data"
    run("geometry", "convert", job.corrected, new)
    run("geometry", "deploy", new, "--calib-dir", job.calib, "--address", ADDRESS)
    return job


@pytest.fixture(scope="module")
def truth(job):
    return read_truth(job.sample / "truth.json")


def test_averages_carry_distance_and_wavelength(job, truth):
    for kind in ("avg", "stddev", "max"):
        for number in (54, 74):
            image = wb.read_image(job.out / f"cxim1416_{kind}-r{number:04d}.cbf")
            assert image.data.shape == (32, 185, 388)
            assert image.distance_mm == pytest.approx(truth["distance_mm"], abs=0.005)
            if number == 74:
                expected = truth["wavelength_angstrom"]
                assert image.wavelength_angstrom == pytest.approx(expected, rel=1e-3)
            else:
                assert not image.wavelength_angstrom, "a dark run has no beam to measure"


def test_raw_dark_average_is_the_pedestals(job, truth):
    """And the corrected bright run stands on zero: pixels without signal average nothing."""
    dark, bright = (
        wb.read_image(job.out / f"cxim1416_avg-r{number:04d}.cbf").data for number in (54, 74)
    )
    faulty = faulty_pixels(truth)
    healthy = ~np.any([*faulty.values()], axis=0)
    assert 1000 < np.median(dark[healthy]) < 1400
    assert np.abs(bright[faulty["unbonded"]]).mean() < 20
    assert np.median(bright[healthy]) > 200


def test_mask_takes_faulty_and_shadowed_pixels_and_no_others(job, truth):
    good = wb.read_mask(job.mask).good
    faulty = faulty_pixels(truth)
    left = {kind: int((pixels & good).sum()) for kind, pixels in faulty.items()}
    assert left == dict.fromkeys(faulty, 0)
    true = Geometry.read(job.sample / "geometry/true.data")
    x, y, _ = np.moveaxis(true.pixel_positions_um(), -1, 0) / 109.92
    passed = SCENE.shadow.of(x, y)
    assert not good[passed < 0.02].any()
    lit = (passed > 0.95) & ~np.any([*faulty.values()], axis=0)
    assert (~good[lit]).sum() <= 20, "good pixels must stay"


def test_offsets_are_the_truth_within_tolerance(job, truth, capsys):
    run("align", job.maximum, "--mask", job.mask, "--no-save", "--json")
    told = json.loads(capsys.readouterr().out)
    found = np.array([quadrant["offset_px"] for quadrant in told["quadrants"]])
    assert found == pytest.approx(truth["offset_px"], abs=TOLERANCE_PX)


def test_aligned_image_has_the_same_data_in_another_geometry(job):
    before, after = wb.read_image(job.maximum), wb.read_image(job.corrected)
    assert np.array_equal(before.data, after.data)
    assert before.geometry != after.geometry


def test_deployed_version_is_the_true_geometry_within_tolerance(job, truth):
    current = job.deployed / "0-end.data"
    assert current.is_symlink()
    assert current.readlink().name == "0-end.data.v1"
    versions = sorted(path.name for path in job.deployed.glob("0-end.data.v[0-9]"))
    assert versions == ["0-end.data.v0", "0-end.data.v1"]
    first = (job.sample / "geometry/deployed.data").read_bytes()
    assert (job.deployed / "0-end.data.v0").read_bytes() == first
    assert "v1" in (job.deployed / "HISTORY").read_text()
    true = Geometry.read(job.sample / "geometry/true.data").pixel_positions_um()
    found = Geometry.read(current).pixel_positions_um()
    difference = (found - true).reshape(4, -1, 3)[..., :2] / 109.92
    assert np.abs(difference.mean(axis=1)).max() < TOLERANCE_PX
    assert np.ptp(difference, axis=1).max() < 0.02, "quadrants moved, nothing turned or bent"


@pytest.mark.slow
def test_a_second_round_starts_from_the_deployed_version_and_finds_nothing_left(job, capsys):
    again = Job(job.sample.parent)
    again.out = job.sample.parent / "second"
    again.average_run(74, "-g", 6.85)
    maximum = again.out / job.maximum.name
    image, corrected = wb.read_image(maximum), wb.read_image(job.corrected)
    # to the micrometre that geometry files keep
    positions, expected = (i.geometry.pixel_positions_um() for i in (image, corrected))
    np.testing.assert_allclose(positions[..., :2], expected[..., :2], rtol=0, atol=1)
    capsys.readouterr()
    run("align", maximum, "--mask", job.mask, "--no-save", "--json")
    told = json.loads(capsys.readouterr().out)
    left = np.array([quadrant["offset_px"] for quadrant in told["quadrants"]])
    assert np.abs(left).max() < TOLERANCE_PX


@pytest.mark.slow
def test_ten_lines_of_python_in_the_readme_do_the_same(job, truth, tmp_path, monkeypatch, capsys):
    copy = tmp_path / "sample_data"
    (copy / "CXI/cxim1416").mkdir(parents=True)
    (copy / "CXI/cxim1416/xtc").symlink_to(job.xtc)
    shutil.copytree(job.calib, copy / "CXI/cxim1416/calib", symlinks=True)
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    store = wb.GeometryStore("sample_data/CXI/cxim1416/calib", ADDRESS)
    store.rollback(0)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    found = np.array([quadrant.offset_px for quadrant in names["result"].quadrants])
    assert found == pytest.approx(truth["offset_px"], abs=TOLERANCE_PX)
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert store.current().number == 2
    assert (tmp_path / "mask.pickle").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["average", "--experiment", "cxim1416", "--run", "99"], "99"),
        (["average", "--experiment", "cxix9999", "--run", "54"], "cxix9999"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(job, words, told, capsys):
    places = ["--xtc-dir", job.xtc, "--calib-dir", job.calib, "--outputdir", job.out / "none"]
    assert main([*words, *map(str, places), "--detz-offset", "585.5"]) == 1
    complaint = capsys.readouterr().err.strip()
    assert told in complaint
    assert len(complaint.splitlines()) == 1
    assert not (job.out / "none").exists()
