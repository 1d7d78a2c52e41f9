"""What other programs, other users, other threads and failing disks do to a version store."""

import contextlib
import errno
import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from workbench.errors import VersionStoreError
from workbench.geometry import Geometry, GeometryStore
from workbench.geometry.store import files
from workbench.geometry.store.folder import VersionFolder

ADDRESS = "CxiDs1.0:Cspad.0"
OLD = Geometry.ideal()
NEW = OLD.move_quadrants([(1.5, -2), (0, 0), (3, 4), (0, 0)])
OTHER = OLD.move_quadrants([(9, 9)] * 4)


@pytest.fixture
def store(tmp_path):
    store = GeometryStore(tmp_path, ADDRESS)
    store.folder.mkdir(parents=True)
    return store


def contents(store):
    return {path.name: path.read_bytes() for path in store.folder.glob("0-end.data*")}


def test_threads_deploy_one_after_the_other(store):
    OLD.write(store.link)
    numbers, start = [], threading.Barrier(8)

    def deploy(number):
        geometry = OLD.move_quadrants([(number, 0)] * 4)
        start.wait()
        numbers.append(GeometryStore(store.calib_dir, ADDRESS).deploy(geometry).number)

    threads = [threading.Thread(target=deploy, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 9))
    assert store.version(0).geometry() == OLD
    assert store.verify() == []


# ---- a failed repair -----------------------------------------------------------------------------


def tampered(store):
    """A store whose current version was rewritten by another program."""
    store.deploy(OLD)
    store.link.chmod(0o644)
    store.link.write_text(OTHER.to_text())


def fail(monkeypatch, name, matches):
    """Let a function of `os` fail with EIO whenever its arguments match."""
    function = getattr(os, name)

    def failing(*arguments, **options):
        if matches(*arguments):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(*arguments, **options)

    monkeypatch.setattr(os, name, failing)


def test_a_repair_that_cannot_be_recorded_changes_nothing(store, monkeypatch):
    tampered(store)
    before = contents(store)
    fail(monkeypatch, "open", lambda path, *_: str(path).endswith("HISTORY"))
    with pytest.raises(VersionStoreError, match="everything is as it was"):
        store.repair()
    assert contents(store) == before
    monkeypatch.undo()
    assert len(store.repair()) == 2
    assert store.version(1).geometry() == OTHER


def test_a_version_that_cannot_be_read_is_not_written_over(store, monkeypatch):
    tampered(store)
    before = contents(store)
    read = VersionFolder.version

    def unreadable(folder, number, current):
        version = read(folder, number, current)
        return type(version)(number, version.path, version.current, "", version.recorded_sha256)

    monkeypatch.setattr(VersionFolder, "version", unreadable)
    assert store.repair() == ["0-end.data.v0: it cannot be read, so it could not be kept; left "
                              "alone."]  # fmt: skip
    monkeypatch.undo()
    assert contents(store) == before


# ---- versions deleted by hand --------------------------------------------------------------------


def test_the_number_of_a_deleted_version_is_not_used_again(store):
    store.deploy(OLD)
    store.deploy(NEW)
    store.version(1).path.unlink()
    assert store.preview(OTHER).version == 2
    assert store.deploy(OTHER).number == 2
    problems = " ".join(store.verify())
    assert "v1 was deleted, or its deployment was interrupted; `repair` puts it back" in problems
    assert store.repair() == ["0-end.data.v1: put back from its record."]
    assert store.version(1).geometry() == NEW
    assert store.version(1).intact
    assert store.current().number == 2


@pytest.mark.parametrize("number", [0, 1])
def test_a_deleted_version_is_missed_and_put_back(store, number):
    store.deploy(OLD)
    store.deploy(NEW)
    store.version(number).path.unlink()
    assert any(f"v{number} was deleted" in problem for problem in store.verify())
    store.repair()
    assert [one.number for one in store.history()] == [0, 1]
    assert store.current().geometry() == NEW


def test_a_deleted_version_without_its_record_leaves_its_number_in_history(store):
    store.deploy(OLD)
    store.deploy(NEW)
    for path in (store.version(1).path, store.folder / "0-end.data.v1.json"):
        path.unlink()
    assert store.deploy(OTHER).number == 2


def test_the_number_of_a_version_that_history_does_not_know_is_not_used_again(store, monkeypatch):
    """A deployment killed before its line was written, its file deleted by hand afterwards."""
    store.deploy(OLD)
    fail(monkeypatch, "pread", lambda *_: os._exit(9))  # what `append` does first
    pid = os.fork()
    if pid == 0:
        store.deploy(NEW)
    os.waitpid(pid, 0)
    monkeypatch.undo()
    store.version(1).path.unlink()
    assert store.deploy(OTHER).number == 2
    assert store.repair() == ["0-end.data.v1: put back from its record."]
    assert store.version(1).geometry() == NEW


def test_a_repaired_older_version_is_no_problem_afterwards(store):
    store.deploy(OLD)
    store.deploy(NEW)
    store.version(0).path.unlink()
    store.repair()
    assert store.verify() == []
    assert store.switches()[-1].action == "repair"


def test_an_absurd_number_does_not_stop_deployments(store):
    (store.folder / "0-end.data.v999999999").write_text(OLD.to_text())
    assert store.deploy(NEW).number == 0
    assert store.deploy(OTHER).number == 1
    assert store.current().geometry() == OTHER


# ---- file systems without locks ------------------------------------------------------------------


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def without_locks(request, monkeypatch):
    """What NFS without its lock service and Lustre mounted without locks answer."""

    def lockf(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(files.fcntl, "lockf", lockf)
    monkeypatch.setattr(files, "LOCK_SECONDS", 600)  # a busy machine


def test_without_locks_processes_and_threads_deploy_one_after_the_other(store, without_locks):
    OLD.write(store.link)

    def deploy(number):
        store.deploy(OLD.move_quadrants([(number, 0)] * 4))

    children = []
    for number in range(3):
        children.append(os.fork())
        if not children[-1]:
            status = 70
            try:
                deploy(number)
                status = 0
            finally:
                os._exit(status)
    threads = [threading.Thread(target=deploy, args=(number,)) for number in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert [version.number for version in store.history()] == list(range(6))
    assert store.version(0).geometry() == OLD
    assert store.verify() == []
    assert not (store.folder / files.HELD).exists()


def test_without_locks_what_a_killed_process_leaves_is_named(store, without_locks, monkeypatch):
    store.deploy(OLD)
    before = contents(store)
    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(os, "replace", lambda *_: os._exit(9))
        store.deploy(NEW)
    os.waitpid(pid, 0)
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.05)
    with pytest.raises(VersionStoreError, match=rf"lock.held: .*, process {pid} has been .*remove"):
        store.deploy(OTHER)
    assert contents(store).items() >= before.items()
    assert store.current().geometry() == OLD
    (store.folder / files.HELD).unlink()
    store.deploy(OTHER)
    assert store.current().geometry() == OTHER
    assert store.verify() == []


# ---- failing disks -------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_listed_loses_no_record(store, monkeypatch):
    store.deploy(OLD)
    before = contents(store)
    fail(monkeypatch, "listdir", lambda folder: True)
    for action in (lambda: store.deploy(NEW), store.history, store.verify):
        with pytest.raises(VersionStoreError, match="Input/output error"):
            action()
    monkeypatch.undo()
    assert contents(store) == before


def test_an_error_reported_for_a_rename_that_was_made_is_no_failure(store, monkeypatch):
    """NFS repeats a request whose answer was lost, and reports what the second one gave."""
    store.deploy(OLD)
    replace = os.replace

    def repeated(source, target):
        replace(source, target)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))

    monkeypatch.setattr(os, "replace", repeated)
    assert store.deploy(NEW).number == 1
    monkeypatch.undo()
    assert store.current().geometry() == NEW
    assert store.verify() == []


def test_an_error_after_the_switch_is_no_failure(store, monkeypatch):
    store.deploy(OLD)
    switched = []
    replace, names = os.replace, ("open", "stat", "readlink", "listdir", "fsync", "unlink")

    def switching(source, target):
        replace(source, target)
        switched.append(target)

    monkeypatch.setattr(os, "replace", switching)
    for name in names:
        fail(monkeypatch, name, lambda *_: bool(switched))
    version = store.deploy(NEW)
    monkeypatch.undo()
    assert version.intact
    assert store.current() == version


def test_a_name_that_cannot_be_followed_is_one_sentence(store, monkeypatch):
    store.deploy(OLD)
    fail(monkeypatch, "readlink", lambda *_: True)
    (store.folder / "elsewhere").write_text(OLD.to_text())
    store.link.unlink()
    store.link.symlink_to("elsewhere")
    with pytest.raises(VersionStoreError, match="cannot be read"):
        store.state()


# ---- other users ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["0-end.data", "HISTORY", "0-end.data.v0", "0-end.data.v0.json"])
def test_a_pipe_in_the_folder_is_not_waited_for(store, name):
    """It is refused, or named; nothing hangs."""
    path = store.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for look in (store.history, store.verify, store.state):
        with contextlib.suppress(VersionStoreError):
            look()
    with contextlib.suppress(VersionStoreError):
        store.deploy(Geometry.ideal())
    assert stat.S_ISFIFO(os.lstat(path).st_mode)


def test_a_comment_that_is_no_unicode_is_recorded(store):
    """File names on the command line may hold bytes that are no text."""
    assert store.deploy(Geometry.ideal(), "from \udcff and \ud800").comment
    assert "comment:from ? and ?" in (store.folder / "HISTORY").read_text()
    assert store.verify() == []


def test_who_may_write_the_folder_may_write_lock_and_history(store):
    for mode in (0o775, 0o755):
        store.folder.chmod(mode)
        for name in (".workbench.lock", "HISTORY"):
            (store.folder / name).unlink(missing_ok=True)
        before = os.umask(0o077)
        try:
            store.deploy(OTHER)
        finally:
            os.umask(before)
        for name in (".workbench.lock", "HISTORY"):
            assert (store.folder / name).stat().st_mode & 0o666 == mode & 0o666


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_second_user_of_the_group_deploys():
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        store = GeometryStore(name, ADDRESS)
        store.folder.mkdir(parents=True)
        os.chown(store.folder, 0, 1234)
        store.folder.chmod(0o2775)
        store.deploy(OLD)
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                os.setgroups([])
                os.setgid(1234)
                os.setuid(65534)
                status = store.deploy(NEW).number
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        assert store.current().geometry() == NEW
