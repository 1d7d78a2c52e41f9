"""The state of an averaging: saved, and gone on from later without counting an event twice."""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from workbench import provenance
from workbench.averages.collect import Collected, Job
from workbench.averages.event_counts import EventCounts, Mean
from workbench.averages.statistics import FIELDS, Statistics
from workbench.errors import FileFormatError, WorkbenchError
from workbench.files import parse_json, replacing
from workbench.numpy_files import opened_archive
from workbench.recipe import Corrections

FORMAT, VERSION, DIVIDED = "cspad-workbench state of an averaging", 1, 2
"""The second version holds the events divided in two; earlier workbenches refuse it."""
_MEANS = ("encoder_mm", "distance_mm", "wavelength_angstrom", "seconds")


@dataclass(frozen=True)
class AveragingState:
    """What was collected so far, and of what.

    Attributes
    ----------
    subject : plain values that decide what was averaged: experiment, run, detector, corrections
        with a digest of the constants.
    collected : statistics, counts and the keys of the events gone through.
    origin : when, where and with which software it was saved; empty before that.
    """

    subject: dict[str, Any]
    collected: Collected
    origin: dict[str, Any]

    @property
    def keys(self) -> tuple[tuple[int, ...], ...]:
        """Keys of the events gone through."""
        rows = np.frombuffer(self.collected.counts.keys, np.uintc).reshape(-1, 3)
        return tuple(map(tuple, rows.tolist()))

    def check(self, asked: dict[str, Any], name: object) -> None:
        """Refuse to go on with an averaging of another `subject`.

        Raises
        ------
        WorkbenchError
            Naming the first difference.
        """
        for key in self.subject | asked:
            saved, wanted = self.subject.get(key, "none"), asked.get(key, "none")
            if saved != wanted:
                raise WorkbenchError(
                    f"{name} is the state of another averaging ({key}: {saved} there, "
                    f"{wanted} here). Go on with the same, or begin anew without it."
                )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to one file (npz), atomically; a state there before is replaced.

        Raises
        ------
        WorkbenchError
            If nothing was collected yet, or the file cannot be written.
        """
        parts, counts = self.collected.parts, self.collected.counts
        if not any(parts):
            raise WorkbenchError("There is no state to save: no event was averaged.")
        about = {
            "format": FORMAT,
            "version": VERSION if len(parts) == 1 else DIVIDED,
            "subject": self.subject,
            "events": counts.used,
            "without_data": dict(counts.without_data),
            "means": {name: asdict(getattr(counts, name)) for name in _MEANS},
            "first": counts.first,
            "last": counts.last,
            "partial": self.collected.partial,
            "absent_is_zero": self.collected.absent_is_zero,
            "steps": self.collected.steps,
            "warnings": self.collected.warnings,
            **provenance.stamp(),
        }
        arrays: dict[str, Any] = {
            prefix + name: np.asarray(getattr(part, name))
            for prefix, part in zip(_prefixes(len(parts)), parts, strict=True)
            for name in (FIELDS if part is not None else ())
        }
        arrays["keys"] = np.frombuffer(counts.keys, np.uintc).astype(np.uint32).reshape(-1, 3)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)


def read_state(path: str | os.PathLike[str]) -> AveragingState:
    """State written by `AveragingState.save`.

    Raises
    ------
    FileFormatError
        If it cannot be read or is something else.
    """
    with opened_archive(path, "the saved state of an averaging") as stored:
        about = parse_json(str(stored["about"]))
        if about["format"] != FORMAT:
            raise ValueError(f"found {about['format']!r}")
        if about["version"] > DIVIDED:
            raise FileFormatError(
                path, "it was written by a newer version.", hint="Install that one."
            )
        parts = tuple(
            Statistics.from_arrays({name: stored[prefix + name] for name in FIELDS})
            if prefix + FIELDS[0] in stored
            else None
            for prefix in _prefixes(about["version"])
        )
        keys = stored["keys"]
        if keys.dtype != np.uint32 or keys.ndim != 2 or keys.shape[1] != 3:
            raise ValueError("the keys of the events are not what they should be")
        counts = EventCounts(
            int(about["events"]),
            Counter(about["without_data"]),
            keys=array("I", keys.astype(np.uintc).tobytes()),
            first=about["first"],
            last=about["last"],
        )
        for name in _MEANS:
            setattr(counts, name, Mean(**about["means"][name]))
        counted = sum(part.count for part in parts if part is not None)
        if len(keys) != counts.used + counts.without_data.total() or counted != counts.used:
            raise ValueError("its counts contradict each other")
        collected = Collected(
            parts,
            counts,
            bool(about["partial"]),
            bool(about["absent_is_zero"]),
            list(about["steps"]),
            tuple(about["warnings"]),
        )
        origin = {name: about[name] for name in ("when", "user", "host", "software")}
        return AveragingState(dict(about["subject"]), collected, origin)


def _prefixes(parts: int) -> tuple[str, ...]:
    """What the names of each part's arrays begin with."""
    return ("",) if parts == 1 else ("half0_", "half1_")


def subject(job: Job) -> dict[str, Any]:
    """What decides the result, as plain values that survive JSON."""
    run = job.run
    described = {
        "experiment": run.experiment,
        "run": run.number,
        "detector": run.address,
        "shape": list(run.detector.shape),
        "source": run.source,
        "corrections": (job.corrections or Corrections.none()).describe(),
        "constants": _digest(job),
    }
    if job.halves is not None:
        described |= job.halves.describe()
    plain: dict[str, Any] = json.loads(json.dumps(described))
    return plain


def _digest(job: Job) -> str:
    """Digest of the numbers that correct the pixels."""
    corrector = job.corrector
    if corrector is None:
        return "none"
    tables = corrector.tables
    sum_of_all = hashlib.blake2b(digest_size=16)
    for values in tables.parts:
        sum_of_all.update(np.ascontiguousarray(values).view(np.uint8).reshape(-1).data)
    return sum_of_all.hexdigest()
