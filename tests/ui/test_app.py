"""The workbench as a whole: panels, what each shows of the detector, layout, log, save."""

import dataclasses
import subprocess
import sys
import threading

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.pipeline import ImageSet
from workbench.report import ReportFiles
from workbench.session import State
from workbench.ui.app import Workbench
from workbench.ui.guide import ADVICE
from workbench.ui.links import link_to


@pytest.fixture
def bench(image_set, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Workbench()
    made.session.use_images(image_set)
    made.session.wait(300)
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


def test_a_bright_average_that_stands_alone_is_shown_and_no_mask_is_tried(
    image_set, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    bench = Workbench()
    rings = dataclasses.replace(image_set.maximum, kind="average")
    bench.session.use_images(ImageSet(bright_average=rings, geometry=rings.geometry))
    bench.session.wait(300)
    sent = np.frombuffer(bench.view._messages["bright average"][1][0], np.float32)
    assert np.array_equal(sent, rings.data.astype(np.float32).ravel())
    assert bench.session.status("mask").state == State.NOT_STARTED
    bench.open(bench.mask)
    assert "The mask needs the average, stddev and maximum too" in bench.advice.value
    bench.next.click()
    assert bench.panel is bench.quadrants


def test_the_bright_average_is_sent_when_it_is_looked_at(bench, image_set):
    rings = dataclasses.replace(image_set.maximum, kind="average")
    bench.session.use_images(dataclasses.replace(image_set, bright_average=rings))
    bench.session.wait(300)
    view = bench.view
    assert (view.tiles, view.has_bright_average) == ("side by side", True)
    assert "bright average" not in view._messages
    view.tiles = "bright average"
    bench.session.wait(300)
    assert "bright average" in view._messages
    bench.session.use_images(dataclasses.replace(image_set, bright_average=None))
    bench.session.wait(300)
    assert (view.tiles, view.has_bright_average) == ("side by side", False)


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
    assert "1 Run & averages – done" in bench.steps[0].description
    assert "cw-is-done" in bench.steps[0]._dom_classes
    bench.session.change("experiment.name", "cxim1416")
    assert "stale" in bench.steps[0].description
    assert {"cw-is-stale"} == {c for c in bench.steps[0]._dom_classes if c.startswith("cw-is")}


def test_an_error_in_a_callback_stands_once_in_the_panel_and_in_the_log(bench, monkeypatch):
    def broken(low_gain):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(bench.mask.session.results, "suggestions", broken)
    bench.mask.suggest.click()
    assert "of all things" in bench.mask.message.value
    assert "of all things" not in bench.status.value
    bench.drawer.selected_index = 0
    assert "Traceback" in bench.log.value
    with pytest.raises(ZeroDivisionError):
        bench.session.wait(300)


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
        bench.session.wait(300)


def test_the_recipe_drawer_shows_what_a_script_runs(bench):
    bench.drawer.selected_index = 1
    bench.session.change("mask.border", 3)
    assert "border = 3" in bench.recipe_text.value


def test_a_mask_nobody_looked_at_is_shown_as_a_default(bench):
    assert "2 Mask – default" in bench.steps[1].description
    bench.open(bench.mask)
    bench.open(bench.run)
    assert "2 Mask – looked at" in bench.steps[1].description
    bench.session.change("mask.border", 1)
    bench.session.wait(300)
    assert "2 Mask – done" in bench.steps[1].description


def test_warnings_of_a_step_are_seen_on_its_tab(bench):
    mask = dataclasses.replace(bench.session.mask, warnings=("Half of Q1 is masked.",))
    bench.session.results.mask = mask
    bench.session.notifier.notify("status")
    assert "2 Mask – warning" in bench.steps[1].description
    assert "cw-is-warning" in bench.steps[1]._dom_classes


def test_the_page_says_what_to_do_next_and_leads_there(bench):
    assert "Check the images" in bench.advice.value
    assert bench.next.description == "Next: Mask →"
    bench.next.click()
    assert bench.panel is bench.mask
    bench.next.click()
    assert bench.panel is bench.quadrants
    assert "Find the offsets" in bench.advice.value
    assert bench.next.disabled
    assert "Find the offsets" in bench.next.tooltip
    bench.next.click()
    assert bench.panel is bench.quadrants, "the step before is not finished"
    assert "First finish this step" in bench.quadrants.message.value
    with pytest.raises(WorkbenchError):
        bench.session.wait(300)


def test_every_state_of_every_step_has_its_advice(bench):
    bench.session.change("experiment.name", "cxim1416")
    bench.session.change("experiment.bright", (74,))
    assert "compute the averages again" in bench.advice.value
    bench.open(bench.geometry)
    assert "find the offsets first" in bench.advice.value
    for step, sentences in ADVICE.items():
        assert State.NOT_STARTED in sentences, step
        for sentence in sentences.values():
            assert sentence.endswith("."), sentence


def test_buttons_that_cannot_act_are_off_and_say_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bench = Workbench()
    for button, reason in (
        (bench.run.average, "Choose an experiment first"),
        (bench.run.cancel, "No averaging is running"),
        (bench.quadrants.find, "no image with powder rings"),
        (bench.quadrants.after, "Find the offsets first"),
        (bench.geometry.plan, "find the offsets first"),
        (bench.save_button, "no results yet"),
        (bench.report_button, "no results yet"),
        (bench.undo, "nothing to undo"),
    ):
        assert button.disabled, button.description
        assert reason in button.tooltip
    bench.session.change("experiment.name", "cxim1416")
    assert "Choose a dark run" in bench.run.average.tooltip
    bench.session.change("experiment.dark", 54)
    assert not bench.run.average.disabled
    assert "Average the chosen runs" in bench.run.average.tooltip


def test_the_status_line_shows_sentences_not_python(bench):
    bench.session.log.note("images", "54 events")
    bench.session.change("mask.border", 2)
    assert "54 events" in bench.status.value


@pytest.fixture
def report(bench, monkeypatch, tmp_path):
    """A report that is written as slowly as the test wants; gives what to wait for."""
    started, go_on = threading.Event(), threading.Event()
    page = tmp_path / "a_report.html"
    page.write_text("<p>report</p>")

    def write(recipe, folder=None, progress=None):
        progress.update(3, 12, "Mask")
        started.set()
        assert go_on.wait(300)
        return ReportFiles(page.with_suffix(".ipynb"), page, notes=("No PDF.",))

    monkeypatch.setattr("workbench.report.write_report", write)
    return started, go_on


def test_a_report_shows_its_stages_and_at_the_end_a_link(bench, report, monkeypatch, tmp_path):
    started, go_on = report
    monkeypatch.setattr(
        "jupyter_server.serverapp.list_running_servers",
        lambda: [{"root_dir": str(tmp_path), "base_url": "/lab/"}],
    )
    bench.report_button.click()
    assert started.wait(300)
    assert bench.report_button.disabled
    assert "being written" in bench.report_button.tooltip
    assert "Report: Mask (3 of 12)" in bench.status.value
    assert bench.report_link.layout.display == "none"
    go_on.set()
    bench.session.wait(300)
    assert not bench.report_button.disabled
    assert 'href="/lab/files/a_report.html"' in bench.report_link.value
    assert "Open report" in bench.report_link.value
    assert bench.report_link.layout.display == ""


def test_a_report_that_fails_says_so_and_can_be_tried_again(bench, monkeypatch):
    def write(recipe, folder=None, progress=None):
        raise WorkbenchError("The folder cannot be written.")

    monkeypatch.setattr("workbench.report.write_report", write)
    bench.report_button.click()
    with pytest.raises(WorkbenchError):
        bench.session.wait(300)
    assert "cannot be written" in bench.panel.message.value
    assert not bench.report_button.disabled


def test_a_report_outside_the_served_folder_is_named_by_its_path(tmp_path, monkeypatch):
    monkeypatch.setattr("jupyter_server.serverapp.list_running_servers", list)
    path = tmp_path / "a.html"
    assert link_to(path, "Open report") == f'<span title="{path}">{path}</span>'


def test_show_displays_the_page_before_the_last_time_is_brought_back(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    order, displayed = [], threading.Event()

    def restore(self):
        assert displayed.wait(300)
        order.append("restored")

    monkeypatch.setattr(Workbench, "_restore", restore)
    monkeypatch.setattr(
        "IPython.display.display", lambda bench: (order.append("shown"), displayed.set())
    )
    bench = Workbench()
    bench.show()
    assert order[0] == "shown"
    assert bench.session.jobs.look.wait(300)
    assert order == ["shown", "restored"]


def test_a_workbench_is_shown_before_compiled_loops_and_figures_are_loaded(tmp_path):
    code = (
        "import sys, workbench; bench = workbench.Workbench(); bench._repr_mimebundle_();"
        "loaded = lambda: [m for m in ('numba','scipy','matplotlib','h5py') if m in sys.modules];"
        "print(loaded()); bench.show(); bench.session.jobs.look.wait(); print(loaded())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    before, *_, after = out.stdout.splitlines()
    assert before == "[]"
    assert "numba" in after
    assert "matplotlib" in after
