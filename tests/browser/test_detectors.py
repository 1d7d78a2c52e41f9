"""The workbench in JupyterLab on the sample experiments of other detectors."""

import json

import numpy as np
import pytest

import workbench as wb
from workbench.geometry import Geometry
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
    page.wait_for_selector(".cw-steps button")
    page.get_by_role("button", name="Compute averages").click()
    notebook.says("bench.session.status('mask').state", "done")
    notebook.step(2)
    page.locator(".cw-count").first.wait_for()
    notebook.idle()
    notebook.screenshot(f"{name}-1-mask")
    masked = int(notebook.kernel("print(bench.session.mask.masked)"))
    assert masked > 0
    notebook.until(lambda: notebook.masked() == masked, what="the count of the mask")
    notebook.step(3)
    page.get_by_role("button", name="Find offsets").click()
    notebook.says("bench.session.status('alignment').state", "done")
    notebook.idle()
    notebook.screenshot(f"{name}-2-alignment")
    true = np.array(truth["offset_px"])
    maps = page.locator(".cw-maps:not([hidden]) .cw-map-card")
    notebook.until(lambda: maps.count() == len(true), what="a map of each group")
    groups = "[list(map(float, q.offset_px)) for q in bench.session.alignment.quadrants]"
    away = np.array(json.loads(notebook.kernel(f"print({groups})"))) - true
    # where the beam is belongs to the whole detector
    assert np.abs(away - away.mean(axis=0)).max() < 0.1

    store = wb.GeometryStore(made.calib_dir, truth["address"])
    notebook.step(4)
    page.get_by_role("button", name="Deploy…").click()
    notebook.wait_text(".cw-plan", "0-end.data.v1")
    assert not store.link.is_symlink()
    notebook.confirm_and_write()
    notebook.wait_text(".cw-versions", "v1, current")
    notebook.screenshot(f"{name}-3-deployed")
    deployed = store.current().geometry()
    first = Geometry.read(made.folder / "geometry/deployed.data")
    moved = (first.pixel_positions_um() - deployed.pixel_positions_um())[..., :2]
    moved = np.array([moved[group.slice].mean(axis=(0, 1, 2)) for group in first.detector.groups])
    assert np.abs(moved / first.detector.pixel_um - true - away).max() < 0.01
    assert notebook.problems == []
