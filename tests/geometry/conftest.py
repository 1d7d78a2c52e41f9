"""Real geometry files, looked for beside the checkout."""

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def real_file(name: str) -> Path:
    for folder in CHECKOUT.parents:  # beside the checkout, or beside the folder of its worktrees
        path = folder / "shared" / "data" / "geometry" / name
        if path.exists():
            return path
    pytest.skip(f"no real data: ../shared/data/geometry/{name} is absent")


@pytest.fixture
def cxi_file():
    """CXI DS1 geometry, 2014 metrology, whose quadrant 2 lists sensor 4 first."""
    return real_file("refgeom_psana.data")


@pytest.fixture
def xpp_file():
    """Flat tree of 32 sensors without quadrants."""
    return real_file("geometry-def-cspad-xpp.data")


@pytest.fixture
def crystfel_file():
    return real_file("refgeom_crystfel.geom")
