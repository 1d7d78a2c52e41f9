"""Averaging on the workers of a Dask cluster.

The events are divided into chunks; a worker collects the statistics of a chunk, and the parts
are merged pairwise, as a tree, on the workers. Chunks and tree depend on the number of events
alone, so the result does not depend on the number of workers. A chunk lost with its worker is
collected again by another one.
"""

from __future__ import annotations

import math
import pickle
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from workbench import __version__
from workbench.averages.collect import Collected, Job, Snapshot, available_cores, collect
from workbench.averages.tally import Tally
from workbench.errors import WorkbenchError
from workbench.progress import Progress, Silent
from workbench.recipe import Events

LEAST_CHUNK, MOST_CHUNKS = 50, 64
"""Merging two parts costs as much as summing some tens of events: smaller chunks do not pay."""
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Dask:
    """Workers of a Dask cluster.

    Parameters
    ----------
    cluster : address of a scheduler such as ``tcp://host:8786``, a ``distributed.Client``, or a
        cluster object such as ``dask_jobqueue.SLURMCluster``; None starts a local cluster.
    workers : of the local cluster; default one per core.
    chunk_events : events per chunk; default by the number of events.
    """

    cluster: Any = None
    workers: int | None = None
    chunk_events: int | None = None

    def collect(
        self,
        job: Job,
        progress: Progress | None = None,
        snapshot: Snapshot | None = None,
        snapshot_seconds: float = 3.0,
    ) -> Collected:
        """Go through the events of `job` on the cluster.

        Raises
        ------
        WorkbenchError
            If there is no such cluster, or its workers fail.
        """
        progress = progress or Silent()
        job.corrector()  # missing constants are told before any worker starts
        indices = [event.index for event in job.events()]
        left_out = Collected(tally=Tally(skipped=Counter(job.run.skipped)))
        if not indices:
            return left_out
        with self._client() as client:
            check_workers(client)
            tree = _Tree(client, job, divide(indices, self.chunk_events))
            shown = time.monotonic()
            try:
                while not tree.finished:
                    tree.wait(POLL_SECONDS)
                    progress.update(tree.events_done, len(indices), "on the cluster")
                    if progress.cancelled:
                        break
                    if snapshot is not None and time.monotonic() - shown >= snapshot_seconds:
                        part = tree.merged()
                        if part is not None:
                            snapshot(replace(part.merge(left_out), partial=True))
                        shown = time.monotonic()
                found = tree.merged() or Collected()
                complete = tree.finished
            finally:
                tree.forget()
        return replace(found.merge(left_out), partial=not complete)

    def describe(self) -> str:
        """Name for provenance."""
        if self.cluster is None:
            return f"Dask, {self.workers or available_cores()} local workers"
        return f"Dask, {self.cluster if isinstance(self.cluster, str) else 'given cluster'}"

    @contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise WorkbenchError(
                "Dask is not installed; install cspad-workbench[cluster], or average on threads."
            ) from error
        if isinstance(self.cluster, Client):
            yield self.cluster
            return
        if self.cluster is not None:
            try:
                client = Client(self.cluster, timeout="10s", set_as_default=False)
            except (OSError, ValueError, TypeError) as error:
                raise WorkbenchError(
                    f"There is no Dask scheduler at {self.cluster!r} ({error or 'no answer'})."
                ) from error
            with client:
                yield client
            return
        count = available_cores() if self.workers is None else self.workers
        if count < 1:
            raise WorkbenchError(f"{count} workers cannot work; use at least 1.")
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


def divide(indices: Sequence[int], chunk_events: int | None = None) -> list[tuple[int, ...]]:
    """Chunks of event indices, by their number alone."""
    size = chunk_events or max(LEAST_CHUNK, math.ceil(len(indices) / MOST_CHUNKS))
    return [tuple(indices[start : start + size]) for start in range(0, len(indices), size)]


def check_workers(client: Any) -> None:
    """Refuse workers without this version of the workbench: they would fail again and again.

    Raises
    ------
    WorkbenchError
        Naming such a worker and what it has.
    """

    def version() -> str | None:  # sent as it stands: it must not need the workbench
        try:
            return str(__import__("workbench").__version__)
        except Exception:
            return None

    for worker, found in client.run(version).items():
        if found != __version__:
            raise WorkbenchError(
                f"The worker {worker} has {'version ' + found if found else 'no version'} of "
                f"cspad-workbench; install version {__version__} where the workers run."
            )


def collect_chunk(packed: bytes, indices: tuple[int, ...]) -> Collected:
    """Collect the events with these indices of a pickled job (runs on a worker)."""
    job: Job = pickle.loads(packed)
    part = collect(replace(job, selection=Events(indices=indices)), threads=1)
    # whoever divided the run has counted the events left out by selection and reader
    part.tally.skipped = part.tally.skipped - job.run.skipped
    return part


def merge_two(one: Collected, other: Collected) -> Collected:
    """Merge two parts (runs on a worker)."""
    return one.merge(other)


@dataclass(eq=False)
class _Node:
    """A future part: a chunk, or two parts merged."""

    future: Any
    events: int = 0
    children: tuple[_Node, ...] = ()
    done: bool = False


@dataclass(eq=False)
class _Tree:
    """Parts being collected and merged."""

    client: Any
    job: Job
    chunks: list[tuple[int, ...]]
    nodes: list[_Node] = field(default_factory=list)
    events_done: int = 0

    def __post_init__(self) -> None:
        import cloudpickle

        # unpickled inside the task: what goes wrong there is told, and does not stop the worker
        packed = cloudpickle.dumps(self.job)
        submit = self.client.submit
        level = [
            _Node(submit(collect_chunk, packed, chunk, pure=False), len(chunk))
            for chunk in self.chunks
        ]
        self.nodes = list(level)
        while len(level) > 1:
            pairs = [
                _Node(submit(merge_two, a.future, b.future, pure=False), children=(a, b))
                for a, b in zip(level[::2], level[1::2], strict=False)
            ]
            self.nodes += pairs
            level = pairs + level[len(pairs) * 2 :]
        self.top = level[0]

    @property
    def finished(self) -> bool:
        """True once everything is merged into one."""
        return self.top.done

    def wait(self, seconds: float) -> None:
        """Wait until a part is ready, or for some time; raises what a worker raised."""
        from distributed import wait

        waiting = [node for node in self.nodes if not node.done]
        try:
            with self.client.as_current():
                futures = [node.future for node in waiting]
                wait(futures, timeout=seconds, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return
        for node in waiting:
            if node.future.status in ("error", "cancelled", "lost"):
                self._fail(node)
            if node.future.status == "finished":
                node.done = True
                self.events_done += node.events
        for node in waiting:
            if node.done:  # the parts of a merged part need no memory on the workers any more
                for child in node.children:
                    self._settle(child)

    def _settle(self, node: _Node) -> None:
        if not node.done:
            node.done = True
            self.events_done += node.events
        node.future.release()
        if node in self.nodes:
            self.nodes.remove(node)

    def _fail(self, node: _Node) -> None:
        error = node.future.exception() if node.future.status == "error" else None
        if isinstance(error, WorkbenchError):
            raise error
        raise WorkbenchError(
            f"A worker failed ({error or node.future.status}); is the same version of the "
            "workbench installed there, and do the workers see the run's files?"
        ) from error

    def merged(self) -> Collected | None:
        """Everything that is ready, merged; None if nothing is."""
        ready = [node for node in self.nodes if node.done]
        inside = {id(child) for node in ready for child in node.children}
        futures = [node.future for node in ready if id(node) not in inside]
        if not futures:
            return None
        if len(futures) == 1:
            return futures[0].result()
        return self.client.submit(merge_many, futures, pure=False).result()

    def forget(self) -> None:
        """Let the workers drop everything."""
        self.client.cancel([node.future for node in self.nodes], force=True)
        self.nodes = []


def merge_many(parts: list[Collected]) -> Collected:
    """Merge parts in order (runs on a worker)."""
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    return whole
