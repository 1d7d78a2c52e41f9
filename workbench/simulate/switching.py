"""Sample experiments of detectors that switch their gain: a dark run and one with powder rings.

Every pixel begins in high gain and goes on to a lower one where its signal is too large; each range
has a pedestal, a gain and a noise of its own.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.constants import constants_folder
from workbench.detectors import EPIX10K2M, JUNGFRAU_4M, Detector
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.progress import Progress, Silent, raise_if_cancelled
from workbench.quantities import HC_EV_ANGSTROM
from workbench.recipe import Experiment, MaskSettings, Recipe, Thresholds, recipe_to_text
from workbench.simulate.physics import Scene, Shadow, expected_photons
from workbench.simulate.placing import SamplePlaces, placed, refuse_events, refuse_tree
from workbench.simulate.powder import shot_intensities
from workbench.simulate.sampling import normal_table, on_threads, read_out_ranges
from workbench.simulate.switching_format import Epix10k2MPayloads, Jungfrau4MPayloads
from workbench.simulate.truth import DEFAULT_SEED, draw_offsets_px, entries_text
from workbench.simulate.xtc_writer import Payloads, RunWriter

DARK_RUN, BRIGHT_RUN = 10, 20
PHOTON_ENERGY_EV = 9500.0
FAULTY = 400
"""Pixels of each kind: hot (too high in the dark), noisy, dead (no signal)."""
ROOT_Z_UM = 1_000_000.0
_START_S = {DARK_RUN: 1_600_000_000, BRIGHT_RUN: 1_600_003_600}
_COMMON_MODE_ADU = 2.0


@dataclass(frozen=True)
class Stage:
    """One gain range that pixels of the sample take.

    Attributes
    ----------
    gain_range : its number in files of constants.
    bits : gain bits 15 and 14 of the data.
    adu_per_kev : nominal; below 0 where the ADC value falls with light.
    pedestal_adu, noise_adu : nominal.
    """

    gain_range: int
    bits: int
    adu_per_kev: float
    pedestal_adu: float
    noise_adu: float


@dataclass(frozen=True)
class Sample:
    """What a sample experiment is of.

    Attributes
    ----------
    detector : what takes it.
    experiment, experiment_id, instrument : its names.
    payloads : writes the detector's objects.
    stages : gain ranges in the order a pixel goes through them.
    switch_adu : a signal beyond this makes a pixel go on to the next stage.
    forced : writes objects of a detector all of whose pixels are in the second stage, the third, …,
        for dark runs of these; empty where no dark run can show them.
    """

    detector: Detector
    experiment: str
    experiment_id: int
    instrument: str
    payloads: Callable[[], Payloads]
    stages: tuple[Stage, ...]
    switch_adu: float
    scene: Scene
    forced: tuple[Callable[[], Payloads], ...] = ()

    @property
    def tree(self) -> str:
        """Folder of the experiment in the data tree."""
        return f"{self.instrument}/{self.experiment}"

    @property
    def recipe_name(self) -> str:
        """File of the recipe that calibrates the experiment."""
        return f"{self.experiment}_r{BRIGHT_RUN:04d}.calibration.toml"


_SCENE = Scene(
    distance_mm=121.0,
    wavelength_angstrom=HC_EV_ANGSTROM / PHOTON_ENERGY_EV,
    rings="AgBeh",
    ring_photons=90.0,
    background_photons=70.0,
    flat_photons=10.0,
    shadow=Shadow(),
)
SAMPLES = {
    "epix10k2m": Sample(
        EPIX10K2M, "mfxsim0010", 10010, "MFX", Epix10k2MPayloads,
        (Stage(3, 0, 16.40, 3000.0, 4.0), Stage(5, 1, 0.164, 3200.0, 2.0)),
        11000.0, _SCENE,
    ),
    "jungfrau4m": Sample(
        JUNGFRAU_4M, "cxisim0020", 10020, "CXI", Jungfrau4MPayloads,
        (Stage(0, 0, 41.5, 3000.0, 8.0), Stage(1, 1, -1.39, 14500.0, 4.0),
         Stage(2, 3, -0.11, 14500.0, 4.0)),
        12000.0, _SCENE, (partial(Jungfrau4MPayloads, 3), partial(Jungfrau4MPayloads, 4)),
    ),
}  # fmt: skip
"""Sample experiments by the name given on the command line."""


@dataclass(frozen=True)
class SwitchingExperiment(SamplePlaces):
    """Where the parts of a sample experiment are, and what it is of."""

    sample: Sample

    @classmethod
    def of(cls, sample: Sample, folder: Path) -> SwitchingExperiment:
        """Places of a sample experiment in a folder."""
        return cls(folder, sample.tree, sample.recipe_name, sample)


def write_switching_experiment(
    folder: str | os.PathLike[str],
    name: str,
    events: int = 26,
    seed: int = DEFAULT_SEED,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
    range_darks: bool = False,
) -> SwitchingExperiment:
    """Write a sample experiment of one of `SAMPLES`: dark run 10 and bright run 20.

    `range_darks` adds dark runs 11, 12, … of the other gain ranges, for their pedestals. The same
    arguments give the same bytes. It is made whole or not at all.

    Raises
    ------
    WorkbenchError
        If an argument cannot be used, the folder holds other data and `overwrite` is False, or
        the disk is full.
    """
    if name not in SAMPLES:
        raise WorkbenchError(
            f"There is no sample experiment of {name!r}; there are {', '.join(SAMPLES)}."
        )
    refuse_events(events)
    sample, folder, progress = SAMPLES[name], Path(folder), progress or Silent()
    if range_darks and not sample.forced:
        raise WorkbenchError(
            f"No dark run of the {sample.detector.name} shows the other gain range of its sample "
            "experiment; leave --range-darks out."
        )
    refuse_tree(folder, overwrite, sample.tree)
    truth = _make_truth(sample, seed)
    pixels, ranges = sample.detector.pixels, sample.detector.gain_ranges
    assert ranges is not None
    runs = 2 + range_darks * len(sample.forced)
    needed = 5 * pixels * events * runs // 2 + 14 * ranges.count * pixels + 30_000_000
    texts, words = _texts(sample, truth, events), f"{events} events per run, seed {seed}"
    with placed(folder, sample.tree, texts, needed, overwrite, words) as hidden:
        made = SwitchingExperiment.of(sample, hidden)
        _write_constants(truth, made)
        _write_runs(truth, made, events, range_darks, progress)
    return SwitchingExperiment.of(sample, folder)


@dataclass(frozen=True)
class _Truth:
    """What a sample experiment is made with; arrays of stages are ``(stages, *shape)``, float32.

    `steps` are the gains of single pixels in thousandths of the nominal ones, less 1000.
    """

    seed: int
    deployed: Geometry
    offset_px: NDArray[np.float64]
    pedestal: NDArray[np.float32]
    noise: NDArray[np.float32]
    steps: NDArray[np.int8]
    faulty: dict[str, NDArray[np.int64]]

    @property
    def geometry(self) -> Geometry:
        """Geometry in which the rings are round."""
        return self.deployed.move_quadrants(self.offset_px)


def _make_truth(sample: Sample, seed: int) -> _Truth:
    detector = sample.detector
    random = np.random.RandomState([seed % 2**32, 11])
    true = Geometry.ideal(detector)
    for module in true.modules:
        # as metrology finds them: tenths of a millimetre and of a degree
        x, y, z = np.rint(random.normal(0, (40, 40, 30)))
        true = true.replace(
            module, x0=module.x0 + x, y0=module.y0 + y, z0=module.z0 + z,
            tilt_z=float(np.round(random.normal(0, 0.1), 5)),
        )  # fmt: skip
    offsets = draw_offsets_px(random, len(detector.groups), 0.4)
    deployed = true.move_quadrants(-offsets)
    nominal = [(stage.pedestal_adu, stage.noise_adu) for stage in sample.stages]
    shape = detector.shape
    level = random.uniform(-150, 150, (len(nominal), detector.modules, 1, 1))
    pedestal = np.stack([adu + random.normal(0, 60, shape) for adu, _ in nominal]) + level
    pedestal = np.rint(np.clip(pedestal, 100, 15900))
    noise = np.stack([np.full(shape, adu) for _, adu in nominal])
    steps = np.clip(np.rint(random.normal(0, 15, (len(nominal), *shape))), -50, 50)
    candidates = random.permutation(detector.pixels)[: 3 * FAULTY]
    faulty = dict(zip(("hot", "noisy", "dead"), candidates.reshape(3, FAULTY), strict=True))
    pedestal[0].reshape(-1)[faulty["hot"]] = 9000
    noise[0].reshape(-1)[faulty["noisy"]] = 60
    return _Truth(
        seed, deployed, offsets, pedestal.astype(np.float32), noise.astype(np.float32),
        steps.astype(np.int8), faulty,
    )  # fmt: skip


def _texts(sample: Sample, truth: _Truth, events: int) -> dict[str, str]:
    detector = sample.detector
    recipe = Recipe(
        experiment=Experiment(
            name=sample.experiment, address=detector.address, dark=DARK_RUN, bright=(BRIGHT_RUN,),
            detz_offset_mm=sample.scene.distance_mm, psdm_dir=".",
        ),
        mask=MaskSettings(thresholds=Thresholds(5000.0, 20.0, 300.0)),
    )  # fmt: skip
    entries = {
        "experiment": sample.experiment,
        "address": detector.address,
        "detector": detector.name,
        "dark_run": DARK_RUN,
        "bright_runs": [BRIGHT_RUN],
        "seed": truth.seed,
        "events_per_run": events,
        "offset_px": truth.offset_px.tolist(),
        "offset_meaning": "x, y of the ring centre as seen in the deployed geometry, for each "
        f"group; true origin = deployed origin - offset (1 px = {detector.pixel_um} um)",
        "distance_mm": sample.scene.distance_mm,
        "photon_energy_ev": PHOTON_ENERGY_EV,
        "rings": sample.scene.rings,
        "gain_ranges": [dataclasses.asdict(stage) for stage in sample.stages],
        "switch_adu": sample.switch_adu,
        **{f"faulty_{kind}": sorted(map(int, index)) for kind, index in truth.faulty.items()},
    }
    name = sample.recipe_name
    return {
        "README.md": README.format(
            sample=sample, dark=DARK_RUN, bright=BRIGHT_RUN, detector=detector.name, recipe=name
        ),
        "ExpNameDb/experiment-db.dat": (
            f"{sample.experiment_id} {sample.instrument} {sample.experiment}\n"
        ),
        "geometry/deployed.data": _dateless(truth.deployed),
        "geometry/true.data": _dateless(truth.geometry),
        "truth.json": entries_text(entries),
        name: recipe_to_text(recipe),
    }


def _dateless(geometry: Geometry) -> str:
    """Text of a geometry without the time at which it was made: the same seed, the same bytes."""
    lines = geometry.to_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("# DATE_TIME"))


def _write_constants(truth: _Truth, made: SwitchingExperiment) -> None:
    """Geometry, pedestals and gains of all ranges, status, common mode."""
    detector, stages = made.sample.detector, made.sample.stages
    ranges = detector.gain_ranges
    assert ranges is not None

    def folder(kind: str) -> Path:
        path = constants_folder(made.calib_dir, detector.address, kind)
        path.mkdir(parents=True)
        return path

    (folder("geometry") / "0-end.data").write_text(_dateless(truth.deployed), encoding="utf-8")
    (folder("common_mode") / "0-end.data").write_text("7 2 10 10\n")
    status = np.zeros(detector.pixels, np.int64)
    status[truth.faulty["hot"]], status[truth.faulty["noisy"]] = 16, 1
    words = np.array([f"{word} " for word in range(17)], "S3")
    steps = np.array([f"{word} " for word in range(1 << 14)], "S6")
    stage_of = {stage.gain_range: number for number, stage in enumerate(stages)}
    highest = stages[0].adu_per_kev
    with (
        (folder("pedestals") / "0-end.data").open("wb") as pedestals,
        (folder("pixel_gain") / "0-end.data").open("wb") as gains,
        (folder("pixel_status") / "0-end.data").open("wb") as bits,
    ):
        for gain_range in range(ranges.count):
            # a range that no pixel takes has the constants of the first stage, with its own gain
            stage = stage_of.get(gain_range, 0)
            nominal = highest / ranges.factors[gain_range]
            if gain_range in stage_of:
                nominal = stages[stage].adu_per_kev
            gain = [f"{nominal * (1 + step / 1000):.6g} " for step in range(-50, 51)]
            index = truth.steps[stage].reshape(-1).astype(np.int64) + 50
            gains.write(_lines(np.array(gain), index, detector.columns))
            pedestal = truth.pedestal[stage].reshape(-1).astype(np.int64)
            pedestals.write(_lines(steps, pedestal, detector.columns))
            bits.write(_lines(words, status, detector.columns))


def _lines(
    words: NDArray[np.str_] | NDArray[np.bytes_], index: NDArray[np.int64], columns: int
) -> bytes:
    """Text of numbers that are looked up in a table, a line for each row of a module."""
    table = words.astype("S")
    width = table.dtype.itemsize
    padded = np.array([word.ljust(width) for word in table.tolist()], f"S{width}")
    rows = padded[index].reshape(-1, columns).view(np.uint8).reshape(-1, columns * width)
    rows[:, -1] = ord("\n")
    return rows.tobytes()


def _write_runs(
    truth: _Truth, made: SwitchingExperiment, events: int, range_darks: bool, progress: Progress
) -> None:
    sample, detector = made.sample, made.sample.detector
    made.xtc_dir.mkdir()
    light = expected_photons(
        truth.geometry.pixel_positions_um(wide_pixel_centre=True), sample.scene,
        plane_z_um=ROOT_Z_UM, pixel_um=detector.pixel_um,
    )  # fmt: skip
    wide = detector.wide_um / detector.pixel_um
    light[:, list(detector.wide_rows)] *= wide
    light[..., list(detector.wide_columns)] *= wide
    light.reshape(-1)[truth.faulty["dead"]] = 0
    nominal = np.array([stage.adu_per_kev for stage in sample.stages])[:, None, None, None]
    response = nominal * (1 + truth.steps / 1000) * PHOTON_ENERGY_EV / 1000
    response = response.astype(np.float32)
    constants = truth.pedestal, truth.noise, response
    bits = np.array([stage.bits << 14 for stage in sample.stages], np.uint16)
    table, frame = normal_table(), np.empty(detector.shape, np.uint16)
    runs = [(DARK_RUN, 0, sample.payloads), (BRIGHT_RUN, 0, sample.payloads)]
    if range_darks:
        runs += [(DARK_RUN + stage, stage, of) for stage, of in enumerate(sample.forced, start=1)]
    for number, (run, first, payloads) in enumerate(runs):
        random = np.random.RandomState([truth.seed % 2**32, 13, run])
        bright = run == BRIGHT_RUN
        intensities = shot_intensities(random, events, 0.15) * bright
        with RunWriter(
            made.xtc_dir, run, start_s=_start_s(run), address=detector.address,
            prefix=f"e{sample.experiment_id}", payloads=payloads(),
            events_per_chunk=(events + 3) // 4,
        ) as writer:  # fmt: skip
            for event in range(events):
                raise_if_cancelled(progress, "Writing the sample experiment")
                progress.update(number * events + event, len(runs) * events, f"run {run}")
                common_mode = random.normal(0, _COMMON_MODE_ADU, detector.modules)
                if first:
                    common_mode[:] = 0  # it is of the first stage alone
                gains = sample.switch_adu, bits[first:]
                on_threads(
                    read_out_ranges,
                    (
                        (
                            light[i], float(intensities[event]),
                            tuple(values[first:, i] for values in constants), common_mode[i],
                            gains, (truth.seed, run, event, i), table, frame[i],
                        )
                        for i in range(detector.modules)
                    ),
                )  # fmt: skip
                writer.event(
                    frame,
                    codes=(40, 140) if bright else (40, 162),
                    photon_energy_ev=PHOTON_ENERGY_EV if bright else None,
                )
    progress.update(len(runs) * events, len(runs) * events, "done")


def _start_s(run: int) -> int:
    """Begin of a run, seconds since 1970; dark runs of further ranges follow the first."""
    return _START_S[run] if run in _START_S else _START_S[DARK_RUN] + 600 * (run - DARK_RUN)


README = """\
# Sample experiment {sample.experiment}

A simulated powder calibration of the {detector}, written by `workbench simulate`: 9.5 keV, silver
behenate in a water jet, a beam stop with its arm. Pixels switch their gain where rings and water
are bright; the ranges have pedestals and gains of their own. The same number of events and the
same seed give the same bytes.

| path | what it is |
|---|---|
| `{sample.tree}/xtc/` | dark run {dark}, bright run {bright}: XTC, two streams of two chunks |
| `{sample.tree}/calib/` | geometry, pedestals, pixel_gain (ADU/keV), pixel_status, common_mode |
| `geometry/deployed.data` | the geometry as first deployed, groups misplaced by 4 to 10 pixels |
| `geometry/true.data` | the geometry in which the rings are round |
| `truth.json` | offsets of the groups, beam, distance, gain ranges, lists of faulty pixels |
| `{recipe}` | recipe of the whole calibration |
"""
