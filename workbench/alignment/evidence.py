"""Are there rings at all, and does each quadrant see the same ones?

Rings give every ASIC the radial profile that the others see. So each ASIC's values are compared
with the mean profile of ASICs that have no part in it: not its own, and not those at the same
place in the other quadrants, since the quadrants are copies turned by 90° and anything fixed to
the sensors (pedestals, edges) repeats with them. Stripes, squares or spots can agree with such a
profile in some ASICs; only rings do in nearly all.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.prepare import WORKERS, Prepared
from workbench.detector import ASIC_COLUMNS, ASICS_PER_QUADRANT, QUADRANTS, SENSORS_PER_QUADRANT

LEAST_PIXELS = 500
_BINS = 1400


@dataclass(frozen=True)
class RingEvidence:
    """Agreement of each quadrant with a radial profile it had no part in.

    Attributes
    ----------
    sigmas : float64 ``(4,)``, covariance with that profile in standard deviations of independent
        pixels; NaN for quadrants without pixels.
    consistency : float64 ``(4,)``, the same as Student's t over the quadrant's ASICs: large only
        if most of them agree.
    strength : float64 ``(4, 16)``, height of each ASIC's rings over that of the profile: about 1
        for rings, NaN where an ASIC says nothing.
    """

    sigmas: NDArray[np.float64]
    consistency: NDArray[np.float64]
    strength: NDArray[np.float64]


def ring_evidence(
    prepared: Prepared, offsets_px: NDArray[np.float64], used: NDArray[np.bool_]
) -> RingEvidence:
    """Compare the radial profile of each ASIC with that of the `used` quadrants' other ASICs.

    If only one quadrant is used it is compared with itself.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(
            pool.map(lambda q: _profiles(prepared.quadrant(q), offsets_px[q]), range(QUADRANTS))
        )
    sums = np.array([one[0] for one in found])  # (4, 16, bins)
    counts = np.array([one[1] for one in found])
    variance = np.array([one[2] for one in found])
    sigmas = np.full(QUADRANTS, np.nan)
    consistency = np.full(QUADRANTS, np.nan)
    strength = np.full((QUADRANTS, ASICS_PER_QUADRANT), np.nan)
    for q in range(QUADRANTS):
        others = [p for p in range(QUADRANTS) if used[p] and p != q] or [q]
        if not counts[q].any():
            continue
        total, number = sums[others].sum(axis=0), counts[others].sum(axis=0)  # (16, bins)
        covariance, expected = np.zeros(ASICS_PER_QUADRANT), np.zeros(ASICS_PER_QUADRANT)
        for sensor in range(SENSORS_PER_QUADRANT):
            own = slice(2 * sensor, 2 * sensor + 2)
            profile = _mean(
                total.sum(axis=0) - total[own].sum(axis=0),
                number.sum(axis=0) - number[own].sum(axis=0),
            )
            covariance[own] = sums[q, own] @ profile
            expected[own] = counts[q, own] @ profile**2
        sigmas[q] = covariance.sum() / max(np.sqrt(variance[q] * expected.sum()), 1e-30)
        known = (counts[q].sum(axis=1) > LEAST_PIXELS) & (expected > 0)
        strength[q, known] = covariance[known] / expected[known]
        if np.count_nonzero(known) > 2:
            consistency[q] = _student(strength[q, known], expected[known])
    return RingEvidence(sigmas, consistency, strength)


def _student(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Mean over its standard error, weighted; weights are held below 4 times their median."""
    weights = np.minimum(weights, 4 * np.median(weights))
    share = weights / weights.sum()
    mean = float(share @ values)
    error = np.sqrt(np.sum(share**2 * (values - mean) ** 2) / (1 - np.sum(share**2)))
    return mean / max(float(error), 1e-30)


def _profiles(
    part: Prepared, offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Sums and counts ``(16 ASICs, bins)`` of 1 px, and the values' variance."""
    use = part.good & (part.value != 0)
    radius = np.hypot(part.x[use] - offset[0], part.y[use] - offset[1]) * part.stretch[use]
    number = np.arange(SENSORS_PER_QUADRANT)[:, None, None] * 2
    asic = np.broadcast_to(number + (np.arange(part.x.shape[-1]) >= ASIC_COLUMNS), part.x.shape)[
        use
    ]
    place = asic * _BINS + np.minimum(radius.astype(np.int64), _BINS - 1)
    size = ASICS_PER_QUADRANT * _BINS
    value = part.value[use]
    sums = np.bincount(place, value, size).reshape(-1, _BINS).astype(np.float64)
    counts = np.bincount(place, minlength=size).reshape(-1, _BINS).astype(np.float64)
    return sums, counts, float(np.var(value)) if value.size else 0.0


def _mean(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    known = counts > 20
    profile = np.where(known, sums / np.maximum(counts, 1), 0.0)
    # Clipped spots leave an offset common to all radii; it is not a ring.
    share = np.maximum(_running(known.astype(float)), 1e-6)
    return np.where(known, profile - _running(profile) / share, 0.0)


def _running(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(profile, 12.0, mode="constant"))
