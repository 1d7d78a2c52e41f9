"""``workbench merge``: maximum, average and scatter of images; as ``cxi.cspad_average``."""

from __future__ import annotations

import argparse
import json
import sys

from workbench.errors import WorkbenchError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (long ones with hyphens or underscores)."""
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="CBF or other image files of one detector")
    add(
        "-m", "--maximum-path", metavar="FILE",
        help="write the maximum of the images, pixel by pixel",
    )  # fmt: skip
    add(
        "-a", "--average-path", metavar="FILE",
        help="write the average, weighted by the number of events where all images are averages "
        "that record it",
    )  # fmt: skip
    add(
        "-s", "--stddev-path", metavar="FILE",
        help="write the standard deviation among the images (ddof 1)",
    )  # fmt: skip
    add("--json", action="store_true", help="print the result as JSON")
    add("-v", "--verbose", action="store_true", help="name each image as it is read")


def run(args: argparse.Namespace) -> int:
    """Merge the images and write what was asked for."""
    from workbench.averages import merge_images
    from workbench.images import read_image, write_image

    wanted = {
        "average": args.average_path,
        "stddev": args.stddev_path,
        "maximum": args.maximum_path,
    }
    if not any(wanted.values()):
        raise WorkbenchError(
            "nothing to write; name a file with --maximum-path, --average-path or --stddev-path."
        )
    images = []
    for path in args.images:
        if args.verbose:
            print(f"Reading {path}", file=sys.stderr)
        images.append(read_image(path))
    merged = merge_images(images, args.images)
    for warning in merged.warnings:
        print(f"workbench merge: {warning}", file=sys.stderr)
    for kind, path in wanted.items():
        if path:
            write_image(getattr(merged, kind), path)
            if not args.json:
                print(f"Saving {path}")
    if args.json:
        print(
            json.dumps(
                {
                    "images": args.images,
                    "weighted": merged.weighted,
                    "warnings": list(merged.warnings),
                    "wavelength_angstrom": merged.maximum.wavelength_angstrom,
                    "distance_mm": merged.maximum.distance_mm,
                    "files": {kind: path for kind, path in wanted.items() if path},
                },
                indent=2,
            )
        )
    return 0
