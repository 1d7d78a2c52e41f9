"""``workbench dump``."""

import json

import pytest

from workbench.cli import main
from workbench.simulate.truth import DETZ_OFFSET_MM


@pytest.fixture
def dump(sample, tmp_path, capsys):
    def call(*words):
        status = main(
            ["dump", "-x", "cxim1416", "-r", "74", "--psdm-dir", str(sample.folder),
             "-d", str(DETZ_OFFSET_MM), "-n", "2", "-o", str(tmp_path), *words]
        )  # fmt: skip
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_events_become_files_and_a_table(dump, tmp_path):
    status, out, _ = dump("-g", "6.85")
    assert status == 0
    assert "2 events: 2 frames" in out
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "cxim1416_frames-r0074.csv",
        "cxim1416_frames-r0074.json",
        "shot-20160221030641500.cbf",
        "shot-20160221030641508.cbf",
    ]


def test_json_and_another_format(dump):
    status, out, _ = dump("--format", "nxmx", "--raw_data", "--json")
    result = json.loads(out)
    assert status == 0
    assert result["frames"] == 2
    assert result["files"][0].endswith(".nxs")


def test_no_hits_say_so_and_end_with_status_1(dump):
    status, out, err = dump("--hits", "100000", "--format", "nxmx")
    assert status == 1
    assert "0 frames, 2 no hit" in out
    assert "workbench dump: No event has 100000 peaks; the most is" in err


def test_events_that_the_run_does_not_have_are_named(dump):
    status, out, err = dump("--events", "1,5000")
    assert status == 0
    assert "1 event: 1 frame" in out
    assert "Not in the run, or left out by other settings: event 5000." in err


def test_files_that_are_there_are_not_overwritten(dump):
    dump("--format", "nxmx")
    status, _, err = dump("--format", "nxmx")
    assert status == 1
    assert "exists already" in err
    assert "Traceback" not in err
    assert dump("--format", "nxmx", "--overwrite")[0] == 0


def test_a_run_has_to_be_named(capsys):
    assert main(["dump", "-o", "x"]) == 1
    assert "Name --experiment and --run" in capsys.readouterr().err


def test_a_run_given_as_a_second_word_is_answered_with_the_option(capsys):
    assert main(["dump", "cxim1416", "74"]) == 1
    assert "cxim1416 --run 74" in capsys.readouterr().err


def test_a_time_that_is_none_is_wrong_usage(dump):
    with pytest.raises(SystemExit) as stopped:
        dump("--since", "noon")
    assert stopped.value.code == 2
