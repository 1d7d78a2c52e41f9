"""The detector view: what travels to the browser, and what comes back."""

import re
import time

import numpy as np
import pytest

from workbench.detectors import CSPAD, CSPAD_2X2
from workbench.errors import WorkbenchError
from workbench.geometry import Geometry
from workbench.ui.widgets.bundles import STATIC, bundle
from workbench.ui.widgets.image_view import (
    ARRANGEMENTS,
    COLORMAPS,
    MODES,
    TILES,
    ImageView,
    asic_vectors_mm,
)
from workbench.ui.widgets.limit_control import LimitControl


class Watched(ImageView):
    """A view that keeps what it sends."""

    def __init__(self):
        self.sent = []
        super().__init__()

    def send(self, content, buffers=None):
        self.sent.append((content, buffers))


@pytest.fixture
def view():
    return Watched()


def open_browser(view):
    view._handle_custom_msg({"type": "need"}, [])


@pytest.mark.parametrize("name", ["image_view", "layer_list", "limit_control", "maps_view"])
def test_a_bundle_is_small_and_fetches_nothing(name):
    script, style = bundle(f"{name}.js"), bundle(f"{name}.css")
    assert len((script + style).encode()) <= 40_960
    assert "import" not in re.sub(r"[\w.]import|import\w", "", script)
    assert "http" not in script + style
    assert re.search(r"export ?\{[\w$]+ as default\}", script)


def test_every_choice_is_one_the_front_end_knows(view):
    script = bundle("image_view.js")
    titles = [image["title"].lower() for image in view.images]
    for choice in (*TILES, *ARRANGEMENTS, *COLORMAPS, *MODES):
        assert choice in titles or re.search(rf'"{choice}"|\b{choice}:', script), choice


def test_no_number_of_a_detector_stands_in_the_front_end():
    numbers = re.compile(r"\b(185|388|194|32|109\.92|0\.10992|274\.8|CSPAD|SENS2X1)\b")
    for path in sorted((STATIC.parent / "frontend" / "src").glob("*.js")):
        assert not numbers.search(path.read_text("utf-8")), path.name


def test_another_detector_takes_the_place_of_the_first(view):
    view.set_image("average", np.ones(CSPAD.shape))
    open_browser(view)
    view.set_detector(CSPAD_2X2)
    assert view.sent[-1][0] == {"type": "forget", "name": "average"}
    assert view.detector_facts == CSPAD_2X2.facts()
    view.set_image("average", np.ones(CSPAD_2X2.shape))
    assert view.sent[-1][0]["name"] == "average"
    with pytest.raises(WorkbenchError, match=r"\(2, 185, 388\)"):
        view.set_image("average", np.ones(CSPAD.shape))


def test_bright_runs_are_images_of_their_own(view):
    with pytest.raises(WorkbenchError, match="run 74"):
        view.set_image("run 74", np.ones(CSPAD.shape))
    view.runs = ["run 74", "run 75"]
    view.set_image("run 74", np.ones(CSPAD.shape))
    open_browser(view)
    assert [content["name"] for content, _ in view.sent] == ["run 74"]


def test_a_second_mask_travels_as_what_it_masks(view):
    masked = np.zeros(CSPAD.shape, bool)
    masked[3, 4, 5] = True
    view.set_other_mask(masked)
    open_browser(view)
    ((content, buffers),) = view.sent
    assert content["name"] == "other"
    assert np.flatnonzero(np.frombuffer(buffers[0], np.uint32)) == [3 * 185 * 388 + 4 * 388 + 5]
    view.set_other_mask(None)
    assert view.sent[-1][0] == {"type": "forget", "name": "other"}


def test_a_limit_tells_the_browser_which_trait_follows_it(view):
    control = LimitControl()
    control.drive(view, "maxproj_min")
    reference, trait = control.drives
    assert reference == f"IPY_MODEL_{view.model_id}"
    assert trait in view.traits(sync=True)


def test_nothing_is_sent_before_a_browser_asks(view):
    view.set_image("average", np.ones(CSPAD.shape))
    assert view.sent == []
    open_browser(view)
    ((content, buffers),) = view.sent
    assert content["name"] == "average"
    assert np.frombuffer(buffers[0], np.float32).size == np.prod(CSPAD.shape)


def test_arrays_are_no_traits_so_notebooks_stay_small(view):
    view.set_image("maximum", np.ones(CSPAD.shape))
    view.set_geometry(Geometry.ideal())
    state = view.get_state()
    size = sum(len(v) for k, v in state.items() if isinstance(v, str | bytes) and k[:2] != "_e")
    assert size < 10_000


def test_a_reloaded_browser_gets_everything_again(view):
    view.set_image("average", np.ones(CSPAD.shape))
    view.set_geometry(Geometry.ideal())
    open_browser(view)
    open_browser(view)
    assert [content["name"] for content, _ in view.sent] == ["average", "assembled"] * 2


def test_the_index_map_is_that_of_the_geometry(view):
    geometry = Geometry.ideal()
    view.set_geometry(geometry)
    open_browser(view)
    content, buffers = view.sent[0]
    snapped = geometry.snapped()
    assert tuple(content["shape"]) == snapped.shape
    assert np.array_equal(np.frombuffer(buffers[0], np.int32).reshape(snapped.shape), snapped.index)
    assert content["frame"][2] == pytest.approx(0.10992)


def test_asic_vectors_give_exact_positions():
    geometry = Geometry.ideal().move_quadrants(np.array([[1.5, 0], [0, 2], [-3, 1], [0, 0]]))
    exact = geometry.pixel_positions_um()[..., :2] / 1000
    vectors = asic_vectors_mm(CSPAD, geometry.pixel_positions_um()).reshape(32, 2, 3, 2)
    for sensor, row, column in ((0, 0, 0), (7, 184, 387), (13, 90, 193), (31, 3, 194)):
        asic = column // 194
        origin, fast, slow = vectors[sensor, asic]
        found = origin + (column - 194 * asic) * fast + row * slow
        assert found == pytest.approx(exact[sensor, row, column], abs=1e-3)


def test_an_image_taken_away_is_forgotten(view):
    view.set_image("average", np.ones(CSPAD.shape))
    open_browser(view)
    view.set_image("average", None)
    assert view.sent[-1][0] == {"type": "forget", "name": "average"}


@pytest.mark.parametrize("shape", [(1920, 1920), (2, 185, 388), (0,)])
def test_images_of_other_detectors_are_refused(view, shape):
    with pytest.raises(WorkbenchError, match=r"\(32, 185, 388\)"):
        view.set_image("average", np.zeros(shape))


def test_unknown_images_are_refused(view):
    with pytest.raises(WorkbenchError, match="average, stddev, maximum"):
        view.set_image("median", np.zeros(CSPAD.shape))


def test_shapes_and_pixels_reach_their_listeners(view):
    seen = []
    for kind in ("shape", "pixel"):
        view.on(kind, lambda *values: seen.append(values))
    view._handle_custom_msg({"type": "shape", "kind": "circle", "points": [[0, 0], [1, 0]]}, [])
    view._handle_custom_msg({"type": "pixel", "flat": 5}, [])
    view._handle_custom_msg({"type": "pixel", "flat": 10**9}, [])
    view._handle_custom_msg({"type": "nonsense"}, [])
    assert seen == [("circle", [[0, 0], [1, 0]]), (5,)]


def test_pictures_to_be_replaced_wait_for_the_browser(view, monkeypatch):
    """What was sent is on its way until the page says that it has drawn it."""
    image = np.zeros(CSPAD.shape)
    view.set_image("maximum", image)
    assert view.keeps_up, "nobody is looking"
    open_browser(view)
    assert not view.keeps_up
    view._handle_custom_msg({"type": "got", "name": "maximum"}, [])
    assert view.keeps_up
    view.set_image("average", image)
    view.set_image("maximum", image)
    view._handle_custom_msg({"type": "got", "name": "maximum"}, [])
    assert not view.keeps_up
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert view.keeps_up, "the page may have been closed"
