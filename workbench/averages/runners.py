"""Who does the work: threads of this process, or the workers of a Dask cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from workbench.averages.cluster import Dask
from workbench.averages.collect import Collected, Job, Snapshot, available_cores, collect
from workbench.errors import WorkbenchError
from workbench.progress import Progress


class Runner(Protocol):
    """Collects the statistics of a run's events."""

    def collect(
        self,
        job: Job,
        progress: Progress | None = None,
        snapshot: Snapshot | None = None,
        snapshot_seconds: float = 3.0,
    ) -> Collected:
        """Go through the events of `job`."""
        ...

    def describe(self) -> str:
        """Name for provenance."""
        ...


@dataclass(frozen=True)
class Threads:
    """Threads of this process.

    Parameters
    ----------
    count : how many; default all cores of this process.
    """

    count: int | None = None

    def collect(
        self,
        job: Job,
        progress: Progress | None = None,
        snapshot: Snapshot | None = None,
        snapshot_seconds: float = 3.0,
    ) -> Collected:
        """Go through the events of `job`."""
        return collect(job, self.count, progress, snapshot, snapshot_seconds)

    def describe(self) -> str:
        """Name for provenance."""
        return f"{self.count or available_cores()} threads"


def find_runner(runner: Any) -> Runner:
    """Runner from None, ``"threads"``, ``"dask"``, or a scheduler, client or cluster of Dask.

    A scheduler is named by its address (``tcp://host:8786``) or its file (``scheduler.json``).

    Raises
    ------
    WorkbenchError
        If it is none of these.
    """
    if runner is None or runner == "threads":
        return Threads()
    if runner == "dask":
        return Dask()
    if isinstance(runner, str) and (":" in runner or runner.endswith(".json")):
        return Dask(runner)
    if hasattr(runner, "collect"):
        return runner
    if hasattr(runner, "scheduler_address") or hasattr(runner, "scheduler"):
        return Dask(runner)
    raise WorkbenchError(
        f"{runner!r} is no runner; use None, 'threads', 'dask', a scheduler's address "
        "(tcp://host:port) or its file (scheduler.json)."
    )
