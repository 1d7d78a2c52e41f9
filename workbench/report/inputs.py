"""What a calibration was made from and what it wrote: runs with their events, files, hashes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from workbench.pipeline import Calibration
from workbench.quantities import size_text, thousands
from workbench.report.provenance_table import HASH_UP_TO, InputFile, hash_list, input_files
from workbench.report.text import (
    Shown,
    by_folder,
    folded,
    known,
    moment,
    sentence,
    table,
    together,
)

LISTED = 40
"""With more files than this the page counts them by use and folds the list."""


def runs(calibration: Calibration) -> Shown:
    """Which runs were read: events used and left out by reason, distance, wavelength, time."""
    images, recipe = calibration.images, calibration.recipe
    rows, left_out = [], []
    for role, run in [("dark", images.dark), *[("bright", run) for run in images.bright]]:
        if run is None:
            continue
        steps = getattr(recipe, f"{role}_corrections").describe()
        if run.detector.gain_ranges is not None and steps != "raw":  # it has no low gain
            steps = ", ".join(step["step"] for step in run.provenance["corrections"])
        rows.append(
            [
                role, run.run, thousands(run.count), thousands(sum(run.skipped.values())),
                known(run.distance_mm, 3), known(run.wavelength_angstrom, 6),
                moment(run.seconds), steps,
            ]
        )  # fmt: skip
        left_out += [[run.run, thousands(number), why] for why, number in run.skipped.items()]
    if not rows:
        return sentence("No runs were read: the recipe names images on file.")
    shown = table(
        ["", "run", "events used", "left out", "distance (mm)", "wavelength (Å)",
         "mean time (UTC)", "corrections"],
        rows,
    )  # fmt: skip
    selection = f"Selection: {recipe.events.describe()}."
    if not left_out:
        return together(shown, sentence(f"{selection} No event was left out."))
    return together(
        shown, sentence(selection), table(["run", "events", "left out because"], left_out)
    )


def files(calibration: Calibration) -> Shown:
    """Every input file with its use, size, time, and the hash of those that are not large."""
    inputs = input_files(calibration)
    if not inputs:
        return sentence("The results do not name their input files.")
    total = sum(file.octets or 0 for file in inputs)
    words = f"{len(inputs)} files, {size_text(total)} in all."
    rows = [
        [
            file.role,
            file.path,
            "gone" if file.octets is None else size_text(file.octets),
            file.modified,
        ]
        for file in inputs
    ]
    listing = table(["used for", "file", "size", "modified (UTC)"], by_folder(rows))
    if len(inputs) > LISTED:
        uses: dict[str, list[int]] = {}
        for file in inputs:
            uses.setdefault(file.role, []).append(file.octets or 0)
        counted = [[role, len(sizes), size_text(sum(sizes))] for role, sizes in uses.items()]
        short = table(["used for", "files", "size"], counted)
        listing = together(short, folded("All files (not printed)", listing))
    hashes = hash_list(inputs)
    title = (
        f"SHA-256 of the files up to {size_text(HASH_UP_TO)}, for sha256sum --check (not printed)"
    )
    return together(sentence(words), listing, folded(title, hashes) if hashes else sentence(""))


def outputs(files: Mapping[str, Path]) -> Shown:
    """Files that were written, with their sizes; their hashes folded."""
    if not files:
        return sentence("No other file was written.")
    made = [
        InputFile(kind, os.fspath(path), Path(path).stat().st_size, "")
        for kind, path in files.items()
    ]
    rows = [[file.role, file.path, size_text(file.octets or 0)] for file in made]
    title = "SHA-256 of the files written, for sha256sum --check (not printed)"
    return together(
        table(["written", "file", "size"], by_folder(rows)), folded(title, hash_list(made))
    )
