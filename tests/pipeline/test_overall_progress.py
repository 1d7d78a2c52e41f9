"""Progress of several runs: the run is named, and the events of all of them are counted."""

from workbench import pipeline
from workbench.pipeline.overall_progress import OverallProgress, expected_events
from workbench.recipe import Corrections


class Seen:
    cancelled = False

    def __init__(self):
        self.reports = []

    def update(self, done, total=None, message=""):
        self.reports.append((done, total, message))


def test_each_run_is_named_and_the_total_is_that_of_all():
    seen = Seen()
    overall = OverallProgress(seen, {54: 10, 74: 20, 75: 0})
    overall.begin(54)
    overall.update(10)
    overall.begin(74)
    overall.update(5)
    overall.update(25)  # more than was estimated
    overall.begin(75)
    overall.update(3)
    assert seen.reports == [
        (0, 30, "run 54, 1 of 3"),
        (10, 30, "run 54, 1 of 3"),
        (10, 30, "run 74, 2 of 3"),
        (15, 30, "run 74, 2 of 3"),
        (35, 35, "run 74, 2 of 3"),
        (35, 35, "run 75, 3 of 3"),
        (38, 38, "run 75, 3 of 3"),
    ]


def test_cancelling_reaches_the_work():
    seen = Seen()
    overall = OverallProgress(seen, {54: 10})
    assert not overall.cancelled
    seen.cancelled = True
    assert overall.cancelled


def test_events_are_expected_of_the_runs_that_are_read(sample):
    recipe = pipeline.load_recipe(sample.recipe)
    dark = recipe.experiment.dark
    runs = [(dark, Corrections.none(), "none"), (999, Corrections.none(), "none")]
    assert expected_events(recipe, runs, None) == {dark: 12, 999: 0}
    assert expected_events(recipe.changed("events.limit", 5), runs, None)[dark] == 5
    elsewhere = recipe.changed("experiment.xtc_dir", "/nowhere")
    assert expected_events(elsewhere, runs, None) == {dark: 0, 999: 0}


def test_runs_that_are_known_are_not_counted_again(sample):
    recipe = pipeline.load_recipe(sample.recipe)
    seen, known = Seen(), {}
    pipeline.gather_images(recipe, seen, known=known)
    messages = list(dict.fromkeys(message for _, _, message in seen.reports))
    runs = (recipe.experiment.dark, *recipe.experiment.bright)
    assert messages == [f"run {run}, {n} of {len(runs)}" for n, run in enumerate(runs, 1)]
    done, total, _ = seen.reports[-1]
    assert done == total == 12 * len(runs)
    again = Seen()
    pipeline.gather_images(recipe, again, known=known)
    assert all(done == 0 for done, _, _ in again.reports)
