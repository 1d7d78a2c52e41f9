"""Selection of the events of a run."""

import pytest

from workbench.errors import RecipeError
from workbench.recipe import Events, Recipe, recipe_from_text, recipe_to_text


def used(selection: Events, n: int = 20, codes=lambda i: (140,), energy=lambda i: 9500.0):
    chosen = []
    for index in range(n):
        if selection.finished(index, len(chosen)):
            break
        if selection.why_not_index(index) or selection.why_not_beam(codes(index), energy(index)):
            continue
        chosen.append(index)
    return chosen


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Events(), list(range(20))),
        (Events(skip=3, limit=4), [3, 4, 5, 6]),
        (Events(skip=1, every=6), [1, 7, 13, 19]),
        (Events(skip=4, stop=7), [4, 5, 6]),
        (Events(indices=(12, 3, 40)), [3, 12]),
        (Events(indices=(12, 3), limit=1), [3]),
    ],
)
def test_count_skip_range_and_list(selection, chosen):
    assert used(selection) == chosen


def test_event_codes_and_photon_energy():
    by_code = Events(event_codes=(162, 163))
    assert used(by_code, codes=lambda i: (140, 162) if i % 5 == 0 else (140,)) == [0, 5, 10, 15]
    window = Events(photon_energy_min_ev=9495, photon_energy_max_ev=9496)
    assert used(window, energy=lambda i: 9490.0 + i) == [5, 6]
    assert window.why_not_beam((), None) == "photon energy unknown"
    assert window.uses_beamline
    assert not Events(skip=3).uses_beamline


@pytest.mark.parametrize(
    "text",
    ["skip = -1", "limit = 0", "every = 0", "stop = 0", "indices = [-1]",
     "photon_energy_min_ev = 2\nphoton_energy_max_ev = 1"],
)  # fmt: skip
def test_selections_of_nothing_are_refused(text):
    with pytest.raises(RecipeError):
        recipe_from_text("[events]\n" + text)


def test_a_selection_survives_the_recipe_file():
    events = Events(2, 30, 3, 99, (5, 8), (140,), 9400.0, 9600.0)
    recipe = Recipe(events=events)
    assert recipe_from_text(recipe_to_text(recipe)) == recipe
