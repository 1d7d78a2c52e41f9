"""The recipe's sections and the recipe itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from workbench.detectors import DEFAULT_ADDRESS
from workbench.recipe.alignment import AlignmentSettings, Decisions
from workbench.recipe.corrections import LOW_GAIN_FACTOR, Corrections
from workbench.recipe.events import Events
from workbench.recipe.fields import section, setting
from workbench.recipe.frames import FrameSettings
from workbench.recipe.mask import MaskSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Section = TypeVar("Section", bound="DataclassInstance")


@dataclass(frozen=True)
class Experiment:
    """Where the runs are. Relative paths are relative to the recipe file."""

    name: str = setting("", "experiment, e.g. cxim1416")
    address: str = setting(DEFAULT_ADDRESS, "detector address")
    dark: int | None = setting(None, "run without beam: average and stddev for the mask")
    bright: tuple[int, ...] = setting((), "runs with powder rings: maximum for mask and quadrants")
    detz_offset_mm: float | None = setting(None, "distance = encoder + this, mm")
    psdm_dir: str | None = setting(None, "root of the data tree (default $SIT_PSDM_DATA)")
    xtc_dir: str | None = setting(None, "folder of the .xtc files (default: in the data tree)")
    calib_dir: str | None = setting(None, "calibration directory (default: in the data tree)")
    geometry: str | None = setting(
        None, "geometry file to start from, e.g. 0-end.data.v0 (default: the deployed one)"
    )


@dataclass(frozen=True)
class Images:
    """Ready-made images instead of runs (CBF or other image files)."""

    average: str | None = setting(None, "average of a dark run")
    stddev: str | None = setting(None, "standard deviation of the dark run")
    maximum: str | None = setting(None, "maximum of bright runs")
    bright_average: str | None = setting(None, "average of the bright runs, for the alignment")


@dataclass(frozen=True)
class Output:
    """Where results go."""

    folder: str = setting("calibration", "averages, mask, corrected image and report")
    mask: str = setting("mask.pickle", "name of the mask file in that folder")


@dataclass(frozen=True)
class Recipe:
    """A whole calibration, from raw runs to a new geometry version."""

    experiment: Experiment = section(Experiment)
    images: Images = section(Images)
    events: Events = section(Events)
    dark_corrections: Corrections = section(
        Corrections.none, "the dark run stays raw: half of a corrected dark lies below zero"
    )
    bright_corrections: Corrections = section(lambda: Corrections(gain=LOW_GAIN_FACTOR))
    mask: MaskSettings = section(MaskSettings)
    alignment: AlignmentSettings = section(AlignmentSettings)
    decisions: Decisions = section(Decisions)
    output: Output = section(Output)
    frames: FrameSettings = section(FrameSettings, "single events for DIALS and CrystFEL")

    @property
    def runs_read(self) -> tuple[int | None, tuple[int, ...]]:
        """Dark run and bright runs that are averaged: those whose images are not named as files."""
        images, experiment = self.images, self.experiment
        dark = None if images.average and images.stddev else experiment.dark
        return dark, () if images.maximum else experiment.bright

    def changed(self, path: str, value: object) -> Recipe:
        """Copy with one setting changed: ``recipe.changed("mask.thresholds.maxproj_min", 250)``.

        Decisions are about groups; where these become others (``alignment.groups``), they go.

        Raises
        ------
        KeyError
            If there is no such setting.
        RecipeError
            If the value is refused.
        """
        result: Recipe = _changed(self, path.split("."), value)
        if result.alignment.groups != self.alignment.groups:
            result = dataclasses.replace(result, decisions=Decisions())
        return result

    def setting(self, path: str) -> object:
        """Value of one setting by its dotted path."""
        value: object = self
        for name in path.split("."):
            value = getattr(value, name)
        return value


def _changed(section: Section, names: list[str], value: object) -> Section:
    name, *rest = names
    if name not in {field.name for field in dataclasses.fields(section)}:
        raise KeyError(f"{type(section).__name__} has no setting {name!r}")
    if rest:
        value = _changed(getattr(section, name), rest, value)
    return dataclasses.replace(section, **{name: value})
