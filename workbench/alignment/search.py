"""Search of all offsets together by the strength of the radial profile, for weak rings.

The sum over radii of (sum of values)² / (number of pixels) is what a radial profile explains. It
uses every pair of pixels on a ring, in one group or in two, where the rotated correlation uses
one partner per pixel; so it finds rings that single maps miss, at the price of some seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.correlation_loops import TrialPixels, trial_profiles
from workbench.alignment.prepare import WORKERS, GroupPixels, Prepared
from workbench.quantities import MAD_TO_SIGMA


@dataclass(frozen=True)
class SearchSettings:
    """How the search goes.

    Attributes
    ----------
    bin_px, step_px : radial bins and trial steps, about a ring's width.
    reach_px : radius of the largest ring.
    cell_deg : pixels are averaged in pieces of rings 1 px by this; moved by the range, the radii
        within one differ by less than a step.
    sweeps : rounds over the groups at most.
    away_px : trials farther from the best one tell the scatter of the strength.
    """

    bin_px: float = 2.0
    step_px: float = 2.0
    reach_px: float = 1300.0
    cell_deg: float = 3.0
    sweeps: int = 4
    away_px: float = 6.0


SEARCH = SearchSettings()


@dataclass(frozen=True)
class SearchResult:
    """Offsets found by the search.

    Attributes
    ----------
    offsets_px : float64 ``(groups, 2)``.
    height_sigmas : float64 ``(groups,)``, for each group the strength at its offset above that at
        other offsets, the other groups fixed, in robust standard deviations.
    """

    offsets_px: NDArray[np.float64]
    height_sigmas: NDArray[np.float64]


def search_offsets(
    prepared: Prepared,
    used: NDArray[np.bool_],
    range_px: float = 20.0,
    known_px: Mapping[int, NDArray[np.float64]] | None = None,
    settings: SearchSettings = SEARCH,
) -> SearchResult | None:
    """Offsets of the `used` groups (bool ``(groups,)``) on a coarse grid; None if none is used.

    Groups whose offset is known, in `known_px`, keep it.
    """
    known_px = known_px or {}
    groups = [g for g in range(prepared.groups) if used[g]]
    if not groups:
        return None
    steps = int(np.ceil(range_px / settings.step_px))
    axis = np.arange(-steps, steps + 1) * settings.step_px
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    trials = {g: known_px[g].reshape(1, 2) if g in known_px else grid for g in groups}
    bins = int(settings.reach_px / settings.bin_px)

    def profile(g: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sums = np.zeros((len(trials[g]), bins), dtype=np.float32)
        counts = np.zeros((len(trials[g]), bins), dtype=np.float32)
        trial_profiles(
            _cells(prepared.group(g), settings), trials[g], settings.bin_px, sums, counts
        )
        return sums, counts

    with ThreadPoolExecutor(WORKERS) as pool:
        profiles = dict(zip(groups, pool.map(profile, groups), strict=True))
    return _ascend(profiles, trials, prepared.groups, settings)


def _ascend(
    profiles: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]],
    trials: dict[int, NDArray[np.float64]],
    count: int,
    settings: SearchSettings,
) -> SearchResult:
    """Best trial of one group after the other, the clearest first, until none changes."""
    groups = [g for g in profiles if len(trials[g]) > 1]

    def strength(q: int, chosen: dict[int, int]) -> NDArray[np.float64]:
        others = [p for p in chosen if p != q]
        total = sum((profiles[p][0][chosen[p]] for p in others), np.float32(0))
        number = sum((profiles[p][1][chosen[p]] for p in others), np.float32(0))
        sums, counts = profiles[q]
        both = (sums + total) ** 2 / np.maximum(counts + number, 1)
        return np.asarray(both.sum(axis=1, dtype=np.float64))

    chosen = {g: 0 for g in profiles if g not in groups}
    waiting = list(groups)
    while waiting:
        maps = {q: strength(q, chosen) for q in waiting}
        best = max(waiting, key=lambda q: _height(maps[q], trials[q], settings))
        chosen[best] = int(np.argmax(maps[best]))
        waiting.remove(best)
    for _ in range(settings.sweeps):
        before = dict(chosen)
        for q in groups:
            chosen[q] = int(np.argmax(strength(q, chosen)))
        if chosen == before:
            break
    offsets = np.zeros((count, 2))
    heights = np.full(count, np.nan)
    for q in profiles:
        offsets[q] = trials[q][chosen[q]]
    for q in groups:
        heights[q] = _height(strength(q, chosen), trials[q], settings)
    return SearchResult(offsets, heights)


def _height(
    values: NDArray[np.float64], trials: NDArray[np.float64], settings: SearchSettings
) -> float:
    best = int(np.argmax(values))
    away = values[np.hypot(*(trials - trials[best]).T) > settings.away_px]
    median = float(np.median(away))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(away - median)))
    return float((values[best] - median) / max(spread, 1e-30))


def _cells(pixels: GroupPixels, settings: SearchSettings) -> TrialPixels:
    """Means over small pieces of rings about the lab's origin, those with a good pixel, flat."""
    use = pixels.good & (pixels.value != 0)
    x, y, stretch, value = (a[use] for a in (pixels.x, pixels.y, pixels.stretch, pixels.value))
    around = int(np.ceil(360 / settings.cell_deg))
    angle = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * around).astype(np.int64) % around
    place = np.hypot(x, y).astype(np.int64) * around + angle
    weight = np.bincount(place)
    kept = weight > 0
    weight = weight[kept]
    means = [np.bincount(place, a)[kept] / weight for a in (x, y, stretch)]
    sums = np.bincount(place, value)[kept]
    return TrialPixels(*(a.astype(np.float32) for a in (*means, sums, weight)))
