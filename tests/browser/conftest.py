"""JupyterLab on a free port with folders of its own, and headless Chromium to drive it."""

import contextlib
import itertools
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Error

from workbench.cli.lab import environment as workbench_environment

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "test-artifacts"
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

DRAWN = """(c) => {
  const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  let sum = 0;
  for (let i = 0; i < d.length; i += 4) sum += d[i] + 3 * d[i + 1] + 7 * d[i + 2];
  return sum;
}"""
ALL_DRAWN = f"[...document.querySelectorAll('canvas[data-image]')].map({DRAWN})"
# a page that nobody sees draws no frames
TWO_FRAMES = """new Promise((f) => {
  setTimeout(f, 1000);
  requestAnimationFrame(() => requestAnimationFrame(f));
})"""
PATIENCE = 240.0
"""Seconds until a state counts as never reached, also where the machine has other work to do."""


def pytest_collection_modifyitems(items):
    """Run a failed test of this folder once more: pages and kernels share two cores with other
    tests, and an answer may come late. The summary lists what was run again."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    """A JupyterLab server in a temporary folder; `package` is where kernels find the workbench."""

    def __init__(self, folder: Path, package: Path = ROOT) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        self.environment = workbench_environment()
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR",
                     "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTER_DATA_DIR",
                     "XDG_STATE_HOME"):  # fmt: skip
            path = folder / name.lower()
            path.mkdir()
            self.environment[name] = str(path)
        quiet = folder / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
        quiet.mkdir(parents=True)
        (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
        self.environment["PYTHONPATH"] = os.pathsep.join(
            [str(package), *filter(None, [self.environment.get("PYTHONPATH")])]
        )
        self.extensions = package / "workbench" / "ui" / "static" / "lab"
        for _ in range(5):  # another process may take a port that was free
            self.port = free_port()
            self.start()
            if self.answers():
                return
            self.stop()
        raise RuntimeError((folder / "server.log").read_text()[-3000:])

    def start(self) -> None:
        self.log = (self.folder / "server.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1",
             f"--port={self.port}", "--ServerApp.port_retries=0",
             f"--ServerApp.root_dir={self.work}",
             f"--IdentityProvider.token={self.token}", "--LabApp.expose_app_in_browser=True",
             "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
             f"--LabApp.extra_labextensions_path={self.extensions}",
             "--allow-root"],
            env=self.environment, stdout=self.log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def answers(self) -> bool:
        """Wait for the server; False if it has ended."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                # with the token, so that it is this server and no other
                urllib.request.urlopen(self.url("api/kernels"), timeout=10).close()
                return True
            except OSError:
                time.sleep(0.3)
        return False

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"

    def notebook(self, name: str, *cells: str) -> str:
        """Write a notebook; gives its name."""
        content = {
            "cells": [
                {"cell_type": "code", "id": f"cell-{n}", "execution_count": None, "metadata": {},
                 "outputs": [], "source": cell}
                for n, cell in enumerate(cells)
            ],
            "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python",
                                        "name": "python3"}},
            "nbformat": 4, "nbformat_minor": 5,
        }  # fmt: skip
        (self.work / name).write_text(json.dumps(content))
        return name

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(300)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


class Notebook:
    """One notebook open in the browser."""

    def __init__(self, page, lab: Lab) -> None:
        self.page = page
        self.page.set_default_timeout(1000 * PATIENCE)
        self.lab = lab
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(f"{error}\n{error.stack}"))

    def open(self, name: str) -> "Notebook":
        # a workspace of its own: JupyterLab would bring the tabs of the test before back
        place = f"lab/workspaces/{Path(name).stem}/tree/{name}"
        self.page.goto(self.lab.url(place), wait_until="domcontentloaded")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.wait_connected()
        return self

    def wait_connected(self) -> None:
        self.page.wait_for_function(
            "() => { const w = window.jupyterapp?.shell.currentWidget;"
            " return w?.sessionContext?.session?.kernel?.connectionStatus === 'connected'; }"
        )

    def command(self, name: str, **arguments) -> None:
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, arguments]
        )

    def run_all(self) -> None:
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def kernel(self, code: str) -> str:
        """Run code in the kernel; gives what it prints.

        Afterwards the page has got all messages that widgets had sent by then.
        """
        return self.page.evaluate(
            """async ([code, patience]) => {
              const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
              const future = kernel.requestExecute({ code, store_history: false });
              let out = "";
              future.onIOPub = (m) => {
                if (m.header.msg_type === "stream") out += m.content.text;
                if (m.header.msg_type === "error") out += "ERROR " + m.content.evalue;
              };
              const late = new Promise((_, fail) =>
                setTimeout(() => fail(new Error(`no answer to ${code}`)), 1000 * patience));
              await Promise.race([future.done, late]);
              return out;
            }""",
            [code, PATIENCE],
        ).strip()

    # ---- the workbench in it ---------------------------------------------------------------
    def workbench(
        self, experiment, name, prepare="", width=1440, height=1150, cells=None, refine="none"
    ):
        """Write a notebook on the sample experiment and run it; gives the page.

        Without the joint refinement offsets are found in a tenth of the time.
        """
        sample, calib = experiment
        beam_time = (
            f"dark=54, bright={{}}, psdm_dir={str(sample)!r}, calib_dir={str(calib)!r}, "
            "detz_offset_mm=585.5"
        )
        output = f"output={str(calib.parent / 'out')!r}"
        if refine == "rings":
            made = f"bench = wb.Workbench('cxim1416', {beam_time.format('74')}, {output})\n"
        else:
            made = (
                "from workbench.recipe import AlignmentSettings, Experiment\n"
                f"experiment = Experiment('cxim1416', {beam_time.format('(74,)')})\n"
                f"recipe = wb.Recipe(experiment, alignment=AlignmentSettings(refine={refine!r}))\n"
                f"bench = wb.Workbench(recipe, {output})\n"
            )
        made = f"import workbench as wb\n{made}{prepare}"
        self.lab.notebook(name, made, *(cells or ["bench.show();"]))
        self.page.set_viewport_size({"width": width, "height": height})
        self.open(name).hide_sidebar()
        self.run_all()
        self.page.wait_for_selector(".cw-steps button")
        return self.page

    def until(self, reached, act=None, what: str = "", every: float = 1.0):
        """Wait for a state; `act`, which may be done twice, is repeated until it is reached.

        Parameters
        ----------
        reached : gives something true; an error of the page counts as not yet, also in `act`.
        every : seconds to wait for each act.
        """
        end = time.monotonic() + PATIENCE
        seen: object = None
        while time.monotonic() < end:
            if act is not None:
                with contextlib.suppress(Error):
                    act()
            again = min(end, time.monotonic() + every)
            while True:
                try:
                    seen = reached()
                except Error as error:
                    seen = error
                if seen and not isinstance(seen, Error):
                    return seen
                if time.monotonic() >= again:
                    break
                self.page.wait_for_timeout(100)
        self.screenshot("failed")
        raise AssertionError(
            f"{what or 'the state'} was not reached in {PATIENCE} s; last: {seen!r}"
        )

    def shut_down(self) -> None:
        """End the kernel: each holds a gigabyte."""
        with contextlib.suppress(Error):
            self.page.evaluate(
                "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.shutdown()"
            )

    def step(self, number: int) -> None:
        """Open a panel."""
        button = self.page.locator(".cw-steps button").nth(number - 1)
        button.click()
        self.until(lambda: "cw-here" in (button.get_attribute("class") or ""), what="the panel")

    def wait_text(self, selector: str, text: str, act=None) -> None:
        """Wait for a text that can be seen; what is hidden has its text too."""
        seen = self.page.locator(f"{selector} >> visible=true")

        def found() -> bool:
            return any(text in one for one in seen.all_inner_texts())

        self.until(found, act, f"{text!r} in {selector}")

    def point_at(self, x: float, y: float, text: str) -> str:
        """Point at a place until the read-out has a text; the page may have moved meanwhile."""
        moves = itertools.count()
        status = self.page.locator(".cw-status").first
        self.until(
            lambda: text in status.inner_text(),
            lambda: self.page.mouse.move(x, y + next(moves) % 2),
            what=f"{text!r} in the read-out",
        )
        return status.inner_text()

    def box(self, locator) -> dict[str, float]:
        """Where something is on the screen, once it no longer moves."""
        seen: list[dict[str, float] | None] = []

        def rests() -> bool:
            locator.scroll_into_view_if_needed()
            self.page.evaluate(f"() => {TWO_FRAMES}")
            seen.append(locator.bounding_box())
            return seen[-1] is not None and len(seen) > 2 and all(b == seen[-1] for b in seen[-3:])

        self.until(rests, what="an element at rest", every=PATIENCE)
        return seen[-1]

    def says(self, code: str, answer: str) -> None:
        """Wait until the kernel prints this."""
        self.until(lambda: self.kernel(f"print({code})") == answer, what=f"{code} == {answer}")

    def idle(self, *benches: str) -> None:
        """Wait until the kernel has done what was asked, the page has it, and pictures rest."""
        for bench in benches or ("bench",):
            self.says(f"not {bench}.session.busy and {bench}.view.keeps_up", "True")
        self.still()

    def still(self) -> list[int]:
        """Wait until the pictures rest; gives what is drawn, as `drawn` does for each."""
        seen: list[list[int]] = []

        def rests() -> bool:
            seen.append(
                self.page.evaluate(f"async () => {{ await {TWO_FRAMES}; return {ALL_DRAWN}; }}")
            )
            return bool(seen[-1]) and len(seen) > 3 and all(one == seen[-1] for one in seen[-4:])

        self.until(rests, what="a picture at rest", every=PATIENCE)
        return seen[-1]

    def drawn(self, image: str = "maximum", number: int = 0) -> int:
        """Sum over the pixels of an image as drawn."""
        return self.page.evaluate(
            f"""([name, number]) => {{
              const all = document.querySelectorAll(`canvas[data-image="${{name}}"]`);
              return ({DRAWN})(all[number]);
            }}""",
            [image, number],
        )

    def masked(self, number: int = 0) -> int:
        """Masked pixels by the count in the panel."""
        count = self.page.locator(".cw-count").nth(number)
        found = self.until(
            lambda: re.search(r"Masked ([\d\s\u2009]+) of", count.inner_text()), what="a count"
        )
        return int(re.sub(r"\D", "", found[1]))

    def confirm_and_write(self) -> None:
        """Write the version shown once it is checked; confirm what the checks say if need be."""
        write = self.page.get_by_role("button", name="Write this version")
        confirm = self.page.get_by_label("Deploy although", exact=False)
        self.wait_text(".cw-panel", "Checked: ")
        self.until(lambda: confirm.is_visible() or write.is_enabled(), what="checks that are made")
        if confirm.is_visible():
            confirm.check()
        self.until(write.is_enabled, what="leave to write")
        write.click()

    def screenshot(self, name: str) -> Path:
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        with contextlib.suppress(Error):  # a page too busy to be photographed is no failure
            self.page.screenshot(path=str(path))
        return path

    def theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=name)
        self.page.wait_for_function(
            "(name) => document.body.dataset.jpThemeName === name", arg=name
        )

    def hide_sidebar(self) -> None:
        self.page.evaluate(
            "() => { const s = window.jupyterapp.shell; s.collapseLeft(); s.collapseRight(); }"
        )


@pytest.fixture(scope="session")
def small_sample(made_once):
    """A small sample experiment, written once for all test processes."""
    from workbench.simulate.experiment import write_experiment

    return made_once("browser-sample", partial(write_experiment, events=6, seed=3))


def with_own_calib(small_sample, folder):
    """The folder of the sample, and a copy of its calibration directory to deploy into."""
    calib = folder / "calib"
    shutil.copytree(next(small_sample.glob("CXI/*/calib")), calib, symlinks=True)
    return small_sample, calib


@pytest.fixture
def experiment(small_sample, tmp_path):
    return with_own_calib(small_sample, tmp_path)


@pytest.fixture(scope="module")
def experiment_of_module(small_sample, tmp_path_factory):
    return with_own_calib(small_sample, tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture
def lab_with(tmp_path):
    """Start a server whose kernels find the workbench in a folder."""
    with contextlib.ExitStack() as ends:

        def start(package):
            server = Lab(tmp_path / "lab", package)
            ends.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_FLAGS, timeout=1000 * PATIENCE
        )
        yield program
        program.close()


@pytest.fixture(scope="session")
def context(browser):
    """One for all pages: JupyterLab's scripts are fetched and compiled once."""
    made = browser.new_context(viewport={"width": 1440, "height": 1000})
    yield made
    made.close()


@contextlib.contextmanager
def open_page(context, lab):
    book = Notebook(context.new_page(), lab)
    yield book
    book.shut_down()
    book.page.close()


@pytest.fixture
def notebook(context, lab):
    with open_page(context, lab) as book:
        yield book


@pytest.fixture(scope="module")
def notebook_of_module(context, lab):
    """One page and one kernel for the tests of a module."""
    with open_page(context, lab) as book:
        yield book
