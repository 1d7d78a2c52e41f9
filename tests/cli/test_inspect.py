"""``workbench inspect``."""

import json
from struct import pack

import pytest

from workbench.cli import main


def datagram(service, payload=b"", fid=0):
    header = pack("<5I", fid, 1_360_000_000, service << 24, fid, 0)
    return header + pack("<5I", 0, 0x03000000, 1, 0x00010001, 20 + len(payload)) + payload


def xtc(contains, payload, phy=0x20000A00):
    return pack("<5I", 0, 0x01000000, phy, contains, 20 + len(payload)) + payload


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("SIT_PSDM_DATA", raising=False)
    monkeypatch.delenv("SIT_DATA", raising=False)
    xtc_dir = tmp_path / "CXI" / "cxim1416" / "xtc"
    xtc_dir.mkdir(parents=True)
    config = bytearray(287928)
    config[80:88] = pack("<II", 0xF, 0xFFFFFFFF)
    events = b"".join(datagram(12, xtc(0, b""), fid) for fid in (3, 6, 9))
    content = datagram(4, xtc(5 << 16 | 29, bytes(config))) + events
    (xtc_dir / "cxim1416-r0074-s00-c00.xtc").write_bytes(content)
    (xtc_dir / "cxim1416-r0075-s00-c00.xtc").write_bytes(b"\x89HDF" * 100)
    return xtc_dir


def ran(capsys, *words):
    status = main(["inspect", *map(str, words)])
    out = capsys.readouterr()
    return status, out.out, out.err


def test_runs_are_listed_with_sizes_and_events(folder, capsys):
    status, out, _ = ran(capsys, "--experiment", "cxim1416", "--xtc-dir", folder)
    assert status == 0
    header, good, bad = out.splitlines()
    assert header.split() == ["run", "streams", "files", "size", "events"]
    assert good.split() == ["74", "1", "1", "288.2", "kB", "3"]
    assert "not an XTC file" in bad  # one bad run does not hide the others


def test_runs_as_json(folder, capsys):
    words = ("--experiment", "cxim1416", "--psdm_dir", folder.parents[2], "--json")
    _, out, _ = ran(capsys, *words)
    runs = json.loads(out)["runs"]
    assert [(run["run"], run["events"]) for run in runs] == [(74, 3), (75, None)]
    _, out, _ = ran(capsys, *words, "--sizes-only")
    assert [run["events"] for run in json.loads(out)["runs"]] == [None, None]


def test_experiments_are_listed(folder, capsys):
    assert "cxim1416" in ran(capsys, "--psdm-dir", folder.parents[2])[1]
    _, out, _ = ran(capsys, "--psdm-dir", folder.parents[2], "--json")
    assert json.loads(out) == [{"experiment": "cxim1416", "instrument": "CXI"}]


def test_a_run_is_summed_up(folder, capsys):
    words = ("-x", "cxim1416", "-r", 74, "--xtc-dir", folder)
    status, out, _ = ran(capsys, *words)
    assert status == 0
    assert out.startswith("cxim1416 run 74: 3 events, 288.2 kB\n")
    for part in (
        "data in 0 events", "3 without: detector not in the event", "photon energy unknown",
        "CspadConfig V5", "low gain", "L1Accept 3", "Damage: none",
    ):  # fmt: skip
        assert part in out
    _, out, _ = ran(capsys, *words, "--json")
    assert json.loads(out)["events"] == 3
    assert json.loads(out)["experiment"] == "cxim1416"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--experiment", "cxim1416", "--run", "76"], "has no run 76"),
        (["--experiment", "cxim1416", "--run", "75"], "not an XTC file"),
        (["--experiment", "cxim1417"], "none of cxim1417"),
        (
            ["--experiment", "cxim1416", "--run", "74", "--address", "XppGon.0:Cspad.0"],
            "is not in run",
        ),
        (["--run", "74"], "--experiment"),
    ],
)
def test_errors_are_one_line(folder, capsys, words, message):
    status, out, err = ran(capsys, *words, "--xtc-dir", folder)
    assert status == 1
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("workbench")]
    assert message in line


def test_the_events_of_a_run_are_listed_with_beam_and_time(sample, capsys):
    words = ("-x", "cxim1416", "-r", 74, "--psdm-dir", sample.folder, "--events")
    status, out, _ = ran(capsys, *words)
    assert status == 0
    header, first, *others = out.splitlines()
    assert header.split()[:2] == ["event", "time"]
    assert len(others) == 11
    assert first.split()[:3] == ["0", "2016-02-21", "03:06:41.500"]
    events = json.loads(ran(capsys, *words, "--json")[1])["events"]
    assert [event["event"] for event in events] == list(range(12))
    assert events[0]["event_codes"] == [40, 41, 140, 141]


def test_an_event_is_drawn(sample, tmp_path, capsys):
    path = tmp_path / "event.png"
    words = ("-x", "cxim1416", "-r", 74, "--psdm-dir", sample.folder, "--png", path)
    assert ran(capsys, *words, "--event", 3)[0] == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    status, _, err = ran(capsys, *words, "--event", 99)
    assert status == 1
    assert "has no event 99" in err


def test_events_belong_to_a_run(folder, capsys):
    status, _, err = ran(capsys, "-x", "cxim1416", "--xtc-dir", folder, "--events")
    assert status == 1
    assert "give --experiment and --run" in err


def test_an_experiment_needs_no_option_and_what_is_not_understood_names_the_verb(folder, capsys):
    named = ran(capsys, "cxim1416", "--xtc-dir", folder)
    assert named == ran(capsys, "--experiment", "cxim1416", "--xtc-dir", folder)
    with pytest.raises(SystemExit):
        ran(capsys, "cxim1416", "74")
    assert capsys.readouterr().err == (
        "workbench inspect: unrecognized arguments: 74 (see workbench inspect --help)\n"
    )


@pytest.mark.parametrize("verb", ["average", "dump"])
def test_runs_of_an_experiment_are_named_in_the_same_way(verb, folder, capsys, monkeypatch):
    status = main([verb, "cxim1416", "-r", "9", "--psdm-dir", str(folder.parents[2])])
    assert status == 1
    assert "no run 9" in capsys.readouterr().err.lower().replace("has no", "no")
    monkeypatch.chdir(folder)
    assert main([verb, "cxim1416.cbf", "-r", "9"]) == 1
    assert "cannot read this file (No such file or directory); check the path." in (
        capsys.readouterr().err
    )
