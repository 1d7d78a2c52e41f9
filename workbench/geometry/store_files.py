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
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from workbench.errors import VersionStoreError
from workbench.files import sync_folder

LOCK = ".workbench.lock"
TEMPORARY = ".workbench-"
LOCK_SECONDS = 30.0


@contextlib.contextmanager
def locked(folder: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold a folder's lock against other processes; waits at most `seconds`.

    The lock is the kernel's (``fcntl``): it goes with the process that holds it, however it ends.

    Raises
    ------
    VersionStoreError
        If another process keeps the lock.
    OSError
        If the folder cannot be written.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
                if time.monotonic() > deadline:
                    raise VersionStoreError(
                        f"{folder}: another process has been changing the geometry versions for "
                        f"{seconds:.0f} s; try again when it is done."
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


class Changes:
    """Changes in a folder that are taken back together if one of them fails.

    Use as a context manager: on an exception everything done through it is undone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._undo: list[Callable[[], None]] = []
        self._pointed: tuple[Path, str] | None = None

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or self._is_switched():
            return  # once the link leads to the new version, there is no way back
        for undo in reversed(self._undo):
            with contextlib.suppress(OSError):
                undo()

    def create(self, name: str, content: bytes, mode: int = 0o444) -> None:
        """Create a file with this content under a name that must be free."""
        temporary = self._temporary()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._give_name(temporary, self.folder / name)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
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

    def point(self, link: Path, target: str) -> None:
        """Make `link` a relative symbolic link to `target`, replacing what was there at once."""
        temporary = self._temporary()
        os.symlink(target, temporary)
        try:
            self._pointed = (link, target)
            os.replace(temporary, link)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        with contextlib.suppress(OSError):  # it is switched; not durable yet is no failure
            sync_folder(self.folder)

    def append(self, name: str, line: str) -> None:
        """Append a line to a text file as one write, after an unfinished line if there is one."""
        path = self.folder / name
        existed = os.path.lexists(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if existed:
                self._undo.append(lambda: os.truncate(path, size))
            else:
                self._undo.append(lambda: os.unlink(path))
            unfinished = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            rest = memoryview((("\n" if unfinished else "") + line + "\n").encode())
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _is_switched(self) -> bool:
        if self._pointed is None:
            return False
        link, target = self._pointed
        with contextlib.suppress(OSError):
            return os.readlink(link) == target
        return False

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
    missing = [one for one in (folder, *folder.parents) if not one.exists()]

    def undo() -> None:
        for one in missing:
            with contextlib.suppress(OSError):
                one.rmdir()

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        undo()
        raise
    return undo


def digest(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
