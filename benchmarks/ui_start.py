"""How soon a workbench is visible after its cell is run, in JupyterLab and real Chromium.

Each time a fresh kernel runs a cell that imports the package, makes a workbench of a sample
experiment and shows it. The time runs from the command to the frame in which the buttons of the
five panels stand. Modules come from their bytecode, as in every kernel but the first.

    python benchmarks/ui_start.py [--repeats 5]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import OtherPrograms, machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))

CELL = """
import time
begun, steps = time.time(), [time.process_time()]
import workbench as wb
wb.Workbench
steps.append(time.process_time())
bench = wb.Workbench("cxim1416", dark=54, bright=74, psdm_dir={sample!r}, output={output!r})
steps.append(time.process_time())
bench.show()
steps.append(time.process_time())
shown = time.time()
"""
WATCH = """() => {
  window.cwSeen = 0;
  const look = () => {
    const button = document.querySelector(".cw-steps button");
    if (button?.offsetParent) requestAnimationFrame(() => { window.cwSeen = Date.now() / 1000; });
    else setTimeout(look, 10);
  };
  look();
}"""
RUN = """() => {
  const begun = Date.now() / 1000;
  window.jupyterapp.commands.execute("notebook:run-all-cells");
  return begun;
}"""


def start(context: Any, lab: Any, name: str) -> list[float]:
    """Seconds until visible, of the kernel until all was sent, and processor time of its steps."""
    from conftest import Notebook

    page = context.new_page()
    notebook = Notebook(page, lab).open(name)
    notebook.hide_sidebar()
    page.wait_for_timeout(2000)
    page.evaluate(WATCH)
    begun = page.evaluate(RUN)
    page.wait_for_function("() => window.cwSeen > 0")
    seen = page.evaluate("() => window.cwSeen")
    shown, *steps = json.loads(notebook.kernel("import json; print(json.dumps([shown, *steps]))"))
    notebook.shut_down()
    page.close()
    processor = [after - before for before, after in itertools.pairwise(steps)]
    return [seen - begun, shown - begun, *processor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    from conftest import CHROMIUM_FLAGS, Lab
    from playwright.sync_api import sync_playwright

    from workbench.simulate.experiment import write_experiment

    print(machine())
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        write_experiment(folder / "sample", events=4)
        lab = Lab(folder / "lab")
        try:
            cell = CELL.format(sample=str(folder / "sample"), output=str(folder / "out"))
            name = lab.notebook("start.ipynb", cell)
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS
            )
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            others, starts = OtherPrograms(), []
            for _ in range(args.repeats + 1):
                # what the last one remembers would be offered
                shutil.rmtree(lab.folder / "xdg_state_home", ignore_errors=True)
                starts.append(start(context, lab, name))
            browser.close()
        finally:
            lab.stop()
    titles = ("visible", "all sent", "CPU: import", "CPU: make", "CPU: show")
    for title, values in zip(titles, zip(*starts[1:], strict=True), strict=True):
        print(f"{title:14} median {statistics.median(values):5.2f} s,", end=" ")
        print(f"{min(values):.2f} to {max(values):.2f}")
    print(f"\n{others}")  # the browser and the kernels have ended: they are no others


if __name__ == "__main__":
    main()
