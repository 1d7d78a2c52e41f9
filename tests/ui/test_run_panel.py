"""Choosing what is calibrated: runs on disk, image files, recipes, what was done lately."""

import time
from pathlib import Path

import numpy as np
import pytest

from workbench import pipeline
from workbench.errors import WorkbenchError
from workbench.recipe import write_recipe
from workbench.session import State
from workbench.ui import MaskPanel, RunPanel, Session
from workbench.ui.app import Workbench
from workbench.ui.panels.mask import HISTORY
from workbench.ui.panels.run import SINGLE_EVENTS
from workbench.ui.panels.sources import by_name


@pytest.fixture(autouse=True)
def state_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def recipe(sample, tmp_path):
    """The sample's recipe, with results going elsewhere."""
    return pipeline.load_recipe(sample.recipe).changed("output.folder", str(tmp_path / "out"))


def until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_edits_are_edits_of_the_recipe():
    session = Session()
    panel = RunPanel(session)
    panel.runs.detz.value = "585.5"
    assert session.recipe.experiment.detz_offset_mm == 585.5
    panel.runs.detz.value = "far"
    assert "is not a number of mm" in panel.message.value
    panel.dark_form.controls["pedestal"].value = True
    assert session.recipe.dark_corrections.pedestal
    panel.events_form.controls["limit"].value = "10"
    assert session.recipe.events.limit == 10
    panel.events_form.controls["limit"].value = "0"
    assert session.recipe.events.limit == 10
    assert panel.message.value


def test_experiments_runs_with_counts_and_detectors_are_listed(sample):
    session = Session()
    panel = RunPanel(session)
    runs = panel.runs
    runs.psdm_dir.value = str(sample.folder)
    assert runs.experiment.options == ("cxim1416",)
    runs.experiment.value = "cxim1416"
    assert [number for _, number in runs.dark.options] == [None, 54, 74, 75]
    until(lambda: "12 events" in runs.bright.options[-1][0])
    assert "CxiDs1.0:Cspad.0" in runs.address.options
    runs.dark.value = 54
    runs.bright.value = (74, 75)
    assert session.recipe.experiment.dark == 54
    assert session.recipe.experiment.bright == (74, 75)
    session.undo()
    assert runs.bright.value == ()


def test_lists_that_fill_later_lose_no_choice(sample):
    session = Session(pipeline.load_recipe(sample.recipe))
    panel = RunPanel(session)
    until(lambda: "12 events" in panel.runs.dark.options[1][0])
    assert panel.runs.dark.value == session.recipe.experiment.dark
    assert panel.runs.bright.value == session.recipe.experiment.bright
    assert session.history.undoable is None


def test_a_wrong_experiment_is_told_in_the_panel(tmp_path):
    panel = RunPanel(Session())
    panel.runs.psdm_dir.value = str(tmp_path)
    panel.runs.experiment.value = "cxinosuch"
    assert "cxinosuch" in panel.message.value


def test_nothing_chosen_is_told_in_the_panel():
    session = Session()
    panel = RunPanel(session)
    panel.average.click()
    with pytest.raises(WorkbenchError):
        session.wait(300)
    assert "cw-error" in panel.message.value
    assert session.status("images").state == State.FAILED


def test_long_paths_are_whole_in_the_tooltip():
    panel = RunPanel(Session())
    panel.runs.calib_dir.value = "/sdf/data/lcls/ds/cxi/cxim1416/calib"
    assert panel.runs.calib_dir.tooltip.endswith(": /sdf/data/lcls/ds/cxi/cxim1416/calib")


NAMES = [
    "cxim1416_avg-r0054.cbf", "cxim1416_stddev-r0054.cbf", "cxim1416_max-r0054.cbf",
    "cxim1416_min-r0054.cbf", "cxim1416_avg-r0074.cbf", "cxim1416_stddev-r0074.cbf",
    "cxim1416_max-r0074.cbf", "cxim1416_max-r0074_cc.cbf",
]  # fmt: skip


def test_image_files_are_recognised_by_their_names():
    assert by_name(NAMES) == {
        "average": "cxim1416_avg-r0054.cbf",
        "stddev": "cxim1416_stddev-r0054.cbf",
        "maximum": "cxim1416_max-r0074.cbf",
        "bright_average": "cxim1416_avg-r0074.cbf",
    }
    assert by_name([*NAMES, "cxim1416_all_max.cbf"])["maximum"] == "cxim1416_all_max.cbf"
    assert by_name(["notes.cbf"]) == {}
    halves = [f"cxim1416_{half}-{kind}-r0074.cbf" for half in ("even", "odd", "first", "last")
              for kind in ("avg", "max")]  # fmt: skip
    assert by_name([*NAMES, *halves]) == by_name(NAMES)


def test_images_are_chosen_from_a_folder(tmp_path):
    for name in [*NAMES, "README.md"]:
        (tmp_path / name).touch()
    session = Session()
    panel = RunPanel(session)
    panel.source.value = "image files"
    assert panel.average.description == "Open images"
    panel.images.folder.value = str(tmp_path)
    offered = panel.images.files["stddev"].options
    assert len(offered) == len(NAMES)
    panel.images.fill.click()
    assert session.recipe.images.maximum == str(tmp_path / "cxim1416_max-r0074.cbf")
    assert panel.images.files["maximum"].value == session.recipe.images.maximum
    panel.images.files["bright_average"].value = ""
    assert session.recipe.images.bright_average is None


def test_a_geometry_is_named_for_images_that_carry_none(tmp_path):
    session = Session()
    panel = RunPanel(session)
    panel.images.geometry.value = str(tmp_path / "0-end.data")
    assert session.recipe.experiment.geometry == str(tmp_path / "0-end.data")
    panel.images.geometry.value = ""
    assert session.recipe.experiment.geometry is None
    session.change("experiment.geometry", "agipd.geom")
    assert panel.images.geometry.value == "agipd.geom"


def test_a_folder_that_is_not_there_is_told(tmp_path):
    panel = RunPanel(Session())
    panel.images.folder.value = str(tmp_path / "none")
    assert "No such file" in panel.message.value


def test_a_recipe_that_is_not_there_is_told_in_the_panel(tmp_path):
    panel = RunPanel(Session())
    panel.source.value = "recipe file"
    panel.saved.path.value = str(tmp_path / "none.toml")
    panel.saved.open.click()
    assert "none.toml" in panel.message.value


def test_recipes_nearby_are_offered_and_opened(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.calibration.toml"
    write_recipe(recipe, path)
    session = Session()
    panel = RunPanel(session)
    panel.source.value = "recipe file"
    assert str(path) in panel.saved.path.options
    panel.saved.path.value = str(path)
    panel.saved.open.click()
    assert session.recipe == recipe
    assert session.history.path == path
    assert panel.source.value == "runs on disk"
    session.undo()
    assert session.recipe.experiment.name == ""


# ---- where one left off ----------------------------------------------------------------------
def remembered(bench):
    until(lambda: not bench.session.jobs.look.busy)


def test_what_was_done_lately_is_offered_and_nothing_happens_by_itself(recipe):
    first = Workbench(recipe)
    first.session.change("mask.border", 2)
    remembered(first)
    bench = Workbench()
    assert bench.run.offer_box.layout.display == ""
    assert bench.recipe.experiment.name == ""
    assert "cxim1416, dark run 54" in bench.run.earlier.options[0]
    bench.run.resume.click()
    assert bench.recipe == first.recipe
    assert bench.run.offer_box.layout.display == "none"
    bench.session.undo()
    assert bench.recipe.experiment.name == ""


def test_the_offer_can_be_declined(recipe):
    first = Workbench(recipe)
    first.session.change("mask.border", 2)
    remembered(first)
    bench = Workbench()
    bench.run.dismiss.click()
    assert bench.run.offer_box.layout.display == "none"
    assert Workbench(recipe.changed("mask.border", 2)).run.offer_box.layout.display == "none"


def test_later_settings_of_the_same_runs_are_offered(recipe):
    first = Workbench(recipe)
    first.session.change("mask.border", 2)
    remembered(first)
    bench = Workbench(recipe)
    assert bench.recipe.mask.border == 0
    assert "other settings" in bench.run.offer_text.value
    bench.run.resume.click()
    assert bench.recipe.mask.border == 2


@pytest.mark.slow
def test_after_a_restart_show_brings_back_images_alignment_and_panel(recipe):
    first = Workbench(recipe.changed("alignment.range_px", 12))
    first.compute()
    first.open(first.quadrants)
    remembered(first)
    again = Workbench(first.recipe)
    assert again.session.images is None
    again.show()
    until(lambda: not again.session.jobs.look.busy)
    again.session.wait(300)
    assert again.session.status("alignment").state == State.DONE
    assert again.panel is again.quadrants
    assert np.array_equal(again.session.mask.good, first.session.mask.good)
    assert np.array_equal(again.session.alignment.offsets_px, first.session.alignment.offsets_px)
    assert "Quadrant 3: offset" in again._repr_mimebundle_()["text/plain"]


def test_without_kept_averages_show_reads_no_run(recipe, monkeypatch):
    monkeypatch.setattr(pipeline, "gather_images", lambda *a, **k: pytest.fail("averaged"))
    bench = Workbench(recipe)
    bench.show()
    until(lambda: not bench.session.jobs.look.busy)
    assert bench.session.status("images").state == State.NOT_STARTED


def test_what_was_done_is_logged_as_python(recipe):
    bench = Workbench(recipe)
    for value in (310.0, 320.0, 330.0):
        bench.mask.limits["maxproj_min"].value = value
    bench.undo.click()
    lines = [entry.message for entry in bench.session.log.entries if entry.place == ">>>"]
    assert lines == [
        "bench.session.change('mask.thresholds.maxproj_min', 330.0)",
        "bench.session.undo()",
    ]
    exec(lines[0], {"bench": bench})
    assert bench.recipe.mask.thresholds.maxproj_min == 330


def test_bright_runs_stand_side_by_side_when_asked_for(recipe):
    bench = Workbench(recipe)
    session, view = bench.session, bench.view
    session.compute_images()
    session.wait(300)
    assert view.runs == ["run 74", "run 75"]
    assert "run 74" not in view._messages
    view.tiles = "bright runs"
    session.wait(300)
    for name, run in zip(view.runs, session.images.bright, strict=True):
        sent = np.frombuffer(view._messages[name][1][0], np.float32)
        assert np.array_equal(sent, run.maximum.astype(np.float32).ravel())
    session.change("experiment.bright", (74,))
    session.compute_images()
    session.wait(300)
    assert view.runs == []
    assert "run 75" not in view._messages


def test_single_events_are_stepped_through_without_averages(recipe):
    session = Session(recipe)
    panel = RunPanel(session)
    view, browser = panel.view, panel.browser
    view.show_mask = False
    panel.options.selected_index = SINGLE_EVENTS
    until(lambda: view.event == "run 74, event 0")
    assert view.tiles == "single event"
    assert view.has_map("assembled")
    assert view.show_mask
    assert browser.number.max == 11
    browser.next.click()
    until(lambda: view.event == "run 74, event 1")
    run = pipeline.open_recipe_run(recipe, 74)
    event = pipeline.read_event(run, 1, recipe.bright_corrections)
    assert f"fiducials {event.fiducials}" in browser.text.value
    shown = np.frombuffer(view._messages["event"][1][0], np.float32)
    np.testing.assert_array_equal(shown, event.data.ravel())
    browser.run.value = 54
    until(lambda: view.event == "run 54, event 0")
    panel.leave()
    assert (view.event, view.tiles, view.show_mask) == ("", "side by side", False)


def test_a_run_is_chosen_as_soon_as_there_are_runs(recipe):
    session = Session()
    panel = RunPanel(session)
    assert panel.browser.run.label == "no runs are chosen"
    session.set_recipe(recipe)
    assert panel.browser.run.value == 74


def test_no_dark_run_is_a_choice_that_is_shown(recipe):
    panel = RunPanel(Session(recipe))
    panel.runs.dark.index = 0  # as the browser does
    assert panel.session.recipe.experiment.dark is None
    assert panel.runs.dark.label == "none"


def test_the_history_of_a_pixel_is_read_from_both_runs(recipe):
    session = Session(recipe)
    panel = MaskPanel(session)
    session.compute_images()
    session.wait(300)
    panel.details.selected_index = HISTORY
    panel.view._received(None, {"type": "pick", "flat": 123456}, None)
    session.wait(300)
    assert "12 of dark run 54" in panel.history.text.value
    assert "12 of bright run 74" in panel.history.text.value
    dark = panel.history.figure.figure.axes[0]
    lines = [line.get_label() for line in dark.get_lines()]
    assert any(label.startswith("average") for label in lines)
    assert any("2000" in label for label in lines)


def test_folders_and_files_are_chosen_by_clicks(tmp_path, sample):
    (tmp_path / "deep" / "images").mkdir(parents=True)
    for name in ("max-r0074.cbf", "notes.txt", ".hidden.cbf"):
        (tmp_path / "deep" / "images" / name).touch()
    panel = RunPanel(Session())
    paths, runs, images = panel.paths, panel.runs, panel.images

    def listed():
        return [label for label, _ in paths.entries.options][1:]

    paths.open(runs.psdm_dir)
    runs.psdm_dir.value = str(tmp_path / "no such folder")
    assert "there is no such folder" in panel.message.value
    paths.open(runs.psdm_dir)
    assert paths.folder == str(tmp_path)
    assert listed() == ["deep/"]
    paths.entries.label = "deep/"
    assert paths.folder == str(tmp_path / "deep")
    paths.entries.index = 0
    assert paths.folder == str(tmp_path)
    paths._list(str(sample.folder))
    paths.use.click()
    assert runs.psdm_dir.value == panel.session.recipe.experiment.psdm_dir == str(sample.folder)
    assert paths.box.layout.display == "none"

    box, folder = images.files["maximum"], tmp_path / "deep" / "images"
    box.value = str(folder)
    paths.open(box, (".cbf",))
    assert listed() == ["max-r0074.cbf"]
    paths.entries.label = "max-r0074.cbf"
    assert panel.session.recipe.images.maximum == str(
        tmp_path / "deep" / "images" / "max-r0074.cbf"
    )


def test_the_recipe_is_saved_under_a_name_and_over_no_other_file(recipe):
    bench = Workbench(recipe)
    bench.recipe_file.value = "mine"
    bench.save_recipe.click()
    path = Path(recipe.output.folder) / "mine.calibration.toml"
    assert pipeline.load_recipe(path) == bench.recipe
    bench.recipe = bench.recipe.changed("mask.border", 2)
    bench.save_recipe.click()  # its own file now
    assert pipeline.load_recipe(path).mask.border == 2
    other = path.with_name("other.calibration.toml")
    other.write_text("kept")
    bench.recipe_file.value = other.name
    bench.save_recipe.click()
    assert "is there already" in bench.panel.message.value
    assert other.read_text() == "kept"
    with pytest.raises(WorkbenchError):
        bench.session.wait(300)
    bench.close()
