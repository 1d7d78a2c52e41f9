"""Geometry panel: time line, comparison with blink, and a deployment somebody else overtakes."""

import numpy as np
import pytest

from workbench.detector import PIXEL_SIZE_UM
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry, GeometryStore
from workbench.session import State
from workbench.ui import GeometryPanel, ImageView, Session

MOVES = np.array([[7.0, -4.0], [0, 0], [0, 0], [0, 0]])


@pytest.fixture
def store(session, tmp_path):
    session.change("experiment.calib_dir", str(tmp_path))
    session.use_images(session.images)
    session.wait(60)
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


def test_lists_to_compare_lead_from_what_psana_reads_to_what_is_new(session, store):
    session.compute_alignment()
    session.wait(120)
    panel = GeometryPanel(session)
    assert (panel.older.value, panel.newer.value) == (0, "corrected")
    panel.plan.click()
    panel.deploy.click()
    assert (panel.older.value, panel.newer.value) == (0, 1)
    assert "corrected, not deployed" not in dict(panel.newer.options)
    panel.older.value, panel.newer.value = 1, 0
    panel.refresh.click()
    assert (panel.older.value, panel.newer.value) == (1, 0)
    panel.rollback.click()
    assert store.current().number == 0


def test_a_plain_file_is_compared_before_it_is_a_version(session, tmp_path):
    session.change("experiment.calib_dir", str(tmp_path))
    session.use_images(session.images)
    session.compute_alignment()
    session.wait(120)
    store = GeometryStore(tmp_path, session.recipe.experiment.address)
    store.folder.mkdir(parents=True)
    session.images.geometry.write(store.link)
    panel = GeometryPanel(session)
    assert "No versions yet" in panel.versions.value
    assert (panel.older.value, panel.newer.value) == ("present", "corrected")
    panel.compare.click()
    session.wait(60)
    assert panel.diff.value.count("QUAD") == 4


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
    session.wait(60)
    assert "-7.000, +4.000" in panel.diff.value  # origin = present - offset
    assert panel.diff.value.count("QUAD") == 1
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
    session.wait(120)
    panel = GeometryPanel(session)
    corrected = panel.view._messages["corrected"][1][0].tobytes()
    panel.older.value, panel.newer.value = 0, 1
    panel.compare.click()
    panel.leave()
    session.wait(60)
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
    assert frames[0][2] == PIXEL_SIZE_UM / 1000


def test_a_deployment_is_refused_if_somebody_else_deployed_since_the_preview(session, store):
    session.compute_alignment()
    session.wait(120)
    panel = GeometryPanel(session)
    panel.plan.click()
    store.deploy(Geometry.ideal().move_quadrants(MOVES), comment="of a colleague")
    panel.deploy.click()
    assert "somebody else" in panel.message.value
    assert store.current().number == 1
    assert len(store.history()) == 2
    assert panel.plan_box.layout.display == "none"
    assert "of a colleague" in panel.versions.value
    with pytest.raises(WorkbenchError):
        session.wait(60)
    panel.plan.click()
    panel.deploy.click()
    assert store.current().number == 2


def test_the_last_step_is_done_while_psana_reads_the_corrected_geometry(session, store):
    session.compute_alignment()
    session.wait(120)
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
    tomorrow.wait(120)
    assert tomorrow.status("geometry").state == State.DONE
