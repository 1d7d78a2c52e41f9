"""Going through a run and writing its frames."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from workbench import provenance
from workbench.averages import Dask, Threads, deployed_geometry
from workbench.averages.average import find_runner
from workbench.averages.collect import Job, available_cores
from workbench.corrections import AnyCorrector
from workbench.errors import Cancelled, NoEventsError, WorkbenchError
from workbench.files import in_calibration_directory, parse_json, replacing
from workbench.frames.formats import Frame, FrameFile, Setting, filters, find_format
from workbench.frames.peaks import THRESHOLD_ADU, count_peaks
from workbench.frames.table import FrameRow, read_table, utc_text, write_table
from workbench.geometry import Geometry
from workbench.mask import Mask
from workbench.progress import Progress, Silent
from workbench.recipe import Corrections, Events, Hits
from workbench.runs import Event, EventSource, Run

if TYPE_CHECKING:
    from distributed import Future as DaskFuture

DISTANCE_SPREAD_MM = 0.05
"""Formats that hold one distance say so where the detector moved by more than this."""
BATCH_EVENTS = 100
"""Events gone through together where each event is a file."""
TABLE_SECONDS = 10.0
"""The table is written so often, so that a stopped job can be gone on with."""
FILE_EVENTS = 500
"""Events of an HDF5 file of a longer run, so that a stopped job can be gone on with."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FramesWritten:
    """What `write_frames` wrote.

    Attributes
    ----------
    folder : where to.
    rows : of the table, one for each event that was looked at.
    table : file of the table.
    files : files of frames, in order.
    beside : other files that the format needs.
    distance_mm : of the first frame; None if there is none.
    skipped : events not selected or without data, by reason.
    warnings : sentences about what is suspicious.
    """

    folder: Path
    rows: tuple[FrameRow, ...]
    table: Path
    files: tuple[Path, ...]
    beside: tuple[Path, ...] = ()
    distance_mm: float | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    warnings: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of frames."""
        return sum(row.written for row in self.rows)

    def describe(self) -> dict[str, Any]:
        """Summary as plain values."""
        return {
            "frames": self.count,
            "events": len(self.rows),
            "skipped": dict(self.skipped),
            "distance_mm": self.distance_mm,
            "table": str(self.table),
            "files": [str(path) for path in self.files],
            "beside": [str(path) for path in self.beside],
            "bytes": sum(path.stat().st_size for path in self.files),
            "warnings": list(self.warnings),
        }


def write_frames(
    run: Run,
    folder: str | os.PathLike[str],
    format: str = "cbf",
    *,
    corrections: Corrections | None = None,
    selection: Events | None = None,
    since: datetime | float | None = None,
    until: datetime | float | None = None,
    geometry: Geometry | None = None,
    mask: Mask | NDArray[np.bool_] | None = None,
    hits: Hits | None = None,
    threshold_adu: float = THRESHOLD_ADU,
    detz_offset_mm: float | None = None,
    distance_mm: float | None = None,
    wavelength_angstrom: float | None = None,
    whole_adu: bool = False,
    compression: str = "bitshuffle",
    frames_per_file: int | None = None,
    runner: object = None,
    progress: Progress | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> FramesWritten:
    """Write single events of a run as frames for DIALS or CrystFEL.

    Parameters
    ----------
    run : from `workbench.open_run` or `workbench.open_frames`.
    folder : where to; made if absent.
    format : ``cbf`` (a file for each event), ``nxmx`` or ``crystfel``; see `FORMATS`.
    corrections : applied to each event; None means raw ADU.
    selection : which events; None means all.
    since, until : only events from, and before, this time (with a zone, or seconds since 1970).
    geometry : of the frames; None takes the one deployed for the run.
    mask : pixels that are not used (True is good); in the files, and for the count of peaks.
    hits : write only events with so many peaks; None writes all.
    threshold_adu : of the peaks that are counted, where `hits` is None; in the unit of the events.
    detz_offset_mm : the distance is the encoder's position plus this, mm.
    distance_mm : distance of all frames, in place of the one above.
    wavelength_angstrom : of events that do not tell it.
    whole_adu : round to whole ADU (int32); half the size or less.
    compression : of HDF5 files: ``bitshuffle`` (LZ4), ``gzip`` or ``none``.
    frames_per_file : events of the run that go to one HDF5 file, at most; None means all of up to
        500 events, and 500 of more, or on a cluster.
    runner : None or threads, or a Dask cluster, as for `workbench.average_run`.
    progress : told about events done; its ``cancelled`` stops the work.
    resume : go on with what was written by the same call before.
    overwrite : replace files that are there.

    Returns
    -------
    The table of events and the files. The table is also a file,
    ``<experiment>_frames-r<run>.csv``.

    Raises
    ------
    WorkbenchError
        If files are there already, distance or wavelength are not known, or a file cannot be
        written. Files finished before stay, and `resume` goes on from there.
    Cancelled
        If `progress` cancelled the work; as above.
    NoEventsError
        If no event was selected.
    """
    progress = progress or Silent()
    kind = find_format(format)
    target = Path(folder)
    _check(target, compression, frames_per_file)
    chosen = find_runner(runner)
    located = geometry or deployed_geometry(run) or getattr(run, "geometry", None)
    if located is None:
        raise WorkbenchError(
            "There is no geometry for these frames; name one, or give the calibration directory."
        )
    if located.detector is not run.detector:
        raise WorkbenchError(
            f"{located.source} is the geometry of {located.detector.a_name}, the run is of "
            f"{run.detector.a_name}."
        )
    of_pixels = mask if mask is None or isinstance(mask, Mask) else Mask.from_good(mask)
    if of_pixels is not None and of_pixels.detector is not run.detector:
        raise WorkbenchError(
            f"The mask is of {of_pixels.detector.a_name}, the run of {run.detector.a_name}."
        )
    job = _Job(
        run=run,
        format=format,
        folder=target,
        base=f"{run.experiment.lower() or 'frames'}_frames-r{run.number:04d}",
        corrections=corrections,
        selection=selection,
        geometry=located,
        mask=of_pixels,
        hits=hits,
        threshold_adu=hits.threshold_adu if hits is not None else threshold_adu,
        span=(_seconds(since), _seconds(until)),
        detz_offset_mm=detz_offset_mm,
        distance_mm=distance_mm,
        wavelength_angstrom=wavelength_angstrom,
        whole_adu=whole_adu,
        compression=compression,
        overwrite=overwrite or resume,
    )
    on_cluster = isinstance(chosen, Dask)
    size = frames_per_file
    if size is None and kind.single and not on_cluster:
        size = BATCH_EVENTS
    elif size is None:
        few = job.expected is not None and job.expected <= FILE_EVENTS
        size = None if few and not on_cluster else FILE_EVENTS
    before = _begin(job, resume, overwrite)
    batches = _batches(job, size)
    parts = (
        _on_cluster(job, batches, chosen, before, progress)
        if isinstance(chosen, Dask)
        else _on_threads(job, batches, chosen, before, progress)
    )
    rows: list[FrameRow] = []
    shown = time.monotonic()
    try:
        for part in parts:
            rows += part
            if time.monotonic() - shown > TABLE_SECONDS:
                write_table(rows, job.table)
                shown = time.monotonic()
    finally:
        write_table(rows, job.table)
    if not rows:
        reasons = ", ".join(f"{n} {why}" for why, n in run.skipped.most_common(4))
        raise NoEventsError(
            f"{run.experiment} run {run.number} has no events to write"
            + (f"; left out: {reasons}." if reasons else ".")
        )
    return _finished(job, rows)


def estimate_bytes(run: EventSource, events: int, format: str, whole_adu: bool = False) -> int:
    """About how many bytes so many frames take, before compression."""
    single = find_format(format).single
    each = 4 if whole_adu else 8 if single else 4
    return events * run.detector.pixels * each


def corrected(raw: NDArray[Any], corrector: AnyCorrector | None) -> NDArray[np.float32]:
    """Raw pixels of an event as float32, corrected where there is something to correct with."""
    pixels = np.ascontiguousarray(np.ma.getdata(raw))
    return pixels.astype(np.float32) if corrector is None else corrector.apply(pixels)


@dataclass(frozen=True)
class _Job:
    """All that is needed to write some events; it can be sent to another process."""

    run: EventSource
    format: str
    folder: Path
    base: str
    corrections: Corrections | None
    selection: Events | None
    geometry: Geometry
    mask: Mask | None
    hits: Hits | None
    threshold_adu: float
    span: tuple[float | None, float | None]
    detz_offset_mm: float | None
    distance_mm: float | None
    wavelength_angstrom: float | None
    whole_adu: bool
    compression: str
    overwrite: bool

    @cached_property
    def corrector(self) -> AnyCorrector | None:
        """Corrector of the run; None for raw data."""
        return Job(self.run, self.corrections).corrector

    @cached_property
    def expected(self) -> int | None:
        """How many events will come, as far as that is known."""
        return Job(self.run, selection=self.selection).expected

    @property
    def table(self) -> Path:
        return self.folder / f"{self.base}.csv"

    @property
    def record(self) -> Path:
        """File that says how the frames are made."""
        return self.folder / f"{self.base}.json"

    @cached_property
    def setting(self) -> Setting:
        """What the frames have in common."""
        steps = self.corrector.describe() if self.corrector is not None else "raw"
        return Setting(
            self.run.experiment,
            self.run.number,
            self.run.address,
            self.geometry,
            self.mask,
            np.dtype(np.int32 if self.whole_adu else np.float32),
            self.compression,
            {
                "run": self.run.number,
                "experiment": self.run.experiment,
                "corrections": steps,
                "geometry": self.geometry.source,
                **provenance.stamp(),
            },
        )

    def frame(self, event: Event) -> tuple[FrameRow, Frame | None]:
        """Row of the table and, where one is to be written, the frame of an event."""
        row = FrameRow(
            event.index,
            utc_text(event.seconds, event.nanoseconds),
            event.seconds,
            event.nanoseconds,
            event.fiducials,
            event.photon_energy_ev,
            event.wavelength_angstrom or self.wavelength_angstrom,
            self._distance(event),
            None,
        )
        early, late = self.span
        when = event.seconds + event.nanoseconds * 1e-9
        if (early is not None and when < early) or (late is not None and when >= late):
            return dataclasses.replace(row, note="outside the times"), None
        raw = event.raw
        if raw is None:
            return dataclasses.replace(row, note=event.missing or "no data"), None
        data = corrected(raw, self.corrector)
        good = None if self.mask is None else self.mask.good
        peaks = count_peaks(data, good, self.threshold_adu)
        row = dataclasses.replace(row, peaks=peaks)
        if self.hits is not None and peaks < self.hits.min_peaks:
            return dataclasses.replace(row, note="no hit"), None
        if row.wavelength_angstrom is None:
            raise WorkbenchError(
                f"Event {event.index} does not record its photon energy; give the wavelength."
            )
        if row.distance_mm is None:
            raise WorkbenchError(
                "The distance of the detector is not known; give it, or the offset that is added "
                "to the encoder's position."
            )
        if self.whole_adu:
            data = np.rint(data).astype(np.int32)
        return row, Frame(
            event.index, event.seconds, event.nanoseconds, event.fiducials, data,
            row.wavelength_angstrom, row.distance_mm, peaks,
        )  # fmt: skip

    def _distance(self, event: Event) -> float | None:
        if self.distance_mm is not None:
            return self.distance_mm
        if self.detz_offset_mm is None:
            return event.distance_mm
        return (event.encoder_mm or 0.0) + self.detz_offset_mm

    def file_of(self, row: FrameRow) -> str:
        """Name of an event's own file, as ``cxi.xtc_dump`` names it by the time."""
        if not row.time_utc:
            return f"shot-{row.event:06d}.cbf"
        stamp = "".join(filter(str.isdigit, row.time_utc))[:17]
        return f"shot-{stamp}.cbf"


def _check(folder: Path, compression: str, frames_per_file: int | None) -> None:
    if folder.exists() and not folder.is_dir():
        raise WorkbenchError(f"{folder} is a file; give a folder for the frames.")
    if in_calibration_directory(folder):
        raise WorkbenchError(f"{folder} is in a calibration directory; choose another folder.")
    filters(compression)  # refuses one that is not known
    if frames_per_file is not None and frames_per_file < 1:
        raise WorkbenchError(f"A file cannot hold {frames_per_file} frames; use 1 or more.")


def _seconds(time: datetime | float | None) -> float | None:
    if time is None or isinstance(time, int | float):
        return time
    if time.tzinfo is None:
        raise WorkbenchError(f"The time {time} has no zone; add one, e.g. +00:00 for UTC.")
    return time.timestamp()


def _begin(job: _Job, resume: bool, overwrite: bool) -> dict[int, FrameRow]:
    """Rows of events done before, by index; writes the record of what is about to be done."""
    settings = {
        "format": job.format,
        "corrections": "raw" if job.corrector is None else job.corrector.describe(),
        "events": (job.selection or Events()).describe(),
        "times": list(job.span),
        "hits": None if job.hits is None else dataclasses.asdict(job.hits),
        "threshold_adu": job.threshold_adu,
        "geometry": job.geometry.to_text(),
        "masked": None if job.mask is None else job.mask.masked,
        "detz_offset_mm": job.detz_offset_mm,
        "distance_mm": job.distance_mm,
        "wavelength_angstrom": job.wavelength_angstrom,
        "whole_adu": job.whole_adu,
        "compression": job.compression,
    }
    before: dict[int, FrameRow] = {}
    if resume and job.record.exists():
        try:
            known = dict(parse_json(job.record.read_text("utf-8"))["settings"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkbenchError(
                f"{job.record} does not say how the frames were made; write them again."
            ) from error
        plain = json.loads(json.dumps(settings, default=str))
        different = [name for name, value in plain.items() if known.get(name) != value]
        if different:
            raise WorkbenchError(
                f"The frames in {job.folder} were made with another setting of "
                f"{', '.join(different)}; choose another folder, or write them again."
            )
        if job.table.exists():
            before = {row.event: row for row in read_table(job.table)}
    elif not overwrite:
        for path in (job.table, job.record):
            if path.exists():
                raise WorkbenchError(
                    f"{path} exists already; choose another folder, resume it, or "
                    "allow overwriting."
                )
    with replacing(job.record) as temporary:
        temporary.write_text(
            json.dumps({"settings": settings, **provenance.stamp()}, indent=1, default=str),
            encoding="utf-8",
        )
    return before


Batches = Iterator[tuple[int | None, Iterator[Event] | deque[Event]]]
"""Events of a run by batches, each with its number; None if there is one only."""


def _batches(job: _Job, size: int | None) -> Batches:
    events: Iterator[Event] = job.run.events(None, job.selection)
    if size is None:
        yield None, events
        return
    number = 0
    while batch := deque(islice(events, size)):
        yield number, batch
        number += 1


def _taken(events: Iterator[Event] | deque[Event]) -> Iterator[Event]:
    """Give the events and forget them: each holds its pixels once they were read."""
    if not isinstance(events, deque):
        yield from events
        return
    while events:
        yield events.popleft()


def _on_threads(
    job: _Job, batches: Batches, runner: object, before: dict[int, FrameRow], progress: Progress
) -> Iterator[list[FrameRow]]:
    count = runner.count if isinstance(runner, Threads) else None
    threads = available_cores() if count is None else count
    done = 0

    def tell(rows: int) -> None:
        nonlocal done
        done += rows
        progress.update(done, job.expected, f"{done} events")
        if progress.cancelled:
            raise _cancelled(job.folder)

    with ThreadPoolExecutor(threads, thread_name_prefix="frames") as pool:
        for number, events in batches:
            kept = _done_before(job, events, before)
            if kept is not None:
                tell(len(kept))
                yield kept
                continue
            yield _write_batch(job, number, _taken(events), pool, threads, tell)


def _cancelled(folder: Path) -> Cancelled:
    return Cancelled(
        f"Writing the frames was cancelled; what is finished stays in {folder}, and resume goes on."
    )


def _done_before(
    job: _Job, events: Iterable[Event], before: dict[int, FrameRow]
) -> list[FrameRow] | None:
    """Rows of a batch that was finished before; None if it has to be written."""
    if not before or not isinstance(events, deque):
        return None
    rows = [before.get(event.index) for event in events]
    done = [row for row in rows if row is not None]
    if len(done) < len(rows) or any(
        row.written and not (job.folder / row.file).is_file() for row in done
    ):
        return None
    return done


def in_order(
    pool: ThreadPoolExecutor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int,
) -> Iterator[Result]:
    """Results in the order of the items, at most `ahead` of them computed beforehand."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _write_batch(
    job: _Job,
    number: int | None,
    events: Iterable[Event],
    pool: ThreadPoolExecutor,
    threads: int,
    tell: Callable[[int], None],
) -> list[FrameRow]:
    """Write the frames of some events; gives their rows."""
    kind = find_format(job.format)
    module = kind.load()
    rows: list[FrameRow] = []
    if kind.single:

        def write(event: Event) -> FrameRow:
            row, frame = job.frame(event)
            if frame is None:
                return row
            name = job.file_of(row)
            with module.opened(job.folder / name, job.setting, job.overwrite) as file:
                file.add(frame)
            return dataclasses.replace(row, file=name, frame=0)

        for row in in_order(pool, write, events, threads):
            rows.append(row)
            tell(1)
        return rows
    name = f"{job.base}{'' if number is None else f'_{number:03d}'}{kind.ending}"
    frames = 0
    with ExitStack() as stack:
        file: FrameFile | None = None
        for row, frame in in_order(pool, job.frame, events, threads):
            if frame is not None:
                if file is None:
                    opening = module.opened(job.folder / name, job.setting, job.overwrite)
                    file = stack.enter_context(opening)
                file.add(frame)
                row = dataclasses.replace(row, file=name, frame=frames)
                frames += 1
            rows.append(row)
            tell(1)
    return rows


def _on_cluster(
    job: _Job, batches: Batches, runner: Dask, before: dict[int, FrameRow], progress: Progress
) -> Iterator[list[FrameRow]]:
    """Let the workers of a cluster write the batches; they see the same files and folder."""
    waiting: deque[tuple[DaskFuture[list[FrameRow]] | None, list[FrameRow]]] = deque()
    done = 0
    with runner.connected() as client:
        import cloudpickle

        try:
            for number, events in batches:
                kept = _done_before(job, events, before)
                if kept is not None:
                    waiting.append((None, kept))
                    continue
                part = dataclasses.replace(
                    job, run=job.run.subset(list(events)), folder=job.folder.resolve()
                )
                packed = cloudpickle.dumps((part, number))
                waiting.append((client.submit(_batch_on_worker, packed, pure=False), []))
            while waiting:
                future, rows = waiting[0]
                if future is not None:
                    rows = _result(future, job, progress, done)
                waiting.popleft()
                done += len(rows)
                progress.update(done, job.expected, f"{done} events")
                yield rows
        finally:
            client.cancel([future for future, _ in waiting if future is not None], force=True)


def _result(
    future: DaskFuture[list[FrameRow]], job: _Job, progress: Progress, done: int
) -> list[FrameRow]:
    from distributed import TimeoutError as StillWorking

    while True:
        try:
            rows: list[FrameRow] = future.result(timeout=0.3)
            return rows
        except StillWorking:
            progress.update(done, job.expected, f"{done} events")
            if progress.cancelled:
                raise _cancelled(job.folder) from None


def _batch_on_worker(packed: bytes) -> list[FrameRow]:
    """Write a batch (runs on a worker)."""
    job, number = pickle.loads(packed)
    with ThreadPoolExecutor(1) as pool:
        return _write_batch(job, number, job.run.events(), pool, 1, lambda rows: None)


def _finished(job: _Job, rows: list[FrameRow]) -> FramesWritten:
    written = [row for row in rows if row.written]
    files = tuple(job.folder / name for name in dict.fromkeys(row.file for row in written))
    distances = [row.distance_mm for row in written if row.distance_mm is not None]
    warnings = [] if job.corrector is None else list(job.corrector.warnings)
    kind = find_format(job.format)
    if distances and not kind.single and max(distances) - min(distances) > DISTANCE_SPREAD_MM:
        warnings.append(
            f"The detector moved from {min(distances):.3f} to {max(distances):.3f} mm; the file "
            f"has the distance of the first frame, {distances[0]:.3f} mm."
        )
    peaks = [row.peaks for row in rows if row.peaks is not None]
    if job.hits is not None and peaks and not written:
        warnings.append(
            f"No event has {job.hits.min_peaks} peaks; the most is {max(peaks)}. Lower the number "
            "of peaks or their threshold."
        )
    absent = sorted({*(job.selection or Events()).indices} - {row.event for row in rows})
    if absent:
        some = ", ".join(map(str, absent[:10])) + (" …" if len(absent) > 10 else "")
        warnings.append(f"Not in the run, or left out by other settings: event {some}.")
    beside: list[Path] = []
    write_beside = getattr(kind.load(), "write_beside", None)
    if write_beside is not None and written:
        beside = write_beside(job.folder, job.base, job.setting, distances[0], files, job.overwrite)
    return FramesWritten(
        job.folder,
        tuple(rows),
        job.table,
        files,
        tuple(beside),
        distances[0] if distances else None,
        Counter(job.run.skipped),
        tuple(warnings),
    )
