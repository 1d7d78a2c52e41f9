"""Geometry panel: time line, comparison with blink, and a deployment somebody else overtakes."""

import numpy as np
import pytest

from workbench.detector import PIXEL_SIZE_UM
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry, GeometryStore
from workbench.ui import GeometryPanel, ImageView

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
    line = panel.versions.value.split("Time line")[1]
    rows = line.split("<tr>")[2:]
    assert [row.split("</td>")[0] for row in rows] == ["<td>v0", "<td>v1", "<td>v0"]
    assert "now" in rows[0]
    assert "rings were double" in rows[0]
    assert "0.9321" in rows[1]
    assert "now" not in rows[1] + rows[2]


def test_comparing_two_versions_gives_table_arrows_and_blink(session, store):
    store.deploy(Geometry.ideal().move_quadrants(MOVES), comment="moved")
    panel = GeometryPanel(session)
    assert panel.pair_box.layout.display == "none"
    panel.older.value, panel.newer.value = 0, 1
    panel.compare.click()
    session.wait(60)
    assert "-7.000" in panel.diff.value  # origin = present - offset
    assert "+4.000" in panel.diff.value
    assert panel.diff.value.count("QUAD") == 1
    assert bytes(panel.arrows.value).startswith(b"\x89PNG")
    assert panel.pair_box.layout.display == ""
    assert panel.pair.blink
    assert panel.pair.has_map("assembled")
    assert panel.pair.has_map("corrected")
    assert "v0" in panel.pair_note.value
    assert "v1" in panel.pair_note.value
    assert not panel.view.has_map("corrected")  # the shared view stays as it was


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
