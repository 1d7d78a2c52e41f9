"""Frames written from a run, read back by the workbench, by h5py, and by DIALS."""

import json

import h5py
import hdf5plugin  # noqa: F401  (its filter reads the files)
import numpy as np
import pytest

import workbench as wb
from workbench.averages import deployed_geometry
from workbench.errors import Cancelled, NoEventsError, WorkbenchError
from workbench.frames import Hits, read_table, write_frames
from workbench.geometry import Geometry
from workbench.mask import Mask
from workbench.progress import Silent
from workbench.recipe import Events
from workbench.simulate.truth import DETZ_OFFSET_MM

GAIN = wb.Corrections(gain=6.85)
FIRST_TWO = Events(limit=2)


@pytest.fixture(scope="module")
def run(sample):
    return wb.open_run("cxim1416", 74, psdm_dir=sample.folder)


@pytest.fixture(scope="module")
def mask(run):
    good = np.ones(run.detector.shape, bool)
    good[3, 20:30] = False
    return Mask.from_good(good)


@pytest.fixture(scope="module")
def corrected(run):
    return [event.data for event in run.events(GAIN, FIRST_TWO)]


@pytest.fixture(scope="module")
def dumped(run, mask, tmp_path_factory):
    """Two events in each format."""
    folder = tmp_path_factory.mktemp("frames")
    return {
        name: write_frames(
            run,
            folder / name,
            name,
            corrections=GAIN,
            selection=FIRST_TWO,
            mask=mask,
            detz_offset_mm=DETZ_OFFSET_MM,
        )
        for name in ("cbf", "nxmx", "crystfel")
    }


def test_an_event_is_a_cbf_named_by_its_time(dumped, corrected, mask):
    written = dumped["cbf"]
    assert [path.name for path in written.files] == [
        "shot-20160221030641500.cbf",
        "shot-20160221030641508.cbf",
    ]
    image = wb.read_image(written.files[1])
    np.testing.assert_array_equal(np.isnan(image.data), ~mask.good)
    np.testing.assert_array_equal(image.data[mask.good], corrected[1][mask.good])
    assert image.wavelength_angstrom == written.rows[1].wavelength_angstrom
    assert image.distance_mm == pytest.approx(121.018, abs=0.01)
    assert image.provenance["event"] == 1


def test_nxmx_has_the_asics_below_each_other_and_the_mask(dumped, corrected, run, mask):
    with h5py.File(dumped["nxmx"].files[0]) as file:
        data = file["entry/data/data"]
        assert data.shape == (2, 64 * 185, 194)
        stack = data[1].reshape(64, 185, 194)
        np.testing.assert_array_equal(run.detector.from_asic_stack(stack), corrected[1])
        words = file["entry/instrument/detector/pixel_mask"][:].reshape(64, 185, 194)
        np.testing.assert_array_equal(run.detector.from_asic_stack(words) == 0, mask.good)
        assert list(file["entry/cspad_workbench/event"]) == [0, 1]


def test_crystfel_gets_cheetahs_slab_with_geometry_and_list(dumped, corrected, run, mask):
    written = dumped["crystfel"]
    geometry, listed = written.beside
    with h5py.File(written.files[0]) as file:
        np.testing.assert_array_equal(
            file["entry_1/data_1/data"][0], run.detector.to_slab(corrected[0])
        )
        slab = run.detector.to_slab(mask.good)
        np.testing.assert_array_equal(file["entry_1/data_1/mask"][:] == 0, slab)
        energy = file["LCLS/photon_energy_eV"][:]
    assert energy[0] == pytest.approx(written.rows[0].photon_energy_ev)
    assert listed.read_text() == f"{written.files[0].resolve()}\n"
    text = geometry.read_text()
    assert "data = /entry_1/data_1/data" in text
    assert "mask = /entry_1/data_1/mask" in text
    placed = Geometry.read(geometry).pixel_positions_um()[..., :2]
    deployed = deployed_geometry(run)
    flat = placed - deployed.pixel_positions_um()[..., :2]
    assert np.abs(flat).max() < 1e-3


def test_the_table_tells_each_event(dumped):
    written = dumped["nxmx"]
    rows = read_table(written.table)
    assert rows == list(written.rows)
    assert [row.event for row in rows] == [0, 1]
    assert [row.frame for row in rows] == [0, 1]
    assert rows[0].time_utc.startswith("2016-02-21T03:06:41.5")
    assert rows[0].fiducials
    assert rows[0].peaks is not None


@pytest.mark.slow
def test_dxtbx_sees_the_same_detector_and_pixels_in_cbf_and_nxmx(
    dumped, run, mask, dials, tmp_path
):
    plain = write_frames(
        run, tmp_path, "nxmx", corrections=GAIN, selection=FIRST_TWO, mask=mask,
        detz_offset_mm=DETZ_OFFSET_MM, compression="gzip",
    )  # fmt: skip
    code = """
import json, sys
import numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
cbf, nxmx = (ExperimentListFactory.from_filenames([path]) for path in sys.argv[1:])
one, other = cbf[0].imageset, nxmx[0].imageset
axes = ("get_origin", "get_fast_axis", "get_slow_axis")
print(json.dumps({
    "formats": [i.get_format_class().__name__ for i in (one, other)],
    "frames": len(nxmx), "panels": len(nxmx[0].detector),
    "wavelengths": [e.beam.get_wavelength() for e in (*cbf, *nxmx)],
    "apart_mm": max(
        float(np.abs(np.subtract(getattr(a, axis)(), getattr(b, axis)())).max())
        for a, b in zip(cbf[0].detector, nxmx[0].detector) for axis in axes
    ),
    "pixels": max(
        float(np.abs((a.as_numpy_array() - b.as_numpy_array())[m.as_numpy_array()]).max(initial=0))
        for a, b, m in zip(one.get_raw_data(0), other.get_raw_data(0), other.get_mask(0))
    ),
    "masked": [sum(m.count(False) for m in i.get_mask(0)) for i in (one, other)],
    "parallax": float(np.abs(np.subtract(
        nxmx[0].detector[0].get_pixel_lab_coord((0, 0)),
        cbf[0].detector[0].get_pixel_lab_coord((0, 0)))).max()),
}))
"""
    seen = json.loads(dials(code, dumped["cbf"].files[0], plain.files[0]))
    assert seen["formats"] == ["FormatCBFCspad", "FormatNXmx"]
    assert (seen["frames"], seen["panels"]) == (2, 64)
    first, same, second = seen["wavelengths"]
    assert first == same != second
    assert seen["apart_mm"] < 1e-9
    assert seen["pixels"] == 0
    assert seen["parallax"] < 1e-5
    # beside the mask, dxtbx leaves out what is outside the trusted range
    assert seen["masked"][0] == seen["masked"][1] >= (~mask.good).sum()


def test_whole_adu_are_rounded(run, corrected, tmp_path):
    written = write_frames(
        run, tmp_path, "nxmx", corrections=GAIN, selection=Events(limit=1),
        detz_offset_mm=DETZ_OFFSET_MM, whole_adu=True,
    )  # fmt: skip
    with h5py.File(written.files[0]) as file:
        stack = file["entry/data/data"][0].reshape(64, 185, 194)
    assert stack.dtype == np.int32
    np.testing.assert_array_equal(run.detector.from_asic_stack(stack), np.rint(corrected[0]))


def test_only_hits_are_written_and_the_others_stand_in_the_table(run, tmp_path):
    every = write_frames(
        run, tmp_path / "all", "nxmx", selection=Events(limit=4), corrections=GAIN,
        distance_mm=121.0,
    )  # fmt: skip
    peaks = [row.peaks for row in every.rows]
    least = sorted(peaks)[2]
    hits = write_frames(
        run, tmp_path / "hits", "nxmx", selection=Events(limit=4), corrections=GAIN,
        distance_mm=121.0, hits=Hits(least),
    )  # fmt: skip
    assert [row.peaks for row in hits.rows] == peaks
    assert [row.written for row in hits.rows] == [count >= least for count in peaks]
    assert {row.note for row in hits.rows if not row.written} <= {"no hit"}


def test_nothing_but_blank_shots_gives_a_table_alone(run, tmp_path):
    written = write_frames(
        run, tmp_path, "nxmx", selection=FIRST_TWO, distance_mm=121.0, hits=Hits(10**6)
    )
    assert written.count == 0
    assert not written.files
    assert len(read_table(written.table)) == 2


def test_times_choose_events(run, tmp_path):
    events = list(run.events(None, Events(limit=3)))
    middle = events[1].seconds + events[1].nanoseconds * 1e-9
    written = write_frames(
        run, tmp_path, "nxmx", selection=Events(limit=3), distance_mm=121.0,
        since=middle - 1e-3, until=middle + 1e-3,
    )  # fmt: skip
    assert [row.written for row in written.rows] == [False, True, False]


class StopAfter(Silent):
    """Cancels after so many events."""

    def __init__(self, events):
        super().__init__()
        self.events = events

    def update(self, done, total=None, message=""):
        self.cancelled = done >= self.events


@pytest.mark.parametrize("format", ["nxmx", pytest.param("cbf", marks=pytest.mark.slow)])
def test_a_stopped_job_is_gone_on_with(run, tmp_path, format, monkeypatch):
    monkeypatch.setattr("workbench.frames.writing.FILE_EVENTS", 2)  # 500
    monkeypatch.setattr("workbench.frames.writing.BATCH_EVENTS", 2)
    how = {"selection": Events(limit=4), "distance_mm": 121.0}
    with pytest.raises(Cancelled, match="resume"):
        write_frames(run, tmp_path / "a", format, progress=StopAfter(3), **how)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    assert not [name for name in before if name.startswith(".")]
    written = write_frames(run, tmp_path / "a", format, resume=True, **how)
    assert [row.event for row in written.rows] == [0, 1, 2, 3]
    assert written.count == 4
    first = written.files[0]
    assert first.stat().st_mtime_ns == before[first.name]
    assert len(written.files) == {"cbf": 4, "nxmx": 2}[format]
    whole = write_frames(run, tmp_path / "b", format, **how)
    assert whole.rows == written.rows


def test_going_on_with_other_settings_is_refused(run, tmp_path):
    how = {"selection": Events(limit=1), "distance_mm": 121.0}
    write_frames(run, tmp_path, "nxmx", **how)
    with pytest.raises(WorkbenchError, match="exists already"):
        write_frames(run, tmp_path, "nxmx", **how)
    with pytest.raises(WorkbenchError, match="distance_mm"):
        write_frames(run, tmp_path, "nxmx", **{**how, "distance_mm": 120.0}, resume=True)
    again = write_frames(run, tmp_path, "nxmx", **{**how, "distance_mm": 120.0}, overwrite=True)
    assert again.distance_mm == 120.0


@pytest.mark.slow
def test_a_cluster_writes_the_same_frames(run, tmp_path):
    from workbench.averages import Dask

    how = {"selection": Events(limit=4), "distance_mm": 121.0, "frames_per_file": 2}
    here = write_frames(run, tmp_path / "a", "nxmx", **how)
    there = write_frames(run, tmp_path / "b", "nxmx", **how, runner=Dask(workers=1))
    assert there.rows == here.rows
    for one, other in zip(here.files, there.files, strict=True):
        with h5py.File(one) as a, h5py.File(other) as b:
            np.testing.assert_array_equal(a["entry/data/data"][:], b["entry/data/data"][:])


def test_a_full_disk_is_one_sentence_and_leaves_no_file(run, tmp_path, monkeypatch):
    import errno

    from workbench.hdf5 import _LastingStream

    monkeypatch.setattr(
        _LastingStream, "write", lambda self, content: self._failed(memoryview(content).nbytes)
    )

    def failed(self, size):
        self._error = OSError(errno.ENOSPC, "No space left on device")
        return size

    monkeypatch.setattr(_LastingStream, "_failed", failed, raising=False)
    with pytest.raises(WorkbenchError, match="No space left"):
        write_frames(run, tmp_path, "nxmx", selection=Events(limit=1), distance_mm=121.0)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".nxs"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"format": "tiff"}, "no format of frames"),
        ({"compression": "zip"}, "no compression"),
        ({"frames_per_file": 0}, "cannot hold 0"),
        ({"distance_mm": None}, "distance of the detector is not known"),
        ({"mask": np.ones((2, 185, 388), bool)}, "mask is of a CSPAD 2×2"),
        ({"selection": Events(indices=(10**6,))}, "no events to write"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(run, tmp_path, wrong, sentence):
    how = {"format": "nxmx", "selection": Events(limit=1), "distance_mm": 121.0, **wrong}
    with pytest.raises((WorkbenchError, NoEventsError), match=sentence):
        write_frames(run, tmp_path, **how)


def test_frames_do_not_go_into_a_calibration_directory(run, sample):
    place = sample.geometry.parent
    with pytest.raises(WorkbenchError, match="calibration directory"):
        write_frames(run, place, "cbf", distance_mm=121.0)
