"""Work on threads: one for what takes long, one for what must follow a slider, one for the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from workbench.errors import Cancelled
from workbench.session.log import Log
from workbench.session.notifier import Notifier
from workbench.session.status import JobProgress, Step
from workbench.session.worker import Task, Worker

Key = tuple[object, ...]
"""Everything in the recipe that decides a step's result."""


@dataclass(frozen=True)
class Failure:
    """Error of a step, and what the step was to be made with."""

    key: Key
    message: str


class Jobs:
    """What is being done: steps of the calibration, and other work.

    Attributes
    ----------
    slow, quick, look : the threads. running : steps at work.
    failures : last error of each step. progress : of the long work that runs, or None.
    """

    def __init__(self, log: Log | None = None, notifier: Notifier | None = None) -> None:
        self._notifier = notifier or Notifier()
        self.log = log or Log(self._notifier)
        self.slow = Worker("workbench-slow", self.log, self._progressed)
        self.quick = Worker("workbench-quick", self.log)
        self.look = Worker("workbench-look", self.log)
        self.running: set[Step] = set()
        self.failures: dict[Step, Failure] = {}
        self.progress: JobProgress | None = None

    @property
    def busy(self) -> bool:
        """True while anything runs or waits."""
        return self.slow.busy or self.quick.busy

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all work is finished and raise the first error that occurred meanwhile."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.busy:
            for worker in (self.slow, self.quick):
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not worker.wait(left):
                    raise TimeoutError(f"still busy after {timeout} s")
        self.log.raise_unseen()

    def cancel(self) -> None:
        """Ask long work to stop; what it has so far is kept where that is valid."""
        self.slow.cancel()

    def start(
        self,
        step: Step,
        work: Callable[[Task, Key], None],
        key: Callable[[Step], Key],
        worker: Worker,
    ) -> None:
        """Do a step's work as soon as its thread is free.

        Parameters
        ----------
        work : called as ``work(task, key)``.
        key : gives what decides the step's result, asked when the work begins.
        """

        def act(task: Task) -> None:
            made_with = key(step)
            self.running.add(step)
            self.failures.pop(step, None)
            if worker is self.slow:
                self.progress = JobProgress(step)
                self._notifier.notify("progress")
            self._notifier.notify("status")
            try:
                work(task, made_with)
            except Exception as error:
                message = self.log.error(step, error)
                if not isinstance(error, Cancelled):
                    self.failures[step] = Failure(made_with, message)
            finally:
                self.running.discard(step)
                if worker is self.slow:
                    self.finish()
                self._notifier.notify("status")

        worker.submit(step, act)

    def finish(self) -> None:
        """Say that long work that is no step has ended; it has no progress any more."""
        self.progress = None
        self._notifier.notify("progress")

    def _progressed(self, task: Task, done: float, total: float | None, message: str) -> None:
        seconds = time.monotonic() - task.started
        self.progress = JobProgress(task.key, done, total, message, seconds)
        self._notifier.notify("progress")
