"""``workbench simulate``: write a realistic sample experiment."""

from __future__ import annotations

import argparse
import shlex

from workbench.detectors import DEFAULT_ADDRESS
from workbench.errors import WorkbenchError
from workbench.progress import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("folder", metavar="DIR", help="folder to write into; created if absent")
    parser.add_argument(
        "--detector", choices=("cspad", "epix10k2m", "jungfrau4m"), default="cspad",
        help="detector to simulate (default cspad)",
    )  # fmt: skip
    parser.add_argument(
        "-n", "--events", "--numevents", dest="events", type=int, metavar="N",
        help="events per run, 4.6 MB each, three runs (default 26)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, metavar="S", help="seed of geometry, detector and noise (default 1416)"
    )
    parser.add_argument(
        "--crystals", type=int, default=0, metavar="N",
        help="write run 80 too: N still patterns of lysozyme, for workbench dump and DIALS",
    )  # fmt: skip
    parser.add_argument(
        "--range-darks", action="store_true",
        help="write dark runs of the other gain ranges too (jungfrau4m: runs 11 and 12), for "
        "workbench average --deploy-constants",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a sample experiment that is there"
    )
    parser.add_argument("--json", action="store_true", help="print the paths as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the experiment and say where things are."""
    if args.detector != "cspad":
        return _run_switching(args)
    if args.range_darks:
        raise WorkbenchError("The CSPAD has no gain ranges; leave --range-darks out.")
    from workbench.simulate.experiment import DEFAULT_EVENTS, write_experiment
    from workbench.simulate.truth import (
        BRIGHT_RUNS,
        CRYSTAL_RUN,
        DARK_RUN,
        DEFAULT_SEED,
        DETZ_OFFSET_MM,
        EXPERIMENT,
    )

    events = DEFAULT_EVENTS if args.events is None else args.events
    with Terminal("simulate") as progress:
        sample = write_experiment(
            args.folder,
            events=events,
            seed=DEFAULT_SEED if args.seed is None else args.seed,
            progress=progress,
            crystals=args.crystals,
            overwrite=args.overwrite,
        )
    places = {
        "experiment": EXPERIMENT,
        "dark_run": DARK_RUN,
        "bright_runs": list(BRIGHT_RUNS),
        **({"crystal_run": CRYSTAL_RUN} if args.crystals else {}),
        "events_per_run": events,
        "psdm_dir": str(sample.folder),
        "xtc_dir": str(sample.xtc_dir),
        "calib_dir": str(sample.calib_dir),
        "address": DEFAULT_ADDRESS,
        "detz_offset_mm": DETZ_OFFSET_MM,
        "truth": str(sample.truth),
        "recipe": str(sample.recipe),
    }
    runs = f"dark run {DARK_RUN}, bright runs {' and '.join(map(str, BRIGHT_RUNS))}"
    head = [f"Experiment  {EXPERIMENT}: {runs}, {events} events each"]
    if args.crystals:
        head.append(f"Crystals    run {CRYSTAL_RUN}, {args.crystals} still patterns of lysozyme")
    average = (
        f"  workbench average --experiment {EXPERIMENT} --run {DARK_RUN} "
        f"--psdm-dir {shlex.quote(str(sample.folder))} --detz-offset {DETZ_OFFSET_MM} --raw-data"
    )
    return _tell(args.json, places, head, f"{average}\nor the whole calibration at once:\n")


def _tell(as_json: bool, places: dict[str, object], head: list[str], before_report: str) -> int:
    """Print where things are, and what to do next."""
    if as_json:
        import json

        print(json.dumps(places, indent=2))
        return 0
    print(*head, sep="\n")
    print(f"XTC files   {places['xtc_dir']}")
    print(f"Constants   {places['calib_dir']}")
    print(f"Truth       {places['truth']}")
    print(f"Recipe      {places['recipe']}")
    recipe = shlex.quote(str(places["recipe"]))
    print(f"\nNext:\n{before_report}  workbench report {recipe}")
    return 0


def _run_switching(args: argparse.Namespace) -> int:
    """Write the sample experiment of a detector that switches its gain."""
    from workbench.simulate.experiment import DEFAULT_EVENTS
    from workbench.simulate.switching import (
        BRIGHT_RUN,
        DARK_RUN,
        DEFAULT_SEED,
        write_switching_experiment,
    )

    if args.crystals:
        raise WorkbenchError("Only the CSPAD's sample experiment has a run of crystals.")
    events = DEFAULT_EVENTS if args.events is None else args.events
    with Terminal("simulate") as progress:
        made = write_switching_experiment(
            args.folder,
            args.detector,
            events=events,
            seed=DEFAULT_SEED if args.seed is None else args.seed,
            progress=progress,
            overwrite=args.overwrite,
            range_darks=args.range_darks,
        )
    sample = made.sample
    places = {
        "experiment": sample.experiment,
        "dark_run": DARK_RUN,
        "bright_runs": [BRIGHT_RUN],
        "events_per_run": events,
        "psdm_dir": str(made.folder),
        "xtc_dir": str(made.xtc_dir),
        "calib_dir": str(made.calib_dir),
        "address": sample.detector.address,
        "detz_offset_mm": sample.scene.distance_mm,
        "truth": str(made.truth),
        "recipe": str(made.recipe),
    }
    runs = f"dark run {DARK_RUN}, bright run {BRIGHT_RUN}"
    head = [
        f"Experiment  {sample.experiment}: {runs}, {events} events each",
        f"Detector    {sample.detector.name}, {sample.detector.address}",
    ]
    return _tell(args.json, places, head, "")
