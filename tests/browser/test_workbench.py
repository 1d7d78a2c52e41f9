"""The calibration notebook in JupyterLab, driven with mouse and keyboard in headless Chromium."""

import re

import pytest

from workbench.session.history import MERGE_SECONDS

pytestmark = pytest.mark.browser


def test_calibration_by_mouse(notebook, experiment):
    """Average, move the slider, align, nudge, deploy, roll back."""
    page = notebook.workbench(experiment, "bench.ipynb", refine="rings")
    notebook.screenshot("1-run")
    page.get_by_role("button", name="Compute averages").click()
    notebook.says("bench.session.status('mask').state", "done")
    notebook.wait_text(".cw-steps button", "2 Mask – default")
    notebook.idle()
    notebook.screenshot("2-averages")

    notebook.step(2)
    slider = page.get_by_role("slider", name=re.compile("maxproj-min"))
    slider.wait_for()
    notebook.idle()
    before, drawn = notebook.masked(), notebook.drawn()
    box = notebook.box(slider)
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.06 * box["width"], y)
    page.mouse.down()
    for part in range(7, 30):
        page.mouse.move(box["x"] + 0.01 * part * box["width"], y)
    page.mouse.up()
    value = float(slider.input_value())
    assert value > 300
    notebook.says("bench.recipe.mask.thresholds.maxproj_min", str(value))
    notebook.idle()
    masked = int(notebook.kernel("print(bench.session.mask.masked)"))
    assert masked > before
    notebook.until(lambda: notebook.masked() == masked, what="the count of the mask")
    notebook.until(lambda: notebook.drawn() != drawn, what="another picture")
    assert float(slider.input_value()) == value
    view = page.locator(".cw-view")
    notebook.until(
        lambda: float(view.get_attribute("data-limits").split()[2]) == value,
        what="a picture of this limit",
    )
    notebook.screenshot("3-mask")

    page.wait_for_timeout(1000 * MERGE_SECONDS)  # sooner, both moves are one step to undo
    slider.focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert float(slider.input_value()) == value - 10
    notebook.says("bench.recipe.mask.thresholds.maxproj_min", str(value - 10))
    page.get_by_role("button", name="↶ Undo").click()
    notebook.says("bench.recipe.mask.thresholds.maxproj_min", str(value))
    page.get_by_role("button", name="↶ Undo").click()
    notebook.until(lambda: notebook.masked() == before, what="the count of before")
    notebook.until(lambda: notebook.drawn() == drawn, what="the picture of before")
    notebook.until(lambda: float(slider.input_value()) == 300, what="the slider as before")

    notebook.step(3)
    page.get_by_role("button", name="Find offsets").click()
    notebook.says("bench.session.status('alignment').state", "done")
    notebook.wait_text(".cw-map-title", "Q3")
    notebook.idle()
    notebook.screenshot("4-quadrants")
    offset = "print(bench.session.alignment.quadrants[0].offset_px[0])"
    x = float(notebook.kernel(offset))
    page.locator(".cw-map").first.focus()
    page.keyboard.press("ArrowDown")
    notebook.wait_text(".cw-map-title", "overruled")
    assert float(notebook.kernel(offset)) == pytest.approx(x + 0.1, abs=2e-3)
    page.keyboard.press("Delete")
    notebook.until(lambda: float(notebook.kernel(offset)) == pytest.approx(x), what="its offset")

    notebook.step(4)
    page.get_by_role("button", name="Deploy…").click()
    notebook.wait_text(".cw-plan", "0-end.data.v1")
    folder = next(experiment[1].rglob("geometry"))
    assert not (folder / "0-end.data.v1").exists()
    notebook.screenshot("5-plan")
    notebook.confirm_and_write()
    notebook.wait_text(".cw-versions", "v1, current")
    assert (folder / "0-end.data").readlink().name == "0-end.data.v1"
    notebook.screenshot("6-deployed")
    page.get_by_role("button", name="Make v0 current…").click()
    notebook.wait_text(".cw-plan", "will lead to 0-end.data.v0 again")
    assert (folder / "0-end.data").readlink().name == "0-end.data.v1"
    page.get_by_role("button", name="Make v0 current", exact=True).click()
    notebook.wait_text(".cw-note", "psana now reads v0")
    assert (folder / "0-end.data").readlink().name == "0-end.data.v0"

    notebook.step(5)
    notebook.wait_text(".cw-limit-note", "This event: ")
    page.get_by_role("button", name="Count peaks in all events").click()
    notebook.wait_text(".cw-plan", "0 frames of 6 events")
    page.get_by_label("Fewest peaks of a hit").fill("0")
    page.keyboard.press("Enter")
    notebook.wait_text(".cw-plan", "6 frames of 6 events")
    page.get_by_role("button", name="hit ▶").click()
    notebook.wait_text(".cw-title", "event 1: ")
    page.get_by_role("button", name="Write frames").dblclick()  # which means one click
    notebook.wait_text(".cw-panel", "6 frames written")
    notebook.wait_text(".cw-panel", str(experiment[1].parent / "out/frames-r0074"))
    notebook.idle()
    assert notebook.kernel("print(bench.session.status('frames').state)") == "done"
    notebook.screenshot("7-frames")
    for event in (2, 3):  # picture and peaks change in one frame of the page
        page.get_by_role("button", name="hit ▶").click()
        notebook.wait_text(".cw-title", f"event {event}: ")
        notebook.idle()
        peaks = notebook.kernel("print(len(bench.view.peaks))")
        assert view.get_attribute("data-peaks") == peaks
    assert notebook.kernel("bench.session.wait()") == ""
    assert notebook.problems == []


@pytest.mark.slow
def test_from_opening_to_deployment_takes_few_clicks_and_no_typing(notebook, experiment):
    """A fresh sample: each step is led to, and the defaults do."""
    page = notebook.workbench(experiment, "story.ipynb")
    page.evaluate(
        """() => {
          window.cwActs = { click: 0, keydown: 0 };
          for (const kind of Object.keys(window.cwActs)) {
            addEventListener(kind, (act) => { if (act.isTrusted) window.cwActs[kind]++; }, true);
          }
        }"""
    )

    def press(name, **exactly):
        button = page.get_by_role("button", name=name, **exactly)
        notebook.until(button.is_enabled, what=f"{name!r} enabled")
        button.click()

    press("Compute averages")
    press("Next: Mask →")
    press("Next: Quadrants →")
    press("Find offsets")
    press("Next: Geometry →")
    press("Deploy…")
    notebook.confirm_and_write()
    notebook.wait_text(".cw-versions", "v1, current")
    acts = page.evaluate("window.cwActs")
    assert acts["keydown"] == 0
    assert acts["click"] <= 12
    print(f"{acts['click']} clicks")
    assert notebook.problems == []


@pytest.mark.slow
def test_view_zoom_draw_read_out_and_reload(notebook, experiment):
    """What the detector view itself can do, and that a reload brings everything back."""
    page = notebook.workbench(experiment, "view.ipynb", "bench.compute(); bench.open(bench.mask);")
    page.wait_for_function("() => document.querySelector('.cw-view').dataset.limits")
    notebook.idle()
    canvas = page.locator(".cw-lines").nth(2)
    box = notebook.box(canvas)
    whole = notebook.drawn()

    x, y = notebook.kernel(GOOD_PLACE).split()
    x, y = box["x"] + float(x) * box["width"], box["y"] + float(y) * box["height"]
    assert re.search(
        r"Q\d sensor \d ASIC \d · fast \d+ slow \d+ · x -?[\d.]+ mm, y -?[\d.]+ mm · [\d.]+ Å · "
        r"average .* ADU",
        notebook.point_at(x, y, "ADU · good"),
    )
    page.mouse.wheel(0, -600)
    notebook.until(lambda: notebook.drawn() != whole, what="a picture zoomed")
    notebook.says("len(bench.view.window)", "4")
    page.mouse.dblclick(x, y)
    notebook.until(lambda: notebook.drawn() == whole, what="the whole detector")

    good = int(notebook.kernel("print(int(bench.session.mask.good.sum()))"))
    page.get_by_title(re.compile("Draw a circle")).click()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 25, y + 5, steps=4)
    page.mouse.up()
    notebook.says("[layer.kind for layer in bench.recipe.mask.layers]", "['circle']")
    notebook.idle()
    assert int(notebook.kernel("print(int(bench.session.mask.good.sum()))")) < good
    notebook.until(lambda: notebook.drawn() != whole, what="a circle in the picture")
    assert canvas.bounding_box() == box  # the page does not scroll away under the mouse
    notebook.point_at(x + 3, y, "MASKED: layer 1 “drawn circle”")
    for button, text in (("↶ Undo", "ADU · good"), ("↷ Redo", "MASKED: layer 1 “drawn circle”")):
        page.get_by_role("button", name=button).dispatch_event("click")
        notebook.wait_text(".cw-status", text)  # the mouse rests: the read-out follows the mask
    notebook.screenshot("7-shape")

    canvas.focus()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.locator(".cw-help").wait_for()
    page.keyboard.press("?")
    page.keyboard.press("s")
    notebook.says("bench.view.arrangement", "stack")
    notebook.still()
    notebook.screenshot("8-stack")
    page.keyboard.press("s")
    page.keyboard.press("c")
    notebook.says("bench.view.colormap", "cividis")

    page.reload(wait_until="domcontentloaded")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    notebook.wait_connected()
    assert notebook.kernel("bench.show()") is not None
    notebook.run_all()
    page.wait_for_selector(".cw-steps button")
    assert notebook.problems == []


# where on the picture a good pixel lies well inside an ASIC whose neighbours are good too: x, y as
# parts of its size
GOOD_PLACE = """
import numpy as np
index = bench.session.images.geometry.snapped().index
good = np.append(bench.session.mask.good.ravel(), False)[index]
fast, slow = index % 388 % 194, index // 388 % 185
inside = (index >= 0) & (abs(fast - 97) < 40) & (abs(slow - 92) < 40)
far = np.add.outer(abs(np.arange(index.shape[0]) / index.shape[0] - 0.3),
                   abs(np.arange(index.shape[1]) / index.shape[1] - 0.7))
window = np.lib.stride_tricks.sliding_window_view(good, (9, 9)).all(axis=(2, 3))
found = np.where(window & inside[4:-4, 4:-4], far[4:-4, 4:-4], 9)
row, column = np.unravel_index(found.argmin(), found.shape)
side = max(index.shape)
print((column + 4.5 + (side - index.shape[1]) / 2) / side,
      (row + 4.5 + (side - index.shape[0]) / 2) / side)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "theme"), [(1280, "JupyterLab Light"), (1920, "JupyterLab Dark")]
)
def test_panels_fit_the_page(notebook, experiment, width, theme):
    """Nothing sticks out of the page in either theme, narrow or wide."""
    page = notebook.workbench(experiment, f"fit-{width}.ipynb", "bench.compute();", width)
    notebook.theme(theme)
    for number, name in enumerate(("run", "mask", "quadrants", "geometry", "frames"), 1):
        notebook.step(number)
        notebook.idle()
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
        assert out == [], name
        cut = page.evaluate(
            """() => [...document.querySelectorAll(".cw-app button, .cw-app .widget-label")]
                .filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth + 1)
                .map((one) => one.innerText)"""
        )
        assert cut == [], name
    assert notebook.problems == []
