"""``workbench average``: images of runs; takes the options of ``cxi.mpi_average``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.arguments import (
    add_detz_offset,
    add_event_arguments,
    add_file_arguments,
    add_folder_arguments,
    add_work_arguments,
    name_experiment,
    open_frames_or_run,
)
from workbench.cli.average_settings import (
    RunSpan,
    check,
    check_deployment,
    corrections_of,
    deploy,
    deploy_ranges,
    describe_steps,
    numbers,
    runner_of,
    selection_of,
    spans,
    tell,
)
from workbench.cli.interrupt import Interruptible
from workbench.detectors import DEFAULT_ADDRESS
from workbench.errors import Cancelled, GeometryError, NoEventsError

if TYPE_CHECKING:
    from workbench.averages import RunImages
    from workbench.corrections import RangeDark
    from workbench.geometry import Geometry
    from workbench.runs import Run

KINDS = {"average": "averagebase", "stddev": "stddevbase", "maximum": "maxbase"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (long ones with hyphens or underscores)."""
    from workbench.averages import BASE_NAMES, FRAME_NAMES, HALVES

    parser.epilog = (
        "Ctrl-C, or SIGTERM from a batch system, writes the images of the events done so far, "
        "marked partial, and ends with status 130 (143 after SIGTERM)."
    )
    add = parser.add_argument
    add(
        "frames", nargs="*", metavar="EXPERIMENT|FILE",
        help="the experiment (as --experiment), or, instead of a run, files of detector frames: "
        "npy, HDF5, CXI (FILE:/dataset), CBF, EDF, TIFF …, or XTC2 files of an LCLS-II run; "
        "frames are averaged as they are unless --calib-dir and --run are given",
    )  # fmt: skip
    add("-x", "--experiment", help="experiment, e.g. cxim1416")
    add(
        "-r", "--run", type=numbers, default=[], metavar="RUNS",
        help="run, or runs such as 70-90 or 70,72,75: each is averaged, and the maximum of their "
        "maxima is written too",
    )  # fmt: skip
    add("-a", "--address", default=DEFAULT_ADDRESS, help="detector (default %(default)s)")
    add_folder_arguments(parser)
    add_detz_offset(parser)

    pixels = parser.add_argument_group(
        "corrections (default: all of psana's calibration)"
    ).add_argument
    pixels(
        "-R",
        "--raw-data",
        action="store_true",
        help="no corrections: raw ADU, as the mask needs from a dark run",
    )
    pixels(
        "-g", "--gain-mask-value", type=float, metavar="F",
        help="subtract pedestals and multiply low-gain pixels by F (6.85); nothing else",
    )  # fmt: skip

    events = add_event_arguments(parser)
    events(
        "--halves", nargs="?", const="odd-even", choices=tuple(HALVES),
        help="write average and maximum of both halves of the events too, for workbench align "
        "--halves: every second event (odd-even, the default), or before and after the middle of "
        "the run (first-last), which shows whether something moved",
    )  # fmt: skip

    files = add_file_arguments(parser)
    for letter, (kind, option) in zip("ASM", KINDS.items(), strict=True):
        files(
            f"-{letter}", f"--{option}", metavar="NAME",
            help=f"name of this image (default {BASE_NAMES[kind]}; of frames without --run "
            f"{FRAME_NAMES[kind]} with the name of the first file)",
        )  # fmt: skip
    files("--min", action="store_true", help="write the minimum too")
    files("--minpath", metavar="NAME", help=f"its name (default {BASE_NAMES['minimum']})")
    files(
        "--snapshot", type=float, metavar="SECONDS",
        help="write the images so far (and the state) every SECONDS, marked partial",
    )  # fmt: skip
    files(
        "--save-state", metavar="FILE",
        help="save a state (npz) from which --resume goes on later",
    )  # fmt: skip
    files(
        "--resume", metavar="FILE",
        help="go on from a saved state: its events are not read again, and count in the result",
    )  # fmt: skip
    files(
        "--deploy-constants", nargs="?", const="", metavar="FIRST-LAST",
        help="make pedestals, pixel_rms and pixel_status from this dark run (of a detector with "
        "gain ranges from dark runs, one of each range) and put them into the calibration "
        "directory for these runs (default: RUN-end, the first RUN); needs --raw-data",
    )  # fmt: skip

    add_work_arguments(parser)
    add("--json", action="store_true", help="print the result as JSON")
    add("-v", "--verbose", action="store_true", help="say where constants come from")


def run(args: argparse.Namespace) -> int:
    """Average each run, write its images and print their paths."""
    from workbench.averages import merge_runs

    name_experiment(args)
    check(args)
    results: list[dict[str, Any]] = []
    merged: RunImages | None = None
    darks: list[RangeDark] = []
    geometry, status = None, 0
    many, deploys = len(args.run) > 1, args.deploy_constants is not None
    for number in _present(args) if many and not deploys else args.run or [0]:
        try:
            run = open_frames_or_run(args, number)
            images, geometry, result, status = _average(args, run, darks)
        except NoEventsError as error:
            if not many or deploys:
                raise
            tell(f"run {number} is left out: {error}")
            continue
        except Cancelled as error:
            tell(str(error))
            status = 130
            break
        results.append(result)
        if many and not deploys:  # dark runs to be deployed have each another gain range
            merged = images if merged is None else merge_runs([merged, images])
        if status:
            break
    if not results:
        if status:
            return status
        raise NoEventsError("None of the runs has events to average.")
    document: dict[str, Any] = {"runs": results} if many else results[0]
    if merged is not None and len(results) > 1:
        span = RunSpan([result["run"] for result in results])
        name = merged.file_name(_names(args)["maximum"], merged.extension, run=span)
        document["merged_maximum"] = _save_merged(args, merged, geometry, name, span)
    if darks and not status:
        document["constants"] = deploy_ranges(args, run, darks)
    if args.json:
        print(json.dumps(document, indent=2))
    return status


def _present(args: argparse.Namespace) -> list[int]:
    """Those of the runs asked for that are on disk; the others are named in one line."""
    from workbench.runs import find_experiment

    place = find_experiment(args.experiment, args.psdm_dir, args.xtc_dir, args.calib_dir)
    there = {files.number for files in place.runs()}
    present = [number for number in args.run if number in there]
    absent = [number for number in args.run if number not in there]
    if not present:
        place.run(absent[0])  # raises, and says what is there
    if absent:
        tell(f"runs {spans(absent)} are left out: they are not in {place.xtc_dir}.")
    return present


def _average(
    args: argparse.Namespace, run: Run, darks: list[RangeDark]
) -> tuple[RunImages, Geometry | None, dict[str, Any], int]:
    """Average one run and write its images; also gives the exit status.

    Constants of its gain range are added to `darks`, if constants are to be deployed.
    """
    from workbench.averages import average_run
    from workbench.corrections import range_dark

    if args.deploy_constants is not None:
        check_deployment(args, run)
    geometry = _geometry(run)

    def show(images: RunImages) -> None:
        _write(args, images, geometry)

    label = run.title if args.frames else f"{run.experiment} run {run.number}"
    with Interruptible(label) as progress:
        images = average_run(
            run,
            corrections_of(args),
            runner_of(args),
            progress,
            selection_of(args),
            detz_offset_mm=args.detz_offset,
            snapshot=None if args.snapshot is None else show,
            snapshot_seconds=args.snapshot or 0.0,
            resume=args.resume,
            halves=args.halves,
        )
        paths = _write(args, images, geometry)
    for warning in images.warnings:
        tell(f"{label}: {warning}")
    if args.verbose:
        for line in describe_steps(images.provenance["corrections"]):
            tell(f"{label}: {line}")
    result = {**images.describe(), "files": {kind: str(path) for kind, path in paths.items()}}
    if not args.json:
        skipped = "".join(f", {n} left out ({why})" for why, n in images.skipped.most_common())
        partial = ", partial: stopped before the end" if images.partial else ""
        in_unit = "" if images.unit == "ADU" else f", values in {images.unit}"
        print(f"{label}: {images.count} events{skipped}{in_unit}{partial}")
        for path in paths.values():
            print(f"Saving {path}")
    if args.deploy_constants is not None:
        if images.partial:
            tell("Constants are not made from a partial average.")
        elif run.detector.gain_ranges is not None:
            darks.append(range_dark(images, run, selection=selection_of(args)))
        else:
            result["constants"] = deploy(args, run, images)
    return images, geometry, result, progress.status


def _write(
    args: argparse.Namespace, images: RunImages, geometry: Geometry | None
) -> dict[str, Path]:
    """Write the images, and the state if asked for."""
    kinds = (*KINDS, *(["minimum"] if args.min else []))
    paths = images.save(args.outputdir, geometry, _names(args), kinds)
    if args.save_state:
        paths["state"] = images.save_state(args.save_state)
    return paths


def _names(args: argparse.Namespace) -> dict[str, str]:
    """Base names of the files by kind."""
    from workbench.averages import BASE_NAMES, FRAME_NAMES

    default = FRAME_NAMES if args.frames and not args.run else BASE_NAMES
    given = {
        **{kind: getattr(args, option) for kind, option in KINDS.items()},
        "minimum": args.minpath,
    }
    return {kind: given[kind] or name for kind, name in default.items()}


def _geometry(run: Run) -> Geometry | None:
    from workbench.averages import deployed_geometry

    try:
        geometry = deployed_geometry(run)
    except GeometryError as error:
        tell(f"{error} The images are written without a geometry.")
        return None
    if geometry is None:
        geometry = getattr(run, "geometry", None)
    if geometry is None:
        tell("There is no calibration directory; the images are written without a geometry.")
    return geometry


def _save_merged(
    args: argparse.Namespace, merged: RunImages, geometry: Geometry | None, name: str, span: RunSpan
) -> str:
    from workbench.images import write_image

    path = Path(args.outputdir) / name
    image = merged.image("maximum", geometry).replace(name=Path(name).stem)
    image.provenance["runs_merged"] = span.runs
    write_image(image, path)
    if not args.json:
        print(f"Saving {path}")
    return str(path)
