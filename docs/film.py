"""Record the moving picture of the first page: ``make film`` or ``python docs/film.py``.

The workbench in JupyterLab under headless Chromium, from a dark run to a deployed geometry, on a
sample experiment written for it. Nothing is drawn by hand: each frame is a screenshot.
"""

import io
import re
import shutil
import sys

import pictures  # beside this file; it also finds the package and the browser's fixtures
from conftest import CHROMIUM_FLAGS, Lab, Notebook
from PIL import Image
from playwright.sync_api import sync_playwright

from workbench.simulate.experiment import write_experiment

TARGET = pictures.IMAGES / "film.gif"
SIZE = (900, 620)
COLOURS = 96
MOST_BYTES = 3_000_000


class Film:
    """Frames of one page and how long each is shown."""

    def __init__(self, page):
        self.page = page
        self.frames, self.milliseconds = [], []

    def take(self, milliseconds=120):
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        frame = picture.resize(SIZE, Image.Resampling.LANCZOS)
        if self.frames and frame.tobytes() == self.frames[-1].tobytes():
            self.milliseconds[-1] += milliseconds
        else:
            self.frames.append(frame)
            self.milliseconds.append(milliseconds)

    def wait(self, reached, every=400, most=400):
        """Take frames until something is reached; time that passes is shown faster."""
        for _ in range(most):
            if reached():
                return
            self.take(120)
            self.page.wait_for_timeout(every)
        raise TimeoutError("the workbench did not get there")

    def save(self, path):
        """Write the frames with one palette, each as its difference from the one before."""
        sheet = Image.new("RGB", (SIZE[0], SIZE[1] * len(self.frames)))
        for number, frame in enumerate(self.frames):
            sheet.paste(frame, (0, number * SIZE[1]))
        palette = sheet.quantize(COLOURS)
        drawn = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self.frames]
        drawn[0].save(
            path, save_all=True, append_images=drawn[1:], duration=self.milliseconds, loop=0,
            optimize=False, disposal=1,
        )  # fmt: skip


def says(page, selector, text):
    """Whether an element says something now."""
    return lambda: any(text in part for part in page.locator(selector).all_inner_texts())


def calibrate(page, film):
    """Average, mask, align, deploy."""

    def press(name, **how):
        page.get_by_role("button", name=name, **how).click()

    film.take(1500)
    press("Compute averages")
    film.wait(says(page, ".cw-steps button", "2 Mask – default"))
    pictures.settle(page)
    film.take(1500)

    pictures.step(page, 2)
    pictures.from_its_head(page)
    film.take(1200)
    slider = page.get_by_role("slider", name=re.compile("maxproj-min"))
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.06 * box["width"], y)
    page.mouse.down()
    for part in [*range(8, 40, 8), *range(36, 4, -8)]:
        page.mouse.move(box["x"] + 0.01 * part * box["width"], y)
        page.wait_for_timeout(300)
        film.take(110)
    page.mouse.up()
    pictures.settle(page)
    film.take(1300)

    pictures.step(page, 3)
    film.take(600)
    press("Find offsets")
    film.wait(says(page, ".cw-map-title", "Q3"))
    pictures.done(page, "Quadrants")
    film.take(2200)

    pictures.step(page, 4)
    film.take(800)
    press("Deploy…")
    film.wait(says(page, ".cw-panel", "Checked: "))
    pictures.settle(page)
    confirm = page.get_by_label("Deploy although", exact=False)
    if confirm.is_visible():
        confirm.check()
    page.get_by_role("button", name="Write this version").scroll_into_view_if_needed()
    film.take(2200)
    press("Write this version")
    film.wait(says(page, ".cw-versions", "v1, current"))
    pictures.settle(page)
    page.locator(".cw-versions").scroll_into_view_if_needed()
    film.take(3500)


def main():
    with pictures.visible_folder() as folder, sync_playwright() as playwright:
        write_experiment(folder / "lab" / "sample_data", events=12)
        lab = Lab(folder / "server")
        shutil.move(folder / "lab" / "sample_data", lab.folder / "sample_data")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS
        )
        try:
            size = {"width": pictures.WIDTH, "height": pictures.WIDTH * SIZE[1] // SIZE[0]}
            page = browser.new_context(viewport=size).new_page()
            lab.notebook("calibration.ipynb", pictures.PLACE, "bench.show();")
            book = Notebook(page, lab)
            book.open("calibration.ipynb").hide_sidebar()
            book.run_all()
            page.wait_for_selector(".cw-steps button", timeout=90_000)
            pictures.settle(page)
            pictures.from_its_head(page)
            film = Film(page)
            calibrate(page, film)
        finally:
            browser.close()
            lab.stop()
    film.save(TARGET)
    size = TARGET.stat().st_size
    seconds = sum(film.milliseconds) / 1000
    print(f"{TARGET.name}: {size / 1e6:.2f} MB, {len(film.frames)} frames, {seconds:.0f} s")
    if size > MOST_BYTES:
        sys.exit(f"{TARGET.name} is larger than {MOST_BYTES / 1e6:.0f} MB.")


if __name__ == "__main__":
    main()
