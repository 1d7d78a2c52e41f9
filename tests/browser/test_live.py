"""Live figures, single events and the history of a pixel, as a person uses them."""

import itertools
import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def read_at(notebook, figure, x, y, pattern):
    """Point into a live figure until the line below it reads like this."""
    canvas = figure.locator(".jupyter-matplotlib-canvas-div")
    footer = figure.locator(".jupyter-matplotlib-footer")
    moves = itertools.count()

    def point():  # the page may have moved meanwhile
        size = canvas.bounding_box()
        if size is not None:
            place = {"x": x * size["width"] + next(moves) % 2, "y": y * size["height"]}
            canvas.hover(position=place, timeout=5000)

    notebook.until(
        lambda: re.search(pattern, footer.inner_text()), point, what=f"{pattern!r} below the figure"
    )


def test_values_are_read_from_the_profile_and_from_an_enlarged_map(notebook, experiment):
    page = notebook.workbench(
        experiment, "live.ipynb", "bench.compute(); bench.open(bench.quadrants);"
    )
    profile = page.locator(".cw-under .cw-live")
    read_at(notebook, profile, 0.5, 0.5, r"px · q [\d.]+ Å⁻¹ · d [\d.]+ Å · .* ADU")
    page.get_by_role("button", name="enlarge the map of Q1").click()
    read_at(notebook, page.locator(".cw-panel .cw-live"), 0.3, 0.5, r"offset x .* px · CC 0\.")
    within = "document.activeElement.closest('.cw-under .jupyter-matplotlib-canvas-div') !== null"
    profile.locator(".jupyter-matplotlib-canvas-div").focus()
    page.keyboard.press("l")
    assert page.evaluate(within)
    assert notebook.kernel("print(bench.quadrants.profile.figure.axes[0].get_yscale())") == "linear"
    page.keyboard.press("Tab")  # leads on
    assert not page.evaluate(within)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Close the large map").wait_for(state="hidden")
    notebook.theme("JupyterLab Dark")
    notebook.says("bench.quadrants.profile.place.dark", "True")
    assert notebook.kernel("import sys; print('matplotlib.pyplot' in sys.modules)") == "False"
    assert notebook.problems == []


def test_events_are_stepped_through_and_a_pixel_is_followed_over_them(notebook, experiment):
    page = notebook.workbench(experiment, "events.ipynb", "bench.compute();")
    page.get_by_role("button", name="Single events").click()
    notebook.wait_text(".cw-title", "run 74, event 0")
    page.get_by_role("button", name="▶").click()
    notebook.wait_text(".cw-title", "run 74, event 1")
    notebook.step(2)
    notebook.wait_text(".cw-title", "Maximum")
    page.get_by_role("button", name="History of the picked pixel").click()
    picture = page.locator(".cw-lines").nth(2)

    def pick():
        box = notebook.box(picture)
        page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])

    notebook.wait_text(".cw-under .cw-note", "6 of dark run 54, 6 of bright run 74", pick)
    figure = page.locator(".cw-under .cw-live").last
    read_at(notebook, figure, 0.4, 0.2, r"event \d+ · [\d.]+ ADU")
    assert notebook.problems == []
