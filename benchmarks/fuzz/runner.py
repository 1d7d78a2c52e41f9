"""Executions in forked processes, each held to five seconds and a gigabyte."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module
from math import inf
from pathlib import Path

from benchmarks.fuzz import guards
from benchmarks.fuzz.damage import damaged
from benchmarks.fuzz.targets import Target
from workbench.errors import WorkbenchError

SECONDS = 5.0
BYTES = 1 << 30
_STATE = struct.Struct("<QQdd")
"""Executions, of these behind the header, time and CPU time at the start of the present one."""
_START = struct.Struct("<d")
"""CPU time when everything was imported."""
_PAGE = 4096


@dataclass
class Outcome:
    """What came out of a target.

    Attributes
    ----------
    executions, behind : all, and those that got past the header.
    falls : by description, a file that shows it.
    slowest : seconds.
    """

    executions: int = 0
    behind: int = 0
    falls: dict[str, Path] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)


def run(target: Target, seconds: float, seed: int, keep: Path, most: float = inf) -> Outcome:
    """Read damaged files; those that a reader falls over are put into `keep`.

    Parameters
    ----------
    seconds : CPU time, without that of starting.
    most : executions past the header after which it is enough.
    """
    outcome = Outcome()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm")
                                   else None))  # fmt: skip
    shared = mmap.mmap(-1, _PAGE * 2)
    try:
        files = target.seeds(folder / "seeds")
        left = seconds
        while left > 0 and outcome.behind < most:
            left -= _one_process(
                target, files, folder, shared, left, seed, outcome, keep, most - outcome.behind
            )
            seed += 1_000_003
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _one_process(target, files, folder, shared, left, seed, outcome, keep, most):  # type: ignore[no-untyped-def]
    """Let one process read until it falls or its time is over; gives the CPU time it took."""
    shared[:] = bytes(len(shared))
    _STATE.pack_into(shared, 0, 0, 0, time.monotonic() + 600, 1e9)  # first it imports
    pid = os.fork()
    if pid == 0:
        try:
            _child(target, files, folder, shared, left, seed, most)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(3)
    why = ""
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        _, _, started, used = _STATE.unpack_from(shared)
        waited = time.monotonic() - started if started else 0  # zero while it is written
        if waited > SECONDS and (_cpu_seconds(pid) - used > SECONDS or waited > 60 * SECONDS):
            why = f"hangs for more than {SECONDS:.0f} s"
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            break
        time.sleep(0.05)
    executions, behind, _, used = _STATE.unpack_from(shared)
    took = used - _START.unpack_from(shared, _STATE.size)[0] if executions else 1.0
    outcome.executions += executions
    outcome.behind += behind
    told = bytes(shared[_PAGE:]).split(b"\0")[0].decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return took
    why = why or told or f"ends with status {code}"
    outcome.times[why] += 1
    inputs = [path for path in folder.iterdir() if path.name != "seeds"]
    if why not in outcome.falls:
        content = b"".join(path.read_bytes() for path in inputs if path.is_file())
        place = keep / f"{target.name}-{hashlib.sha256(content).hexdigest()[:10]}"
        place.mkdir(parents=True, exist_ok=True)
        for path in inputs:
            if path.is_file():
                shutil.copyfile(path, place / path.name)
        outcome.falls[why] = place
    return took


def _child(target, files, folder, shared, left, seed, most):  # type: ignore[no-untyped-def]
    rng = random.Random(seed)
    passed = False
    warnings.simplefilter("ignore")

    def watch() -> None:
        nonlocal passed
        passed = True

    if target.behind:
        _watched(target.behind, watch)
    contents = [path.read_bytes() for path in files]
    places = [target.places(content) for content in contents]
    printed = os.open(folder / "seeds" / "printed", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    if target.guarded:
        guards.use(guards.start())
    for path in files:  # what is imported and compiled once is no part of an execution
        with contextlib.suppress(WorkbenchError):
            target.read(path)
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2 * BYTES, size + 2 * BYTES))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    executions = behind = 0
    start = time.process_time()
    _START.pack_into(shared, _STATE.size, start)
    while time.process_time() - start < left and behind < most:
        which = rng.randrange(len(files))
        if target.change is not None:
            content = target.change(contents[which], rng)
        else:
            content = damaged(contents[which], contents, places[which], rng)
        path = folder / files[which].name
        path.write_bytes(content)
        passed = not target.behind
        os.ftruncate(printed, 0)
        os.lseek(printed, 0, os.SEEK_SET)
        _STATE.pack_into(shared, 0, executions, behind, time.monotonic(), time.process_time())
        fall = ""
        try:
            target.read(path)
        except WorkbenchError as error:
            if "\n" in str(error):
                fall = f"message of several lines: {type(error).__name__}"
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, MemoryError):
                    fall = "asks for more memory than there is"
                cause = cause.__cause__
        except Exception as error:
            lines = traceback.extract_tb(error.__traceback__)
            where = next((x for x in reversed(lines) if "/workbench/" in x.filename), lines[-1])
            fall = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}"
        executions += 1
        behind += passed
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        if not fall and grown > BYTES >> 10:
            fall = "uses more than 1 GB"
        if not fall and os.fstat(printed).st_size:
            fall = "prints: " + os.pread(printed, 100, 0).decode("utf-8", "replace")
        if fall:
            _STATE.pack_into(shared, 0, executions, behind, time.monotonic(), time.process_time())
            words = fall.encode("utf-8", "replace")[:400]
            shared[_PAGE : _PAGE + len(words)] = words
            os._exit(4)
        for name in (path, *(folder / extra for extra in target.beside)):
            if name.is_file():
                name.unlink()
    _STATE.pack_into(shared, 0, executions, behind, time.monotonic(), time.process_time())
    os._exit(0)


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process; a busy machine makes no reader slow."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _watched(name: str, watch) -> None:  # type: ignore[no-untyped-def]
    """Call `watch` whenever a function, ``module:name``, is called."""
    module, _, attribute = name.partition(":")
    owner = import_module(module)
    *outer, last = attribute.split(".")
    for part in outer:
        owner = getattr(owner, part)
    function = getattr(owner, last)

    def watched(*arguments, **options):  # type: ignore[no-untyped-def]
        watch()
        return function(*arguments, **options)

    setattr(owner, last, watched)
