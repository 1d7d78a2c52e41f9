"""Frames of other files behind the protocol of a run."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import fabio.edfimage
import fabio.tifimage
import h5py
import numpy as np
import pytest

from workbench.detectors import CSPAD, CSPAD_2X2, DEFAULT_ADDRESS
from workbench.errors import FileFormatError, NoEventsError, WorkbenchError
from workbench.recipe import Corrections, Events
from workbench.runs import open_frames

SHAPE = (32, 185, 388)
STACK = np.random.default_rng(5).normal(100, 10, (3, *SHAPE)).astype(np.float32)


def slab(frame):
    """Cheetah's layout written out by hand: quadrant q in columns, section s in rows."""
    out = np.zeros((1480, 1552), frame.dtype)
    for q in range(4):
        for s in range(8):
            out[185 * s : 185 * s + 185, 388 * q : 388 * q + 388] = frame[8 * q + s]
    return out


LAYOUTS = {
    "sensors": lambda a: a,
    "quadrants": lambda a: a.reshape(4, 8, 185, 388),
    "psana": lambda a: a.reshape(5920, 388),
    "panels": CSPAD.asic_stack,
    "cheetah": slab,
}


def same(frames, expected=STACK):
    events = list(frames.events())
    assert [event.index for event in events] == list(range(len(expected)))
    for event, frame in zip(events, expected, strict=True):
        np.testing.assert_array_equal(event.raw, frame)
        assert event.missing == ""
        assert event.data is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stacks_in_npy(tmp_path, layout):
    np.save(tmp_path / "a.npy", np.stack([LAYOUTS[layout](frame) for frame in STACK]))
    frames = open_frames(tmp_path / "a.npy")
    assert frames.detector.shape == SHAPE
    assert not frames.low_gain.any()
    assert frames.address == DEFAULT_ADDRESS
    same(frames)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_single_frames_in_several_npy(tmp_path, layout):
    paths = [tmp_path / f"{n}.npy" for n in range(3)]
    for path, frame in zip(paths, STACK, strict=True):
        np.save(path, LAYOUTS[layout](frame))
    same(open_frames(paths))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stacks_in_hdf5(tmp_path, layout):
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        stack = np.stack([LAYOUTS[layout](frame) for frame in STACK])
        file["entry_1/instrument_1/detector_1/data"] = stack
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        file["entry_1/result_1/peakXPosRaw"] = np.zeros((3, 2048))
    same(open_frames(tmp_path / "a.cxi"))


def test_what_cheetah_tells_of_the_beam(tmp_path):
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        file["entry_1/data_1/data"] = np.stack([slab(frame) for frame in STACK[:2]])
        file["LCLS/photon_energy_eV"] = [9500.0, np.nan]
        file["LCLS/machineTime"] = np.array([1_400_000_000, 1_400_000_001], np.int32)
        file["LCLS/machineTimeNanoSeconds"] = np.array([5, 6], np.int32)
        file["LCLS/fiducial"] = np.array([300, 303], np.int32)
        file["LCLS/detector_1/EncoderValue"] = [-464.5, -464.5]
    first, second = open_frames(tmp_path / "a.cxi").events()
    assert (first.seconds, first.nanoseconds, first.fiducials) == (1_400_000_000, 5, 300)
    assert first.wavelength_angstrom == pytest.approx(12398.4187 / 9500)
    assert first.encoder_mm == -464.5
    assert second.photon_energy_ev is None
    assert second.wavelength_angstrom is None


def test_photon_energy_in_joule(tmp_path):
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        file["entry_1/data_1/data"] = STACK[:1]
        file["entry_1/instrument_1/source_1/energy"] = [9500 * 1.602176634e-19]
    (event,) = open_frames(tmp_path / "a.cxi").events()
    assert event.photon_energy_ev == pytest.approx(9500)


def test_times_of_translated_files(tmp_path):
    times = np.zeros(2, [("seconds", "u4"), ("nanoseconds", "u4"), ("fiducials", "u4")])
    times["seconds"], times["fiducials"] = [10, 20], [3, 6]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("Configure:0000/Run:0000/CsPad::ElementV2/CxiDs1.0:Cspad.0")
        group["data"], group["time"] = STACK[:2].astype(np.int16), times
    events = list(open_frames(tmp_path / "a.h5").events())
    assert [(event.seconds, event.fiducials) for event in events] == [(10, 3), (20, 6)]
    assert events[0].raw.dtype == np.int16


@pytest.mark.parametrize("per_frame", [False, True])
def test_masked_pixels_are_masked(tmp_path, per_frame):
    bad = np.zeros((3, *SHAPE), np.uint16)
    bad[:, 0, 0, :5] = 4
    bad[1, 7] = 1
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        file["entry_1/data_1/data"] = STACK
        file["entry_1/data_1/mask"] = bad if per_frame else bad[0]
    for number, event in enumerate(open_frames(tmp_path / "a.cxi").events()):
        assert isinstance(event.raw, np.ma.MaskedArray)
        np.testing.assert_array_equal(event.raw.mask, bad[number if per_frame else 0] != 0)
        np.testing.assert_array_equal(event.raw.data, STACK[number])


def test_one_of_two_datasets_is_named(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["raw/data"], file["calibrated/data"] = STACK[:1], STACK[1:]
    with pytest.raises(FileFormatError, match=r"holds 2 datasets .* Name one: .*a\.h5:/"):
        open_frames(path)
    same(open_frames(f"{path}:/calibrated/data"), STACK[1:])
    with pytest.raises(FileFormatError, match="there is no dataset /other"):
        open_frames(f"{path}:/other")


@pytest.mark.parametrize(
    ("kind", "suffix"), [(fabio.edfimage.EdfImage, ".edf"), (fabio.tifimage.TifImage, ".tif")]
)
@pytest.mark.parametrize("layout", ["psana", "cheetah"])
def test_images_of_fabio(tmp_path, kind, suffix, layout):
    paths = [tmp_path / f"{n}{suffix}" for n in range(3)]
    for path, frame in zip(paths, STACK, strict=True):
        kind(data=LAYOUTS[layout](frame)).write(str(path))
    same(open_frames(paths))


def test_several_frames_in_one_edf(tmp_path):
    path = tmp_path / "many.edf"
    first = fabio.edfimage.EdfImage(data=STACK[0].reshape(5920, 388))
    for frame in STACK[1:]:
        first.append_frame(data=frame.reshape(5920, 388))
    first.write(str(path))
    same(open_frames(path))


def test_a_cspad_cbf_is_read_by_the_reader_given(tmp_path):
    path = tmp_path / "a.cbf"
    path.write_bytes(b"###CBF: VERSION 1.7.11\r\n" + b"x" * 100)
    seen = []

    def read_cbf(found: Path):
        seen.append(found)
        return SimpleNamespace(
            data=STACK[0], geometry="as in the file", distance_mm=158.0, wavelength_angstrom=1.3
        )

    frames = open_frames([path], read_cbf=read_cbf)
    same(frames, STACK[:1])
    assert set(seen) == {path}
    assert frames.geometry == "as in the file"
    (event,) = frames.events()
    assert event.distance_mm == 158.0
    assert event.wavelength_angstrom == pytest.approx(1.3)


def test_pixels_of_frames_left_out_by_number_are_not_read(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", STACK)
    np.save(tmp_path / "b.npy", STACK[::-1])
    frames = open_frames([tmp_path / "a.npy", tmp_path / "b.npy"])
    assert frames.event_count == 6
    read = []
    monkeypatch.setattr(
        "workbench.runs.frame_files._as_array", lambda a: read.append(1) or np.asarray(a)
    )
    monkeypatch.setattr("workbench.runs.frame_files.is_image", lambda shape: shape == SHAPE)
    events = list(frames.events(selection=Events(indices=(1, 4))))
    assert [event.index for event in events] == [1, 4]
    assert len(read) == 2
    assert frames.skipped == {"not in the list of events": 3}


def test_a_part_of_the_frames_can_be_sent_elsewhere(tmp_path):
    np.save(tmp_path / "a.npy", STACK)
    np.save(tmp_path / "b.npy", STACK[::-1])
    np.save(tmp_path / "c.npy", STACK)
    frames = open_frames([tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "c.npy"])
    events = list(frames.events())
    assert len({event.key for event in events}) == 9
    part = pickle.loads(pickle.dumps(frames.subset([events[2], events[7]])))
    (tmp_path / "b.npy").unlink()  # no frame of it is in the part
    found = list(part.events())
    assert part.event_count == 2
    assert [event.index for event in found] == [2, 7]
    assert [event.key for event in found] == [events[2].key, events[7].key]
    np.testing.assert_array_equal(found[1].raw, STACK[1])


def test_frames_are_selected_and_corrected(tmp_path):
    np.save(tmp_path / "a.npy", STACK)

    class Minus:
        def apply(self, raw, out=None):
            return np.asarray(raw) - np.float32(1)

    asked = []

    def make_corrector(settings, run):
        asked.append((settings, run.number))
        return Minus()

    frames = open_frames(tmp_path / "a.npy", run=7, make_corrector=make_corrector)
    (event,) = frames.events(Corrections(), Events(skip=1, limit=1))
    assert event.index == 1
    np.testing.assert_array_equal(event.data, STACK[1] - 1)
    assert asked == [(Corrections(), 7)]
    assert frames.skipped == {"before the first event used": 1}
    with pytest.raises(WorkbenchError, match="without the means to correct"):
        open_frames(tmp_path / "a.npy").events(Corrections())


def test_description_names_the_files(tmp_path):
    np.save(tmp_path / "a.npy", STACK)
    described = open_frames(tmp_path / "a.npy").describe()
    assert described["files"][0]["bytes"] == (tmp_path / "a.npy").stat().st_size


def test_the_small_detector(tmp_path):
    np.save(tmp_path / "a.npy", STACK[:, :2])
    frames = open_frames(tmp_path / "a.npy")
    assert frames.detector is CSPAD_2X2
    same(frames, STACK[:, :2])


def write_h5(path, data):
    with h5py.File(path, "w") as file:
        file["data"] = data


@pytest.mark.parametrize(
    ("name", "write", "problem"),
    [
        ("a.npy", lambda p: np.save(p, np.zeros((10, 10))), "detector frames, found 10 × 10"),
        ("a.npy", lambda p: np.save(p, np.array([{}]), allow_pickle=True), "cannot be read"),
        ("a.npy", lambda p: p.write_bytes(b"\x93NUMPY\1\0v\0{'descr'"), "cannot be read"),
        ("a.npy", lambda p: np.save(p, np.zeros(SHAPE, complex)), "real numbers"),
        ("a.h5", lambda p: write_h5(p, np.zeros(5)), "no detector frames"),
        ("a.h5", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50)), "cannot be read"),
        ("a.tif", lambda p: p.write_bytes(b"II*\0nonsense"), "no known image format"),
        ("a.txt", lambda p: p.write_bytes(b"hello"), "no known image format"),
        ("a.cbf", lambda p: p.write_bytes(b"###CBF: VERSION 1.5\r\n" * 3), "a.cbf: "),
        ("a.edf", lambda p: fabio.edfimage.EdfImage(data=np.zeros((9, 9))).write(str(p)), "9 × 9"),
        ("absent.npy", lambda p: None, "cannot read this file"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_told_in_one_line(tmp_path, name, write, problem):
    write(tmp_path / name)
    with pytest.raises(FileFormatError, match=problem) as error:
        open_frames(tmp_path / name)
    assert "\n" not in str(error.value)
    assert str(tmp_path / name) in str(error.value)


def test_frames_of_different_shapes_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", STACK[0])
    np.save(tmp_path / "b.npy", STACK[0, :2])
    frames = open_frames([tmp_path / "a.npy", tmp_path / "b.npy"])
    with pytest.raises(FileFormatError, match=r"b\.npy: expected frames of 32 × 185 × 388"):
        list(frames.events())


def test_no_frames(tmp_path):
    with pytest.raises(NoEventsError):
        open_frames([])
    np.save(tmp_path / "a.npy", np.zeros((0, *SHAPE)))
    with pytest.raises(NoEventsError, match=r"no frames in .*a\.npy"):
        open_frames(tmp_path / "a.npy")


@pytest.mark.parametrize("mask", ["group", "of another detector"])
def test_a_mask_that_is_none_of_the_frames_is_no_crash(tmp_path, mask):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data", (1, *CSPAD_2X2.shape), "<i2")
        if mask == "group":
            file.create_group("entry/mask")
        else:
            file.create_dataset("entry/mask", SHAPE, "u1")
    if mask == "group":
        assert len(list(open_frames(path).events())) == 1
    else:
        with pytest.raises(FileFormatError, match=r"expected a mask of 2 × 185 × 388 .* found"):
            open_frames(path)
