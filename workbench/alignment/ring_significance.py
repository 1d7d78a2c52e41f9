"""Are there rings at all, and does each group see the same ones?

Rings give every ASIC the radial profile that the others see. So each ASIC's values are compared
with the mean profile of ASICs that have no part in it: not its own, and not those at the same
place in the other groups, since CSPAD quadrants are copies turned by 90° and anything fixed to
the sensors (pedestals, edges) repeats with them; these count only at radii that no other ASIC
reaches. Stripes, squares or spots can agree with such a
profile in some ASICs; only rings do in nearly all.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from workbench.alignment.prepare import WORKERS, GroupPixels, Prepared


@dataclass(frozen=True)
class SignificanceSettings:
    """How the significance of the rings is measured.

    Attributes
    ----------
    least_pixels : an ASIC with fewer usable pixels says nothing.
    bins : number of radial bins of 1 px.
    least_in_bin : a bin of the profile with fewer pixels is not used.
    smooth_px : what is smoother than this is no ring.
    """

    least_pixels: int = 500
    bins: int = 1400
    least_in_bin: int = 20
    smooth_px: float = 12.0


SIGNIFICANCE = SignificanceSettings()


@dataclass(frozen=True)
class RingSignificance:
    """Agreement of each group with a radial profile it had no part in.

    Attributes
    ----------
    sigmas : float64 ``(groups,)``, covariance with that profile in standard deviations of
        independent pixels; NaN for groups without pixels.
    consistency : float64 ``(groups,)``, the same as Student's t over the group's ASICs: large
        only if most of them agree.
    height : float64 ``(groups,)``, height of each group's rings over that of the profile: about 1
        for the same rings, little for others; NaN for groups without pixels.
    strength : float64 ``(ASICs,)``, height of each ASIC's rings over that of the profile: about 1
        for rings, NaN where an ASIC says nothing.
    """

    sigmas: NDArray[np.float64]
    consistency: NDArray[np.float64]
    height: NDArray[np.float64]
    strength: NDArray[np.float64]


def ring_significance(
    prepared: Prepared,
    offsets_px: NDArray[np.float64],
    used: NDArray[np.bool_],
    settings: SignificanceSettings = SIGNIFICANCE,
) -> RingSignificance:
    """Compare the radial profile of each ASIC with that of the `used` groups' other ASICs.

    If only one group is used it is compared with itself.
    """
    groups = range(prepared.groups)
    with ThreadPoolExecutor(WORKERS) as pool:
        profiles = list(
            pool.map(lambda g: _profiles(prepared.group(g), offsets_px[g], settings), groups)
        )
    detector = prepared.detector
    sigmas, consistency, height = (np.full(prepared.groups, np.nan) for _ in range(3))
    strength = np.full(detector.asics, np.nan)
    each = detector.asics_per_module
    for g in groups:
        sums, counts, variance = profiles[g]
        others = [p for p in groups if used[p] and p != g] or [g]
        if not counts.any():
            continue
        covariance, expected = np.zeros(len(sums)), np.zeros(len(sums))
        total = np.sum([profiles[p][0].sum(axis=0) for p in others], axis=0)
        number = np.sum([profiles[p][1].sum(axis=0) for p in others], axis=0)
        for module in range(len(sums) // each):
            own = slice(each * module, each * (module + 1))
            alike = np.sum([profiles[p][0][own].sum(axis=0) for p in others], axis=0)
            alike_number = np.sum([profiles[p][1][own].sum(axis=0) for p in others], axis=0)
            # where only the modules at the same place reach, these are all there is
            only = number - alike_number <= settings.least_in_bin
            profile = _mean(
                np.where(only, total, total - alike),
                np.where(only, number, number - alike_number),
                settings,
            )
            covariance[own] = sums[own] @ profile
            expected[own] = counts[own] @ profile**2
        sigmas[g] = covariance.sum() / max(np.sqrt(variance * expected.sum()), 1e-30)
        height[g] = covariance.sum() / max(float(expected.sum()), 1e-30)
        known = (counts.sum(axis=1) > settings.least_pixels) & (expected > 0)
        relative = np.full(len(sums), np.nan)
        relative[known] = covariance[known] / expected[known]
        strength[detector.asics_of(detector.groups[g])] = relative
        if np.count_nonzero(known) > 2:
            consistency[g] = _student(relative[known], expected[known])
    return RingSignificance(sigmas, consistency, height, strength)


def _student(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Mean over its standard error, weighted; weights are held below 4 times their median."""
    weights = np.minimum(weights, 4 * np.median(weights))
    share = weights / weights.sum()
    mean = float(share @ values)
    error = np.sqrt(np.sum(share**2 * (values - mean) ** 2) / (1 - np.sum(share**2)))
    return mean / max(float(error), 1e-30)


def _profiles(
    part: GroupPixels, offset: NDArray[np.float64], settings: SignificanceSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Sums and counts ``(ASICs, bins)`` of 1 px, and the values' variance."""
    sums, counts = part.radial_sums(offset, 1.0, settings.bins)
    number, value = max(int(counts.sum()), 1), part.value.ravel()  # 0 where not good
    variance = float(value @ value) / number - (float(sums.sum()) / number) ** 2
    return sums, counts.astype(np.float64), variance


def _mean(
    sums: NDArray[np.float64], counts: NDArray[np.float64], settings: SignificanceSettings
) -> NDArray[np.float64]:
    known = counts > settings.least_in_bin
    profile = np.where(known, sums / np.maximum(counts, 1), 0.0)
    # Clipped spots leave an offset common to all radii; it is not a ring.
    share = np.maximum(_running(known.astype(float), settings), 1e-6)
    return np.where(known, profile - _running(profile, settings) / share, 0.0)


def _running(profile: NDArray[np.float64], settings: SignificanceSettings) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter1d(profile, settings.smooth_px, mode="constant"))
