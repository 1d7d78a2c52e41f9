"""What writes the same frames as the panel: arguments, a line of Python, a command."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

from workbench.recipe import Corrections, Recipe

MASK, GEOMETRY = "mask.pickle", "geometry.data"
"""Files beside the frames: what they were written with."""


def arguments(recipe: Recipe) -> dict[str, Any]:
    """Arguments of `workbench.write_frames` that the recipe decides."""
    frames = recipe.frames
    settings: dict[str, Any] = {
        "format": frames.format,
        "corrections": frames.corrections,
        "selection": frames.events,
        "threshold_adu": frames.hits.threshold_adu,
        "detz_offset_mm": recipe.experiment.detz_offset_mm,
        "whole_adu": frames.whole_adu,
    }
    if frames.only_hits:
        settings["hits"] = frames.hits
    return settings


def python_line(
    recipe: Recipe,
    run: int,
    folder: Path,
    settings: dict[str, Any],
    *,
    mask: bool,
    geometry: bool,
) -> str:
    """The call of Python that writes the same frames.

    Parameters
    ----------
    mask, geometry : whether the files `MASK` and `GEOMETRY` are in the folder.
    """
    experiment = recipe.experiment
    opened = [repr(experiment.name), str(run), repr(experiment.address)]
    opened += [
        f"{name}={getattr(experiment, name)!r}"
        for name in ("psdm_dir", "xtc_dir", "calib_dir")
        if getattr(experiment, name) is not None
    ]
    given = [repr(str(folder))]
    given += [f"{name}={shown(value)}" for name, value in settings.items() if value is not None]
    if mask:
        given.append(f"mask=wb.read_mask({str(folder / MASK)!r})")
    if geometry:
        given.append(f"geometry=wb.Geometry.read({str(folder / GEOMETRY)!r})")
    return f"wb.write_frames(wb.open_run({', '.join(opened)}), {', '.join(given)})"


def shown(value: object) -> str:
    """A setting as it is written in Python; of a section only what differs from its default."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return repr(value)
    differing = [
        f"{field.name}={getattr(value, field.name)!r}"
        for field in dataclasses.fields(value)
        if getattr(value, field.name) != field.default
    ]
    return f"wb.{type(value).__name__}({', '.join(differing)})"


def command_line(recipe: Recipe, run: int, folder: Path, *, mask: bool, geometry: bool) -> str:
    """The command that writes the same frames; what it has no option for is said behind it."""
    experiment, frames = recipe.experiment, recipe.frames
    corrections, events = frames.corrections, frames.events
    by_gain = Corrections(gain=corrections.gain)
    options: list[tuple[str, object]] = [
        ("-x", experiment.name),
        ("-r", run),
        ("-a", experiment.address),
        ("--psdm-dir", experiment.psdm_dir),
        ("--xtc-dir", experiment.xtc_dir),
        ("--calib-dir", experiment.calib_dir),
        ("--detz-offset", experiment.detz_offset_mm),
        ("--mask", folder / MASK if mask else None),
        ("--geometry", folder / GEOMETRY if geometry else None),
        ("--hits", frames.hits.min_peaks if frames.only_hits else None),
        ("--peak-threshold", f"{frames.hits.threshold_adu:g}"),
        ("--gain-mask-value", corrections.gain if corrections == by_gain else None),
        ("-n", events.limit),
        ("-s", events.skip or None),
        ("--every", events.every if events.every > 1 else None),
        ("--stop", events.stop),
        ("--events", ",".join(map(str, events.indices)) or None),
        ("--event-code", ",".join(map(str, events.event_codes)) or None),
        ("--format", frames.format),
        ("-o", folder),
    ]
    words = ["workbench", "dump"]
    for option, value in options:
        if value is not None:
            words += [option, str(value)]
    words += ["--raw-data"] if corrections.is_raw else []
    words += ["--whole-adu"] if frames.whole_adu else []
    apart = []
    if not corrections.is_raw and corrections not in (by_gain, Corrections.psana()):
        apart.append(f"the corrections {corrections.describe()}")
    if events.photon_energy_min_ev is not None or events.photon_energy_max_ev is not None:
        low, high = events.photon_energy_min_ev, events.photon_energy_max_ev
        words += ["--photon-energy", str(low or 0), str(high or 1e9)]
    line = shlex.join(words)
    return f"{line}  # but with {', '.join(apart)}" if apart else line
