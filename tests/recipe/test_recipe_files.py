"""A recipe is a readable text file: what is written is read back, what is wrong is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import RecipeError
from workbench.recipe import (
    AlignmentSettings,
    Corrections,
    Events,
    Experiment,
    Images,
    MaskSettings,
    Recipe,
    Thresholds,
    decided,
    read_recipe,
    recipe_from_text,
    recipe_to_text,
    write_recipe,
)

positive = st.floats(1e-3, 1e6)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
recipes = st.builds(
    Recipe,
    experiment=st.builds(
        Experiment,
        name=words,
        dark=st.none() | st.integers(0, 9999),
        bright=st.lists(st.integers(0, 9999), max_size=3).map(tuple),
        detz_offset_mm=st.none() | st.floats(-1e4, 1e4),
        calib_dir=st.none() | words,
    ),
    events=st.builds(Events, skip=st.integers(0, 99), limit=st.none() | st.integers(1, 99)),
    bright_corrections=st.builds(
        Corrections, pedestal=st.booleans(), common_mode=st.booleans(), gain=st.none() | positive
    ),
    mask=st.builds(
        MaskSettings,
        thresholds=st.builds(
            Thresholds, avg_max=positive, stddev_max=positive, maxproj_min=st.floats(-1e4, 1e6)
        ),
        border=st.integers(0, 20),
    ),
    alignment=st.builds(AlignmentSettings, range_px=st.integers(1, 100)),
)


@given(recipes)
def test_what_is_written_is_read_back(recipe):
    assert recipe_from_text(recipe_to_text(recipe)) == recipe


def test_an_empty_text_is_the_default_recipe():
    assert recipe_from_text("") == Recipe()


@pytest.mark.parametrize("text", ["", "# tomorrow\n", "[experiment]\n[mask]\n"])
def test_a_file_without_a_setting_is_named_with_what_is_missing(tmp_path, text):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(RecipeError, match=r"x\.toml: this recipe is empty; set experiment\.name"):
        read_recipe(tmp_path / "x.toml")


def test_the_file_tells_the_unit_of_a_setting():
    assert "maxproj_min = 300.0 # ADU" in recipe_to_text(Recipe())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[mask]\nborder = '3'", "expected a whole number, found '3' in mask.border"),
        ("[mask]\nborder = true", "expected a whole number, found True in mask.border"),
        ("[mask]\nbordr = 3", "unknown setting bordr"),
        ("[mask.thresholds]\navg_max = -1", "avg_max is -1.0; it must be above 0 ADU"),
        ("[mask.thresholds]\navg_max = nan", "avg_max is nan"),
        ("[alignment]\nmethod = 'magic'", "in alignment.method"),
        ("[experiment]\nbright = [1, 'a']", "in experiment.bright[1]"),
        ("mask = 3", "in mask"),
        ("what is this", "not a recipe"),
    ],
)
def test_a_faulty_setting_is_named_in_one_line(text, complaint):
    with pytest.raises(RecipeError) as refused:
        recipe_from_text(text, "r.toml")
    assert str(refused.value).startswith("r.toml: ")
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files(tmp_path):
    path = tmp_path / "x.calibration.toml"
    recipe = Recipe(experiment=Experiment(name="cxim1416", bright=(74, 75)))
    write_recipe(recipe, path)
    assert read_recipe(path) == recipe
    (tmp_path / "junk.toml").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(RecipeError, match="not a text file"):
        read_recipe(tmp_path / "junk.toml")
    with pytest.raises(RecipeError, match=r"cannot read this recipe"):
        read_recipe(tmp_path / "none.toml")


def test_one_setting_is_changed_by_its_dotted_name():
    recipe = Recipe().changed("mask.thresholds.maxproj_min", 250.0)
    assert recipe.mask.thresholds == Thresholds(maxproj_min=250.0)
    assert recipe.setting("mask.thresholds.maxproj_min") == 250.0
    assert Recipe().mask.thresholds.maxproj_min == 300.0
    with pytest.raises(KeyError, match="no setting 'maxproj'"):
        Recipe().changed("mask.thresholds.maxproj", 1.0)
    with pytest.raises(RecipeError, match="must be above 0"):
        Recipe().changed("mask.thresholds.avg_max", 0.0)
    with pytest.raises(RecipeError, match="transform is 'squares'; use sqrt, log, rank, linear"):
        Recipe().changed("alignment.transform", "squares")


def test_decisions_about_groups_end_where_others_are_aligned():
    decided_on = Recipe().changed("decisions.rejected", (2,))
    assert decided_on.changed("alignment.fixed", (0,)).decisions.rejected == (2,)
    assert decided_on.changed("alignment.groups", "sides").decisions.rejected == ()


def test_decided_is_what_differs_from_the_defaults():
    assert decided(Recipe()) == {}
    recipe = Recipe().changed("mask.thresholds.maxproj_min", 250.0).changed("events.skip", 2)
    assert decided(recipe) == {
        "mask": {"thresholds": {"maxproj_min": 250.0}}, "events": {"skip": 2},
    }  # fmt: skip


@given(recipes)
def test_decided_decides(recipe):
    """Nothing else is needed to have the same recipe again."""
    import json

    from workbench.recipe.files import _converter

    plain = json.loads(json.dumps(decided(recipe)))
    assert _converter().structure(plain, Recipe) == recipe


def test_the_head_of_the_file_names_the_detector_as_far_as_the_recipe_tells_it():
    heads = {
        address: recipe_to_text(Recipe(experiment=Experiment(address=address))).split(".")[0]
        for address in ("CxiDs1.0:Cspad.0", "MfxEndstation.0:Epix10ka2M.0", "CxiDs1.0:Jungfrau.0",
                        "epix_lcls2")
    }  # fmt: skip
    assert list(heads.values()) == [
        "# CSPAD calibration recipe", "# ePix10k2M calibration recipe",
        "# Jungfrau calibration recipe", "# Calibration recipe",
    ]  # fmt: skip
    of_images = recipe_to_text(Recipe(images=Images(maximum="agipd_max.h5")))
    assert of_images.startswith("# Calibration recipe.")


def test_a_value_of_several_lines_does_not_break_the_message():
    text = '[[mask.layers]]\nkind = "wide"\nmode = """union\nor so"""\n'
    with pytest.raises(RecipeError, match=r"union\\nor so") as refusal:
        recipe_from_text(text)
    assert str(refusal.value).isprintable()
