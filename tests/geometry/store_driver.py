"""Deploy in forked processes that are killed, or get an error, at the n-th file-system call.

Run as a program: ``store_driver.py kill|fail FOLDER STATE…``; prints one JSON object for each case.
"""

import builtins
import errno
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from workbench.errors import VersionStoreError
from workbench.geometry import Geometry, GeometryStore
from workbench.geometry.store.folder import VersionFolder

CALLS = ("open", "write", "fsync", "close", "link", "unlink", "symlink", "replace", "rename",
         "mkdir", "rmdir", "truncate", "chmod", "remove")  # fmt: skip
ADDRESS = "CxiDs1.0:Cspad.0"
OLD = Geometry.ideal().in_index_order()
NEW = OLD.move_quadrants([(1, 2), (3, 4), (5, 6), (7, 8)])
LATER = OLD.move_quadrants([(1, 0), (0, 0), (0, 0), (0, 0)])


def prepare(state, calib):
    """Put the folder into a state that users leave behind; gives the content psana reads."""
    store = GeometryStore(calib, ADDRESS)
    text = OLD.to_text().encode()
    if state == "no folder":
        calib.mkdir()
        return None
    store.folder.mkdir(parents=True)
    if state == "plain":
        store.link.write_bytes(text)
    elif state == "versions":
        store.deploy(LATER)
        store.deploy(OLD)
    elif state == "foreign link":
        (calib / "mine.txt").write_bytes(text)
        store.link.symlink_to(calib / "mine.txt")
    elif state == "tampered":
        store.deploy(LATER)
        store.link.chmod(0o644)
        store.link.write_bytes(text)
    return text


def hook(number, act):
    """Let `act` happen at the `number`-th call instead of it."""
    count = 0

    def wrap(name, function):
        def wrapped(*arguments, **options):
            nonlocal count
            count += 1
            if count == number:
                act(name, function, arguments)
            return function(*arguments, **options)

        return wrapped

    for name in CALLS:
        setattr(os, name, wrap(name, getattr(os, name)))
    builtins.open = wrap("builtin open", builtins.open)


def kill(name, function, arguments):
    if name == "write":  # half of it is written
        function(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def fail(name, function, arguments):
    if name not in ("close", "unlink", "remove"):  # these do not fail on a full disk
        if name == "write":
            function(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def listing(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name == ".workbench.lock":
            continue
        content = path.read_bytes().hex() if path.is_file() else None
        found[str(path)] = [content, os.readlink(path) if path.is_symlink() else None]
    return found


def child(calib, number, act):
    """Deploy in a forked process; gives its exit status (negative: the signal that ended it)."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            hook(number, act)
            GeometryStore(calib, ADDRESS).deploy(NEW, "interrupted")
            status = 0
        except VersionStoreError:
            status = 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(mode, folder, states):
    act = {"kill": kill, "fail": fail}[mode]
    for state in states:
        last = 0
        for number in range(1, 300):
            calib = folder / f"{state}-{number}"
            old = prepare(state, calib)
            before = listing(calib)
            status = child(calib, number, act)
            store = GeometryStore(calib, ADDRESS)
            after = listing(calib)
            found = store.link.read_bytes() if store.link.exists() else None
            contents = [version.path.read_bytes() for version in store.history()]
            kept = [Path(path).read_bytes().hex() == content
                    for path, (content, _) in before.items()
                    if content is not None and ".data.v" in path]  # fmt: skip
            later = store.deploy(LATER, "afterwards")
            versions = store.history()
            # killed between a version's record and the version: its number is not used again
            interrupted = VersionFolder(store.folder, store.link.name).missing()
            print(json.dumps({
                "state": state,
                "call": number,
                "status": status,
                "old": found == old,
                "new": found == NEW.to_text().encode(),
                "versions_kept": all(kept),
                "old_kept": old is None or old == found or old in contents,
                "unchanged": after == before,
                "later": store.link.read_bytes() == LATER.to_text().encode(),
                "consecutive": sorted([*(one.number for one in versions), *interrupted])
                == list(range(later.number + 1)),
                "problems": [one for one in store.verify() if state != "tampered"
                             and not any(f".v{n} was deleted" in one for n in interrupted)],
                "leftovers": [one.name for one in store.folder.glob(".workbench-*")],
                "interrupted": interrupted,
                "recorded": all(one.recorded_sha256 for one in versions),
            }), flush=True)  # fmt: skip
            shutil.rmtree(calib)
            last = number if status else last
            if number - last > (0 if act is kill else 8):  # past the last call that matters
                break


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
