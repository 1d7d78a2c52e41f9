"""Widgets on their own: what they send to the browser, and what they do with what comes back."""

import numpy as np

from workbench.alignment import Alignment, QuadrantAlignment
from workbench.detectors import JUNGFRAU_4M
from workbench.geometry import Geometry
from workbench.recipe import AlignmentSettings
from workbench.ui.widgets.app_root import AppRoot
from workbench.ui.widgets.limit_control import LimitControl
from workbench.ui.widgets.maps_view import MapsView


def test_a_limit_knows_the_range_of_its_image():
    control = LimitControl(max=1000.0, value=300.0)
    assert control.highest is None
    control.set_image(np.linspace(0, 4000, 100_001))
    assert control.highest == 4000
    assert control.max == control.usual_max >= 1.3 * 3980
    control.set_image(None)
    assert control.highest is None


def test_the_slider_reaches_a_limit_beyond_the_usual_and_no_farther_afterwards():
    control = LimitControl(max=1000.0, value=50_000.0)
    control.set_image(np.full(100, 500.0))
    assert (control.usual_max, control.max) == (1000.0, 50_000.0)
    control.value = 400.0
    control.set_image(np.full(100, 500.0))
    assert control.max == 1000.0


def test_undo_and_redo_by_keys_are_those_of_the_workbench():
    done = []
    root = AppRoot(lambda: done.append("undo"), lambda: done.append("redo"))
    for kind in ("undo", "redo", "something else"):
        root._handle_custom_msg({"type": kind}, [])
    assert done == ["undo", "redo"]


def test_each_module_of_a_jungfrau_has_its_map():
    trials = np.arange(-2.0, 3.0)
    module = QuadrantAlignment(
        quadrant=0, offset_px=np.zeros(2), covariance_px2=np.eye(2), cc=0.5, map=np.eye(5),
        trials_px=trials, peak_px=np.zeros(2), pairs=9, verdict="good", accepted=True,
    )  # fmt: skip
    geometry = Geometry.ideal(JUNGFRAU_4M)
    maps = MapsView()
    maps.show(Alignment((module,) * 8, geometry, "quadrant", AlignmentSettings()))
    assert maps.groups == [f"M{number}" for number in range(8)]
    assert [entry["title"].split()[0] for entry in maps.maps] == maps.groups
