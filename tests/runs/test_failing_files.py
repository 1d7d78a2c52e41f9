"""Files that are cut short, renamed or unreadable while a run is read cost events, not the run."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import xtc_builder as x

from workbench.averages import Threads, average_run
from workbench.errors import NoEventsError
from workbench.runs import count_events, find_experiment, inspect_run, open_run

EVENT = 4_594_144
"""Bytes of an event of a full detector."""


def frames(count):
    return [x.frame(number) for number in range(count)]


def write(folder, pictures, **names):
    return x.write(folder, x.run_bytes([[x.full(frame), x.evr(40)] for frame in pictures]), **names)


def test_a_file_cut_short_while_it_is_read_loses_the_events_behind_the_cut(tmp_path):
    path = write(tmp_path, frames(6))
    run = open_run("cxim1416", 74, xtc_dir=tmp_path)
    events = run.events()
    np.testing.assert_array_equal(next(events).raw, x.frame(0))
    os.truncate(path, path.stat().st_size - 3 * EVENT)  # within the fourth event
    found = list(events)
    assert [event.missing for event in found] == ["", "", *["not readable"] * 3]
    np.testing.assert_array_equal(found[1].raw, x.frame(2))
    assert found[2].raw is None
    assert f"{path}, byte " in run.problems[0]
    assert "cut short while it was read" in run.problems[0]


def test_averaging_a_file_cut_short_goes_on_and_ends_with_status_0(tmp_path):
    """In a process of its own: a mapped file ended it by a signal."""
    path = write(tmp_path, frames(6))
    write(tmp_path, frames(2), stream=1)
    code = f"""
import os, workbench as wb
run = wb.open_run("cxim1416", 74, xtc_dir={str(tmp_path)!r})
events = run.events
def cut(*arguments):
    for number, event in enumerate(events(*arguments)):
        if number == 3:
            os.truncate({str(path)!r}, {path.stat().st_size - 3 * EVENT})
        yield event
run.events = cut
images = wb.average_run(run)
print(images.count, dict(images.skipped))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, _, skipped = done.stdout.strip().partition(" ")
    assert 3 <= int(count) <= 5
    assert "not readable" in skipped


@pytest.fixture
def bad_disk(monkeypatch):
    """Let reads that touch a range of bytes fail, as a network file system does."""
    bad = []
    pread, preadv = os.pread, os.preadv

    def check(offset, size):
        if any(offset < stop and offset + size > start for start, stop in bad):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def failing_pread(descriptor, size, offset):
        check(offset, size)
        return pread(descriptor, size, offset)

    def failing_preadv(descriptor, buffers, offset):
        check(offset, sum(len(buffer) for buffer in buffers))
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "pread", failing_pread)
    monkeypatch.setattr(os, "preadv", failing_preadv)
    return bad


def test_an_event_whose_pixels_cannot_be_read_is_lost_named_and_counted(tmp_path, bad_disk):
    pictures = frames(5)
    path = write(tmp_path, pictures)
    run = open_run("cxim1416", 74, xtc_dir=tmp_path)
    third = path.read_bytes().find(x.full(pictures[2])[20:])
    bad_disk.append((third + 2_000_000, third + 2_000_001))
    images = average_run(run)
    assert images.count == 4
    assert images.skipped == {"not readable": 1}
    assert [problem for problem in run.problems if "event 2" in problem and str(path) in problem]
    rest = np.array([*pictures[:2], *pictures[3:]], float)
    np.testing.assert_array_equal(images.maximum, rest.max(0))
    np.testing.assert_allclose(images.average, rest.mean(0), rtol=1e-14)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_that_read_together_lose_and_name_the_same_events(tmp_path, bad_disk, threads):
    pictures = frames(11)
    content = write(tmp_path, pictures).read_bytes()
    lost = (1, 2, 6, 9)
    for number in lost:
        middle = content.find(x.full(pictures[number])[20:]) + 2_000_000
        bad_disk.append((middle, middle + 1))
    run = open_run("cxim1416", 74, xtc_dir=tmp_path)
    images = average_run(run, runner=Threads(threads))
    assert images.skipped == {"not readable": len(lost)}
    assert [problem.split(":")[0] for problem in run.problems] == [f"event {n}" for n in lost]
    rest = np.array([pictures[number] for number in range(11) if number not in lost])
    np.testing.assert_array_equal(images.maximum, rest.max(0))
    np.testing.assert_array_equal(images.minimum, rest.min(0))


def test_a_header_that_cannot_be_read_loses_its_event(tmp_path, bad_disk):
    pictures = frames(5)
    path = write(tmp_path, pictures)
    run = open_run("cxim1416", 74, xtc_dir=tmp_path)
    behind = path.read_bytes().find(x.full(pictures[2])[20:]) + EVENT - 80
    bad_disk.append((behind, behind + 20))  # of the object behind the pixels
    found = list(run.events())
    assert [event.index for event in found] == [0, 1, 2, 3, 4]
    assert "Input/output error" in run.problems[0]
    assert [event.event_codes for event in found] == [(40,), (40,), (), (40,), (40,)]


def test_a_datagram_that_cannot_be_read_ends_its_file_alone(tmp_path, bad_disk):
    path = write(tmp_path, frames(5))
    write(tmp_path, frames(1), stream=1)
    run = open_run("cxim1416", 74, xtc_dir=tmp_path)
    start = path.read_bytes().find(x.full(x.frame(2))[20:]) - 80
    bad_disk.append((start, start + 40))
    found = list(run.events())
    assert len(found) == 3  # two of the one stream, one of the other
    assert run.skipped == {"unreadable": 1}
    summary = inspect_run(find_experiment("cxim1416", xtc_dir=tmp_path).run(74))
    assert summary.skipped == {"unreadable": 1}


def test_a_run_that_ends_while_it_is_averaged_keeps_its_result(tmp_path):
    """At the end of a run ``.xtc.inprogress`` becomes ``.xtc``."""
    first = write(tmp_path, frames(3), end=".xtc.inprogress")
    more = x.dgram(x.L1, x.container(x.full(x.frame(3))), fid=99, sec=x.T0 + 9)
    second = x.write(tmp_path, more, chunk=1, end=".xtc.inprogress")
    sizes = first.stat().st_size, second.stat().st_size
    run = open_run("cxim1416", 74, xtc_dir=tmp_path)
    for path in (first, second):  # before the second is opened
        path.rename(path.with_suffix(""))
    images = average_run(run)
    assert images.count == 4
    assert not run.problems
    described = images.provenance["run"]["files"]
    assert [file["path"] for file in described] == [str(first), str(second)]
    assert [file["bytes"] for file in described] == list(sizes)


@pytest.mark.parametrize("content", [b"", b"\0" * 30, b"\x89HDF\r\n\x1a\n" * 40])
def test_a_stray_file_in_progress_is_named_and_passed_over(tmp_path, content):
    write(tmp_path, frames(2))
    stray = x.write(tmp_path, content, stream=1, end=".xtc.inprogress")
    run = open_run("cxim1416", 74, xtc_dir=tmp_path)
    assert average_run(run).count == 2
    assert [str(stray) in problem for problem in run.problems] == ([True] if content else [])
    files = find_experiment("cxim1416", xtc_dir=tmp_path).run(74)
    summary = inspect_run(files)
    assert summary.events == 2
    assert any(file["path"] == str(stray) for stream in summary.streams for file in stream.files)
    assert not content or str(stray) in summary.problems[0]
    assert count_events(files) == 2


def test_a_stray_file_in_progress_alone_is_no_run(tmp_path):
    x.write(tmp_path, b"\x89HDF\r\n\x1a\n" * 40, end=".xtc.inprogress")
    with pytest.raises(NoEventsError, match="not an XTC file"):
        open_run("cxim1416", 74, xtc_dir=tmp_path)


def test_frames_of_an_npy_file_cut_short_are_one_clear_error(tmp_path):
    from workbench.errors import FileFormatError
    from workbench.runs import open_frames

    path = tmp_path / "a.npy"
    np.save(path, np.stack(frames(3)))
    events = open_frames(path).events()
    next(events)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(FileFormatError, match="cut short"):
        list(events)
    with pytest.raises(FileFormatError, match="cut short"):
        open_frames(path)
