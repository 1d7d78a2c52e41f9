"""What a disk may hold after a power failure: the writes of a process, and what is left of them.

A file system keeps to `fsync` and nothing else: the content of a file is on the disk once the file
was synchronised, a change of names once its folder was. Of later changes of names any may be lost,
of the content of a file that was not synchronised half or all.
"""

import contextlib
import itertools
import os
from pathlib import Path

_NAMES = ("open", "write", "fsync", "link", "unlink", "symlink", "replace", "rename", "truncate",
          "mkdir", "rmdir")  # fmt: skip


class Disk:
    """States of a folder on the disk, recorded as `os` is called.

    Attributes
    ----------
    states : every set of names that may be there after a power failure at any moment, each as a
        frozenset of (path in the folder, content; a path for a link; None for a folder).
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.states = set()
        self._names = {}  # on the disk: path -> bytearray of a file, str of a link, None
        self._files = {}  # present: path -> the same
        self._durable = {}  # id of a file -> its content on the disk
        self._keep = []  # so that no id is used again
        self._pending = []  # changes of names: folders they are in, {path: object, or _GONE}
        self._open = {}
        for path in sorted(self.folder.rglob("*")):
            self._names[path] = self._read(path)
        self._files = dict(self._names)
        for item in self._names.values():
            self._synced(item)
        self._add()

    @staticmethod
    def _read(path):
        if path.is_symlink():
            return os.readlink(path)
        return None if path.is_dir() else bytearray(path.read_bytes())

    def _synced(self, item):
        if isinstance(item, bytearray):
            self._keep.append(item)
            self._durable[id(item)] = bytes(item)

    def _named(self, changes):
        self._pending.append(({path.parent for path in changes}, changes))
        self._files = _changed(self._files, changes)

    def _add(self):
        """Add the states that the disk may be in now."""
        for kept in itertools.product((False, True), repeat=len(self._pending)):
            names = self._names
            for (_, changes), there in zip(self._pending, kept, strict=True):
                names = _changed(names, changes) if there else names
            # a name in a folder that is not there is not there either
            names = {
                path: item
                for path, item in names.items()
                if all(above in names or not above.is_relative_to(self.folder)
                       or above == self.folder for above in path.parents)
            }  # fmt: skip
            for content in (self._lost, self._half, bytes):
                self.states.add(
                    frozenset(
                        (path.relative_to(self.folder),
                         content(item) if isinstance(item, bytearray) else item)
                        for path, item in names.items()
                    )
                )  # fmt: skip

    def _lost(self, item):
        return self._durable.get(id(item), b"")

    def _half(self, item):
        return bytes(item[: (len(self._lost(item)) + len(item)) // 2])

    # ---- calls -------------------------------------------------------------------------------

    def did_open(self, result, path, flags, *_):
        path = Path(path)
        if path not in self._files and flags & os.O_CREAT:
            self._keep.append(bytearray())
            self._named({path: self._keep[-1]})
        self._open[result] = path if path == self.folder else self._files.get(path), path

    def did_write(self, result, descriptor, content):
        self._open[descriptor][0].extend(bytes(content)[:result])

    def did_fsync(self, result, descriptor):
        item, path = self._open[descriptor]
        if isinstance(item, bytearray):
            self._synced(item)
            return
        left = []
        for folders, changes in self._pending:
            if path in folders:
                self._names = _changed(self._names, changes)
            else:
                left.append((folders, changes))
        self._pending = left

    def did_link(self, result, source, target):
        self._named({Path(target): self._files[Path(source)]})

    def did_unlink(self, result, path):
        self._named({Path(path): _GONE})

    def did_symlink(self, result, target, path):
        self._named({Path(path): os.fspath(target)})

    def did_replace(self, result, source, target):
        self._named({Path(target): self._files[Path(source)], Path(source): _GONE})

    did_rename = did_replace
    did_rmdir = did_unlink

    def did_mkdir(self, result, path, *_):
        self._named({Path(path): None})

    def did_truncate(self, result, path, size):
        del self._files[Path(path)][size:]

    @contextlib.contextmanager
    def recording(self):
        """Record what is done."""
        before = {name: getattr(os, name) for name in _NAMES}

        def wrap(name, function):
            def wrapped(*arguments, **options):
                result = function(*arguments, **options)
                if name in ("write", "fsync") and arguments[0] not in self._open:
                    return result
                if name not in ("write", "fsync") and not self._inside(*arguments):
                    return result
                getattr(self, f"did_{name}")(result, *arguments)
                self._add()
                return result

            return wrapped

        for name, function in before.items():
            setattr(os, name, wrap(name, function))
        try:
            yield
        finally:
            for name, function in before.items():
                setattr(os, name, function)

    def _inside(self, *arguments):
        paths = [Path(word) for word in arguments if isinstance(word, (str, os.PathLike))]
        return any(path.is_relative_to(self.folder) for path in paths)

    def last(self):
        """State in which only what was synchronised is there."""
        return frozenset(
            (path.relative_to(self.folder),
             self._lost(item) if isinstance(item, bytearray) else item)
            for path, item in self._names.items()
        )  # fmt: skip


_GONE = object()


def _changed(names, changes):
    return {path: item for path, item in {**names, **changes}.items() if item is not _GONE}


def put(state, folder):
    """Write a state into a folder that is not there yet."""
    folder.mkdir()
    for path, item in sorted(state, key=lambda entry: str(entry[0])):
        if item is None:
            (folder / path).mkdir()
        elif isinstance(item, str):
            (folder / path).symlink_to(item)
        else:
            (folder / path).write_bytes(item)
