"""Geometry panel: time line, comparison with blink, and a deployment somebody else overtakes."""

import threading

import numpy as np
import pytest

from workbench.detectors import CSPAD
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry, GeometryStore
from workbench.report.checks import Check
from workbench.report.verdict import Verdict
from workbench.session import State
from workbench.ui import GeometryPanel, ImageView, Session
from workbench.ui.panels.versions import part_names

MOVES = np.array([[7.0, -4.0], [0, 0], [0, 0], [0, 0]])


def write(panel):
    """Wait for the checks, confirm what they say, and write."""
    panel.session.jobs.quick.wait(300)
    panel.confirm.value = True
    panel.deploy.click()


@pytest.fixture
def store(session, tmp_path):
    session.change("experiment.calib_dir", str(tmp_path))
    session.use_images(session.images)
    session.wait(300)
    made = GeometryStore(tmp_path, session.recipe.experiment.address)
    made.deploy(session.images.geometry, comment="first")
    return made


def test_the_time_line_tells_each_turn_of_a_version(session, store):
    moved = Geometry.ideal().move_quadrants(MOVES)
    store.deploy(moved, comment="aligned", quality={"mean_cc": 0.9321})
    store.rollback(0, "rings were double")
    panel = GeometryPanel(session)
    turns = panel.versions.value.split("cw-time")[1].split("</ol>")[0].split("<li")[1:]
    assert [turn.split("<b>")[1].split("</b>")[0] for turn in turns] == ["v0", "v1", "v0"]
    assert "until now" in turns[0]
    assert "rings were double" in turns[0]
    assert "0.9321" in turns[1]
    assert "until now" not in turns[1] + turns[2]


@pytest.mark.slow
def test_lists_to_compare_lead_from_what_psana_reads_to_what_is_new(session, store):
    session.compute_alignment()
    session.wait(300)
    panel = GeometryPanel(session)
    assert (panel.older.value, panel.newer.value) == (0, "corrected")
    panel.plan.click()
    write(panel)
    assert (panel.older.value, panel.newer.value) == (0, 1)
    assert "corrected, not deployed" not in dict(panel.newer.options)
    panel.older.value, panel.newer.value = 1, 0
    panel.refresh.click()
    assert (panel.older.value, panel.newer.value) == (1, 0)


def test_a_plain_file_is_compared_before_it_is_a_version(session, tmp_path):
    session.change("experiment.calib_dir", str(tmp_path))
    session.use_images(session.images)
    session.compute_alignment()
    session.wait(300)
    store = GeometryStore(tmp_path, session.recipe.experiment.address)
    store.folder.mkdir(parents=True)
    session.images.geometry.write(store.link)
    panel = GeometryPanel(session)
    assert "No versions yet" in panel.versions.value
    assert (panel.older.value, panel.newer.value) == ("present", "corrected")
    panel.compare.click()
    session.wait(300)
    assert [name in panel.diff.value for name in ("Q0", "Q1", "Q2", "Q3")] == [True] * 4


def test_a_changed_version_is_told_and_its_content_put_back(session, store):
    panel = GeometryPanel(session)
    assert panel.repair.layout.display == "none"
    path = store.version(0).path
    path.chmod(0o644)
    path.write_text(path.read_text() + "# by hand\n")
    panel.refresh.click()
    assert "was changed after it was deployed" in panel.versions.value
    panel.repair.click()
    assert store.version(0).intact
    assert panel.repair.layout.display == "none"
    assert "changed content kept" in panel.done.value


def test_comparing_two_versions_gives_table_arrows_and_blink(session, store):
    store.deploy(Geometry.ideal().move_quadrants(MOVES), comment="moved")
    panel = GeometryPanel(session)
    before = panel.view._messages["assembled"][0]
    panel.older.value, panel.newer.value = 0, 1
    panel.compare.click()
    session.wait(300)
    assert "-7.000, +4.000" in panel.diff.value  # origin = present - offset
    assert "Q0" in panel.diff.value
    assert "Q1" not in panel.diff.value
    assert bytes(panel.arrows.value).startswith(b"\x89PNG")
    assert panel.view.blink
    assert panel.view.names == {"assembled": "v0", "corrected": "v1 (current)"}
    assert panel.view.has_map("corrected")
    panel.end.click()
    assert not panel.view.blink
    assert panel.view.names == {}
    assert panel.view._messages["assembled"][0] == before
    assert not panel.view.has_map("corrected")  # there is no alignment


def test_leaving_the_panel_ends_the_comparison(session, store):
    store.deploy(Geometry.ideal().move_quadrants(MOVES), comment="moved")
    session.compute_alignment()
    session.wait(300)
    panel = GeometryPanel(session)
    corrected = panel.view._messages["corrected"][1][0].tobytes()
    panel.older.value, panel.newer.value = 0, 1
    panel.compare.click()
    panel.leave()
    session.wait(300)
    assert panel.comparison.layout.display == "none"
    assert panel.view._messages["corrected"][1][0].tobytes() == corrected


def test_blinking_geometries_share_a_frame():
    view = ImageView()
    first, second = Geometry.ideal(), Geometry.ideal().move_quadrants(MOVES)
    view.set_geometries(first, second)
    frames, maps = [], []
    for name in ("assembled", "corrected"):
        message, buffers = view._messages[name]
        frames.append(message["frame"])
        maps.append(np.frombuffer(buffers[0], np.int32).reshape(message["shape"]))
    assert frames[0] == frames[1]
    assert maps[0].shape == maps[1].shape
    quadrants = [np.where(one >= 0, one // (8 * 185 * 388), -1) for one in maps]
    still, moved = (
        np.argwhere(quadrants[1] == q).mean(axis=0) - np.argwhere(quadrants[0] == q).mean(axis=0)
        for q in (2, 0)
    )
    np.testing.assert_allclose(still, 0, atol=0.6)
    np.testing.assert_allclose(moved, -MOVES[0], atol=0.6)
    assert frames[0][2] == CSPAD.pixel_um / 1000


def test_a_deployment_is_refused_if_somebody_else_deployed_since_the_preview(session, store):
    session.compute_alignment()
    session.wait(300)
    panel = GeometryPanel(session)
    panel.plan.click()
    store.deploy(Geometry.ideal().move_quadrants(MOVES), comment="of a colleague")
    write(panel)
    assert "somebody else" in panel.message.value
    assert store.current().number == 1
    assert len(store.history()) == 2
    assert panel.preview_box.layout.display == "none"
    assert "of a colleague" in panel.versions.value
    with pytest.raises(WorkbenchError):
        session.wait(300)
    panel.plan.click()
    write(panel)
    assert store.current().number == 2


def test_the_last_step_is_done_while_psana_reads_the_corrected_geometry(session, store):
    session.compute_alignment()
    session.wait(300)
    assert session.status("geometry").state == State.NOT_STARTED
    version = session.deploy("aligned")
    assert session.status("geometry").state == State.DONE
    session.rollback(0)
    assert session.status("geometry").state == State.NOT_STARTED
    session.rollback(version.number)
    assert session.status("geometry").state == State.DONE
    session.nudge(0, 0.5, 0.0)
    assert session.status("geometry").state == State.STALE
    session.undo()
    tomorrow = Session(session.recipe)
    tomorrow.use_images(session.images)
    tomorrow.compute_alignment()
    tomorrow.wait(300)
    assert tomorrow.status("geometry").state == State.DONE


@pytest.fixture
def aligned(session, store):
    """Geometry panel with offsets to deploy."""
    session.compute_alignment()
    session.wait(300)
    return GeometryPanel(session)


def test_what_no_ring_can_tell_from_the_current_version_is_not_to_be_deployed(aligned, store):
    session = aligned.session
    for step_px, state in ((0.005, State.DONE), (0.02, State.NOT_STARTED)):
        store.deploy(session.results.corrected.move_quadrants(np.full((4, 2), step_px)))
        aligned.refresh.click()
        assert session.status("geometry").state == state
        aligned.plan.click()
        already = "psana reads this geometry already, to 0.01 px." in aligned.plan_text.value
        assert already == (state == State.DONE)


def judged(monkeypatch, level, *reasons):
    """Let the report judge every calibration alike."""
    made = Verdict(level, (), reasons, (Check("pixels masked", "2 %", "at most 30 %"),))
    monkeypatch.setattr("workbench.report.verdict.judge", lambda calibration, rings: made)


def test_nothing_is_deployed_before_the_checks_are_seen(aligned, store, monkeypatch):
    judged(monkeypatch, "good")
    session, block = aligned.session, threading.Event()
    session.later("held", lambda: block.wait(300))
    aligned.plan.click()
    assert "being made" in aligned.verdict_text.value
    assert aligned.deploy.disabled
    aligned.deploy.click()
    assert "still being made" in aligned.message.value
    assert len(store.history()) == 1
    block.set()
    session.jobs.quick.wait(300)
    assert "can be trusted" in aligned.verdict_text.value
    assert "pixels masked: 2 %" in aligned.verdict_text.value
    assert aligned.confirm.layout.display == "none"
    assert not aligned.deploy.disabled
    with pytest.raises(WorkbenchError, match="still being made"):
        session.wait(300)


def test_a_comment_is_asked_for_and_says_what_was_done(aligned, store, monkeypatch):
    judged(monkeypatch, "good")
    aligned.session.overrule(2, (1.0, 2.0))
    aligned.plan.click()
    aligned.session.jobs.quick.wait(300)
    assert aligned.comment.value == "aligned on images on file, 1 offset set by hand"
    aligned.comment.value = " "
    assert aligned.deploy.disabled
    assert "Write a comment" in aligned.deploy.tooltip
    aligned.comment.value = "because"
    aligned.deploy.click()
    aligned.deploy.click()  # the second of a double click
    assert aligned.message.value == ""
    assert store.current().comment == "because"
    assert len(store.history()) == 2


def test_an_untrusted_calibration_needs_a_confirmation_that_names_it(aligned, store, monkeypatch):
    judged(monkeypatch, "poor", "The rings are no sharper.")
    aligned.plan.click()
    aligned.session.jobs.quick.wait(300)
    assert "The rings are no sharper." in aligned.verdict_text.value
    assert aligned.confirm.description == ("Deploy although: Do not use this calibration as it is.")
    assert aligned.deploy.disabled
    assert "Tick" in aligned.deploy.tooltip
    aligned.confirm.value = True
    aligned.deploy.click()
    assert store.current().number == 1
    aligned.session.overrule(0, (2.0, 2.0))
    aligned.plan.click()
    assert not aligned.confirm.value, "each deployment is confirmed for itself"


def test_checks_that_cannot_be_made_speak_against_deploying(aligned, monkeypatch):
    def broken(calibration, rings):
        raise ValueError("no profile")

    monkeypatch.setattr("workbench.report.verdict.judge", broken)
    aligned.plan.click()
    aligned.session.jobs.quick.wait(300)
    assert "could not be made" in aligned.verdict_text.value
    assert aligned.deploy.disabled
    with pytest.raises(ValueError, match="no profile"):
        aligned.session.wait(300)


def test_a_folder_that_cannot_be_written_is_refused_with_advice(aligned, store, monkeypatch):
    store.deploy(Geometry.ideal().move_quadrants(MOVES), comment="moved")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for act in (aligned.show_plan, lambda: aligned.show_rollback(0)):
        aligned.guarded(act)
        assert "ask the instrument group" in aligned.message.value
        assert aligned.preview_box.layout.display == "none"
    with pytest.raises(WorkbenchError, match="may not write"):
        aligned.session.wait(300)

    aligned.refresh.click()
    assert aligned.plan.disabled
    assert "ask the instrument group" in aligned.plan.tooltip
    monkeypatch.undo()
    aligned.refresh.click()
    assert not aligned.plan.disabled


def test_going_back_shows_first_what_will_change(session, store):
    store.deploy(Geometry.ideal().move_quadrants(MOVES), comment="moved")
    panel = GeometryPanel(session)
    assert panel.make_current[1].disabled, "it is the current one"
    panel.make_current[0].click()
    assert "will lead to 0-end.data.v0 again" in panel.plan_text.value
    assert "+7.000, -4.000" in panel.plan_text.value, "how the parts would move"
    assert "Q0" in panel.plan_text.value
    assert panel.comment.value == "back to v0 (first)"
    assert panel.deploy.description == "Make v0 current"
    assert store.current().number == 1
    panel.keep_off.click()
    assert panel.preview_box.layout.display == "none"
    assert store.current().number == 1
    panel.make_current[0].click()
    panel.deploy.click()
    assert store.current().number == 0
    assert "back to v0 (first)" in panel.versions.value
    assert panel.make_current[0].disabled
    assert not panel.make_current[1].disabled


def test_going_back_is_off_where_the_directory_cannot_be_written(session, store, monkeypatch):
    store.deploy(Geometry.ideal().move_quadrants(MOVES), comment="moved")
    panel = GeometryPanel(session)
    assert not panel.make_current[0].disabled
    monkeypatch.setattr("os.access", lambda path, mode: False)
    panel.refresh.click()
    assert panel.make_current[0].disabled
    assert "ask the instrument group" in panel.make_current[0].tooltip
    assert "the version psana reads" in panel.make_current[1].tooltip
    monkeypatch.undo()
    panel.refresh.click()
    assert not panel.make_current[0].disabled


def test_going_back_is_refused_if_somebody_else_changed_the_store_meanwhile(session, store):
    moved = Geometry.ideal().move_quadrants(MOVES)
    store.deploy(moved, comment="moved")
    panel = GeometryPanel(session)
    panel.make_current[0].click()
    store.deploy(moved, comment="of a colleague")
    panel.deploy.click()
    assert "somebody else" in panel.message.value
    assert store.current().number == 2
    with pytest.raises(WorkbenchError):
        session.wait(300)


def test_parts_of_a_geometry_have_the_names_of_the_panels():
    geometry = Geometry.ideal()
    names = part_names(geometry)
    assert names[geometry.quadrants[0].key] == "Q0"
    assert names[geometry.modules[11].key] == geometry.detector.module_name(11)


def test_constants_are_written_only_as_previewed_and_with_a_comment(session, store):
    panel = GeometryPanel(session)
    constants = panel.constants
    constants.first.value = "70"
    constants.plan.click()
    assert "For run 70 and all later ones psana will read:" in constants.text.value
    assert "pixel_mask/70-end.data" in constants.text.value
    path = constants.previewed.paths["pixel_mask"]
    assert not path.exists()
    constants.comment.value = " "
    constants.write.click()
    assert "Write a comment first" in panel.message.value
    with pytest.raises(WorkbenchError):
        session.wait(300)
    constants.last.value = "80"  # the preview is no longer what would be written
    assert constants.previewed is None
    constants.plan.click()
    constants.write.click()
    constants.write.click()  # the second of a double click
    assert panel.message.value == ""
    assert path.with_name("70-80.data").exists()
    assert not path.exists()
    constants.plan.click()
    assert "is deployed already" in panel.message.value
    with pytest.raises(WorkbenchError):
        session.wait(300)
