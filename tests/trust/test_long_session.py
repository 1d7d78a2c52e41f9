"""A kernel in which much is done keeps its memory and its threads."""

import os
import threading

import pytest

from workbench.averages import average_run
from workbench.memory import give_back
from workbench.recipe import Corrections
from workbench.report import write_report
from workbench.runs import open_run


def resident_mb():
    give_back()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def lasting_threads():
    """Threads without those of a session, which end when they have no work."""
    return sum(not thread.name.startswith("workbench-") for thread in threading.enumerate())


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.slow
def test_masks_alignments_and_averages_one_after_the_other(sample, session):
    def work(values):
        for number, value in enumerate(values):
            session.change("mask.thresholds.maxproj_min", float(value))
            session.wait(300)
            if number % 15 == 0:
                session.compute_alignment()
                session.wait(300)
            if number % 30 == 0:
                run = open_run("cxim1416", 74, xtc_dir=sample.xtc_dir)
                average_run(run, Corrections(pedestal=False, common_mode=False))

    work(range(170, 200))  # caches fill, once
    memory, threads, files = resident_mb(), lasting_threads(), open_files()
    work(range(200, 500))
    print(f"{resident_mb() - memory:+.0f} MB, {lasting_threads() - threads:+d} threads")
    # a mask and its reasons are 11 MB, an average 90 MB: were each kept, it would be 4 GB
    assert resident_mb() - memory < 150
    assert lasting_threads() <= threads + 1
    assert open_files() <= files + 2


@pytest.mark.slow
def test_reports_one_after_the_other(experiment, tmp_path):
    write_report(experiment.recipe, tmp_path / "first", pdf=False)  # imports and caches, once
    memory, threads, files = resident_mb(), lasting_threads(), open_files()
    for number in range(5):
        written = write_report(experiment.recipe, tmp_path / str(number), pdf=False)
        assert written.html.is_file()
    print(f"{resident_mb() - memory:+.0f} MB, {lasting_threads() - threads:+d} threads")
    assert resident_mb() - memory < 100  # a page is 5 MB, what it is made from several times that
    assert lasting_threads() <= threads + 1
    assert open_files() <= files + 2
