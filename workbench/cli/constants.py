"""``workbench constants``: copy constants of an LCLS-II run from psana's database."""

from __future__ import annotations

import argparse
import json

from workbench.cli.arguments import add_experiment_arguments, open_asked_run
from workbench.errors import WorkbenchError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.epilog = (
        "It asks the web service of the LCLS, or the one $LCLS_CALIB_HTTP names. No other command "
        "asks a server."
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="XTC2 files of the run")
    add_experiment_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> None:
    """Copy the constants and list the files."""
    from workbench.pipeline.psana_database import fetch_constants
    from workbench.runs import PsanaRun, XtcRun, open_psana

    opened: XtcRun | PsanaRun
    if args.files:
        opened = open_psana(args.files, args.address, args.calib_dir)
    elif args.experiment and args.run is not None:
        opened = open_asked_run(args, args.run)
    else:
        raise WorkbenchError("Give the XTC2 files of a run, or --experiment and --run.")
    if not isinstance(opened, PsanaRun):
        raise WorkbenchError(
            f"{opened.title} is a run of LCLS-I (XTC), whose constants are files in its "
            "calibration directory already; psana's database is that of LCLS-II."
        )
    if opened.calib_dir is None:
        raise WorkbenchError("Name the calibration directory to copy to with --calib-dir.")
    copied = fetch_constants(opened, opened.calib_dir)
    if args.json:
        print(json.dumps([{"kind": item.kind, "path": str(item.path), "written": item.written,
                           "origin": item.origin} for item in copied]))  # fmt: skip
        return
    for item in copied:
        print(f"{item.path} {'written' if item.written else 'was there'} ({item.origin})")
