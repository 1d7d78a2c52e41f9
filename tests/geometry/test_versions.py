"""The version store: what a deployment writes, and every state users leave behind."""

import json
import os

import pytest

from workbench.errors import FileFormatError, VersionStoreError, WorkbenchError
from workbench.files import sha256
from workbench.geometry import Geometry, GeometryStore

ADDRESS = "CxiDs1.0:Cspad.0"
OLD = Geometry.ideal()
NEW = OLD.move_quadrants([(1.5, -2), (0, 0), (3, 4), (0, 0)])


@pytest.fixture
def store(tmp_path):
    store = GeometryStore(tmp_path, ADDRESS)
    store.folder.mkdir(parents=True)
    return store


def test_the_folder_is_the_one_psana_reads(tmp_path):
    assert GeometryStore(tmp_path, ADDRESS).link == (
        tmp_path / "CsPad::CalibV1" / ADDRESS / "geometry" / "0-end.data"
    )
    small = GeometryStore(tmp_path, "CxiSc2.0:Cspad2x2.1", "54-80")
    assert small.link.parts[-4:] == (
        "CsPad2x2::CalibV1", "CxiSc2.0:Cspad2x2.1", "geometry", "54-80.data",
    )  # fmt: skip


def test_first_deployment_keeps_the_plain_file_as_v0(store):
    OLD.write(store.link)
    content = store.link.read_bytes()
    version = store.deploy(NEW, "quadrants from run 74")
    assert version.number == 1
    assert version.current
    assert os.readlink(store.link) == "0-end.data.v1"
    assert (store.folder / "0-end.data.v0").read_bytes() == content
    assert Geometry.read(store.link) == NEW
    assert [one.number for one in store.history()] == [0, 1]
    assert store.verify() == []


def test_into_an_empty_calibration_directory(tmp_path):
    store = GeometryStore(tmp_path / "calib", ADDRESS)
    assert store.history() == []
    assert store.current() is None
    assert store.verify() == []
    assert store.deploy(NEW).number == 0
    assert Geometry.read(store.link) == NEW


def test_the_record_says_who_when_why_and_from_what(store, tmp_path):
    (tmp_path / "max.cbf").write_text("x")
    version = store.deploy(
        NEW, "two\nlines", recipe_sha256="abc", inputs=[tmp_path / "max.cbf"],
        quality={"mean_cc": 0.42},
    )  # fmt: skip
    record = json.loads((store.folder / "0-end.data.v0.json").read_text())
    assert record["comment"] == "two lines"
    assert record["recipe_sha256"] == "abc"
    assert record["inputs"][0]["bytes"] == 1
    assert record["quality"] == {"mean_cc": 0.42}
    assert record["sha256"] == sha256(version.path)
    assert version.user
    assert version.host
    assert version.when.endswith("+00:00")
    (line,) = (store.folder / "HISTORY").read_text().splitlines()
    assert "file:0-end.data action:deploy version:v0" in line
    assert line.endswith("comment:two lines")


def test_history_lines_of_others_stay(store):
    (store.folder / "HISTORY").write_text("someone's note without line end")
    store.deploy(NEW)
    lines = (store.folder / "HISTORY").read_text().splitlines()
    assert lines[0] == "someone's note without line end"
    assert len(lines) == 2


def test_a_file_is_deployed_byte_for_byte(store, tmp_path):
    content = NEW.to_text().replace("# TITLE", "#   my TITLE").encode()
    (tmp_path / "new.data").write_bytes(content)
    assert store.deploy(tmp_path / "new.data").path.read_bytes() == content


def test_rows_out_of_index_order_are_sorted_because_psana_counts_lines(store, cxi_file):
    version = store.deploy(cxi_file)
    assert version.geometry() == Geometry.read(cxi_file)
    assert version.geometry().is_in_index_order
    assert "out of index order" in version.record["warnings"][0]


def test_rollback_is_a_switch_that_is_recorded(store):
    store.deploy(OLD)
    store.deploy(NEW)
    store.rollback(0, "v1 was worse")
    assert Geometry.read(store.link) == OLD
    assert [one.current for one in store.history()] == [True, False]
    assert [(one.action, one.version) for one in store.switches()] == [
        ("deploy", 0), ("deploy", 1), ("rollback", 0),
    ]  # fmt: skip
    assert store.switches()[-1].comment == "v1 was worse"
    assert store.deploy(NEW).number == 2


def test_diff_gives_each_objects_shift_and_turn(store):
    store.deploy(OLD)
    store.deploy(NEW.rotate(("QUAD:V1", 3), z=0.25))
    difference = store.diff(0, 1)
    moved = {change.key.index: change for change in difference.changes}
    assert set(moved) == {0, 2, 3}
    assert moved[0].shift_px[:2] == pytest.approx([-1.5, 2])
    assert moved[2].shift_um[:2] == pytest.approx([-3 * 109.92, -4 * 109.92])
    assert moved[3].rotation_deg == pytest.approx([0, 0, 0.25])
    assert difference.sensor_shift_um.shape == (32, 3)
    assert not store.diff(1)
    assert store.diff(OLD, 0).changes == ()


def test_a_preview_shows_what_a_deployment_then_does(store):
    OLD.write(store.link)
    before = sorted(os.listdir(store.folder))
    plan = store.preview(NEW)
    assert sorted(os.listdir(store.folder)) == before
    assert (plan.version, plan.adopted) == (1, 0)
    assert len(plan.diff.changes) == 2
    version = store.deploy(NEW)
    assert version.path == plan.path
    assert version.path.read_text() == plan.text
    assert set(os.listdir(store.folder)) == {*plan.writes, ".workbench.lock"}
    assert any("same geometry" in warning for warning in store.preview(NEW).warnings)


@pytest.mark.parametrize("target", ["0-end.data.v1", "{folder}/0-end.data.v1", "./0-end.data.v1"])
def test_links_made_by_hand_are_understood(store, target):
    OLD.write(store.folder / "0-end.data.v0")
    NEW.write(store.folder / "0-end.data.v1")
    store.link.symlink_to(target.format(folder=store.folder))
    assert store.current().number == 1
    assert store.current().intact is None
    assert store.current().when  # of the file itself
    plan = store.preview(OLD)
    assert store.deploy(OLD, "third").number == 2
    assert [one.intact for one in store.history()] == [True, True, True]
    assert set(plan.writes) | {"0-end.data.v0", "0-end.data.v1"} == {
        name for name in os.listdir(store.folder) if name != ".workbench.lock"
    }
    assert os.readlink(store.link) == "0-end.data.v2"
    assert (store.folder / "0-end.data.v1").read_text() == NEW.to_text()


def test_a_dead_link_is_replaced_and_noted(store):
    store.link.symlink_to("0-end.data.v7")
    assert store.geometry() is None
    assert "does not exist" in store.state()
    assert any("does not exist" in warning for warning in store.preview(NEW).warnings)
    assert store.deploy(NEW).number == 0
    assert "dead link to 0-end.data.v7" in store.switches()[-1].comment


def test_a_link_in_a_circle_is_a_dead_link(store):
    store.link.symlink_to("0-end.data")
    assert store.deploy(NEW).number == 0


def test_what_a_foreign_link_led_to_is_kept(store, tmp_path):
    OLD.write(tmp_path / "mine.data")
    store.link.symlink_to(tmp_path / "mine.data")
    assert store.deploy(NEW).number == 1
    assert store.version(0).geometry() == OLD
    assert Geometry.read(tmp_path / "mine.data") == OLD
    assert str(tmp_path / "mine.data") in store.version(0).comment


def test_a_plain_file_beside_versions_gets_the_next_number(store):
    """calibman replaces the link by a plain file; v0 must not be overwritten."""
    OLD.write(store.folder / "0-end.data.v0")
    other = OLD.move_quadrants([(9, 9)] * 4)
    other.write(store.link)
    assert store.deploy(NEW).number == 2
    assert store.version(0).geometry() == OLD
    assert store.version(1).geometry() == other


def test_a_plain_copy_of_a_version_is_that_version(store):
    OLD.write(store.folder / "0-end.data.v0")
    (store.folder / "0-end.data").write_bytes((store.folder / "0-end.data.v0").read_bytes())
    assert store.current().number == 0
    assert store.deploy(NEW).number == 1


def test_foreign_names_are_left_alone_and_numbers_never_reused(store):
    for name in ("0-end.data.v1.bak", "0-end.data.vX", "0-end.data.v01", "10-20.data.v5", "notes"):
        (store.folder / name).write_text("foreign")
    (store.folder / "0-end.data.v3").mkdir()
    assert store.deploy(NEW).number == 4
    assert (store.folder / "0-end.data.v1.bak").read_text() == "foreign"
    assert any("v3 cannot be read" in problem for problem in store.verify())


def test_a_folder_in_the_place_of_the_file_is_refused(store):
    store.link.mkdir()
    with pytest.raises(VersionStoreError, match="Is a directory"):
        store.deploy(NEW)
    assert set(os.listdir(store.folder)) == {"0-end.data", ".workbench.lock"}


def tamper(store, geometry):
    """What calibman does: it writes through the link into the version."""
    store.link.chmod(0o644)
    store.link.write_text(geometry.to_text())


def test_content_rewritten_behind_the_link_is_found_kept_and_repaired(store):
    store.deploy(OLD)
    store.deploy(NEW)
    other = OLD.move_quadrants([(9, 9)] * 4)
    tamper(store, other)
    assert store.version(1).intact is False
    assert any("0-end.data.v1 was changed after" in problem for problem in store.verify())
    with pytest.raises(VersionStoreError, match="not as it was deployed"):
        store.rollback(1)
    said = store.repair()
    assert said == [
        "0-end.data.v1: changed content kept as v2.",
        "0-end.data.v1: deployed content put back.",
    ]
    assert Geometry.read(store.link) == NEW
    assert store.version(2).geometry() == other
    assert store.verify() == []


def test_deploying_over_rewritten_content_keeps_it(store):
    store.deploy(OLD)
    tamper(store, NEW)
    assert store.preview(OLD).adopted == 1
    assert store.deploy(OLD).number == 2
    assert store.version(1).geometry() == NEW


def test_a_switch_by_hand_is_found_and_later_noted(store):
    store.deploy(OLD)
    store.deploy(NEW)
    store.link.unlink()
    store.link.symlink_to("0-end.data.v0")
    assert any("HISTORY ends with deploy of v1" in problem for problem in store.verify())
    store.deploy(NEW)
    assert [(one.action, one.version) for one in store.switches()][-2:] == [
        ("found", 0), ("deploy", 2),
    ]  # fmt: skip
    assert store.verify() == []


def test_a_read_only_folder_can_still_be_looked_at(store):
    store.deploy(OLD)
    store.folder.chmod(0o555)
    try:
        assert store.current().geometry() == OLD
        assert store.preview(NEW).version == 1
        assert store.verify() == []
    finally:
        store.folder.chmod(0o755)


def test_run_ranges_have_versions_of_their_own_and_psanas_choice_is_shown(store):
    store.deploy(OLD)
    early = store.for_range("54-80")
    early.deploy(NEW)
    assert early.deploy(NEW).number == 1
    assert store.ranges() == ["0-end", "54-80"]
    assert store.file_for_run(53) == store.link
    assert store.file_for_run(54) == early.link
    assert store.file_for_run(81).name == "0-end.data"
    assert [one.number for one in store.history()] == [0]
    assert store.preview(NEW).warnings == (
        "For runs 54-80 psana reads 54-80.data, and not 0-end.data.",
    )
    assert store.verify() == []


def test_a_file_of_another_program_that_psana_reads_instead_is_told(store, tmp_path):
    store.deploy(OLD)
    (store.folder / "5-end.data").write_text(NEW.to_text())
    (store.folder / "54-80.data").write_text(NEW.to_text())
    (store.folder / "54-54.data").write_text(NEW.to_text())
    no_version = "of which no version was ever deployed here, and not 0-end.data."
    told = [
        f"For runs 5-53, 81-end psana reads 5-end.data, {no_version}",
        f"For run 54 psana reads 54-54.data, {no_version}",
        f"For runs 55-80 psana reads 54-80.data, {no_version}",
    ]
    for said in (store.preview(NEW).warnings, store.deploy(NEW).record["warnings"]):
        assert list(said) == told
    assert store.verify() == told == store.read_instead()
    for run in (4, 5, 53, 54, 55, 80, 81):  # as psana chooses
        name = store.file_for_run(run).name
        assert name == "0-end.data" or any(name in sentence for sentence in told)
    early = store.for_range("54-54")
    assert early.read_instead() == []
    early.deploy(NEW)  # now somebody meant it
    assert store.verify() == [told[0], told[2]]
    assert "For run 54 psana reads 54-54.data, and not 0-end.data." in store.read_instead()


@pytest.mark.parametrize("text", ["", "end", "80-54", "0-end.data.v1", "../0-end", "-1-3", "0–end"])
def test_impossible_run_ranges_are_refused(tmp_path, text):
    with pytest.raises(WorkbenchError, match="not a range of runs"):
        GeometryStore(tmp_path, ADDRESS, text)


def test_unusable_geometries_never_get_into_the_store(store, tmp_path):
    store.deploy(OLD)
    (tmp_path / "bad.data").write_text("no geometry")
    for bad in (tmp_path / "bad.data", tmp_path / "absent.data"):
        with pytest.raises(FileFormatError):
            store.deploy(bad)
    with pytest.raises(VersionStoreError, match="there is no v5"):
        store.rollback(5)
    assert [one.number for one in store.history()] == [0]


def test_the_geometry_of_another_detector_is_refused(store, tmp_path):
    rows = [f"CSPAD2X2:V1 0 SENS2X1:V1 {i} 0 {23000 * i} 0 0 0 0 0 0 0" for i in range(2)]
    small = Geometry.parse("\n".join([*rows, "IP 0 CSPAD2X2:V1 0 0 0 0 0 0 0 0 0 0"]))
    with pytest.raises(VersionStoreError, match="has 2 sensors"):
        store.deploy(small)
    with pytest.raises(VersionStoreError, match="has 32 sensors"):
        GeometryStore(tmp_path, "MecTargetChamber.0:Cspad2x2.1").preview(OLD)
    assert GeometryStore(tmp_path, "MecTargetChamber.0:Cspad2x2.1").deploy(small).number == 0
    assert os.listdir(store.folder) == []


def test_an_input_that_is_gone_is_recorded_by_name(store):
    version = store.deploy(NEW, inputs=["/nowhere/max.cbf"])
    assert version.record["inputs"] == [{"path": "/nowhere/max.cbf"}]


def test_damaged_records_do_not_hide_versions(store):
    store.deploy(OLD)
    record = store.folder / "0-end.data.v0.json"
    record.chmod(0o644)
    for content in (b"", b"[1]", b"\xff{", b'{"sha256": 7}'):
        record.write_bytes(content)
        assert store.history()[0].geometry() == OLD
    assert store.deploy(NEW).number in (1, 2)
