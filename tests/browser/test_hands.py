"""Mouse and keyboard: shapes, the limit in the histogram, everything by keys alone, errors."""

import json
import re

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture
def notebook(notebook_of_module):
    return notebook_of_module


@pytest.fixture(scope="module")
def opened(notebook_of_module, experiment_of_module):
    """A workbench with averages, the same for all tests of this file."""
    prepare = (
        "bench.session.compute_images(); bench.session.wait(); bench.open(bench.mask); "
        "first = bench.recipe"
    )
    return notebook_of_module.workbench(experiment_of_module, "hands.ipynb", prepare)


@pytest.fixture
def page(notebook, opened):
    """The mask panel with the settings it had at first, on the whole detector."""
    notebook.kernel(
        "bench.recipe = first; bench.open(bench.mask); bench.view.tool = 'move'; "
        "bench.view.selected = -1; bench.view.window = []; bench.session.wait()"
    )
    opened.wait_for_function("() => document.querySelector('.cw-view').dataset.limits")
    notebook.idle()
    yield opened
    assert notebook.problems == []


def test_a_polygon_is_drawn_corner_by_corner(notebook, page):
    good = int(notebook.kernel("print(int(bench.session.mask.good.sum()))"))
    before = notebook.drawn()
    page.get_by_title(re.compile("Draw a polygon")).click()
    box = notebook.box(page.locator(".cw-lines").nth(2))
    corners = [(0.6, 0.15), (0.85, 0.2), (0.7, 0.4)]
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    for x, y in at:
        page.mouse.move(x, y, steps=3)
        page.mouse.click(x, y)
    page.keyboard.press("Enter")
    notebook.says("[one.kind for one in bench.recipe.mask.layers]", "['polygon']")
    points = json.loads(
        notebook.kernel("print(list(map(list, bench.recipe.mask.layers[0].points_mm)))")
    )
    assert len(points) == 3
    notebook.idle()
    assert int(notebook.kernel("print(int(bench.session.mask.good.sum()))")) < good
    notebook.until(lambda: notebook.drawn() != before, what="another picture")
    page.get_by_title(re.compile("Move and pick")).click()
    notebook.point_at(*(sum(axis) / 3 for axis in zip(*at, strict=True)), "MASKED: layer 1")
    page.get_by_role("button", name="↶ Undo").click()
    notebook.until(lambda: notebook.drawn() == before, what="the picture of before")


def test_the_limit_is_dragged_in_the_histogram(notebook, page):
    box = notebook.box(page.locator(".cw-histogram").nth(2))
    before = notebook.masked()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.1 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=20)
    page.mouse.up()
    slider = page.get_by_role("slider", name=re.compile("maxproj-min"))
    top = float(notebook.kernel("print(bench.mask.limits['maxproj_min'].max)"))
    value = float(slider.input_value())
    assert value == pytest.approx(0.5 * top, rel=0.03)
    notebook.says("bench.recipe.mask.thresholds.maxproj_min", str(value))
    notebook.until(lambda: notebook.masked() > before, what="a larger count")
    notebook.idle()
    assert float(slider.input_value()) == value


def test_everything_is_reached_by_keys_alone(notebook, page):
    """Tab leads through head, toolbar, pictures and controls in the order they are seen."""
    page.locator(".cw-steps button").first.focus()
    seen = []
    for _ in range(60):
        seen.append(
            page.evaluate(
                "() => { const a = document.activeElement; return [a.closest('.cw-app') !== null,"
                " a.getAttribute('aria-label') || a.innerText.trim() || a.title"
                " || a.labels?.[0]?.innerText || '', a.matches(':focus-visible')]; }"
            )
        )
        page.keyboard.press("Tab")
    print(seen)
    inside = [name for within, name, _ in seen if within]
    assert all(visible for within, _, visible in seen[1:] if within)
    assert "" not in inside, "a control without a name"
    order = [
        next(n for n, name in enumerate(inside) if re.search(what, name))
        for what in ("Run & averages", "Save all", "^images$", "Maximum, press", "^Average ≤",
                     "maxproj-min", "Border", "Save mask")
    ]  # fmt: skip
    assert order == sorted(order)

    slider = page.get_by_role("slider", name=re.compile("maxproj-min"))
    slider.focus()
    start = float(slider.input_value())
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert float(slider.input_value()) == start + 11
    notebook.says("bench.recipe.mask.thresholds.maxproj_min", str(start + 11))
    page.locator(".cw-lines").nth(2).focus()
    page.keyboard.press("?")
    page.locator(".cw-help").wait_for()
    page.keyboard.press("Escape")
    page.locator(".cw-help").wait_for(state="hidden")
    notebook.idle()
    whole = notebook.drawn()
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowLeft")
    notebook.until(lambda: notebook.drawn() != whole, what="another part of the detector")
    notebook.wait_text(".cw-status", " mm, y ")
    page.keyboard.press("0")
    notebook.until(lambda: notebook.drawn() == whole, what="the whole detector")


def test_an_error_in_a_callback_is_seen(notebook, page):
    notebook.kernel(
        "def broken(*_): raise ZeroDivisionError('of all things')\n"
        "bench.session.results.suggestions = broken"
    )
    page.get_by_role("button", name="Suggest limits").click()
    notebook.wait_text(".cw-panel .cw-error", "of all things")
    assert "of all things" not in page.locator(".cw-said").first.inner_text()  # it stands once
    page.locator(".cw-accordion").get_by_text("▸ Log").click()
    notebook.wait_text(".cw-log", "Traceback")
    notebook.screenshot("10-error")
    assert "ERROR of all things" in notebook.kernel("bench.session.wait()")


def layers(notebook):
    return notebook.kernel("print(*[layer.name for layer in bench.recipe.mask.layers], sep='|')")


def test_the_shape_that_was_clicked_is_deleted_and_brought_back(notebook, page):
    canvas = page.locator(".cw-lines").nth(2)
    box = notebook.box(canvas)

    def at(x, y):
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def selected(layer):
        notebook.says("bench.view.selected", str(layer))

    page.get_by_title(re.compile("Draw a rectangle")).click()
    for left, name in ((0.15, "drawn rectangle"), (0.6, "drawn rectangle 2")):
        page.mouse.move(*at(left, 0.2))
        page.mouse.down()
        page.mouse.move(*at(left + 0.2, 0.4), steps=5)
        page.mouse.up()
        notebook.says("bench.recipe.mask.layers[-1].name", name)
    selected(1)
    notebook.idle()  # the shapes that are clicked are in the page
    page.get_by_title(re.compile("Move and pick")).click()
    page.mouse.click(*at(0.9, 0.9))
    selected(-1)
    page.keyboard.press("Delete")
    page.mouse.click(*at(0.25, 0.3))
    selected(0)
    page.keyboard.press("Delete")
    notebook.until(lambda: layers(notebook) == "drawn rectangle 2", what="only the second")
    page.keyboard.press("Control+z")
    notebook.until(lambda: layers(notebook) == "drawn rectangle|drawn rectangle 2", what="both")
    page.keyboard.press("Control+y")
    notebook.until(lambda: layers(notebook) == "drawn rectangle 2", what="only the second again")


def test_a_limit_out_of_range_is_refused_in_its_field(notebook, page):
    field = page.get_by_role("spinbutton", name=re.compile("maxproj-min"))
    refused = page.locator(".cw-limit-refused:not(:empty)")
    slider = page.get_by_role("slider", name=re.compile("maxproj-min"))
    top, masked = slider.get_attribute("max"), notebook.masked()
    for typed, reason in (("-50", "below 0"), ("30000000", "would mask every pixel")):
        field.fill(typed)
        field.press("Enter")
        notebook.wait_text(".cw-limit-refused", reason)
        assert "300 ADU stays" in refused.inner_text()
        assert field.get_attribute("aria-invalid") == "true"
        assert field.input_value() == typed
    notebook.screenshot("limit-refused")
    field.press("Escape")
    notebook.until(lambda: field.input_value() == "300", what="the limit of before")
    notebook.until(lambda: refused.count() == 0, what="no reason")
    above = page.get_by_role("spinbutton", name=re.compile("^Average ≤"))
    above.fill("-50")
    above.press("Enter")
    notebook.wait_text(".cw-limit-refused", "would mask every pixel")
    notebook.idle()
    assert notebook.masked() == masked
    assert slider.get_attribute("max") == top
    field.fill("320")
    field.press("Enter")
    notebook.says("bench.recipe.mask.thresholds.maxproj_min", "320.0")


def test_before_after_and_blink_keep_the_place_and_say_which_is_shown(notebook, page):
    notebook.kernel("bench.compute()")
    notebook.step(3)
    title = page.locator(".cw-title").first
    notebook.until(lambda: title.inner_text() == "Maximum, after", what="the corrected picture")
    canvas = page.locator(".cw-lines").first
    box = notebook.box(canvas)
    notebook.kernel("bench.view.show_rings = bench.view.show_outlines = False")
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.wheel(0, -900)
    notebook.says("len(bench.view.window)", "4")
    notebook.idle()
    place = (
        "(lambda f, w: [round(f[0] + (w[0] - 0.5) * f[2], 3), round(f[1] + (w[1] - 0.5) * f[2], 3),"
        " round(w[3] - w[1], 3)])(bench.view._messages[bench.view.arrangement][0]['frame'],"
        " bench.view.window)"
    )
    after = notebook.kernel(f"print({place})")
    after_drawn = notebook.drawn()
    panel = page.locator(".cw-panel")
    panel.get_by_role("button", name="Before", exact=True).click()
    notebook.until(lambda: title.inner_text() == "Maximum, before", what="the present picture")
    notebook.wait_text(".cw-shown", "Before")
    notebook.says(place, after)
    notebook.until(lambda: notebook.drawn() != after_drawn, what="another picture")
    panel.get_by_role("button", name="Blink", exact=True).click()
    for name in ("after", "before"):
        notebook.until(lambda name=name: title.inner_text() == f"Maximum, {name}", what=name)
    page.locator(".cw-shown").wait_for(state="detached")
    panel.get_by_role("button", name="After", exact=True).click()
    notebook.until(lambda: notebook.drawn() == after_drawn, what="the same place as first")
    notebook.wait_text(".cw-shown", "After")
