"""A pipe that stands where a file is expected is refused at once: who reads it waits for ever."""

import os
import signal

import pytest

import workbench as wb
from workbench.averages import Statistics
from workbench.averages.state import read_state
from workbench.constants.text import read_constants_file
from workbench.errors import WorkbenchError
from workbench.frames.table import read_table
from workbench.mask.formats import dials, psana
from workbench.recipe import read_recipe
from workbench.report.reproduce import read_report
from workbench.runs.psana_run import count_events

READERS = [
    *((name, wb.Geometry.read) for name in ("0-end.data", "x.geom", "x.def", "x.npy")),
    *((name, wb.read_image) for name in ("x.cbf", "x.h5", "x.npy", "x.edf", "x.img", "x.edf.gz")),
    *((name, wb.open_frames) for name in ("x.cbf", "x.h5", "x.npy", "x.edf")),
    *((name, wb.read_mask) for name in ("x.pickle", "x.npy", "x.cxi", "x.nxs", "x.edf")),
    ("x.pickle", dials.read),
    ("x.txt", psana.read),
    ("x.data", read_constants_file),
    ("x.csv", read_table),
    ("x.npz", Statistics.load),
    ("x.npz", read_state),
    ("mfx-r0001-s000-c000.xtc2", count_events),
    ("x.toml", read_recipe),
    ("x.html", read_report),
    ("x.ipynb", read_report),
]


@pytest.fixture
def impatient():
    """Fail after five seconds, also within a call of the system."""

    def too_long(*_):
        pytest.fail("a pipe is waited for")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("name", "read"), READERS)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, impatient, name, read):
    os.mkfifo(tmp_path / name)
    with pytest.raises(WorkbenchError, match="file") as caught:
        read(tmp_path / name)
    assert name in str(caught.value)


def test_a_run_beside_a_pipe_is_not_there(tmp_path, impatient):
    os.mkfifo(tmp_path / "cxim1416-r0074-s00-c00.xtc")
    with pytest.raises(WorkbenchError, match="no run 74"):
        wb.open_run("cxim1416", 74, xtc_dir=tmp_path)
