"""HDF5 files: whole or not at all, even on a full disk; searched without end they are not."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from workbench import guarded
from workbench.errors import FileFormatError, WorkbenchError
from workbench.hdf5 import reading_hdf5, replacing_hdf5
from workbench.hdf5_walk import datasets

FULL_DISK = """
import resource, signal, sys
import numpy as np
from workbench import guarded
from workbench.errors import FileFormatError, WorkbenchError
from workbench.geometry import Geometry
from workbench.images import DetectorImage, write_image
from workbench.mask import write_mask
from workbench.mask.mask import Mask

good = np.random.default_rng(1).random((2, 185, 388)) > 0.5
path = sys.argv[1]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # then writing fails
for write in (
    lambda: write_image(DetectorImage(good.astype(float)), path + ".h5"),
    lambda: write_mask(Mask.from_good(good), path + ".cxi"),
    lambda: write_mask(Mask.from_good(good), path + ".nxs"),
    lambda: write_mask(Mask.from_good(good), path + ".hdf5", format="crystfel"),
    lambda: Geometry.ideal().write(path + "_pyfai.h5", format="pyfai"),
):
    try:
        write()
    except WorkbenchError as error:
        print(error)
"""


def test_a_disk_that_is_full_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "file"], capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 5, done.stderr
    assert all("could not be written: File too large" in line for line in lines)
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "x.h5"
    with replacing_hdf5(path) as file:
        file["a/b"] = np.arange(5)
    with h5py.File(path) as file:
        assert file["a/b"][()].tolist() == [0, 1, 2, 3, 4]
    before = path.read_bytes()

    def fail():
        with replacing_hdf5(path) as file:
            file["c"] = 1
            raise WorkbenchError("cannot go on")

    with pytest.raises(WorkbenchError, match="cannot go on"):
        fail()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "library",
    [
        "import os; os.abort()",
        "import ctypes; ctypes.string_at(0)",
        "import time; time.sleep(60)",
        "raise MemoryError",
    ],
)
def test_a_death_of_the_hdf5_library_is_a_refusal(tmp_path, monkeypatch, library):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = 1
    (tmp_path / "h5py.py").write_text(library)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if "sleep" in library:
        monkeypatch.setattr(guarded, "MOST_SECONDS", 1)
    with (
        pytest.raises(FileFormatError, match="this HDF5 file is damaged") as caught,
        reading_hdf5(tmp_path / "x.h5"),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_file_is_looked_through_again_when_it_has_changed(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("workbench.hdf5.run_guarded", lambda *a, **_: calls.append(a) or b"")
    for size in (1, 1, 2):
        if not calls or size > 1:
            with h5py.File(tmp_path / "x.h5", "w") as file:
                file["a"] = np.arange(size)
        with reading_hdf5(tmp_path / "x.h5") as file:
            assert len(file["a"]) == size
    assert len(calls) == 2


def test_datasets_come_once_and_in_the_order_of_their_groups(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b/data"] = np.zeros(3)
        file["a/c"] = np.zeros(2)
        file["z"] = file["a/b/data"]
        file["a/b/loop"] = file["a"]
        file["soft"] = h5py.SoftLink("/a/c")
        file["other"] = h5py.ExternalLink("missing.h5", "/data")
        assert [item.name for item in datasets(file)] == ["/a/b/data", "/a/c"]


def test_thousands_of_groups_in_each_other_are_not_searched(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file
        for _ in range(3000):
            group = group.create_group("g")
        group["data"] = 1
        file["g/g/here"] = 1
        assert [item.name for item in datasets(file)] == ["/g/g/here"]
