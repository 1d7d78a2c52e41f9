"""``workbench average``: images of runs; takes the options of ``cxi.mpi_average``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.arguments import add_folder_arguments
from workbench.detector import DEFAULT_ADDRESS, SHAPE
from workbench.errors import GeometryError, NoEventsError, RunNotFoundError, WorkbenchError
from workbench.recipe import Corrections, Events

if TYPE_CHECKING:
    from workbench.averages import RunImages

KINDS = {"average": "averagebase", "stddev": "stddevbase", "maximum": "maxbase"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (long ones with hyphens or underscores)."""
    from workbench.averages.names import BASE_NAMES

    add = parser.add_argument
    add("-x", "--experiment", required=True, help="experiment, e.g. cxim1416")
    add(
        "-r", "--run", required=True, type=numbers, metavar="RUNS",
        help="run, or runs such as 70-90 or 70,72,75: each is averaged, and the maximum of their "
        "maxima is written too",
    )  # fmt: skip
    add("-a", "--address", default=DEFAULT_ADDRESS, help="detector (default %(default)s)")
    add_folder_arguments(parser)
    add("-d", "--detz-offset", type=float, metavar="MM", help="distance = encoder + MM")

    pixels = parser.add_argument_group(
        "corrections (default: all of psana's calibration)"
    ).add_argument
    pixels("-R", "--raw-data", action="store_true", help="none: raw ADU, as a dark run needs it")
    pixels(
        "-g", "--gain-mask-value", type=float, metavar="F",
        help="pedestals, and low-gain pixels times F (6.85); nothing else",
    )  # fmt: skip

    events = parser.add_argument_group("events").add_argument
    events(
        "-n", "--numevents", type=int, metavar="N",
        help="at most N events, counted from the first one used (default all)",
    )  # fmt: skip
    events("-s", "--skipevents", type=int, default=0, metavar="N", help="leave out the first N")
    events("--every", type=int, default=1, metavar="N", help="use every N-th event")
    events("--stop", type=int, metavar="I", help="index of the first event no longer used")
    events("--events", type=numbers, default=[], metavar="LIST", help="indices, e.g. 3,8,20-25")
    events("--event-code", type=numbers, default=[], metavar="LIST", help="with one of the codes")
    events("--photon-energy", type=float, nargs=2, metavar=("MIN", "MAX"), help="in this range, eV")

    files = parser.add_argument_group("files").add_argument
    files("-o", "--outputdir", default=".", metavar="DIR", help="made if absent (default .)")
    files("-A", "--averagebase", default=BASE_NAMES["average"], metavar="NAME", help="%(default)s")
    files("-S", "--stddevbase", default=BASE_NAMES["stddev"], metavar="NAME", help="%(default)s")
    files("-M", "--maxbase", default=BASE_NAMES["maximum"], metavar="NAME", help="%(default)s")
    files("--min", action="store_true", help="write the minimum too")
    files("--minpath", default=BASE_NAMES["minimum"], metavar="NAME", help="%(default)s")
    files(
        "--deploy-constants", nargs="?", const="", metavar="FIRST-LAST",
        help="make pedestals, pixel_rms and pixel_status from this dark run and put them into "
        "the calibration directory for these runs (default: RUN-end); needs --raw-data",
    )  # fmt: skip

    work = parser.add_argument_group("work").add_argument
    work("--threads", type=int, metavar="N", help="threads (default: all cores)")
    work(
        "--runner", default="threads", metavar="WHERE",
        help="threads, dask (a local cluster), or a Dask scheduler's address, tcp://HOST:PORT",
    )  # fmt: skip
    work("--workers", type=int, metavar="N", help="workers of the local Dask cluster")
    add("--json", action="store_true", help="print the result as JSON")
    add("-v", "--verbose", action="store_true", help="tell where constants come from")


def run(args: argparse.Namespace) -> int:
    """Average each run, write its images and print their paths."""
    if args.deploy_constants is not None:
        _check_deployment(args)
    results: list[dict[str, Any]] = []
    merged: RunImages | None = None
    missing: list[RunNotFoundError] = []
    geometry = None
    for number in args.run:
        try:
            opened = _open(args, number)
        except RunNotFoundError as error:
            if len(args.run) == 1:
                raise
            missing.append(error)
            _tell(f"run {number} is left out: {error}")
            continue
        try:
            images, geometry, result = _one(args, opened)
        except NoEventsError as error:
            if len(args.run) == 1:
                raise
            _tell(f"run {number} is left out: {error}")
            continue
        results.append(result)
        if len(args.run) > 1:
            merged = _larger(merged, images)
    if not results:
        raise missing[0] if missing else NoEventsError("None of the runs has events to average.")
    document: Any = results[0] if len(args.run) == 1 else {"runs": results}
    if merged is not None and len(results) > 1:
        span = RunSpan([result["run"] for result in results])
        name = merged.file_name(args.maxbase, _extension(merged), run=span)
        document["merged_maximum"] = _save_merged(args, merged, geometry, name, span)
    if args.json:
        print(json.dumps(document, indent=2))
    return 0


def numbers(text: str) -> list[int]:
    """Whole numbers from ``70``, ``70-90`` or ``70,72,80-85``, sorted."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not understood; write e.g. 70, 70-90 or 70,72,75"
            ) from None
        if high < low or high - low > 100_000:
            raise argparse.ArgumentTypeError(f"{part.strip()} is no range of numbers")
        found.update(range(low, high + 1))
    return sorted(found)


class RunSpan(int):
    """Number of several runs: formats as ``0070-0090``."""

    runs: list[int]

    def __new__(cls, runs: list[int]) -> RunSpan:
        """Make it of the runs."""
        made = super().__new__(cls, min(runs))
        made.runs = runs
        return made

    def __format__(self, form: str) -> str:
        return f"{format(min(self.runs), form)}-{format(max(self.runs), form)}"


def _one(args: argparse.Namespace, opened: Any) -> tuple[RunImages, Any, dict[str, Any]]:
    """Average one run and write its images."""
    from workbench.averages import average_run
    from workbench.progress import Terminal

    geometry = _geometry(opened)
    label = f"{opened.experiment} run {opened.number}"
    with Terminal(label) as progress:
        images = average_run(
            opened,
            _corrections(args),
            _runner(args),
            progress,
            _selection(args),
            detz_offset_mm=args.detz_offset,
        )
    for warning in images.warnings:
        _tell(f"{label}: {warning}")
    if args.verbose:
        _tell(f"{label}: {images.provenance['corrections']}")
    kinds = [*KINDS, *(["minimum"] if args.min else [])]
    names = {kind: getattr(args, option) for kind, option in KINDS.items()}
    paths = images.save(args.outputdir, geometry, {**names, "minimum": args.minpath}, tuple(kinds))
    result = {**images.describe(), "files": {kind: str(path) for kind, path in paths.items()}}
    if not args.json:
        skipped = "".join(f", {n} left out ({why})" for why, n in images.skipped.most_common())
        print(f"{label}: {images.count} events{skipped}")
        for path in paths.values():
            print(f"Saving {path}")
    if args.deploy_constants is not None:
        result["constants"] = _deploy(args, opened, images)
    return images, geometry, result


def _open(args: argparse.Namespace, number: int) -> Any:
    from workbench.pipeline import open_run

    return open_run(
        args.experiment, number, args.address, args.psdm_dir, args.xtc_dir, args.calib_dir
    )


def _geometry(opened: Any) -> Any:
    from workbench.averages import deployed_geometry

    try:
        geometry = deployed_geometry(opened)
    except GeometryError as error:
        _tell(f"{error} The images are written without a geometry.")
        return None
    if geometry is None:
        _tell("There is no calibration directory; the images are written without a geometry.")
    return geometry


def _corrections(args: argparse.Namespace) -> Corrections:
    try:
        if args.raw_data:
            if args.gain_mask_value is not None:
                _tell("-g has no effect on raw data (-R).")
            return Corrections.none()
        if args.gain_mask_value is not None:
            return Corrections(gain=args.gain_mask_value)
        return Corrections.psana()
    except ValueError as error:
        raise WorkbenchError(f"{error}.") from error


def _selection(args: argparse.Namespace) -> Events:
    low, high = args.photon_energy or (None, None)
    try:
        return Events(
            skip=args.skipevents,
            limit=args.numevents,
            every=args.every,
            stop=args.stop,
            indices=tuple(args.events),
            event_codes=tuple(args.event_code),
            photon_energy_min_ev=low,
            photon_energy_max_ev=high,
        )
    except ValueError as error:
        raise WorkbenchError(f"{error}.") from error


def _runner(args: argparse.Namespace) -> Any:
    from workbench.averages import Dask, Threads

    if args.runner == "threads":
        return Threads(args.threads)
    return Dask(None if args.runner == "dask" else args.runner, workers=args.workers)


def _larger(merged: RunImages | None, images: RunImages) -> RunImages:
    from workbench.averages import merge_runs

    return images if merged is None else merge_runs([merged, images])


def _save_merged(
    args: argparse.Namespace, merged: RunImages, geometry: Any, name: str, span: RunSpan
) -> str:
    from workbench.images import write_image

    path = Path(args.outputdir) / name
    image = merged.image("maximum", geometry).replace(name=Path(name).stem)
    image.provenance["runs_merged"] = span.runs
    write_image(image, path)
    if not args.json:
        print(f"Saving {path}")
    return str(path)


def _extension(images: RunImages) -> str:
    return ".cbf" if images.statistics.shape == SHAPE else ".h5"


def _check_deployment(args: argparse.Namespace) -> None:
    if not args.raw_data:
        raise WorkbenchError("Constants are made from raw data; give --raw-data as well.")
    if len(args.run) > 1:
        raise WorkbenchError("Constants are made from one dark run; give one --run.")
    _run_range(args.deploy_constants, args.run[0])


def _run_range(text: str, default: int) -> tuple[int, int | None]:
    """First and last run from ``54-60``, ``54-end``, ``54`` or nothing."""
    first, dash, last = (text or f"{default}-end").partition("-")
    try:
        return int(first), None if not dash or last == "end" else int(last)
    except ValueError:
        raise WorkbenchError(f"{text!r} is no range of runs; write e.g. 54-60 or 54-end.") from None


def _deploy(args: argparse.Namespace, opened: Any, images: RunImages) -> dict[str, Any]:
    from workbench.corrections import deploy_dark_constants, make_constants

    if opened.calib_dir is None:
        raise WorkbenchError("There is no calibration directory; give --calib-dir.")
    constants = make_constants(images)
    first, last = _run_range(args.deploy_constants, opened.number)
    comment = f"from {opened.experiment} run {opened.number}, {images.count} events"
    paths = deploy_dark_constants(constants, opened.calib_dir, opened.address, first, last, comment)
    if not args.json:
        bad = constants.describe()["bad_pixels"]
        reasons = ", ".join(f"{n} {why}" for why, n in constants.counts.items() if n)
        print(f"{bad} pixels have a status ({reasons or 'none'})")
        for path in paths.values():
            print(f"Deployed {path}")
    return {**constants.describe(), "files": {kind: str(p) for kind, p in paths.items()}}


def _tell(text: str) -> None:
    print(f"workbench average: {text}", file=sys.stderr)
