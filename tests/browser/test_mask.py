"""The mask by mouse: shapes drawn, moved and removed, layers in the table, limits in histograms;
and the picture is the mask, pixel for pixel."""

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PICTURE = """() => {
  const c = document.querySelector('canvas[data-image="mask"]');
  if (!c) return null;
  const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, masked = [];
  for (let i = 0; i < d.length; i += 4) if (d[i] === 213 && d[i + 1] === 94) masked.push(i / 4);
  return { width: c.width, height: c.height, masked };
}"""
ROW, COLUMN = 500, 300  # of the picture compared, in the assembled detector


@pytest.fixture
def page(notebook, experiment):
    """The mask panel in a large window; `first` is the mask's recipe as it was."""
    prepare = "bench.session.compute_images(); bench.session.wait(); first = bench.recipe.mask"
    page = notebook.workbench(experiment, "mask.ipynb", prepare, width=1600, height=1500)
    notebook.step(2)
    page.wait_for_function("() => document.querySelector('.cw-view').dataset.limits")
    notebook.idle()
    return page


def drag(notebook, start, end, canvas, grip=False):
    """Drag between two places of a canvas, given as fractions of its size.

    With `grip`, only once the cursor tells that there is a shape to be taken.
    """
    page, box = notebook.page, notebook.box(canvas)
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]

    def point():
        page.mouse.move(points[0][0], points[0][1] + 1)
        page.mouse.move(*points[0])
        return canvas.evaluate("canvas => canvas.style.cursor") == "move"

    point()
    if grip:
        notebook.until(point, what="the cursor of a shape that can be taken")
    page.mouse.down()
    page.mouse.move(*points[1], steps=6)
    page.mouse.up()


def picture_is_the_mask(page, notebook):
    """Show 1 detector pixel per screen pixel and compare with the kernel's mask."""
    notebook.kernel("bench.view.tiles = 'mask'")
    size = page.evaluate(PICTURE)
    if size is None or notebook.kernel("bench.session.wait()"):
        return False
    window = [ROW, COLUMN, ROW + size["height"], COLUMN + size["width"]]
    made = notebook.kernel(
        f"bench.view.window = {[float(edge) for edge in window]}\n"
        "import numpy as np; snapped = bench.session.images.geometry.snapped()\n"
        "masked = (snapped.index >= 0) & ~bench.session.mask.good.reshape(-1)[snapped.index]\n"
        f"part = np.zeros({(size['height'], size['width'])}, bool)\n"
        f"cut = masked[{ROW}:{window[2]}, {COLUMN}:{window[3]}]\n"
        "part[:cut.shape[0], :cut.shape[1]] = cut\n"
        "print(np.flatnonzero(part).tolist())"
    )
    return len(eval(made)) > 5000 and page.evaluate(PICTURE)["masked"] == eval(made)


def test_shapes_layers_limits_and_the_picture(page, notebook):
    def tool(words):
        page.get_by_title(re.compile(words)).click()

    def said(code):
        return notebook.kernel(f"print({code})")

    def eventually(found, wanted=True, what="", act=None):
        notebook.until(lambda: found() == wanted, act, what=what or str(wanted))

    def kinds():
        return said("*[layer.kind for layer in bench.recipe.mask.layers]")

    def compare():
        notebook.until(lambda: picture_is_the_mask(page, notebook), what="the mask as picture")
        notebook.kernel("bench.view.tiles = 'side by side'; bench.view.window = []")
        eventually(page.locator(".cw-lines").count, 3, "three pictures")

    canvas = page.locator(".cw-lines").nth(2)
    box = notebook.box(canvas)

    # ---- every tool --------------------------------------------------------------------------
    tool("Draw a rectangle")
    drag(notebook, (0.1, 0.1), (0.25, 0.2), canvas)
    eventually(kinds, "rectangle")
    tool("Draw a circle")
    drag(notebook, (0.45, 0.45), (0.53, 0.45), canvas)
    eventually(kinds, "rectangle circle")
    tool("Draw a line")
    drag(notebook, (0.15, 0.55), (0.25, 0.9), canvas)  # away from where the circle will be
    eventually(kinds, "rectangle circle line")
    tool("Draw a polygon")
    for x, y in ((0.7, 0.1), (0.9, 0.12), (0.85, 0.3)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.dblclick(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"])
    eventually(kinds, "rectangle circle line polygon")
    tool("Mask or unmask single pixels")
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    eventually(kinds, "rectangle circle line polygon pixels")
    notebook.idle()
    assert notebook.box(canvas) == box  # nothing that is drawn moves the picture away

    # ---- by its outline, by its rim, away -----------------------------------------------------
    tool("Move and pick")
    circle = "bench.recipe.mask.layers[1]"
    before = [said(f"{circle}.{name}") for name in ("centre_mm", "radius_mm")]
    drag(notebook, (0.53, 0.45), (0.56, 0.48), canvas, grip=True)
    drag(notebook, (0.56, 0.48), (0.58, 0.5), canvas)  # before the first has come back
    eventually(lambda: said(f"{circle}.centre_mm") != before[0], what="a moved circle")
    notebook.idle()
    moved = said(f"{circle}.centre_mm")
    assert said(f"{circle}.radius_mm") == before[1]
    drag(notebook, (0.5, 0.58), (0.5, 0.56), canvas, grip=True)  # the rim of the selected one
    smaller = 0.9 * float(before[1])
    eventually(lambda: float(said(f"{circle}.radius_mm")) < smaller, what="a smaller circle")
    assert said(f"{circle}.centre_mm") == moved
    page.keyboard.press("Delete")
    eventually(kinds, "rectangle line polygon pixels")
    notebook.idle()

    # ---- the table ---------------------------------------------------------------------------
    row = page.locator(".cw-layers tbody tr:not(.cw-rule)")
    eventually(row.count, 4)
    name = row.nth(1).get_by_role("textbox")

    def rename():  # the table may be made anew between the two
        name.fill("arm of the beam stop")
        name.press("Enter")

    renamed = "bench.recipe.mask.layers[1].name"
    eventually(lambda: said(renamed), "arm of the beam stop", act=rename)
    row.nth(2).get_by_role("combobox").select_option("exclude")
    eventually(lambda: "keeps" in row.nth(2).inner_text(), what="the count that a layer keeps")
    notebook.screenshot("mask-layers")
    compare()
    row.nth(3).get_by_title(re.compile("Apply this layer earlier")).click()
    eventually(kinds, "rectangle line pixels polygon")
    notebook.idle()
    row.nth(0).get_by_role("checkbox").click()
    eventually(lambda: said("bench.recipe.mask.layers[0].on"), "False")

    # ---- limits in the histograms ------------------------------------------------------------
    page.get_by_role("checkbox", name="Own limits for low gain").click()
    histograms = page.locator(".cw-histogram:visible")
    eventually(histograms.count, 6, "six histograms")
    eventually(
        lambda: said("bench.recipe.mask.low_gain.maxproj_min > 1000"),
        "True",
        "a larger limit of low gain",
        act=lambda: drag(notebook, (0.3, 0.5), (0.6, 0.5), histograms.nth(5)),
    )
    compare()
    notebook.screenshot("mask-low-gain")

    # ---- all of it can be taken back, and made again -----------------------------------------
    notebook.kernel("last = bench.recipe.mask")
    for button, end in (("↶ Undo", "first"), ("↷ Redo", "last")):

        def press(button=button, end=end):
            if said(f"bench.recipe.mask == {end}") != "True":
                page.get_by_role("button", name=button).dispatch_event("click")

        notebook.until(
            lambda end=end: said(f"bench.recipe.mask == {end}") == "True",
            press,
            what=f"the {end} mask",
            every=0.2,
        )
    compare()
    assert notebook.kernel("bench.session.wait()") == ""
    assert notebook.problems == []
