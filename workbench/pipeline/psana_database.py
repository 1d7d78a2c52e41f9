"""Constants of LCLS-II runs from psana's database, copied into a calibration directory when asked.

Nothing else in the package asks a server. psana's own client makes the choice
(``psana.pscalib.calib.MDBWebUtils.calib_constants_all_types``, as its ``det.calibconst``): of the
experiment's constants those that serve the run, and the detector's latest where there are none. It
asks ``$LCLS_CALIB_HTTP``, or the LCLS. What is copied is read as any other constants.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workbench.constants import (
    append_history,
    constants_folder,
    deploy_constants,
    read_constants_file,
    write_constants_file,
)
from workbench.errors import ConstantsError, WorkbenchError
from workbench.files import replacing
from workbench.geometry import Geometry
from workbench.runs import PsanaRun

Document = Mapping[str, Any]
"""What psana's database says about some constants."""
KINDS = ("pedestals", "pixel_gain", "pixel_rms", "pixel_status", "pixel_mask", "common_mode")
"""Numbers that are copied; the geometry's text is too."""


@dataclass(frozen=True)
class Copied:
    """One kind of constants that was asked for.

    Attributes
    ----------
    kind : e.g. ``pedestals``.
    path : file that holds them.
    written : False if that file was there, with the same content.
    origin : where the database has them from, one line.
    """

    kind: str
    path: Path
    written: bool
    origin: str


def fetch_constants(run: PsanaRun, calib_dir: str | os.PathLike[str]) -> list[Copied]:
    """Copy the constants that serve a run from psana's database into a calibration directory.

    Each kind becomes ``<first>-<last>.data`` with the runs that the database names, and a line in
    ``HISTORY``; the geometry becomes ``0-end.data``, where versions begin. A file that exists is
    never replaced.

    Raises
    ------
    ConstantsError
        If the database cannot be reached, holds no constants of the detector, or others than those
        that a file of the same runs holds, or they have not the detector's shape.
    """
    answers = _ask(run)
    usable = {kind: answers[kind] for kind in (*KINDS, "geometry") if kind in answers}
    if not usable:
        raise ConstantsError(
            f"psana's database holds no constants of {run.name} that serve {run.title}; "
            "deploy some with psana's tools, or average a dark run with --deploy-constants."
        )
    copied = []
    for kind, (values, document) in usable.items():
        origin = _origin(document)
        copy = _copy_geometry if kind == "geometry" else _copy_numbers
        path, written = copy(kind, values, document, Path(calib_dir), run, origin)
        copied.append(Copied(kind, path, written, origin))
    return copied


def _ask(run: PsanaRun) -> Mapping[str, tuple[Any, Document]]:
    """Values and their document by kind, as psana chooses them."""
    import requests
    from psana.pscalib.calib import CalibConstants, MDBWebUtils

    server = CalibConstants.URL
    try:
        if MDBWebUtils.pro_detector_name(run.unique_id) is None:
            raise ConstantsError(
                f"psana's database at {server} does not know this {run.name} "
                f"({run.unique_id[:40]}…); is it the server of the experiment?"
            )
        answers: Mapping[str, Any] | None = MDBWebUtils.calib_constants_all_types(
            run.unique_id, exp=run.experiment, run=run.number
        )
    except (requests.RequestException, ValueError, SystemExit) as error:
        # psana's client ends the program where the server has no time
        why = "it is not available now" if isinstance(error, SystemExit) else type(error).__name__
        raise ConstantsError(
            f"psana's database at {server} gave no answer ({why}); try again where the LCLS can be "
            "reached, or set LCLS_CALIB_HTTP to its address."
        ) from error
    return {kind: answer for kind, answer in (answers or {}).items() if answer[0] is not None}


def _origin(document: Document) -> str:
    """Where constants are from, for their comment."""
    facts = " ".join(str(document.get(name, "?")) for name in ("experiment", "time_stamp", "_id"))
    return f"psana database: {facts}; runs {document.get('run', '?')}-{_last(document) or 'end'}"


def _last(document: Document) -> int | None:
    """Last run that a document serves; None for ``end``."""
    text = str(document.get("run_end", "end"))
    return int(text) if text.isdecimal() else None


def _copy_numbers(
    kind: str,
    values: ArrayLike,
    document: Document,
    calib_dir: Path,
    run: PsanaRun,
    origin: str,
) -> tuple[Path, bool]:
    first, last = int(document["run"]), _last(document)
    folder = constants_folder(calib_dir, run.address, kind)
    path = folder / f"{first}-{'end' if last is None else last}.data"
    values = np.asarray(values)
    if path.exists():
        there = read_constants_file(path)
        if not np.array_equal(there, values.reshape(-1).astype(there.dtype)):
            raise ConstantsError(
                f"{path} holds other {kind} than psana's database now has for these runs "
                f"({origin}); move that file away to copy them."
            )
        return path, False
    if kind == "common_mode":
        write_constants_file(values.reshape(1, -1), path, {"CALIB_TYPE": kind, "COMMENT": origin})
        append_history(folder, path.name, origin)
        return path, True
    return deploy_constants(values, calib_dir, run.address, kind, first, last, origin), True


def _copy_geometry(
    kind: str,
    text: object,
    document: Document,
    calib_dir: Path,
    run: PsanaRun,
    origin: str,
) -> tuple[Path, bool]:
    try:
        geometry = Geometry.parse(str(text))
    except WorkbenchError as error:
        raise ConstantsError(f"The geometry in psana's database cannot be used: {error}") from error
    if geometry.detector is not run.detector:
        raise ConstantsError(
            f"The geometry in psana's database is that of the {geometry.detector.name}, not of the "
            f"{run.detector.name} ({origin})."
        )
    folder = constants_folder(calib_dir, run.address, kind)
    path = folder / "0-end.data"
    if path.exists():
        return path, False
    with replacing(path, overwrite=False) as temporary:
        temporary.write_text(str(text), encoding="utf-8")
    append_history(folder, path.name, origin)
    return path, True
