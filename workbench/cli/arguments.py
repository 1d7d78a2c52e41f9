"""Options that several verbs share."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.average_settings import numbers
from workbench.detectors import DEFAULT_ADDRESS
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.runs import PsanaRun, Run, XtcRun


def add_experiment_arguments(
    parser: argparse.ArgumentParser, address: str | None = DEFAULT_ADDRESS
) -> None:
    """Add ``--experiment --run --address --psdm-dir --xtc-dir --calib-dir``.

    The short options are those of ``cxi.mpi_average``.
    """
    parser.add_argument("-x", "--experiment", help="experiment, e.g. cxim1416")
    parser.add_argument("-r", "--run", type=int, help="number of the run")
    example = f", e.g. {DEFAULT_ADDRESS} (default: the first of the run that can be read)"
    shown = f" (default {address})" if address else example
    parser.add_argument("-a", "--address", default=address, help=f"detector{shown}")
    add_folder_arguments(parser)


def open_asked_run(args: argparse.Namespace, number: int) -> XtcRun | PsanaRun:
    """Open one run of the experiment that the options of `add_experiment_arguments` name."""
    from workbench import pipeline

    return pipeline.open_run(
        args.experiment, number, args.address, args.psdm_dir, args.xtc_dir, args.calib_dir
    )


def open_frames_or_run(args: argparse.Namespace, number: int) -> Run:
    """Open the files of frames that are named as if they were run `number`, else that run."""
    from workbench import pipeline

    if not args.frames:
        return open_asked_run(args, number)
    first = Path(args.frames[0].partition(":/")[0])
    return pipeline.open_files(
        args.frames,
        experiment=args.experiment or first.stem,
        run=number,
        address=args.address,
        calib_dir=args.calib_dir,
    )


def name_experiment(args: argparse.Namespace) -> None:
    """Take a single word that is no file for the experiment, as ``workbench lab`` does.

    Raises
    ------
    WorkbenchError
        If more follows such a word: the number of the run, most often.
    """
    if args.experiment is not None or not args.frames:
        return
    word, *more = args.frames
    if not re.fullmatch(r"\w+", word) or os.path.lexists(word):
        return
    if not more:
        args.experiment, args.frames = word, []
    elif re.fullmatch(r"[\d,-]+", more[0]) and not os.path.lexists(more[0]):
        raise WorkbenchError(
            f"There are no files {word} and {more[0]}; a run of an experiment is named so: "
            f"{word} --run {more[0]}."
        )


def add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--psdm-dir --xtc-dir --calib-dir``."""
    parser.add_argument(
        "--psdm-dir",
        metavar="DIR",
        help="root of the data tree (default $SIT_PSDM_DATA, else /reg/d/psdm)",
    )
    parser.add_argument(
        "-D",
        "--xtc-dir",
        metavar="DIR",
        help="folder of the .xtc files, instead of that of the tree",
    )
    parser.add_argument(
        "-C",
        "--calib-dir",
        metavar="DIR",
        help="calibration directory, instead of that of the tree",
    )


def add_detz_offset(parser: argparse.ArgumentParser) -> None:
    """Add ``--detz-offset``."""
    parser.add_argument(
        "-d",
        "--detz-offset",
        type=float,
        metavar="MM",
        help="distance from sample to detector = encoder + MM",
    )


def add_file_arguments(parser: argparse.ArgumentParser) -> Callable[..., argparse.Action]:
    """Add the group of files with ``--outputdir``; gives what adds further ones."""
    files = parser.add_argument_group("files").add_argument
    files(
        "-o",
        "--outputdir",
        default=".",
        metavar="DIR",
        help="folder, created if absent (default .)",
    )
    return files


def add_event_arguments(parser: argparse.ArgumentParser) -> Callable[..., argparse.Action]:
    """Add the options that choose events; gives what adds further ones to their group."""
    events = parser.add_argument_group("events").add_argument
    events(
        "-n", "--numevents", type=int, metavar="N",
        help="at most N events, counted from the first one used (default all)",
    )  # fmt: skip
    events("-s", "--skipevents", type=int, default=0, metavar="N", help="leave out the first N")
    events("--every", type=int, default=1, metavar="N", help="use every N-th event")
    events("--stop", type=int, metavar="I", help="index of the first event no longer used")
    events(
        "--events",
        type=numbers,
        default=[],
        metavar="LIST",
        help="only these indices, e.g. 3,8,20-25",
    )
    events(
        "--event-code",
        type=numbers,
        default=[],
        metavar="LIST",
        help="only events with one of these codes",
    )
    events(
        "--photon-energy",
        type=float,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="only events in this range, eV",
    )
    return events


def add_work_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who does the work: ``--threads --runner --workers``."""
    work = parser.add_argument_group("work").add_argument
    work("--threads", type=int, metavar="N", help="threads (default: all cores)")
    work(
        "--runner", default="threads", metavar="WHERE",
        help="threads, dask (a local cluster), or a Dask scheduler: its address, tcp://HOST:PORT, "
        "or the file it writes that to (dask scheduler --scheduler-file FILE.json)",
    )  # fmt: skip
    work("--workers", type=int, metavar="N", help="workers of the local Dask cluster")
