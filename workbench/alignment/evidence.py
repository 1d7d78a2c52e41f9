"""Are there rings at all, and does each quadrant see the same ones?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.prepare import Prepared
from workbench.detector import ASIC_COLUMNS, QUADRANTS, SENSORS_PER_QUADRANT

_BINS = 1400


@dataclass(frozen=True)
class RingEvidence:
    """Agreement of each quadrant with a radial profile it had no part in.

    Attributes
    ----------
    sigmas : float64 ``(4,)``, covariance with the other quadrants' profile in standard deviations
        of independent pixels; NaN for quadrants without pixels.
    consistency : float64 ``(4,)``, the same as Student's t over the quadrant's ASICs: large only
        if most of them agree, so one spot or one bad ASIC cannot make it.
    """

    sigmas: NDArray[np.float64]
    consistency: NDArray[np.float64]


def ring_evidence(
    prepared: Prepared, offsets_px: NDArray[np.float64], used: NDArray[np.bool_]
) -> RingEvidence:
    """Compare the radial profile of each quadrant with that of the other `used` quadrants.

    A single quadrant is compared with itself: even with odd sensors.
    """
    profiles = {q: _profiles(prepared.quadrant(q), offsets_px[q]) for q in range(QUADRANTS)}
    sigmas = np.full(QUADRANTS, np.nan)
    consistency = np.full(QUADRANTS, np.nan)
    for q in range(QUADRANTS):
        others = [p for p in range(QUADRANTS) if used[p] and p != q]
        sums, counts, variance = profiles[q]
        if not counts.any():
            continue
        if others:
            scores = _covariances(sums, _mean([profiles[p] for p in others]))
            spread = _spread(counts, _mean([profiles[p] for p in others]), variance)
        else:
            even = np.arange(len(sums)) // 2 % 2 == 0
            halves = [_mean([(sums[part], counts[part], variance)]) for part in (even, ~even)]
            scores = np.where(even, _covariances(sums, halves[1]), _covariances(sums, halves[0]))
            spread = np.hypot(
                _spread(counts[even], halves[1], variance),
                _spread(counts[~even], halves[0], variance),
            )
        sigmas[q] = scores.sum() / max(spread, 1e-30)
        own = scores[counts.sum(axis=1) > 500]
        if own.size > 2:
            error = own.std(ddof=1) / np.sqrt(own.size)
            consistency[q] = own.mean() / max(error, 1e-30)
    return RingEvidence(sigmas, consistency)


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
    size = 2 * SENSORS_PER_QUADRANT * _BINS
    value = part.value[use]
    sums = np.bincount(place, value, size).reshape(-1, _BINS).astype(np.float64)
    counts = np.bincount(place, minlength=size).reshape(-1, _BINS).astype(np.float64)
    return sums, counts, float(np.var(value)) if value.size else 0.0


def _mean(
    profiles: list[tuple[NDArray[np.float64], NDArray[np.float64], float]],
) -> NDArray[np.float64]:
    sums = sum(s.sum(axis=0) for s, _, _ in profiles)
    counts = sum(c.sum(axis=0) for _, c, _ in profiles)
    known = counts > 20
    profile = np.where(known, sums / np.maximum(counts, 1), 0.0)
    # Clipped spots leave an offset common to all radii; it is not a ring.
    share = np.maximum(_running(known.astype(float)), 1e-6)
    return np.where(known, profile - _running(profile) / share, 0.0)


def _running(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(profile, 12.0, mode="constant"))


def _covariances(sums: NDArray[np.float64], profile: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(sums @ profile)


def _spread(counts: NDArray[np.float64], profile: NDArray[np.float64], variance: float) -> float:
    return float(np.sqrt(variance * (counts.sum(axis=0) @ profile**2)))
