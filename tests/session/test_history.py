"""Undo and redo over recipes."""

from hypothesis import given
from hypothesis import strategies as st

from workbench.recipe import Recipe
from workbench.session.history import History


def recipe(value):
    return Recipe().changed("mask.border", value)


def test_a_drag_is_one_step():
    past = History(recipe(0))
    for value in range(1, 50):
        past.set(recipe(value), "mask.border", within=1.0)
    assert past.undo()
    assert past.recipe == recipe(0)
    assert past.redo()
    assert past.recipe == recipe(49)


def test_clicks_are_steps_of_their_own_however_quick():
    past = History(recipe(0))
    past.set(recipe(1), "mask.border")
    past.set(recipe(2), "mask.border")
    past.undo()
    assert past.recipe == recipe(1)


def test_a_new_change_after_undo_forgets_what_was_undone():
    past = History(recipe(0))
    past.set(recipe(1), "border")
    past.set(recipe(2), "border")
    past.undo()
    past.set(recipe(3), "border")
    assert past.redoable is None
    past.undo()
    assert past.recipe == recipe(1)


def test_setting_the_same_recipe_is_no_step():
    past = History(recipe(0))
    assert not past.set(recipe(0), "border")
    assert past.undoable is None


@given(st.lists(st.one_of(st.integers(0, 9), st.sampled_from(["undo", "redo"])), max_size=60))
def test_undo_and_redo_follow_a_plain_list(steps):
    past, model, at = History(recipe(0)), [0], 0
    for number, step in enumerate(steps):
        if step == "undo":
            past.undo()
            at = max(0, at - 1)
        elif step == "redo":
            past.redo()
            at = min(len(model) - 1, at + 1)
        elif past.set(recipe(step), f"reason {number}"):
            model[at + 1 :] = [step]
            at += 1
        assert past.recipe == recipe(model[at])
