"""Constants for psana: nothing is written before it was looked at, and nothing is replaced."""

import numpy as np
import pytest

from workbench import pipeline
from workbench.constants import read_constants
from workbench.errors import ConstantsError
from workbench.session import Session

ADDRESS = "CxiDs1.0:Cspad.0"


@pytest.fixture
def session(experiment, tmp_path):
    recipe = pipeline.load_recipe(experiment.recipe)
    recipe = recipe.changed("output.folder", str(tmp_path / "out"))
    made = Session(recipe.changed("experiment.bright", (74,)))
    made.compute_images()
    made.wait(300)
    return made


def test_constants_are_planned_then_written_as_psana_reads_them(session):
    store = session.store.open()
    before = sorted(store.calib_dir.rglob("*"))
    plan = session.constants.plan(store, 54, 60)
    assert sorted(store.calib_dir.rglob("*")) == before
    assert sorted(plan.paths) == ["pedestals", "pixel_mask", "pixel_rms", "pixel_status"]
    assert {path.name for path in plan.paths.values()} == {"54-60.data"}
    assert "dark run 54, 12 events" in plan.facts[0]

    written = session.deploy_constants("a comment", previewed=plan)
    assert written == dict(plan.paths)
    of = {kind: read_constants(store.calib_dir, ADDRESS, kind, 57) for kind in plan.paths}
    np.testing.assert_allclose(of["pedestals"], session.images.dark.average, atol=1e-3)
    np.testing.assert_array_equal(of["pixel_mask"], session.mask.good)
    assert "a comment" in (plan.paths["pixel_mask"].parent / "HISTORY").read_text()

    with pytest.raises(ConstantsError, match="is deployed already"):
        session.constants.plan(store, 54, 60)
    with pytest.raises(ConstantsError, match="is deployed already"):
        session.deploy_constants("again", previewed=plan)
    with pytest.raises(ConstantsError, match="Run 3 is before run 54"):
        session.constants.plan(store, 54, 3)
    with pytest.raises(ConstantsError, match="Choose the constants"):
        session.constants.plan(store, 61, dark=False, mask=False)


def test_without_averages_there_is_nothing_to_deploy():
    assert "compute the averages first" in Session().constants.why_not()
