"""What long work says and leaves behind: progress by run, the report's stages and link."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SLOW_RUNS = """
import time
from workbench.runs.run import XtcRun
events_of = XtcRun.events
def events(self, corrections=None, selection=None):
    for event in events_of(self, corrections, selection):
        time.sleep(0.4)
        yield event
XtcRun.events = events
bench.recipe = bench.recipe.changed("output.folder", {folder!r})
"""


def test_progress_names_the_run_and_a_report_its_stages_and_ends_in_a_link(notebook, experiment):
    folder = notebook.lab.work / "guided"
    page = notebook.workbench(experiment, "guiding.ipynb", SLOW_RUNS.format(folder=str(folder)))
    assert notebook.kernel("!workbench --version").startswith("workbench ")

    page.get_by_role("button", name="Compute averages").click()
    for run in ("run 54, 1 of 2", "run 74, 2 of 2"):
        notebook.wait_text(".cw-panel", run)
    notebook.wait_text(".cw-panel", " s left")
    notebook.kernel("XtcRun.events = events_of")
    notebook.says("bench.session.status('mask').state", "done")

    report = page.get_by_role("button", name="Report", exact=True)
    report.click()
    notebook.until(report.is_disabled, what="a button that is off meanwhile")
    assert "being written" in report.get_attribute("title")
    seen = set()

    def link():
        seen.add(page.locator(".cw-said").inner_text())
        return page.get_by_role("link", name="Open report").count()

    notebook.until(link, timeout=240, what="the link to the report")
    stages = {text for text in seen if text.startswith("Report: ") and " of " in text}
    assert len(stages) > 3, seen
    notebook.until(report.is_enabled, what="the button")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open report").click()
    opened.value.wait_for_load_state("domcontentloaded")
    assert "Calibration" in opened.value.title()
    opened.value.close()
    assert notebook.problems == []
