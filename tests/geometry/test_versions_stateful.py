"""Whatever people do to the folder in between, no deployed geometry is ever lost."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from workbench.errors import VersionStoreError
from workbench.geometry import Geometry, GeometryStore
from workbench.geometry.store import files as store_files
from workbench.geometry.store.folder import VersionFolder

ADDRESS = "CxiDs1.0:Cspad.0"
IDEAL = Geometry.ideal()


def geometry_number(number):
    return IDEAL.move_quadrants([(number, -number), (0, 0), (0, 0), (0, 0)])


class Store(RuleBasedStateMachine):
    """A store, and the hands of users and of other programs in its folder."""

    def __init__(self):
        super().__init__()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.calib = Path(tempfile.mkdtemp(dir=memory))
        self.store = GeometryStore(self.calib, ADDRESS)
        self.made = 0
        self.precious = set()  # contents that were current or deployed at some time

    def teardown(self):
        shutil.rmtree(self.calib)

    def fresh(self):
        self.made += 1
        return geometry_number(self.made)

    @initialize(start=st.sampled_from(["nothing", "plain", "hand-made versions"]))
    def begin(self, start):
        if start == "nothing":
            return
        self.store.folder.mkdir(parents=True)
        first = self.fresh()
        self.precious.add(first.to_text())
        if start == "plain":
            first.write(self.store.link)
        else:
            first.write(self.store.folder / "0-end.data.v0")
            self.store.link.symlink_to(self.store.folder / "0-end.data.v0")

    @rule()
    def deploy(self):
        geometry = self.fresh()
        version = self.store.deploy(geometry, "a comment")
        assert version.current
        assert self.store.geometry() == geometry
        self.precious.add(geometry.to_text())

    @precondition(lambda self: self.store.history())
    @rule(data=st.data())
    def roll_back(self, data):
        version = data.draw(st.sampled_from(self.store.history()))
        if version.intact is False:
            with pytest.raises(VersionStoreError):
                self.store.rollback(version.number)
        else:
            self.store.rollback(version.number)
            assert self.store.current().number == version.number

    @rule()
    def another_program_replaces_the_link_by_a_plain_file(self):
        self.store.folder.mkdir(parents=True, exist_ok=True)
        if VersionFolder(self.store.folder, self.store.link.name).state().kind == "plain":
            self.precious.discard(self.store.link.read_text())  # lost, but not by us
        if self.store.link.is_symlink():
            self.store.link.unlink()
        geometry = self.fresh()
        geometry.write(self.store.link)
        self.precious.add(geometry.to_text())

    @precondition(lambda self: self.store.link.is_symlink() and self.store.current())
    @rule()
    def another_program_writes_through_the_link(self):
        if not self.store.current().recorded_sha256:
            return  # nobody can know what was there before
        if self.store.current().intact is False:
            self.precious.discard(self.store.link.read_text())  # lost, but not by us
        geometry = self.fresh()
        self.store.link.chmod(0o644)
        self.store.link.write_text(geometry.to_text())
        self.precious.add(geometry.to_text())

    @precondition(lambda self: self.store.history())
    @rule(data=st.data(), absolute=st.booleans())
    def someone_links_by_hand(self, data, absolute):
        path = data.draw(st.sampled_from(self.store.history())).path
        state = VersionFolder(self.store.folder, self.store.link.name).state()
        if state.kind == "plain":
            return  # this is how a plain file is lost, and not by us
        self.store.link.unlink(missing_ok=True)
        self.store.link.symlink_to(path if absolute else path.name)

    @rule()
    def repair(self):
        self.store.repair()
        assert not [one for one in self.store.history() if one.intact is False]

    @invariant()
    def nothing_is_lost(self):
        if not self.store.folder.exists():
            return
        found = {
            path.read_text() for path in self.store.folder.glob("0-end.data*") if path.is_file()
        }
        found |= {str(one.record.get("text")) for one in self.store.history()}
        assert self.precious <= found

    @invariant()
    def numbers_are_consecutive_and_the_folder_is_clean(self):
        if not self.store.folder.exists():
            return
        numbers = [version.number for version in self.store.history()]
        assert numbers == list(range(len(numbers)))
        assert not list(self.store.folder.glob(".workbench-*"))
        assert not list(self.store.folder.glob("*.restored"))


Store.TestCase.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
TestStore = Store.TestCase


def test_a_file_system_without_hard_links_is_good_enough(tmp_path, monkeypatch):
    def link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    store = GeometryStore(tmp_path, ADDRESS)
    store.folder.mkdir(parents=True)
    IDEAL.write(store.link)
    content = store.link.read_bytes()
    assert store.deploy(geometry_number(3)).number == 1
    assert (store.folder / "0-end.data.v0").read_bytes() == content
    assert store.verify() == []


def test_a_lock_held_for_too_long_is_said(tmp_path, monkeypatch):
    def lockf(*_):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(store_files.fcntl, "lockf", lockf)
    lock = store_files.locked(tmp_path, seconds=0.05)
    with pytest.raises(VersionStoreError, match="another process"), lock:
        pass
