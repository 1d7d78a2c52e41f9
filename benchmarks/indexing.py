"""Indexing of simulated crystal shots by the real DIALS, with four calibrations of the detector.

A run of lysozyme shots is simulated with the sample experiment's true geometry. Its frames are
written with (a) the deployed geometry and no mask, (b) the deployed geometry and the mask made
here, (c) the geometry aligned here and the mask, (d) the true geometry and the mask, and indexed by
``dials.stills_process`` with the cell known. Needs Debian's ``dials`` and about ten minutes.

    python benchmarks/indexing.py --shots 20 --seed 1416
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import workbench as wb
from workbench.geometry import Geometry
from workbench.simulate.crystals import Crystal
from workbench.simulate.experiment import SampleExperiment, write_experiment
from workbench.simulate.truth import CRYSTAL_RUN, DETZ_OFFSET_MM

DEBIAN_PYTHON = "/usr/bin/python3"
CALIBRATIONS = {
    "a": "deployed geometry, no mask",
    "b": "deployed geometry, mask",
    "c": "aligned geometry, mask",
    "d": "true geometry, mask",
}
GAIN = wb.Corrections(gain=6.85)
HIT_PEAKS = 40
CELL = Crystal()
PHIL = f"""
spotfinder.threshold.dispersion.gain=28
spotfinder.threshold.dispersion.global_threshold=100
spotfinder.filter.min_spot_size=3
indexing.known_symmetry.space_group=P43212
indexing.known_symmetry.unit_cell={CELL.a_angstrom},{CELL.a_angstrom},{CELL.c_angstrom},90,90,90
indexing.stills.indexer=stills
dispatch.integrate=False
mp.nproc=1
"""
READ = """
import glob, json, sys
from dials.array_family import flex
frames, x2, y2, spots = 0, 0.0, 0.0, 0
for path in sorted(glob.glob(sys.argv[1] + "/*_refined.expt")):
    from dxtbx.model.experiment_list import ExperimentListFactory
    frames += len(ExperimentListFactory.from_json_file(path, check_format=False))
for path in sorted(glob.glob(sys.argv[1] + "/*_indexed.refl")):
    table = flex.reflection_table.from_file(path)
    table = table.select(table.get_flags(table.flags.used_in_refinement))
    dx, dy, _ = (table["xyzcal.px"] - table["xyzobs.px.value"]).parts()
    x2 += flex.sum(dx * dx); y2 += flex.sum(dy * dy); spots += len(table)
print(json.dumps([frames, spots, ((x2 + y2) / spots) ** 0.5 if spots else None]))
"""


@dataclass(frozen=True)
class Indexed:
    """What DIALS made of the frames.

    Attributes
    ----------
    hits : frames given to it.
    frames : frames indexed.
    spots : spots used in refinement.
    rmsd_px : root mean square distance of predicted and observed spots; None without spots.
    """

    hits: int
    frames: int
    spots: int
    rmsd_px: float | None


def calibrate(sample: SampleExperiment) -> tuple[wb.Mask, Geometry, Geometry]:
    """Mask and aligned geometry as a user makes them, and the deployed geometry."""

    def averaged(run: int, corrections: wb.Corrections | None) -> wb.RunImages:
        opened = wb.open_run("cxim1416", run, psdm_dir=sample.folder)
        return wb.average_run(opened, corrections, detz_offset_mm=DETZ_OFFSET_MM)

    deployed = Geometry.read(sample.geometry)
    dark, bright = averaged(54, None), averaged(74, GAIN)
    mask = wb.make_mask(dark.average, dark.stddev, bright.maximum, wb.Thresholds())
    aligned = wb.align_quadrants(bright.image("maximum", deployed), mask=mask.good)
    return mask, aligned.geometry, deployed


def stills_process(frames: Path, *settings: str) -> dict[str, str]:
    """Run ``dials.stills_process`` beside the frames; gives the environment DIALS needs."""
    folder = frames.parent
    (folder / "stills.phil").write_text(PHIL)
    # Debian's cctbx has not this compiled module, which is imported but not used here
    (folder / "missing").mkdir(exist_ok=True)
    (folder / "missing" / "xfel_mono_sim_ext.py").touch()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        ["dials.stills_process", "stills.phil", frames.name, *settings],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder / "missing")},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return environment


def index(
    sample: SampleExperiment, folder: Path, geometry: Geometry, mask: wb.Mask | None
) -> Indexed:
    """Write the frames of the crystal run into a new folder and index them."""
    run = wb.open_run("cxim1416", CRYSTAL_RUN, psdm_dir=sample.folder)
    written = wb.write_frames(
        run,
        folder,
        "nxmx",
        corrections=GAIN,
        geometry=geometry,
        mask=mask,
        hits=wb.Hits(HIT_PEAKS),
        detz_offset_mm=DETZ_OFFSET_MM,
        compression="gzip",
    )
    environment = stills_process(written.files[0])
    read = subprocess.run(
        [DEBIAN_PYTHON, "-c", READ, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return Indexed(written.count, *json.loads(read.stdout.splitlines()[-1]))


def compare(folder: Path, shots: int, seed: int, which: str = "abcd") -> dict[str, Indexed]:
    """Simulate, calibrate, and index with each calibration."""
    sample = write_experiment(folder / "sample", crystals=shots, seed=seed)
    mask, aligned, deployed = calibrate(sample)
    true = Geometry.read(sample.folder / "geometry" / "true.data")
    ways = {"a": (deployed, None), "b": (deployed, mask), "c": (aligned, mask), "d": (true, mask)}
    return {name: index(sample, folder / name, *ways[name]) for name in which}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1416)
    args = parser.parse_args()
    if shutil.which("dials.stills_process") is None:
        raise SystemExit("dials.stills_process is not installed (Debian: apt install dials).")
    with tempfile.TemporaryDirectory() as folder:
        results = compare(Path(folder), args.shots, args.seed)
    print(f"{args.shots} shots, seed {args.seed}")
    for name, result in results.items():
        rmsd = "-" if result.rmsd_px is None else f"{result.rmsd_px:.3f} px"
        print(
            f"({name}) {CALIBRATIONS[name]:28} hits {result.hits:3}, indexed {result.frames:3}, "
            f"{result.spots:5} spots, RMSD {rmsd}"
        )


if __name__ == "__main__":
    main()
