"""How the live mask follows the mouse: updates per second and latency in real Chromium.

Three detector images at full resolution (of a CSPAD 2.3 million pixels each, of a Jungfrau 4M 4.2
million) in JupyterLab; the maxproj-min slider is dragged back and forth by trusted mouse events at
the rate of a screen (60 a second, sent on time whether or not the browser keeps up). An update is a
limit whose picture differs from the one before. Its latency runs from the mouse event (as the
browser stamps it) to the first task after the frame with the changed pixels was painted. Headless
Chromium draws in software here.

A second drag counts what travels between browser and kernel.

Run: ``python benchmarks/ui_latency.py [--detector "Jungfrau 4M"] [--seconds 6] [--scale 1]``
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import websocket  # comes with JupyterLab's server

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))

CELL = """
import numpy as np
import workbench as wb
from workbench.detectors import find
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.pipeline import ImageSet
from workbench.ui import MaskPanel, Session
rng = np.random.default_rng(1)
detector = find({detector!r})
g = Geometry.ideal(detector)
def image(data): return DetectorImage(data, geometry=g, distance_mm=121.0, wavelength_angstrom=1.3)
s = detector.shape
session = Session()
session.use_images(ImageSet(average=image(rng.normal(1200, 40, s)),
    stddev=image(rng.gamma(20, 0.2, s)), maximum=image(rng.gamma(4, 150, s)), geometry=g))
session.wait()
panel = MaskPanel(session)
session.wait()
panel
"""
# A pointermove is followed by the slider's input event (a value), that by a frame with this value.
WATCH = """
() => {
  const seen = window.cwSeen = { moves: 0, values: {}, drawn: [] };
  const view = document.querySelector(".cw-view");
  const canvas = document.querySelector('canvas[data-image="maximum"]');
  const c = canvas.getContext("2d");
  const slider = document.querySelectorAll(".cw-limit input[type=range]")[2];
  let pointer = 0;
  const moved = (e) => { if (e.buttons) { seen.moves++; pointer = e.timeStamp; } };
  addEventListener("pointermove", moved, true);
  slider.addEventListener(
    "input", () => { seen.values[String(Number(slider.value))] = pointer; }, true);
  const sum = () => {
    const d = c.getImageData(canvas.width >> 1, canvas.height >> 2, 64, 64).data;
    let s = 0;
    for (let i = 0; i < d.length; i += 4) s = (s * 31 + d[i] + 3 * d[i + 1]) | 0;
    return s;
  };
  let last = sum();
  new MutationObserver(() => { // runs within the frame's callback, before it is painted
    const now = sum();
    if (now === last) return;
    last = now;
    const limit = String(Number(view.dataset.limits.split(" ")[2]));
    const one = { limit, mouse: seen.values[limit], drawn: performance.now() };
    seen.drawn.push(one);
    const after = new MessageChannel();
    after.port1.onmessage = () => { one.painted = performance.now(); };
    after.port2.postMessage(0);
  }).observe(view, { attributes: true, attributeFilter: ["data-frame"] });
}
"""


class Mouse:
    """Sends mouse moves at a steady rate through Chromium's debugging port, never waiting."""

    def __init__(self, port: int) -> None:
        pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
        page = next(one for one in pages if one["type"] == "page" and "/lab" in one["url"])
        self.socket = websocket.create_connection(
            page["webSocketDebuggerUrl"], suppress_origin=True, timeout=30
        )
        self.numbers = itertools.count(1)
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        try:
            while self.socket.recv():
                pass
        except (OSError, websocket.WebSocketException):
            return

    def drag(self, low: float, high: float, y: float, seconds: float, rate: float) -> int:
        """Move between `low` and `high` (there or back in 80 moves); gives how many were sent."""
        begun = time.perf_counter()
        total = int(seconds * rate)
        for number in range(total):
            time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            part = abs((number / 80) % 2 - 1)
            command = {
                "id": next(self.numbers),
                "method": "Input.dispatchMouseEvent",
                "params": {"type": "mouseMoved", "x": high + part * (low - high), "y": y,
                           "button": "left", "buttons": 1},
            }  # fmt: skip
            self.socket.send(json.dumps(command))
        return total


def measure(
    detector: str, seconds: float, scale: float, width: int, rate: float
) -> dict[str, float]:
    """Drag for some seconds; gives updates per second, latencies in ms and traffic."""
    from conftest import CHROMIUM_FLAGS, Lab, Notebook, free_port
    from playwright.sync_api import sync_playwright

    lab = Lab(Path(tempfile.mkdtemp()))
    port = free_port()
    try:
        name = lab.notebook("latency.ipynb", CELL.format(detector=detector))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium",
                args=[*CHROMIUM_FLAGS, f"--remote-debugging-port={port}"],
            )
            page = browser.new_context(
                viewport={"width": width, "height": 1100}, device_scale_factor=scale
            ).new_page()
            notebook = Notebook(page, lab).open(name)
            notebook.hide_sidebar()
            notebook.run_all()
            page.wait_for_function(
                "() => document.querySelector('.cw-view')?.dataset.limits"
                " && document.querySelectorAll('.cw-limit').length >= 3",
                timeout=90_000,
            )
            slider = page.locator(".cw-limit input[type=range]").nth(2)
            slider.scroll_into_view_if_needed()
            page.wait_for_timeout(3000)
            page.evaluate(WATCH)
            box = slider.bounding_box()
            assert box is not None
            left, length, y = box["x"] + 8, box["width"] - 16, box["y"] + box["height"] / 2
            top = float(slider.get_attribute("max") or 0)
            page.mouse.move(left + float(slider.input_value()) / top * length, y)
            page.mouse.down()
            # between these limits each step changes the picture
            low, high = left + 0.03 * length, left + 0.15 * length
            mouse = Mouse(port)
            sent = mouse.drag(low, high, y, seconds, rate)
            page.wait_for_timeout(1500)
            seen: dict[str, Any] = page.evaluate("() => window.cwSeen")
            traffic: dict[str, list[int]] = {"to kernel": [], "to browser": []}
            traffic_seconds, moves = 3.0, int(page.evaluate("() => window.cwSeen.moves"))
            watched = count_traffic(page, traffic)
            mouse.drag(low, high, y, traffic_seconds, rate)
            page.mouse.up()
            page.wait_for_timeout(1500)
            watched()
            moves = int(page.evaluate("() => window.cwSeen.moves")) - moves
            shown = page.evaluate(
                "() => [document.querySelector('.cw-view').dataset.limits.split(' ')[2],"
                " document.querySelectorAll('.cw-limit input[type=range]')[2].value]"
            )
            kernel = notebook.kernel("print(session.recipe.mask.thresholds.maxproj_min)")
            browser.close()
    finally:
        lab.stop()
    drawn = [one for one in seen["drawn"] if one["mouse"] is not None and "painted" in one]
    span = (drawn[-1]["drawn"] - drawn[0]["drawn"]) / 1000
    latency = [one["painted"] - one["mouse"] for one in drawn]
    return {
        "updates/s": len(drawn) / span,
        "median ms": statistics.median(latency),
        "p95 ms": statistics.quantiles(latency, n=20)[-1],
        "until drawn, median ms": statistics.median(one["drawn"] - one["mouse"] for one in drawn),
        "mouse events sent/s": sent / seconds,
        "mouse events seen/s": seen["moves"] / seconds,
        "bytes to kernel/move": sum(traffic["to kernel"]) / moves,
        "bytes to browser/move": sum(traffic["to browser"]) / moves,
        "last value shown": float(float(shown[0]) == float(shown[1]) == float(kernel)),
    }


def count_traffic(page: Any, traffic: dict[str, list[int]]) -> Any:
    """Count bytes of the page's web sockets from now on; gives what ends that."""
    session = page.context.new_cdp_session(page)

    def count(kind: str) -> Any:
        def add(event: dict[str, Any]) -> None:
            payload = event["response"]["payloadData"]  # binary frames come as base64
            binary = event["response"]["opcode"] == 2
            traffic[kind].append(len(payload) * 3 // 4 if binary else len(payload))

        return add

    session.on("Network.webSocketFrameSent", count("to kernel"))
    session.on("Network.webSocketFrameReceived", count("to browser"))
    session.send("Network.enable")
    return session.detach


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default="CSPAD", help="its name (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--scale", type=float, default=1.0, help="device pixel ratio")
    parser.add_argument("--width", type=int, default=1440, help="of the window, CSS pixels")
    parser.add_argument("--rate", type=float, default=60.0, help="mouse events a second")
    args = parser.parse_args()
    found = measure(args.detector, args.seconds, args.scale, args.width, args.rate)
    print("target: >= 25 updates/s, p95 <= 80 ms from mouse to changed pixels")
    for name, value in found.items():
        print(f"{name:24} {value:8.1f}")


if __name__ == "__main__":
    main()
