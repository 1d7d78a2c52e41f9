"""Jungfrau: files written byte by byte from psddldata's ``jungfrau.ddl``, then read."""

import json

import numpy as np
import pytest
from jungfrau_builder import ADDRESS, PHY, config, data, frame
from xtc_builder import run_bytes, write, xtc

import workbench as wb
from workbench.cli import main
from workbench.constants import constants_folder, read_constants
from workbench.detectors import JUNGFRAU_05M, JUNGFRAU_4M
from workbench.errors import FileFormatError, NoEventsError
from workbench.recipe import Experiment, Output, Recipe
from workbench.session import Session
from workbench.ui.panels.quadrants import QuadrantsPanel

NAMES = {1: "Jungfrau 0.5M", 2: "Jungfrau 1M", 8: "Jungfrau 4M"}


def open_run(folder, events, cfg):
    write(folder, run_bytes(events, cfg=cfg), prefix="cxitest")
    return wb.open_run("cxitest", 74, ADDRESS, xtc_dir=folder)


@pytest.mark.parametrize(
    ("modules", "of_config", "of_data"), [(1, 1, 1), (2, 2, 2), (2, 3, 1), (8, 4, 2)]
)
def test_every_pixel_is_where_the_description_of_the_format_puts_it(
    tmp_path, modules, of_config, of_data
):
    pixels = frame(modules)
    run = open_run(tmp_path, [[data(pixels, of_data)]], [config(modules, of_config)])
    (event,) = run.events()
    assert run.detector.name == NAMES[modules]
    assert event.raw.dtype == np.uint16
    np.testing.assert_array_equal(event.raw, pixels)
    assert run.describe()["configuration"] == f"JungfrauConfigV{of_config}"


@pytest.mark.parametrize(
    ("cfg", "message"),
    [(config(1, 5), "expected JungfrauConfig version 1 to 4, found version 5"),
     (config(3), "expected a Jungfrau of 1, 2, 8 modules .* found 3 of 512 × 1024"),
     (config(1, shape=(256, 1024)), "found 1 of 256 × 1024"),
     (config(8, 4, size=100), "expected 828 bytes of JungfrauConfigV4, found 100")],
    ids=["version", "modules", "rows", "short"],
)  # fmt: skip
def test_a_configuration_that_cannot_be_read_is_told_in_one_sentence(tmp_path, cfg, message):
    with pytest.raises(FileFormatError, match=message):
        open_run(tmp_path, [[data(frame(1))]], [cfg])


def test_data_with_a_module_missing_are_left_out_and_said(tmp_path):
    run = open_run(tmp_path, [[data(frame(1))], [data(frame(2))]], [config(2)])
    assert [event.raw is None for event in run.events()] == [True, False]
    assert "expected 2 modules of a Jungfrau 1M" in run.problems[0]
    assert "1 modules" in run.problems[0]


def test_a_detector_that_changes_within_the_run_is_read_as_the_first(tmp_path):
    from xtc_builder import CONFIGURE, Clock, container, dgram

    clock = Clock()
    start = run_bytes([[data(frame(1))]], cfg=[config(1)], clock=clock, close=False)
    later = dgram(CONFIGURE, container(config(2)), **clock.next())
    write(tmp_path, start + later + run_bytes([], cfg=[config(1)], clock=clock)[:0],
          prefix="cxitest")  # fmt: skip
    run = wb.open_run("cxitest", 74, ADDRESS, xtc_dir=tmp_path)
    assert len(list(run.events())) == 1
    assert "changes from Jungfrau 0.5M to Jungfrau 1M within the run" in " ".join(run.problems)


@pytest.mark.parametrize(
    ("objects", "message"),
    [([data(frame(1))] * 2, r"2 undecodable \(event 0: .*, byte \d+: expected 2 modules of a Jung"),
     ([xtc(2 << 16 | 999, b"", phy=PHY)], "has data of TypeId 999 version 2, which cannot be")],
    ids=["module", "type"],
)  # fmt: skip
def test_why_no_event_can_be_averaged_is_in_the_sentence(tmp_path, objects, message):
    run = open_run(tmp_path, [[each] for each in objects], [config(2)])
    with pytest.raises(NoEventsError, match=message):
        wb.average_run(run)


def test_averages_warn_of_events_that_cannot_be_decoded_and_of_gain_bits_of_no_range(tmp_path):
    good, bad = frame(1) & 0x3FFF, frame(1) & 0x3FFF
    bad[0, :256] |= 2 << 14
    run = open_run(tmp_path, [[data(good, 3)], [data(good)], [data(bad)]], [config(1)])
    images = wb.average_run(run)
    assert images.count == 2
    assert "expected JungfrauElement version 1 or 2, found version 3" in images.warnings[0]
    assert images.warnings[1].startswith("25 % of the values have gain bits that stand for no")


def test_a_session_takes_the_size_from_the_configuration_before_anything_is_averaged(tmp_path):
    write(tmp_path, run_bytes([[data(frame(8))]], cfg=[config(8)]), prefix="cxitest")
    of_run = Experiment(name="cxitest", address=ADDRESS, dark=74, xtc_dir=str(tmp_path))
    session = Session(Recipe(experiment=of_run))
    panel = QuadrantsPanel(session)
    assert session.jobs.look.wait(300)
    assert session.detector is JUNGFRAU_4M
    assert panel.title == "Modules"
    assert [row.name for row in panel.rows] == [f"M{module}" for module in range(8)]
    session.change("alignment.groups", "sides")
    assert panel.title == "Sides"
    assert [row.name for row in panel.rows] == ["SIDE0", "SIDE1"]
    session.change("experiment.dark", 75)  # such a run is not there
    assert session.jobs.look.wait(300)
    assert session.detector is JUNGFRAU_05M
    session.change("experiment.address", "CxiDs1.0:Cspad.0")
    assert panel.title == "Quadrants"


def write_dark(folder, number, gain_range, pedestal, faults=()):
    """A dark run of 12 events with all pixels in one range, noise of 3 ADU; 10 are bad bits."""
    random = np.random.default_rng(number)
    noise = random.integers(-5, 6, (12, *pedestal.shape))  # 3.2 ADU
    frames = (pedestal + noise).astype(np.uint16) | np.uint16((0, 1, 3)[gain_range] << 14)
    for event, place, raw in faults:
        frames[event, *place] = raw
    content = run_bytes([[data(each)] for each in frames], cfg=[config(1)], run=number)
    write(folder, content, run=number, prefix="cxitest")
    return frames & 0x3FFF


def test_events_are_listed_without_naming_the_detector(tmp_path, capsys):
    write_dark(tmp_path, 10, 0, np.full(JUNGFRAU_05M.shape, 3000))
    run = ["-x", "cxitest", "-r", "10", "--xtc-dir", str(tmp_path)]
    assert main(["inspect", *run, "--events", "--json"]) == 0
    events = json.loads(capsys.readouterr().out)["events"]
    assert len(events) == 12
    assert not any(event["missing"] for event in events)


@pytest.mark.slow
def test_dark_runs_of_the_three_ranges_give_the_constants_that_psana_reads(tmp_path, capsys):
    xtc_dir, calib_dir = tmp_path / "xtc", tmp_path / "calib"
    shape, random = JUNGFRAU_05M.shape, np.random.default_rng(8)
    true = [random.integers(low, low + 200, shape) for low in (2900, 14300, 14400)]
    stuck = [(slice(None), (0, 300, 400), 0x0BB8)]  # 3000 in the first range, always
    shown = [
        write_dark(xtc_dir, 10, 0, true[0], [(4, (0, 7, 9), 2 << 14 | 3000)]),
        write_dark(xtc_dir, 11, 1, true[1], stuck),
        write_dark(xtc_dir, 12, 2, true[2]),
    ]
    of_experiment = ["average", "-x", "cxitest", "-a", ADDRESS, "--xtc-dir", str(xtc_dir), "-R",
                     "--calib-dir", str(calib_dir), "-o", str(tmp_path / "out")]  # fmt: skip
    assert main([*of_experiment, "-r", "10-12", "--deploy-constants"]) == 0
    assert "g0 of run 10 (12 events), g1 of run 11 (12 events), g2 of" in capsys.readouterr().out
    read = {
        kind: read_constants(calib_dir, ADDRESS, kind, 15, JUNGFRAU_05M)
        for kind in ("pedestals", "pixel_rms", "pixel_status")
    }
    assert read["pedestals"].shape == (3, *shape)
    text = constants_folder(calib_dir, ADDRESS, "pedestals") / "10-end.data"
    assert np.loadtxt(text).shape == (3 * 512, 1024)  # as numpy, and psana, read it
    for gain_range, frames in enumerate(shown):
        counted = np.ones(frames.shape, bool)
        counted[4, 0, 7, 9] = gain_range > 0  # bad bits there in one event
        expected, rms = frames.mean(axis=0, where=counted), frames.std(axis=0, where=counted)
        np.testing.assert_allclose(read["pedestals"][gain_range], expected, atol=2e-3)
        np.testing.assert_allclose(read["pixel_rms"][gain_range], rms, atol=2e-3)
    bad = read["pixel_status"]
    assert (bad[0, 0, 7, 9], bad[2, 0, 300, 400]) == (64, 0)
    assert bad[1, 0, 300, 400] & 64
    assert (bad != 0).mean() < 1e-3

    run = wb.open_run("cxitest", 11, ADDRESS, xtc_dir=xtc_dir, calib_dir=calib_dir)
    event = next(iter(run.events(wb.Corrections(pedestal=True))))
    assert abs(np.median(event.data)) < 30.0  # 1 ADU here is 30 of the first range
    assert main([*of_experiment, "-r", "12", "--deploy-constants", "20-end"]) == 0
    assert "g2 of run 12 (12 events); g0, g1 as deployed before" in capsys.readouterr().out
    assert main([*of_experiment, "-r", "10,11", "--deploy-constants"]) == 1
    assert "10-end.data is deployed already" in capsys.readouterr().err

    geometry = constants_folder(calib_dir, ADDRESS, "geometry")
    geometry.mkdir()
    wb.Geometry.ideal(JUNGFRAU_05M).write(geometry / "0-end.data")
    of_run = Experiment(
        name="cxitest",
        address=ADDRESS,
        dark=11,
        bright=(10,),
        xtc_dir=str(xtc_dir),
        calib_dir=str(calib_dir),
    )
    session = Session(Recipe(experiment=of_run, output=Output(folder=str(tmp_path / "out"))))
    session.compute_images()
    session.wait(300)
    plan = session.constants.plan(session.store.open(), 30)
    assert "gain range g1 of run 11 (12 events); g0, g2 as deployed before" in plan.facts[0]
    np.testing.assert_array_equal(plan.dark.pedestals[[0, 2]], read["pedestals"][[0, 2]])
