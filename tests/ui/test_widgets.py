"""Widgets on their own: what they send to the browser, and what they do with what comes back."""

import numpy as np

from workbench.ui.widgets.app_root import AppRoot
from workbench.ui.widgets.limit_control import LimitControl


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
