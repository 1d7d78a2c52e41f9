"""The circle that covers a beam stop's shadow."""

import numpy as np
import pytest

from workbench.errors import MaskError
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.mask.shadow import fit_beam_stop

GEOMETRY = Geometry.ideal()
X, Y, _ = np.moveaxis(GEOMETRY.pixel_positions_um() / 1000, -1, 0)


def image(seed, x_mm=0.0, y_mm=0.0, radius_mm=0.0, arm=True):
    values = np.random.default_rng(seed).normal(1000, 100, X.shape)
    values[np.hypot(X - x_mm, Y - y_mm) < radius_mm] = 5
    if arm:
        values[(np.abs(Y - y_mm) < 0.8) & (x_mm < X)] = 5
    return DetectorImage(values, geometry=GEOMETRY)


@pytest.mark.parametrize(("x", "y", "radius"), [(1.0, -2.0, 7.0), (-4.0, 3.0, 9.0)])
def test_the_circle_covers_the_shadow_and_little_more(x, y, radius):
    circle = fit_beam_stop(image(21, x, y, radius))
    away = np.hypot(circle.centre_mm[0] - x, circle.centre_mm[1] - y)
    assert away < 0.8
    assert circle.radius_mm == pytest.approx(radius, abs=0.9)


def test_an_arm_alone_and_an_even_image_are_no_beam_stop():
    for arm in (True, False):
        with pytest.raises(MaskError, match="No shadow is seen"):
            fit_beam_stop(image(22, arm=arm))
    with pytest.raises(MaskError, match="needs a geometry"):
        fit_beam_stop(DetectorImage(np.ones(X.shape)))
