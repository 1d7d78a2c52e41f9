"""``workbench average`` and ``workbench merge`` on the sample experiment."""

import json
import signal

import numpy as np
import pytest

from workbench.cli import main
from workbench.errors import Cancelled
from workbench.images import read_image


@pytest.fixture(scope="module")
def averaged(sample, tmp_path_factory):
    """Images of the dark and a bright run, made with the spellings users know."""
    folder = tmp_path_factory.mktemp("averages")
    common = [
        "--experiment", "cxim1416", "--xtc_dir", str(sample.xtc_dir),
        "--calib-dir", str(sample.calib_dir), "--detz_offset", "585.5", "--outputdir", str(folder),
    ]  # fmt: skip
    assert main(["average", *common, "--run", "54", "--raw_data"]) == 0
    assert main(["average", *common, "--run", "74-75", "-g", "6.85", "--min"]) == 0
    return folder


def options(sample, folder, *words):
    return ["average", "-x", "cxim1416", "-D", str(sample.xtc_dir), "-C", str(sample.calib_dir),
            "-d", "585.5", "-o", str(folder), *words]  # fmt: skip


def numpy_frames(sample, number):
    from workbench.pipeline import open_run

    run = open_run("cxim1416", number, xtc_dir=sample.xtc_dir, calib_dir=sample.calib_dir)
    return run, np.array([event.raw for event in run.events() if event.raw is not None], float)


def test_raw_images_hold_exact_values(averaged, sample):
    _, raw = numpy_frames(sample, 54)
    read = {kind: read_image(averaged / f"cxim1416_{kind}-r0054.cbf").data
            for kind in ("avg", "stddev", "max")}  # fmt: skip
    np.testing.assert_allclose(read["avg"], raw.mean(0), rtol=1e-13)
    np.testing.assert_allclose(read["stddev"], raw.std(0), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(read["max"], raw.max(0))
    assert not (averaged / "cxim1416_min-r0054.cbf").exists()


def test_gain_mask_value_is_pedestal_and_low_gain_only(averaged, sample):
    from workbench.constants import read_constants

    run, raw = numpy_frames(sample, 74)
    pedestals = read_constants(sample.calib_dir, run.address, "pedestals", 74).astype(float)
    data = (raw - pedestals) * np.where(run.low_gain, 6.85, 1.0)
    for kind, expected in (("avg", data.mean(0)), ("stddev", data.std(0))):
        found = read_image(averaged / f"cxim1416_{kind}-r0074.cbf").data
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-8)
    for kind, expected in (("max", data.max(0)), ("min", data.min(0))):
        found = read_image(averaged / f"cxim1416_{kind}-r0074.cbf").data
        np.testing.assert_array_equal(found, expected)


def test_several_runs_give_the_maximum_of_their_maxima(averaged, tmp_path, capsys):
    paths = [str(averaged / f"cxim1416_max-r00{n}.cbf") for n in (74, 75)]
    merged = read_image(averaged / "cxim1416_max-r0074-0075.cbf")
    one, two = (read_image(path).data for path in paths)
    np.testing.assert_array_equal(merged.data, np.maximum(one, two))
    target = tmp_path / "all_max.cbf"
    assert main(["merge", *paths, "-m", str(target), "-s", str(tmp_path / "s.cbf")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Saving {target}"
    np.testing.assert_array_equal(read_image(target).data, merged.data)
    np.testing.assert_allclose(
        read_image(tmp_path / "s.cbf").data, np.std([one, two], axis=0, ddof=1), atol=1e-9
    )


@pytest.mark.slow
def test_halves_of_the_events_are_written_and_aligned(averaged, sample, tmp_path, capsys):
    assert main(options(sample, tmp_path, "-r", "74", "-g", "6.85", "--halves")) == 0
    assert "Saving " in capsys.readouterr().out
    whole, odd, even = (
        read_image(tmp_path / f"cxim1416_{kind}-r0074.cbf")
        for kind in ("avg", "odd-avg", "even-avg")
    )
    assert (whole.count, odd.count, even.count) == (12, 6, 6)
    np.testing.assert_allclose((odd.data + even.data) / 2, whole.data, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        whole.data, read_image(averaged / "cxim1416_avg-r0074.cbf").data, rtol=1e-9, atol=1e-9
    )
    names = [str(tmp_path / f"cxim1416_{half}-avg-r0074.cbf") for half in ("odd", "even")]
    image = str(tmp_path / "cxim1416_avg-r0074.cbf")
    assert main(["align", image, "--no-save", "--halves", *names]) == 0
    assert capsys.readouterr().out.count("px, good; halves of the events 0.0") == 4

    later = [*options(sample, tmp_path, "-r", "74", "-R"), "--halves", "first-last", "--json"]
    assert main(later) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["halves"] == {"first": 6, "last": 6}
    assert result["files"]["last maximum"].endswith("cxim1416_last-max-r0074.cbf")


def test_default_is_psana_s_calibration_and_json_tells_the_result(sample, tmp_path, capsys):
    assert main(options(sample, tmp_path, "-r", "74", "-n", "3", "-s", "2", "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["events"] == 3
    assert result["skipped"] == {"before the first event used": 2}
    assert 115 < result["distance_mm"] < 127
    image = read_image(result["files"]["average"])
    steps = [step["step"] for step in image.provenance["corrections"]]
    assert steps[:3] == ["pedestals", "common mode", "gain"]
    assert image.provenance["count"] == 3


def test_a_pedestal_subtracted_dark_is_pointed_out(sample, tmp_path, capsys):
    assert main(options(sample, tmp_path, "-r", "54", "-g", "6.85")) == 0
    assert "half of the average lies below zero" in capsys.readouterr().err


def test_constants_are_made_from_a_dark_run(experiment, tmp_path, capsys):
    out = tmp_path / "out"
    words = options(experiment, out, "-r", "54", "-R", "--deploy-constants", "60-70")
    assert main(words) == 0
    from workbench.constants import read_constants

    _, raw = numpy_frames(experiment, 54)
    pedestals = read_constants(experiment.calib_dir, "CxiDs1.0:Cspad.0", "pedestals", 65)
    np.testing.assert_allclose(pedestals, raw.mean(0), rtol=1e-6)
    status = read_constants(experiment.calib_dir, "CxiDs1.0:Cspad.0", "pixel_status", 65)
    assert 0 < np.count_nonzero(status) < 0.1 * status.size
    assert capsys.readouterr().out.count("Deployed ") == 3
    images = list(out.iterdir())
    for path in images:
        path.unlink()
    assert main(words) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not list(out.iterdir())  # refused before the run is averaged


def test_runs_that_are_not_there_are_told_in_one_line(sample, tmp_path, capsys):
    words = options(sample, tmp_path, "-r", "52-56,90,92-93", "-R", "-n", "2", "-v")
    assert main(words) == 0
    told = capsys.readouterr()
    lines = told.err.splitlines()
    absent = "runs 52-53, 55-56, 90, 92-93 are left out: they are not in "
    assert lines[0] == f"workbench average: {absent}{sample.xtc_dir}."
    assert lines[-1] == "workbench average: cxim1416 run 54: raw: no corrections"
    assert "2 events" in told.out
    assert main(options(sample, tmp_path, "-r", "90-93")) == 1
    assert "has no run 90" in capsys.readouterr().err


def test_verbose_tells_where_constants_come_from(sample, tmp_path, capsys):
    assert main(options(sample, tmp_path, "-r", "74", "-g", "6.85", "-n", "2", "-v")) == 0
    pedestals, gain = capsys.readouterr().err.splitlines()[-2:]
    assert ": pedestals: " in pedestals
    assert "pedestals/0-end.data (mean adu 11" in pedestals
    assert "gain: configuration of the run (factor 6.85, low gain pixels " in gain


class Interrupted:
    """Sends this process a signal when an averaging has gone through some events."""

    def __init__(self, monkeypatch, number, after=4):
        from workbench.cli.interrupt import Interruptible

        update = Interruptible.update

        def told(progress, done, total=None, message=""):
            update(progress, done, total, message)
            if done >= after and progress.signal is None:
                signal.raise_signal(number)

        monkeypatch.setattr(Interruptible, "update", told)
        monkeypatch.setattr("workbench.averages.collect.LOOK_EVERY", 1)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_an_interrupted_run_is_kept_and_gone_on_from(
    sample, tmp_path, monkeypatch, capsys, number, status
):
    state = tmp_path / "run.npz"
    words = options(sample, tmp_path, "-r", "74", "-R", "--save-state", str(state))
    before = signal.getsignal(number)  # ignored, if the tests run in the background
    with monkeypatch.context() as context:
        Interrupted(context, number)
        assert main(words) == status
    assert signal.getsignal(number) == before
    assert "4 events, partial: stopped before the end" in capsys.readouterr().out
    image = read_image(tmp_path / "cxim1416_avg-r0074.cbf")
    assert image.provenance["partial"] is True
    _, raw = numpy_frames(sample, 74)
    np.testing.assert_allclose(image.data, raw[:4].mean(0), rtol=1e-13)

    assert main([*words, "--resume", str(state)]) == 0
    assert f"Saving {state}" in capsys.readouterr().out
    image = read_image(tmp_path / "cxim1416_avg-r0074.cbf")
    assert image.provenance["partial"] is False
    assert image.provenance["resumed"]["events"] == 4
    np.testing.assert_allclose(image.data, raw.mean(0), rtol=1e-13)
    np.testing.assert_array_equal(read_image(tmp_path / "cxim1416_max-r0074.cbf").data, raw.max(0))


def test_of_several_runs_those_done_are_merged_when_interrupted(
    sample, tmp_path, monkeypatch, capsys
):
    Interrupted(monkeypatch, signal.SIGINT, after=9)
    assert main(options(sample, tmp_path, "-r", "74-75", "-R")) == 130
    assert "partial" in capsys.readouterr().out
    assert [path.name for path in sorted(tmp_path.glob("*max*"))] == ["cxim1416_max-r0074.cbf"]


def test_nothing_is_written_when_interrupted_before_the_first_event(
    sample, tmp_path, monkeypatch, capsys
):
    def average_run(*arguments, **settings):
        raise Cancelled("It was cancelled before its first event.")

    monkeypatch.setattr("workbench.averages.average_run", average_run)
    assert main(options(sample, tmp_path, "-r", "74", "-R")) == 130
    assert "cancelled before its first event" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_images_so_far_are_written_while_running(sample, tmp_path, monkeypatch):
    written = []

    def save(images, folder, *arguments):
        written.append((images.count, images.partial))
        return {}

    monkeypatch.setattr("workbench.averages.RunImages.save", save)
    monkeypatch.setattr("workbench.averages.collect.BLOCK", 3)
    assert main(options(sample, tmp_path, "-r", "74", "-R", "--snapshot", "1e-9")) == 0
    assert written[-1] == (12, False)
    assert len(written) > 2
    assert all(partial for _, partial in written[:-1])


def test_frames_of_other_files_are_averaged(averaged, sample, tmp_path, capsys):
    from workbench.geometry import Geometry

    paths = [str(averaged / f"cxim1416_max-r00{n}.cbf") for n in (74, 75)]
    one, two = (read_image(path) for path in paths)
    assert main(["average", *paths, "-o", str(tmp_path), "--min", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["events"] == 2
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        f"cxim1416_max-r0074_{kind}.cbf" for kind in ("avg", "max", "min", "stddev")
    ]
    image = read_image(result["files"]["average"])
    np.testing.assert_allclose(image.data, (one.data + two.data) / 2, rtol=1e-13, atol=1e-9)
    assert image.distance_mm == pytest.approx((one.distance_mm + two.distance_mm) / 2, abs=1e-5)
    assert image.wavelength_angstrom == pytest.approx(one.wavelength_angstrom, rel=1e-3)
    assert isinstance(image.geometry, Geometry)  # that of the first file

    run, raw = numpy_frames(sample, 74)
    np.save(tmp_path / "raw.npy", raw.astype(np.int16))
    words = options(sample, tmp_path / "run", "-r", "74", "--raw-data")
    assert main([*words, str(tmp_path / "raw.npy"), "-A", "mine"]) == 0
    image = read_image(tmp_path / "run" / "mine.cbf")
    np.testing.assert_allclose(image.data, raw.mean(0), rtol=1e-13)
    assert (
        main([*options(sample, tmp_path / "run", "-r", "74", "-g", "1"), str(tmp_path / "raw.npy")])
        == 0
    )
    from workbench.constants import read_constants

    pedestals = read_constants(sample.calib_dir, run.address, "pedestals", 74).astype(float)
    image = read_image(tmp_path / "run" / "cxim1416_avg-r0074.cbf")
    np.testing.assert_allclose(image.data, (raw - pedestals).mean(0), rtol=1e-10, atol=1e-9)


def test_frames_and_runs_are_not_mixed_up(tmp_path, capsys):
    def refused(complaint, *words):
        assert main(["average", *words]) == 1
        assert complaint in capsys.readouterr().err

    refused("Name --experiment and --run, or files of frames", "-x", "cxim1416")
    refused("give one --run", "a.npy", "-r", "70-75")
    refused("a.npy: cannot read this file", "a.npy")
    refused("constants correct the frames is not known", "a.npy", "-C", str(tmp_path))
    refused("not from frames", "a.npy", "-r", "7", "-R", "--deploy-constants")
    refused("state belongs to one run", "-x", "e", "-r", "70-75", "--resume", "s.npz")
    refused("seconds above 0", "-x", "e", "-r", "70", "--snapshot", "0")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-r", "99"], "no run 99"),
        (["-r", "54-end"], "not understood"),
        (["-r", "9-7"], "not a range"),
        (["-r", "74", "-g", "-1"], "gain is -1"),
        (["-r", "74", "-n", "0"], "limit is 0"),
        (["-r", "74", "-s", "1000", "-R"], "no events"),
        (["-r", "74", "--deploy-constants"], "raw data"),
        (["-r", "74-75", "-R", "--deploy-constants"], "one dark run"),
        (["-r", "54", "-R", "--deploy-constants", "60-54"], "not a range of runs"),
        (["-r", "74", "-R", "--averagebase", "{trial}"], "known fields"),
        (["-r", "74", "-R", "--halves", "thirds"], "choose from"),
        (["-r", "74", "-R", "-a", "CxiDs2.0:Cspad.0"], "CxiDs1.0:Cspad.0"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(sample, tmp_path, capsys, words, complaint):
    folder = tmp_path / "out"
    try:
        status = main(options(sample, folder, *words))
    except SystemExit as error:
        status = error.code
    assert status in (1, 2)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint in last
    assert not list(folder.glob("*")) if folder.exists() else True


def test_merge_refuses_what_does_not_match(averaged, tmp_path, capsys):
    path = str(averaged / "cxim1416_max-r0074.cbf")
    assert main(["merge", path]) == 1
    assert "nothing to write" in capsys.readouterr().err
    small = tmp_path / "small.npy"
    np.save(small, np.zeros((2, 185, 388)))
    assert main(["merge", path, str(small), "-m", str(tmp_path / "x.cbf")]) == 1
    assert "small.npy has the shape (2, 185, 388)" in capsys.readouterr().err
    assert main(["merge", str(tmp_path / "none.cbf"), "-m", str(tmp_path / "x.cbf")]) == 1
    assert not (tmp_path / "x.cbf").exists()


@pytest.mark.dials
@pytest.mark.slow
def test_dxtbx_opens_the_images_with_exact_values(averaged, dials):
    path = averaged / "cxim1416_avg-r0054.cbf"
    told = dials(
        "import sys, dxtbx, hashlib, json\n"
        "image = dxtbx.load(sys.argv[1]); detector = image.get_detector()\n"
        "data = [p.as_numpy_array() for p in image.get_raw_data()]\n"
        "print(json.dumps([len(detector), detector.hierarchy().get_distance(),"
        " hashlib.md5(b''.join(d.tobytes() for d in data)).hexdigest()]))",
        path,
    )
    import hashlib

    from workbench.detectors import CSPAD

    panels, distance, digest = json.loads(told.strip().splitlines()[-1])
    image = read_image(path)
    assert panels == 64
    assert abs(abs(distance) - image.distance_mm) < 1
    assert digest == hashlib.md5(CSPAD.asic_stack(image.data).tobytes()).hexdigest()
