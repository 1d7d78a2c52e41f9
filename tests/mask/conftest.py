"""Images like those of a real dark and bright run, with a known set of bad pixels."""

from types import SimpleNamespace

import numpy as np
import pytest

from workbench.detectors import CSPAD
from workbench.geometry import Geometry

SHAPE = CSPAD.shape


@pytest.fixture(scope="session")
def runs():
    """Raw dark average and stddev, bright maximum; flat indices of the bad pixels by kind."""
    random = np.random.default_rng(11)
    unbonded = CSPAD.unbonded_pixels()
    average = random.normal(1200, 80, SHAPE)
    stddev = random.gamma(200, 0.02, SHAPE)
    maximum = 1000 + random.gamma(6, 150, SHAPE)
    stddev[unbonded] = random.gamma(200, 0.015, np.count_nonzero(unbonded))
    maximum[unbonded] = random.normal(60, 12, np.count_nonzero(unbonded))
    places = random.choice(np.flatnonzero(~unbonded), 4000, replace=False)
    hot, noisy, dead, stuck = np.split(places, 4)
    average.flat[hot] = 6000
    stddev.flat[noisy] = 45
    maximum.flat[dead] = 70
    stddev.flat[stuck] = 0
    return SimpleNamespace(
        average=average, stddev=stddev, maximum=maximum, unbonded=unbonded,
        hot=hot, noisy=noisy, dead=dead, stuck=stuck, bad=places,
    )  # fmt: skip


@pytest.fixture(scope="session")
def geometry():
    return Geometry.ideal()
