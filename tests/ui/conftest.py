"""Small believable images for the panels: everything a session needs, made in memory."""

import ipywidgets
import numpy as np
import pytest

from workbench.detector import SHAPE, unbonded_pixels
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.pipeline import ImageSet
from workbench.recipe import AlignmentSettings, Recipe
from workbench.ui import Session

OFFSETS = np.array([[3.0, 1.0], [-4.0, -2.0], [-2.0, 3.0], [1.0, -3.0]])


@pytest.fixture(autouse=True)
def _widgets_closed():
    """Jupyter keeps every widget and what it holds until it is closed."""
    yield
    ipywidgets.Widget.close_all()


@pytest.fixture(scope="session")
def image_set():
    """Dark and bright images of a detector whose quadrants are misplaced by OFFSETS."""
    rng = np.random.default_rng(5)
    deployed = Geometry.ideal()
    true = deployed.move_quadrants(OFFSETS)
    x, y = np.moveaxis(true.pixel_positions_um()[..., :2], -1, 0)
    radius = np.hypot(x, y) / 109.92
    bright = 400 + 3000 * np.exp(-0.5 * (((radius % 60) - 30) / 3) ** 2)
    bright = rng.normal(bright, 30)
    bright[unbonded_pixels()] = 60
    average = rng.normal(1200, 20, SHAPE)
    average[0, :5, :10] = 3000
    stddev = rng.normal(4, 0.3, SHAPE)
    stddev[1, :4, :10] = 30

    def image(data, kind):
        return DetectorImage(
            data, geometry=deployed, distance_mm=121.0, wavelength_angstrom=1.3, kind=kind
        )

    return ImageSet(
        average=image(average, "average"),
        stddev=image(stddev, "stddev"),
        maximum=image(bright + 100, "maximum"),
        bright_average=image(bright, "average"),
        geometry=deployed,
    )


@pytest.fixture
def offsets():
    """True offsets of the quadrants, px."""
    return OFFSETS


@pytest.fixture
def session(image_set):
    """Session with images and a finished mask; an error on a worker's thread fails the test."""
    quick = AlignmentSettings(range_px=6, angles_deg=(45.0,))
    made = Session(Recipe(alignment=quick))
    made.use_images(image_set)
    made.wait(60)
    yield made
    made.wait(60)
