"""Powder pictures photon by photon: each is thrown along a cone and caught by a sensor.

Independent of `powder_image` on purpose: nothing here evaluates a ring at a pixel's radius.
Directions are drawn, rays are cut with the tilted planes of the ASICs, and photons counted where
they land. So what the alignment makes of such pictures does not rest on a model it shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import CSPAD

if TYPE_CHECKING:
    from workbench.geometry import Geometry

_CELL_PX = 2
_NORMAL_COLUMNS = (slice(0, CSPAD.asic_shape[1] - 1), slice(1, CSPAD.asic_shape[1]))
"""Of a sensor's two ASICs, without the wide column."""


class Cone(NamedTuple):
    """One ring: a distribution of scattering angles.

    Attributes
    ----------
    two_theta_deg : angle of its crest.
    photons : thrown into the whole cone.
    width_deg : standard deviation of the Gaussian part.
    tails : share of photons with a Lorentzian distribution of the same width instead.
    skew_deg : mean of an exponential tail towards small angles (axial divergence).
    texture : preferred orientation, relative amplitude of ``cos 2φ`` in azimuth.
    """

    two_theta_deg: float
    photons: float
    width_deg: float = 0.08
    tails: float = 0.2
    skew_deg: float = 0.0
    texture: float = 0.0


def traced_powder(
    geometry_true: Geometry,
    cones: Sequence[Cone],
    *,
    background: float = 1e6,
    adu_per_photon: float = 28.0,
    noise_adu: float = 1.0,
    distance_mm: float = 121.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Sum of photons drawn from cones about the beam, in ADU.

    Parameters
    ----------
    geometry_true : geometry in which the beam runs through x = y = 0.
    cones : the rings; photons that miss the sensors are lost.
    background : photons of a broad halo, drawn the same way.
    noise_adu : read noise of the picture.

    Returns
    -------
    float32 ``(32, 185, 388)``; the wide columns stay dark.
    """
    positions = geometry_true.pixel_positions_um()
    random = np.random.default_rng(seed)
    halo = Cone(20.0, background, 9.0, 0.0)
    angles = [_directions(random, cone) for cone in (*cones, halo)]
    theta, phi = (np.concatenate(parts) for parts in zip(*angles, strict=True))
    plane = positions[..., 2].mean()
    sample = np.array([0.0, 0.0, plane + distance_mm * 1e3])
    rays = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), -np.cos(theta)])
    counts = np.zeros((CSPAD.asics, CSPAD.rows, CSPAD.asic_shape[1]))
    for sensor, part in _near(positions, rays, distance_mm * 1e3):
        for half in (0, 1):
            own = slice(half * CSPAD.asic_shape[1], (half + 1) * CSPAD.asic_shape[1])
            pixels = positions[sensor, :, own][:, _NORMAL_COLUMNS[half]]
            into = counts[2 * sensor + half, :, _NORMAL_COLUMNS[half]]
            into += _caught(pixels, sample, part)
    whole = (
        counts.reshape(CSPAD.shape[0], 2, CSPAD.rows, CSPAD.asic_shape[1])
        .swapaxes(1, 2)
        .reshape(CSPAD.shape)
    )
    image = adu_per_photon * whole + random.normal(0, noise_adu, CSPAD.shape)
    return image.astype(np.float32)


def _directions(
    random: np.random.Generator, cone: Cone
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scattering angle and azimuth of each photon of a cone, radians."""
    count = random.poisson(cone.photons)
    spread = np.where(
        random.random(count) < cone.tails,
        np.clip(random.standard_cauchy(count), -30, 30),
        random.standard_normal(count),
    )
    angle = cone.two_theta_deg + cone.width_deg * spread
    angle -= cone.skew_deg * random.standard_exponential(count)
    phi = random.uniform(-np.pi, np.pi, count)
    if cone.texture:  # throw again, a quarter turn on, what the texture forbids
        forbidden = random.random(count) < cone.texture * (1 - np.cos(2 * phi)) / 2
        phi[forbidden] += np.pi / 2
    theta = np.radians(angle)
    kept = (theta > 0) & (theta < 1.2)
    return theta[kept], phi[kept]


def _near(
    positions: NDArray[np.float64], rays: NDArray[np.float64], distance_um: float
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Sensors with the rays that meet the mean plane near them; a ray may be near two."""
    from scipy.ndimage import grey_dilation, grey_erosion

    size = _CELL_PX * CSPAD.pixel_um
    half = int(np.abs(positions[..., :2]).max() / size) + 3
    i, j = (np.floor(positions[..., k] / size).astype(int) + half for k in (0, 1))
    place = rays[:2] / -rays[2] * distance_um / size
    u, v = (np.clip(np.floor(part).astype(int) + half, 0, 2 * half) for part in place)
    candidates = []
    for spread, nothing in ((grey_erosion, CSPAD.shape[0]), (grey_dilation, -1)):
        table = np.full((2 * half + 1, 2 * half + 1), nothing)
        table[i, j] = np.arange(CSPAD.shape[0])[:, None, None]
        candidates.append(spread(table, size=(3, 3))[u, v])
    low, high = candidates
    for sensor in range(CSPAD.shape[0]):
        yield sensor, rays[:, (low == sensor) | (high == sensor)]


def _caught(
    pixels: NDArray[np.float64], sample: NDArray[np.float64], rays: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Photons by pixel of a regular plane of pixels with centres `pixels` ``(n, m, 3)``."""
    rows, columns = pixels.shape[:2]
    start = pixels[0, 0]
    row, column = (pixels[-1, 0] - start) / (rows - 1), (pixels[0, -1] - start) / (columns - 1)
    normal = np.cross(row, column)
    length = (start - sample) @ normal / (normal @ rays)
    hit = sample[:, None] + length * rays - start[:, None]
    i = np.rint(row @ hit / (row @ row)).astype(int)
    j = np.rint(column @ hit / (column @ column)).astype(int)
    inside = (i >= 0) & (i < rows) & (j >= 0) & (j < columns)
    counts = np.bincount(i[inside] * columns + j[inside], minlength=rows * columns)
    return counts.reshape(rows, columns).astype(float)
