"""Every mask format: what is written is read back, and which value is a good pixel."""

import bz2
import gzip
import json
import os
import re

import fabio
import h5py
import numpy as np
import pytest

import workbench as wb
from workbench.constants import read_constants
from workbench.detectors import CSPAD
from workbench.errors import ConstantsError, FileFormatError, MaskError
from workbench.mask import RULES, build_mask, deploy_mask
from workbench.mask.formats import FORMATS, bits
from workbench.mask.formats.crystfel import geometry_lines
from workbench.mask.mask import Mask
from workbench.recipe import MaskSettings
from workbench.recipe.mask import PartLayer

SHAPE = CSPAD.shape


FILES = {
    "dials": "mask.pickle", "npy": "mask.npy", "cxi": "mask.cxi", "nxmx": "mask.nxs",
    "crystfel": "mask.h5", "pyfai": "mask.edf", "psana-mask": "mask.txt",
    "psana-status": "status.data",
}  # fmt: skip
REASONED = ("cxi", "nxmx", "crystfel")
PLACE = (13, 100, 300)


@pytest.fixture(scope="module")
def mask():
    """Each rule masks some pixels of its own, and some together with the next."""
    reasons = np.zeros(CSPAD.shape, np.uint32)
    random = np.random.default_rng(8)
    for rule in RULES.values():
        reasons.flat[random.choice(reasons.size, 300)] |= np.uint32(rule.flag)
    reasons[PLACE] = RULES["average_high"].flag
    reasons[0, 0, 0] = 0
    return Mask.from_reasons(reasons)


@pytest.mark.parametrize("name", FORMATS)
def test_round_trip(tmp_path, mask, name):
    path = tmp_path / FILES[name]
    wb.write_mask(mask, path, format=name)
    again = wb.read_mask(path)
    np.testing.assert_array_equal(again.good, mask.good)
    if name in REASONED:
        np.testing.assert_array_equal(again.reasons, mask.reasons)
        assert again.counts == mask.counts
    else:
        assert again.counts["imported"].total == mask.masked
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_array_of_good_pixels_is_written_as_a_mask_is(tmp_path, mask):
    wb.write_mask(mask.good, tmp_path / "mask.pickle")
    np.testing.assert_array_equal(wb.read_mask(tmp_path / "mask.pickle").good, mask.good)
    with pytest.raises(MaskError, match="mask"):
        wb.write_mask(np.ones((3, 4), bool), tmp_path / "other.pickle")
    assert [path.name for path in tmp_path.iterdir()] == ["mask.pickle"]


@pytest.mark.parametrize("name", REASONED)
@pytest.mark.parametrize("further", [0, pytest.param(70, marks=pytest.mark.slow)])
def test_files_with_reasons_name_the_layers(tmp_path, name, further):
    """Who removed a pixel and who kept it survives, however many layers there are."""
    layers = (
        PartLayer("broken", parts=("Q2S1",)),
        PartLayer("beam stop", parts=("Q2",)),
        PartLayer("trusted", mode="exclude", parts=("Q2S7",)),
        *(PartLayer(f"more {number}", parts=("Q0S0",)) for number in range(further)),
    )
    images = [np.ones(CSPAD.shape), np.ones(CSPAD.shape), np.full(CSPAD.shape, 500.0)]
    mask = build_mask(MaskSettings(layers=layers), *images)
    wb.write_mask(mask, tmp_path / FILES[name], format=name)
    again = wb.read_mask(tmp_path / FILES[name])
    for place in ((17, 3, 4), (23, 5, 6), (18, 0, 0), (31, 0, 0)):
        here, there = mask.explain(place), again.explain(place)
        assert there.good == here.good
        assert [one.text for one in there.reasons] == [one.text for one in here.reasons]
        assert there.kept_by == here.kept_by
        assert [one.text for one in there.spared] == [one.text for one in here.spared]
    assert [one.label for one in again.removals[:64]][:-1] == [
        one.label for one in mask.removals[:64]
    ][:-1]
    if further:
        last = again.explain((0, 0, 0)).reasons[-1].text  # those for which 64 bits do not suffice
        assert re.fullmatch(r"layer \d+ “further layers”", last)
        assert len(mask.explain((0, 0, 0)).reasons) == 70
    assert again.removals[-1].counts.cumulative == mask.masked


@pytest.mark.parametrize(
    "bits", [None, "nonsense", "{}", '[{"rule": "no_such", "name": "x", "layer": 1}]', "[1, 2]"]
)
def test_a_file_that_does_not_say_who_removed_pixels_keeps_its_rules(tmp_path, mask, bits):
    path = tmp_path / "mask.cxi"
    wb.write_mask(mask, path)
    with h5py.File(path, "r+") as file:
        del file["cspad_workbench/removals"].attrs["bits"]
        if bits is not None:
            file["cspad_workbench/removals"].attrs["bits"] = bits
    again = wb.read_mask(path)
    np.testing.assert_array_equal(again.reasons, mask.reasons)
    assert [one.rule for one in again.removals] == list(RULES)


@pytest.mark.parametrize("ending", [".pickle.gz", ".h5", ".hdf5", ".tif", ".tiff", ".data"])
def test_the_ending_decides(tmp_path, mask, ending):
    path = tmp_path / f"mask{ending}"
    wb.write_mask(mask, path)
    np.testing.assert_array_equal(wb.read_mask(path).good, mask.good)


def test_every_rule_has_bits_in_every_convention():
    for rule in RULES.values():
        assert all(bits.bits_of(rule, convention) for convention in ("cxi", "nxmx", "psana"))
        assert not rule.cxi & bits.CXI_NOTES


def test_bits_of_rules_never_change():
    """Files of earlier versions hold these bits."""
    assert {rule.name: rule.bit for rule in RULES.values()} == {
        "average_low": 0, "average_high": 1, "stddev_low": 2, "stddev_high": 3, "maximum_low": 4,
        "not_a_number": 5, "asic_border": 6, "sensor_border": 7, "wide": 8, "unbonded": 9,
        "unbonded_neighbour": 10, "grown": 11, "saturated": 12, "low_occupancy": 13, "island": 14,
        "average_outlier": 15, "stddev_outlier": 16, "resolution": 17, "radius": 18, "shape": 19,
        "pixel": 20, "imported": 21, "part": 22, "maximum_outlier": 23,
    }  # fmt: skip


def test_numpy_true_is_good(tmp_path, mask):
    path = tmp_path / "mask.npy"
    wb.write_mask(mask, path)
    array = np.load(path)
    assert (array.dtype, array.shape) == (bool, CSPAD.shape)
    assert array[0, 0, 0]
    assert not array[PLACE]
    assert json.loads((tmp_path / "mask.npy.json").read_text())["polarity"] == "True = good"
    np.save(path, mask.good.astype(np.uint8).reshape(5920, 388))
    np.testing.assert_array_equal(wb.read_mask(path).good, mask.good)


def test_cxi_zero_is_good_and_hot_is_bit_2(tmp_path, mask):
    wb.write_mask(mask, tmp_path / "mask.cxi")
    with h5py.File(tmp_path / "mask.cxi") as file:
        words = file["entry_1/instrument_1/detector_1/mask"][()]
    assert (words.dtype, words.shape) == (np.uint32, CSPAD.shape)
    assert words[0, 0, 0] == 0
    assert words[PLACE] == 0x4


def test_nxmx_zero_is_good_and_over_responding_is_bit_3(tmp_path, mask):
    wb.write_mask(mask, tmp_path / "mask.nxs")
    with h5py.File(tmp_path / "mask.nxs") as file:
        assert file["entry"].attrs["NX_class"] == "NXentry"
        words = file["entry/instrument/detector/pixel_mask"][()]
    assert (words.dtype, words.shape) == (np.uint32, (5920, 388))  # a third one means frames
    assert words[0, 0] == 0
    assert words.reshape(CSPAD.shape)[PLACE] == 1 << 3


@pytest.mark.dials
@pytest.mark.slow
def test_dxtbx_takes_the_nxmx_mask_sensor_by_sensor(tmp_path, mask, dials):
    """32 panels in the detector's order, True = good, as of a mask that comes with NXmx data."""
    wb.write_mask(mask, tmp_path / "mask.nxs")
    dials(
        "import sys, h5py, numpy\n"
        "from dxtbx import flumpy\n"
        "from dxtbx.nexus import get_static_mask, nxmx\n"
        "with h5py.File(sys.argv[1]) as file:\n"
        "    found = get_static_mask(nxmx.NXdetector(file['entry/instrument/detector']))\n"
        "numpy.save(sys.argv[2], numpy.array([flumpy.to_numpy(panel) for panel in found]))",
        tmp_path / "mask.nxs", tmp_path / "panels.npy",
    )  # fmt: skip
    panels = np.load(tmp_path / "panels.npy")
    assert panels.dtype == bool
    np.testing.assert_array_equal(panels, mask.good)


def test_crystfel_slab_and_geometry_lines(tmp_path, mask):
    path = tmp_path / "mask.h5"
    wb.write_mask(mask, path, format="crystfel")
    with h5py.File(path) as file:
        slab = file["data/mask"][()]
    assert slab.shape == (1480, 1552)
    quadrant, section = divmod(PLACE[0], 8)
    assert slab[section * 185 + PLACE[1], quadrant * 388 + PLACE[2]] == 0x4
    assert slab[0, 0] == 0
    lines = (tmp_path / "mask.h5.geom").read_text()
    assert lines == geometry_lines(path)
    settings = dict(line.split(" = ") for line in lines.splitlines() if not line.startswith(";"))
    assert settings["mask"] == "/data/mask"
    assert settings["mask_file"] == "mask.h5"
    bad = int(settings["mask_bad"], 16)
    np.testing.assert_array_equal((slab & bad) == 0, slab == 0)


@pytest.mark.parametrize("ending", ["edf", "tif"])
def test_pyfai_non_zero_is_masked(tmp_path, mask, ending):
    path = tmp_path / f"mask.{ending}"
    wb.write_mask(mask, path)
    with fabio.open(str(path)) as image:
        data, header = image.data, image.header
    np.testing.assert_array_equal(data, (~mask.good).reshape(5920, 388))
    if ending == "edf":
        assert header["polarity"] == "non-zero = masked"


def test_psana_mask_1_is_good_and_status_0_is_good(tmp_path, mask):
    wb.write_mask(mask, tmp_path / "mask.txt")
    numbers = np.loadtxt(tmp_path / "mask.txt", dtype=int)
    assert numbers.shape == (5920, 388)
    np.testing.assert_array_equal(numbers.reshape(CSPAD.shape), mask.good)
    wb.write_mask(mask, tmp_path / "status.txt", format="psana-status")
    numbers = np.loadtxt(tmp_path / "status.txt", dtype=int).reshape(CSPAD.shape)
    np.testing.assert_array_equal(numbers == 0, mask.good)
    assert numbers[PLACE] == 16
    with pytest.raises(FileFormatError, match="0 and 1 only"):
        wb.read_mask(tmp_path / "status.txt", format="psana-mask")


def test_psana_text_without_a_head_is_never_guessed(tmp_path):
    path = tmp_path / "0-end.data"
    path.write_text("1 " * (5920 * 388))
    with pytest.raises(FileFormatError, match="whether 1 or 0"):
        wb.read_mask(path)
    assert wb.read_mask(path, format="psana-mask").masked == 0
    assert wb.read_mask(path, format="psana-status").masked == 5920 * 388
    folder = tmp_path / "pixel_mask"
    folder.mkdir()
    path.rename(folder / path.name)
    assert wb.read_mask(folder / path.name).masked == 0


@pytest.mark.parametrize("kind", ["pixel_mask", "pixel_status"])
def test_a_mask_is_deployed_into_the_calibration_directory(tmp_path, mask, kind):
    path = deploy_mask(mask, tmp_path, "CxiDs1.0:Cspad.0", 54, kind=kind)
    assert path.parts[-4:] == ("CsPad::CalibV1", "CxiDs1.0:Cspad.0", kind, "54-end.data")
    values = read_constants(tmp_path, "CxiDs1.0:Cspad.0", kind, 74)
    np.testing.assert_array_equal(values == (kind == "pixel_mask"), mask.good)
    assert "54-end.data" in (path.parent / "HISTORY").read_text()
    before = path.read_bytes()
    with pytest.raises(ConstantsError, match="deployed already"):
        deploy_mask(mask, tmp_path, "CxiDs1.0:Cspad.0", 54, kind=kind)
    assert path.read_bytes() == before


def test_deploying_something_else_is_refused(tmp_path, mask):
    with pytest.raises(MaskError, match="pixel_mask or pixel_status"):
        deploy_mask(mask, tmp_path, "CxiDs1.0:Cspad.0", 0, kind="pedestals")


def test_files_of_other_programs(tmp_path, mask):
    path = tmp_path / "other.cxi"
    words = np.where(mask.good, 0x20 | 0x800, 0x4).astype(np.uint32)  # remarks do not mask
    with h5py.File(path, "w") as file:
        file["entry_1/instrument_1/detector_1/mask"] = words.reshape(5920, 388)
    np.testing.assert_array_equal(wb.read_mask(path).good, mask.good)
    with h5py.File(tmp_path / "other.nxs", "w") as file:
        file["entry/instrument/detector/pixel_mask"] = (~mask.good).astype(np.int32)
    np.testing.assert_array_equal(wb.read_mask(tmp_path / "other.nxs").good, mask.good)


def test_reasons_that_contradict_an_edited_mask_are_not_believed(tmp_path, mask):
    path = tmp_path / "mask.cxi"
    wb.write_mask(mask, path)
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/detector_1/mask"][0, 0, 0] = 0x80
    again = wb.read_mask(path)
    assert not again.good[0, 0, 0]
    assert again.counts["imported"].total == mask.masked + 1


def bad_files(folder):
    def hdf5(name, dataset, values):
        with h5py.File(folder / name, "w") as file:
            file[dataset] = values
        return folder / name

    def text(name, content):
        (folder / name).write_text(content)
        return folder / name

    def array(name, values, **options):
        np.save(folder / name, values, **options)
        return folder / name

    yield hdf5("a.cxi", "entry_1/instrument_1/detector_1/mask", np.zeros((2, 2), int)), "2 × 2"
    yield (
        hdf5("b.cxi", "entry_1/instrument_1/detector_1/mask", np.zeros(CSPAD.shape, "f4")),
        "float32",
    )
    yield hdf5("c.h5", "something", np.zeros(3)), "no mask at"
    yield hdf5("d.h5", "data/mask", np.zeros(3)), "crystfel"
    yield text("e.h5", "not hdf5"), "HDF5"
    yield text("f.npy", "not numpy"), "numpy"
    yield array("g.npy", np.zeros((3, 3), bool)), "known detector"
    yield array("h.npy", np.full(CSPAD.shape, 7)), "more than 0 and 1"
    yield array("i.npy", np.array([{}], dtype=object), allow_pickle=True), "numpy"
    yield array("j.npy", np.zeros(CSPAD.shape)), "True and False"
    yield text("k.edf", "nothing"), "fabio"
    for name in ("cut.tif", "cut.edf"):
        wb.write_mask(Mask.from_good(np.zeros(CSPAD.shape, bool)), folder / name)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    yield folder / "cut.edf", "truncated"
    yield folder / "cut.tif", ""
    (folder / "huge.edf").write_bytes(content.replace(b"Dim_1 = 388", b"Dim_1 = 99999"))
    yield folder / "huge.edf", "99999"
    yield text("l.txt", "# CALIB_TYPE pixel_mask\n1 0 1"), "2296960"
    yield text("m.txt", "# CALIB_TYPE pixel_mask\none"), "one"
    with h5py.File(folder / "n.cxi", "w") as file:
        file.create_dataset(
            "entry_1/instrument_1/detector_1/mask", (10**6, 10**6), "u4", chunks=(1, 1000)
        )
    yield folder / "n.cxi", "1000000"
    elsewhere = h5py.VirtualLayout(CSPAD.shape, "u4")
    elsewhere[:] = h5py.VirtualSource("missing.h5", "mask", CSPAD.shape)
    with h5py.File(folder / "o.cxi", "w") as file:  # HDF5 would read zeros: all good
        file.create_virtual_dataset("entry_1/instrument_1/detector_1/mask", elsewhere)
    yield folder / "o.cxi", "other files"
    os.mkfifo(folder / "p.pickle")  # reading it would wait for ever
    yield folder / "p.pickle", "not a file"
    header = b"{'descr': '|b1', 'fortran_order': False, 'shape': (1,), "
    for letter, damaged in (("r", header + b"\n"), ("s", b"[" * 5000 + b"\n"), ("t", b"('\n")):
        size = len(damaged).to_bytes(2, "little")
        (folder / f"{letter}.npy").write_bytes(b"\x93NUMPY\x01\x00" + size + damaged)
        yield folder / f"{letter}.npy", "numpy"
    (folder / "u.npy").write_bytes(b"PK\x03\x04 no archive")
    yield folder / "u.npy", "numpy"
    cbf = b"###CBF: VERSION 1.5\r\n" + bytes(900)
    (folder / "v.edf").write_bytes(cbf)
    yield folder / "v.edf", "fabio"
    (folder / "q.npy").mkdir()
    yield folder / "q.npy", "not a file"


def test_faulty_files_are_refused_in_one_line(tmp_path):
    for path, word in bad_files(tmp_path):
        with pytest.raises(FileFormatError) as caught:
            wb.read_mask(path)
        assert str(path) in str(caught.value)
        assert word in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress)])
def test_a_compressed_image_is_expanded_up_to_a_bound(
    tmp_path, mask, monkeypatch, ending, compress
):
    """3 kB may hold 4 GB."""
    wb.write_mask(mask, tmp_path / "mask.edf")
    path = tmp_path / f"mask.edf.{ending}"
    path.write_bytes(compress((tmp_path / "mask.edf").read_bytes()))
    np.testing.assert_array_equal(wb.read_mask(path, format="pyfai").good, mask.good)
    assert wb.read_image(path).data.shape == mask.good.shape
    monkeypatch.setattr("workbench.runs.frame_files.MOST_EXPANDED", 2**20)
    for read in (wb.read_image, lambda path: wb.read_mask(path, format="pyfai")):
        with pytest.raises(FileFormatError, match="more than 1 MB"):
            read(path)


def test_an_image_on_which_fabio_would_search_for_ever_is_refused(shared_data):
    with pytest.raises(FileFormatError, match="fabio"):
        wb.read_mask(shared_data / "hostile" / "slow.edf")


def test_missing_files_and_unknown_names(tmp_path):
    for file in FILES.values():
        with pytest.raises(FileFormatError):
            wb.read_mask(tmp_path / file)
    with pytest.raises(MaskError, match="no mask format"):
        wb.read_mask(tmp_path / "mask.npy", format="gif")
    with pytest.raises(FileFormatError, match="ending"):
        wb.read_mask(tmp_path / "mask")


def test_reasons_of_a_newer_version_are_refused():
    with pytest.raises(MaskError, match="newer"):
        Mask.from_reasons(np.full(CSPAD.shape, 1 << 30, np.uint32))
