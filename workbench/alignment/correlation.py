"""Correlation of a whole group with itself rotated about every trial centre at once.

A powder pattern is the same after a rotation about its centre. For the rotation R by the angle a
about the trial centre c a pixel at p meets the place ``R (p - c) + c = R p + (1 - R) c``: the
rotated group is the same for all trial centres except for the translation ``t = (1 - R) c``.
So the group is rotated once, and the correlation of all translations comes from fast Fourier
transforms (masked normalised correlation: D. Padfield, IEEE Trans. Image Process. 21 (2012)
2706). Translations are short, so the transforms are of tiles with a margin of the longest one, and
their products are summed before one transform back (overlap-save). The map over trial centres is
that surface read at ``t = (1 - R) c``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import map_coordinates

from workbench.alignment.correlation_loops import deposit
from workbench.alignment.prepare import GroupPixels


@dataclass(frozen=True)
class MapSettings:
    """How a correlation map is made.

    Attributes
    ----------
    least_pixels : fewest usable pixels of a group that are worth correlating.
    least_pairs : fewest pairs of grid points a trial may rest on, whatever the overlap setting.
    measured_weight : bilinear weight a grid point needs to count as measured.
    tile_reach : side of a tile in longest translations.
    grid_px : distance of the grid's points. Rings are wider, and noise is averaged: maps of weak
        rings are clearer than on a grid of pixels, and take a third of the time.
    """

    least_pixels: int = 2000
    least_pairs: int = 1000
    measured_weight: float = 0.35
    tile_reach: int = 8
    grid_px: float = 2.0


MAP = MapSettings()

PRODUCTS = ((0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 2))
"""Products of fields (weights, values, squares) of the fixed and the turned group."""


@dataclass(frozen=True)
class CorrelationMap:
    """Correlation of a group with itself rotated, over trial centres.

    Attributes
    ----------
    cc : float64 ``(n, n)``
        Pearson correlation at trial ``(x index, y index)``, all angles combined; NaN where too
        few pixels overlap.
    trials_px : float64 ``(n,)``
        Trial offsets of the centre along x and along y, pixels.
    pairs : float64 ``(n, n)``
        Number of pairs of grid points, summed over the angles.
    by_angle : dict
        The map of each angle in degrees.
    """

    cc: NDArray[np.float64]
    trials_px: NDArray[np.float64]
    pairs: NDArray[np.float64]
    by_angle: dict[float, NDArray[np.float64]]


def trial_offsets(range_px: float, step_px: float = 1.0) -> NDArray[np.float64]:
    """Offsets from ``-range`` to ``range`` in steps, symmetric about 0, float64 ``(n,)``."""
    steps = int(np.floor(range_px / step_px + 1e-9))
    return np.arange(-steps, steps + 1, dtype=np.float64) * float(step_px)


def rotation(angle_deg: float) -> NDArray[np.float64]:
    """Matrix ``(2, 2)`` of the anticlockwise rotation of (x, y)."""
    sine, cosine = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    return np.array([[cosine, -sine], [sine, cosine]])


def correlation_map(
    pixels: GroupPixels,
    trials_px: NDArray[np.float64],
    angles_deg: tuple[float, ...] = (45.0,),
    min_overlap: float = 0.3,
    settings: MapSettings = MAP,
) -> CorrelationMap:
    """Map of one group.

    Parameters
    ----------
    pixels : one group of a prepared image (`Prepared.group`).
    trials_px : trial offsets along both axes, float64 ``(n,)``.
    angles_deg : rotation angles. Several are combined as evidence: the mean of their Fisher
        transforms ``atanh(cc)``, each weighted by its number of pairs.
    min_overlap : least number of pairs of a trial as a share of the angle's largest number.
    """
    count = len(trials_px)
    empty = np.full((count, count), np.nan)
    none = np.zeros((count, count))
    if np.count_nonzero(pixels.good) < settings.least_pixels:
        return CorrelationMap(empty, trials_px, none, {})
    grid = _Grid.around(pixels, float(np.max(np.abs(trials_px))), angles_deg, settings)
    fixed = grid.spectra(*grid.deposit(pixels), grid.tiles(), grid.reach)
    evidence, weight, total = none.copy(), none.copy(), none.copy()
    by_angle: dict[float, NDArray[np.float64]] = {}
    for angle in angles_deg:
        turned = grid.deposit(pixels, rotation(angle))
        cc, pairs = grid.at_trials(*grid.correlate(fixed, *turned), trials_px, angle)
        cc[pairs < max(min_overlap * pairs.max(initial=0.0), settings.least_pairs)] = np.nan
        by_angle[angle] = cc
        known = np.isfinite(cc)
        evidence[known] += pairs[known] * np.arctanh(np.clip(cc[known], -0.999999, 0.999999))
        weight[known] += pairs[known]
        total += pairs
    with np.errstate(invalid="ignore", divide="ignore"):
        combined = np.where(
            weight > 0.5 * weight.max(initial=0.0), np.tanh(evidence / weight), np.nan
        )
    return CorrelationMap(combined, trials_px, total, by_angle)


@dataclass(frozen=True)
class _Grid:
    """A regular lab grid over a group with a margin for the largest translation.

    Origin, shape, tile and reach are in distances of the grid's points.
    """

    origin: tuple[float, float]
    shape: tuple[int, int]
    tile: int
    reach: int
    measured_weight: float
    grid_px: float

    @classmethod
    def around(
        cls,
        pixels: GroupPixels,
        range_px: float,
        angles_deg: tuple[float, ...],
        settings: MapSettings,
    ) -> _Grid:
        longest = max(2 * abs(np.sin(np.radians(angle) / 2)) for angle in angles_deg)
        reach = int(np.ceil(longest * range_px / settings.grid_px * np.sqrt(2))) + 3
        x, y = (a[pixels.good] / settings.grid_px for a in (pixels.x, pixels.y))
        low = np.floor([x.min(), y.min()]) - reach
        high = np.ceil([x.max(), y.max()]) + reach + 1
        shape = (int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1)
        tile = next_fast_len(settings.tile_reach * reach, real=True)
        origin = float(low[0]), float(low[1])
        return cls(origin, shape, tile, reach, settings.measured_weight, settings.grid_px)

    def deposit(
        self, pixels: GroupPixels, turn: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Values and 0/1 weights on the grid; each pixel is shared by its four neighbours."""
        values = np.zeros(self.shape, dtype=np.float32)
        weights = np.zeros(self.shape, dtype=np.float32)
        onto = (np.eye(2) if turn is None else turn) / self.grid_px
        deposit(
            pixels.x.ravel(), pixels.y.ravel(), pixels.value.ravel(), pixels.good.ravel(),
            onto, np.asarray(self.origin), values, weights,
        )  # fmt: skip
        inside = weights > self.measured_weight
        values[inside] /= weights[inside]
        values[~inside] = 0
        return values, inside.astype(np.float32)

    def tiles(self) -> list[tuple[int, int]]:
        """First grid point of each tile, without its margin."""
        step = self.tile - 2 * self.reach
        return [
            (i, j) for i in range(0, self.shape[0], step) for j in range(0, self.shape[1], step)
        ]

    def spectra(
        self,
        values: NDArray[np.float32],
        weights: NDArray[np.float32],
        tiles: Iterable[tuple[int, int]],
        margin: int,
    ) -> dict[tuple[int, int], NDArray[np.complex64]]:
        """Transforms of weights, values and squares in each of some tiles that holds any."""
        reach, step = self.reach, self.tile - 2 * self.reach
        transforms = {}
        for i, j in tiles:
            low = max(i - margin, 0), max(j - margin, 0)
            part = slice(low[0], i + step + margin), slice(low[1], j + step + margin)
            weight, value = weights[part], values[part]
            if not weight.any():
                continue
            fields = np.zeros((3, self.tile, self.tile), np.float32)
            into = fields[:, low[0] - i + reach :, low[1] - j + reach :]
            into = into[:, : weight.shape[0], : weight.shape[1]]
            into[0], into[1], into[2] = weight, value, value * value
            transforms[i, j] = rfft2(fields)
        return transforms

    def correlate(
        self,
        fixed: dict[tuple[int, int], NDArray[np.complex64]],
        values: NDArray[np.float32],
        weights: NDArray[np.float32],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Normalised correlation and number of pairs at lags ``-reach … reach`` in x and y."""
        sums = np.zeros((len(PRODUCTS), self.tile, self.tile // 2 + 1), np.complex64)
        for place, turned in self.spectra(values, weights, fixed, 0).items():
            np.conj(turned, out=turned)
            for total, (first, second) in zip(sums, PRODUCTS, strict=True):
                total += fixed[place][first] * turned[second]
        index = np.arange(-self.reach, self.reach + 1)
        lags = irfft2(sums, (self.tile, self.tile))[:, index[:, None], index].astype(np.float64)
        pairs = np.maximum(np.round(lags[0]), 0)
        sum1, sum2, cross, square1, square2 = lags[1:]
        n = np.maximum(pairs, 1)
        spread = (square1 - sum1**2 / n) * (square2 - sum2**2 / n)
        floor = 1e-9 * max(float(np.max(spread, initial=0.0)), 1e-30)
        cc = np.where(
            spread > floor, (cross - sum1 * sum2 / n) / np.sqrt(np.maximum(spread, floor)), 0.0
        )
        return np.clip(cc, -1, 1), pairs

    def at_trials(
        self,
        cc: NDArray[np.float64],
        pairs: NDArray[np.float64],
        trials_px: NDArray[np.float64],
        angle_deg: float,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Read lag surfaces at ``t = (1 - R) c`` for all trial centres c (cubic spline)."""
        centre = np.stack(np.meshgrid(trials_px, trials_px, indexing="ij"))
        shift = (
            np.tensordot(np.eye(2) - rotation(angle_deg), centre, axes=1) / self.grid_px
            + self.reach
        )
        return (
            np.clip(map_coordinates(cc, shift, order=3, mode="nearest"), -1, 1),
            map_coordinates(pairs, shift, order=1, mode="nearest"),
        )
