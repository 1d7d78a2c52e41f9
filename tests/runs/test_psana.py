"""LCLS-II runs through psana: every pixel as psana itself gives it; what cannot be read is said."""

import os
import shutil
from itertools import islice

import numpy as np
import pytest

import workbench as wb
from workbench.cli import main
from workbench.detectors import EPIX10KA_QUAD, JUNGFRAU_05M
from workbench.errors import (
    DetectorNotFoundError,
    FileFormatError,
    RunNotFoundError,
    WorkbenchError,
)
from workbench.recipe import Events
from workbench.runs.psana_run import count_events

JUNGFRAU = "jungfrau05M_mfx101332224_r0007.xtc2"
EPIX = "epixquad_ueddaq02_r0109.xtc2"


@pytest.fixture(scope="module")
def xtc2(shared_data):
    """Folder of the real files, if psana can be loaded."""
    os.environ.setdefault("PS_PARALLEL", "none")
    try:
        import psana  # noqa: F401
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"psana cannot be loaded: {error}")
    return shared_data / "xtc2"


def by_psana(path, name):
    """Time and pixels of each event, asked of psana in its own words."""
    from psana import DataSource

    source = DataSource(files=[str(path)], skip_calib_load="all")
    run = next(source.runs())
    raw = run.Detector(name).raw.raw
    events = islice(run.events(), 2)  # at the end of the file psana waits for more
    return [(event.timestamp, np.array(raw(event))) for event in events]


@pytest.mark.parametrize(
    ("file", "name", "detector"),
    [(JUNGFRAU, "jungfrau", JUNGFRAU_05M), (EPIX, "epixquad", EPIX10KA_QUAD)],
)
def test_every_pixel_is_psanas(xtc2, file, name, detector):
    run = wb.open_run(files=[xtc2 / file])
    assert run.detector is detector
    assert run.name == name
    expected, events = by_psana(xtc2 / file, name), list(run.events())
    assert len(events) == run.event_count == len(expected) == 2
    for event, (time, pixels) in zip(events, expected, strict=True):
        assert np.array_equal(event.raw, pixels)
        assert event.raw.dtype == np.uint16
        assert (event.seconds - 631_152_000) << 32 | event.nanoseconds == time
        assert np.array_equal(event.modules[0].pixels, pixels)


def test_the_gain_bits_are_in_the_values(xtc2):
    bits = {event.index: np.unique(event.raw >> 14) for event in jungfrau(xtc2).events()}
    assert set(np.concatenate(list(bits.values()))) == {0, 1, 3}
    epix = wb.open_run(files=[xtc2 / EPIX])
    assert np.array_equal(np.unique(epix.gain_code), [2]), "all pixels are set to fixed low gain"


def test_a_run_is_known_by_what_it_says_of_itself(xtc2):
    run = jungfrau(xtc2)
    assert (run.experiment, run.number) == ("mfx101332224", 7)
    assert next(run.events()).seconds == 1_743_188_891, "28 March 2025"
    assert run.describe()["read by"].startswith("psana 4.3")


def jungfrau(folder):
    return wb.open_run(files=[folder / JUNGFRAU])


def test_a_run_is_found_by_experiment_and_number(xtc2, tmp_path):
    (tmp_path / "mfx101332224-r0007-s003-c000.xtc2").symlink_to(xtc2 / JUNGFRAU)
    run = wb.open_run("mfx101332224", 7, xtc_dir=tmp_path)
    assert run.title == "mfx101332224 run 7"
    with pytest.raises(RunNotFoundError):
        wb.open_run("mfx101332224", 8, xtc_dir=tmp_path)
    (tmp_path / "mfx101332224-r0007-s004-c000.xtc2").symlink_to(xtc2 / JUNGFRAU)
    with pytest.raises(RunNotFoundError, match=r"several files .* needs the folder smalldata"):
        wb.open_run("mfx101332224", 7, xtc_dir=tmp_path)


def test_events_are_selected_and_sent_elsewhere(xtc2):
    run = jungfrau(xtc2)
    first, second = run.events()
    (chosen,) = run.events(selection=Events(skip=1))
    assert chosen.key == second.key
    (sent,) = run.subset([second]).events()
    assert sent.index == 1
    assert np.array_equal(sent.raw, second.raw)
    assert not np.array_equal(sent.raw, first.raw)


@pytest.mark.slow
@pytest.mark.parametrize("file", [JUNGFRAU, EPIX])
def test_raw_averages_are_without_gain_bits(xtc2, tmp_path, file):
    assert main(["average", str(xtc2 / file), "-R", "-o", str(tmp_path)]) == 0
    average = wb.read_image(next(tmp_path.glob("*avg*"))).data
    values = [event.raw & 0x3FFF for event in wb.open_run(files=[xtc2 / file]).events()]
    well = np.all([event.raw >> 14 != 2 for event in wb.open_run(files=[xtc2 / file]).events()], 0)
    assert np.allclose(average[well], np.mean(values, axis=0)[well])


@pytest.mark.slow
def test_constants_come_from_the_calibration_directory(xtc2, tmp_path):
    run = wb.open_run(files=[xtc2 / JUNGFRAU], calib_dir=tmp_path)
    folder = tmp_path / "Jungfrau::CalibV1" / run.address / "pedestals"
    folder.mkdir(parents=True)
    pedestals = (2000, 14_000, 14_500)
    lines = [" ".join([str(value)] * 1024) for value in pedestals for _ in range(512)]
    (folder / "0-end.data").write_text("\n".join(lines))
    event = next(run.events(wb.Corrections(pedestal=True, common_mode=False)))
    bits, value = event.raw >> 14, (event.raw & 0x3FFF).astype(float)
    g0, g1, g2 = (value - pedestal for pedestal in pedestals)
    known = [bits == 0, bits == 1, bits == 3]
    expected = np.select(known, [g0, g1 * 41.5 / -1.39, g2 * 41.5 / -0.11])
    assert np.allclose(event.data, expected, rtol=1e-6)


# ---- what cannot be read -------------------------------------------------------------------------


def test_a_detector_that_is_not_there_is_said(xtc2):
    with pytest.raises(DetectorNotFoundError, match=r"rayonix is not in .*there are: jungfrau"):
        wb.open_run(files=[xtc2 / JUNGFRAU], address="rayonix")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "found no datagram"),
        (b"no XTC2 file at all, but some text", "expected an XTC2 file"),
        (bytes(4096), "expected an XTC2 file"),
    ],
)
def test_other_files_are_refused_before_psana_sees_them(tmp_path, content, problem):
    (tmp_path / "x.xtc2").write_bytes(content)
    with pytest.raises(FileFormatError, match=problem):
        wb.open_run(files=[tmp_path / "x.xtc2"])
    with pytest.raises(FileFormatError, match="cannot be read"):
        wb.open_run(files=[tmp_path / "absent.xtc2"])


def test_a_file_cut_within_an_event_has_the_events_before(xtc2, tmp_path):
    shutil.copyfile(xtc2 / JUNGFRAU, tmp_path / "x.xtc2")
    os.truncate(tmp_path / "x.xtc2", 1_500_000)
    assert count_events(tmp_path / "x.xtc2") == 1
    assert len(list(wb.open_run(files=[tmp_path / "x.xtc2"]).events())) == 1


def test_without_psana_one_sentence_says_how_to_get_it(tmp_path, monkeypatch, shared_data):
    monkeypatch.setitem(__import__("sys").modules, "psana", None)
    with pytest.raises(WorkbenchError, match=r"cannot be loaded .*pip install .*\[psana\]"):
        wb.open_run(files=[shared_data / "xtc2" / JUNGFRAU])
