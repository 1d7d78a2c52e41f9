"""``workbench mask``: the trusted-pixel mask; takes the options of ``cxi.make_dials_mask``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from workbench.errors import MaskError
from workbench.recipe import MaskSettings, Thresholds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (long ones with hyphens or underscores)."""
    defaults = Thresholds()
    parser.add_argument("average", help="average of a dark run (CBF or other image file)")
    parser.add_argument("stddev", help="standard deviation of the dark run")
    parser.add_argument("maximum", help="maximum of bright runs")
    parser.add_argument(
        "-a", "--avg-max", type=float, metavar="ADU", default=defaults.avg_max,
        help="good pixels have 0 < average <= ADU (default %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "-s", "--stddev-max", type=float, metavar="ADU", default=defaults.stddev_max,
        help="good pixels have 0 < stddev <= ADU (default %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "-m", "--maxproj-min", type=float, metavar="ADU", default=defaults.maxproj_min,
        help="good pixels have maximum >= ADU (default %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "-b", "--border", type=int, metavar="N", default=0,
        help="mask N pixels along all edges of each ASIC (default 0)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", default="mask.pickle", help="(default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="also count each rule")


def run(args: argparse.Namespace) -> int:
    """Make the mask, write it and print the counts."""
    from workbench.images import read_image
    from workbench.mask import build_mask, write_mask

    settings = _settings(args)
    images = [read_image(path) for path in (args.average, args.stddev, args.maximum)]
    mask = build_mask(settings, *images)
    write_mask(mask, args.output)
    if args.json:
        print(json.dumps(_result(mask, args.output), indent=2))
        return 0
    print("\n".join(mask.cctbx_lines()))
    return 0


def _settings(args: argparse.Namespace) -> MaskSettings:
    try:
        return MaskSettings(
            Thresholds(args.avg_max, args.stddev_max, args.maxproj_min), border=args.border
        )
    except ValueError as error:
        raise MaskError(f"{error}.") from error


def _result(mask: Any, output: str) -> dict[str, Any]:
    return {
        "output": output,
        "pixels": mask.pixels,
        "masked": mask.masked,
        "rules": {name: count._asdict() for name, count in mask.counts.items()},
    }
