"""How the live mask follows the mouse: updates per second and latency in real Chromium.

Three detector images at full resolution (2.3 million pixels each) in JupyterLab, the maxproj-min
slider dragged with a real mouse. An update is a slider value that became visible; its latency runs
from the mouse event to the canvas with changed pixels. Headless Chromium draws in software here.

Run: ``python benchmarks/ui_latency.py [--seconds 6] [--scale 1]``
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))

CELL = """
import numpy as np
import workbench as wb
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.pipeline import ImageSet
from workbench.ui import MaskPanel, Session
rng = np.random.default_rng(1)
g = Geometry.ideal()
def image(data): return DetectorImage(data, geometry=g, distance_mm=121.0, wavelength_angstrom=1.3)
s = (32, 185, 388)
session = Session()
session.use_images(ImageSet(average=image(rng.normal(1200, 40, s)),
    stddev=image(rng.gamma(20, 0.2, s)), maximum=image(rng.gamma(4, 150, s)), geometry=g))
session.wait()
panel = MaskPanel(session)
session.wait()
panel
"""
WATCH = """
() => {
  const seen = window.cwSeen = { moves: [], drawn: [] };
  addEventListener("pointermove", (e) => { if (e.buttons) seen.moves.push([e.timeStamp]); }, true);
  const view = document.querySelector(".cw-view");
  const canvas = document.querySelector('canvas[data-image="maximum"]');
  const c = canvas.getContext("2d", { willReadFrequently: true });
  const slider = document.querySelectorAll(".cw-limit input[type=range]")[2];
  slider.addEventListener("input", (e) => seen.moves.push([performance.now(), slider.value]), true);
  const sum = () => {
    const d = c.getImageData(canvas.width >> 1, canvas.height >> 2, 64, 64).data;
    let s = 0;
    for (let i = 0; i < d.length; i += 4) s = (s * 31 + d[i] + 3 * d[i + 1]) | 0;
    return s;
  };
  let last = sum();
  new MutationObserver(() => {
    const now = sum();
    if (now !== last) {
      last = now;
      seen.drawn.push([performance.now(), view.dataset.limits.split(" ")[2]]);
    }
  }).observe(view, { attributes: true, attributeFilter: ["data-frame"] });
}
"""


def measure(seconds: float, scale: float) -> dict[str, float]:
    """Drag for some seconds; gives updates per second and latencies in ms."""
    from conftest import CHROMIUM_FLAGS, Lab, Notebook
    from playwright.sync_api import sync_playwright

    lab = Lab(Path(tempfile.mkdtemp()))
    try:
        name = lab.notebook("latency.ipynb", CELL)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS
            )
            page = browser.new_context(
                viewport={"width": 1440, "height": 1100}, device_scale_factor=scale
            ).new_page()
            notebook = Notebook(page, lab).open(name)
            notebook.hide_sidebar()
            notebook.run_all()
            page.wait_for_function(
                "() => document.querySelector('.cw-view')?.dataset.limits"
                " && document.querySelectorAll('.cw-limit').length === 3",
                timeout=90_000,
            )
            page.locator(".cw-limit").nth(2).scroll_into_view_if_needed()
            page.wait_for_timeout(3000)
            page.evaluate(WATCH)
            box = page.locator(".cw-limit input[type=range]").nth(2).bounding_box()
            assert box is not None
            left, width, y = box["x"] + 8, box["width"] - 16, box["y"] + box["height"] / 2
            value = float(page.locator(".cw-limit input[type=range]").nth(2).input_value())
            top = float(page.locator(".cw-limit input[type=range]").nth(2).get_attribute("max"))
            start = value / top
            page.mouse.move(left + start * width, y)
            page.mouse.down()
            begun = page.evaluate("() => performance.now()")
            legs = 0
            # between these limits each step changes the picture
            low, high = left + 0.03 * width, left + 0.15 * width
            while page.evaluate("() => performance.now()") < begun + 1000 * seconds:
                legs += 1  # whole legs: the driver sends their events without a round trip each
                page.mouse.move(high if legs % 2 else low, y, steps=80)
            page.mouse.up()
            page.wait_for_timeout(1500)
            seen = page.evaluate("() => window.cwSeen")
            settled = page.evaluate(
                "() => [document.querySelector('.cw-view').dataset.limits.split(' ')[2],"
                " document.querySelectorAll('.cw-limit input[type=range]')[2].value]"
            )
            kernel = notebook.kernel("print(session.recipe.mask.thresholds.maxproj_min)")
            browser.close()
    finally:
        lab.stop()
    # the mouse event that set a value: the last pointer event before the value's input event
    times: dict[str, float] = {}
    pointer = begun
    latencies = []
    drawn = iter(seen["drawn"])
    events = sorted(
        [(m[0], "move", m[1] if len(m) > 1 else None) for m in seen["moves"]]
        + [(d[0], "drawn", d[1]) for d in drawn]
    )
    for when, kind, what in events:
        if kind == "move" and what is None:
            pointer = when
        elif kind == "move":
            times[str(float(what))] = pointer
        elif str(float(what)) in times:
            latencies.append(when - times.pop(str(float(what))))
    span = (seen["drawn"][-1][0] - seen["drawn"][0][0]) / 1000
    return {
        "updates/s": len(seen["drawn"]) / span,
        "median ms": statistics.median(latencies),
        "p95 ms": statistics.quantiles(latencies, n=20)[-1],
        "moves/s": 80 * legs / ((seen["moves"][-1][0] - begun) / 1000),
        "last value shown": float(float(settled[0]) == float(settled[1]) == float(kernel)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--scale", type=float, default=1.0, help="device pixel ratio")
    args = parser.parse_args()
    found = measure(args.seconds, args.scale)
    print("target: >= 25 updates/s, p95 <= 80 ms from mouse to changed pixels")
    for name, value in found.items():
        print(f"{name:18} {value:8.1f}")


if __name__ == "__main__":
    main()
