"""Layers in the recipe: written as text, read back, errors that name the setting."""

import math
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import RecipeError
from workbench.recipe import MaskSettings, Recipe, Thresholds, recipe_from_text, recipe_to_text
from workbench.recipe import mask as layers

SAMPLES = (
    layers.BorderLayer("edges", pixels=2, of="asic"),
    layers.WideLayer(on=False),
    layers.UnbondedLayer(neighbours=8),
    layers.GrowLayer(pixels=3, neighbours=4, of=("average_high",)),
    layers.IslandLayer(smaller_than=9),
    layers.SaturatedLayer(level=15000.0),
    layers.OccupancyLayer(at_least=0.9),
    layers.OutlierLayer(image="stddev", sigmas=4.5),
    layers.ResolutionLayer(from_angstrom=3.5, to_angstrom=3.8),
    layers.RadiusLayer(to_mm=4.0),
    layers.RectangleLayer(x_mm=(-1.0, 2.0), y_mm=(0.0, 3.0)),
    layers.CircleLayer("beam stop", centre_mm=(0.1, -0.2), radius_mm=3.0),
    layers.PolygonLayer(mode="exclude", points_mm=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))),
    layers.LineLayer(start_mm=(0.0, 0.0), end_mm=(30.0, 0.0), width_mm=2.0),
    layers.PixelLayer(pixels=((0, 1, 2), (31, 184, 387))),
    layers.PartLayer(mode="intersection", parts=("Q0", "Q1S2", "Q3S7A1")),
    layers.FileLayer(path="old.pickle", sha256="ab" * 32),
)


def test_every_kind_has_a_sample_here():
    assert {type(sample) for sample in SAMPLES} == set(get_args(layers.Layer))
    assert len({sample.kind for sample in SAMPLES}) == len(SAMPLES)


def test_all_layers_survive_the_recipe_text():
    recipe = Recipe(mask=MaskSettings(low_gain=Thresholds(avg_max=3000.0), layers=SAMPLES))
    assert recipe_from_text(recipe_to_text(recipe)) == recipe


finite = st.floats(-500, 500)
point = st.tuples(finite, finite)
any_layer = st.one_of(
    st.builds(layers.CircleLayer, name=st.text(max_size=5), centre_mm=point,
              radius_mm=st.floats(1e-3, 1e3)),
    st.builds(layers.PolygonLayer, on=st.booleans(),
              points_mm=st.lists(point, min_size=3, max_size=6).map(tuple)),
    st.builds(layers.ResolutionLayer, from_angstrom=st.floats(0, 2),
              to_angstrom=st.floats(3, 9) | st.just(math.inf)),
    st.builds(layers.PixelLayer, pixels=st.lists(
        st.tuples(st.integers(0, 31), st.integers(0, 184), st.integers(0, 387)),
        max_size=4).map(tuple)),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(stack=st.lists(any_layer, max_size=4).map(tuple), border=st.integers(0, 9))
def test_any_stack_survives_the_recipe_text(stack, border):
    recipe = Recipe(mask=MaskSettings(border=border, layers=stack))
    assert recipe_from_text(recipe_to_text(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('kind = "circel"', ["circel", "circle", "layers[0]"]),
        ('name = "x"', ["kind"]),
        ("kind = 3", ["kind"]),
        ('kind = "circle"\nradius = 3', ["unknown setting radius", "radius_mm"]),
        ('kind = "circle"\nradius_mm = -3', ["above 0"]),
        ('kind = "circle"\nradius_mm = "wide"', ["a number", "radius_mm"]),
        ('kind = "circle"\nmode = "onion"', ["onion", "mode"]),
        ('kind = "circle"\non = 1', ["true or false"]),
        ('kind = "rectangle"\nx_mm = [3, 1]', ["from < to"]),
        ('kind = "polygon"\npoints_mm = [[0, 0], [1, 1]]', ["3 or more"]),
        ('kind = "polygon"\npoints_mm = [[0, 0], [1, 1], [nan, 0]]', ["not finite"]),
        ('kind = "pixels"\npixels = [[1, 2]]', ["layers[0].pixels[0]"]),
        ('kind = "pixels"\npixels = [[1, 2, -1]]', ["-1", "from 0"]),
        ('kind = "part"\nparts = ["quadrant 2"]', ["quadrant 2", "Q0S5"]),
        ('kind = "resolution"\nfrom_angstrom = 5\nto_angstrom = 3', ["not a range"]),
        ('kind = "radius"\nfrom_mm = -1', ["not a range"]),
        ('kind = "grow"\npixels = 0', ["1 to 50"]),
        ('kind = "border"\npixels = 0', ["1 or more"]),
        ('kind = "island"\nsmaller_than = 1', ["2 or more"]),
        ('kind = "occupancy"\nat_least = 2', ["0 to 1"]),
        ('kind = "outlier"\nsigmas = 0', ["above 0"]),
        ('kind = "outlier"\nradius = 9', ["1 to 5"]),
        ('kind = "unbonded"\nneighbours = 5', ["5", "neighbours"]),
        ('kind = "line"\nwidth_mm = 0', ["above 0"]),
        ('kind = "saturated"\nlevel = inf', ["finite"]),
        ('kind = "file"', ["path is empty"]),
    ],
)
def test_a_faulty_layer_is_refused_by_name(text, words):
    with pytest.raises(RecipeError) as caught:
        recipe_from_text(f"[[mask.layers]]\n{text}\n", "my.toml")
    message = str(caught.value)
    assert message.startswith("my.toml: ")
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("text", ["layers = 3", "layers = [3]", "low_gain = 5", "border = -1"])
def test_a_faulty_mask_section_is_refused(text):
    with pytest.raises(RecipeError):
        recipe_from_text(f"[mask]\n{text}\n")


def test_a_pixel_has_three_numbers():
    with pytest.raises(RecipeError, match="no pixel"):
        layers.PixelLayer(pixels=((1, 2),))


def test_lists_become_tuples():
    """A drawing in the notebook gives lists; settings are compared and used as keys."""
    drawn = layers.PolygonLayer(points_mm=[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert drawn == layers.PolygonLayer(points_mm=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    settings = MaskSettings(layers=[drawn])
    assert hash(settings) == hash(MaskSettings(layers=(drawn,)))
    assert recipe_from_text(recipe_to_text(Recipe(mask=settings))).mask == settings
