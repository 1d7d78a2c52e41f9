"""The built wheel alone, in an empty folder: the notebook of `workbench lab` runs by itself."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHECKOUT = Path(__file__).parents[2]
CHOOSE = """
import sys
from workbench.cli.lab import choose
dark, bright, psdm, calib = sys.argv[1:]
runs = {"dark": int(dark), "bright": [int(bright)], "psdm_dir": psdm, "calib_dir": calib}
print(choose("cxim1416", runs))
"""


def test_the_wheel_opens_an_experiment_in_jupyterlab(notebook, lab_with, experiment, tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    site = tmp_path / "site"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    lab = notebook.lab = lab_with(site)
    name = subprocess.run(
        [sys.executable, "-P", "-c", CHOOSE, "54", "74", *experiment],
        cwd=lab.work, env=lab.environment, check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    notebook.open(name)
    notebook.page.wait_for_selector(".cw-steps button")
    assert notebook.kernel("print(wb.__file__)") == str(site / "workbench/__init__.py")
    notebook.page.get_by_role("button", name="Compute averages").click()
    notebook.says("bench.session.status('mask').state", "done")
    notebook.step(2)
    notebook.idle()
    assert notebook.masked() > 0
    # a page that is loaded again shows the same workbench
    before = notebook.kernel("print(id(bench))")
    notebook.command("docmanager:save")
    notebook.page.reload()
    notebook.wait_connected()
    notebook.page.wait_for_selector(".cw-steps button")
    assert notebook.kernel("print(id(bench))") == before
    # what comes from elsewhere does not run by itself, whatever it says of itself
    content = json.loads((lab.work / name).read_text())
    content["cells"][1]["source"] += "\nforeign = True"
    (lab.work / "foreign.ipynb").write_text(json.dumps(content))
    notebook.open("foreign.ipynb")
    notebook.page.wait_for_timeout(3000)
    assert notebook.kernel("print('foreign' in globals())") == "False"
    assert notebook.problems == []
