"""The file operations of a version store: each is atomic, durable, and can be undone.

Nothing here ever opens an existing file for writing, except ``HISTORY`` for appending. New files
are written under a temporary name, fsynced, and linked to their name only if that is free.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from workbench.errors import VersionStoreError
from workbench.files import read_regular, sync_folder
from workbench.provenance import user

LOCK = ".workbench.lock"
HELD = ".workbench.lock.held"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors of file systems without locks, e.g. NFS without its lock service, Lustre mounted so."""
TEMPORARY = ".workbench-"
LOCK_SECONDS = 30.0
_THREADS: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""A lock per folder between the threads of this process; the kernel's is between processes."""
os.register_at_fork(after_in_child=_THREADS.clear)


@contextlib.contextmanager
def locked(folder: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold a folder's lock against other processes and threads; waits at most `seconds`.

    The lock between processes is the kernel's (``fcntl``): it goes with the process that holds
    it, however it ends. On a file system without such locks it is a file that only one process
    can create, and that a killed process leaves behind.

    Raises
    ------
    VersionStoreError
        If another process or thread keeps the lock.
    OSError
        If the folder cannot be written.
    """
    deadline = time.monotonic() + seconds
    thread_lock = _THREADS[os.path.realpath(folder)]
    if not thread_lock.acquire(timeout=seconds):
        raise _busy(folder, seconds)
    try:
        while (unlock := _lock(folder)) is None:
            if time.monotonic() > deadline:
                raise _busy(folder, seconds)
            time.sleep(0.02)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # what was done is done
                unlock()
    finally:
        thread_lock.release()


def _busy(folder: Path, seconds: float) -> VersionStoreError:
    with contextlib.suppress(OSError):
        holder = read_regular(folder / HELD).decode("utf-8", "replace").strip()
        return VersionStoreError(
            f"{folder / HELD}: {holder} has been changing the geometry versions for "
            f"{seconds:.0f} s, and this file system has no locks; try again when it is done, or, "
            "if that process has ended, remove this file and try again."
        )
    return VersionStoreError(
        f"{folder}: another process has been changing the geometry versions for {seconds:.0f} s; "
        "try again when it is done."
    )


def _lock(folder: Path) -> Callable[[], None] | None:
    """Lock a folder; gives what unlocks it, or None while another process holds the lock."""
    path = folder / LOCK
    descriptor, _ = open_shared(path, os.O_RDWR)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return lambda: os.close(descriptor)
        os.close(descriptor)  # removed and made anew meanwhile
        return None
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return None
        if error.errno in NO_LOCKS:
            return _lock_by_name(folder)
        raise


def _lock_by_name(folder: Path) -> Callable[[], None] | None:
    path = folder / HELD
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return None
    try:
        os.write(descriptor, f"{user()} on {socket.gethostname()}, process {os.getpid()}".encode())
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)
    return lambda: os.unlink(path)


def open_shared(path: Path, flags: int) -> tuple[int, bool]:
    """Open a file that all who may write its folder may write; create it if it is not there.

    Gives its descriptor, and whether it was created.
    """
    flags |= os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags), False
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
    with contextlib.suppress(OSError):  # not ours, or a file system without modes
        os.fchmod(descriptor, 0o600 | os.stat(path.parent).st_mode & 0o666)
    return descriptor, True


def link_target(path: Path) -> str | None:
    """Where a symbolic link leads; None if there is no link.

    Raises
    ------
    OSError
        If that cannot be found out.
    """
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):  # no link, nothing there
            return None
        raise


class Changes:
    """Changes in a folder that are taken back together if one of them fails.

    Use as a context manager: on an exception everything done through it is undone, unless the
    last step (`point` or `replace`) has been made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._undo: list[Callable[[], None]] = []
        self._done: Callable[[], bool] | None = None

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or self.is_done():
            return
        for undo in reversed(self._undo):
            with contextlib.suppress(OSError):
                undo()

    def is_done(self) -> bool:
        """Whether the last step has been made; from then on there is no way back."""
        with contextlib.suppress(OSError):
            return self._done is not None and self._done()
        return False

    def create(self, name: str, content: bytes) -> None:
        """Create a file with this content under a name that must be free."""
        temporary, _ = self._written(content, 0o444)
        try:
            self._give_name(temporary, self.folder / name)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        sync_folder(self.folder)

    def replace(self, path: Path, content: bytes, mode: int = 0o444) -> None:
        """Give a file other content, at once; the last step."""
        temporary, inode = self._written(content, mode)
        self._last_step(temporary, path, lambda: os.stat(path).st_ino == inode)

    def point(self, link: Path, target: str) -> None:
        """Make `link` a relative symbolic link to `target`, at once; the last step."""
        temporary = self._temporary()
        os.symlink(target, temporary)
        self._last_step(temporary, link, lambda: os.readlink(link) == target)

    def _last_step(self, temporary: Path, path: Path, done: Callable[[], bool]) -> None:
        self._done = done
        try:
            os.replace(temporary, path)
        except OSError:
            if not self.is_done():  # some file systems report an error and have renamed it
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
        with contextlib.suppress(OSError):  # it is switched; not durable yet is no failure
            sync_folder(self.folder)

    def adopt(self, path: Path, name: str) -> None:
        """Give a plain file of this folder a second name, which must be free; it keeps its first.

        Where the file system has no hard links, the second one is a copy.
        """
        try:
            os.link(path, self.folder / name)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            self.create(name, path.read_bytes())
            return
        self._undo.append(lambda: os.unlink(self.folder / name))
        sync_folder(self.folder)

    def append(self, name: str, line: str) -> None:
        """Append a line to a text file as one write, after an unfinished line if there is one."""
        path = self.folder / name
        descriptor, created = open_shared(path, os.O_RDWR | os.O_APPEND)
        try:
            if created:
                self._undo.append(lambda: os.unlink(path))
            size = os.fstat(descriptor).st_size
            if not created:
                self._undo.append(lambda: os.truncate(path, size))
            unfinished = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            rest = memoryview(
                (("\n" if unfinished else "") + line + "\n").encode("utf-8", "replace")
            )
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _written(self, content: bytes, mode: int) -> tuple[Path, int]:
        """Temporary file with this content, on the disk, and its inode."""
        temporary = self._temporary()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
                inode = os.fstat(descriptor).st_ino
            finally:
                os.close(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        return temporary, inode

    def _give_name(self, temporary: Path, path: Path) -> None:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise
            if os.path.lexists(path):  # no hard links here: under the lock this is safe as well
                raise FileExistsError(errno.EEXIST, "exists already", str(path)) from None
            os.rename(temporary, path)
        self._undo.append(lambda: os.unlink(path))

    def _temporary(self) -> Path:
        return self.folder / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}.tmp"


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of processes that were killed (call it with the lock held)."""
    for path in folder.glob(f"{TEMPORARY}*.tmp"):
        with contextlib.suppress(OSError):
            os.unlink(path)


def make_folders(folder: Path) -> Callable[[], None]:
    """Create a folder and what is missing above it; gives the function that takes that back."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]

    def undo() -> None:
        for made in missing:
            with contextlib.suppress(OSError):
                made.rmdir()

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:
            sync_folder(made.parent)
    except OSError:
        undo()
        raise
    return undo


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder, creating it; on an error it is removed again if nothing else is in it.

    Raises
    ------
    VersionStoreError
        Instead of every OSError: the message says that everything is as it was.
    """
    undo_folders = None
    try:
        undo_folders = make_folders(folder)
        with locked(folder, LOCK_SECONDS):
            remove_leftovers(folder)
            yield
    except BaseException as error:
        if undo_folders is not None:
            with contextlib.suppress(OSError):
                if os.listdir(folder) == [LOCK]:
                    os.unlink(folder / LOCK)
            undo_folders()
        if isinstance(error, OSError):
            culprit = str(error.filename or "")
            where = folder if TEMPORARY in culprit or not culprit else culprit
            raise VersionStoreError(
                f"{where}: nothing was deployed, everything is as it was "
                f"({error.strerror or error})."
            ) from error
        raise


def digest(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
