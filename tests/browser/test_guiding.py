"""What long work says and leaves behind: progress by run, the report's stages and link."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# each run stops before its end until it is told to go on
HELD_RUNS = """
import threading, time
from workbench.runs.run import XtcRun
events_of, go_on = XtcRun.events, {{54: threading.Event(), 74: threading.Event()}}
def events(self, corrections=None, selection=None):
    for event in events_of(self, corrections, selection):
        time.sleep(0.4)
        if event.index > 3: go_on[self.number].wait()
        yield event
XtcRun.events = events
bench.recipe = bench.recipe.changed("output.folder", {folder!r})
"""
# what is said for a moment only is kept
KEEP_SAID = """() => {
  window.cwSaid = [];
  const said = document.querySelector(".cw-said");
  const keep = () => window.cwSaid.push(said.innerText);
  new MutationObserver(keep).observe(
    said, { childList: true, characterData: true, subtree: true });
}"""


def test_progress_names_the_run_and_a_report_its_stages_and_ends_in_a_link(notebook, experiment):
    folder = notebook.lab.work / "guided"
    page = notebook.workbench(experiment, "guiding.ipynb", HELD_RUNS.format(folder=str(folder)))
    assert notebook.kernel("!workbench --version").startswith("workbench ")

    page.get_by_role("button", name="Compute averages").click()
    for number, run in ((54, "run 54, 1 of 2"), (74, "run 74, 2 of 2")):
        notebook.wait_text(".cw-panel", run)
        if number == 74:  # the rate is known
            notebook.wait_text(".cw-panel", " s left")
        notebook.kernel(f"go_on[{number}].set()")
    notebook.says("bench.session.status('mask').state", "done")

    report = page.get_by_role("button", name="Report", exact=True)
    page.evaluate(KEEP_SAID)
    report.click()
    notebook.until(report.is_disabled, what="a button that is off meanwhile")
    notebook.until(lambda: "being written" in report.get_attribute("title"), what="why it is off")
    notebook.until(page.get_by_role("link", name="Open report").count, what="the link")
    seen = page.evaluate("window.cwSaid")
    stages = {text for text in seen if text.startswith("Report: ") and " of " in text}
    assert len(stages) > 3, seen
    notebook.until(report.is_enabled, what="the button")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open report").click()
    opened.value.wait_for_load_state("domcontentloaded")
    assert "Calibration" in opened.value.title()
    opened.value.close()
    assert notebook.problems == []
