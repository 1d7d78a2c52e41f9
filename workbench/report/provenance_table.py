"""Where results come from: input files, their hashes, and everything else the results carry."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from workbench.alignment.plain import plain
from workbench.constants import constants_folder, file_for_run
from workbench.errors import WorkbenchError
from workbench.files import sha256
from workbench.pipeline import Calibration
from workbench.provenance import describe_files
from workbench.report.text import Shown, folded, table, together

HASH_UP_TO = 64_000_000
"""Larger files (long runs) have no hash, only size and time: it would take too long."""
_SHORT = 90


@dataclass(frozen=True)
class InputFile:
    """A file the calibration was made from.

    Attributes
    ----------
    role : what it was used for.
    path : where it is.
    octets : size, or None if it is not there any more.
    modified : time of its last change (UTC), or empty.
    """

    role: str
    path: str
    octets: int | None
    modified: str

    def sha256(self) -> str:
        """Hash of the content; empty for files that are large or not there any more."""
        try:
            if self.octets is None or os.stat(self.path).st_size > HASH_UP_TO:
                return ""
            return sha256(self.path)
        except OSError:
            return ""


def input_files(calibration: Calibration) -> list[InputFile]:
    """Every file the calibration was made from, once: runs, constants, images, geometry."""
    images = calibration.images
    files: dict[str, InputFile] = {}

    def add(role: str, facts: dict[str, Any]) -> None:
        path = str(facts["path"])
        files.setdefault(
            path, InputFile(role, path, facts.get("bytes"), str(facts.get("modified", "")))
        )

    for kind, run in [("dark", images.dark), *[("bright", run) for run in images.bright]]:
        if run is None:
            continue
        for facts in run.provenance.get("run", {}).get("files", ()):
            add(f"{kind} run {run.run}", facts)
    for run in (images.dark, *images.bright):
        steps = run.provenance.get("corrections", ()) if run is not None else ()
        for step in steps if not isinstance(steps, str) else ():
            if os.path.isabs(str(step.get("source", ""))):
                add(str(step["step"]), _described(step["source"]))
    for kind, path in images.files.items():
        add(f"image: {kind.replace('_', ' ')}", _described(path))
    start = starting_geometry(calibration)
    if start is not None:
        add("geometry", _described(start))
    return list(files.values())


def starting_geometry(calibration: Calibration) -> Path | None:
    """File of the geometry the calibration started from, links followed; None if not known."""
    images, experiment = calibration.images, calibration.recipe.experiment
    if experiment.geometry:
        return Path(experiment.geometry).resolve()
    for kind, path in images.files.items():
        image = getattr(images, kind, None)
        if image is not None and image.geometry is not None:
            return Path(path)
    run = next((run for run in (*images.bright, images.dark) if run is not None), None)
    calib = None if run is None else run.provenance.get("run", {}).get("calib_dir")
    if run is None or calib is None:
        return None
    try:
        folder = constants_folder(calib, experiment.address, "geometry")
        serving = file_for_run(folder, run.run)
    except (WorkbenchError, OSError):
        return None
    return None if serving is None else Path(serving).resolve()


def hash_list(files: Iterable[InputFile]) -> str:
    """Hashes of the files in the form that ``sha256sum --check`` reads; empty if there are none."""
    lines = [f"{digest}  {file.path}" for file in files if (digest := file.sha256())]
    return "\n".join(lines)


def provenance_table(provenance: Mapping[str, Any]) -> Shown:
    """Short table of a provenance; all of it as JSON, folded."""
    values = {key: value for key, value in plain(provenance).items() if key != "recipe"}
    rows = [[key, _short(value)] for key, value in values.items()]
    text = json.dumps(values, indent=1, ensure_ascii=False, default=str)
    return together(table(["", ""], rows), folded("All of it, as JSON (not printed)", text))


def _described(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return describe_files([path])[0]
    except OSError:
        return {"path": os.fspath(path)}


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    if isinstance(value, dict):
        value = ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    text = str(value)
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def content_sha256(content: bytes | NDArray[Any]) -> str:
    """SHA-256 of bytes or of an array."""
    return hashlib.sha256(content).hexdigest()
