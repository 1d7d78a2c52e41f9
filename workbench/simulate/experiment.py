"""A whole sample experiment on disk, as LCLS lays one out: XTC runs, constants, geometry, truth.

::

    <folder>/ExpNameDb/experiment-db.dat
    <folder>/CXI/cxim1416/xtc/e780-r0054-s00-c00.xtc …
    <folder>/CXI/cxim1416/calib/CsPad::CalibV1/CxiDs1.0:Cspad.0/{geometry,pedestals,…}
    <folder>/CXI/cxim1416/SIMULATED
    <folder>/geometry/{deployed,true}.data, truth.json, README.md, a recipe
    <folder>/.complete

``.complete`` is written last; without it the folder is not whole. ``SIMULATED`` marks the only
kind of experiment that is ever replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.constants import write_constants_file
from workbench.detectors import CSPAD, DEFAULT_ADDRESS
from workbench.errors import WorkbenchError
from workbench.progress import Progress, Silent, raise_if_cancelled
from workbench.quantities import HC_EV_ANGSTROM
from workbench.recipe import Experiment, Recipe, recipe_to_text
from workbench.simulate.crystals import Crystal, CrystalShots
from workbench.simulate.physics import expected_photons
from workbench.simulate.placing import SamplePlaces, placed, refuse_events, refuse_tree
from workbench.simulate.powder import shot_intensities, spot_stamps
from workbench.simulate.sensor import COMMON_MODE_ADU, FrameMaker
from workbench.simulate.texts import README
from workbench.simulate.truth import (
    BRIGHT_RUNS,
    BRIGHTNESS,
    CRYSTAL_HIT_RATE,
    CRYSTAL_RUN,
    DARK_RUN,
    DEFAULT_SEED,
    DETZ_OFFSET_MM,
    ENCODER_MM,
    EXPERIMENT,
    EXPERIMENT_ID,
    INSTRUMENT,
    JET,
    PHOTON_ENERGY_EV,
    ROOT_Z_UM,
    SCENE,
    Truth,
    make_truth,
    true_geometry_text,
)
from workbench.simulate.xtc_format import ELEMENT_BYTES
from workbench.simulate.xtc_writer import RunWriter

DEFAULT_EVENTS = 26
RECIPE = f"{EXPERIMENT}_r{BRIGHT_RUNS[0]:04d}.calibration.toml"
TREE = f"{INSTRUMENT}/{EXPERIMENT}"

_START_S = {
    54: 1456011960,
    74: 1456024000,
    75: 1456024600,
    80: 1456027200,
}  # 20 and 21 February 2016, UTC
_FIRST_FIDUCIAL = {
    54: 3003,
    74: 130983,
    75: 61251,
    80: 22008,
}  # run 74 sees the fiducials start again
Stamps = tuple[NDArray[np.int64], NDArray[np.int64]]
MakeSpots = Callable[[np.random.RandomState, float, float], Stamps | None]
"""Draws the spots of a shot from the random stream, its wavelength (Å) and its intensity."""
_SPOTS = 6
_SPOT_PHOTONS = 150.0
_DARK_CODES = (40, 41, 162)
_BRIGHT_CODES = (40, 41, 140, 141)
_EPICS_EVERY = 6


@dataclass(frozen=True)
class SampleExperiment(SamplePlaces):
    """Where the parts of the sample experiment of a CSPAD are."""

    tree: str = TREE
    recipe_name: str = RECIPE

    @property
    def geometry(self) -> Path:
        """Deployed geometry file."""
        return self.calib_dir / CSPAD.calib_group / DEFAULT_ADDRESS / "geometry" / "0-end.data"


def write_experiment(
    folder: str | os.PathLike[str],
    events: int = DEFAULT_EVENTS,
    seed: int = DEFAULT_SEED,
    progress: Progress | None = None,
    *,
    crystals: int = 0,
    overwrite: bool = False,
) -> SampleExperiment:
    """Write the sample experiment ``cxim1416``: dark run 54, bright runs 74 and 75.

    The same `events` and `seed` give the same bytes. Everything is made in a hidden folder inside
    `folder` and moved to its place at the end, so an interrupted writing leaves nothing.

    Parameters
    ----------
    folder : created if absent.
    events : per run; 4.6 MB each, three runs.
    seed : of geometry, detector and noise, 0 to 2³² − 1.
    progress : counts events of all runs.
    crystals : events of run 80, still patterns of lysozyme in random orientations, three in four
        of which hit a crystal; 0 leaves the run out.
    overwrite : replace a sample experiment that is there, with everything deployed in it; other
        files in the folder are left alone.

    Raises
    ------
    WorkbenchError
        If an argument cannot be used, the folder holds other data and `overwrite` is False, or
        the disk is full.
    """
    folder = Path(folder)
    refuse_events(events)
    if crystals:
        refuse_events(crystals)
    if not 0 <= seed < 2**32:
        raise WorkbenchError(f"The seed is {seed}; it must be 0 to {2**32 - 1}.")
    refuse_tree(folder, overwrite, TREE)
    truth = make_truth(seed)
    needed = 4 * ELEMENT_BYTES * (3 * events + crystals) + 30_000_000
    words = f"{events} events per run, seed {seed}"
    with placed(folder, TREE, sample_texts(truth, events), needed, overwrite, words) as hidden:
        sample = SampleExperiment(hidden)
        _write_constants(truth, sample)
        _write_runs(truth, sample, events, crystals, progress or Silent())
    return SampleExperiment(folder)


def sample_texts(truth: Truth, events: int = DEFAULT_EVENTS) -> dict[str, str]:
    """Small text files of the sample experiment: text by path in its folder."""
    recipe = Recipe(
        experiment=Experiment(
            name=EXPERIMENT,
            dark=DARK_RUN,
            bright=BRIGHT_RUNS,
            detz_offset_mm=DETZ_OFFSET_MM,
            psdm_dir=".",
        )
    )
    return {
        "README.md": README,
        "ExpNameDb/experiment-db.dat": f"{EXPERIMENT_ID} {INSTRUMENT} {EXPERIMENT}\n",
        "geometry/deployed.data": truth.deployed.to_text(),
        "geometry/true.data": true_geometry_text(truth),
        "truth.json": truth.to_text(events),
        RECIPE: recipe_to_text(recipe),
    }


# ---- making the parts -------------------------------------------------------------------------


def _write_constants(truth: Truth, sample: SampleExperiment) -> None:
    """Geometry as a plain file, constants of an earlier dark run for all runs."""
    sample.geometry.parent.mkdir(parents=True)
    sample.geometry.write_text(truth.deployed.to_text(), encoding="utf-8")
    random = np.random.RandomState([truth.seed % 2**32, 2])
    measured = truth.sensor.pedestal + random.normal(0, 0.15, truth.sensor.pedestal.shape)
    pedestals = (np.rint(np.maximum(measured, 0) * 4) / 4).astype(np.float32)
    for kind, values in (("pedestals", pedestals), ("pixel_status", truth.sensor.status())):
        header = {"CALIB_TYPE": kind, "DETECTOR": DEFAULT_ADDRESS, "COMMENT": "simulated"}
        path = sample.geometry.parents[1] / kind / "0-end.data"
        write_constants_file(values.reshape(-1, CSPAD.columns), path, header)
    common_mode = sample.geometry.parents[1] / "common_mode" / "0-end.data"
    common_mode.parent.mkdir()
    common_mode.write_text("1 25 25 100 1\n")


def _write_runs(
    truth: Truth, sample: SampleExperiment, events: int, crystals: int, progress: Progress
) -> None:
    sample.xtc_dir.mkdir()
    positions = truth.geometry.pixel_positions_um()
    light = expected_photons(positions, SCENE, plane_z_um=ROOT_Z_UM)
    rings = expected_photons(positions, SCENE, plane_z_um=ROOT_Z_UM, rings_only=True)
    done, total = 0, (1 + len(BRIGHT_RUNS)) * events + crystals

    def bright_spots(random: np.random.RandomState, wavelength: float, intensity: float) -> Stamps:
        return spot_stamps(random, rings, _SPOTS, _SPOT_PHOTONS)

    for run in (DARK_RUN, *BRIGHT_RUNS):
        spots = bright_spots if run in BRIGHT_RUNS else None
        _write_run(
            truth, sample, run, events, light, BRIGHTNESS.get(run, 0.0), spots, progress,
            (done, total),
        )  # fmt: skip
        done += events
    if crystals:
        jet = expected_photons(positions, JET, plane_z_um=ROOT_Z_UM)
        shots = CrystalShots(Crystal(), truth.geometry, SCENE.distance_mm, ROOT_Z_UM)

        def crystal_spots(
            random: np.random.RandomState, wavelength: float, intensity: float
        ) -> Stamps | None:
            hit = random.random_sample() < CRYSTAL_HIT_RATE
            return shots.stamps(random, wavelength, intensity) if hit else None

        _write_run(
            truth, sample, CRYSTAL_RUN, crystals, jet, 1.0, crystal_spots, progress, (done, total)
        )
    progress.update(total, total, "done")


def _write_run(
    truth: Truth,
    sample: SampleExperiment,
    run: int,
    events: int,
    light: NDArray[np.float32],
    brightness: float,
    spots: MakeSpots | None,
    progress: Progress,
    place: tuple[int, int],
) -> None:
    """Write one run; `place` is how many events of all were written, and how many there are."""
    random = np.random.RandomState([truth.seed % 2**32, 3, run])
    intensities = shot_intensities(random, events, 0.15) * brightness
    energies = random.normal(PHOTON_ENERGY_EV, 4.0, events)
    frames = FrameMaker(truth.sensor, light, truth.seed, run)
    with RunWriter(
        sample.xtc_dir,
        run,
        start_s=_START_S[run],
        low_gain=truth.sensor.low_gain,
        prefix=f"e{EXPERIMENT_ID}",
        events_per_chunk=(events + 3) // 4,
        encoder_mm=ENCODER_MM,
        alias="DscCsPad",
        first_fiducial=_FIRST_FIDUCIAL[run],
    ) as writer:
        for event in range(events):
            raise_if_cancelled(progress, "Writing the sample experiment")
            progress.update(place[0] + event, place[1], f"run {run}")
            common_mode = random.normal(0, COMMON_MODE_ADU, CSPAD.modules)
            stamps = None
            if spots is not None:
                wavelength = HC_EV_ANGSTROM / energies[event]
                stamps = spots(random, wavelength, intensities[event])
            encoder = ENCODER_MM + random.normal(0, 0.0005)
            writer.event(
                frames.frame(event, intensities[event], common_mode, stamps),
                codes=_BRIGHT_CODES if spots is not None else _DARK_CODES,
                photon_energy_ev=energies[event] if spots is not None else None,
                encoder_mm=encoder if event % _EPICS_EVERY < 2 else None,
            )
