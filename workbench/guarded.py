"""Programs that may crash, hang or grow, run in a process of their own.

Libraries in C trust the files they read: a damaged one can end the process. This file is also run
as a program, which imports nothing of the workbench: ``guarded.py PROGRAM …`` limits what the
process may use and then runs the Python file PROGRAM.
"""

from __future__ import annotations

import os
import resource
import runpy
import subprocess
import sys

CPU_SECONDS = 4
"""A file of a detector needs a tenth of a second; nobody waits longer than five for any file."""
MOST_SECONDS = 120
MOST_BYTES = 2 * 2**30


class GuardedError(Exception):
    """The program did not end well; the message says why in one clause."""


def run_guarded(program: str, *arguments: str, library: str) -> bytes:
    """Standard output of a Python program.

    Parameters
    ----------
    program : path of a Python file that imports nothing of the workbench.
    library : what may fall in it, for the message.

    Raises
    ------
    GuardedError
        If it refuses, dies, or takes too long.
    """
    command = [sys.executable, "-P", __file__, program, *arguments]
    environment = {
        **os.environ,
        "MALLOC_PERTURB_": "165",  # what is freed is not used again unseen
        "OPENBLAS_NUM_THREADS": "1",  # its threads would take up the memory allowed
    }
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=MOST_SECONDS,
            env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise GuardedError(f"{library} does not finish") from None
    except OSError as error:
        raise GuardedError(f"no process can be started for {library}, {error.strerror}") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("ascii", "replace").split())
        raise GuardedError(said[-80:] or f"{library} fails on it")
    return done.stdout


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _main()
