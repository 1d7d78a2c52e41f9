"""Image files: every CSPAD layout is understood, everything else is refused in one line."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hdf5plugin import Bitshuffle

from workbench import guarded
from workbench.detectors import CSPAD
from workbench.errors import FileFormatError, WorkbenchError
from workbench.geometry import Geometry
from workbench.images import DetectorImage, as_detector_array, read_image, write_image
from workbench.mask import read_mask
from workbench.runs import open_frames

VALUES = np.arange(np.prod(CSPAD.shape)).reshape(CSPAD.shape)


def cheetah_slab(values):
    """Sensor s of quadrant q at rows 185 s, columns 388 q, as Cheetah lays them out."""
    slab = np.empty((1480, 1552), values.dtype)
    for sensor, data in enumerate(values):
        q, s = divmod(sensor, 8)
        slab[185 * s : 185 * (s + 1), 388 * q : 388 * (q + 1)] = data
    return slab


LAYOUTS = {
    "psana text": lambda v: v.reshape(5920, 388),
    "quadrants": lambda v: v.reshape(4, 8, 185, 388),
    "panels": CSPAD.asic_stack,
    "cheetah": cheetah_slab,
    "half rows": lambda v: v.reshape(11840, 194),
    "flat": lambda v: v.ravel(),
    "one frame": lambda v: v[None],
    "one frame of cheetah": lambda v: cheetah_slab(v)[None],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_becomes_sensors_rows_columns(layout):
    assert np.array_equal(as_detector_array(LAYOUTS[layout](VALUES)), VALUES)


@pytest.mark.parametrize(
    "shape", [(), (3, 3), (40, 32, 185, 388), (1480, 1553), (0,), (16, 185, 388)]
)
def test_other_shapes_are_refused(shape):
    with pytest.raises(WorkbenchError, match="expected a detector image"):
        DetectorImage(np.zeros(shape))


@pytest.mark.parametrize("values", [np.zeros(CSPAD.shape, complex), np.full((2, 185, 388), "x")])
def test_values_that_are_no_real_numbers_are_refused(values):
    with pytest.raises(WorkbenchError, match="real numbers"):
        DetectorImage(values)


@pytest.mark.parametrize("suffix", [".npy", ".edf", ".tif", ".h5"])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32])
def test_values_survive_other_formats(tmp_path, suffix, kind):
    data = (VALUES % 16384).astype(kind)
    path = tmp_path / f"image{suffix}"
    write_image(DetectorImage(data), path)
    found = read_image(path)
    assert np.array_equal(found.data, data)
    if suffix != ".tif":
        assert found.data.dtype == kind


def test_a_tiff_that_would_round_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="would round"):
        write_image(DetectorImage(VALUES / 3), tmp_path / "x.tif")


def test_hdf5_keeps_geometry_beam_and_provenance(tmp_path):
    image = DetectorImage(
        VALUES.astype(float), Geometry.ideal(), 121.5, 1.305, "maximum", "cxim1416_max-r0074",
        1456012000.25, {"count": 7, "files": ["a", "b"]},
    )  # fmt: skip
    write_image(image, tmp_path / "x.h5")
    found = read_image(tmp_path / "x.h5")
    assert found.geometry == image.geometry
    assert found.count == 7
    for name in ("distance_mm", "wavelength_angstrom", "kind", "name", "timestamp", "provenance"):
        assert getattr(found, name) == getattr(image, name)


def test_the_only_cspad_dataset_of_an_hdf5_file_is_found_or_one_is_named(tmp_path):
    path = tmp_path / "powder.h5"
    with h5py.File(path, "w") as file:
        file["data/other"] = np.zeros((400, 400))
        file["data/powder"] = cheetah_slab(VALUES)
    assert np.array_equal(read_image(path).data, VALUES)
    with h5py.File(path, "a") as file:
        file["data/second"] = VALUES.astype("f4")
    with pytest.raises(FileFormatError, match="holds 2 detector images"):
        read_image(path)
    assert read_image(f"{path}:/data/second").data.dtype == np.float32
    with pytest.raises(FileFormatError, match="no dataset /data/third"):
        read_image(f"{path}:/data/third")


def test_an_hdf5_image_compressed_as_frames_are_is_read_in_a_new_process(tmp_path):
    """The filter comes with hdf5plugin, which nothing else in that process has loaded."""
    values = np.random.default_rng(3).normal(size=CSPAD.shape).astype(np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("data", data=values, chunks=(1, *CSPAD.module_shape), **Bitshuffle())
    program = (
        "import numpy as np, workbench as wb;"
        "print(np.abs(wb.read_image('x.h5').data, dtype=np.float64).sum())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == np.abs(values, dtype=np.float64).sum()


def test_unusable_files_are_refused_in_one_line(tmp_path):
    (tmp_path / "empty.cbf").write_bytes(b"")
    (tmp_path / "prose.cbf").write_text("no image at all, just prose " * 3)
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "small.npy", np.zeros((5, 5)))
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["a"] = 3
    (tmp_path / "named.tif").write_bytes(b"{ EDF }" + bytes(900))
    (tmp_path / "packed.edf.gz").write_bytes(b"\x1f\x8b" + bytes(900))
    os.mkfifo(tmp_path / "pipe.cbf")  # reading it would wait for ever
    header = b"{'descr': '|b1', 'fortran_order': False, 'shape': (1,), "
    for name, damaged in (("line", header + b"\n"), ("deep", b"[" * 5000), ("open", b"('\n")):
        size = len(damaged).to_bytes(2, "little")
        (tmp_path / f"{name}.npy").write_bytes(b"\x93NUMPY\x01\x00" + size + damaged)
    for path in [*tmp_path.iterdir(), tmp_path / "absent.cbf", tmp_path]:
        with pytest.raises(FileFormatError) as caught:
            read_image(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_names_in_a_file_cannot_break_the_line_or_order_the_terminal(tmp_path):
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        for name in ("a\nb", "\x1b[2Jc"):
            file.create_dataset(name, CSPAD.shape, "<i2")
    with pytest.raises(FileFormatError) as refusal:
        read_image(tmp_path / "odd.h5")
    assert str(refusal.value).isprintable()
    assert "/a\\nb)" in str(refusal.value)


DAMAGED = ["crash", "endless-search", "asks-for-a-gigabyte"]


@pytest.mark.parametrize(
    ("name", "read"),
    [(name, read_image) for name in DAMAGED]
    + [
        pytest.param(name, lambda path: next(open_frames(path).events()), marks=marks)
        for name, marks in zip(DAMAGED, ((), pytest.mark.slow, pytest.mark.slow), strict=True)
    ],
)
def test_files_that_end_the_process_inside_the_hdf5_library_are_refused(
    tmp_path, monkeypatch, name, read
):
    monkeypatch.setattr(guarded, "MOST_SECONDS", 2)
    content = gzip.decompress((Path(__file__).parent / "damaged" / f"{name}.h5.gz").read_bytes())
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(FileFormatError, match="this HDF5 file is damaged") as caught:
        read(tmp_path / "x.h5")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_memory_of_a_large_kernel_does_not_hide_that_of_a_damaged_file(tmp_path):
    content = (Path(__file__).parent / "damaged" / "asks-for-a-gigabyte.h5.gz").read_bytes()
    (tmp_path / "x.h5").write_bytes(gzip.decompress(content))
    large = b"x" * (800 << 20)
    # on a busy machine a gigabyte of fresh memory can take all the time that the reader is given
    with pytest.raises(FileFormatError, match=r"damaged .*(more than 512 MB|fails on it)"):
        next(open_frames(tmp_path / "x.h5").events())
    assert large


def test_memory_that_the_guarded_process_is_refused_is_not_asked_for_in_this_one(tmp_path):
    content = (Path(__file__).parent / "damaged" / "asks-for-two-gigabytes.h5.gz").read_bytes()
    (tmp_path / "x.h5").write_bytes(gzip.decompress(content))
    with pytest.raises(FileFormatError, match=r"damaged .* more than 512 MB"):
        read_mask(tmp_path / "x.h5", "crystfel")


@pytest.mark.parametrize("ending", [".edf", ".tif"])
def test_an_image_cut_short_is_refused(tmp_path, caplog, ending):
    """fabio would fill it with zeros, and log a line of its own."""
    path = tmp_path / f"x{ending}"
    write_image(DetectorImage(np.ones(CSPAD.shape, np.int32)), path)
    path.write_bytes(path.read_bytes()[:-50_000])
    for read in (read_image, lambda path: list(open_frames(path).events())):
        with pytest.raises(FileFormatError):
            read(path)
    assert caplog.text == ""


def test_an_image_on_which_fabio_would_search_for_ever_is_refused(shared_data):
    with pytest.raises(FileFormatError, match="no data"):
        read_image(shared_data / "hostile" / "slow.edf")


def test_unknown_suffixes_are_refused_and_nothing_is_overwritten_unasked(tmp_path):
    image = DetectorImage(VALUES)
    with pytest.raises(WorkbenchError, match="cannot write"):
        write_image(image, tmp_path / "image.jpeg")
    write_image(image, tmp_path / "image.npy")
    before = (tmp_path / "image.npy").read_bytes()
    with pytest.raises(WorkbenchError, match="exists already"):
        write_image(image, tmp_path / "image.npy", overwrite=False)
    assert (tmp_path / "image.npy").read_bytes() == before


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    write_image(DetectorImage(VALUES), tmp_path / "image.npy")
    before = (tmp_path / "image.npy").read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(WorkbenchError, match="No space left"):
        write_image(DetectorImage(VALUES + 1), tmp_path / "image.npy")
    assert (tmp_path / "image.npy").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["image.npy"]


def test_an_image_without_geometry_is_shown_in_the_design_geometry():
    assert DetectorImage(VALUES).assemble().shape == Geometry.ideal().snapped().shape
