"""``workbench geometry``: convert, show and compare geometries; deploy and roll back versions."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from workbench.detectors import CSPAD
from workbench.errors import GeometryError, WorkbenchError
from workbench.geometry import (
    FORMATS,
    Geometry,
    GeometryDiff,
    GeometryStore,
    GeometryWarning,
    Version,
    compare,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs below ``geometry``."""
    verbs = parser.add_subparsers(
        dest="geometry_verb", metavar="WHAT", required=True, parser_class=type(parser)
    )

    def verb(name: str, summary: str, action: Callable[..., int | None]) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        added.set_defaults(geometry_action=action)
        added.add_argument("--json", action="store_true", help="print the result as JSON")
        return added

    convert = verb("convert", "write a geometry in another format", _convert)
    convert.add_argument(
        "files", nargs="+", metavar="FILE",
        help="input and output (default 0-end.data), or cbf_header=IN out_metrology_file=OUT, "
        "or metrology_file=IN out=OUT",
    )  # fmt: skip
    formats = "; ".join(f"{known.name} {known.endings[0]}, {known.text}" for known in FORMATS)
    convert.add_argument(
        "--format", metavar="NAME", choices=[known.name for known in FORMATS],
        help=f"format of the output, if its ending does not say ({formats})",
    )  # fmt: skip
    convert.add_argument("--overwrite", action="store_true", help="replace an output that differs")
    convert.add_argument(
        "--rounded", action="store_true",
        help="write whole µm and 1e-5 degrees, as cxi.cbfheader2slaccalib does",
    )  # fmt: skip
    convert.add_argument("--distance", type=float, metavar="MM", help="detector distance to write")
    convert.add_argument(
        "--wavelength", type=float, metavar="Å", help="wavelength to write (.expt)"
    )
    convert.add_argument("--like", metavar="GEOM", help="CrystFEL file whose header lines to keep")

    deploy = verb("deploy", "make a geometry the current version", _deploy)
    readable = ", ".join(known.endings[0] for known in FORMATS if known.read)
    deploy.add_argument("file", help=f"geometry to deploy ({readable})")
    _store_arguments(deploy)
    deploy.add_argument("--comment", default="", help="why, one line")
    deploy.add_argument(
        "--recipe", metavar="TOML",
        help="recipe the geometry was made with; recorded, so that its report finds the version",
    )  # fmt: skip
    deploy.add_argument("--dry-run", action="store_true", help="only show what would be written")

    _store_arguments(verb("history", "list the versions", _history))

    diff = verb("diff", "compare two versions or two files", _diff)
    diff.add_argument("older", nargs="?", default=None, help="version number or file")
    diff.add_argument("newer", nargs="?", default=None, help="version number, file or 'current'")
    _store_arguments(diff, required=False)

    rollback = verb("rollback", "make an earlier version current again", _rollback)
    rollback.add_argument("version", help="number of the version, e.g. 0 or v0")
    _store_arguments(rollback)
    rollback.add_argument("--comment", default="", help="why, one line")

    verify = verb("verify", "check that every version is as it was deployed", _verify)
    _store_arguments(verify)
    verify.add_argument("--repair", action="store_true", help="restore what was changed or deleted")

    show = verb("show", "show a geometry, or which file serves a run", _show)
    show.add_argument("file", nargs="?", help="geometry file; without it, the deployed one")
    _store_arguments(show, required=False)
    show.add_argument("-r", "--run", type=int, help="run to look up in the calibration directory")


def run(options: argparse.Namespace) -> int | None:
    """Run the verb below ``geometry``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GeometryWarning)
        try:
            status: int | None = options.geometry_action(options)
            return status
        finally:
            for warning in caught:
                print(f"workbench geometry: note: {warning.message}", file=sys.stderr)


def _store_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument(
        "-C", "--calib-dir", required=required, metavar="DIR", help="calibration directory"
    )
    parser.add_argument(
        "-a", "--address", default=CSPAD.address, help=f"detector (default {CSPAD.address})"
    )
    parser.add_argument(
        "--run-range", default="0-end", metavar="N-M", help="runs it is for (default 0-end)"
    )


def _store(options: argparse.Namespace) -> GeometryStore:
    if not Path(options.calib_dir).is_dir():
        raise GeometryError(
            f"{options.calib_dir}: there is no such calibration directory; make it first, or "
            "check the path."
        )
    return GeometryStore(options.calib_dir, options.address, options.run_range)


# ---- convert -------------------------------------------------------------------------------------

_INPUTS = ("cbf_header", "metrology_file")
_OUTPUTS = {"out_metrology_file": "slac", "out": "cbf"}
"""Names by which cctbx's converters know their output, and the format they write to it."""


def _convert(options: argparse.Namespace) -> None:
    source, target, format = _input_and_output(options.files)
    geometry, distance, wavelength = FORMATS.read(source)
    if options.rounded:
        geometry = geometry.rounded()
    distance = distance if options.distance is None else options.distance
    wavelength = wavelength if options.wavelength is None else options.wavelength
    if os.path.lexists(target) and not options.overwrite:
        if Path(target).suffix == ".data" and Path(target).is_file() and _holds(target, geometry):
            print(f"{target} holds this geometry already.")
            return
        raise GeometryError(f"{target} exists already; give --overwrite to replace it.")
    geometry.write(
        target, options.format or format, distance_mm=distance, wavelength_angstrom=wavelength,
        like=options.like,
    )  # fmt: skip
    result = {
        "input": source,
        "output": target,
        "sensors": len(geometry.modules),
        "distance_mm": distance,
        "wavelength_angstrom": wavelength,
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{source} → {target} ({len(geometry.modules)} sensors)")


def _holds(path: str, geometry: Geometry) -> bool:
    """Whether a file holds this geometry."""
    try:
        return Geometry.read(path) == geometry
    except WorkbenchError:
        return False


def _input_and_output(words: list[str]) -> tuple[str, str, str | None]:
    """Input, output, and the format of the output where its spelling says so."""
    source: str | None = None
    target: str | None = None
    format: str | None = None
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in _INPUTS:
            source = value
        elif equals and name in _OUTPUTS:
            target, format = value, _OUTPUTS[name]
        elif source is None:
            source = word
        elif target is None:
            target = word
        else:
            raise GeometryError(f"expected an input and an output, found also {word!r}.")
    if not source:
        raise GeometryError("no input given; give a CBF, .data or .geom file.")
    return source, target or "0-end.data", format


# ---- versions ------------------------------------------------------------------------------------


def _deploy(options: argparse.Namespace) -> None:
    store = _store(options)
    if options.dry_run:
        plan = store.preview(options.file)
        if options.json:
            facts = {"version": plan.version, "path": str(plan.path), "adopted": plan.adopted,
                     "writes": plan.writes, "warnings": plan.warnings,
                     "diff": None if plan.diff is None else _diff_facts(plan.diff)}  # fmt: skip
            print(json.dumps(facts))
        else:
            print(plan)
        return
    made_with = ""
    if options.recipe:
        from workbench.pipeline import load_recipe, recipe_hash

        made_with = recipe_hash(load_recipe(options.recipe))
    version = store.deploy(
        options.file, options.comment, inputs=[options.file], recipe_sha256=made_with
    )
    if options.json:
        warnings = version.record.get("warnings", [])
        print(json.dumps(_version_facts(version) | {"warnings": warnings}))
        return
    for warning in version.record.get("warnings", []):
        print(f"note: {warning}")
    print(f"deployed {version.path}; {store.state()}")


def _history(options: argparse.Namespace) -> None:
    store = _store(options)
    versions = store.history()
    if options.json:
        print(json.dumps([_version_facts(version) for version in versions]))
        return
    print(f"{store.state()} ({store.folder})")
    for version in versions:
        mark = "→" if version.current else " "
        intact = {True: "", False: "  CHANGED", None: "  (no record)"}[version.intact]
        who = f"{version.user}@{version.host}" if version.user else ""
        print(
            f"{mark} v{version.number:<3d} {version.when:<25s} {who:<16s} {version.comment}{intact}"
        )
    for sentence in store.read_instead():
        print(f"note: {sentence}")


def _diff(options: argparse.Namespace) -> None:
    older, newer = options.older, options.newer
    if options.calib_dir is None:
        if older is None or newer is None:
            raise GeometryError("give two files, or --calib-dir and version numbers.")
        difference = compare(Geometry.read(older), Geometry.read(newer))
    else:
        store = _store(options)
        versions = [version.number for version in store.history()]
        if older is None:  # without arguments: what the latest step changed
            if len(versions) < 2:
                raise GeometryError(f"{store.folder}: fewer than two versions to compare.")
            older = versions[-2]
        difference = store.diff(_version_or_file(older), _version_or_file(newer or "current"))
    print(json.dumps(_diff_facts(difference)) if options.json else difference)


def _version_or_file(word: str | int) -> int | str | Geometry:
    text = str(word)
    if text == "current":
        return text
    number = text.removeprefix("v")
    return int(number) if number.isdecimal() else Geometry.read(text)


def _rollback(options: argparse.Namespace) -> None:
    number = options.version.removeprefix("v")
    if not number.isdecimal():
        raise GeometryError(f"{options.version!r} is not a version; expected e.g. 0 or v0.")
    store = _store(options)
    version = store.rollback(int(number), options.comment)
    print(json.dumps(_version_facts(version)) if options.json else store.state())


def _verify(options: argparse.Namespace) -> int:
    store = _store(options)
    done = store.repair() if options.repair else []
    problems = store.verify()
    if options.json:
        print(json.dumps({"problems": problems, "repaired": done}))
    else:
        print("\n".join([*done, *problems]) or f"{len(store.history())} versions, all as deployed")
    return 1 if problems else 0


def _show(options: argparse.Namespace) -> None:
    if options.file is None:
        if options.calib_dir is None:
            raise GeometryError("give a file, or --calib-dir to look at what is deployed.")
        store = _store(options)
        path = store.link if options.run is None else store.file_for_run(options.run)
        if path is None or not path.exists():
            what = f"run {options.run}" if options.run is not None else options.run_range
            raise GeometryError(f"{store.folder}: no geometry serves {what}.")
    else:
        path = Path(options.file)
    geometry = Geometry.read(path)
    target = os.readlink(path) if path.is_symlink() else None
    objects = [
        {"object": str(row.key), "origin_um": row.origin_um.tolist(),
         "angles_deg": row.angles_deg.tolist()}
        for row in geometry.objects
    ]  # fmt: skip
    shape = geometry.snapped().shape
    if options.json:
        print(json.dumps({"file": str(path), "leads_to": target, "picture": shape,
                          "in_index_order": geometry.is_in_index_order,
                          "objects": objects}))  # fmt: skip
        return
    print(f"{path}{f' → {target}' if target else ''}")
    print(f"{len(geometry.modules)} sensors, picture of {shape[0]} × {shape[1]} pixels")
    if not geometry.is_in_index_order:
        print("note: rows are out of index order; psana reads sensors in the order of the rows")
    for row in geometry.quadrants or geometry.modules:
        x, y, z = row.origin_um
        print(f"  {row.key!s:<28s} {x:10.2f} {y:10.2f} {z:9.2f} µm  {row.angles_deg[2]:9.4f}°")


def _version_facts(version: Version) -> dict[str, object]:
    return {
        "version": version.number,
        "path": str(version.path),
        "current": version.current,
        "intact": version.intact,
        "when": version.when,
        "user": version.user,
        "host": version.host,
        "comment": version.comment,
        "sha256": version.sha256,
    }


def _diff_facts(difference: GeometryDiff) -> dict[str, object]:
    return {
        "changes": [
            {
                "object": str(change.key),
                "shift_um": change.shift_um.tolist(),
                "shift_px": change.shift_px.tolist(),
                "rotation_deg": change.rotation_deg.tolist(),
            }
            for change in difference.changes
        ],
        "added": [str(key) for key in difference.added],
        "removed": [str(key) for key in difference.removed],
        "largest_shift_um": difference.largest_shift_um,
    }
