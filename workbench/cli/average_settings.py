"""From the options of ``workbench average`` to settings, and the deployment of constants."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.recipe import Corrections, Events

if TYPE_CHECKING:
    from workbench.averages import Dask, RunImages, Threads
    from workbench.corrections import DarkConstants, RangeDark
    from workbench.runs import Run


def numbers(text: str) -> list[int]:
    """Whole numbers from ``70``, ``70-90`` or ``70,72,80-85``, sorted."""
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not understood; write e.g. 70, 70-90 or 70,72,75"
            ) from None
        if high < low or high - low > 100_000:
            raise argparse.ArgumentTypeError(f"{part.strip()} is not a range of numbers")
        chosen.update(range(low, high + 1))
    return sorted(chosen)


def spans(numbers: list[int]) -> str:
    """Sorted whole numbers as ``70-73, 76``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)


def describe_steps(steps: list[dict[str, Any]] | str) -> list[str]:
    """Corrections and where their constants come from, a line each."""
    if isinstance(steps, str):
        return [f"{steps}: no corrections"]
    lines = []
    for step in steps:
        facts = [
            f"{name.replace('_', ' ')} {value}"
            for name, value in step.items()
            if name not in ("step", "source", "warnings")
        ]
        lines.append(f"{step['step']}: {step.get('source', '')} ({', '.join(facts)})")
    return lines


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


def corrections_of(args: argparse.Namespace) -> Corrections:
    """Corrections asked for; frames of other files stay as they are without constants."""
    try:
        if args.raw_data or (args.frames and args.calib_dir is None):
            if args.gain_mask_value is not None:
                tell(
                    "-g has no effect on raw data (-R)."
                    if args.raw_data
                    else "-g has no effect on frames without --calib-dir and its pedestals.",
                    args.verb,
                )
            return Corrections.none()
        if args.gain_mask_value is not None:
            return Corrections(gain=args.gain_mask_value)
        return Corrections.psana()
    except ValueError as error:
        raise WorkbenchError(f"{error}.") from error


def selection_of(args: argparse.Namespace) -> Events:
    """Events asked for."""
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


def runner_of(args: argparse.Namespace) -> Threads | Dask:
    """Who does the work."""
    from workbench.averages import Dask, Threads

    if args.runner == "threads":
        return Threads(args.threads)
    return Dask(None if args.runner == "dask" else args.runner, workers=args.workers)


def check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is read.

    Raises
    ------
    WorkbenchError
        Naming what is missing or too much.
    """
    if args.frames:
        if len(args.run or [0]) > 1:
            raise WorkbenchError("Frames belong to one run; give one --run.")
        if args.calib_dir is not None and not args.run and not args.raw_data:
            raise WorkbenchError(
                "The run whose constants correct the frames is not known; give --run, or "
                "--raw-data to leave the frames as they are."
            )
    elif args.experiment is None or not args.run:
        raise WorkbenchError("Name --experiment and --run, or files of frames.")
    if len(args.run or [0]) > 1 and (args.save_state or args.resume):
        raise WorkbenchError("A state belongs to one run; give one --run.")
    if args.snapshot is not None and args.snapshot <= 0:
        raise WorkbenchError("--snapshot takes a number of seconds above 0.")
    if args.deploy_constants is not None:
        _check_deployment(args)


def _check_deployment(args: argparse.Namespace) -> None:
    if args.frames:
        raise WorkbenchError("Constants are made from a dark run, not from frames of other files.")
    if not args.raw_data:
        raise WorkbenchError("Constants are made from raw data; give --raw-data as well.")
    _run_range(args.deploy_constants, args.run[0])


def _run_range(text: str, default: int) -> tuple[int, int | None]:
    """First and last run from ``54-60``, ``54-end``, ``54`` or nothing."""
    first, dash, last = (text or f"{default}-end").partition("-")
    try:
        low, high = int(first), None if not dash or last == "end" else int(last)
    except ValueError:
        low, high = 1, 0
    if high is not None and high < low:
        raise WorkbenchError(f"{text!r} is not a range of runs; write e.g. 54-60 or 54-end.")
    return low, high


def check_deployment(args: argparse.Namespace, run: Run) -> None:
    """Refuse a deployment that could not be made, before the run is averaged.

    Raises
    ------
    WorkbenchError
        If there is no calibration directory, or constants for these runs are there, or there are
        several runs of a detector without gain ranges.
    """
    from workbench.corrections import refuse_deployed

    if len(args.run) > 1 and run.detector.gain_ranges is None:
        raise WorkbenchError(
            f"Constants of the {run.detector.name} are made from one dark run; give one --run."
        )
    refuse_deployed(_calib_dir(run), run.address, *_run_range(args.deploy_constants, args.run[0]))


def _calib_dir(run: Run) -> Path:
    if run.calib_dir is None:
        raise WorkbenchError("There is no calibration directory; give --calib-dir.")
    return run.calib_dir


def deploy(args: argparse.Namespace, run: Run, images: RunImages) -> dict[str, Any]:
    """Make constants of a dark run's images and deploy them; gives their summary."""
    from workbench.corrections import make_constants

    comment = f"from {run.experiment} run {run.number}, {images.count} events"
    return _deploy(args, run, make_constants(images), comment)


def deploy_ranges(args: argparse.Namespace, run: Run, darks: list[RangeDark]) -> dict[str, Any]:
    """Deploy constants of all gain ranges from dark runs; gives their summary."""
    from workbench.corrections import join_ranges

    first, _ = _run_range(args.deploy_constants, args.run[0])
    joined = join_ranges(darks, _calib_dir(run), run.address, first)
    if not args.json:
        print(f"Gain ranges: {joined.describe()}")
    comment = f"from {run.experiment}: {joined.describe()}"
    return {
        "gain_ranges": {dark.name: dark.run for dark in darks},
        "gain_ranges_kept": list(joined.kept),
        **_deploy(args, run, joined.constants, comment),
    }


def _deploy(
    args: argparse.Namespace, run: Run, constants: DarkConstants, comment: str
) -> dict[str, Any]:
    from workbench.corrections import deploy_dark_constants

    first, last = _run_range(args.deploy_constants, args.run[0])
    paths = deploy_dark_constants(constants, _calib_dir(run), run.address, first, last, comment)
    if not args.json:
        reasons = ", ".join(f"{n} {why}" for why, n in constants.counts.items() if n)
        print(f"{constants.bad_pixels} pixels have a status ({reasons or 'none'})")
        for path in paths.values():
            print(f"Deployed {path}")
    return {**constants.describe(), "files": {kind: str(p) for kind, p in paths.items()}}


def tell(text: str, verb: str = "average") -> None:
    """Write a line for people on standard error."""
    print(f"workbench {verb}: {text}", file=sys.stderr)
