"""What must hold in long use: restarts, reloads, averaging meanwhile, memory, two at a time."""

import re

import pytest

pytestmark = pytest.mark.browser

# averaging that goes on until it is cancelled; its pictures are tested without a browser
SLOW = """
import time
from workbench import pipeline
original = pipeline.gather_images
def gather(recipe, progress=None, snapshot=None, known=None, **rest):
    for n in range(36_000):
        if progress.cancelled: break
        progress.update(n, 36_000, 'run 74'); time.sleep(0.1)
    return original(recipe, progress=None, snapshot=snapshot, known=known, **rest)
pipeline.gather_images = gather
"""


def maximum_slider(page, number=0):
    return page.get_by_role("slider", name=re.compile("maxproj-min")).nth(number)


def test_averaging_can_be_cancelled_and_sliders_live_meanwhile(notebook, experiment):
    """Progress while averaging, a slider moved meanwhile, cancel."""
    page = notebook.workbench(experiment, "averaging.ipynb", "bench.compute()\n" + SLOW)
    page.get_by_role("button", name="Compute averages").click()
    notebook.wait_text(".cw-panel", "events/s")
    notebook.step(2)
    notebook.still()
    before = notebook.masked()
    maximum_slider(page).focus()
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    notebook.until(lambda: notebook.masked() > before, what="a larger count")
    notebook.step(1)
    page.get_by_role("button", name="Cancel").first.click()
    notebook.says("bench.session.status('images').state", "done")
    assert notebook.problems == []


@pytest.mark.slow
def test_reload_and_restart_bring_back_where_one_was(notebook, experiment):
    """A reload finds the live widgets; after a restart the same cells rebuild from files."""
    page = notebook.workbench(experiment, "restart.ipynb")
    page.get_by_role("button", name="Compute averages").click()
    notebook.says("bench.session.status('mask').state", "done")
    notebook.step(3)
    page.get_by_role("button", name="Find offsets").click()
    notebook.says("bench.session.status('alignment').state", "done")
    offsets = notebook.kernel("print(bench.session.alignment.offsets_px.tolist())")
    notebook.command("docmanager:save")
    notebook.until(lambda: page.evaluate(
        "() => !window.jupyterapp.shell.currentWidget.context.model.dirty"
    ), what="a notebook saved")  # fmt: skip

    notebook.open("restart.ipynb")  # the page anew, the kernel as it is
    steps = page.locator(".cw-steps button").first
    notebook.until(steps.is_visible, what="the workbench in the page that is loaded anew")
    notebook.wait_text(".cw-map-title", "Q3")
    page.wait_for_function(
        """() => { const c = document.querySelector('canvas[data-image="maximum"]');
          return c.getContext("2d").getImageData(c.width / 2, c.height / 4, 50, 50).data
            .some((v) => v > 0); }"""
    )
    notebook.step(2)
    notebook.idle()
    slider = maximum_slider(page)
    before = notebook.masked()
    slider.focus()
    page.keyboard.press("Shift+ArrowRight")
    notebook.until(lambda: notebook.masked() > before, what="a larger count")
    page.get_by_role("button", name="↶ Undo").click()
    notebook.until(lambda: notebook.masked() == before, what="the count of before")
    notebook.step(3)
    notebook.kernel("from workbench.session import recent")
    notebook.says("recent.remembered()[0].stage", "Stage(panel='alignment', aligned=True)")
    assert notebook.problems == []

    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    notebook.wait_connected()
    notebook.until(lambda: "ERROR" in notebook.kernel("bench"), what="a kernel without a bench")
    notebook.run_all()
    notebook.until(lambda: notebook.kernel("bench") == "", what="a bench in the new kernel")
    notebook.wait_text(".cw-map-title", "Q3")
    notebook.says("bench.session.status('alignment').state", "done")
    assert notebook.kernel("print(bench.session.alignment.offsets_px.tolist())") == offsets
    notebook.says("bench.panel.title", "Quadrants")
    # until the cells run again, widgets of any kind speak to a kernel that is gone
    assert [one for one in notebook.problems if "Cannot send" not in one] == []


@pytest.mark.slow
def test_two_workbenches_in_one_notebook(notebook, experiment):
    """Each has its own mask, picture and undo."""
    prepare = (
        "bench.compute(); bench.open(bench.mask)\n"
        "other = wb.Workbench(bench.recipe); other.compute(); other.open(other.mask)\n"
    )
    page = notebook.workbench(
        experiment, "two.ipynb", prepare, height=2400, cells=["bench.show();", "other.show();"]
    )
    page.wait_for_function("() => document.querySelectorAll('.cw-count').length === 2")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.cw-view')].every((one) => one.dataset.limits)"
    )
    notebook.idle("bench", "other")
    first, second = (notebook.masked(n) for n in (0, 1))
    pictures = [notebook.drawn("maximum", n) for n in (0, 1)]
    slider = maximum_slider(page, 1)
    slider.focus()
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    notebook.until(lambda: notebook.masked(1) > second, what="a larger count")
    assert notebook.masked(0) == first
    assert notebook.drawn("maximum", 0) == pictures[0]
    notebook.until(lambda: notebook.drawn("maximum", 1) != pictures[1], what="another picture")
    assert notebook.kernel("print(bench.session.history.undoable)") == "None"
    assert notebook.problems == []


@pytest.mark.slow
def test_many_masks_cost_no_memory(notebook, experiment):
    """Kernel and page are as large after many masks as after the first ones."""
    prepare = (
        "bench.compute(); bench.open(bench.mask)\n"
        "import gc, pathlib, resource\n"
        "def used():\n"
        "    gc.collect()\n"
        "    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])\n"
        "    print(pages * resource.getpagesize() // 1_000_000)\n"
        "made = []\n"
        "bench.session.subscribe('mask', lambda: made.append(1))\n"
        "def play(times):\n"
        "    for n in range(times):\n"
        "        bench.mask.limits['maxproj_min'].value = 300 + 10 * (n % 20)\n"
        "        bench.session.wait()\n"
    )
    page = notebook.workbench(experiment, "memory.ipynb", prepare)
    maximum_slider(page).wait_for()
    notebook.idle()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")

    def browser():
        devtools.send("HeapProfiler.collectGarbage")
        found = {m["name"]: m["value"] for m in devtools.send("Performance.getMetrics")["metrics"]}
        return found["JSHeapUsedSize"] / 1e6, found["Nodes"]

    def play(times):
        notebook.kernel(f"play({times})")
        notebook.idle()

    play(5)
    kernel, (heap, nodes) = int(notebook.kernel("used()")), browser()
    notebook.kernel("made.clear()")
    play(30)
    assert int(notebook.kernel("print(len(made))")) == 30
    after, (heap_after, nodes_after) = int(notebook.kernel("used()")), browser()
    assert after - kernel < 60, "MB of the kernel; a mask and its reasons are 11 MB"
    assert heap_after - heap < 10, "MB of the page; an image is 9 MB"
    assert nodes_after - nodes < 500
    assert notebook.problems == []


@pytest.mark.slow
def test_two_browsers_on_one_kernel(notebook, experiment, browser, lab):
    """What is done in one is seen in the other; neither draws or keeps more for it."""
    prepare = (
        "import gc, os, pathlib, threading\n"
        "def used():\n"
        "    gc.collect()\n"
        "    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])\n"
        "    # a session's own threads end when they have no work, so they may be there or not\n"
        "    lasting = [t for t in threading.enumerate() if not t.name.startswith('workbench-')]\n"
        "    print(pages * os.sysconf('SC_PAGE_SIZE') // 1_000_000, len(lasting))\n"
        "bench.compute(); bench.open(bench.mask)\n"
    )
    notebook.workbench(experiment, "shared.ipynb", prepare)
    notebook.idle()
    notebook.command("docmanager:save")
    notebook.until(lambda: notebook.page.evaluate(
        "() => !window.jupyterapp.shell.currentWidget.context.model.dirty"
    ), what="a notebook saved")  # fmt: skip
    context = browser.new_context(viewport={"width": 1440, "height": 1150})
    other = type(notebook)(context.new_page(), lab)
    other.problems = []
    other.page.on("pageerror", lambda error: other.problems.append(str(error)))
    other.open("shared.ipynb").hide_sidebar()
    books = (notebook, other)
    for book in books:
        book.until(maximum_slider(book.page).is_visible, what="the slider")
        book.page.wait_for_function("() => document.querySelector('.cw-view').dataset.limits")
    assert notebook.kernel("print(os.getpid())") == other.kernel("print(os.getpid())")
    counts = [book.masked() for book in books]
    assert counts[0] == counts[1]
    other.until(lambda: other.still() == notebook.still(), what="the same pictures")

    def move(book, key):
        """Move the slider in one; both follow."""
        before, drawn = book.masked(), [each.drawn() for each in books]
        maximum_slider(book.page).focus()
        book.page.keyboard.press(key)
        book.until(lambda: book.masked() != before, what="another count")
        book.idle()
        value = book.kernel("print(bench.recipe.mask.thresholds.maxproj_min)")
        for each, old in zip(books, drawn, strict=True):
            each.until(lambda each=each: each.masked() == book.masked(), what="the same count")
            each.until(
                lambda each=each: float(maximum_slider(each.page).input_value()) == float(value),
                what="the same value",
            )
            each.until(lambda each=each, old=old: each.drawn() != old, what="another picture")
        other.until(lambda: other.still() == notebook.still(), what="the same pictures")

    move(notebook, "Shift+ArrowRight")
    move(other, "Shift+ArrowRight")
    memory, threads = map(int, notebook.kernel("used()").split())
    for number in range(6):
        move(books[number % 2], "Shift+ArrowRight" if number < 3 else "Shift+ArrowLeft")
    after, threads_after = map(int, notebook.kernel("used()").split())
    assert after - memory < 60, "MB of the kernel; a mask and its reasons are 11 MB"
    assert threads_after <= threads + 1

    other.step(3)
    other.page.get_by_role("button", name="Find offsets").click()
    for book in books:
        book.wait_text(".cw-map-title", "Q3")
    notebook.step(4)
    notebook.page.get_by_role("button", name="Deploy…").click()
    for book in books:
        book.wait_text(".cw-plan", "0-end.data.v1")
    other.confirm_and_write()
    for book in books:
        book.wait_text(".cw-versions", "v1, current")
    link = next(experiment[1].rglob("geometry")) / "0-end.data"
    assert link.readlink().name == "0-end.data.v1"
    for number, book in enumerate(books):
        book.screenshot(f"two-browsers-{number}")
        assert book.problems == []
    context.close()
