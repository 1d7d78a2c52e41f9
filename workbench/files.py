"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError


@contextmanager
def replacing(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path` and rename it to `path` on success.

    The file is fsynced before the rename and the folder after it. On any error the temporary
    file is removed and `path` is left as it was.

    Raises
    ------
    WorkbenchError
        If the folder cannot be written, or `path` exists and `overwrite` is False.
    """
    target = Path(path)
    if os.path.isdir(target):
        raise WorkbenchError(f"{target} is a folder; give the name of the file to write.")
    if not overwrite and os.path.lexists(target):
        raise WorkbenchError(f"{target} exists already; choose another name or allow overwriting.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix
        )
    except OSError as error:
        raise WorkbenchError(
            f"{target} cannot be written ({error.strerror}); choose a folder you may write to."
        ) from error
    temporary = Path(name)
    try:
        os.close(handle)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        if overwrite:
            os.replace(temporary, target)
        else:
            os.link(temporary, target)  # fails if `target` appeared meanwhile
            _remove(temporary)
    except OSError as error:
        _remove(temporary)
        raise WorkbenchError(
            f"{target} could not be written: {error.strerror or error}."
        ) from error
    except BaseException:
        _remove(temporary)
        raise
    with suppress(OSError):  # it is there; not durable yet is no failure
        sync_folder(target.parent)


def _remove(temporary: Path) -> None:
    with suppress(OSError):
        temporary.unlink()


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make renames and new names in `folder` durable (where the file system can)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems refuse fsync on folders
        pass
    finally:
        os.close(descriptor)


def read_regular(path: str | os.PathLike[str], size: int = -1) -> bytes:
    """Content of a regular file, or its first `size` bytes.

    Raises
    ------
    OSError
        If it cannot be read or is not a regular file: a pipe would be waited for.
    """
    with open(path, "rb", opener=only_regular) as file:
        return file.read(size)


def split_dataset(path: str | os.PathLike[str]) -> tuple[str, str]:
    """File, and the dataset in it that ``file.h5:/dataset`` names; empty if it names none."""
    name = os.fspath(path)
    match = re.fullmatch(r"(.*\.(?:h5|hdf5|cxi|npz)):([^:]+)", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, "")


def parse_json(text: str | bytes) -> Any:
    """Value that a JSON text says.

    Raises
    ------
    ValueError
        If it is no JSON, or lists in lists without end.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too many lists or tables within one another") from None


def only_regular(path: str, flags: int) -> int:
    """Opener for `open` that refuses what is not a regular file, and does not wait for it."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "it is not a regular file", path)


@contextmanager
def os_errors_as(kind: type[WorkbenchError]) -> Iterator[None]:
    """Let an error of the file system be an error of this kind, one sentence (also a decorator)."""
    try:
        yield
    except OSError as error:
        where = "a file" if error.filename is None else os.fsdecode(error.filename)
        raise kind(
            f"{where} cannot be read ({error.strerror or error}); try again, or look after the "
            "file system."
        ) from error


def in_calibration_directory(path: str | os.PathLike[str]) -> bool:
    """Whether a path lies, links followed, where psana looks for constants (``…::CalibV1``)."""
    return any(re.fullmatch(r"\w+::CalibV\d+", part) for part in Path(path).resolve().parts)


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
