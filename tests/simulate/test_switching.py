"""Sample experiments of detectors that switch their gain."""

import json

import numpy as np
import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.simulate.switching import write_switching_experiment


@pytest.mark.slow
def test_forced_dark_runs_show_one_gain_range_each_with_its_pedestals(tmp_path):
    made = write_switching_experiment(tmp_path, "jungfrau4m", events=4, seed=5, range_darks=True)
    truth = json.loads(made.truth.read_text())
    assert len(list(made.xtc_dir.glob("*-r0012-*"))) == len(list(made.xtc_dir.glob("*-r0010-*")))
    for run, stage in zip((10, 11, 12), truth["gain_ranges"], strict=True):
        dark = wb.open_run(truth["experiment"], run, truth["address"], psdm_dir=tmp_path)
        event = next(iter(dark.events(wb.Corrections(pixel_gain=True))))
        assert (event.raw >> 14 == stage["bits"]).all()
        noise_kev = abs(stage["noise_adu"] / stage["adu_per_kev"])
        # half of normal noise lies within 0.674 σ; the common mode and whole ADU widen it
        assert np.median(abs(event.data)) == pytest.approx(0.674 * noise_kev, rel=0.2)


def test_a_range_that_no_dark_run_can_show_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="No dark run of the ePix10k2M shows the other gain"):
        write_switching_experiment(tmp_path / "made", "epix10k2m", range_darks=True)
    assert not (tmp_path / "made").exists()
