"""Pictures with structure that is not powder rings, to see what an alignment makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import CSPAD

if TYPE_CHECKING:
    from workbench.geometry import Geometry

Plane = NDArray[np.float64]
"""One number of each pixel, in the detector's shape."""
_Make = Callable[[np.random.Generator, Plane, Plane], Plane]


def junk_image(kind: str, geometry: Geometry, seed: int = 0) -> NDArray[np.float32]:
    """Picture of a kind in `JUNK`, float32 ``(32, 185, 388)``, ADU; its details follow `seed`.

    Structure in space stands in the lab frame of `geometry`, so it runs on from sensor to sensor
    as light would.
    """
    random = np.random.default_rng(seed)
    positions = geometry.pixel_positions_um()
    x, y = np.moveaxis(positions[..., :2] / CSPAD.pixel_um, -1, 0)
    level = np.maximum(JUNK[kind](random, x, y), 0.0)
    photons = random.poisson(level) if kind != "noise" else level
    return np.asarray(28.0 * photons + random.normal(0, 2, CSPAD.shape), np.float32)


def _noise(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    return random.gamma(random.uniform(0.3, 5), 2.0, CSPAD.shape)


def _gradient(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    a, b, c, d = random.normal(0, 1, 4)
    slope = (a * x + b * y) / 900 + (c * x * x + d * x * y) / 900**2
    return np.asarray(20 * (1 + 0.5 * slope))


def _stripes(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    angle, period = random.uniform(0, np.pi), random.uniform(8, 80)
    along = x * np.cos(angle) + y * np.sin(angle)
    return np.asarray(10 + 8 * np.sin(2 * np.pi * along / period + random.uniform(0, 6)))


def _plaid(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    return (_stripes(random, x, y) + _stripes(random, x, y)) / 2


def _rows(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Pick-up: the same rows and columns bright on every sensor."""
    rows, columns = random.gamma(2, 3, CSPAD.rows), random.gamma(2, 3, CSPAD.columns)
    return np.broadcast_to(rows[:, None] + columns, CSPAD.shape)


def _steps(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Every ASIC has its own pedestal and gain."""
    level = random.uniform(2, 40, (CSPAD.asics // 2, 1, 2, 1))
    return np.broadcast_to(level, (CSPAD.asics // 2, CSPAD.rows, 2, CSPAD.columns // 2)).reshape(
        CSPAD.shape
    )


def _spots(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    level = np.full(CSPAD.shape, random.uniform(0.1, 5))
    count = int(random.integers(100, 6000))
    sensor, row, column = (random.integers(1, n - 1, count) for n in CSPAD.shape)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        spot = random.exponential(200, count)
        np.add.at(level, (np.minimum(sensor, CSPAD.shape[0] - 1), row + i, column + j), spot)
    return level


def _blobs(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    level = np.full(CSPAD.shape, 2.0)
    for _ in range(int(random.integers(3, 40))):
        a, b = random.uniform(-900, 900, 2)
        width = random.uniform(4, 120)
        level += random.uniform(3, 60) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * width**2))
    return level


def _halo(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Water: round, but without an edge to hold on to."""
    radius, width = np.hypot(x, y), random.uniform(120, 200)
    return 30 * np.exp(-((radius - random.uniform(300, 600)) ** 2) / (2 * width**2)) + 1


def _squares(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Square rings about the beam."""
    square = np.maximum(np.abs(x), np.abs(y))
    return np.asarray(10 + 8 * np.sin(2 * np.pi * square / random.uniform(12, 60)))


def _star(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Streaks that run outwards from the beam."""
    spokes = int(random.integers(12, 200))
    return np.asarray(10 + 8 * np.sin(spokes * np.arctan2(y, x)))


def _rings(radius: Plane) -> Plane:
    """Rings 60 pixels apart."""
    return 3 + 20 * np.exp(-(((radius % 60) - 30) ** 2) / (2 * 2.5**2))


def _elsewhere(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Rings about quite another centre."""
    angle = random.uniform(0, 2 * np.pi)
    away = random.uniform(250, 500) * np.array([np.cos(angle), np.sin(angle)])
    return _rings(np.hypot(x - away[0], y - away[1]))


def _ellipses(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Ellipses about the beam, a third longer than wide."""
    return _rings(np.hypot(x, y * random.uniform(1.25, 1.5)))


JUNK: dict[str, _Make] = {
    "noise": _noise,
    "gradient": _gradient,
    "stripes": _stripes,
    "plaid": _plaid,
    "rows and columns": _rows,
    "steps": _steps,
    "spots": _spots,
    "blobs": _blobs,
    "halo": _halo,
    "squares": _squares,
    "star": _star,
    "rings elsewhere": _elsewhere,
    "ellipses": _ellipses,
}
"""Kinds of structure without powder rings about the beam."""
