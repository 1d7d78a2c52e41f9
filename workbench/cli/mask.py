"""``workbench mask``: the trusted-pixel mask; takes the options of ``cxi.make_dials_mask``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.detectors import CSPAD
from workbench.errors import MaskError
from workbench.recipe import MaskSettings, Recipe
from workbench.recipe.rules import LIMITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.geometry import Geometry
    from workbench.mask import Mask, MaskEvaluator

KINDS = ("pixel_mask", "pixel_status")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (long ones with hyphens or underscores)."""
    from workbench.mask.formats import FORMATS

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "formats: by the ending of the output, or --format\n" + "\n".join(
        f"  {name:13} {kind.text}" + (f" ({' '.join(kind.endings)})" if kind.endings else "")
        for name, kind in FORMATS.items()
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
    for name, rule in LIMITS.items():
        sign = "<=" if rule.side == "above" else ">="
        letter = [f"-{rule.letter}"] if rule.letter else []
        parser.add_argument(
            *letter, _option(name), type=float, metavar=rule.unit,
            help=f"good pixels have {rule.lowest}{rule.image} {sign} {rule.unit} "
            f"(default {rule.default:g})",
        )  # fmt: skip
    parser.add_argument(
        "-b", "--border", type=int, metavar="N",
        help="mask N pixels along all edges of each ASIC (default 0)",
    )  # fmt: skip
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="mask.pickle",
        help="file of the mask (default %(default)s)",
    )
    parser.add_argument("--format", choices=FORMATS, metavar="NAME", help="see below")
    parser.add_argument(
        "--geometry", metavar="FILE", help="geometry, instead of that of the images"
    )
    parser.add_argument(
        "--gain-map", metavar="FILE",
        help="image of the low-gain pixels (non-zero = low gain), for limits of their own",
    )  # fmt: skip
    for name, rule in LIMITS.items():
        end = "largest" if rule.side == "above" else "smallest"
        parser.add_argument(
            _option(f"low_gain_{name}"), type=float, metavar=rule.unit,
            help=f"{end} {rule.image} of the low-gain pixels (default: as for the others)",
        )  # fmt: skip
    parser.add_argument(
        "--suggest", action="store_true", help="print suggested limits; nothing is written"
    )
    parser.add_argument(
        "--explain", metavar="MODULE,ROW,COLUMN", action="append", default=[], type=_pixel,
        help="say why a pixel is masked (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--deploy", metavar="DIR", help="also deploy it in this calibration directory, for psana"
    )
    parser.add_argument(
        "--deploy-as", choices=KINDS, default=KINDS[0],
        help="for --deploy: 1 = good, or bits that say why not (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--address", default=CSPAD.address, help="for --deploy: detector (default %(default)s)"
    )
    parser.add_argument(
        "--first-run", type=int, metavar="RUN", help="for --deploy: first run it is for"
    )
    parser.add_argument(
        "--last-run",
        type=int,
        metavar="RUN",
        help="for --deploy: last run (default: all that follow)",
    )
    parser.add_argument(
        "--force", action="store_true", help="write the mask even if the images seem swapped"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="also print the counts of each rule"
    )


def _option(setting: str) -> str:
    return f"--{setting.replace('_', '-')}"


def run(args: argparse.Namespace) -> int:
    """Make the mask, write it and print the counts."""
    from workbench.mask import deploy_mask, write_mask
    from workbench.mask.formats import check_format

    _check_usage(args)
    check_format(args.output, args.format)
    settings, evaluator = _evaluator(args)
    if args.suggest:
        return _suggest(evaluator, settings, args.json)
    mask = evaluator.mask(settings, _provenance(args, settings, evaluator))
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


def _evaluator(args: argparse.Namespace) -> tuple[MaskSettings, MaskEvaluator]:
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
    return settings, _recipe_evaluator(recipe, geometry, low_gain)


def _recipe_evaluator(
    recipe: Recipe, geometry: Geometry | None, low_gain: NDArray[np.bool_] | None
) -> MaskEvaluator:
    from workbench.pipeline import gather_images, mask_evaluator
    from workbench.progress import Terminal

    with Terminal("averaging the recipe's runs") as progress:
        images = gather_images(recipe, progress)
    images = dataclasses.replace(
        images,
        geometry=geometry or images.geometry,
        low_gain=images.low_gain if low_gain is None else low_gain,
    )
    evaluator = mask_evaluator(images)
    if evaluator is None:
        raise MaskError(
            f"The recipe gives no {' and no '.join(images.missing_for_mask)}; name a dark and a "
            "bright run, or the images."
        )
    return evaluator


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
        module, row, column = (int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} is not a module, row and column, as 9,100,200"
        ) from None
    return module, row, column


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
    args: argparse.Namespace, settings: MaskSettings, evaluator: MaskEvaluator
) -> dict[str, Any]:
    from workbench.provenance import describe_files, stamp

    return {
        "images": describe_files(args.images),
        "recipe": args.recipe,
        "settings": dataclasses.asdict(settings),
        "sources": [getattr(source, "name", None) for source in evaluator.images.sources],
        **stamp(),
    }


def _suggest(evaluator: MaskEvaluator, settings: MaskSettings, as_json: bool) -> int:
    from workbench.mask import sensitivity, suggest

    suggestions, moves = suggest(evaluator), sensitivity(evaluator, settings)
    if as_json:
        result = {
            "suggestions": [dataclasses.asdict(suggestion) for suggestion in suggestions],
            "sensitivity": [dataclasses.asdict(move) for move in moves],
            "warnings": list(evaluator.image_warnings),
        }
        print(json.dumps(result, indent=2))
        return 0
    for suggestion in suggestions:
        unit = evaluator.images.unit(LIMITS[suggestion.limit].image)
        value = "no suggestion" if suggestion.value is None else f"{suggestion.value:g} {unit}"
        print(f"{suggestion.limit:12} {value:>14}   {suggestion.text}")
    print()
    for move in moves:
        here, less, more = move.masked
        print(
            f"{move.limit:22} at {move.values[0]:g}: {here} masked; "
            f"-20 %: {less - here:+d}, +20 %: {more - here:+d}"
        )
    for warning in evaluator.image_warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _summary(mask: Mask) -> list[str]:
    """Counts per rule and layer, what layers keep, and the sensors that lost most."""
    removals = [removal for removal in mask.removals if removal.counts.total]
    wide = max([20, *(len(removal.label) for removal in removals)])
    lines = ["", f"{'masked by':{wide}} {'total':>9} {'alone':>9} {'up to here':>11}"]
    for removal in removals:
        total, alone, together = removal.counts
        lines.append(f"{removal.label:{wide}} {total:9} {alone:9} {together:11}")
    for kept in mask.kept:
        lines.append(f"{kept.label} keeps {kept.pixels} that would be masked")
    lines += ["", f"masked per sensor, % (rows: {mask.detector.group_word}s)"]
    for group, row in zip(mask.detector.groups, mask.masked_fraction_by_module, strict=True):
        lines.append(f"{group.name} " + " ".join(f"{100 * fraction:6.2f}" for fraction in row))
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
            {
                "rule": removal.rule,
                "name": removal.name,
                "layer": removal.layer,
                **removal.counts._asdict(),
            }
            for removal in mask.removals
        ],
        "kept": [
            {"name": keeper.name, "layer": keeper.layer, "pixels": keeper.pixels}
            for keeper in mask.kept
        ],
        "masked_fraction_by_asic": mask.masked_fraction_by_asic.tolist(),
        "warnings": list(mask.warnings),
        "provenance": dict(mask.provenance),
    }
