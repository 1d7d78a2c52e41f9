"""Take the documentation's pictures of the workbench and of a report: ``python docs/pictures.py``.

Writes a sample experiment, opens the workbench in JupyterLab under headless Chromium (which must be
installed), goes through its steps, and saves what is seen in ``docs/images``.
"""

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
TAKEN = Path(tempfile.mkdtemp())
"""Pictures go to `IMAGES` at the end: the report names a checkout with changed files ``-dirty``."""
WIDTH, HEIGHT = 1440, 1000
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

PLACE = """import workbench as wb
bench = wb.Workbench("../sample_data/cxim1416_r0074.calibration.toml")"""


@contextlib.contextmanager
def visible_folder():
    """Folder for the sample; its name is seen in the pictures."""
    folder = Path(tempfile.gettempdir(), "workbench")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def settle(page, milliseconds=2500):
    """Wait until nothing is drawn any more."""
    page.wait_for_function("() => !document.querySelector('.cw-progress .progress-bar-animated')")
    page.wait_for_timeout(milliseconds)


def step(page, number):
    page.locator(".cw-steps button").nth(number - 1).click()
    settle(page)


def done(page, name):
    page.wait_for_function(
        "(name) => [...document.querySelectorAll('.cw-steps button')]"
        ".some((one) => one.innerText.includes(name)"
        " && /done|default|looked at|warning/.test(one.innerText))",
        arg=name,
        timeout=180_000,
    )
    settle(page)


def from_its_head(page):
    """Scroll until the workbench fills the page."""
    page.evaluate("() => document.querySelector('.cw-header')?.scrollIntoView()")
    page.wait_for_timeout(500)


def save(page, name):
    """Screenshot with a palette of 256 colours: a third of the size."""
    from PIL import Image

    path = TAKEN / f"{name}.png"
    from_its_head(page)
    page.screenshot(path=str(path))
    with Image.open(path) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


def workbench(browser, folder):
    """The panels, one after the other."""
    from conftest import Lab, Notebook

    lab = Lab(folder / "lab")
    shutil.move(folder / "sample_data", lab.folder / "sample_data")
    try:
        page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}).new_page()
        book = Notebook(page, lab)
        lab.notebook("calibration.ipynb", PLACE, "bench.show();")
        book.open("calibration.ipynb").hide_sidebar()
        book.run_all()
        page.wait_for_selector(".cw-steps button", timeout=90_000)
        settle(page)
        page.get_by_role("button", name="Compute averages").click()
        done(page, "Mask")
        save(page, "averages")
        step(page, 2)
        save(page, "workbench")
        step(page, 3)
        page.get_by_role("button", name="Find offsets").click()
        done(page, "Quadrants")
        save(page, "quadrants")
        step(page, 4)
        page.get_by_role("button", name="Compare", exact=True).click()
        settle(page)
        save(page, "geometry")
        step(page, 5)
        page.locator(".cw-panel select").first.select_option("run 80")
        page.get_by_role("button", name="Count peaks in all events").click()
        page.wait_for_selector(".cw-panel .cw-live", state="visible", timeout=60_000)
        settle(page)
        save(page, "frames")
    finally:
        lab.stop()


def report(browser, folder):
    """The first screen of a report."""
    from workbench.report import write_report

    recipe = folder / "lab" / "sample_data" / "cxim1416_r0074.calibration.toml"
    written = write_report(recipe, folder / "report", pdf=False)
    page = browser.new_context(viewport={"width": 1100, "height": 900}).new_page()
    page.goto(written.html.as_uri())
    save(page, "report")


def main():
    from conftest import CHROMIUM_FLAGS
    from playwright.sync_api import sync_playwright

    from workbench.simulate.experiment import write_experiment

    with visible_folder() as folder, sync_playwright() as playwright:
        write_experiment(folder / "sample_data", events=12, crystals=24)
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        workbench(browser, folder)
        report(browser, folder)
        browser.close()
    shutil.copytree(TAKEN, IMAGES, dirs_exist_ok=True)
    shutil.rmtree(TAKEN)


if __name__ == "__main__":
    main()
