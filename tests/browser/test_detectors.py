"""The workbench in JupyterLab on the sample experiments of other detectors."""

import json

import pytest

from workbench.simulate.switching import write_switching_experiment

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("name", ["epix10k2m", "jungfrau4m"])
def test_a_detector_that_switches_its_gain_is_calibrated_by_mouse(notebook, tmp_path, name):
    made = write_switching_experiment(tmp_path, name, events=4, seed=5)
    truth = json.loads(made.truth.read_text())
    notebook.lab.notebook(
        f"{name}.ipynb",
        f"import workbench as wb\nbench = wb.Workbench({str(made.recipe)!r}, "
        f"output={str(tmp_path / 'out')!r})\n",
        "bench.session.change('alignment.range_px', 12)\nbench.show();",
    )
    notebook.open(f"{name}.ipynb").hide_sidebar()
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(".cw-steps button", timeout=90_000)
    page.get_by_role("button", name="Compute averages").click()
    notebook.says("bench.session.status('mask').state", "done")
    notebook.step(2)
    page.locator(".cw-count").first.wait_for()
    notebook.idle()
    notebook.screenshot(f"{name}-1-mask")
    assert int(notebook.kernel("print(bench.session.mask.masked)")) == notebook.masked() > 0
    notebook.step(3)
    page.get_by_role("button", name="Find offsets").click()
    notebook.says("bench.session.status('alignment').state", "done")
    notebook.idle()
    notebook.screenshot(f"{name}-2-alignment")
    last = len(truth["offset_px"]) - 1
    assert page.locator(".cw-map-card:not(.cw-absent)").count() == last + 1
    x = float(notebook.kernel(f"print(bench.session.alignment.quadrants[{last}].offset_px[0])"))
    assert x == pytest.approx(truth["offset_px"][last][0], abs=0.2)
