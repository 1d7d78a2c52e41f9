"""``workbench simulate``: write a realistic sample experiment."""

from __future__ import annotations

import argparse
import json
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
    from workbench.simulate import switching, truth
    from workbench.simulate.experiment import DEFAULT_EVENTS, write_experiment
    from workbench.simulate.placing import SamplePlaces

    is_cspad = args.detector == "cspad"
    if is_cspad and args.range_darks:
        raise WorkbenchError("The CSPAD has no gain ranges; leave --range-darks out.")
    if args.crystals and not is_cspad:
        raise WorkbenchError("Only the CSPAD's sample experiment has a run of crystals.")
    events = DEFAULT_EVENTS if args.events is None else args.events
    given = {"events": events, "overwrite": args.overwrite}
    if args.seed is not None:
        given["seed"] = args.seed
    made: SamplePlaces
    bright: tuple[int, ...]
    with Terminal("simulate") as progress:
        if is_cspad:
            made = write_experiment(args.folder, progress=progress, crystals=args.crystals, **given)
            experiment, address, detz_mm = truth.EXPERIMENT, DEFAULT_ADDRESS, truth.DETZ_OFFSET_MM
            dark, bright = truth.DARK_RUN, truth.BRIGHT_RUNS
        else:
            made = switched = switching.write_switching_experiment(
                args.folder, args.detector, progress=progress, range_darks=args.range_darks, **given
            )
            sample = switched.sample
            experiment, address = sample.experiment, sample.detector.address
            detz_mm = sample.scene.distance_mm
            dark, bright = switching.DARK_RUN, (switching.BRIGHT_RUN,)
    if args.json:
        places = {
            "experiment": experiment,
            "dark_run": dark,
            "bright_runs": list(bright),
            **({"crystal_run": truth.CRYSTAL_RUN} if args.crystals else {}),
            "events_per_run": events,
            "psdm_dir": str(made.folder),
            "xtc_dir": str(made.xtc_dir),
            "calib_dir": str(made.calib_dir),
            "address": address,
            "detz_offset_mm": detz_mm,
            "truth": str(made.truth),
            "recipe": str(made.recipe),
        }
        print(json.dumps(places, indent=2))
        return 0
    many = "s" if len(bright) > 1 else ""
    runs = f"dark run {dark}, bright run{many} {' and '.join(map(str, bright))}"
    print(f"Experiment  {experiment}: {runs}, {events} events each")
    if args.crystals:
        patterns = f"{args.crystals} still patterns of lysozyme"
        print(f"Crystals    run {truth.CRYSTAL_RUN}, {patterns}")
    if not is_cspad:
        print(f"Detector    {sample.detector.name}, {address}")
    print(f"XTC files   {made.xtc_dir}")
    print(f"Constants   {made.calib_dir}")
    print(f"Truth       {made.truth}")
    print(f"Recipe      {made.recipe}")
    print("\nNext:")
    if is_cspad:
        print(
            f"  workbench average --experiment {experiment} --run {dark} --psdm-dir "
            f"{shlex.quote(str(made.folder))} --detz-offset {detz_mm} --raw-data"
        )
        print("or the whole calibration at once:")
    print(f"  workbench report {shlex.quote(str(made.recipe))}")
    return 0
