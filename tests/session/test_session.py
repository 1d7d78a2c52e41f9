"""The state behind the panels: what is stale, undo, decisions, errors."""

import dataclasses
import threading

import numpy as np
import pytest

from workbench.errors import RecipeError, WorkbenchError
from workbench.mask import build_mask
from workbench.recipe import Images, Recipe
from workbench.recipe import mask as layers
from workbench.session import Session, State
from workbench.session.status import STEPS

pytestmark = pytest.mark.usefixtures("aligned_once")


def states(session):
    return [session.status(step).state for step in ("images", "mask", "alignment", "geometry")]


def test_a_new_session_has_nothing():
    assert states(Session()) == [State.NOT_STARTED] * 4


def test_the_mask_follows_the_images_by_itself(session, image_set):
    assert states(session)[:2] == [State.DONE, State.DONE]
    expected = build_mask(
        session.recipe.mask, image_set.average, image_set.stddev, image_set.maximum
    )
    assert np.array_equal(session.mask.good, expected.good)


def test_a_changed_threshold_gives_the_mask_of_that_threshold(session, image_set):
    for value in range(300, 900, 7):
        session.change("mask.thresholds.maxproj_min", float(value))
    session.wait(300)
    expected = build_mask(
        session.recipe.mask, image_set.average, image_set.stddev, image_set.maximum
    )
    assert session.recipe.mask.thresholds.maxproj_min == 895
    assert np.array_equal(session.mask.good, expected.good)
    assert session.counts.counts == expected.counts


def test_changing_the_mask_makes_the_alignment_stale_and_undo_makes_it_good_again(session):
    session.compute_alignment()
    session.wait(300)
    assert session.status("alignment").state == State.DONE
    session.change("mask.thresholds.maxproj_min", 500.0)
    session.wait(300)
    assert session.status("mask").state == State.DONE
    assert session.status("alignment").state == State.STALE
    session.undo()
    session.wait(300)
    assert session.status("alignment").state == State.DONE


def test_a_change_taken_back_while_its_mask_is_being_made_leaves_the_mask_of_before(session):
    before = session.mask.good

    def take_back():
        if session.history.undoable:
            session.undo()

    session.subscribe("counts", take_back)
    session.change("mask.thresholds.maxproj_min", 500.0)
    session.wait(300)
    assert session.status("mask").state == State.DONE
    assert np.array_equal(session.mask.good, before)


def test_alignment_finds_the_offsets_and_a_nudge_is_in_the_recipe(session, offsets):
    session.compute_alignment()
    session.wait(300)
    assert np.abs(session.alignment.offsets_px - offsets).max() < 0.5
    x, y = session.alignment.quadrants[2].offset_px
    session.nudge(2, 0.1, -0.2)
    assert session.recipe.decisions.overruled == (
        (2.0, pytest.approx(x + 0.1, abs=1e-3), pytest.approx(y - 0.2, abs=1e-3)),
    )
    assert session.alignment.quadrants[2].verdict == "overruled"
    session.accept(1, False)
    assert np.array_equal(session.alignment.applied_px[1], [0, 0])
    session.change("alignment.groups", "sides")  # decisions about quadrants are none about sides
    assert np.array_equal(session.alignment.applied_px, session.alignment.offsets_px)
    with pytest.raises(WorkbenchError, match="find the offsets again first"):
        session.accept(1, False)
    session.undo()
    assert np.array_equal(session.alignment.applied_px[1], [0, 0])
    session.undo()
    session.undo()
    assert session.recipe.decisions.overruled == ()


def test_a_quadrant_kept_in_place_by_the_search_is_used_if_a_person_says_so(session):
    session.compute_alignment()
    session.wait(300)
    doubted = session.results.search_result.with_accepted(1, False)
    lost = dataclasses.replace(doubted.quadrants[2], verdict="not determined", accepted=False)
    quadrants = (*doubted.quadrants[:2], lost, doubted.quadrants[3])
    session.results.search_result = dataclasses.replace(doubted, quadrants=quadrants)
    session.accept(1)
    assert session.alignment.applied_px[1] == pytest.approx(doubted.offsets_px[1], abs=1e-3)
    with pytest.raises(WorkbenchError, match="no offset to use"):
        session.accept(2)


def test_a_refused_setting_changes_nothing(session):
    before = session.recipe
    with pytest.raises(WorkbenchError, match="avg_max"):
        session.change("mask.thresholds.avg_max", -1.0)
    assert session.recipe == before
    assert session.history.undoable is None


def test_layers_are_added_replaced_moved_and_removed(session):
    good = int(session.mask.good.sum())
    session.add_layer(layers.UnbondedLayer(name="a"))
    session.add_layer(layers.WideLayer(name="b"))
    session.wait(300)
    assert int(session.mask.good.sum()) < good
    session.move_layer(1, -1)
    assert [layer.name for layer in session.recipe.mask.layers] == ["b", "a"]
    session.set_layer(0, None)
    session.set_layer(0, layers.UnbondedLayer(name="a", on=False))
    session.wait(300)
    assert int(session.mask.good.sum()) == good
    with pytest.raises(WorkbenchError, match="no layer"):
        session.set_layer(5, None)


def test_an_error_in_the_work_is_the_status_of_its_step():
    session = Session(Recipe())
    session.compute_images()
    with pytest.raises(RecipeError):
        session.wait(300)
    status = session.status("images")
    assert status.state == State.FAILED
    assert "experiment" in status.message
    session.change("experiment.name", "cxim1416")
    assert session.status("images").state == State.NOT_STARTED


def test_work_before_its_input_says_what_to_do_first():
    session = Session()
    session.compute_alignment()
    with pytest.raises(WorkbenchError, match="average a bright run"):
        session.wait(300)
    with pytest.raises(WorkbenchError, match="first"):
        session.nudge(0, 0.1, 0)
    with pytest.raises(WorkbenchError, match="first"):
        session.store.plan()
    with pytest.raises(WorkbenchError, match="first"):
        session.save_mask()


def test_a_stale_alignment_is_not_deployed(session):
    session.compute_alignment()
    session.wait(300)
    session.change("alignment.range_px", 15)
    with pytest.raises(WorkbenchError, match="alignment step is not up to date"):
        session.store.plan()


def test_of_image_files_the_geometry_alone_decides_not_where_versions_are_kept():
    session = Session(Recipe().changed("images", Images("avg.cbf", "std.cbf", "max.cbf")))
    keys = {step: session.results.key(step) for step in STEPS}
    session.change("experiment.calib_dir", "calib")
    session.change("experiment.address", "CxiDs1.0:Jungfrau.0")
    same = [step for step in STEPS if session.results.key(step) == keys[step]]
    assert same == ["images", "mask", "alignment"]
    session.change("experiment.geometry", "0-end.data")
    assert session.results.key("images") != keys["images"]
    with_runs = session.recipe.changed("experiment.dark", 54).changed("images.stddev", None)
    session = Session(with_runs)
    before = session.results.key("images")
    session.change("experiment.calib_dir", "other")
    assert session.results.key("images") != before


def test_recipe_is_saved_and_read_again(session, tmp_path):
    from workbench.recipe import read_recipe

    session.change("mask.border", 2)
    path = session.save_recipe(tmp_path / "mine.calibration.toml")
    assert read_recipe(path) == session.recipe
    assert session.history.path == path


def test_a_listener_that_fails_is_logged_and_the_others_are_told(session):
    told = []

    def broken():
        raise ValueError("broken listener")

    session.subscribe("recipe", broken)
    session.subscribe("recipe", lambda: told.append(1))
    session.change("mask.border", 1)
    assert told == [1]
    with pytest.raises(ValueError, match="broken listener"):
        session.wait(300)


def test_sliders_stay_alive_while_long_work_runs(session):
    done = threading.Event()
    session.do_slowly("long", lambda: done.wait(300))
    session.change("mask.thresholds.maxproj_min", 450.0)
    try:
        assert session.jobs.quick.wait(300)
        assert session.status("mask").state == State.DONE
        assert session.jobs.slow.busy
    finally:
        done.set()


def key_changes(session, path, value):
    """States after a change, and after it is undone."""
    session.change(path, value)
    session.wait(300)
    found = states(session)
    session.undo()
    session.wait(300)
    assert states(session) == [State.DONE] * 3 + [State.NOT_STARTED]
    return found


DONE, STALE, NOTHING = State.DONE, State.STALE, State.NOT_STARTED


def test_each_input_marks_what_depends_on_it_and_nothing_else(session):
    session.compute_alignment()
    session.wait(300)
    circle = layers.CircleLayer(name="a", radius_mm=20.0)
    masked = [DONE, DONE, STALE, NOTHING]  # the mask follows by itself
    for path, value, expected in (
        ("experiment.dark", 1, [STALE] * 3 + [NOTHING]),
        ("experiment.bright", (2, 3), [STALE] * 3 + [NOTHING]),
        ("experiment.detz_offset_mm", 3.0, [STALE] * 3 + [NOTHING]),
        ("images.maximum", "/nowhere.cbf", [STALE] * 3 + [NOTHING]),
        ("events.skip", 1, [STALE] * 3 + [NOTHING]),
        ("dark_corrections.common_mode", True, [STALE] * 3 + [NOTHING]),
        ("bright_corrections.common_mode", True, [STALE] * 3 + [NOTHING]),
        ("mask.thresholds.avg_max", 1000.0, masked),
        ("mask.border", 1, masked),
        ("mask.layers", (circle,), masked),
        ("mask.layers", (layers.CircleLayer(on=False),), [DONE] * 3 + [NOTHING]),
        ("alignment.range_px", 5, [DONE, DONE, STALE, NOTHING]),
        ("alignment.halves", "odd-even", [STALE] * 3 + [NOTHING]),
        ("decisions.rejected", (1,), [DONE] * 3 + [NOTHING]),
        ("output.folder", "elsewhere", [DONE] * 3 + [NOTHING]),
    ):
        assert key_changes(session, path, value) == expected, path


def test_offsets_found_on_images_out_of_date_are_out_of_date(session):
    session.change("events.skip", 1)
    session.compute_alignment()
    session.wait(300)
    assert session.alignment is not None
    assert states(session)[:3] == [STALE] * 3


def test_offsets_asked_for_at_once_wait_for_the_mask(session, image_set):
    session.compute_alignment()
    session.wait(300)
    quick = Session(session.recipe)
    quick.use_images(image_set)
    quick.compute_alignment()
    quick.wait(300)
    assert np.array_equal(quick.alignment.offsets_px, session.alignment.offsets_px)


def test_a_new_name_for_a_layer_changes_no_pixel_and_no_alignment(session):
    session.add_layer(layers.CircleLayer(name="a", radius_mm=20.0))
    session.wait(300)
    session.compute_alignment()
    session.wait(300)
    session.set_layer(0, layers.CircleLayer(name="b", radius_mm=20.0))
    session.wait(300)
    assert states(session)[:3] == [DONE] * 3
    assert any(one.name == "b" for one in session.mask.removals) or "b" in str(session.mask.counts)
    session.set_layer(0, layers.CircleLayer(name="b", radius_mm=21.0))
    assert states(session)[2] == STALE
