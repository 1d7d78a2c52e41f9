"""The summary of a run."""

import json

import numpy as np
import pytest
import xtc_builder as x

from workbench.errors import Cancelled, DetectorNotFoundError
from workbench.runs import count_events, estimate_events, inspect_run, list_runs
from workbench.runs.inspect import REPORT_EVERY


@pytest.fixture
def run_files(tmp_path):
    gains = np.full((4, 185, 194), 0xFFFF)
    gains[0, :10] = 0xFFFE
    cfg = [x.config(gains=gains, roi=0x00FFFFFF), x.epics_control(7, "CXI:DS1:MMS:06.RBV", -500.0)]
    half = x.full(x.frame(), order=(0, 1, 2))
    clock = x.Clock()
    first = x.run_bytes(
        [
            [half, x.evr(40), x.ebeam(9500.0)],
            [half, x.evr(40, 140), x.ebeam(9510.0), x.epics_time(7, -499.0)],
            [x.full(x.frame(), damage=1 << 14 | 0xF1 << 24), x.evr(40)],
            [x.evr(40)],
            [],
        ],
        cfg=cfg, clock=clock,
    )  # fmt: skip
    x.write(tmp_path, first)
    x.write(
        tmp_path, x.dgram(x.L1, x.xtc(0, b"", phy=0x100), fid=77, sec=x.T0 + 9), stream=0, chunk=1
    )
    control = x.dgram(x.CONFIGURE) + x.dgram(x.L1, x.xtc(2, b"", phy=0x300), fid=5, sec=x.T0 + 9)
    x.write(tmp_path, control, stream=81, end=".xtc.inprogress")
    (files,) = list_runs("cxim1416", xtc_dir=tmp_path)
    return files


def test_the_summary_counts_everything(run_files):
    found = inspect_run(run_files)
    assert found.address == "CxiDs1.0:Cspad.0"
    assert (found.run, found.recorded_run) == (74, 74)
    assert found.events == 6
    assert found.events_with_data == 2
    assert found.missing == {
        "damaged (UserDefined, user 0xF1)": 1,
        "detector not in the event": 3,
    }
    assert found.skipped == {"empty": 1}
    assert found.first_seconds == pytest.approx(x.T0 + 5 * 0.008333333)
    assert found.last_seconds == pytest.approx(x.T0 + 9)
    assert found.encoder_mm == (-500.0, -499.0)
    assert found.photon_energy_ev == (9500.0, 9510.0)
    assert found.event_codes == {40: 4, 140: 1}
    assert found.damage == {"UserDefined": 1, "user 0xF1": 1}
    daq, control = found.streams
    assert [file["chunk"] for file in daq.files] == [0, 1]
    assert daq.transitions["L1Accept"] == 6
    assert daq.transitions["EndRun"] == 1
    assert control.control
    assert control.files[0]["in_progress"]
    assert control.transitions == {"Configure": 1, "L1Accept": 1}
    cspad = found.sources["CxiDs1.0:Cspad.0"]
    assert cspad.objects == {"CspadConfig V5": 1, "CspadElement V2": 3}
    assert cspad.damage == {"UserDefined": 1, "user 0xF1": 1}
    gain = found.gain["CxiDs1.0:Cspad.0"]
    assert gain.mode == "mixed gain"
    assert gain.low_gain_pixels == 10 * 194
    assert gain.sections == 24
    assert gain.quadrants == [0, 1, 2]  # no section of the last is read


def test_the_summary_is_json(run_files):
    found = json.loads(json.dumps(inspect_run(run_files).to_dict()))
    assert found["events"] == 6
    assert found["gain"]["CxiDs1.0:Cspad.0"]["mode"] == "mixed gain"


def test_events_are_counted_by_headers_alone(run_files):
    assert count_events(run_files) == 6  # the DAQ stream's L1Accepts, an empty one among them


def test_a_detector_that_is_not_there(run_files):
    with pytest.raises(DetectorNotFoundError, match=r"there: NoDetector.0:Evr.0.*CxiDs1.0:Cspad.0"):
        inspect_run(run_files, "XppGon.0:Cspad.0")
    with pytest.raises(DetectorNotFoundError, match=r"neither an address .* nor an alias"):
        inspect_run(run_files, "rear")


def test_a_run_without_a_cspad_is_summed_up_too(tmp_path):
    x.write(tmp_path, x.run_bytes([[x.evr(40)]], cfg=[x.evr()]))
    (files,) = list_runs("cxim1416", xtc_dir=tmp_path)
    found = inspect_run(files)
    assert found.address is None
    assert found.events == 1
    assert found.gain == {}


def test_an_empty_run_is_summed_up_too(tmp_path):
    x.write(tmp_path, b"")
    (files,) = list_runs("cxim1416", xtc_dir=tmp_path)
    assert inspect_run(files).events == 0


def test_inspection_can_be_cancelled(tmp_path):
    class Impatient:
        cancelled = True

        def update(self, done, total=None, message=""):
            raise AssertionError("told after it was cancelled")

    x.write(tmp_path, x.run_bytes([[x.evr(40)]] * REPORT_EVERY))
    (files,) = list_runs("cxim1416", xtc_dir=tmp_path)
    with pytest.raises(Cancelled):
        inspect_run(files, progress=Impatient())


def test_events_of_a_long_run_are_estimated_from_sizes(tmp_path, monkeypatch):
    x.write(tmp_path, x.run_bytes([[x.evr(40)]] * 200))
    x.write(tmp_path, x.run_bytes([[x.evr(40)]] * 150), stream=1)
    (files,) = list_runs("cxim1416", xtc_dir=tmp_path)
    assert estimate_events(files) == 350
    monkeypatch.setattr("workbench.runs.counting.EXACT_UP_TO", 100)
    assert estimate_events(files) == pytest.approx(350, abs=3)
