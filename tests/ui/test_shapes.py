"""Shapes on the pictures: drawn, moved, removed; and what the view is told of layers."""

import numpy as np
import pytest

from workbench.detectors import CSPAD
from workbench.errors import WorkbenchError
from workbench.mask import MaskEvaluator
from workbench.recipe import MaskSettings, Thresholds
from workbench.recipe import mask as layers
from workbench.ui import MaskPanel
from workbench.ui.bridge import drawn_by_kernel
from workbench.ui.layer_bits import layer_bits
from workbench.ui.widgets.image_view import KEPT, LOW_GAIN, REASONS
from workbench.ui.widgets.shapes import outlines, reshaped, shape_layer

SHAPES = (
    layers.RectangleLayer("r", x_mm=(-1.0, 2.0), y_mm=(3.0, 4.0)),
    layers.CircleLayer("c", mode="exclude", centre_mm=(1.0, 2.0), radius_mm=3.0),
    layers.PolygonLayer("p", points_mm=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))),
    layers.LineLayer("l", start_mm=(0.0, 0.0), end_mm=(0.0, 9.0), width_mm=0.5),
)


@pytest.mark.parametrize("layer", SHAPES, ids=lambda layer: layer.kind)
def test_the_points_of_a_shape_give_the_shape_again(layer):
    (shape,) = outlines([layers.WideLayer(on=False), layer])[-1:]
    assert (shape["layer"], shape["name"], shape["mode"]) == (1, layer.name, layer.mode)
    assert reshaped(layer, shape["points"]) == layer
    moved = reshaped(layer, [[x + 5, y - 1] for x, y in shape["points"]])
    back = reshaped(moved, [[x - 5, y + 1] for x, y in outlines([moved])[0]["points"]])
    assert moved != layer
    assert back == layer


def test_shapes_that_are_off_are_not_drawn():
    assert outlines([layers.CircleLayer(on=False), layers.WideLayer()]) == []


def test_drawn_shapes_have_names_of_their_own():
    present = []
    for _ in range(3):
        present.append(shape_layer("circle", [[0, 0], [1, 0]], present))
    assert [one.name for one in present] == ["drawn circle", "drawn circle 2", "drawn circle 3"]


@pytest.mark.parametrize(
    ("kind", "points"),
    [("rectangle", [[0, 0], [0, 5]]), ("circle", [[1, 1], [1, 1]]), ("polygon", [[0, 0], [1, 1]]),
     ("circle", [[0, 0]]), ("line", [[2, 2], [2, 2]]), ("star", [[0, 0], [1, 1]])],
)  # fmt: skip
def test_shapes_that_enclose_nothing_are_refused(kind, points):
    with pytest.raises(WorkbenchError):
        shape_layer(kind, points)


def test_what_is_no_shape_cannot_be_moved():
    with pytest.raises(WorkbenchError, match="no shape"):
        reshaped(layers.WideLayer(), [[0, 0], [1, 1]])


def test_a_shape_is_drawn_moved_and_removed_on_the_picture(session):
    view = MaskPanel(session).view

    def say(**message):
        view._handle_custom_msg(message, [])
        session.wait(300)
        return session.recipe.mask.layers

    (line,) = say(type="shape", kind="line", points=[[0, 0], [0, 40]])
    assert (line.end_mm, line.width_mm) == ((0, 40), 2)
    assert view.selected == 0
    masked = session.mask.masked
    (moved,) = say(type="reshape", layer=0, points=[[0, 0], [0, 80]])
    assert moved.end_mm == (0, 80)
    assert session.mask.masked > masked
    assert say(type="remove", layer=0) == ()
    assert view.selected == -1
    session.undo()
    assert session.recipe.mask.layers == (moved,)
    with pytest.raises(WorkbenchError, match="no layer 8"):
        say(type="reshape", layer=7, points=[[0, 0], [0, 1]])


def engine(**known):
    return MaskEvaluator(*(np.ones(CSPAD.shape) for _ in range(3)), **known)


def test_the_view_is_told_each_layer_by_name():
    settings = MaskSettings(
        Thresholds(maxproj_min=0),
        layers=(layers.PartLayer("a", parts=("Q0",)), layers.PartLayer("b", parts=("Q0S1",))),
    )
    told = layer_bits(engine().mask(settings))
    assert told.names == ["layer 1 “a”", "layer 2 “b”"]
    assert np.unique(told.bits[1]) == [3]
    assert np.unique(told.bits[0]) == [1]
    assert not told.bits[8:].any()
    assert told.spared is None
    assert layer_bits(engine().mask(MaskSettings())).bits is None


def test_more_layers_than_bits_share_the_last():
    many = tuple(layers.PartLayer(str(n), parts=(f"Q{n % 4}S{n // 4}",)) for n in range(30))
    told = layer_bits(engine().mask(MaskSettings(Thresholds(maxproj_min=0), layers=many)))
    assert len(told.names) == REASONS
    assert told.names[-1] == "further layers"
    for n in range(30):
        where = told.bits[8 * (n % 4) + n // 4]
        assert np.unique(where) == [1 << min(n, REASONS - 1)]


def test_kept_pixels_tell_what_would_mask_them_and_who_keeps_them():
    settings = MaskSettings(
        layers=(
            layers.PartLayer("broken", parts=("Q1",)),
            layers.PartLayer("trusted", mode="exclude", parts=("Q1S2", "Q2S0")),
            layers.PartLayer("trusted too", mode="exclude", parts=("Q2",)),
        )
    )
    told = layer_bits(engine().mask(settings))  # all pixels are below maxproj_min
    assert told.keepers == ["layer 2 “trusted”", "layer 3 “trusted too”"]
    assert np.unique(told.bits[10]) == [KEPT]
    assert np.unique(told.spared[10]) == [1 << 24 | 1]
    assert np.unique(told.bits[9]) == [1]
    assert np.unique(told.spared[16]) == [1 << 24]
    assert np.unique(told.spared[17]) == [2 << 24]
    assert not told.spared[0].any()


def test_low_gain_pixels_with_limits_of_their_own_are_told():
    low_gain = np.zeros(CSPAD.shape, bool)
    low_gain[5] = True
    settings = MaskSettings(low_gain=Thresholds(maxproj_min=1))
    told = layer_bits(engine(low_gain=low_gain).mask(settings))
    assert np.unique(told.bits[5]) == [LOW_GAIN]
    assert not told.bits[4].any()


def test_only_grow_and_keep_together_need_the_kernel():
    keep = layers.PartLayer(mode="exclude", parts=("Q0",))
    assert not drawn_by_kernel(MaskSettings(low_gain=Thresholds(), layers=(keep,)))
    assert not drawn_by_kernel(MaskSettings(layers=(layers.GrowLayer(),)))
    assert drawn_by_kernel(MaskSettings(layers=(layers.GrowLayer(), keep)))
