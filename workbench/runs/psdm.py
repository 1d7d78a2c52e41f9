"""Where experiments and runs lie on disk: LCLS's tree of data, by psana's rules.

``$SIT_PSDM_DATA/<INSTRUMENT>/<experiment>/{xtc,calib}``; which instrument an experiment belongs
to and how its files are named is told by ``experiment-db.dat`` (``ExpNameDb``), which
``$SIT_DATA`` leads to. File names: ``e<id>-r<run>-s<stream>-c<chunk>.xtc``, since about 2020
``<experiment>-r….xtc`` (``IData``, ``XtcInput/XtcFileName``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from workbench.errors import RunNotFoundError, first_few
from workbench.files import os_errors_as
from workbench.provenance import describe_file
from workbench.runs.xtc.streams import Stream

PathLike = str | os.PathLike[str]

DEFAULT_ROOT = "/reg/d/psdm"
DATABASE = "experiment-db.dat"
INSTRUMENTS = ("AMO", "CXI", "DIA", "MEC", "MFX", "MOB", "SXR", "USR", "XCS", "XPP", "DET")

_NAME = re.compile(
    r"(?P<prefix>.+)-r0*(?P<run>\d{1,9})-s(?P<stream>\d{1,9})-c(?P<chunk>\d{1,9})"
    r"\.xtc(?P<progress>\.inprogress)?",
    re.ASCII,
)


@dataclass(frozen=True)
class RunFile:
    """One file of a run, as its name tells."""

    path: Path
    prefix: str
    run: int
    stream: int
    chunk: int
    in_progress: bool
    size: int
    modified: float = 0.0
    """Bytes, and seconds since 1970 of the last change, when the folder was listed."""


@dataclass(frozen=True)
class RunFiles:
    """All files of one run."""

    number: int
    files: tuple[RunFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def in_progress(self) -> bool:
        """True while at least one file is still being written."""
        return any(file.in_progress for file in self.files)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Streams by number, each with its chunks in order."""
        grouped: dict[int, list[Path]] = {}
        for file in self.files:
            grouped.setdefault(file.stream, []).append(file.path)
        return tuple(Stream(number, tuple(paths)) for number, paths in sorted(grouped.items()))

    def describe(self) -> list[dict[str, Any]]:
        """Path, size in bytes and time of the last change (UTC) of each file when it was listed.

        A run that goes on meanwhile is described as it was found.
        """
        return [describe_file(file.path, file.size, file.modified) for file in self.files]


@dataclass(frozen=True)
class ExperimentPlace:
    """An experiment found on disk; `prefixes` begin the names of its files."""

    name: str
    instrument: str
    xtc_dir: Path
    calib_dir: Path | None
    prefixes: tuple[str, ...]

    def runs(self) -> list[RunFiles]:
        """Runs on disk, by number.

        Files named by an id (``e780-r0074-…``) that no database explains are taken for the
        experiment's own if there is only one such id in the folder.

        Raises
        ------
        RunNotFoundError
            If the folder cannot be listed or all its files are of other experiments.
        """
        files = _files_in(self.xtc_dir)
        present = {file.prefix.lower() for file in files}
        wanted = present.intersection(self.prefixes)
        if not wanted and len(present) == 1 and len(self.prefixes) == 1:
            wanted = {prefix for prefix in present if re.fullmatch(r"e\d+", prefix)}
        if present and not wanted:
            raise RunNotFoundError(
                f"{self.xtc_dir} holds files of {', '.join(sorted(present)[:10])}, none of "
                f"{' or '.join(self.prefixes)}; check the name of the experiment."
            )
        by_run: dict[int, list[RunFile]] = {}
        for file in files:
            if file.prefix.lower() in wanted:
                by_run.setdefault(file.run, []).append(file)
        return [
            RunFiles(number, tuple(sorted(_unique(by_run[number]), key=_file_order)))
            for number in sorted(by_run)
        ]

    def run(self, number: int) -> RunFiles:
        """Files of one run.

        Raises
        ------
        RunNotFoundError
            If there is none; the message lists the runs there are.
        """
        runs = self.runs()
        for files in runs:
            if files.number == number:
                return files
        there = first_few([files.number for files in runs], 20) or "no runs at all"
        raise RunNotFoundError(
            f"{self.name} has no run {number} in {self.xtc_dir}; there are: {there}."
        )


_file_order = attrgetter("stream", "chunk")


def _unique(files: Iterable[RunFile]) -> list[RunFile]:
    """One file per stream and chunk: the finished one rather than the one in progress."""
    best: dict[tuple[int, int], RunFile] = {}
    for file in sorted(files, key=lambda file: (file.in_progress, file.path.name)):
        best.setdefault(_file_order(file), file)
    return list(best.values())


def _files_in(folder: Path) -> list[RunFile]:
    files = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = parse_name(entry.name)
                if name and entry.is_file():
                    status = entry.stat()
                    in_progress = entry.name.endswith(".inprogress")
                    files.append(
                        RunFile(
                            Path(entry.path), *name, in_progress, status.st_size, status.st_mtime
                        )
                    )
    except OSError as error:
        raise RunNotFoundError(
            f"{folder} cannot be listed ({error.strerror}); give the folder of the .xtc files "
            "with --xtc-dir, or the root of the data tree with --psdm-dir."
        ) from error
    return files


def parse_name(name: str) -> tuple[str, int, int, int] | None:
    """Prefix, run, stream and chunk of a file's name; None if it is not a run file's name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return match["prefix"], int(match["run"]), int(match["stream"]), int(match["chunk"])


def _database_for(psdm_dir: PathLike | None, xtc: Path | None = None) -> dict[str, tuple[int, str]]:
    """Id and instrument of each experiment in ``experiment-db.dat`` (empty if not found).

    It is looked for in the folders of ``$SIT_DATA``; then in the root of the data tree and above
    the runs, where copies of a tree often have it. In each it is in ``ExpNameDb/`` or directly.
    """
    folders = [Path(name) for name in os.environ.get("SIT_DATA", "").split(":") if name]
    if xtc is not None:
        folders += xtc.absolute().parents[:3]
    for folder in (*folders, data_root(psdm_dir)):
        for path in (folder / "ExpNameDb" / DATABASE, folder / DATABASE):
            if path.is_file() and (database := parse_database(path)):
                return database
    return {}


def parse_database(path: PathLike) -> dict[str, tuple[int, str]]:
    """Read an ``experiment-db.dat``: lines ``<id> <INSTRUMENT> <experiment>``, others ignored."""
    experiments: dict[str, tuple[int, str]] = {}
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise RunNotFoundError(f"{path} cannot be read: {error.strerror}.") from error
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 3 and words[0].isdecimal() and len(words[0]) < 10:
            experiments.setdefault(words[2].lower(), (int(words[0]), words[1]))
    return experiments


def data_root(psdm_dir: PathLike | None = None) -> Path:
    """Root of the data tree: the argument, else ``$SIT_PSDM_DATA``, else ``/reg/d/psdm``."""
    return Path(psdm_dir or os.environ.get("SIT_PSDM_DATA") or DEFAULT_ROOT).expanduser()


@os_errors_as(RunNotFoundError)
def find_experiment(
    experiment: str,
    psdm_dir: PathLike | None = None,
    xtc_dir: PathLike | None = None,
    calib_dir: PathLike | None = None,
) -> ExperimentPlace:
    """Find an experiment's folders.

    Parameters
    ----------
    experiment : its name, e.g. ``cxim1416``; ``CXI/cxim1416`` or its id work as in psana.
    psdm_dir : root of the data tree, see `data_root`.
    xtc_dir : folder of the ``.xtc`` files, instead of the tree's.
    calib_dir : calibration directory, instead of the tree's.

    Raises
    ------
    RunNotFoundError
        If it is not there; the message lists experiments that are.
    """
    xtc = None if xtc_dir is None else Path(xtc_dir).expanduser()
    if xtc is not None and not xtc.is_dir():
        raise RunNotFoundError(f"{xtc} is not a folder; give the folder of the .xtc files.")
    database = _database_for(psdm_dir, xtc)
    instrument, _, name = experiment.strip().rpartition("/")
    if name.isdecimal():
        by_id = {str(number): exp for exp, (number, _) in database.items()}
        if name not in by_id:
            raise RunNotFoundError(f"{DATABASE} has no experiment with the id {name}.")
        name = by_id[name]
    if not name or {".", ".."} & {name, instrument}:
        raise RunNotFoundError("Name the experiment, e.g. cxim1416.")
    entry = database.get(name.lower())
    prefixes = [name.lower()]
    if entry is not None:
        prefixes.append(f"e{entry[0]}")
        instrument = instrument or entry[1]
    elif xtc is not None:
        _refuse_known_id(name, xtc, database)
    instrument = instrument or name[:3]
    folder = _experiment_folder(data_root(psdm_dir), instrument, name)
    if xtc is None:
        if folder is None:
            raise RunNotFoundError(_not_found(experiment, psdm_dir))
        xtc = folder / "xtc"
    if calib_dir is not None:
        calib: Path | None = Path(calib_dir).expanduser()
    elif xtc_dir is not None and (xtc.parent / "calib").is_dir():
        calib = xtc.parent / "calib"
    else:
        calib = None if folder is None else folder / "calib"
    return ExperimentPlace(name, instrument.upper(), xtc, calib, tuple(prefixes))


def _refuse_known_id(name: str, xtc: Path, database: dict[str, tuple[int, str]]) -> None:
    """Refuse files whose id the database gives to another experiment."""
    owners = {f"e{number}": exp for exp, (number, _) in database.items()}
    prefixes = {file.prefix.lower() for file in _files_in(xtc)}
    known = sorted({owners[prefix] for prefix in prefixes if prefix in owners})
    if known and name.lower() not in prefixes:
        raise RunNotFoundError(
            f"{xtc} holds files of {', '.join(known)}, none of {name}; check the name of the "
            "experiment."
        )


def _experiment_folder(root: Path, instrument: str, name: str) -> Path | None:
    """Folder of an experiment; instrument and name may be in upper or lower case on disk."""
    for instrument_folder in dict.fromkeys((instrument, instrument.upper(), instrument.lower())):
        for experiment_folder in dict.fromkeys((name, name.lower(), name.upper())):
            folder = root / instrument_folder / experiment_folder
            if folder.is_dir():
                return folder
    return None


def _not_found(experiment: str, psdm_dir: PathLike | None) -> str:
    root = data_root(psdm_dir)
    if not root.is_dir():
        return (
            f"The root of the data tree {root} does not exist; set $SIT_PSDM_DATA or give "
            "--psdm-dir or --xtc-dir."
        )
    there = first_few([place.name for place in list_experiments(psdm_dir)], 20) or "none"
    return f"Experiment {experiment!r} is not in {root}; experiments there: {there}."


@os_errors_as(RunNotFoundError)
def list_experiments(psdm_dir: PathLike | None = None) -> list[ExperimentPlace]:
    """Experiments in the data tree that have an ``xtc`` folder, by instrument and name."""
    root = data_root(psdm_dir)
    database = _database_for(psdm_dir)
    places = []
    for instrument in _folders(root):
        if instrument.name.upper() not in INSTRUMENTS:
            continue
        for folder in _folders(instrument):
            if (folder / "xtc").is_dir():
                entry = database.get(folder.name.lower())
                prefixes = [folder.name.lower()] + ([f"e{entry[0]}"] if entry else [])
                place = ExperimentPlace(
                    folder.name,
                    instrument.name.upper(),
                    folder / "xtc",
                    folder / "calib",
                    tuple(prefixes),
                )
                places.append(place)
    return places


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def list_runs(
    experiment: str, psdm_dir: PathLike | None = None, xtc_dir: PathLike | None = None
) -> list[RunFiles]:
    """Runs of an experiment on disk, by number, with their files and sizes.

    Raises
    ------
    RunNotFoundError
        If the experiment or its folder is not there.
    """
    return find_experiment(experiment, psdm_dir, xtc_dir).runs()
