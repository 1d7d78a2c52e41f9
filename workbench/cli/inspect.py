"""``workbench inspect``: runs of an experiment, or what one run holds."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workbench.cli.arguments import add_experiment_arguments, open_asked_run
from workbench.detectors import DEFAULT_ADDRESS
from workbench.errors import WorkbenchError
from workbench.progress import Terminal
from workbench.quantities import size_text
from workbench.runs import (
    count_events,
    find_experiment,
    inspect_run,
    list_detectors,
    list_experiments,
)
from workbench.runs.inspect import GainSummary, RunSummary
from workbench.runs.psdm import RunFiles, data_root

if TYPE_CHECKING:
    from workbench.runs import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument("name", nargs="?", metavar="EXPERIMENT", help="the same as --experiment")
    add_experiment_arguments(parser, address=None)
    parser.add_argument(
        "--sizes-only", action="store_true", help="list runs without counting their events"
    )
    parser.add_argument(
        "--events", action="store_true", help="list the events of the run, one line each"
    )
    parser.add_argument(
        "--png",
        metavar="FILE",
        help="draw one event, corrected if the calibration directory has constants for the run",
    )
    parser.add_argument(
        "--event",
        type=int,
        default=0,
        metavar="I",
        help="event to draw, by its index in the run (default 0)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the experiments, the runs of one, or the summary of one run."""
    args.experiment = args.experiment or args.name
    if args.experiment is None:
        if args.run is not None:
            raise WorkbenchError("Name the experiment of that run with --experiment.")
        _refuse_without_run(args)
        _print_experiments(args)
        return 0
    place = find_experiment(args.experiment, args.psdm_dir, args.xtc_dir, args.calib_dir)
    if args.run is None:
        _refuse_without_run(args)
        _print_runs(place.name, place.runs(), args)
        return 0
    files = place.run(args.run)
    if args.events or args.png:
        args.address = args.address or next(iter(list_detectors(files)), DEFAULT_ADDRESS)
        opened = open_asked_run(args, args.run)
        if args.events:
            _print_events(opened, args)
        if args.png:
            _draw_event(opened, args)
        return 0
    with Terminal(f"{place.name} run {files.number}", unit="B") as progress:
        summary = inspect_run(files, args.address, progress)
    if args.json:
        calib = None if place.calib_dir is None else str(place.calib_dir)
        head = {"experiment": place.name, "calib_dir": calib}
        print(json.dumps({**head, **summary.to_dict()}, indent=2))
    else:
        print("\n".join(summary_lines(place.name, summary)))
    return 0


def _refuse_without_run(args: argparse.Namespace) -> None:
    if args.events or args.png:
        raise WorkbenchError("Events are those of one run; give --experiment and --run.")


def _print_events(opened: Run, args: argparse.Namespace) -> None:
    """Print index, time, pulse, beam and detector of every event."""
    rows: list[dict[str, Any]] = [
        {
            "event": event.index,
            "time": event.seconds + event.nanoseconds * 1e-9,
            "fiducials": event.fiducials,
            "encoder_mm": event.encoder_mm,
            "photon_energy_ev": event.photon_energy_ev,
            "event_codes": list(event.event_codes),
            "missing": "" if event.has_pixels else event.missing,
        }
        for event in opened.events()
    ]
    if args.json:
        print(json.dumps({"experiment": opened.experiment, "run": opened.number, "events": rows}))
        return
    lines = [["event", "time (UTC)", "fiducials", "encoder, mm", "energy, eV", "codes", ""]]
    for row in rows:
        encoder, energy = row["encoder_mm"], row["photon_energy_ev"]
        lines.append(
            [
                str(row["event"]),
                _utc(row["time"]),
                str(row["fiducials"]),
                "" if encoder is None else f"{encoder:.3f}",
                "" if energy is None else f"{energy:.1f}",
                " ".join(map(str, row["event_codes"])),
                row["missing"],
            ]
        )
    print(table(lines, right=1))


def _draw_event(opened: Run, args: argparse.Namespace) -> None:
    from workbench.averages import deployed_geometry
    from workbench.figures import detector_image
    from workbench.figures.png import to_png
    from workbench.files import replacing
    from workbench.recipe import Corrections, Events

    chosen = Events(indices=(args.event,)) if args.event >= 0 else None
    event = next(opened.events(None, chosen), None) if chosen else None
    if event is None:
        raise WorkbenchError(f"Run {opened.number} has no event {args.event}.")
    data = event.raw
    if data is None:
        raise WorkbenchError(f"Event {args.event} has no pixels: {event.missing}.")
    title, geometry = f"{opened.experiment} run {opened.number}, event {event.index}", None
    try:
        corrected = next(opened.events(Corrections.psana(), chosen))
        data = corrected.data if corrected.data is not None else data
    except WorkbenchError as error:
        title += ", raw"
        print(f"workbench inspect: {error} The event is drawn raw.", file=sys.stderr)
    try:
        geometry = deployed_geometry(opened)
    except WorkbenchError as error:
        print(f"workbench inspect: {error} The ideal geometry is used.", file=sys.stderr)
    picture = to_png(detector_image(data, geometry, title=title), max_bytes=4_000_000)
    with replacing(args.png) as temporary:
        temporary.write_bytes(picture)
    if not args.json:
        print(f"Saving {args.png}")


def _print_experiments(args: argparse.Namespace) -> None:
    places = list_experiments(args.psdm_dir)
    if args.json:
        rows = [{"experiment": p.name, "instrument": p.instrument} for p in places]
        print(json.dumps(rows, indent=2))
    elif places:
        print(table([[p.instrument, p.name, str(p.xtc_dir)] for p in places]))
    else:
        raise WorkbenchError(
            f"No experiments in {data_root(args.psdm_dir)}; set $SIT_PSDM_DATA or give --psdm-dir."
        )


def _print_runs(name: str, runs: Sequence[RunFiles], args: argparse.Namespace) -> None:
    rows: list[dict[str, Any]] = []
    with Terminal(name, unit="run") as progress:
        for done, files in enumerate(runs):
            problem, events = None, None
            if not args.sizes_only:
                try:
                    events = count_events(files)
                except WorkbenchError as error:
                    problem = str(error)
            rows.append(
                {
                    "run": files.number,
                    "streams": len(files.streams),
                    "files": len(files.files),
                    "bytes": files.size,
                    "events": events,
                    "in_progress": files.in_progress,
                    "problem": problem,
                }
            )
            progress.update(done + 1, len(runs))
    if args.json:
        print(json.dumps({"experiment": name, "runs": rows}, indent=2))
        return
    if not rows:
        raise WorkbenchError(f"{name} has no runs on disk.")
    lines = [["run", "streams", "files", "size", "events", ""]]
    for row in rows:
        note = row["problem"] or ("being written" if row["in_progress"] else "")
        counted = "" if row["events"] is None else str(row["events"])
        numbers = [str(row[key]) for key in ("run", "streams", "files")]
        lines.append([*numbers, size_text(row["bytes"]), counted, note])
    print(table(lines, right=5))


def summary_lines(experiment: str, summary: RunSummary) -> list[str]:
    """Lines a person reads."""
    title = f"{experiment} run {summary.run}"
    if summary.recorded_run not in (None, summary.run):
        title += f" (recorded as run {summary.recorded_run})"
    lines = [f"{title}: {summary.events} events, {size_text(summary.bytes)}"]
    if summary.first_seconds is not None and summary.last_seconds is not None:
        span = summary.last_seconds - summary.first_seconds
        first, last = _utc(summary.first_seconds), _utc(summary.last_seconds)
        lines.append(f"  from {first} to {last} UTC, {span:.1f} s")
    if summary.address is None:
        lines.append("  no detector in this run that can be read")
    else:
        lines.append(f"  {summary.address}: data in {summary.events_with_data} events")
    for reason, count in summary.missing.most_common():
        lines.append(f"    {count} without: {reason}")
    for reason, count in summary.skipped.most_common():
        lines.append(f"  {count} datagrams left out: {reason}")
    lines += _beam_lines(summary)
    lines += ["", "Gain", *_indented([[n, *_gain_row(g)] for n, g in summary.gain.items()])]
    lines += ["", "Streams", *_indented(_stream_rows(summary))]
    lines += ["", "Sources", *_indented(_source_rows(summary))]
    lines += ["", f"Damage: {_counts(summary.damage) or 'none'}"]
    if summary.problems:
        lines += ["", "Problems", *(f"  {problem}" for problem in summary.problems)]
    return lines


def _beam_lines(summary: RunSummary) -> list[str]:
    encoder = _range(summary.encoder_mm, "mm", 3)
    energy = _range(summary.photon_energy_ev, "eV", 1)
    codes = ", ".join(f"{code} ({n})" for code, n in sorted(summary.event_codes.items()))
    return [
        f"  encoder {encoder}, photon energy {energy}",
        f"  event codes: {codes or 'none recorded'}",
    ]


def _range(values: tuple[float, float] | None, unit: str, digits: int) -> str:
    if values is None:
        return "unknown"
    low, high = (f"{value:.{digits}f}" for value in values)
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _gain_row(gain: GainSummary) -> list[str]:
    low = f"{gain.low_gain_pixels} of {gain.pixels} pixels low"
    quadrants = "".join(map(str, gain.quadrants))
    return [gain.configuration, f"quads {quadrants}, {gain.sections} sections", gain.mode, low]


def _stream_rows(summary: RunSummary) -> list[list[str]]:
    rows = [["stream", "chunks", "size", "datagrams"]]
    for stream in summary.streams:
        number = f"s{stream.number:02d}" + (" control" if stream.control else "")
        writing = any(file["in_progress"] for file in stream.files)
        chunks = ",".join(str(file["chunk"]) for file in stream.files)
        size = size_text(sum(file["bytes"] for file in stream.files))
        chunks += " (being written)" if writing else ""
        rows.append([number, chunks, size, _counts(stream.transitions)])
    return rows


def _source_rows(summary: RunSummary) -> list[list[str]]:
    aliases = {address: alias for alias, address in summary.aliases.items()}
    rows = []
    for name, source in sorted(summary.sources.items()):
        damage = f"damaged: {_counts(source.damage)}" if source.damage else ""
        rows.append([name, aliases.get(name, ""), _counts(source.objects), damage])
    return rows


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in table(rows).splitlines()] or ["  none"]


def table(rows: Sequence[Sequence[str]], right: int = 0) -> str:
    """Rows as aligned columns; the first `right` columns are right-aligned."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column < right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _utc(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.3f} s"
