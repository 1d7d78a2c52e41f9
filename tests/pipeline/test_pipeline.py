"""A recipe runs from raw files to an installed geometry; the same recipe gives the same results."""

import dataclasses
import json

import numpy as np
import pytest

import workbench as wb
from workbench import pipeline
from workbench.errors import Cancelled, RecipeError, RunNotFoundError, WorkbenchError
from workbench.recipe import Experiment, Images, Recipe, decided, recipe_from_text

pytestmark = pytest.mark.usefixtures("aligned_once")


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


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_results(calibration, known, aligned_once, monkeypatch):
    monkeypatch.setattr("workbench.alignment.align_quadrants", aligned_once)
    again = pipeline.run_recipe(calibration.files["recipe"], known=known, save=False)
    assert pipeline.recipe_hash(again.recipe) == pipeline.recipe_hash(calibration.recipe)
    np.testing.assert_array_equal(again.mask.good, calibration.mask.good)
    assert again.corrected.to_text() == calibration.corrected.to_text()


@pytest.mark.slow
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
    read = {file["path"] for file in run.describe()["files"]}
    assert read
    assert read <= {file["path"] for file in record["inputs"]}
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


def test_a_run_whose_images_are_named_as_files_need_not_be_averaged(calibration):
    recipe = calibration.recipe.changed("experiment.dark", None)
    assert not pipeline.has_averages(recipe, {})
    assert pipeline.has_averages(recipe.changed("images.maximum", "max.cbf"), {})


@pytest.fixture(scope="module")
def divided(calibration, tmp_path_factory):
    """The same calibration from halves of the events, by maps, and where averages are kept."""
    folder = tmp_path_factory.mktemp("divided")
    calibration.geometry.write(folder / "start.data")  # others may be deployed by now
    recipe = calibration.recipe.changed("alignment.halves", "odd-even")
    recipe = recipe.changed("alignment.refine", "none")
    recipe = recipe.changed("experiment.geometry", str(folder / "start.data"))
    recipe = recipe.changed("output.folder", str(folder / "out"))
    return pipeline.run_recipe(
        recipe, known=pipeline.AverageCache(folder / "kept")
    ), folder / "kept"


@pytest.mark.slow
class TestHalvesOfTheEvents:
    def test_are_compared_where_the_recipe_asks_for_it(self, divided, calibration):
        recipe = divided[0].recipe.changed("alignment.refine", "rings")
        found = pipeline.align_recipe(recipe, divided[0].images, divided[0].mask)
        apart = [one.measures.event_halves_apart_px for one in found.quadrants]
        assert max(apart) < 0.2
        np.testing.assert_allclose(found.offsets_px, calibration.alignment.offsets_px, atol=1e-3)
        np.testing.assert_array_equal(divided[0].mask.good, calibration.mask.good)
        undivided = calibration.alignment.quadrants[0].measures
        assert np.isnan(undivided.event_halves_apart_px)

    def test_are_of_the_image_that_is_aligned_and_saved(self, divided):
        images, files = divided[0].images, divided[0].files
        odd, even = images.halves["average"]
        assert odd.count + even.count == images.bright_average.count
        weighted = (odd.count * odd.data + even.count * even.data) / (odd.count + even.count)
        np.testing.assert_allclose(weighted, images.bright_average.data, rtol=1e-9, atol=1e-9)
        brightest = np.maximum(*(half.data for half in images.halves["maximum"]))
        np.testing.assert_array_equal(brightest, images.maximum.data)
        assert files["odd average"].name == "cxim1416_all_odd-avg.cbf"
        assert files["even average-r0074"].name == "cxim1416_even-avg-r0074.cbf"
        assert files["corrected"].name == "cxim1416_all_max_cc.cbf"
        np.testing.assert_array_equal(wb.read_image(files["even average"]).data, even.data)
        assert "odd average-r0054" not in files  # the dark run has nothing to be compared

    def test_are_kept_with_the_averages(self, divided):
        calibration, folder = divided
        recipe = calibration.recipe
        known = pipeline.AverageCache(folder)
        assert pipeline.has_averages(recipe, known)
        key = pipeline.averaging_key(recipe, 74, recipe.bright_corrections, "odd-even")
        for kept, made in zip(known[key].halves, calibration.images.bright[0].halves, strict=True):
            np.testing.assert_array_equal(kept.average, made.average)
            assert kept.provenance["half"] == made.provenance["half"]
        assert not pipeline.has_averages(recipe.changed("alignment.halves", "none"), known)
        del known[key]
        assert not list(folder.glob("*r0074*"))

    def test_leave_hashes_alone_unless_asked_for(self):
        recipe = Recipe()
        asked = recipe.changed("alignment.halves", "first-last")
        assert "halves" not in str(decided(recipe))
        assert pipeline.recipe_hash(recipe) != pipeline.recipe_hash(asked)
        with pytest.raises(RecipeError, match="halves"):
            recipe_from_text("[alignment]\nhalves = 'thirds'")

    def test_follow_the_choice_of_the_image(self, divided, monkeypatch):
        asked = []
        monkeypatch.setattr(
            "workbench.alignment.align_quadrants",
            lambda image, *_, halves, **__: asked.append((image, halves)) or divided[0].alignment,
        )
        images = divided[0].images
        for kind, image in (("average", images.bright_average), ("maximum", images.maximum)):
            recipe = divided[0].recipe.changed("alignment.image", kind)
            pipeline.align_recipe(recipe, images, None)
            assert asked.pop() == (image, images.halves[kind])

    def test_that_cannot_be_had_are_told(self, calibration):
        recipe = calibration.recipe.changed("alignment.halves", "odd-even")
        recipe = recipe.changed("alignment.refine", "none").changed("alignment.range_px", 2)
        found = pipeline.align_recipe(recipe, calibration.images, calibration.mask)
        assert "not averaged in halves" in " ".join(found.warnings)


def test_paths_in_a_recipe_are_relative_to_its_file(tmp_path):
    (tmp_path / "a.toml").write_text("[experiment]\ncalib_dir = 'calib'\n")
    recipe = pipeline.load_recipe(tmp_path / "a.toml")
    assert recipe.experiment.calib_dir == str(tmp_path / "calib")
    assert recipe.output.folder == str(tmp_path / "calibration")


class TestBadInput:
    def test_an_empty_recipe_says_what_it_needs(self):
        with pytest.raises(RecipeError, match=r"experiment\.dark and experiment\.bright"):
            pipeline.run_recipe(Recipe())

    def test_a_missing_geometry_is_told_before_any_run_is_averaged(self, experiment, tmp_path):
        recipe = pipeline.load_recipe(experiment.recipe)
        recipe = recipe.changed("experiment.geometry", str(tmp_path / "none.data"))
        known = {}
        with pytest.raises(WorkbenchError, match=r"none\.data"):
            pipeline.gather_images(recipe, known=known)
        assert known == {}

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
