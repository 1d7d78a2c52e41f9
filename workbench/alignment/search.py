"""Search of all offsets together by the strength of the radial profile, for weak rings.

The sum over radii of (sum of values)² / (number of pixels) is what a radial profile explains. It
uses every pair of pixels on a ring, in one quadrant or in two, where the rotated correlation uses
one partner per pixel; so it finds rings that single maps miss, at the price of some seconds.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.prepare import Prepared
from workbench.detector import QUADRANTS

BIN_PX = 2.0
COARSE_PX = 2.0
"""Radial bins and trial steps of the search, about a ring's width."""
SWEEPS = 4


@dataclass(frozen=True)
class Found:
    """Offsets found by the search.

    Attributes
    ----------
    offsets_px : float64 ``(4, 2)``.
    height_sigmas : float64 ``(4,)``, for each quadrant the strength at its offset above that at
        other offsets, the other quadrants fixed, in robust standard deviations.
    """

    offsets_px: NDArray[np.float64]
    height_sigmas: NDArray[np.float64]


def search_offsets(
    prepared: Prepared, used: NDArray[np.bool_], range_px: float = 20.0
) -> Found | None:
    """Offsets of the `used` quadrants (bool ``(4,)``) on a 2 px grid; None if none is used."""
    quadrants = [q for q in range(QUADRANTS) if used[q]]
    if not quadrants:
        return None
    steps = int(np.ceil(range_px / COARSE_PX))
    axis = np.arange(-steps, steps + 1) * COARSE_PX
    trials = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    bins = int(1300 / BIN_PX)

    def one(q: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        from workbench.alignment.kernels import trial_profiles

        x, y, stretch, value, weight = _paired(prepared.quadrant(q))
        sums = np.zeros((len(trials), bins), dtype=np.float32)
        counts = np.zeros((len(trials), bins), dtype=np.float32)
        trial_profiles(x, y, stretch, value, weight, trials, BIN_PX, sums, counts)
        return sums, counts

    with ThreadPoolExecutor(QUADRANTS) as pool:
        profiles = dict(zip(quadrants, pool.map(one, quadrants), strict=True))
    return _ascend(profiles, trials, quadrants)


def _ascend(
    profiles: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]],
    trials: NDArray[np.float64],
    quadrants: list[int],
) -> Found:
    """Best trial of one quadrant after the other, the clearest first, until none changes."""

    def strength(q: int, chosen: dict[int, int]) -> NDArray[np.float64]:
        others = [p for p in chosen if p != q]
        total = sum((profiles[p][0][chosen[p]] for p in others), np.float32(0))
        count = sum((profiles[p][1][chosen[p]] for p in others), np.float32(0))
        sums, counts = profiles[q]
        both = (sums + total) ** 2 / np.maximum(counts + count, 1)
        return np.asarray(both.sum(axis=1, dtype=np.float64))

    chosen: dict[int, int] = {}
    waiting = list(quadrants)
    while waiting:
        maps = {q: strength(q, chosen) for q in waiting}
        best = max(waiting, key=lambda q: _height(maps[q], trials))
        chosen[best] = int(np.argmax(maps[best]))
        waiting.remove(best)
    for _ in range(SWEEPS):
        before = dict(chosen)
        for q in quadrants:
            chosen[q] = int(np.argmax(strength(q, chosen)))
        if chosen == before:
            break
    offsets = np.zeros((QUADRANTS, 2))
    heights = np.full(QUADRANTS, np.nan)
    for q in quadrants:
        offsets[q] = trials[chosen[q]]
        heights[q] = _height(strength(q, chosen), trials)
    return Found(offsets, heights)


def _height(values: NDArray[np.float64], trials: NDArray[np.float64]) -> float:
    best = int(np.argmax(values))
    away = values[np.hypot(*(trials - trials[best]).T) > 6]
    median = float(np.median(away))
    spread = 1.4826 * float(np.median(np.abs(away - median)))
    return float((values[best] - median) / max(spread, 1e-30))


def _paired(pixels: Prepared) -> tuple[NDArray[np.float32], ...]:
    """Means of 2 × 2 pixels: x, y, stretch, summed value and number of good pixels, flat."""
    rows, columns = pixels.x.shape[1] // 2 * 2, pixels.x.shape[2] // 2 * 2

    def blocks(array: NDArray) -> NDArray[np.float32]:
        cut = array[:, :rows, :columns].astype(np.float32, copy=False)
        return (
            cut[:, ::2, ::2] + cut[:, 1::2, ::2] + cut[:, ::2, 1::2] + cut[:, 1::2, 1::2]
        ).ravel()

    weight = blocks(pixels.good)
    use = weight > 0
    quarter = np.float32(0.25)
    x, y, stretch = (quarter * blocks(p)[use] for p in (pixels.x, pixels.y, pixels.stretch))
    return x, y, stretch, blocks(pixels.value)[use], weight[use]
