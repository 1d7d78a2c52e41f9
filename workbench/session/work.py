"""Work on a recipe: threads, progress, and which results still belong to the recipe. No widgets.

Work is done on two threads, one for what takes long and one for what must follow a slider; a third
looks around on disk. Listeners are told on the thread on which something changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from workbench.errors import Cancelled
from workbench.recipe import Recipe
from workbench.session.editor import RecipeEditor, told
from workbench.session.status import Moment, State, Status
from workbench.session.worker import Task, Worker


class RecipeWork(RecipeEditor):
    """A recipe whose steps are computed on threads of their own.

    Parameters
    ----------
    recipe, path : see `RecipeEditor`.
    """

    def __init__(
        self, recipe: Recipe | None = None, path: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__(recipe, path)
        self._slow = Worker("workbench-slow", self.log, self._progressed)
        self._quick = Worker("workbench-quick", self.log)
        self._look = Worker("workbench-look", self.log)
        self._made_with: dict[str, Any] = {}
        self._failed: dict[str, tuple[Any, str]] = {}
        self._running: set[str] = set()
        self.moment: Moment | None = None

    def _key(self, step: str) -> Any:
        """Everything in the recipe that decides a step's result."""
        raise NotImplementedError

    def status(self, step: str) -> Status:
        """State of a step, computed from what its result was made with."""
        key = self._key(step)
        if step in self._running:
            return Status(State.RUNNING)
        failed = self._failed.get(step)
        if failed is not None and failed[0] == key:
            return Status(State.FAILED, failed[1])
        if step not in self._made_with:
            return Status(State.NOT_STARTED)
        if self._made_with[step] != key:
            return Status(State.STALE, "something before it changed; run it again")
        return Status(State.DONE)

    @property
    def busy(self) -> bool:
        """True while anything runs or waits."""
        return self._slow.busy or self._quick.busy

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all work is finished and raise the first error that occurred meanwhile."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.busy:
            for worker in (self._slow, self._quick):
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not worker.wait(left):
                    raise TimeoutError(f"still busy after {timeout} s")
        self.log.raise_unseen()

    def later(self, key: str, act: Callable[[], None]) -> None:
        """Run ``act()`` on the quick thread; it replaces waiting work with the same key."""
        self._quick.submit(key, lambda task: act())

    def do_slowly(self, key: str, act: Callable[[], None]) -> None:
        """Run ``act()`` on the thread for what takes long."""
        self._slow.submit(key, lambda task: act())

    def look(self, key: str, act: Callable[[], None]) -> None:
        """Run ``act()`` on the thread that looks around on disk; nobody waits for it."""
        self._look.submit(key, lambda task: act())

    @told
    def cancel(self) -> None:
        """Ask long work to stop; what it has so far is kept where that is valid."""
        self._slow.cancel()

    def _progressed(self, task: Task, done: float, total: float | None, message: str) -> None:
        self.moment = Moment(task.key, done, total, message, time.monotonic() - task.started)
        self.tell("progress")

    def _do(self, step: str, work: Callable[[Any, Task], None], worker: Worker) -> None:
        def act(task: Task) -> None:
            key = self._key(step)
            self._running.add(step)
            self._failed.pop(step, None)
            self.moment = Moment(step)
            self.tell("status", "progress")
            try:
                work(key, task)
            except Exception as error:
                message = self.log.error(step, error)
                if not isinstance(error, Cancelled):
                    self._failed[step] = (key, message)
            finally:
                self._running.discard(step)
                if worker is self._slow:
                    self.moment = None
                    self.tell("progress")
                self.tell("status")

        worker.submit(step, act)
