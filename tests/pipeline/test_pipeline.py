"""A recipe runs from raw files to an installed geometry; the same recipe gives the same results."""

import dataclasses
import json

import numpy as np
import pytest

import workbench as wb
from workbench import pipeline
from workbench.errors import Cancelled, RecipeError, RunNotFoundError
from workbench.recipe import Experiment, Images, Recipe


@pytest.fixture(scope="module")
def known():
    """Averages by content, so that a run is read once for all tests."""
    return {}


@pytest.fixture(scope="module")
def experiment(own_copy, tmp_path_factory):
    return own_copy(tmp_path_factory.mktemp("pipeline") / "experiment")


@pytest.fixture(scope="module")
def calibration(experiment, known):
    return pipeline.run_recipe(experiment.recipe, known=known)


def test_offsets_come_out_within_half_a_pixel(calibration, experiment):
    truth = np.array(json.loads(experiment.truth.read_text())["offset_px"])
    offsets = np.array([quadrant.offset_px for quadrant in calibration.alignment.quadrants])
    np.testing.assert_allclose(offsets, truth, atol=0.5)


def test_the_mask_leaves_out_every_faulty_pixel(calibration, experiment):
    truth = json.loads(experiment.truth.read_text())
    good = calibration.mask.good.ravel()
    for kind in ("hot", "noisy", "dead", "stuck"):
        assert not good[truth[f"faulty_{kind}"]].any(), kind
    assert good.mean() > 0.99


def test_results_are_saved_and_read_back(calibration):
    files = calibration.files
    assert files["average-r0054"].name == "cxim1416_avg-r0054.cbf"
    np.testing.assert_array_equal(wb.read_mask(files["mask"]).good, calibration.mask.good)
    saved = wb.Geometry.read(files["geometry"]).pixel_positions_um()
    np.testing.assert_allclose(saved, calibration.corrected.pixel_positions_um(), atol=1e-3)
    np.testing.assert_array_equal(
        wb.read_image(files["corrected"]).data, calibration.images.maximum.data
    )
    assert pipeline.load_recipe(files["recipe"]) == calibration.recipe


def test_the_same_recipe_gives_the_same_results(calibration, known):
    again = pipeline.run_recipe(calibration.files["recipe"], known=known, save=False)
    assert pipeline.recipe_hash(again.recipe) == pipeline.recipe_hash(calibration.recipe)
    np.testing.assert_array_equal(again.mask.good, calibration.mask.good)
    assert again.corrected.to_text() == calibration.corrected.to_text()


def test_saved_images_lead_to_the_same_mask_and_geometry(calibration, known):
    files = calibration.files
    recipe = dataclasses.replace(
        calibration.recipe,
        experiment=Experiment(name="cxim1416"),
        images=Images(
            average=str(files["average-r0054"]),
            stddev=str(files["stddev-r0054"]),
            maximum=str(files["maximum"]),
            bright_average=str(files["bright_average"]),
        ),
    )
    again = pipeline.run_recipe(recipe, save=False)
    np.testing.assert_array_equal(again.mask.good, calibration.mask.good)
    np.testing.assert_allclose(
        [quadrant.offset_px for quadrant in again.alignment.quadrants],
        [quadrant.offset_px for quadrant in calibration.alignment.quadrants],
        atol=1e-6,
    )


def test_deploying_installs_a_version_that_serves_the_run(calibration, experiment):
    version = pipeline.deploy(calibration, "quadrants aligned")
    folder = experiment.geometry.parent
    assert (folder / "0-end.data").readlink().name == version.path.name == "0-end.data.v1"
    assert "quadrants aligned" in (folder / "HISTORY").read_text()
    record = json.loads((folder / "0-end.data.v1.json").read_text())
    assert record["recipe_sha256"] == pipeline.recipe_hash(calibration.recipe)
    run = pipeline.open_recipe_run(calibration.recipe, 74)
    served = wb.averages.deployed_geometry(run)
    np.testing.assert_allclose(
        served.pixel_positions_um(), calibration.corrected.pixel_positions_um(), atol=1e-3
    )


def test_a_run_is_averaged_again_only_if_something_changed(calibration):
    recipe = calibration.recipe
    key = pipeline.averaging_key(recipe, 74, recipe.bright_corrections)
    assert key == pipeline.averaging_key(recipe, 74, recipe.bright_corrections)
    assert key != pipeline.averaging_key(recipe, 75, recipe.bright_corrections)
    assert key != pipeline.averaging_key(recipe, 74, wb.Corrections(gain=7.0))
    fewer = recipe.changed("events.limit", 3)
    assert key != pipeline.averaging_key(fewer, 74, recipe.bright_corrections)


def test_paths_in_a_recipe_are_relative_to_its_file(tmp_path):
    (tmp_path / "a.toml").write_text("[experiment]\ncalib_dir = 'calib'\n")
    recipe = pipeline.load_recipe(tmp_path / "a.toml")
    assert recipe.experiment.calib_dir == str(tmp_path / "calib")
    assert recipe.output.folder == str(tmp_path / "calibration")


class TestBadInput:
    def test_an_empty_recipe_says_what_it_needs(self):
        with pytest.raises(RecipeError, match=r"experiment\.dark and experiment\.bright"):
            pipeline.run_recipe(Recipe())

    def test_a_missing_run_is_named_and_nothing_is_written(self, experiment, tmp_path):
        recipe = pipeline.load_recipe(experiment.recipe).changed("experiment.bright", (99,))
        recipe = recipe.changed("output.folder", str(tmp_path / "results"))
        with pytest.raises(RunNotFoundError, match="99"):
            pipeline.run_recipe(recipe)
        assert not (tmp_path / "results").exists()

    def test_cancelling_writes_nothing(self, experiment, tmp_path):
        class Cancelling:
            cancelled = True

            def update(self, done, total=None, message=""):
                pass

        recipe = pipeline.load_recipe(experiment.recipe)
        recipe = recipe.changed("output.folder", str(tmp_path / "results"))
        with pytest.raises(Cancelled, match="nothing was written"):
            pipeline.run_recipe(recipe, Cancelling())
        assert not (tmp_path / "results").exists()
