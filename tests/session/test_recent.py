"""Where one left off: calibrations remembered in the state folder, averages kept in files."""

import os
import time

import numpy as np
import pytest

from workbench import pipeline
from workbench.recipe import Experiment, Recipe
from workbench.session import recent


@pytest.fixture(autouse=True)
def state_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "cspad-workbench"


def recipe(run=74, border=0):
    made = Recipe(experiment=Experiment(name="cxim1416", dark=54, bright=(run,)))
    return pipeline.resolve(made.changed("mask.border", border), "/data")


def test_the_state_folder_follows_the_convention_of_the_system(monkeypatch, state_folder):
    assert recent.state_folder() == state_folder
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(recent.state_folder()) == "/home/somebody/.local/state/cspad-workbench"


def test_a_recipe_that_names_nothing_is_not_remembered(state_folder):
    assert recent.remember(Recipe()) is None
    assert not state_folder.exists()
    assert recent.remembered() == []


def test_one_file_for_each_calibration_with_its_newest_settings():
    for border in (1, 2, 3):
        recent.remember(recipe(74, border))
    recent.remember(recipe(75, 7))
    found = {one.recipe.experiment.bright: one.recipe.mask.border for one in recent.remembered()}
    assert found == {(74,): 3, (75,): 7}


def test_the_newest_comes_first_and_says_what_it_is():
    for number, run in enumerate((70, 71, 72)):
        path = recent.remember(recipe(run))
        os.utime(path, (1e9 + number, 1e9 + number))
    titles = [one.title for one in recent.remembered()]
    assert titles[0].startswith("cxim1416, dark run 54, bright run 72 – 2001-09-0")
    assert [title.split("bright run ")[1][:2] for title in titles] == ["72", "71", "70"]


def test_only_so_many_are_kept():
    for run in range(recent.KEPT + 5):
        path = recent.remember(recipe(run + 1))
        os.utime(path, (1e9 + run, 1e9 + run))
    assert len(recent.remembered()) <= recent.KEPT + 1


def test_a_damaged_file_is_passed_over(state_folder):
    recent.remember(recipe(74))
    (state_folder / "broken.calibration.toml").write_text("= nonsense")
    assert len(recent.remembered()) == 1


def test_the_same_runs_are_recognised_and_how_far_they_were():
    recent.remember(recipe(74, 5), recent.Stage("mask", True))
    found = recent.same_calibration(recipe(74, 0))
    assert found.recipe.mask.border == 5
    assert found.stage == recent.Stage("mask", aligned=True)
    assert recent.same_calibration(recipe(75, 0)) is None
    found.path.with_suffix(".json").write_text("[1")
    assert recent.same_calibration(recipe(74, 0)).stage == recent.Stage()


@pytest.fixture
def averaged(sample):
    found = pipeline.load_recipe(sample.recipe)
    run = found.experiment.dark
    key = pipeline.averaging_key(found, run, found.dark_corrections)
    return key, pipeline.average_one(found, run, found.dark_corrections)


def test_averages_come_back_from_files_as_they_were(averaged, tmp_path):
    key, images = averaged
    said = []
    pipeline.AverageCache(tmp_path / "kept", said.append)[key] = images
    assert "kept in" in said[0]
    again = pipeline.AverageCache(tmp_path / "kept")
    assert key in again
    assert "other" not in again
    found = again[key]
    for name in ("average", "stddev", "maximum", "minimum", "pixel_count"):
        assert np.array_equal(getattr(found, name), getattr(images, name))
    assert found.describe() == images.describe()
    assert found.provenance["run"] == images.provenance["run"]
    del again[key]
    assert list((tmp_path / "kept").iterdir()) == []
    with pytest.raises(KeyError):
        again[key]


def test_averages_of_other_software_or_damaged_ones_are_not_used(averaged, sample, tmp_path):
    key, images = averaged
    pipeline.AverageCache(tmp_path)[key] = images
    facts = next(tmp_path.glob("*.json"))
    text = facts.read_text()
    facts.write_text(text.replace('"numpy": "', '"numpy": "0.'))
    with pytest.raises(KeyError):
        pipeline.AverageCache(tmp_path)[key]
    found = pipeline.load_recipe(sample.recipe)
    kept = pipeline.AverageCache(tmp_path)
    again = pipeline.average_one(found, found.experiment.dark, found.dark_corrections, known=kept)
    assert np.array_equal(again.average, images.average)  # averaged again, and kept anew
    assert pipeline.AverageCache(tmp_path)[key].count == images.count
    facts.write_text(text)
    next(tmp_path.glob("*.npz")).write_bytes(b"PK damaged")
    with pytest.raises(KeyError):
        pipeline.AverageCache(tmp_path)[key]


def test_where_nothing_can_be_written_averages_stay_in_memory(averaged, tmp_path):
    key, images = averaged
    (tmp_path / "kept").write_text("a file where the folder should be")
    said = []
    kept = pipeline.AverageCache(tmp_path / "kept", said.append)
    kept[key] = images
    assert kept[key] is images
    assert "in memory only" in said[0]


def test_in_memory_the_newest_of_each_run_stays(averaged):
    _, images = averaged
    kept = pipeline.AverageCache()
    kept["a"] = kept["b"] = images
    assert list(kept) == ["b"]
    assert "a" not in kept


def test_of_each_run_the_newest_averages_stay_on_disk(averaged, tmp_path):
    _, images = averaged
    kept = pipeline.AverageCache(tmp_path)
    for number in range(3):
        kept[f"{number}" * 64] = images
        time.sleep(0.01)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    assert "2" * 64 in pipeline.AverageCache(tmp_path)
