"""workbench mask: the options and counts of cxi.make_dials_mask, and what it adds."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench.cli import main
from workbench.detectors import CSPAD
from workbench.images import DetectorImage, write_image
from workbench.recipe import Images, MaskSettings, Recipe, Thresholds, write_recipe
from workbench.recipe.mask import CircleLayer, FileLayer, PartLayer

SHAPE = CSPAD.shape


@pytest.fixture(scope="module")
def folder(tmp_path_factory, runs, geometry):
    folder = tmp_path_factory.mktemp("images")
    for name in ("average", "stddev", "maximum"):
        image = DetectorImage(
            getattr(runs, name), geometry, distance_mm=121.0, wavelength_angstrom=1.3, kind=name
        )
        write_image(image, folder / f"{name}.cbf")
    return folder


@pytest.fixture
def command(folder, capsys, monkeypatch):
    """Run the command in the folder of the images; gives status, output and errors."""
    monkeypatch.chdir(folder)

    def run(*words):
        try:
            status = main(["mask", *map(str, words)])
        except SystemExit as stop:
            status = stop.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


IMAGES = ("average.cbf", "stddev.cbf", "maximum.cbf")


def test_writes_the_mask_and_prints_cctbx_counts(command, runs, tmp_path):
    path = tmp_path / "mask.pickle"
    status, out, err = command(*IMAGES, "--maxproj-min", "300", "-o", path)
    expected = wb.make_mask(runs.average, runs.stddev, runs.maximum)
    assert (status, err) == (0, "")
    assert out.splitlines() == expected.cctbx_lines()
    np.testing.assert_array_equal(wb.read_mask(path).good, expected.good)


@pytest.mark.parametrize(
    "words",
    [
        ("-a", "1300", "-s", "4.5", "-m", "900.5", "-b", "2"),
        ("--avg-max", "1300", "--stddev-max=4.5", "--maxproj-min", "900.5", "--border", "2"),
        ("--avg_max=1300", "--stddev_max", "4.5", "--maxproj_min=900.5", "--border=2"),
    ],
)
def test_options_by_letter_hyphen_and_underscore(command, runs, tmp_path, words):
    status, out, _ = command(*IMAGES, *words, "--output", tmp_path / "m.npy")
    limits = wb.Thresholds(1300, 4.5, 900.5)
    expected = wb.make_mask(runs.average, runs.stddev, runs.maximum, limits, border=2)
    assert status == 0
    assert out.splitlines() == expected.cctbx_lines()
    np.testing.assert_array_equal(np.load(tmp_path / "m.npy"), expected.good)


def test_the_default_output_is_mask_pickle_here(command, folder):
    assert command(*IMAGES)[0] == 0
    assert (folder / "mask.pickle").stat().st_size > 2e6
    (folder / "mask.pickle").unlink()


def test_json_tells_all_counts(command, tmp_path):
    words = (*IMAGES, "--border", "1", "-o", tmp_path / "m.cxi", "--explain", "0,0,0", "--json")
    status, out, _ = command(*words)
    told = json.loads(out)
    assert status == 0
    assert told["pixels"] == 2296960
    assert told["rules"]["asic_border"]["total"] == 64 * 2 * (185 + 194 - 2)
    assert told["masked"] == told["rules"]["maximum_outlier"]["cumulative"]
    assert np.shape(told["masked_fraction_by_asic"]) == (4, 8, 2)
    assert told["explain"][0]["reasons"][-1]["rule"] == "asic_border"
    assert told["provenance"]["images"][0]["path"] == "average.cbf"


def test_verbose_and_explain(command, tmp_path):
    status, out, _ = command(*IMAGES, "-v", "--explain", "9,100,200", "-o", tmp_path / "m.npy")
    assert status == 0
    assert "Q1 S1 A1 slow 100 fast 200" in out
    assert "stddev > 10 ADU " in out
    assert "Q3 " in out


def test_a_recipe_gives_limits_layers_and_images(command, runs, tmp_path):
    old = np.ones(CSPAD.shape, bool)
    old[3] = False
    wb.write_mask(wb.Mask.from_good(old), tmp_path / "old.npy")
    settings = MaskSettings(
        Thresholds(maxproj_min=500.0),
        layers=(PartLayer(parts=("Q2S1",)), CircleLayer(radius_mm=9.0), FileLayer(path="old.npy")),
    )
    path = tmp_path / "my.calibration.toml"
    write_recipe(Recipe(mask=settings), path)
    status, *_ = command(*IMAGES, "--recipe", path, "-o", tmp_path / "m.pickle")
    mask = wb.read_mask(tmp_path / "m.pickle")
    assert status == 0
    assert not mask.good[17].any()
    assert not mask.good[3].any()
    absolute = Images(*(str(Path(name).absolute()) for name in IMAGES))
    write_recipe(Recipe(mask=settings, images=absolute), path)
    status, out, _ = command("--recipe", path, "-o", tmp_path / "again.pickle")
    assert status == 0
    np.testing.assert_array_equal(wb.read_mask(tmp_path / "again.pickle").good, mask.good)
    status, out, _ = command("--recipe", path, "-m", "100000", "-o", tmp_path / "none.pickle")
    assert out.splitlines()[-1].endswith("(100.00%)")


def test_own_limits_of_low_gain_with_a_gain_map(command, tmp_path):
    low_gain = np.zeros(CSPAD.shape, np.uint8)
    low_gain[7] = 1
    np.save(tmp_path / "gain.npy", low_gain)
    path = tmp_path / "recipe.toml"
    write_recipe(Recipe(mask=MaskSettings(low_gain=Thresholds(avg_max=1.0))), path)
    words = (*IMAGES, "--recipe", path, "-o", tmp_path / "m.npy")
    status, _, err = command(*words)
    assert status == 1
    assert "gain map" in err
    assert command(*words, "--gain-map", tmp_path / "gain.npy")[0] == 0
    good = np.load(tmp_path / "m.npy")
    assert not good[7].any()
    assert good[6].mean() > 0.9


def test_limits_of_low_gain_by_option(command, runs, tmp_path):
    low_gain = np.zeros(CSPAD.shape, np.uint8)
    low_gain[:4] = 1
    np.save(tmp_path / "gain.npy", low_gain)
    words = ("--gain-map", tmp_path / "gain.npy", "-m", "900", "-o", tmp_path / "m.npy")
    assert command(*IMAGES, *words, "--low_gain_maxproj_min", "200")[0] == 0
    good = np.load(tmp_path / "m.npy")
    limits = np.where(low_gain == 1, 200, 900)
    expected = (runs.average <= 2000) & (runs.stddev > 0) & (runs.stddev <= 10)
    np.testing.assert_array_equal(good, expected & (runs.maximum >= limits))


def test_layers_are_told_by_name(command, tmp_path):
    layers = (
        PartLayer("broken", parts=("Q2S1",)),
        CircleLayer("beam stop", radius_mm=9.0),
        PartLayer("trusted", mode="exclude", parts=("Q2S1A0",)),
    )
    path = tmp_path / "recipe.toml"
    write_recipe(Recipe(mask=MaskSettings(layers=layers)), path)
    words = (*IMAGES, "--recipe", path, "-o", tmp_path / "m.npy", "--explain", "17,90,10")
    status, out, _ = command(*words, "-v")
    assert status == 0
    assert "kept by layer 3 “trusted”" in out
    assert "layer 1 “broken”" in out
    assert "layer 2 “beam stop”" in out
    assert "layer 3 “trusted” keeps 358" in out
    told = json.loads(command(*words, "--json")[1])
    named = {one["name"]: one for one in told["removals"]}
    assert named["broken"]["total"] == 185 * 194
    assert named["beam stop"]["layer"] == 1
    assert told["kept"][0]["pixels"] == pytest.approx(185 * 194, abs=100)
    assert told["explain"][0]["kept_by"] == ["layer 3 “trusted”"]


def test_suggestions_are_printed_and_nothing_is_written(command, tmp_path):
    path = tmp_path / "m.pickle"
    status, out, _ = command(*IMAGES, "--suggest", "-o", path)
    assert status == 0
    assert "valley" in out
    assert not path.exists()
    told = json.loads(command(*IMAGES, "--suggest", "--json", "-o", path)[1])
    assert {one["limit"] for one in told["suggestions"]} == {
        "avg_max", "stddev_max", "maxproj_min",
    }  # fmt: skip


def test_deploying(command, tmp_path):
    words = (*IMAGES, "-o", tmp_path / "m.npy", "--deploy", tmp_path / "calib")
    assert command(*words)[0] == 2
    status, out, _ = command(*words, "--first-run", "54")
    path = tmp_path / "calib/CsPad::CalibV1/CxiDs1.0:Cspad.0/pixel_mask/54-end.data"
    assert status == 0
    assert f"Deployed as {path}" in out
    status, _, err = command(*words, "--first-run", "54")
    assert status == 1
    assert "deployed already" in err
    words = (*words, "--first-run", "54", "--last-run", "80", "--deploy-as", "pixel_status")
    assert command(*words)[0] == 0
    path = path.parents[1] / "pixel_status/54-80.data"
    status = wb.read_mask(path)
    np.testing.assert_array_equal(status.good, np.load(tmp_path / "m.npy"))


def test_swapped_images_are_refused_unless_forced(command, tmp_path):
    words = ("stddev.cbf", "average.cbf", "maximum.cbf", "-o", tmp_path / "m.npy")
    status, out, err = command(*words)
    assert (status, out) == (1, "")
    assert "swapped" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "m.npy").exists()
    status, _, err = command(*words, "--force")
    assert status == 0
    assert "warning: " in err
    assert (tmp_path / "m.npy").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("average.cbf",), 2, "three images"),
        ((), 2, "three images"),
        ((*IMAGES, "--maxproj", "x"), 2, "--maxproj"),
        ((*IMAGES, "--nonsense"), 2, "nonsense"),
        ((*IMAGES, "--explain", "1,2"), 2, "module, row and column"),
        ((*IMAGES, "--explain", "99,0,0"), 1, "no pixel"),
        ((*IMAGES, "--format", "gif"), 2, "gif"),
        ((*IMAGES, "-o", "mask.what"), 1, "ending"),
        ((*IMAGES, "-b", "-1"), 1, "border is -1"),
        ((*IMAGES, "-a", "0"), 1, "avg_max is 0"),
        (("average.cbf", "stddev.cbf", "none.cbf"), 1, "none.cbf"),
        ((*IMAGES, "--recipe", "none.toml"), 1, "none.toml"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(command, folder, words, status, said):
    before = sorted(folder.iterdir())
    found, out, err = command(*words)
    assert found == status
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err
    assert sorted(folder.iterdir()) == before


def test_the_image_of_another_detector_is_refused(command, folder, shared_data):
    rayonix = shared_data / "cbf" / "rayonix_mfx.cbf"
    status, _, err = command("average.cbf", "stddev.cbf", rayonix)
    assert status == 1
    assert len(err.splitlines()) == 1


@pytest.mark.dials
@pytest.mark.parametrize(
    "limits",
    [
        ("1250.5", "4.25", "901", "2"),
        pytest.param(("2000", "10", "300", "0"), marks=pytest.mark.slow),
    ],
)
def test_equals_the_real_program_on_the_same_files(command, folder, dials, tmp_path, limits):
    words = [f"-{letter}{value}" for letter, value in zip("asmb", limits, strict=True)]
    said = dials(
        "import sys\n"
        "from xfel.command_line import make_dials_mask\n"
        "make_dials_mask.run(['make_dials_mask', *sys.argv[1:]])",
        *words, "-o", tmp_path / "cctbx.pickle", *(folder / name for name in IMAGES),
    )  # fmt: skip
    status, out, _ = command(*words, "-o", tmp_path / "ours.pickle", *IMAGES)
    assert status == 0
    assert out == said
    ours, theirs = (wb.read_mask(tmp_path / name) for name in ("ours.pickle", "cctbx.pickle"))
    np.testing.assert_array_equal(ours.good, theirs.good)


@pytest.mark.slow
@pytest.mark.dials
def test_equals_the_real_program_on_real_images(command, dials, tmp_path, shared_data):
    """Two stills stand in for dark and bright: not sensible, but a real detector's values.

    As reals, since make_dials_mask stops at images of whole numbers.
    """
    first, second = tmp_path / "first.cbf", tmp_path / "second.cbf"
    for path, source in zip(
        (first, second), sorted((shared_data / "cbf").glob("idx-*.cbf")), strict=True
    ):
        image = wb.read_image(source)
        write_image(image.replace(data=image.data.astype(np.float64)), path)
    words = ("-a", "30.5", "-s", "200", "-m", "2", "-b", "1")
    images = (first, second, second)
    said = dials(
        "import sys\n"
        "from xfel.command_line import make_dials_mask\n"
        "make_dials_mask.run(['make_dials_mask', *sys.argv[1:]])",
        *words, "-o", tmp_path / "cctbx.pickle", *images,
    )  # fmt: skip
    status, out, _ = command(*words, "-o", tmp_path / "ours.pickle", *images)
    assert status == 0
    assert out == said
    ours, theirs = (wb.read_mask(tmp_path / name) for name in ("ours.pickle", "cctbx.pickle"))
    np.testing.assert_array_equal(ours.good, theirs.good)


@pytest.mark.slow
@pytest.mark.dials
def test_find_spots_uses_the_mask(folder, dials, tmp_path, runs):
    """DIALS takes the file as spotfinder.lookup.mask and finds no spot where it is masked."""
    settings = MaskSettings(Thresholds(), layers=(PartLayer(parts=("Q0", "Q1", "Q2")),))
    spots = np.zeros(CSPAD.shape)
    for sensor in range(32):
        for row in range(20, 170, 30):
            spots[sensor, row : row + 3, 60:63] = 500.0
    spots += np.random.default_rng(1).poisson(10, CSPAD.shape)
    image = DetectorImage(
        spots, wb.Geometry.ideal(), distance_mm=121.0, wavelength_angstrom=1.3, kind="image"
    )
    write_image(image, tmp_path / "spots.cbf")
    mask = wb.mask.build_mask(settings, runs.average, runs.stddev, runs.maximum)
    wb.write_mask(mask, tmp_path / "mask.pickle")
    found = dials(
        "import sys\n"
        "from dxtbx.model.experiment_list import ExperimentListFactory\n"
        "from dials.algorithms.spot_finding.factory import phil_scope\n"
        "from dials.array_family import flex\n"
        "from libtbx.phil import parse\n"
        "scope = parse('include scope dials.command_line.find_spots.phil_scope',"
        " process_includes=True)\n"
        "params = scope.extract()\n"
        "params.spotfinder.lookup.mask = sys.argv[2]\n"
        "params.spotfinder.mp.nproc = 1\n"
        "experiments = ExperimentListFactory.from_filenames([sys.argv[1]])\n"
        "found = flex.reflection_table.from_observations(experiments, params)\n"
        "panels = sorted(set(found['panel']))\n"
        "print(len(found), panels[0], panels[-1])",
        tmp_path / "spots.cbf",
        tmp_path / "mask.pickle",
    )
    number, first, last = map(int, found.split()[-3:])
    assert 35 <= number <= 40  # five on each sensor; bad pixels may break up one or another
    assert first == 48
    assert last == 62


def test_the_command_does_not_compile_anything(folder, tmp_path):
    code = (
        "import sys; from workbench.cli import main; "
        f"main(['mask', *{[str(folder / name) for name in IMAGES]!r}, '-o', "
        f"{str(tmp_path / 'm.pickle')!r}]); print('numba.core' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
