"""Progress of long commands on a terminal and in the log of a batch job."""

import io
import sys

from workbench import progress


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_a_line_now_and_then(monkeypatch, capsys):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Terminal("cxim1416 run 74") as bar:
        for done in range(0, 800, 8):
            now[0] += 1.0
            bar.update(done, 800, f"{done} used")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "cxim1416 run 74: 232 of 800 events (232 used)",
        "cxim1416 run 74: 472 of 800 events (472 used)",
        "cxim1416 run 74: 712 of 800 events (712 used)",
    ]


def test_a_short_work_leaves_no_line(capsys):
    with progress.Terminal("cxim1416 run 74") as bar:
        bar.update(8, 800)
        bar.update(800, 800)
    assert capsys.readouterr().err == ""


def test_bytes_have_no_plural(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LOG_SECONDS", 0)
    with progress.Terminal("run 74", unit="B") as bar:
        bar.update(3e9)
    assert capsys.readouterr().err == "run 74: 3000000000 B\n"


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.Terminal("cxim1416 run 74") as bar:
        bar._bar.delay = 0  # the bar waits half a second before it appears
        bar._bar.mininterval = 0
        bar.update(400, 800, "400 used")
        assert "cxim1416 run 74:  50%" in screen.getvalue()
        assert "\n" not in screen.getvalue()
    assert screen.getvalue().split("\r")[-2].strip() == ""
