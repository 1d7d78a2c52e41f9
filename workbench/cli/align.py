"""``workbench align``: quadrant offsets from powder rings, as cspad.quadrants_cbf and better."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from workbench.errors import AlignmentError
from workbench.recipe import AlignmentSettings

if TYPE_CHECKING:
    from workbench.alignment import Alignment
    from workbench.geometry import Geometry
    from workbench.images import DetectorImage
    from workbench.mask import Mask

SETTINGS = ("method", "range_px", "angles_deg", "transform", "refine", "groups", "calibrant",
            "outward", "fixed", "sensors", "tilt", "multi_angle")  # fmt: skip
"""Fields of `AlignmentSettings` that have an option, with their default there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (long ones with hyphens or underscores)."""
    hints = get_type_hints(AlignmentSettings)
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="maximum or average (CBF)")
    add("--mask", metavar="FILE", help="mask of trusted pixels, e.g. mask.pickle")
    add("--geometry", metavar="FILE", help="geometry instead of the image's own")

    def choice(setting: str, help: str) -> None:
        values = [value for value in get_args(hints[setting]) if value != "unknown"]
        add(f"--{setting}", choices=values, help=help)

    choice(
        "method",
        "all sensors, sub-pixel; or exactly as cspad.quadrants_cbf (default %(default)s)",
    )
    add(
        "--range", type=int, metavar="PX", dest="range_px",
        help="trial offsets from -PX to PX (default %(default)s)",
    )  # fmt: skip
    add(
        "--angles", type=float, nargs="+", metavar="DEG", dest="angles_deg", help="rotation angles"
    )  # fmt: skip
    choice(
        "transform",
        "transform of the intensities, so that bright spots count less (default %(default)s)",
    )
    choice(
        "refine",
        "all quadrants together on the rings, or by the maps alone (default %(default)s)",
    )
    choice(
        "groups",
        "what moves as one: quadrants, or the modules of a Jungfrau (default); sides, the two "
        "sides of a Jungfrau 4M on two motors",
    )
    choice(
        "calibrant",
        "known rings: also fits the distance and the outward shift of all quadrants",
    )
    choice(
        "outward",
        "move all quadrants outwards together as far as the rings support it, or as fitted "
        "(default %(default)s)",
    )
    add(
        "--fixed", type=int, nargs="+", metavar="QUADRANT",
        help="quadrants that are where they should be; the others are aligned to them",
    )  # fmt: skip
    add(
        "--sensors", action="store_true",
        help="also move each sensor within its quadrant as far as the rings support it",
    )  # fmt: skip
    add(
        "--tilt", action="store_true",
        help="also turn the whole detector about lab x and y if the rings clearly ask for it; "
        "then align the result again",
    )  # fmt: skip
    add(
        "--single-angle", action="store_false", dest="multi_angle",
        help="method cctbx: 45 degrees only, instead of the maximum over 21 angles",
    )  # fmt: skip
    parser.set_defaults(**{name: getattr(AlignmentSettings(), name) for name in SETTINGS})
    add(
        "--rank", action="store_true",
        help="only print how clear the rings of each image are, the clearest first",
    )  # fmt: skip
    add(
        "--halves", nargs=2, metavar="IMAGE",
        help="averages of one and of the other half of the events (workbench average --halves), to "
        "see whether they agree",
    )  # fmt: skip
    add(
        "-o", "--output", metavar="FILE",
        help="image with the corrected geometry (default IMAGE_cc.cbf, or .h5 for detectors that "
        "CBF files do not hold), or the geometry alone: .data, or .geom with the other lines of "
        "--geometry",
    )  # fmt: skip
    add("--no-save", action="store_true", help="print only, write nothing")
    add("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Align each image, write IMAGE_cc.cbf and print the offsets."""
    from workbench.alignment import align_quadrants
    from workbench.geometry import Geometry
    from workbench.images import read_image

    if args.output and len(args.images) > 1:
        raise AlignmentError("--output names one file; leave it out for several images.")
    if args.halves and len(args.images) > 1:
        raise AlignmentError("--halves belong to one image; align several one by one.")
    settings = _settings(args)
    mask = _mask(args.mask)
    geometry = Geometry.read(args.geometry) if args.geometry else None
    if args.rank:
        return _rank(args, mask, geometry, settings)
    halves = (read_image(args.halves[0]), read_image(args.halves[1])) if args.halves else None
    results = []
    for path in args.images:
        image = read_image(path)
        alignment = align_quadrants(image, geometry, mask, args.method, settings, halves=halves)
        written = None
        if not args.no_save:
            written = _save(
                image, alignment, args.output or cc_path(path, alignment), args.geometry
            )
        results.append({"image": str(path), "written": written} | alignment.to_dict())
        if not args.json:
            print("\n".join(_lines(path, alignment, written)))
    if args.json:
        print(json.dumps(results[0] if len(results) == 1 else results, indent=2))
    return 0


def _lines(path: str, alignment: Alignment, written: str | None) -> list[str]:
    """What is printed of one image; with method cctbx what the program prints, then ours."""
    from workbench.alignment.cctbx import HEADING
    from workbench.alignment.result import own_lines, program_lines

    saved = [f"Saving result to {written}"] if written else []
    if alignment.method == "cctbx":
        heading = (HEADING % path).split("\n")
        return heading + program_lines(alignment) + saved + own_lines(alignment)
    return program_lines(alignment) + own_lines(alignment) + saved


def _rank(
    args: argparse.Namespace,
    mask: Mask | None,
    geometry: Geometry | None,
    settings: AlignmentSettings,
) -> int:
    from workbench.alignment import rank_images
    from workbench.images import read_image

    images = {path: read_image(path) for path in args.images}
    ranked = rank_images(images, geometry, mask, settings)
    if args.json:
        print(json.dumps([ranking.to_dict() for ranking in ranked], indent=2))
        return 0
    word = next(iter(images.values())).detector.grouped(settings.groups).group_word
    for ranking in ranked:
        clear = f"{ranking.clear} of {len(ranking.cc)} {word}s clear"
        print(f"{ranking.mean_cc:7.4f}  {clear}  {ranking.name}")
    if len(ranked) > 1:
        print("The merged maximum of several runs is often clearer: workbench merge …")
    return 0


def cc_path(path: str | Path, alignment: Alignment) -> Path:
    """Name of the corrected image beside its source: ``x_max.cbf`` gives ``x_max_cc.cbf``.

    HDF5 for detectors that CBF files do not hold.
    """
    from workbench.images import image_ending

    source = Path(path)
    return source.with_name(f"{source.stem}_cc{image_ending(alignment.geometry.detector)}")


def _save(image: DetectorImage, alignment: Alignment, path: str | Path, source: str | None) -> str:
    """Write the corrected geometry, alone or with the image, as the ending says."""
    from workbench.images import write_image

    ending = Path(path).suffix.lower()
    if ending in (".geom", ".data"):
        like = source if ending == ".geom" and source and source.endswith(".geom") else None
        alignment.geometry.write(path, like=like)
        return str(path)
    write_image(dataclasses.replace(image, geometry=alignment.geometry), path)
    return str(path)


def _mask(path: str | None) -> Mask | None:
    if path is None:
        return None
    from workbench.mask import read_mask

    return read_mask(path)


def _settings(args: argparse.Namespace) -> AlignmentSettings:
    given: dict[str, Any] = {name: getattr(args, name) for name in SETTINGS}
    for name in ("angles_deg", "fixed"):
        given[name] = tuple(given[name])
    try:
        return AlignmentSettings(**given)
    except ValueError as error:
        raise AlignmentError(f"{error}.") from error
