"""The mask panel's table of layers, limits by gain, map of ASICs, files and explanations."""

import dataclasses
import pickle
import re

import numpy as np
import pytest

import workbench as wb
from workbench.detectors import CSPAD
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.mask import FORMATS
from workbench.recipe import mask as layers
from workbench.recipe.rules import LIMITS
from workbench.session import State
from workbench.ui import MaskPanel
from workbench.ui.panels.layers import BEAM_STOP, MASK_FILE, NEW_LAYERS
from workbench.ui.panels.mask import HISTORY
from workbench.ui.widgets.asic_map import asic_map
from workbench.ui.widgets.limit_control import BINS, LimitControl

QUICK = {
    "circle", "grow masked regions", "outliers of the maximum", "rarely has data (occupancy)",
    "cxi", "dials", "of different runs",
}  # fmt: skip
"""Cases of a kind each; the others of their tests are slow."""


def cases(names):
    """Parameters of a test, slow but for those of `QUICK`."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture
def panel(session):
    made = MaskPanel(session)
    session.wait(300)
    return made


def add(panel, *kinds):
    for kind in kinds:
        panel.layers.kind.value = kind
        panel.layers.add.click()
    panel.session.wait(300)


def say(panel, act, layer, value=None):
    panel.layers.table._handle_custom_msg({"act": act, "layer": layer, "value": value}, [])
    panel.session.wait(300)


def row(panel, name):
    return next(one for one in panel.layers.table.rows if one["name"] == name)


def test_the_table_has_the_rules_and_then_the_layers(panel):
    add(panel, "wide columns", "border of each ASIC")
    names = [one["name"] for one in panel.layers.table.rows]
    assert names[:5] == [
        "average ≤ 0", "average > 2000 ADU", "standard deviation ≤ 0",
        "standard deviation > 10 ADU", "maximum < 300 ADU",
    ]  # fmt: skip
    assert names[-2:] == ["wide columns", "border of each ASIC"]
    mask = panel.session.mask
    assert row(panel, "wide columns")["total"] == 2 * 185 * 32
    assert panel.layers.table.rows[-1]["together"] == mask.masked
    assert [one["layer"] for one in panel.layers.table.rows[-3:]] == [-1, 0, 1]


def test_two_parts_of_a_layer_are_counted_as_one(panel):
    add(panel, "unbonded pixels")
    parts = [one.counts for one in panel.session.mask.removals if one.layer == 0]
    assert len(parts) == 2
    assert row(panel, "unbonded pixels")["total"] == sum(one.total for one in parts)
    assert row(panel, "unbonded pixels")["alone"] == sum(one.exclusive for one in parts)


@pytest.mark.parametrize("kind", cases(sorted(NEW_LAYERS.keys() - {BEAM_STOP})))
def test_every_kind_of_layer_can_be_added(panel, session, kind):
    if "occupancy" in kind:
        with pytest.raises(WorkbenchError, match="average the run here"):
            add(panel, kind)
        return
    add(panel, kind)
    (layer,) = session.recipe.mask.layers
    assert layer.name == kind
    assert session.mask.settings.layers == (layer,)
    assert panel.layers.table.selected == panel.view.selected == 0
    assert panel.layers.form.value == layer


def test_a_mask_file_becomes_a_layer(panel, session, tmp_path):
    good = np.ones(CSPAD.shape, bool)
    good[3] = False
    wb.write_mask(wb.Mask.from_good(good), tmp_path / "old.npy")
    assert panel.layers.path.layout.display == "none"
    panel.layers.kind.value = MASK_FILE
    assert panel.layers.path.layout.display == ""
    panel.layers.path.value = str(tmp_path / "old.npy")
    panel.layers.add.click()
    session.wait(300)
    assert not session.mask.good[3].any()
    assert row(panel, "old.npy")["total"] == 185 * 388


def test_a_faulty_mask_file_is_refused_and_becomes_no_layer(panel, session, tmp_path):
    bad = tmp_path / "bad.pickle"
    bad.write_bytes(pickle.dumps(print))
    panel.layers.path.value = str(bad)
    with pytest.raises(WorkbenchError, match="not a DIALS mask"):
        add(panel, MASK_FILE)
    assert "bad.pickle: not a DIALS mask" in panel.message.value
    assert session.recipe.mask.layers == ()
    assert session.status("mask").state == State.DONE


def test_layers_are_switched_named_moved_and_removed_in_the_table(panel, session):
    add(panel, "wide columns", "border of each sensor", "wide columns")
    names = lambda: [layer.name for layer in session.recipe.mask.layers]  # noqa: E731
    assert names() == ["wide columns", "border of each sensor", "wide columns 2"]
    say(panel, "on", 1, False)
    assert not session.recipe.mask.layers[1].on
    assert row(panel, "border of each sensor")["total"] is None
    say(panel, "name", 2, "seam")
    say(panel, "mode", 2, "exclude")
    assert session.recipe.mask.layers[2].mode == "exclude"
    assert row(panel, "seam")["kept"] == 2 * 185 * 32
    say(panel, "move", 2, -1)
    assert names() == ["wide columns", "seam", "border of each sensor"]
    assert panel.layers.table.selected == 1  # it moved with its layer
    say(panel, "remove", 0)
    assert names() == ["seam", "border of each sensor"]
    for _ in range(5):
        session.undo()
    assert names() == ["wide columns", "border of each sensor", "wide columns 2"]
    with pytest.raises(WorkbenchError, match="no layer 9"):
        say(panel, "remove", 8)


def test_a_refused_change_in_the_table_is_told(panel, session):
    add(panel, "grow masked regions")
    assert row(panel, "grow masked regions")["modes"] == ["union"]
    with pytest.raises(WorkbenchError, match="union"):
        say(panel, "mode", 0, "exclude")
    assert "union" in panel.message.value
    assert session.recipe.mask.layers[0].mode == "union"


def test_a_beam_stop_is_fitted_to_its_shadow(session, image_set):
    x, y, _ = np.moveaxis(image_set.geometry.pixel_positions_um() / 1000, -1, 0)
    maximum = np.where(np.hypot(x, y) < 9.0, 1.0, image_set.maximum.data)
    shadowed = dataclasses.replace(image_set.maximum, data=maximum)
    panel = MaskPanel(session)
    with pytest.raises(WorkbenchError, match="No shadow"):
        add(panel, "beam stop")
    session.use_images(dataclasses.replace(image_set, maximum=shadowed))
    add(panel, "beam stop")
    assert session.recipe.mask.layers[0].radius_mm == pytest.approx(9.0, abs=0.7)
    assert row(panel, "beam stop")["total"] > 5000


def test_a_shape_selected_on_the_picture_shows_its_settings(panel):
    add(panel, "circle", "beam-stop arm")
    panel.view.selected = 0
    assert panel.layers.table.selected == 0
    panel.layers.form.controls["radius_mm"].value = 6.5
    assert panel.session.recipe.mask.layers[0].radius_mm == 6.5
    panel.view.selected = -1
    assert panel.layers.form is None


def test_low_gain_has_limits_of_its_own(session, image_set):
    low = np.zeros(CSPAD.shape, bool)
    low[:3] = True
    session.use_images(dataclasses.replace(image_set, low_gain=low))
    panel = MaskPanel(session)
    session.wait(300)
    assert panel.low.widget.layout.display == "none"
    panel.two_gains.value = True
    session.wait(300)
    assert panel.low.widget.layout.display == ""
    assert panel.low.controls["maxproj_min"].pixels == 3 * 185 * 388
    assert panel.high.controls["maxproj_min"].pixels == 29 * 185 * 388
    panel.low.controls["maxproj_min"].value = 5000.0
    session.wait(300)
    assert session.recipe.mask.low_gain.maxproj_min == 5000
    assert session.recipe.mask.thresholds.maxproj_min == 300
    assert not session.mask.good[:3].any()
    assert session.mask.good[5].any()
    assert panel.view.two_gains
    assert "20\u202f% lower: " in panel.low.controls["maxproj_min"].note
    panel.show_suggestions()
    assert len(panel.suggestions.children) == 2 * len(LIMITS)
    panel.two_gains.value = False
    session.wait(300)
    assert session.recipe.mask.low_gain is None
    assert session.mask.good[:3].any()


def test_without_a_gain_map_low_gain_is_refused(panel, session):
    panel.two_gains.value = True
    assert "gain map" in panel.message.value
    assert not panel.two_gains.value
    assert session.recipe.mask.low_gain is None
    with pytest.raises(WorkbenchError):
        session.wait(300)


def test_a_refused_limit_is_told_and_not_shown(panel, session):
    panel.limits["avg_max"].value = -1.0
    assert "avg_max is -1.0" in panel.message.value
    assert panel.limits["avg_max"].value == 2000.0
    assert session.recipe.mask.thresholds.avg_max == 2000.0
    with pytest.raises(WorkbenchError):
        session.wait(300)


def test_each_limit_says_what_it_removes_and_how_sensitive_it_is(panel, session):
    removed = session.mask.counts["maximum_low"].total
    note = panel.limits["maxproj_min"].note
    assert f"Removes {removed:,}".replace(",", "\u202f") in note
    assert "20\u202f% lower: " in note
    assert "20\u202f% higher: " in note


@pytest.mark.parametrize("masks", ["above", "below"])
def test_the_curve_over_a_histogram_counts_pixels(masks):
    values = np.random.default_rng(3).normal(500, 300, 20_000).astype(np.float32)
    values[:7] = np.nan
    control = LimitControl(masks=masks, max=1000.0, value=300.0)
    control.set_image(values)
    edges = np.linspace(*control.counts_range, BINS + 1)
    for place in (0, 40, 160, BINS):
        good = values >= edges[place]
        if masks == "above":
            good = (values > 0) & (values < edges[place])
        assert control.removed[place] == pytest.approx(np.count_nonzero(~good), abs=3)
    assert control.pixels == values.size
    control.set_image(None)
    assert control.removed == []


def test_the_curves_are_drawn_when_they_are_opened(panel, session):
    assert panel.curves.figure.axes == []
    panel.details.selected_index = 0
    session.wait(300)
    titles = [axes.get_title().split("\n")[0] for axes in panel.curves.figure.axes]
    assert titles[:3] == ["average", "standard deviation", "maximum"]


def test_a_history_needs_runs_and_a_pixel(panel, session):
    panel.details.selected_index = HISTORY
    assert "Click a pixel" in panel.history.text.value
    panel.view._received(None, {"type": "pick", "flat": 4000}, None)
    session.wait(300)
    assert "Image files hold no events" in panel.history.text.value


def test_a_dead_asic_is_seen_at_once():
    fraction = np.full((4, 8, 2), 0.003)
    fraction[1, 3, 1], fraction[2, 0, 0] = 1.0, 0.4
    text = asic_map(CSPAD, fraction, Geometry.ideal().pixel_positions_um())
    assert text.count("<polygon") == 64
    dead = re.findall(r'fill="#000000".*?<title>(.*?)</title>', text)
    assert dead == ["Q1S3A1: 100.00 % masked"]
    assert "1 of 64 ASICs masked" in text
    assert "to dark 40\u202f%" in text


def test_a_picked_pixel_is_explained_and_follows_the_mask(panel, session):
    flat = 5 * 185 * 388 + 60 * 388 + 70
    panel.view._handle_custom_msg({"type": "pick", "flat": flat}, [])
    assert panel.picked.value.endswith("good</div>")
    add(panel, "quadrant, sensor or ASIC")
    panel.layers.form.controls["parts"].value = "Q0S5"
    session.wait(300)
    assert "masked: layer 1 “quadrant, sensor or ASIC”" in panel.picked.value


@pytest.mark.parametrize("name", cases(FORMATS))
def test_the_mask_is_saved_in_any_format(panel, session, tmp_path, name):
    session.change("output.folder", str(tmp_path))
    session.wait(300)
    panel.file.value = "mask.txt" if "psana" in name else "mask.edf"
    panel.format.value = name
    panel.save.click()
    assert panel.message.value == ""
    again = wb.read_mask(tmp_path / panel.file.value, format=name)
    np.testing.assert_array_equal(again.good, session.mask.good)
    assert "written to" in panel.saved.value


def test_a_file_of_no_known_kind_is_refused(panel, session, tmp_path):
    session.change("output.folder", str(tmp_path))
    session.wait(300)
    panel.file.value = "mask.what"
    panel.save.click()
    assert "ending" in panel.message.value
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(WorkbenchError):
        session.wait(300)


def test_other_images_make_another_mask_with_the_same_layers(panel, session, image_set):
    """Shapes are in the lab: a moved quadrant has other pixels under them."""
    add(panel, "circle")
    before = session.mask.good
    moved = image_set.geometry.move_quadrants(np.full((4, 2), 30.0))
    session.use_images(dataclasses.replace(image_set, geometry=moved))
    session.wait(300)
    (layer,) = session.recipe.mask.layers
    assert isinstance(layer, layers.CircleLayer)
    assert not np.array_equal(session.mask.good, before)
    xy = moved.pixel_positions_um()[..., :2] / 1000
    inside = np.hypot(xy[..., 0], xy[..., 1]) <= layer.radius_mm
    assert not session.mask.good[inside].any()


def with_run(image, number, **changed):
    return image.replace(provenance={"run": {"experiment": "cxim1416", "run": number}}, **changed)


IMPLAUSIBLE = {
    "limit: hot” removes 69": lambda s: {"average": s.average.replace(data=s.average.data + 810)},
    "are not above 0": lambda s: {"average": s.average.replace(data=s.average.data - 1200)},
    "dark and bright seem swapped": lambda s: {
        "stddev": s.stddev.replace(data=np.where(CSPAD.unbonded_pixels(), 4.0, 40.0)),
        "maximum": s.maximum.replace(data=s.average.data + 12),
    },
    "are the two swapped": lambda s: {"average": s.stddev, "stddev": s.average},
    "says it is a maximum": lambda s: {"average": s.average.replace(kind="maximum")},
    "of different runs": lambda s: {
        "average": with_run(s.average, 54), "stddev": with_run(s.stddev, 55),
    },
    "of the dark run itself": lambda s: {
        name: with_run(getattr(s, name), 54) for name in ("average", "stddev", "maximum")
    },
    "different geometries": lambda s: {
        "maximum": s.maximum.replace(geometry=s.geometry.move_quadrants(np.full((4, 2), 3.0)))
    },
}  # fmt: skip


@pytest.mark.parametrize("words", cases(IMPLAUSIBLE))
def test_what_is_implausible_is_seen_in_the_panel(panel, session, image_set, words):
    assert words not in panel.warnings.value
    session.use_images(dataclasses.replace(image_set, **IMPLAUSIBLE[words](image_set)))
    session.wait(300)
    assert "cw-warning" in panel.warnings.value
    assert words in panel.warnings.value
    session.use_images(image_set)
    session.wait(300)
    assert words not in panel.warnings.value
