"""Results are written over nothing that is not theirs."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from workbench import pipeline
from workbench.detectors import CSPAD, JUNGFRAU_4M
from workbench.errors import RecipeError
from workbench.geometry import Geometry, GeometryStore
from workbench.images import DetectorImage
from workbench.pipeline.model import Calibration, ImageSet
from workbench.recipe import Experiment, Output, Recipe, read_recipe, recipe_to_text


def calibration(folder, name="cxim1416", **changes):
    recipe = Recipe(experiment=Experiment(name=name), output=Output(folder=str(folder), **changes))
    return Calibration(recipe, ImageSet(), None, None, {}, (), {})


def test_a_calibration_directory_is_no_output_folder(tmp_path):
    store = GeometryStore(tmp_path, "CxiDs1.0:Cspad.0")
    store.deploy(Geometry.ideal())
    (tmp_path / "link").symlink_to(store.folder)
    for folder in (store.folder, tmp_path / "link", store.folder / "new"):
        with pytest.raises(RecipeError, match="lies in a calibration directory"):
            pipeline.save_results(calibration(folder))
        with pytest.raises(RecipeError, match="lies in a calibration directory"):
            pipeline.run_recipe(calibration(folder).recipe)
    assert store.verify() == []


@pytest.mark.parametrize("name", ["../0-end.data", "/tmp/mask.pickle", ".."])
def test_a_mask_stays_in_the_output_folder(tmp_path, name):
    with pytest.raises(RecipeError, match=r"output\.mask is .* without a folder"):
        pipeline.save_results(calibration(tmp_path, mask=name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../../elsewhere", "CXI/cxim1416"])
def test_the_experiment_names_files_of_the_output_folder(tmp_path, name):
    files = pipeline.save_results(calibration(tmp_path / "out", name=name))
    assert files["recipe"].parent == tmp_path / "out"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    with pytest.raises(RecipeError, match=r"experiment\.name is '\.\.'"):
        pipeline.save_results(calibration(tmp_path, name="../.."))


def test_a_recipe_that_a_person_wrote_is_kept(tmp_path):
    made = calibration(tmp_path)
    own = "# why: the second detector distance\n" + recipe_to_text(Recipe())
    (tmp_path / "cxim1416.calibration.toml").write_text(own)
    path = pipeline.save_results(made)["recipe"]
    assert path.name == "cxim1416-2.calibration.toml"
    assert read_recipe(path) == made.recipe
    assert (tmp_path / "cxim1416.calibration.toml").read_text() == own
    changed = dataclasses.replace(made, recipe=made.recipe.changed("mask.border", 3))
    assert pipeline.save_results(changed)["recipe"] == path
    assert read_recipe(path).mask.border == 3


def test_a_recipe_that_says_the_same_keeps_its_comments(tmp_path):
    made = calibration(tmp_path)
    own = "# my comment\n" + recipe_to_text(made.recipe)
    (tmp_path / "cxim1416.calibration.toml").write_text(own)
    assert pipeline.save_results(made)["recipe"].read_text() == own


@pytest.mark.parametrize(
    ("detector", "stem"), [(CSPAD, "cspad"), (JUNGFRAU_4M, "jungfrau4m"), (None, "calibration")]
)
def test_results_of_images_on_file_are_named_after_their_detector(tmp_path, detector, stem):
    images = ImageSet(geometry=None if detector is None else Geometry.ideal(detector))
    made = dataclasses.replace(calibration(tmp_path, name=""), images=images)
    assert pipeline.save_results(made)["recipe"].name == f"{stem}.calibration.toml"


def test_the_corrected_image_is_named_after_its_bright_run(tmp_path):
    def averaged(run):
        def save(folder, geometry):
            return {"maximum": folder / f"cxim1416_max-r{run:04d}.cbf"}

        return SimpleNamespace(run=run, save=save)

    geometry = Geometry.ideal()
    maximum = DetectorImage(np.zeros(CSPAD.shape, np.int32), geometry)
    images = ImageSet(maximum=maximum, dark=averaged(54), bright=(averaged(74),))
    aligned = SimpleNamespace(geometry=geometry)
    made = dataclasses.replace(calibration(tmp_path), images=images, alignment=aligned)
    assert pipeline.save_results(made)["corrected"].name == "cxim1416_max-r0074_cc.cbf"
