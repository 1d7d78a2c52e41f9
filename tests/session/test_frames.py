"""Frames from the session: planned, hits counted, written, and the same again by the command."""

import csv
import shlex

import numpy as np
import pytest

from workbench import pipeline
from workbench.cli import main
from workbench.errors import WorkbenchError
from workbench.pipeline import recipe_hash
from workbench.recipe import Corrections, Events, FrameSettings, Hits, Recipe
from workbench.session import Session, State
from workbench.session.frames import expected_events

TWO = FrameSettings(only_hits=False, events=Events(limit=2))


@pytest.fixture
def session(sample, tmp_path):
    recipe = pipeline.load_recipe(sample.recipe).changed("output.folder", str(tmp_path / "out"))
    made = Session(recipe.changed("frames", TWO))
    yield made
    made.jobs.cancel()


def peaks_in(table):
    with table.open() as file:
        return [row["peaks"] for row in csv.DictReader(file)]


def test_frames_are_planned_written_and_the_same_by_the_command_in_the_log(session, tmp_path):
    plan = session.frames.plan()
    assert (plan.run, plan.events, plan.hits) == (74, 2, None)
    assert plan.bytes == 2 * 4 * session.detector.pixels
    assert not plan.folder.exists()
    assert session.status("frames").state == State.NOT_STARTED

    session.write_frames()
    session.wait(300)
    written = session.frames.written
    assert written.count == 2
    assert session.status("frames").state == State.DONE
    session.change("frames.whole_adu", True)
    assert session.status("frames").state == State.STALE
    session.undo()
    assert session.status("frames").state == State.DONE

    line = next(e.message for e in session.log.entries if e.message.startswith("as a command: "))
    words = shlex.split(line.removeprefix("as a command: "))
    again = tmp_path / "again"
    words[words.index("-o") + 1] = str(again)
    assert words[0] == "workbench"
    assert main(words[1:]) == 0
    assert peaks_in(again / written.table.name) == peaks_in(written.table)

    session.write_frames()
    with pytest.raises(WorkbenchError, match="exists already"):
        session.wait(300)
    assert session.status("frames").state == State.FAILED


def test_peaks_of_all_events_tell_the_hits_at_any_higher_threshold(session):
    session.change("frames.corrections", Corrections.none())  # hot pixels are peaks
    session.count_peaks()
    session.wait(300)
    survey = session.frames.survey
    assert survey.complete
    assert survey.indices.tolist() == [0, 1]
    counts = [survey.counts(threshold) for threshold in (300.0, 1000.0)]
    session.write_frames()
    session.wait(300)
    assert [row.peaks for row in session.frames.written.rows] == counts[0].tolist()
    assert (counts[0] > 0).all()
    assert (counts[1] <= counts[0]).all()
    assert survey.hits(Hits(min_peaks=0)).tolist() == [0, 1]
    assert survey.hits(Hits(min_peaks=int(counts[0].max()) + 1)).size == 0
    session.change("frames.hits.threshold_adu", 1000.0)
    assert session.frames.survey is survey
    session.change("frames.hits.threshold_adu", 10.0)  # lower than what was looked for
    assert session.frames.survey is None


def test_a_threshold_that_keeps_nothing_is_a_warning(session):
    session.change("frames", FrameSettings(hits=Hits(10**5), events=Events(limit=2)))
    session.write_frames()
    session.wait(300)
    assert session.frames.written.count == 0
    assert "No event has 100000 peaks" in session.frames.written.warnings[0]
    assert session.results.shown_state("frames") == State.WARNING


def test_a_distance_that_is_not_known_is_asked_for_before_anything_is_read(session):
    session.change("experiment.detz_offset_mm", None)
    assert "detz offset" in session.frames.plan().warnings[-1]
    with pytest.raises(WorkbenchError, match="detz offset"):
        session.write_frames()


def test_without_runs_nothing_is_written():
    session = Session(Recipe())
    assert "Choose the run" in session.frames.why_not()
    with pytest.raises(WorkbenchError, match="Choose the run"):
        session.write_frames()


def test_which_frames_are_written_changes_no_calibration():
    recipe = Recipe()
    assert recipe_hash(recipe.changed("frames.run", 80)) == recipe_hash(recipe)


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Events(), 10), (Events(every=3), 4), (Events(skip=8), 2), (Events(limit=3), 3),
        (Events(indices=(1, 2, 30)), 2), (Events(stop=4), 4),
    ],
)  # fmt: skip
def test_events_that_a_selection_takes(selection, count):
    assert expected_events(10, selection) == count
    assert expected_events(None, selection) is None
    taken = [n for n in np.arange(10) if selection.why_not_index(int(n)) is None]
    assert len(taken[: selection.limit]) == count
