"""The calibration notebook in JupyterLab, driven with mouse and keyboard in headless Chromium."""

import re
import shutil

import pytest

from workbench.simulate.experiment import write_experiment

pytestmark = pytest.mark.browser

COUNT = ".cw-count"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A small sample experiment, written once."""
    folder = tmp_path_factory.mktemp("sample")
    write_experiment(folder / "exp", events=6, seed=3)
    return folder / "exp"


@pytest.fixture
def experiment(sample, tmp_path):
    """A copy of its calibration directory to deploy into; the runs are shared."""
    calib = tmp_path / "calib"
    shutil.copytree(next(sample.glob("CXI/*/calib")), calib, symlinks=True)
    return sample, calib


def open_workbench(notebook, experiment, name="bench.ipynb", width=1440, height=1150, prepare=""):
    sample, calib = experiment
    cells = [
        "import workbench as wb\n"
        f"bench = wb.Workbench('cxim1416', dark=54, bright=74, psdm_dir={str(sample)!r}, "
        f"calib_dir={str(calib)!r}, detz_offset_mm=585.5, output={str(calib.parent / 'out')!r})\n"
        + prepare,
        "bench.show();",
    ]
    notebook.lab.notebook(name, *cells)
    notebook.page.set_viewport_size({"width": width, "height": height})
    notebook.open(name).hide_sidebar()
    notebook.run_all()
    notebook.page.wait_for_selector(".cw-steps button", timeout=90_000)
    return notebook.page


def step(page, number):
    page.locator(".cw-steps button").nth(number - 1).click()


def wait_text(page, selector, text, timeout=40_000):
    page.wait_for_function(
        "([selector, text]) => [...document.querySelectorAll(selector)]"
        ".some((one) => one.innerText.includes(text))",
        arg=[selector, text],
        timeout=timeout,
    )


def average(page):
    page.get_by_role("button", name="Compute averages").click()
    wait_text(page, ".cw-steps button", "2 Mask – done")
    page.wait_for_function("() => Number(document.querySelector('.cw-view').dataset.frame) > 1")


def picture(page, image="maximum"):
    """Sum over the pixels of an image as drawn."""
    return page.evaluate(
        """(name) => {
          const c = document.querySelector(`canvas[data-image="${name}"]`);
          const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
          let sum = 0;
          for (let i = 0; i < d.length; i += 4) sum += d[i] + 3 * d[i + 1] + 7 * d[i + 2];
          return sum;
        }""",
        image,
    )


def masked(page):
    text = page.locator(COUNT).inner_text()
    return int(re.sub(r"\D", "", re.search(r"Masked ([\d\s\u2009]+) of", text)[1]))


def read_out(page, x, y, text, seconds=40):
    """Point at a place until the read-out has a text; a page that is busy loses moves."""
    for part in range(2 * seconds):
        page.mouse.move(x, y + part % 2)
        if text in page.locator(".cw-status").inner_text():
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{text!r} is not in {page.locator('.cw-status').inner_text()!r}")


def settled(page):
    page.wait_for_timeout(700)


def test_calibration_by_mouse(notebook, experiment):
    """Average, move the slider, align, nudge, deploy, roll back."""
    page = open_workbench(notebook, experiment)
    notebook.screenshot("1-run")
    average(page)
    notebook.screenshot("2-averages")

    step(page, 2)
    slider = page.get_by_role("slider", name=re.compile("maxproj-min"))
    slider.wait_for()
    settled(page)
    before, drawn = masked(page), picture(page)
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.06 * box["width"], y)
    page.mouse.down()
    for part in range(7, 30):
        page.mouse.move(box["x"] + 0.01 * part * box["width"], y)
    page.mouse.up()
    settled(page)
    assert masked(page) > before
    assert picture(page) != drawn
    value = float(slider.input_value())
    assert value > 300
    assert float(notebook.kernel("print(bench.recipe.mask.thresholds.maxproj_min)")) == value
    limits = page.locator(".cw-view").get_attribute("data-limits")
    assert float(limits.split()[2]) == value
    assert int(notebook.kernel("print(bench.session.mask.masked)")) == masked(page)
    notebook.screenshot("3-mask")

    slider.focus()
    page.keyboard.press("Shift+ArrowLeft")
    settled(page)
    assert float(slider.input_value()) == value - 10
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").click()
    settled(page)
    assert masked(page) == before
    assert float(slider.input_value()) == 300
    assert picture(page) == drawn

    step(page, 3)
    page.get_by_role("button", name="Find offsets").click()
    wait_text(page, ".cw-steps button", "3 Quadrants – done")
    wait_text(page, ".cw-map-title", "Q3")
    settled(page)
    notebook.screenshot("4-quadrants")
    first = page.locator(".cw-map").first
    first.focus()
    x = float(notebook.kernel("print(bench.session.alignment.quadrants[0].offset_px[0])"))
    page.keyboard.press("ArrowDown")
    wait_text(page, ".cw-map-title", "overruled")
    nudged = float(notebook.kernel("print(bench.session.alignment.quadrants[0].offset_px[0])"))
    assert nudged == pytest.approx(x + 0.1, abs=2e-3)
    page.keyboard.press("Delete")
    settled(page)
    assert float(
        notebook.kernel("print(bench.session.alignment.quadrants[0].offset_px[0])")
    ) == pytest.approx(x)

    step(page, 4)
    page.get_by_role("button", name="Deploy…").click()
    wait_text(page, ".cw-plan", "0-end.data.v1")
    folder = next(experiment[1].rglob("geometry"))
    assert not (folder / "0-end.data.v1").exists()
    notebook.screenshot("5-plan")
    page.get_by_role("button", name="Write this version").click()
    wait_text(page, ".cw-table", "v1")
    assert (folder / "0-end.data").readlink().name == "0-end.data.v1"
    notebook.screenshot("6-deployed")
    page.get_by_label("to", exact=True).select_option(label="v0")
    page.get_by_role("button", name="Roll back to it").click()
    wait_text(page, ".cw-note", "Rolled back to v0")
    assert (folder / "0-end.data").readlink().name == "0-end.data.v0"
    assert notebook.kernel("bench.session.wait(30)") == ""
    assert notebook.problems == []


def test_view_zoom_draw_read_out_and_reload(notebook, experiment):
    """What the detector view itself can do, and that a reload brings everything back."""
    page = open_workbench(notebook, experiment, "view.ipynb", prepare="bench.compute();")
    step(page, 2)
    page.wait_for_function("() => document.querySelector('.cw-view').dataset.limits")
    settled(page)
    canvas = page.locator(".cw-lines").nth(2)
    box = canvas.bounding_box()
    whole = picture(page)

    status = page.locator(".cw-status")
    y = box["y"] + 0.3 * box["height"]
    for part in range(60, 90):  # past gaps and masked pixels
        x = box["x"] + 0.01 * part * box["width"]
        page.mouse.move(x, y)
        if status.inner_text().endswith("good"):
            break
    wait_text(page, ".cw-status", "ADU · good")
    assert re.search(
        r"Q\d sensor \d ASIC \d · fast \d+ slow \d+ · x -?[\d.]+ mm, y -?[\d.]+ mm · [\d.]+ Å · "
        r"average .* ADU",
        status.inner_text(),
    )
    page.mouse.wheel(0, -600)
    settled(page)
    assert picture(page) != whole
    assert len(eval(notebook.kernel("print(bench.view.window)"))) == 4
    page.mouse.dblclick(x, y)
    settled(page)
    assert picture(page) == whole

    good = int(notebook.kernel("print(int(bench.session.mask.good.sum()))"))
    page.get_by_title(re.compile("Draw a circle")).click()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 25, y + 5, steps=4)
    page.mouse.up()
    settled(page)
    kinds = notebook.kernel("print([layer.kind for layer in bench.recipe.mask.layers])")
    assert kinds == "['circle']"
    assert int(notebook.kernel("print(int(bench.session.mask.good.sum()))")) < good
    assert picture(page) != whole
    assert canvas.bounding_box() == box  # the page does not scroll away under the mouse
    read_out(page, x + 3, y, "MASKED: layer 1 “drawn circle”")
    for button, text in (("↶ Undo", "ADU · good"), ("↷ Redo", "MASKED: layer 1 “drawn circle”")):
        page.get_by_role("button", name=button).dispatch_event("click")
        wait_text(page, ".cw-status", text)  # the mouse rests: the read-out follows the mask
    notebook.screenshot("7-shape")

    canvas.focus()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator(".cw-help").is_visible()
    page.keyboard.press("?")
    page.keyboard.press("s")
    settled(page)
    notebook.screenshot("8-stack")
    page.keyboard.press("s")
    page.keyboard.press("c")
    settled(page)
    assert notebook.kernel("print(bench.view.colormap)") == "cividis"

    page.reload(wait_until="domcontentloaded")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
    )
    assert notebook.kernel("bench.show()") is not None
    notebook.command("notebook:run-all-cells")
    page.wait_for_selector(".cw-steps button", timeout=90_000)
    assert notebook.problems == []


@pytest.mark.parametrize(
    ("width", "theme"), [(1280, "JupyterLab Light"), (1920, "JupyterLab Dark")]
)
def test_panels_fit_the_page(notebook, experiment, width, theme):
    """Nothing sticks out of the page in either theme, narrow or wide."""
    page = open_workbench(
        notebook, experiment, f"fit-{width}.ipynb", width, prepare="bench.compute();"
    )
    notebook.theme(theme)
    for number, name in enumerate(("run", "mask", "quadrants", "geometry"), 1):
        step(page, number)
        settled(page)
        notebook.screenshot(f"{theme.split()[1].lower()}-{width}-{name}")
        out = page.evaluate(
            """() => {
              const app = document.querySelector(".cw-app");
              const edge = app.getBoundingClientRect().right + 1;
              return [...app.querySelectorAll("button, input, select, canvas, table, label, img")]
                .filter((one) => one.offsetParent && one.getBoundingClientRect().right > edge)
                .map((one) => one.outerHTML.slice(0, 120));
            }"""
        )
        assert out == []
        cut = page.evaluate(
            """() => [...document.querySelectorAll(".cw-app button, .cw-app .widget-label")]
                .filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth + 1)
                .map((one) => one.innerText)"""
        )
        assert cut == []
    assert notebook.problems == []


def test_averaging_can_be_cancelled_and_sliders_live_meanwhile(notebook, experiment):
    """Progress while averaging, a slider moved meanwhile, cancel."""
    slow = (
        "bench.compute()\n"
        "import time\n"
        "from workbench import pipeline\n"
        "original = pipeline.gather_images\n"
        "def gather(recipe, progress=None, snapshot=None, known=None, **rest):\n"
        "    for n in range(600):\n"
        "        if progress.cancelled: break\n"
        "        progress.update(n, 600, 'run 74'); time.sleep(0.1)\n"
        "    return original(recipe, progress=None, snapshot=snapshot, known=known, **rest)\n"
        "pipeline.gather_images = gather\n"
    )
    page = open_workbench(notebook, experiment, "cancel.ipynb", prepare=slow)
    page.get_by_role("button", name="Compute averages").click()
    wait_text(page, ".cw-panel", "events/s")
    step(page, 2)
    slider = page.get_by_role("slider", name=re.compile("maxproj-min"))
    before = masked(page)
    slider.focus()
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function(
        "(text) => document.querySelector('.cw-count').innerText !== text",
        arg=page.locator(COUNT).inner_text(), timeout=20_000,
    ) if masked(page) == before else None  # fmt: skip
    assert masked(page) > before
    step(page, 1)
    page.get_by_role("button", name="Cancel").first.click()
    wait_text(page, ".cw-steps button", "Run & averages – done", 30_000)
    assert notebook.problems == []
