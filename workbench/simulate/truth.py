"""The truth behind the sample experiment: geometry, beam, faulty pixels; ``truth.json``."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import CSPAD, DEFAULT_ADDRESS
from workbench.errors import FileFormatError
from workbench.geometry import Geometry
from workbench.quantities import HC_EV_ANGSTROM
from workbench.recipe.corrections import LOW_GAIN_FACTOR
from workbench.simulate.physics import Scene, Shadow
from workbench.simulate.powder import ADU_PER_PHOTON
from workbench.simulate.sensor import LOW_GAIN_RADIUS_PX, Sensor, make_sensor

EXPERIMENT = "cxim1416"
EXPERIMENT_ID = 780
INSTRUMENT = "CXI"
DARK_RUN = 54
BRIGHT_RUNS = (74, 75)
BRIGHTNESS = {74: 1.0, 75: 0.85}
CRYSTAL_RUN = 80
CRYSTAL_HIT_RATE = 0.75
ENCODER_MM = -464.482
DETZ_OFFSET_MM = 585.5
PHOTON_ENERGY_EV = 9500.0
LARGEST_OFFSET_PX = 10.0
OPENING_UM = 700.0
"""How far the quadrants are moved out along x and y, so that misplaced ones do not overlap."""
DEFAULT_SEED = 1416

ROOT_X_UM, ROOT_Y_UM, ROOT_Z_UM = 150.0, -230.0, 1_000_000.0

SCENE = Scene(
    distance_mm=round(ENCODER_MM + DETZ_OFFSET_MM, 6),
    wavelength_angstrom=HC_EV_ANGSTROM / PHOTON_ENERGY_EV,
    rings="AgBeh",
    ring_photons=55.0,
    background_photons=90.0,
    flat_photons=18.0,
    shadow=Shadow(),
)
JET = dataclasses.replace(SCENE, ring_photons=0.0, background_photons=4.0, flat_photons=0.5)
"""What a run of crystals has beside their spots: scattering of the liquid jet."""


@dataclass(frozen=True)
class Truth:
    """What a sample experiment was made with.

    Attributes
    ----------
    seed : of all random numbers.
    deployed : geometry in the calibration directory; its quadrants are misplaced.
    offset_px : float64 ``(4, 2)``, displacement of the ring centre as seen in `deployed`, in
        pixels of lab x, y: the true origin of a quadrant is the deployed one minus this.
    """

    seed: int
    deployed: Geometry
    offset_px: NDArray[np.float64]

    @cached_property
    def geometry(self) -> Geometry:
        """Geometry in which the rings are round about the beam."""
        return self.deployed.move_quadrants(self.offset_px)

    @cached_property
    def sensor(self) -> Sensor:
        """The simulated detector."""
        return make_sensor(self.seed, self.deployed.pixel_positions_um())

    def to_text(self, events: int) -> str:
        """Text of ``truth.json``; see `entries_text`."""
        faulty = {kind: index.tolist() for kind, index in self.sensor.faulty.items()}
        counts = {kind: len(index) for kind, index in faulty.items()}
        counts["unbonded"] = int(CSPAD.unbonded_pixels().sum())
        entries: dict[str, Any] = {
            "experiment": EXPERIMENT,
            "address": DEFAULT_ADDRESS,
            "dark_run": DARK_RUN,
            "bright_runs": BRIGHT_RUNS,
            "seed": self.seed,
            "events_per_run": events,
            "offset_px": self.offset_px.tolist(),
            "offset_meaning": "x, y of the ring centre as seen in the deployed geometry, for "
            "quadrants 0 to 3; true quadrant origin = deployed origin - offset "
            f"(1 px = {CSPAD.pixel_um} um)",
            "encoder_mm": ENCODER_MM,
            "detz_offset_mm": DETZ_OFFSET_MM,
            "distance_mm": SCENE.distance_mm,
            "photon_energy_ev": PHOTON_ENERGY_EV,
            "wavelength_angstrom": SCENE.wavelength_angstrom,
            "rings": SCENE.rings,
            "adu_per_photon": ADU_PER_PHOTON,
            "low_gain_factor": LOW_GAIN_FACTOR,
            "low_gain_radius_px": LOW_GAIN_RADIUS_PX,
            "low_gain_pixels": int(self.sensor.low_gain.sum()),
            "shadow": None if SCENE.shadow is None else dataclasses.asdict(SCENE.shadow),
            "faulty_counts": counts,
            "faulty_meaning": "flat indices into (32, 185, 388); unbonded pixels are the diagonals",
            **{f"faulty_{kind}": index for kind, index in faulty.items()},
        }
        return entries_text(entries)


def draw_offsets_px(
    random: np.random.RandomState, groups: int, shortest: float
) -> NDArray[np.float64]:
    """Offsets of groups, px ``(groups, 2)``: `shortest` to all of `LARGEST_OFFSET_PX` long."""
    lengths = random.uniform(shortest, 1.0, groups) * LARGEST_OFFSET_PX
    angles = random.uniform(0, 2 * np.pi, groups)
    offsets = np.stack([lengths * np.cos(angles), lengths * np.sin(angles)], axis=1)
    return np.asarray(np.trunc(offsets * 100) / 100)


def make_truth(seed: int = DEFAULT_SEED) -> Truth:
    """Draw deployed geometry and quadrant offsets; same seed, same truth."""
    random = np.random.RandomState([seed % 2**32, 1])
    geometry = Geometry.ideal()
    for sensor in geometry.sensors:
        # as metrology of a CXI detector finds them: tenths of a millimetre, tenths of a degree
        x, y, z = np.rint(random.normal(0, (70, 70, 50)))
        tilt_z, tilt_y, tilt_x = np.round(random.normal(0, (0.07, 0.1, 0.1)), 5)
        geometry = geometry.replace(
            sensor, x0=sensor.x0 + x, y0=sensor.y0 + y, z0=sensor.z0 + z,
            tilt_z=tilt_z, tilt_y=tilt_y, tilt_x=tilt_x,
        )  # fmt: skip
    offsets = draw_offsets_px(random, len(CSPAD.groups), 0.55)
    middles = geometry.pixel_positions_um()[..., :2].reshape(len(CSPAD.groups), -1, 2).mean(axis=1)
    for quadrant, middle, offset in zip(geometry.quadrants, middles, offsets, strict=True):
        shift = np.copysign(OPENING_UM, middle) + random.normal(0, 100, 2)
        x, y = np.rint(shift + offset * CSPAD.pixel_um)
        geometry = geometry.replace(quadrant, x0=quadrant.x0 + x, y0=quadrant.y0 + y)
    root = geometry.parent(geometry.quadrants[0])
    assert root is not None
    geometry = geometry.replace(root, x0=ROOT_X_UM, y0=ROOT_Y_UM, z0=ROOT_Z_UM)
    return Truth(seed, Geometry.parse(_slac_text(geometry, "deployed"), "deployed"), offsets)


def entries_text(entries: Mapping[str, Any]) -> str:
    """Text of a ``truth.json``: one line per entry, long lists included."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def true_geometry_text(truth: Truth) -> str:
    """SLAC text of the true geometry, positions rounded to 1 µm as in any such file."""
    return _slac_text(truth.geometry, "true")


def read_truth(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Entries of a ``truth.json``, with ``offset_px`` as an array ``(4, 2)``.

    Raises
    ------
    FileFormatError
        If the file cannot be read or is not a truth file.
    """
    try:
        entries: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        entries["offset_px"] = np.array(entries["offset_px"], dtype=np.float64).reshape(4, 2)
    except OSError as error:
        raise FileFormatError(path, f"cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(path, "is not the truth file of a sample experiment.") from error
    return entries


def faulty_pixels(entries: dict[str, Any]) -> dict[str, NDArray[np.bool_]]:
    """Faulty pixels by kind, bool ``(32, 185, 388)``, from `read_truth`; unbonded ones as well."""
    faulty = {"unbonded": CSPAD.unbonded_pixels()}
    for kind in entries["faulty_counts"]:
        if kind != "unbonded":
            faulty[kind] = np.zeros(CSPAD.shape, dtype=bool)
            faulty[kind].reshape(-1)[entries[f"faulty_{kind}"]] = True
    return faulty


_HEADER = """\
# TITLE       Geometry parameters of CSPAD
# METROLOGY   simulated
# AUTHOR      workbench simulate
# EXPERIMENT  {experiment}
# DETECTOR    CSPAD-CXI
# CALIB_TYPE  geometry
# COMMENT:01  {comment}
# COMMENT:02  All translations and rotations are defined with respect to the parent object
# PARAM:01    PARENT, IND, OBJECT, IND - names and indices of the parent and of the object
# PARAM:02    X0, Y0, Z0 [um]          - origin of the object in the parent's frame
# PARAM:03    ROT-Z, ROT-Y, ROT-X [deg]    - design rotation about the axis of the parent's frame
# PARAM:04    TILT-Z, TILT-Y, TILT-X [deg] - correction of the rotation
# HDR PARENT IND   OBJECT IND  X0[um] Y0[um] Z0[um]  ROT-Z ROT-Y ROT-X  TILT-Z TILT-Y TILT-X
"""
_COMMENTS = {
    "deployed": "Deployed geometry: its quadrants are misplaced, see truth.json",
    "true": "True geometry: the powder rings are round about x = y = 0",
}


def _slac_text(geometry: Geometry, which: str) -> str:
    # written here, not by Geometry.write: the text has no date, so the same seed gives the same
    # bytes, and whole micrometres as PSCalib writes them
    lines = [_HEADER.format(experiment=EXPERIMENT, comment=_COMMENTS[which])]
    for placed in geometry.objects:
        position = "".join(f"{value:>9.0f}" for value in placed.origin_um + 0.0)
        design = "".join(f"{value:>6.1f}" for value in (placed.rot_z, placed.rot_y, placed.rot_x))
        tilt = "".join(f"{value:>10.5f}" for value in (placed.tilt_z, placed.tilt_y, placed.tilt_x))
        lines.append(
            f"{placed.parent:<10s} {placed.parent_index:>2d}   {placed.name:<10s} "
            f"{placed.index:>2d} {position} {design} {tilt}\n"
        )
    return "".join(lines)
