"""Live figures of matplotlib: drawn by the worker, zoom kept, nothing left behind."""

import matplotlib
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf

from workbench import figures
from workbench.session.log import Log
from workbench.session.worker import Worker
from workbench.ui.closing import close_widgets
from workbench.ui.panels.quadrants import PROFILE_MARGINS_PX
from workbench.ui.widgets.live_figure import LiveFigure

VALUES = np.random.default_rng(3).normal(50, 9, 4000)


def histogram(figure):
    return figures.threshold_histogram("noise", VALUES, 60.0, "above", figure=figure)


@pytest.fixture
def live():
    return LiveFigure(lambda key, act: act(), 200)


def send(live, **content):
    live.canvas._handle_custom_msg(content, [])


def test_messages_of_the_browser_are_worked_off_by_the_worker_in_their_order():
    worker, log = Worker("test", Log()), []
    live = LiveFigure(lambda key, act: worker.submit(key, lambda task: act()), 200)
    live.draw(histogram)
    worker.wait(300)
    for name in ("button_press_event", "button_release_event"):
        live.canvas.mpl_connect(name, lambda event: log.append(event.name))
    mouse = {"x": 30, "y": 40, "button": 0, "modifiers": []}
    send(live, type="button_press", buttons=1, **mouse)
    send(live, type="button_release", buttons=0, **mouse)
    send(live, type="draw")
    worker.wait(300)
    assert log == ["button_press_event", "button_release_event"]


def test_a_new_drawing_keeps_the_place_a_person_zoomed_to(live):
    live.draw(histogram)
    home = live.figure.axes[0].get_xlim()
    live.figure.axes[0].set_xlim(48, 52)
    live.draw(histogram)
    assert live.figure.axes[0].get_xlim() == (48, 52)
    live.canvas.toolbar.home()
    assert live.figure.axes[0].get_xlim() == home
    live.draw(histogram)
    assert live.figure.axes[0].get_xlim() == home


def test_it_follows_the_theme_of_the_page(live):
    live.draw(histogram)
    before = dict(matplotlib.rcParams)
    light = live.figure.get_facecolor()
    live.place.dark = True
    assert sum(live.figure.get_facecolor()[:3]) < 0.5 < 2.5 < sum(light[:3])
    assert sum(matplotlib.colors.to_rgb(live.figure.axes[0].xaxis.label.get_color())) > 2
    assert dict(matplotlib.rcParams) == before


def test_keys_do_nothing_in_it_and_closing_leaves_nothing(live):
    live.draw(histogram)
    scale = live.figure.axes[0].get_yscale()
    send(live, type="key_press", key="kl")
    assert live.figure.axes[0].get_yscale() == scale
    assert Gcf.get_all_fig_managers() == []
    close_widgets(live)
    assert live.canvas.comm is None
    assert live.canvas.toolbar.comm is None


@pytest.mark.parametrize("width_px", [400, 900])
@pytest.mark.parametrize("brightest", [3.0, 60000.0])
def test_the_texts_of_the_radial_profile_stand_inside_its_fixed_margins(width_px, brightest):
    live = LiveFigure(lambda key, act: act(), 170, PROFILE_MARGINS_PX)
    live.figure.set_size_inches(width_px / 100, 1.7)
    radius = np.arange(1200.0)
    mean = brightest * np.exp(-((radius - 500) ** 2) / 200)
    profile = figures.Profile(radius, mean, mean[None], ("Q0",))
    live.draw(lambda figure: figures.ring_profile(profile, rings=[(500, "5.8 Å")], figure=figure))
    texts, page = live.figure.axes[0].get_tightbbox(), live.figure.bbox
    assert texts.x0 >= page.x0
    assert texts.y0 >= page.y0
    assert texts.x1 <= page.x1
    assert texts.y1 <= page.y1
