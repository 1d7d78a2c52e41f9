"""``workbench mask``: the trusted-pixel mask; takes the options of ``cxi.make_dials_mask``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.detector import DEFAULT_ADDRESS
from workbench.errors import MaskError
from workbench.recipe import MaskSettings, Recipe, Thresholds

if TYPE_CHECKING:
    from workbench.mask import Mask, MaskEvaluator

LIMITS = {"avg_max": "largest average", "stddev_max": "largest stddev",
          "maxproj_min": "smallest maximum"}  # fmt: skip
KINDS = ("pixel_mask", "pixel_status")
HELP = "trusted-pixel mask from average, standard deviation and maximum"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (long ones with hyphens or underscores)."""
    from workbench.mask.formats import FORMATS

    defaults = Thresholds()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "formats: by the ending of the output, or --format\n" + "\n".join(
        f"  {name:13} {kind.text} {' '.join(kind.endings)}" for name, kind in FORMATS.items()
    )
    parser.set_defaults(wrong_usage=parser.error)
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE",
        help="average and stddev of a dark run, maximum of bright runs (CBF or other images)",
    )  # fmt: skip
    parser.add_argument(
        "--recipe", metavar="FILE",
        help="recipe with limits, border and layers; and with the images, if none are given",
    )  # fmt: skip
    parser.add_argument(
        "-a", "--avg-max", type=float, metavar="ADU",
        help=f"good pixels have 0 < average <= ADU (default {defaults.avg_max:g})",
    )  # fmt: skip
    parser.add_argument(
        "-s", "--stddev-max", type=float, metavar="ADU",
        help=f"good pixels have 0 < stddev <= ADU (default {defaults.stddev_max:g})",
    )  # fmt: skip
    parser.add_argument(
        "-m", "--maxproj-min", type=float, metavar="ADU",
        help=f"good pixels have maximum >= ADU (default {defaults.maxproj_min:g})",
    )  # fmt: skip
    parser.add_argument(
        "-b", "--border", type=int, metavar="N",
        help="mask N pixels along all edges of each ASIC (default 0)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="mask.pickle", help="(default %(default)s)"
    )
    parser.add_argument("--format", choices=FORMATS, metavar="NAME", help="see below")
    parser.add_argument("--geometry", metavar="FILE", help="instead of the images' own")
    parser.add_argument(
        "--gain-map", metavar="FILE",
        help="image of the low-gain pixels (non-zero = low gain), for limits of their own",
    )  # fmt: skip
    for name, what in LIMITS.items():
        parser.add_argument(
            f"--low-gain-{name.replace('_', '-')}", type=float, metavar="ADU",
            help=f"{what} of the low-gain pixels (default: as for the others)",
        )  # fmt: skip
    parser.add_argument(
        "--suggest", action="store_true", help="print suggested limits; nothing is written"
    )
    parser.add_argument(
        "--explain", metavar="SENSOR,ROW,COLUMN", action="append", default=[], type=_pixel,
        help="say why a pixel is masked (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--deploy", metavar="DIR", help="also deploy it in this calibration directory, for psana"
    )
    parser.add_argument(
        "--deploy-as", choices=KINDS, default=KINDS[0],
        help="for --deploy: 1 = good, or bits that say why not (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--address", default=DEFAULT_ADDRESS, help="for --deploy (%(default)s)")
    parser.add_argument("--first-run", type=int, metavar="RUN", help="for --deploy")
    parser.add_argument(
        "--last-run", type=int, metavar="RUN", help="for --deploy (default: all that follow)"
    )
    parser.add_argument(
        "--force", action="store_true", help="write the mask even if the images seem swapped"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="also counts of each rule")


def run(args: argparse.Namespace) -> int:
    """Make the mask, write it and print the counts."""
    from workbench.mask import deploy_mask, write_mask
    from workbench.mask.formats import check_format

    _check_usage(args)
    check_format(args.output, args.format)
    settings, engine = _engine(args)
    if args.suggest:
        return _suggest(engine, settings, args.json)
    mask = engine.mask(settings, _provenance(args, settings, engine))
    reports = [mask.explain(pixel) for pixel in args.explain]
    write_mask(mask, args.output, args.format, force=args.force)
    deployed = None
    if args.deploy:
        deployed = deploy_mask(
            mask, args.deploy, args.address, args.first_run, args.last_run, args.deploy_as
        )
    if args.json:
        result = _result(mask, args) | {"explain": [report.as_dict() for report in reports]}
        result["deployed"] = None if deployed is None else str(deployed)
        print(json.dumps(result, indent=2, default=str))
        return 0
    print("\n".join(mask.cctbx_lines()))
    for report in reports:
        print(report)
    if args.verbose:
        print("\n".join(_summary(mask)))
    if deployed:
        print(f"Deployed as {deployed}")
    for warning in mask.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _engine(args: argparse.Namespace) -> tuple[MaskSettings, MaskEvaluator]:
    """Settings and images of a command line."""
    from workbench.geometry import Geometry
    from workbench.images import read_image
    from workbench.mask import MaskEvaluator

    recipe = None
    if args.recipe:
        from workbench.pipeline import load_recipe

        recipe = load_recipe(args.recipe)
    settings = _settings(args, recipe)
    geometry = Geometry.read(args.geometry) if args.geometry else None
    low_gain = read_image(args.gain_map).data != 0 if args.gain_map else None
    if args.images:
        images = [read_image(path) for path in args.images]
        return settings, MaskEvaluator(images[0], images[1], images[2], geometry, low_gain=low_gain)
    assert recipe is not None  # _check_usage
    return settings, _recipe_engine(recipe, geometry, low_gain)


def _recipe_engine(recipe: Recipe, geometry: Any, low_gain: Any) -> MaskEvaluator:
    from workbench.mask import MaskEvaluator
    from workbench.pipeline import gather_images
    from workbench.progress import Terminal

    with Terminal("averaging the recipe's runs") as progress:
        found = gather_images(recipe, progress)
    missing = [kind for kind in ("average", "stddev", "maximum") if getattr(found, kind) is None]
    if missing:
        raise MaskError(
            f"The recipe gives no {' and no '.join(missing)}; name a dark and a bright run, or "
            "the images."
        )
    return MaskEvaluator(
        found.average,
        found.stddev,
        found.maximum,
        geometry or found.geometry,
        low_gain=found.low_gain if low_gain is None else low_gain,
        occupancy=found.occupancy,
    )


def _settings(args: argparse.Namespace, recipe: Recipe | None) -> MaskSettings:
    """Settings of the recipe, with what the command line says instead."""
    settings = recipe.mask if recipe else MaskSettings()
    limits = dataclasses.replace(settings.thresholds, **_given(args))
    border = settings.border if args.border is None else args.border
    low_gain = settings.low_gain
    given = _given(args, "low_gain_")
    if given:
        low_gain = dataclasses.replace(low_gain or limits, **given)
    return dataclasses.replace(settings, thresholds=limits, border=border, low_gain=low_gain)


def _given(args: argparse.Namespace, prefix: str = "") -> dict[str, float]:
    """Limits the command line names."""
    given = {name: getattr(args, prefix + name) for name in LIMITS}
    return {name: value for name, value in given.items() if value is not None}


def _pixel(text: str) -> tuple[int, int, int]:
    try:
        sensor, row, column = (int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} is not a sensor, row and column, as 9,100,200"
        ) from None
    return sensor, row, column


def _check_usage(args: argparse.Namespace) -> None:
    """Leave with status 2 if the command line is incomplete."""
    if len(args.images) not in (0, 3) or not (args.images or args.recipe):
        args.wrong_usage(
            f"three images are needed, average and stddev of a dark run and maximum of bright "
            f"runs, or a --recipe; {len(args.images)} given"
        )
    if args.deploy and args.first_run is None:
        args.wrong_usage("--deploy needs --first-run, the run from which the mask holds")


def _provenance(
    args: argparse.Namespace, settings: MaskSettings, engine: MaskEvaluator
) -> dict[str, Any]:
    from workbench.provenance import describe_files, stamp

    return {
        "images": describe_files(args.images),
        "recipe": args.recipe,
        "settings": dataclasses.asdict(settings),
        "sources": [getattr(source, "name", None) for source in engine.images.sources],
        **stamp(),
    }


def _suggest(engine: MaskEvaluator, settings: MaskSettings, as_json: bool) -> int:
    from workbench.mask import sensitivity, suggest

    found = suggest(engine)
    moved = {one.limit: one for one in sensitivity(engine, settings)}
    if as_json:
        print(json.dumps(
            {"suggestions": [dataclasses.asdict(one) for one in found],
             "sensitivity": [dataclasses.asdict(one) for one in moved.values()],
             "warnings": list(engine.image_warnings)}, indent=2))  # fmt: skip
        return 0
    for one in found:
        value = "no suggestion" if one.value is None else f"{one.value:g} ADU"
        print(f"{one.limit:12} {value:>14}   {one.text}")
    print()
    for limit, tried in moved.items():
        here, less, more = tried.masked
        print(
            f"{limit:22} at {tried.values[0]:g}: {here} masked; "
            f"-20 %: {less - here:+d}, +20 %: {more - here:+d}"
        )
    for warning in engine.image_warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _summary(mask: Mask) -> list[str]:
    """Counts per rule and layer, what layers keep, and the sensors that lost most."""
    told = [one for one in mask.removals if one.counts.total]
    wide = max([20, *(len(one.label) for one in told)])
    lines = ["", f"{'removed by':{wide}} {'total':>9} {'alone':>9} {'up to here':>11}"]
    for one in told:
        total, alone, together = one.counts
        lines.append(f"{one.label:{wide}} {total:9} {alone:9} {together:11}")
    for kept in mask.kept:
        lines.append(f"{kept.label} keeps {kept.pixels} that would be masked")
    lines += ["", "masked per sensor, % (rows: quadrants)"]
    for quadrant, row in enumerate(mask.masked_fraction_by_module):
        lines.append(f"Q{quadrant} " + " ".join(f"{100 * fraction:6.2f}" for fraction in row))
    return lines


def _result(mask: Mask, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "output": str(Path(args.output)),
        "pixels": mask.pixels,
        "masked": mask.masked,
        "masked_fraction": mask.masked_fraction,
        "cctbx_counts": mask.cctbx_counts,
        "rules": {name: count._asdict() for name, count in mask.counts.items()},
        "removals": [
            {"rule": one.rule, "name": one.name, "layer": one.layer, **one.counts._asdict()}
            for one in mask.removals
        ],
        "kept": [{"name": one.name, "layer": one.layer, "pixels": one.pixels} for one in mask.kept],
        "masked_fraction_by_asic": mask.masked_fraction_by_asic.tolist(),
        "warnings": list(mask.warnings),
        "provenance": dict(mask.provenance),
    }
