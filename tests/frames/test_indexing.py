"""The judge of a calibration is the real DIALS: crystals are indexed with it as with the truth."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

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
