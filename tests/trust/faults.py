"""Calls of the file system that fail or kill, one at a time.

The shim stands between the workbench and `os`: it counts the calls and acts at one of them. It
sees what Python asks of the system, files that `open` reads among them.
"""

import builtins
import contextlib
import errno
import fcntl
import io
import os
import signal

ERRNOS = (errno.EIO, errno.EACCES, errno.ENOSPC, errno.ESTALE)
CALLS = (
    "open", "read", "write", "fsync", "close", "link", "unlink", "symlink", "replace", "rename",
    "mkdir", "rmdir", "truncate", "ftruncate", "chmod", "fchmod", "remove", "stat", "lstat",
    "fstat", "readlink", "listdir", "scandir", "pread", "preadv", "dup",
)  # fmt: skip
AFTER = ("close", "unlink", "remove", "rmdir")
"""An error of these is reported of what was done all the same, as network file systems do."""


@contextlib.contextmanager
def at_call(number, act):
    """Let `act(name, function, arguments)` happen at the `number`-th call, instead of it.

    Gives a list that holds the number of calls so far.
    """
    count = [0]
    owners = [(os, name) for name in CALLS] + [(fcntl, "lockf"), (builtins, "open"), (io, "open")]
    before = [(owner, name, getattr(owner, name)) for owner, name in owners]

    def wrap(name, function):
        def wrapped(*arguments, **options):
            count[0] += 1
            if count[0] == number:
                act(name, function, arguments)
            return function(*arguments, **options)

        return wrapped

    def wrap_open(function):
        """Open, and afterwards read: the content of a file may fail as well."""

        def wrapped(*arguments, **options):
            file = wrap("open", function)(*arguments, **options)
            count[0] += 1
            if count[0] == number:
                try:
                    act("read", function, arguments)
                except BaseException:
                    file.close()
                    raise
            return file

        return wrapped

    for owner, name, function in before:
        setattr(owner, name, wrap(name, function) if owner is not builtins and owner is not io
                else wrap_open(function))  # fmt: skip
    try:
        yield count
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def fail(error):
    """Act of a call that fails with this `errno`."""

    def act(name, function, arguments):
        if name in AFTER:
            function(*arguments)
        if name == "write":  # half of it is written
            function(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        raise OSError(error, os.strerror(error))

    return act


def kill(name, function, arguments):
    """Act of a call in which the process is killed."""
    if name == "write":
        function(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(work):
    """Do something in a forked process; gives its status, negative for the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
