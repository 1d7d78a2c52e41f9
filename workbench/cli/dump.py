"""``workbench dump``: single events as frames; takes the place of ``cxi.xtc_dump``."""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.arguments import (
    add_detz_offset,
    add_event_arguments,
    add_experiment_arguments,
    add_file_arguments,
    add_work_arguments,
    name_experiment,
    open_frames_or_run,
)
from workbench.cli.average_settings import corrections_of, runner_of, selection_of, tell
from workbench.cli.interrupt import Interruptible
from workbench.errors import Cancelled, WorkbenchError
from workbench.quantities import size_text

if TYPE_CHECKING:
    from workbench.frames import FramesWritten
    from workbench.runs import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (long ones with hyphens or underscores)."""
    from workbench.frames import FORMATS
    from workbench.frames.formats import COMPRESSIONS
    from workbench.frames.peaks import THRESHOLD_ADU

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "formats:\n"
        + "\n".join(f"  {name:9} {kind.text}" for name, kind in FORMATS.items())
        + "\n\nThe table of all events that were looked at is EXPERIMENT_frames-rRUN.csv. Exit "
        "status 1 if nothing was written."
    )
    add = parser.add_argument
    add(
        "frames", nargs="*", metavar="EXPERIMENT|FILE",
        help="the experiment (as --experiment), or, instead of a run, files of detector frames: "
        "npy, HDF5, CXI, CBF, EDF, TIFF; or XTC2 files of an LCLS-II run",
    )  # fmt: skip
    add_experiment_arguments(parser)
    add_detz_offset(parser)
    add("--distance", type=float, metavar="MM", help="distance of all frames, instead of that sum")
    add(
        "--wavelength",
        type=float,
        metavar="A",
        help="wavelength (Å) of events that do not record it",
    )

    pixels = parser.add_argument_group("pixels (default: all of psana's calibration)").add_argument
    pixels("-R", "--raw-data", action="store_true", help="no corrections: raw ADU")
    pixels(
        "-g", "--gain-mask-value", type=float, metavar="F",
        help="subtract pedestals and multiply low-gain pixels by F (6.85); nothing else",
    )  # fmt: skip
    pixels("--mask", metavar="FILE", help="mask of trusted pixels, e.g. mask.pickle")
    pixels("--geometry", metavar="FILE", help="geometry, instead of the one deployed for the run")
    pixels("--whole-adu", action="store_true", help="round to whole ADU; smaller files")

    events = add_event_arguments(parser)
    events("--since", type=_time, metavar="TIME", help="from this time on (ISO 8601, UTC)")
    events("--until", type=_time, metavar="TIME", help="before this time")
    events("--hits", type=int, metavar="PEAKS", help="only events with at least so many peaks")
    events(
        "--peak-threshold", type=float, default=THRESHOLD_ADU, metavar="ADU",
        help="height of a peak above its surroundings, in the unit of the events (default "
        "%(default)g)",
    )  # fmt: skip

    files = add_file_arguments(parser)
    files(
        "--format",
        choices=FORMATS,
        default="cbf",
        help="format of the frames (default %(default)s; see below)",
    )
    files(
        "--compression", choices=COMPRESSIONS, default="bitshuffle",
        help="compression of HDF5 files (default %(default)s, with LZ4)",
    )  # fmt: skip
    files(
        "--frames-per-file", type=int, metavar="N",
        help="start another HDF5 file after N events (default 500; one file for fewer)",
    )  # fmt: skip
    files("--resume", action="store_true", help="resume an export that was stopped")
    files("--overwrite", action="store_true", help="replace files that are there")

    add_work_arguments(parser)
    add("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the frames, and print where they are."""
    from workbench.frames import Hits, write_frames
    from workbench.geometry import Geometry
    from workbench.mask import read_mask

    name_experiment(args)
    if not args.frames and (args.experiment is None or args.run is None):
        raise WorkbenchError("Name --experiment and --run, or files of frames.")
    opened = open_frames_or_run(args, args.run or 0)
    hits = None if args.hits is None else Hits(args.hits, args.peak_threshold)
    _tell_space(args, opened)
    with Interruptible(opened.title) as progress:
        try:
            written = write_frames(
                opened,
                args.outputdir,
                args.format,
                corrections=corrections_of(args),
                selection=selection_of(args),
                since=args.since,
                until=args.until,
                geometry=None if args.geometry is None else Geometry.read(args.geometry),
                mask=None if args.mask is None else read_mask(args.mask),
                hits=hits,
                threshold_adu=args.peak_threshold,
                detz_offset_mm=args.detz_offset,
                distance_mm=args.distance,
                wavelength_angstrom=args.wavelength,
                whole_adu=args.whole_adu,
                compression=args.compression,
                frames_per_file=args.frames_per_file,
                runner=runner_of(args),
                progress=progress,
                resume=args.resume,
                overwrite=args.overwrite,
            )
        except Cancelled as error:
            tell(str(error), "dump")
            return progress.status or 130
    for warning in written.warnings:
        tell(warning, "dump")
    if args.json:
        print(json.dumps(written.describe(), indent=2))
    else:
        _print(written)
    if not written.count and not written.warnings:
        tell("No frame was written; the table says why.", "dump")
    return 0 if written.count else 1


def _print(written: FramesWritten) -> None:
    notes = Counter(row.note for row in written.rows if row.note)
    left_out = "".join(f", {count} {note}" for note, count in notes.items())
    events, frames = len(written.rows), written.count
    print(f"{events} event{'s' * (events != 1)}: {frames} frame{'s' * (frames != 1)}{left_out}")
    size = size_text(sum(path.stat().st_size for path in written.files))
    if len(written.files) > 3:
        print(f"Saving {len(written.files)} files in {written.folder}, {size}")
    else:
        for path in written.files:
            print(f"Saving {path}")
    for path in (*written.beside, written.table):
        print(f"Saving {path}")


def _tell_space(args: argparse.Namespace, opened: Run) -> None:
    """Say beforehand how much is written, where the disk may not hold it."""
    from workbench.frames.writing import estimate_bytes

    known = [n for n in (opened.event_count, args.numevents) if n is not None]
    folder = Path(args.outputdir).absolute()
    there = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    if not known or there is None:
        return
    most = estimate_bytes(opened, min(known), args.format, args.whole_adu)
    free = shutil.disk_usage(there).free
    if most > free:
        tell(
            f"Up to {size_text(most)} may be written, {there} has {size_text(free)} free; "
            "--resume goes on after a full disk.",
            "dump",
        )


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write e.g. 2016-02-21T03:06:41.5"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
