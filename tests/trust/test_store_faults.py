"""Every call a version store makes fails once with each of four errors, and kills the process.

After each: no version is lost, the message is true, and doing it again works.
"""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from faults import ERRNOS, at_call, fail, in_child, kill

from workbench.errors import VersionStoreError
from workbench.geometry import Geometry, GeometryStore

ADDRESS = "CxiDs1.0:Cspad.0"
OLD = Geometry.ideal().in_index_order()
NEW = OLD.move_quadrants([(1, 2), (3, 4), (5, 6), (7, 8)])
OTHER = OLD.move_quadrants([(9, 9)] * 4)


def plain(store):
    store.folder.mkdir(parents=True)
    OLD.write(store.link)


def versions(store):
    store.deploy(OTHER)
    store.deploy(OLD)


def tampered(store):
    """The current version was rewritten by another program, an older one deleted."""
    versions(store)
    store.link.chmod(0o644)
    store.link.write_text(NEW.to_text())
    store.version(0).path.unlink()


def foreign(store):
    """As calibman leaves it: a link to a file elsewhere."""
    store.folder.mkdir(parents=True)
    (store.calib_dir / "mine.txt").write_text(OLD.to_text())
    store.link.symlink_to(store.calib_dir / "mine.txt")


CHANGES = {
    "deploy over a plain file": (plain, lambda store: store.deploy(NEW, "why")),
    "deploy": (versions, lambda store: store.deploy(NEW, "why")),
    "deploy over a changed version": (tampered, lambda store: store.deploy(OTHER, "why")),
    "deploy over a link": (foreign, lambda store: store.deploy(NEW, "why")),
    "roll back": (versions, lambda store: store.rollback(0, "why")),
    "repair": (tampered, lambda store: store.repair()),
}


def contents(store):
    """Every geometry in the folder and what psana reads."""
    files = store.folder.glob("0-end.data*")
    found = {path.read_bytes() for path in files if path.suffix != ".json" and path.is_file()}
    return found | {store.link.read_bytes() for _ in range(store.link.exists())}


def everything(store):
    """Names and contents, but of the lock."""
    return {
        path.name: path.read_bytes()
        for path in store.folder.iterdir()
        if path.is_file() and path.name != ".workbench.lock"
    }


class Copies:
    """Copies of one prepared store."""

    def __init__(self, folder, prepare):
        self.folder = folder
        prepare(GeometryStore(folder / "good", ADDRESS))

    def new(self):
        shutil.rmtree(self.folder / "copy", ignore_errors=True)
        shutil.copytree(self.folder / "good", self.folder / "copy", symlinks=True)
        return GeometryStore(self.folder / "copy", ADDRESS)


@pytest.fixture
def quick():
    """Folder in memory: hundreds of fsyncs are slow on a disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


def holds(store, before, change):
    """No version is lost, and the change can be made now."""
    assert contents(store) >= before
    assert list(store.folder.glob("0-end.data"))
    change(store)
    assert contents(store) >= before
    store.repair()
    assert store.verify() == []
    assert not list(store.folder.glob(".workbench-*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_each_call_fails_once(quick, name):
    prepare, change = CHANGES[name]
    copies = Copies(quick, prepare)
    store = copies.new()
    with at_call(0, None) as calls:
        change(store)
    refused = 0
    for number in range(1, calls[0] + 1):
        for error in ERRNOS:
            store = copies.new()
            before, all_before = contents(store), everything(store)
            problem = ""
            try:
                with at_call(number, fail(error)):
                    change(store)
            except VersionStoreError as refusal:
                problem = str(refusal)
            refused += bool(problem)
            if "everything is as it was" in problem:
                assert everything(store) == all_before, (number, error, problem)
            holds(store, before, change)
    assert refused > calls[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_killed_at_each_call(quick, name):
    prepare, change = CHANGES[name]
    copies = Copies(quick, prepare)
    number, status = 0, -9
    while status:
        number += 1
        store = copies.new()
        before = contents(store)

        def work(store=store, number=number):
            with at_call(number, kill):
                change(store)

        status = in_child(work)
        assert status in (0, -9)
        holds(store, before, change)
    assert number > 30


LOOKS = {
    "history": lambda store: [version.number for version in store.history()],
    "current": lambda store: getattr(store.current(), "number", None),
    "geometry": lambda store: store.geometry(),
}


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_that_fails_is_a_sentence_and_never_another_answer(quick, name):
    store = GeometryStore(quick, ADDRESS)
    versions(store)
    right = LOOKS[name](store)
    with at_call(0, None) as calls:
        LOOKS[name](store)
    for number in range(1, calls[0] + 1):
        for error in ERRNOS:
            answer = right
            with suppress(VersionStoreError), at_call(number, fail(error)):
                answer = LOOKS[name](store)
            assert answer == right, (number, error)
