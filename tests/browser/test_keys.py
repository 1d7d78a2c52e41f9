"""Keys pressed in the workbench stay in it: JupyterLab does not delete, change or run a cell."""

import string

import pytest

pytestmark = pytest.mark.browser

NOTEBOOK = """() => {
  const { widgets } = window.jupyterapp.shell.currentWidget.content;
  return {
    cells: widgets.map(({ model }) => [model.type, model.sharedModel.source, model.executionCount]),
    shown: document.querySelector(".cw-app")?.checkVisibility() ?? false,
  };
}"""
ELEMENTS = """() => {
  window.cwKind = (node) => [node.tagName, node.type ?? "", node.classList[0] ?? ""].join(" ");
  window.cwElements = () => [...document.querySelectorAll(
    ".cw-app :is(button, select, input, textarea, canvas[tabindex], div[tabindex='0'])")].filter(
    (node) => node.checkVisibility() && !node.disabled);
  return [...new Set(window.cwElements().map(window.cwKind))];
}"""
FOCUS = """(kind) => {
  const node = window.cwElements().find((node) => window.cwKind(node) === kind);
  node?.focus();
  return node !== undefined;
}"""
KEYS = [
    *string.ascii_lowercase, *string.ascii_uppercase, *string.digits, "Delete", "Backspace",
    "Insert", "Home", "End", "PageUp", "PageDown", "Escape", "=", "+", "-", "?", "/", "[", "]",
    "Shift+Enter", "Control+Enter", "Alt+Enter", "Control+a", "Control+c", "Control+d", "Control+x",
    "Control+v", "Control+m", "Control+z", "Control+y", "Control+Shift+z", "Control+Shift+ArrowUp",
    "Shift+ArrowDown",
]  # fmt: skip


@pytest.fixture
def notebook(notebook_of_module):
    return notebook_of_module


@pytest.fixture(scope="module")
def opened(notebook_of_module, experiment_of_module):
    """A calibrated workbench, the same for all tests: none but the last changes a setting."""
    return notebook_of_module.workbench(
        experiment_of_module, "keys.ipynb", "bench.compute(); bench.open(bench.mask);",
        cells=["bench.show();", "after = 'a cell below'"],
    )  # fmt: skip


@pytest.fixture
def page(notebook, opened):
    opened.wait_for_function("() => document.querySelector('.cw-view').dataset.limits")
    notebook.step(2)
    notebook.idle()
    yield opened
    assert notebook.problems == []


def test_the_focus_is_kept_where_a_key_replaces_the_pictures(notebook, page):
    before = page.evaluate(NOTEBOOK)
    page.locator(".cw-lines").nth(2).click()
    for key in "3d15dd2x4m5zx":
        page.keyboard.press(key)
        assert page.evaluate("() => document.activeElement.className") == "cw-lines", key
    assert page.evaluate(NOTEBOOK) == before


def test_the_focus_of_a_button_that_is_turned_off_stays_in_the_workbench(page):
    page.evaluate("""() => {
      const on = (node) => node.checkVisibility() && !node.disabled;
      const button = [...document.querySelectorAll(".cw-app .cw-panel button")].find(on);
      button.focus();
      button.disabled = true;
    }""")
    page.wait_for_function(
        "() => document.activeElement.hasAttribute('data-lm-suppress-shortcuts')"
    )


def test_escape_closes_the_list_of_keys_and_the_plan(notebook, page):
    keys, sheet = page.get_by_role("button", name="keys"), page.locator(".cw-help")

    def close_by_escape():
        page.keyboard.press("Escape")

    def close_by_a_click_beside_it():
        page.mouse.click(5, 300)

    for close in (close_by_escape, close_by_a_click_beside_it, keys.click):
        keys.click()
        sheet.wait_for()
        close()
        sheet.wait_for(state="hidden")
    notebook.step(4)
    page.get_by_role("button", name="Deploy…").click()
    notebook.wait_text(".cw-plan", "0-end.data.v1")
    page.locator(".cw-closer:visible").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.cw-plan')].every((plan) => !plan.checkVisibility())"
    )


def test_enter_saves_the_recipe_under_the_whole_name(notebook, page):
    page.get_by_text("Recipe (a script or the report runs it)").click()
    page.get_by_placeholder("name.calibration.toml").click()
    page.keyboard.type("written in a hurry", delay=5)
    page.keyboard.press("Enter")
    notebook.wait_text(".cw-said", "/written in a hurry.calibration.toml")
    page.get_by_text("Recipe (a script or the report runs it)").click()


def test_save_still_saves_the_notebook(notebook, page):
    model = "window.jupyterapp.shell.currentWidget.context.model"
    page.evaluate(f"() => {{ {model}.dirty = true; }}")
    page.locator(".cw-lines").nth(2).click()
    page.keyboard.press("Control+s")
    page.wait_for_function(f"() => !{model}.dirty")


def test_no_key_on_any_kind_of_element_reaches_the_notebook(notebook, page):
    before = page.evaluate(NOTEBOOK)
    assert before["shown"]
    known = set()
    for step in (2, 3, 4, 1):
        notebook.step(step)
        notebook.idle()
        for kind in page.evaluate(ELEMENTS):
            if kind in known or not page.evaluate(FOCUS, kind):
                continue
            known.add(kind)
            for key in KEYS:
                page.keyboard.press(key)
            assert page.evaluate(NOTEBOOK) == before, kind
    assert len(known) > 8, known
    assert any("canvas" in kind.lower() for kind in known)
    assert any(kind.startswith("DIV") for kind in known)  # a figure of matplotlib
