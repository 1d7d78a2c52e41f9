"""The judge of a calibration is the real DIALS: crystals are indexed with it as with the truth."""

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench.simulate.experiment import write_experiment
from workbench.simulate.truth import CRYSTAL_RUN, DETZ_OFFSET_MM

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def indexing():
    if shutil.which("dials.stills_process") is None:
        if os.environ.get("CI"):
            pytest.fail("dials is not installed")
        pytest.skip("dials.stills_process is not installed")
    spec = importlib.util.spec_from_file_location("indexing", ROOT / "benchmarks" / "indexing.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_crystals_are_indexed_with_the_aligned_geometry_as_with_the_true_one(indexing, tmp_path):
    results = indexing.compare(tmp_path, shots=5, seed=1416, which="acd")
    deployed, aligned, true = (results[name] for name in "acd")
    assert true.hits == aligned.hits == true.frames >= 3
    assert aligned.frames >= max(true.frames, deployed.frames)
    assert aligned.rmsd_px < 1.1 * true.rmsd_px
    # quadrants up to 10 px from their places
    assert deployed.rmsd_px is None or deployed.rmsd_px > 2 * true.rmsd_px


PANELS = """
import json, sys
from dials.array_family import flex
print(json.dumps(list(flex.reflection_table.from_file(sys.argv[1])["panel"])))
"""


@pytest.mark.slow
@pytest.mark.xdist_group("indexing")
def test_dials_looks_spots_up_in_a_mask_of_the_workbench(indexing, tmp_path):
    sample = write_experiment(tmp_path / "sample", events=4, crystals=4, seed=1416)
    run = wb.open_run("cxim1416", CRYSTAL_RUN, psdm_dir=sample.folder)
    written = wb.write_frames(
        run, tmp_path / "frames", "nxmx", corrections=indexing.GAIN,
        detz_offset_mm=DETZ_OFFSET_MM, compression="gzip", selection=wb.Events(limit=1),
    )  # fmt: skip
    good = np.ones((32, 185, 388), bool)
    good[:16] = False  # of the 64 panels of DIALS, the first 32
    wb.write_mask(wb.Mask.from_good(good), tmp_path / "frames" / "mask.pickle")

    def panels(*settings):
        only_spots = ("dispatch.index=False", "output.strong_filename=strong.refl")
        environment = indexing.stills_process(written.files[0], *only_spots, *settings)
        read = subprocess.run(
            [indexing.DEBIAN_PYTHON, "-c", PANELS, str(tmp_path / "frames" / "strong.refl")],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(read.stdout.splitlines()[-1])

    everywhere, in_mask = panels(), panels("spotfinder.lookup.mask=mask.pickle")
    assert min(everywhere) < 32 <= min(in_mask)
    assert len(in_mask) == sum(panel >= 32 for panel in everywhere)
