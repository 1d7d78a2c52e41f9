"""Averaging on the workers of a Dask cluster.

This process goes through the headers of the run and divides the events into chunks; a worker gets
the places of a chunk's events in the files, reads them and collects their statistics, and the
parts are merged pairwise, as a tree, on the workers. Chunks and tree depend on the number of
events alone, so the result does not depend on the number of workers. A chunk lost with its worker
is collected again by another one.
"""

from __future__ import annotations

import math
import pickle
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import __version__
from workbench.averages.collect import Collected, Job, Snapshot, available_cores, collect
from workbench.averages.event_counts import EventCounts
from workbench.errors import WorkbenchError
from workbench.files import parse_json
from workbench.progress import Progress, Silent
from workbench.runs import Event

if TYPE_CHECKING:
    from distributed import Client, Future
    from distributed.deploy import Cluster

LEAST_CHUNK, MOST_CHUNKS = 250, 64
"""A part costs as much as summing 200 events, to send and to merge: smaller chunks do not pay."""
POLL_SECONDS = 0.2
ANSWER_SECONDS = 10
"""A scheduler that does not answer for so long is taken as absent."""
START_SECONDS = 120
"""A worker imports its packages, perhaps from a slow file system."""


@dataclass(frozen=True)
class Dask:
    """Workers of a Dask cluster.

    Parameters
    ----------
    cluster : address of a scheduler such as ``tcp://host:8786``, the file it writes its address to
        (``dask scheduler --scheduler-file scheduler.json``), a ``distributed.Client``, or a
        cluster object such as ``dask_jobqueue.SLURMCluster``; None starts a local cluster.
    workers : of the local cluster; default one per core.
    chunk_events : events per chunk; default by the number of events.
    """

    cluster: str | Client | Cluster | None = None
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
        _ = job.corrector  # missing constants are reported before any worker starts
        first = next(job.events(), None)
        if first is None:
            return _left_out(job)
        with self.connected() as client:
            check_workers(client)
            tree = _Tree(client, job)
            shown = time.monotonic()

            def look(message: str, total: int | None) -> bool:
                """Tell how far the work is; False if it is to stop."""
                nonlocal shown
                tree.look()
                progress.update(tree.events_done, total, message)
                if snapshot is not None and time.monotonic() - shown >= snapshot_seconds:
                    part = tree.merged()
                    if part is not None:
                        snapshot(replace(part.merge(_left_out(job)), partial=True))
                    shown = time.monotonic()
                return not progress.cancelled

            try:
                going_on = self._divide(tree, look)
                while going_on and not tree.finished:
                    tree.wait(POLL_SECONDS)
                    going_on = look(tree.where, tree.events)
                collected = tree.merged() or Collected()
                return replace(collected.merge(_left_out(job)), partial=not tree.finished)
            finally:
                tree.forget()

    def _divide(self, tree: _Tree, look: Callable[[str, int | None], bool]) -> bool:
        """Send the job's events to the workers in chunks; False if cancelled before the end."""
        job = tree.job
        size = self.chunk_events or chunk_size(job.expected)
        chunk: list[tuple[Event, int]] = []
        for divided in job.events():
            chunk.append(divided)
            if len(chunk) == size:
                tree.add(chunk)
                chunk = []
                if not look(f"{tree.events} events found", job.expected):
                    return False
        if chunk:
            tree.add(chunk)
        tree.close()
        return True

    def describe(self) -> str:
        """Name for provenance."""
        if self.cluster is None:
            return f"Dask, {self.workers or available_cores()} local workers"
        return f"Dask, {self.cluster if isinstance(self.cluster, str) else 'given cluster'}"

    @contextmanager
    def connected(self) -> Iterator[Client]:
        """Give a ``distributed.Client`` of the cluster; a local one is started for it.

        Raises
        ------
        WorkbenchError
            If there is no such cluster.
        """
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise WorkbenchError(
                "Dask is not installed; install it with pip install 'cspad-workbench[cluster]', or "
                "work on threads."
            ) from error
        if isinstance(self.cluster, Client):
            yield self.cluster
            return
        if self.cluster is not None:
            at = self.cluster
            if isinstance(at, str) and at.endswith(".json"):
                at = address_in(Path(at))
            try:
                client = Client(at, timeout=ANSWER_SECONDS, set_as_default=False)
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
        try:
            with deaf_to_signals():
                local = LocalCluster(
                    n_workers=count, threads_per_worker=1, dashboard_address=None,
                    death_timeout=START_SECONDS,
                )  # fmt: skip
        except Exception as error:  # of many kinds
            raise WorkbenchError(
                f"The {count} workers of Dask do not start "
                f"({str(error) or type(error).__name__}); average on threads (--runner threads)."
            ) from error
        with local as cluster, Client(cluster, set_as_default=False) as client:
            yield client


@contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Processes started meanwhile do not get Ctrl-C and SIGTERM, which go to the whole group.

    They would end, and what they have done would be lost before this process has it.
    """
    resource_tracker.ensure_running()  # where it is started later it lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _left_out(job: Job) -> Collected:
    """Of the job's events only why some were left out so far."""
    counts = EventCounts(left_out=Counter(job.run.skipped))
    return Collected(counts=counts, problems=tuple(job.run.problems))


def address_in(path: Path) -> str:
    """Address in a scheduler's file; waits a little for a scheduler that is just starting.

    Raises
    ------
    WorkbenchError
        If the file does not come, or is none of a scheduler.
    """
    until = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return str(parse_json(path.read_bytes())["address"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if time.monotonic() > until:
                raise WorkbenchError(
                    f"{path} does not tell the address of a Dask scheduler ({error}); start one "
                    f"with dask scheduler --scheduler-file {path}."
                ) from error
        time.sleep(POLL_SECONDS)


def chunk_size(events: int | None) -> int:
    """Events of a chunk, by how many there are in all (None: not known)."""
    return max(LEAST_CHUNK, math.ceil((events or 0) / MOST_CHUNKS))


def check_workers(client: Client) -> None:
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

    for worker, installed in client.run(version).items():
        if installed != __version__:
            what = f"version {installed}" if installed else "no version"
            raise WorkbenchError(
                f"The worker {worker} has {what} of "
                f"cspad-workbench; install version {__version__} where the workers run."
            )


def collect_chunk(packed: bytes) -> Collected:
    """Collect a pickled part of a run (runs on a worker)."""
    job: Job = pickle.loads(packed)
    return collect(job, threads=1)


def merge(parts: list[Collected]) -> Collected:
    """Merge parts in order (runs on a worker)."""
    return reduce(Collected.merge, parts)


@dataclass(eq=False)
class _Node:
    """A future part: a chunk, or two parts merged."""

    future: Future[Collected]
    events: int = 0
    children: tuple[_Node, ...] = ()
    done: bool = False


class _Tree:
    """Parts being collected and merged.

    Chunks are merged by their number: two chunks, then two of these pairs, and so on.
    """

    def __init__(self, client: Client, job: Job) -> None:
        self.client, self.job = client, job
        self.nodes: list[_Node] = []
        self.events = self.events_done = 0
        self.top: _Node | None = None
        self._open: list[tuple[int, _Node]] = []  # height and node, not merged yet

    def add(self, chunk: Sequence[tuple[Event, int]]) -> None:
        """Let a worker collect some events, each for its part of the whole."""
        import cloudpickle

        events, dealt = zip(*chunk, strict=True)
        run = self.job.run.subset(events)
        part = Job(run, self.job.corrections, halves=self.job.halves, dealt=bytes(dealt))
        # unpickled inside the task: what goes wrong there is reported, and does not stop the worker
        future = self.client.submit(collect_chunk, cloudpickle.dumps(part), pure=False)
        self.events += len(chunk)
        self._put(0, _Node(future, len(chunk)))
        while len(self._open) > 1 and self._open[-1][0] == self._open[-2][0]:
            self._merge_last()

    def close(self) -> None:
        """Merge what is left; there are no more chunks."""
        while len(self._open) > 1:
            self._merge_last()
        self.top = self._open[0][1]

    def _merge_last(self) -> None:
        (height, first), (_, second) = self._open[-2:]
        del self._open[-2:]
        future = self.client.submit(merge, [first.future, second.future], pure=False)
        self._put(height + 1, _Node(future, children=(first, second)))

    def _put(self, height: int, node: _Node) -> None:
        self._open.append((height, node))
        self.nodes.append(node)

    @property
    def where(self) -> str:
        """How many workers there are: those of a batch system come when it has room."""
        count = len(self.client.ncores())
        return f"{count} workers" if count else "waiting for workers"

    @property
    def finished(self) -> bool:
        """True once everything is merged into one."""
        return self.top is not None and self.top.done

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
        self.look()

    def look(self) -> None:
        """Note the parts that are ready; raises what a worker raised."""
        waiting = [node for node in self.nodes if not node.done]
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
        merged: Collected = self.client.submit(merge, futures, pure=False).result()
        return merged

    def forget(self) -> None:
        """Let the workers drop everything."""
        self.client.cancel([node.future for node in self.nodes], force=True)
        self.nodes = []
