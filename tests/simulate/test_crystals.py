"""Simulated still patterns obey Bragg's law and lie where the true geometry puts them."""

import numpy as np
import pytest

from workbench.geometry import Geometry
from workbench.simulate.crystals import Crystal, CrystalShots, random_orientation

WAVELENGTH = 1.305


@pytest.fixture(scope="module")
def crystal():
    return Crystal(d_min_angstrom=4.0)


def test_reflections_that_light_up_fulfil_bragg(crystal):
    orientation = random_orientation(np.random.RandomState(2))
    directions, photons = crystal.met(orientation, WAVELENGTH)
    momentum = (directions - [0, 0, -1]) / WAVELENGTH @ orientation
    hkl = momentum * crystal.edges
    assert len(hkl) > 30
    assert (photons > 0).all()
    # the lattice point is off the sphere by no more than the width of the condition
    np.testing.assert_allclose(hkl, np.rint(hkl), atol=0.2)


def test_equivalent_reflections_are_equally_strong_and_absent_ones_absent(crystal):
    hkl, photons = crystal.reflections
    strength = dict(zip(map(tuple, hkl.tolist()), photons, strict=True))
    assert strength[(3, 5, 2)] == strength[(-5, 3, -2)] == strength[(5, 3, 2)]
    assert (0, 0, 4) in strength
    assert (0, 0, 2) not in strength
    assert (3, 0, 0) not in strength


def test_spots_lie_where_the_rays_meet_the_detector(crystal):
    geometry = Geometry.ideal()
    plane_z = float(geometry.pixel_positions_um()[..., 2].mean())
    shots = CrystalShots(crystal, geometry, 100.0, plane_z)
    random = np.random.RandomState(7)
    index, photons = shots.stamps(random, WAVELENGTH, 50.0)
    directions, _ = crystal.met(random_orientation(np.random.RandomState(7)), WAVELENGTH)
    strongest = index[np.argsort(photons)[-5:]]
    places = geometry.pixel_positions_um().reshape(-1, 3)[strongest]
    rays = places - [0, 0, plane_z + 100_000]
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    nearest = np.linalg.norm(rays[:, None] - directions, axis=2).min(axis=1)
    assert nearest.max() < 4 * 109.92 / 100_000
