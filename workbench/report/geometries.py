"""What a corrected geometry changes, in numbers; geometries as text; how to install one."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.geometry import Geometry, compare
from workbench.pipeline import Calibration, geometry_store
from workbench.report.provenance_table import starting_geometry
from workbench.report.reproduce import START_ID
from workbench.report.text import Shown, folded, preformatted, sentence, signed, table, together

LISTED = 40


def started_from(calibration: Calibration) -> str:
    """Say which geometry a calibration started from."""
    path = starting_geometry(calibration)
    return "" if path is None else f"It started from the geometry {path}."


def shifts(before: Geometry | None, after: Geometry | None) -> Shown:
    """Shift and turn of each object that the corrected geometry moves."""
    if before is None or after is None:
        return sentence("")
    changes = compare(before, after).changes
    if not changes:
        return sentence("The corrected geometry is the one it started from: nothing was moved.")
    rows = [
        [
            str(change.key), signed(change.shift_px[0]), signed(change.shift_px[1]),
            *(signed(value, 1) for value in change.shift_um),
            *(signed(value, 4) for value in change.rotation_deg),
        ]
        for change in changes
    ]  # fmt: skip
    header = ["object moved", "x (px)", "y (px)", "x (µm)", "y (µm)", "z (µm)",
              "about x (°)", "about y (°)", "about z (°)"]  # fmt: skip
    shown = table(header, rows)
    return shown if len(rows) <= LISTED else folded(f"{len(rows)} objects moved", shown)


def texts(before: Geometry | None, after: Geometry | None) -> Shown:
    """Both geometries as SLAC files, folded."""
    named = (
        ("The geometry it started from, as text (not printed)", before, START_ID),
        ("The corrected geometry, as text (not printed)", after, "corrected-geometry"),
    )
    return together(
        *(
            folded(title, preformatted(geometry.to_text(), name))
            for title, geometry, name in named
            if geometry is not None
        )
    )


def install_command(calibration: Calibration, recipe_path: Path) -> str:
    """Command that installs the corrected geometry; empty if there is none or nowhere to."""
    written = calibration.files.get("geometry")
    if written is None:
        return ""
    try:
        store = geometry_store(calibration.recipe)
    except WorkbenchError:
        return ""
    return shlex.join(
        [
            "workbench", "geometry", "deploy", os.fspath(written),
            "--calib-dir", os.fspath(store.calib_dir), "--address", store.address,
            "--recipe", os.fspath(recipe_path),
        ]
    )  # fmt: skip
