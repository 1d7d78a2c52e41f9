"""The guarded programs of the product, forked of one that has imported what they need.

A reader starts Python for each file it lets a library in C look at first; that is a fifth of a
second, of which the look itself is a hundredth. `use` lets a server be forked instead, with the
same limits and the same environment. This file is also run as that server.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO


def use(server: subprocess.Popen[bytes]) -> None:
    """Let `workbench.guarded` ask this server; it belongs to one process at a time."""
    from workbench import guarded

    class Forked:
        """What `guarded` needs of `subprocess`."""

        DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

        @staticmethod
        def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps(command[3:]).encode() + b"\n")
            server.stdin.flush()
            code, *outputs = json.loads(server.stdout.readline())
            out, err = (Path(name).read_bytes() for name in outputs)
            return subprocess.CompletedProcess(command, code, out, err)

    guarded.subprocess = Forked  # type: ignore[assignment]


def start() -> subprocess.Popen[bytes]:
    """Start a server."""
    environment = {**os.environ, "MALLOC_PERTURB_": "165", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip


def _serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    import h5py  # noqa: F401
    import pycbf  # noqa: F401

    from workbench.guarded import CPU_SECONDS, MOST_BYTES

    with tempfile.TemporaryDirectory() as folder:
        outputs = [os.path.join(folder, name) for name in ("out", "err")]
        for order in orders:
            pid = os.fork()
            if pid == 0:
                for number, name in enumerate(outputs, 1):
                    os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
                resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
                sys.argv[:] = json.loads(order)
                _run()
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            answers.write(json.dumps([code, *outputs]).encode() + b"\n")
            answers.flush()


def _run() -> None:
    """Run the program of `sys.argv` and end as Python ends."""
    code = 1
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as exit:
        if isinstance(exit.code, int | None):
            code = exit.code or 0
        else:
            print(exit.code, file=sys.stderr)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
