"""Power fails at any moment of a deployment, a roll-back or a repair."""

import os
import shutil

import pytest
from power import Disk, put
from test_store_faults import ADDRESS, CHANGES, NEW, contents, holds, quick

from workbench.geometry import GeometryStore

__all__ = ["quick"]


def new_folder(store):
    """Nothing was ever deployed."""
    store.calib_dir.mkdir()


ALL = CHANGES | {"deploy the first": (new_folder, lambda store: store.deploy(NEW, "why"))}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_after_a_power_failure_a_whole_version_is_read_and_none_is_lost(quick, name):
    prepare, change = ALL[name]
    store = GeometryStore(quick / "calib", ADDRESS)
    prepare(store)
    before = contents(store)
    disk = Disk(store.calib_dir)
    with disk.recording():
        change(store)
    after = store.link.read_bytes()
    assert len(disk.states) > 4
    for state in disk.states:
        shutil.rmtree(quick / "left", ignore_errors=True)
        put(state, quick / "left")
        left = GeometryStore(quick / "left", ADDRESS)
        if before:
            assert left.link.read_bytes() in before | {after}
            assert left.geometry() is not None
            holds(left, before, change)
        else:
            assert left.geometry() in (None, NEW)
            change(left)
            assert left.geometry() == NEW
    # what was said to be done is on the disk
    shutil.rmtree(quick / "left", ignore_errors=True)
    put(disk.last(), quick / "left")
    done = GeometryStore(quick / "left", ADDRESS)
    assert done.link.read_bytes() == after
    assert contents(done) >= before
    done.repair()
    assert done.verify() == []


def test_a_disk_that_is_not_waited_for_shows_in_this_test(tmp_path):
    """Names that are not synchronised may be lost; contents may be cut."""
    (tmp_path / "file").write_text("old")
    careless = Disk(tmp_path)
    with careless.recording():
        descriptor = os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, b"new!")
        os.close(descriptor)
        os.replace(tmp_path / "new", tmp_path / "file")
    left = {{str(path): item for path, item in state}["file"] for state in careless.states}
    assert left == {b"old", b"", b"ne", b"new!"}
    assert {str(path): item for path, item in careless.last()} == {"file": b"old"}
