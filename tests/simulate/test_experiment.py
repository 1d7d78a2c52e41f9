"""The sample experiment: reproducible, safe to write, and what its truth file says it is."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from workbench.cli import main
from workbench.constants import read_common_mode, read_constants
from workbench.detectors import CSPAD, DEFAULT_ADDRESS
from workbench.errors import Cancelled, FileFormatError, WorkbenchError
from workbench.geometry import Geometry
from workbench.recipe import read_recipe
from workbench.simulate import write_experiment
from workbench.simulate.experiment import RECIPE, SampleExperiment, sample_texts
from workbench.simulate.truth import faulty_pixels, make_truth, read_truth

COMMITTED = Path(__file__).resolve().parents[2] / "sample_data"


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_gives_the_same_bytes(sample, tmp_path):
    again = write_experiment(tmp_path / "again", events=4, seed=7)
    assert digests(again.folder) == digests(sample.folder)


def test_another_seed_gives_another_detector_and_other_offsets(sample):
    other, this = make_truth(8), make_truth(7)
    assert not np.allclose(other.offset_px, this.offset_px)
    assert not np.array_equal(other.sensor.faulty["hot"], this.sensor.faulty["hot"])


def test_committed_texts_are_those_of_the_default_experiment():
    for name, text in sample_texts(make_truth()).items():
        if name != RECIPE:
            assert (COMMITTED / name).read_text(encoding="utf-8") == text, name


def test_nothing_but_the_small_texts_is_committed(sample):
    ignored = (COMMITTED.parent / ".gitignore").read_text()
    assert "/sample_data/*" in ignored.splitlines()


def test_deployed_geometry_is_a_plain_file_of_whole_micrometres(sample):
    assert sample.geometry.is_file()
    assert not sample.geometry.is_symlink()
    geometry = Geometry.read(sample.geometry)
    origins = np.array([one.origin_um for one in geometry.objects])
    assert np.array_equal(origins, np.rint(origins))
    assert sample.geometry.read_bytes() == (sample.folder / "geometry/deployed.data").read_bytes()


def test_truth_is_deployed_geometry_minus_offset(sample):
    truth = read_truth(sample.truth)
    deployed = Geometry.read(sample.folder / "geometry/deployed.data")
    true = Geometry.read(sample.folder / "geometry/true.data")
    shift = (deployed.pixel_positions_um() - true.pixel_positions_um()).reshape(4, -1, 3)
    for quadrant in range(4):
        assert np.ptp(shift[quadrant], axis=0) == pytest.approx(0, abs=1e-6)
        found = shift[quadrant, 0, :2] / 109.92
        assert found == pytest.approx(truth["offset_px"][quadrant], abs=0.006)  # 0.5 µm rounding


@pytest.mark.parametrize("seed", [1416, 1, 2, 3])
def test_offsets_are_5_to_10_pixels_and_no_whole_numbers(seed):
    offsets = make_truth(seed).offset_px
    lengths = np.hypot(*offsets.T)
    assert (lengths > 5).all()
    assert (lengths <= 10).all()
    assert (np.abs(offsets - np.rint(offsets)) > 0.004).any(axis=1).all()


@pytest.mark.parametrize("seed", [1416, 7])
def test_sensors_do_not_overlap_in_either_geometry(seed):
    truth = make_truth(seed)
    for geometry in (truth.geometry, truth.deployed):
        positions = geometry.pixel_positions_um()[..., :2]
        cells = np.rint(positions / 109.92).astype(int).reshape(32, -1, 2)
        cells -= cells.min(axis=(0, 1))
        owner = np.full(cells.max(axis=(0, 1)) + 1, -1)
        for sensor in range(32):
            x, y = cells[sensor].T
            others = owner[x, y]
            assert not ((others >= 0) & (others != sensor)).any(), f"sensor {sensor}"
            owner[x, y] = sensor


def test_distance_is_encoder_plus_offset_near_121_mm(sample):
    truth = read_truth(sample.truth)
    assert truth["encoder_mm"] + truth["detz_offset_mm"] == pytest.approx(truth["distance_mm"])
    assert truth["distance_mm"] == pytest.approx(121, abs=0.1)
    assert truth["wavelength_angstrom"] == pytest.approx(1.3051, abs=1e-4)


def test_constants_serve_all_runs_and_know_what_a_dark_run_shows(sample):
    truth = make_truth(7)
    pedestals = read_constants(sample.calib_dir, DEFAULT_ADDRESS, "pedestals", 74)
    status = read_constants(sample.calib_dir, DEFAULT_ADDRESS, "pixel_status", 54)
    assert read_common_mode(sample.calib_dir, DEFAULT_ADDRESS, 74) == (1, 25, 25, 100, 1)
    faulty = faulty_pixels(read_truth(sample.truth))
    healthy = ~np.any([*faulty.values()], axis=0)
    assert pedestals[healthy].min() + 1 >= 1000
    assert pedestals[healthy].max() <= 1401
    assert np.abs(pedestals - truth.sensor.pedestal)[healthy].max() < 1.5
    assert np.ptp(pedestals[healthy].reshape(-1)) > 100, "pedestals have structure"
    flagged = faulty["hot"] | faulty["noisy"] | faulty["stuck"]
    assert np.array_equal(status != 0, flagged)


def test_truth_lists_faulty_pixels(sample):
    entries = read_truth(sample.truth)
    faulty = faulty_pixels(entries)
    assert {kind: int(pixels.sum()) for kind, pixels in faulty.items()} == entries["faulty_counts"]
    assert np.sum([*faulty.values()], axis=0).max() == 1, "kinds exclude each other"
    assert np.array_equal(faulty["unbonded"], CSPAD.unbonded_pixels())


def test_recipe_of_the_sample_can_be_read(sample):
    recipe = read_recipe(sample.recipe)
    assert recipe.experiment.name == "cxim1416"
    assert (recipe.experiment.dark, recipe.experiment.bright) == (54, (74, 75))
    assert recipe.experiment.detz_offset_mm == 585.5


def test_experiment_database_has_the_id(sample):
    text = (sample.folder / "ExpNameDb/experiment-db.dat").read_text()
    assert text.split() == ["780", "CXI", "cxim1416"]


# ---- writing is safe --------------------------------------------------------------------------


def copy_of(sample, folder):
    """The same experiment in another folder, without writing it again (hard links)."""
    shutil.copytree(sample.folder, folder, copy_function=os.link)


class Stopper:
    """Progress whose user gives up after some events."""

    def __init__(self, after):
        self.after, self.cancelled = after, False

    def update(self, done, total=None, message=""):
        self.cancelled = done >= self.after


def test_cancelled_writing_leaves_nothing(tmp_path):
    with pytest.raises(Cancelled):
        write_experiment(tmp_path, events=4, progress=Stopper(5))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_cancelled_replacing_leaves_the_old_experiment(sample, tmp_path):
    copy_of(sample, tmp_path / "copy")
    with pytest.raises(Cancelled):
        write_experiment(tmp_path / "copy", 4, seed=5, progress=Stopper(2), overwrite=True)
    assert digests(tmp_path / "copy") == digests(sample.folder)


def test_a_folder_with_other_data_is_refused(tmp_path):
    precious = tmp_path / "results.txt"
    precious.write_text("mine")
    with pytest.raises(WorkbenchError, match=r"holds other data \(results\.txt\)"):
        write_experiment(tmp_path, events=4)
    assert [path.name for path in tmp_path.iterdir()] == ["results.txt"]


def test_an_experiment_that_is_there_is_not_replaced(sample, tmp_path):
    copy_of(sample, tmp_path / "copy")
    with pytest.raises(WorkbenchError, match="--overwrite"):
        write_experiment(tmp_path / "copy", events=4)
    assert digests(tmp_path / "copy") == digests(sample.folder)


@pytest.mark.slow
def test_an_experiment_is_replaced_when_told_to(sample, tmp_path):
    folder = tmp_path / "copy"
    copy_of(sample, folder)
    precious, deployed = folder / "results.txt", SampleExperiment(folder).geometry
    precious.write_text("mine")
    deployed.with_name("0-end.data.v0").write_text("an older geometry")
    write_experiment(folder, events=4, seed=5, overwrite=True)
    assert read_truth(folder / "truth.json")["seed"] == 5
    assert [path.name for path in deployed.parent.iterdir()] == ["0-end.data"]
    assert precious.read_text() == "mine"
    assert (folder / ".complete").exists()
    assert not (folder / ".writing").exists()


def test_a_real_experiment_is_never_replaced(tmp_path):
    """The name cxim1416 is taken from a real experiment; its data tree may be at hand."""
    real = tmp_path / "CXI/cxim1416/xtc/e780-r0054-s00-c00.xtc"
    other = tmp_path / "CXI/cxih8015/xtc/e500-r0001-s00-c00.xtc"
    for path in (real, other):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"precious")
    for overwrite in (False, True):
        with pytest.raises(WorkbenchError, match="not a simulated experiment"):
            write_experiment(tmp_path, events=4, overwrite=overwrite)
    assert real.read_bytes() == b"precious"


@pytest.mark.slow
def test_a_data_tree_keeps_its_other_experiments_and_its_database(tmp_path):
    other = tmp_path / "CXI/cxih8015/xtc/e500-r0001-s00-c00.xtc"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"precious")
    database = tmp_path / "ExpNameDb/experiment-db.dat"
    database.parent.mkdir()
    database.write_text("500 CXI cxih8015\n")
    with pytest.raises(WorkbenchError, match=r"experiment-db\.dat differs"):
        write_experiment(tmp_path, events=4, overwrite=True)
    assert database.read_text() == "500 CXI cxih8015\n"
    database.unlink()
    with pytest.raises(WorkbenchError, match="holds other data"):
        write_experiment(tmp_path, events=4)
    write_experiment(tmp_path, events=4, overwrite=True)
    assert other.read_bytes() == b"precious"


@pytest.mark.slow
def test_the_committed_texts_may_be_there_already(tmp_path):
    for name, text in sample_texts(make_truth(), 4).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "truth.json").write_text("{}")
    with pytest.raises(WorkbenchError, match=r"truth\.json"):
        write_experiment(tmp_path, events=4)
    (tmp_path / "truth.json").write_text(make_truth().to_text(4))
    write_experiment(tmp_path, events=4)


@pytest.mark.parametrize(
    ("events", "seed"), [(0, 1), (3, 1), (-5, 1), (10**6, 1), (4, -1), (4, 2**32)]
)
def test_unusable_arguments_are_refused(tmp_path, events, seed):
    with pytest.raises(WorkbenchError):
        write_experiment(tmp_path / "new", events=events, seed=seed)
    assert not (tmp_path / "new").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    place = tmp_path / "file"
    place.write_text("mine")
    with pytest.raises(WorkbenchError, match="is a file"):
        write_experiment(place, events=4)


def test_foreign_truth_files_are_refused(tmp_path):
    for text in ("", "{}", '{"offset_px": [1]}', "[]", "\x00"):
        path = tmp_path / "truth.json"
        path.write_text(text)
        with pytest.raises(FileFormatError, match="truth"):
            read_truth(path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_truth(tmp_path / "absent.json")


@pytest.mark.slow
def test_command_line_says_where_things_are_and_what_comes_next(tmp_path, capsys):
    folder = tmp_path / "my data"
    assert main(["simulate", str(folder), "--events", "4"]) == 0
    printed = capsys.readouterr().out
    assert str(folder / "CXI/cxim1416/xtc") in printed
    assert f"--psdm-dir '{folder}'" in printed
    assert main(["simulate", str(folder), "--events", "4"]) == 1
    refused = capsys.readouterr()
    assert len(refused.err.splitlines()) == 1
    assert "--overwrite" in refused.err


def test_command_line_hands_its_options_on_and_tells_json(tmp_path, capsys, monkeypatch):
    given = {}

    def write(folder, **options):
        given.update(options, folder=folder)
        return SampleExperiment(Path(folder))

    monkeypatch.setattr("workbench.simulate.experiment.write_experiment", write)
    words = ["simulate", str(tmp_path), "--events", "9", "--seed", "3", "--overwrite", "--json"]
    assert main(words) == 0
    places = json.loads(capsys.readouterr().out)
    assert places["xtc_dir"] == str(tmp_path / "CXI/cxim1416/xtc")
    assert (given["events"], given["seed"], given["overwrite"]) == (9, 3, True)
