"""One queue, one thread: where everything runs that a control sets off.

Widget callbacks may arrive on several threads at once (JupyterLab ≥ 4.4 with ipykernel ≥ 7), so
they only put work here. Work with the same key replaces what still waits: the last value always
runs, those between may be passed over.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.memory import give_back
from workbench.session.log import Log

IDLE_SECONDS = 5
"""A thread without work ends after this time."""


@dataclass
class Task:
    """One piece of work and its progress (it serves as `workbench.progress.Progress`)."""

    key: str
    act: Callable[[Task], None]
    worker: Worker
    cancelled: bool = False
    started: float = field(default_factory=time.monotonic)
    _reported: float = 0.0

    def update(self, done: float, total: float | None = None, message: str = "") -> None:
        """Report progress; passed on at most ten times a second, and at the end."""
        now = time.monotonic()
        if now - self._reported < 0.1 and done != total:
            return
        self._reported = now
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
            any_stopped = False
            for name in [k for k in self._waiting if key in (None, k)]:
                del self._waiting[name]
                any_stopped = True
            if self._running is not None and key in (None, self._running.key):
                self._running.cancelled = True
                any_stopped = True
            self._condition.notify_all()
            return any_stopped

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
        give_back(collect=False)  # quick: a slider may be moving
