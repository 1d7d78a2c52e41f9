"""The workbench as a whole: panels, what each shows of the detector, layout, log, save."""

import pytest

from workbench.errors import WorkbenchError
from workbench.ui.app import Workbench


@pytest.fixture
def bench(image_set, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Workbench()
    made.session.use_images(image_set)
    made.session.wait(60)
    return made


def test_each_panel_shows_the_detector_in_its_own_way(bench):
    view = bench.view
    assert (view.tiles, view.show_mask) == ("side by side", False)
    bench.open(bench.mask)
    assert (view.show_mask, view.can_draw, view.show_rings) == (True, True, False)
    bench.open(bench.quadrants)
    assert (view.tiles, view.show_mask, view.show_rings) == ("maximum", False, True)


def test_a_panel_finds_the_view_as_it_was_left(bench):
    bench.open(bench.mask)
    bench.view.tiles, bench.view.show_outlines, bench.view.mode = "all four", True, "circle"
    bench.open(bench.quadrants)
    assert bench.view.mode == "pan"
    bench.open(bench.mask)
    assert (bench.view.tiles, bench.view.show_outlines, bench.view.mode) == (
        "all four",
        True,
        "pan",
    )
    bench.open(bench.mask)
    assert bench.view.tiles == "all four"


def test_before_there_are_images_the_first_panel_stands_alone(image_set, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bench = Workbench()
    assert bench.view.layout.display == "none"
    assert "cw-beside" not in bench.main._dom_classes
    bench.open(bench.quadrants)
    assert bench.view.layout.display == ""
    bench.open(bench.run)
    bench.session.use_images(image_set)
    assert bench.view.layout.display == ""
    assert "cw-beside" in bench.main._dom_classes
    bench.open(bench.mask)
    assert "cw-wide-beside" in bench.main._dom_classes
    assert "cw-beside" not in bench.main._dom_classes


def test_states_are_seen_on_the_steps(bench):
    assert "2 Mask – done" in bench.steps[1].description
    assert "cw-is-done" in bench.steps[1]._dom_classes
    bench.session.change("experiment.name", "cxim1416")
    assert "stale" in bench.steps[0].description
    assert {"cw-is-stale"} == {c for c in bench.steps[0]._dom_classes if c.startswith("cw-is")}


def test_an_error_in_a_callback_is_in_the_panel_in_the_head_and_in_the_log(bench, monkeypatch):
    def broken():
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(bench.mask.session.results, "suggestions", broken)
    bench.mask.suggest.click()
    assert "of all things" in bench.mask.message.value
    assert "of all things" in bench.status.value
    bench.drawer.selected_index = 0
    assert "Traceback" in bench.log.value
    with pytest.raises(ZeroDivisionError):
        bench.session.wait(60)


def test_saving_tells_what_was_written(bench, tmp_path):
    bench.save_button.click()
    assert "files written to" in bench.status.value
    assert (tmp_path / "calibration" / "mask.pickle").is_file()


def test_saving_before_there_are_results_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bench = Workbench()
    bench.open(bench.quadrants)
    bench.save_button.click()
    assert "average the runs first" in bench.quadrants.message.value
    with pytest.raises(WorkbenchError):
        bench.session.wait(60)


def test_the_recipe_drawer_shows_what_a_script_runs(bench):
    bench.drawer.selected_index = 1
    bench.session.change("mask.border", 3)
    assert "border = 3" in bench.recipe_text.value
