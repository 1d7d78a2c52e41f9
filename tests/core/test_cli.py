"""The command line: verbs, spellings, one-line errors, exit status."""

import signal
import subprocess
import sys

import pytest

from workbench.cli import VERBS, Parser, main


def test_long_options_take_hyphens_and_underscores():
    parser = Parser()
    parser.add_argument("--maxproj-min", type=float)
    parser.add_argument("files", nargs="*")
    for spelling in ("--maxproj-min=3", "--maxproj_min=3"):
        assert parser.parse_args([spelling, "a_b.cbf"]).maxproj_min == 3
    assert parser.parse_args(["--maxproj_min", "3", "a_b.cbf"]).files == ["a_b.cbf"]
    assert parser.parse_args(["--", "--a_b.cbf"]).files == ["--a_b.cbf"]


def test_verbs_below_a_verb_take_underscores_too(capsys):
    assert main(["geometry", "show", "no-such-file.data", "--calib_dir", "nowhere"]) == 1
    assert "no-such-file.data" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    assert "usage: workbench" in capsys.readouterr().out


def test_interrupted_while_it_imports_it_says_so(capsys, monkeypatch):
    """Importing takes most of a second, in which a person sees the mistake in the command."""

    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.cli.import_module", interrupted)
    assert main(["average", "--run", "74"]) == 130
    assert capsys.readouterr().err == (
        "workbench average: interrupted; nothing more was written.\n"
    )


@pytest.fixture
def listening():
    """Python's own handler of Ctrl-C, which a job in the background starts without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_an_interrupt_that_a_library_makes_another_error_of_is_one_still(capsys, monkeypatch):
    """As numpy does while it is imported."""

    def interrupted(name):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ImportError("a library cannot be loaded") from error

    monkeypatch.setattr("workbench.cli.import_module", interrupted)
    assert main(["average", "--run", "74"]) == 130
    assert capsys.readouterr().err.count("\n") == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupted_before_the_command_is_read_it_ends_without_a_word():
    early = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import workbench.__main__; signal.raise_signal(signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", early], capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT  # which a shell shows as 130
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["calibrate"], ["mask", "--no-such-option"]])
def test_wrong_usage_is_one_line_and_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    captured = capsys.readouterr()
    assert left.value.code == 2
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("workbench")
    assert captured.out == ""
