"""One queue, one thread: where everything runs that a control sets off.

Widget callbacks may arrive on several threads at once (JupyterLab ≥ 4.4 with ipykernel ≥ 7), so
they only put work here. Work with the same key replaces what still waits: the last value always
runs, those between may be passed over.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.errors import Cancelled, WorkbenchError
from workbench.memory import give_back

IDLE_SECONDS = 5
"""A thread without work ends after this time."""


@dataclass(frozen=True)
class Entry:
    """One line of the log: when, where, what, and for errors how it came about."""

    when: float
    place: str
    message: str
    detail: str = ""
    is_error: bool = False
    merges: str = ""

    def line(self) -> str:
        """``12:30:05 mask: …``; of something done, ``12:30:05 >>> a line of Python``."""
        mark = "" if self.place == ">>>" else ":"
        when = time.strftime("%H:%M:%S", time.localtime(self.when))
        return f"{when} {self.place}{mark} {self.message}"


class Log:
    """What happened, the latest 500 entries; errors are kept until somebody has seen them."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=500)
        self._unseen: list[BaseException] = []
        self._listeners: list[Callable[[Entry], None]] = []

    def subscribe(self, act: Callable[[Entry], None]) -> None:
        """Call ``act(entry)`` for each new entry."""
        self._listeners.append(act)

    def note(self, place: str, message: str) -> None:
        """Log something that went well."""
        self._add(Entry(time.time(), place, message))

    def did(self, line: str, merges: str = "") -> None:
        """Log the Python line of something done; it replaces a last one with the same `merges`."""
        last = self.entries[-1] if self.entries else None
        if merges and last is not None and last.merges == merges:
            self.entries.pop()
        self._add(Entry(time.time(), ">>>", line, merges=merges))

    def error(self, place: str, error: BaseException) -> str:
        """Log an error; gives the sentence for the panel."""
        detail = "".join(traceback.format_exception(error))
        if isinstance(error, WorkbenchError):
            message = str(error)
        elif isinstance(error, OSError):
            message = f"{error.filename or 'a file'}: {error.strerror or error}."
        else:
            message = f"{type(error).__name__}: {error} (a fault of the program; see the log)"
        if not isinstance(error, Cancelled):
            self._unseen.append(error)
        self._add(Entry(time.time(), place, message, detail, is_error=True))
        return message

    def raise_unseen(self) -> None:
        """Raise the first error since the last call, if there was one (for tests and scripts)."""
        unseen, self._unseen = self._unseen, []
        if unseen:
            raise unseen[0]

    def text(self, detail: bool = False) -> str:
        """All entries, the latest last."""
        return "\n".join(
            entry.line() + (f"\n{entry.detail}" if detail and entry.detail else "")
            for entry in list(self.entries)
        )

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        for act in list(self._listeners):
            act(entry)


@dataclass
class Task:
    """One piece of work and its progress (it serves as `workbench.progress.Progress`)."""

    key: str
    act: Callable[[Task], None]
    worker: Worker
    cancelled: bool = False
    started: float = field(default_factory=time.monotonic)
    _told: float = 0.0

    def update(self, done: float, total: float | None = None, message: str = "") -> None:
        """Report progress; passed on at most ten times a second, and at the end."""
        now = time.monotonic()
        if now - self._told < 0.1 and done != total:
            return
        self._told = now
        self.worker.report(self, done, total, message)


class Worker:
    """A daemon thread that runs tasks in the order of their first submission.

    Parameters
    ----------
    name : of the thread.
    log : where exceptions go.
    on_progress : called as ``on_progress(task, done, total, message)`` on the worker's thread.
    """

    def __init__(
        self,
        name: str,
        log: Log,
        on_progress: Callable[[Task, float, float | None, str], None] | None = None,
    ) -> None:
        self._log = log
        self._name = name
        self._on_progress = on_progress
        self._waiting: OrderedDict[str, Task] = OrderedDict()
        self._condition = threading.Condition()
        self._running: Task | None = None
        self._thread: threading.Thread | None = None

    def submit(self, key: str, act: Callable[[Task], None]) -> None:
        """Run ``act(task)`` later; it replaces a waiting task with the same key."""
        with self._condition:
            self._waiting[key] = Task(key, act, self)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def cancel(self, key: str | None = None) -> bool:
        """Ask the running task to stop and drop waiting ones (of one key, or all)."""
        with self._condition:
            found = False
            for name in [k for k in self._waiting if key in (None, k)]:
                del self._waiting[name]
                found = True
            if self._running is not None and key in (None, self._running.key):
                self._running.cancelled = True
                found = True
            self._condition.notify_all()
            return found

    def has_waiting(self, key: str) -> bool:
        """True if newer work with this key waits."""
        with self._condition:
            return key in self._waiting

    @property
    def busy(self) -> bool:
        """True while anything runs or waits."""
        with self._condition:
            return self._running is not None or bool(self._waiting)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs or waits; False on timeout."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a task cannot wait for its own worker")
        with self._condition:
            return self._condition.wait_for(
                lambda: self._running is None and not self._waiting, timeout
            )

    def report(self, task: Task, done: float, total: float | None, message: str) -> None:
        """Pass progress of a task on."""
        if self._on_progress is not None:
            self._on_progress(task, done, total, message)

    def _run(self) -> None:
        while True:
            with self._condition:
                # an idle thread ends, so that it does not hold a dropped session
                if not self._condition.wait_for(lambda: bool(self._waiting), timeout=IDLE_SECONDS):
                    self._thread = None
                    break
                _, task = self._waiting.popitem(last=False)
                self._running = task
            try:
                task.started = time.monotonic()
                task.act(task)
            except BaseException as error:  # nothing may end this thread
                self._log.error(task.key, error)
            finally:
                del task
                with self._condition:
                    self._running = None
                    self._condition.notify_all()
        give_back(collect=False)  # a hand on a slider must not feel it
