"""Help in choosing limits: histograms, removal curves, sensitivity, suggested values.

Everything is exact. Suggestions are never applied by themselves.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import MaskError
from workbench.mask.evaluate import MaskEvaluator
from workbench.mask.rules import IMAGES, LIMITS, ThresholdRule
from workbench.quantities import MAD_TO_SIGMA
from workbench.recipe import MaskSettings

SIGMAS = 6.0
"""`suggest`: how many robust σ above the median a dark pixel may be."""


@dataclass(frozen=True, eq=False)
class RemovalCurve:
    """Pixels one limit removes, as a function of the limit.

    Attributes
    ----------
    limits : float64 ``(n,)``, ADU, increasing.
    removed : int64 ``(n,)``, exact.
    slope : float64 ``(n,)``, pixels more per ADU towards the stricter side; 0 on a plateau.
    """

    limits: NDArray[np.float64]
    removed: NDArray[np.int64]
    slope: NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """Masked pixels of the whole mask as one limit is moved.

    Attributes
    ----------
    limit : name of the threshold.
    values : the limit as it is, lowered and raised, ADU.
    masked : masked pixels with each.
    """

    limit: str
    values: tuple[float, float, float]
    masked: tuple[int, int, int]


@dataclass(frozen=True)
class Suggestion:
    """A value for one threshold, and the rule it comes from.

    Attributes
    ----------
    limit : name of the threshold.
    value : in the unit of the image, or None if the images do not say.
    text : how it was found, or why not.
    """

    limit: str
    value: float | None
    text: str


def removal_curve(
    evaluator: MaskEvaluator, limit: str, limits: ArrayLike | None = None, points: int = 200
) -> RemovalCurve:
    """Pixels a threshold removes (by itself) against its value, exactly.

    Parameters
    ----------
    limit : name of a setting of `Thresholds`, e.g. ``avg_max``.
    limits : values to try, increasing; by default `points` over nearly all pixels' values.
    """
    rule = _rule(limit)
    numbers = evaluator.images.sorted_values(rule.image)
    if limits is None:
        low, high = _span(numbers)
        at = np.linspace(low, high if high > low else low + 1.0, points)
    else:
        at = np.asarray(limits, dtype=np.float64)
    removed = pixels_beyond(numbers, at, rule.side)
    places = np.arange(at.size)
    after, before = np.minimum(places + 1, at.size - 1), np.maximum(places - 1, 0)
    width = at[after] - at[before]
    change = np.abs(removed[after] - removed[before])
    slope = np.divide(change, width, out=np.zeros(at.size), where=width > 0)
    return RemovalCurve(at, removed, slope)


def pixels_beyond(
    numbers: NDArray[np.floating], limits: ArrayLike, side: Literal["above", "below"]
) -> NDArray[np.int64]:
    """How many of sorted numbers are above, or below, each limit."""
    if side == "below":
        return np.searchsorted(numbers, limits, side="left").astype(np.int64)
    return (numbers.size - np.searchsorted(numbers, limits, side="right")).astype(np.int64)


def pixels_masked(
    values: NDArray[np.floating],
    limits: ArrayLike,
    side: Literal["above", "below"],
    positive: bool,
) -> NDArray[np.int64]:
    """How many values a rule with each of the limits leaves not good.

    Parameters
    ----------
    values : sorted, ``(n,)``; what is not a number, at the end, is never good.
    side : side of the limit that is masked.
    positive : values at or below 0 are masked too.
    """
    numbers = values[: np.searchsorted(values, np.nan)]
    zeros = np.searchsorted(numbers, 0.0, side="right") if positive else 0
    good = numbers.size - pixels_beyond(numbers, limits, side)
    good = good - zeros if side == "above" else np.minimum(good, numbers.size - zeros)
    return np.asarray(values.size - np.maximum(good, 0), np.int64)


def sensitivity(
    evaluator: MaskEvaluator, settings: MaskSettings, change: float = 0.2
) -> tuple[Sensitivity, ...]:
    """How the number of masked pixels changes as each threshold is moved by ± `change`.

    The limits of low-gain pixels follow, as ``low_gain.avg_max`` and so on, if they have their own.
    """
    moves = []
    here = evaluator.evaluate(settings).masked
    for group, prefix in (("thresholds", ""), ("low_gain", "low_gain.")):
        limits = getattr(settings, group)
        for limit in LIMITS if limits is not None else ():
            value = getattr(limits, limit)
            values = (value, value - abs(value) * change, value + abs(value) * change)
            less, more = (
                evaluator.evaluate(
                    dataclasses.replace(
                        settings, **{group: dataclasses.replace(limits, **{limit: moved})}
                    )
                ).masked
                for moved in values[1:]
            )
            moves.append(Sensitivity(prefix + limit, values, (here, less, more)))
    return tuple(moves)


def suggest(
    evaluator: MaskEvaluator, pixels: NDArray[np.bool_] | None = None
) -> tuple[Suggestion, ...]:
    """Values for the thresholds, by stated rules that a few bad pixels cannot move.

    Parameters
    ----------
    pixels : bool ``(modules, rows, columns)``, look at these only, e.g. those of low gain.

    Notes
    -----
    Upper limits: median of the pixels above 0 plus 6 σ, σ being 1.4826 times the median absolute
    deviation. Lower limits: the emptiest place (fewest pixels per ADU) between the values of the
    unbonded pixels, which no photon reaches, and the median of the others.
    """
    images = evaluator.images
    chosen = np.ones(images.detector.pixels, bool) if pixels is None else pixels.reshape(-1)
    unbonded = images.unbonded.reshape(-1)[chosen]
    suggestions = []
    for rule in LIMITS.values():
        values = images.image(rule.image).reshape(-1)[chosen]
        upper, unit = rule.side == "above", images.unit(rule.image)
        suggestions.append(
            _robust_upper(rule, values, unit) if upper else _valley(rule, values, unbonded, unit)
        )
    return tuple(suggestions)


def _rule(limit: str) -> ThresholdRule:
    if limit not in LIMITS:
        raise MaskError(f"There is no threshold {limit!r}; known are {', '.join(LIMITS)}.")
    return LIMITS[limit]


def _span(numbers: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest of nearly all of sorted numbers."""
    if not numbers.size:
        return 0.0, 1.0
    ranks = [min(int(fraction * numbers.size), numbers.size - 1) for fraction in (0.0005, 0.9995)]
    low, high = (float(numbers[rank]) for rank in ranks)
    if not (math.isfinite(low) and math.isfinite(high)):
        finite = numbers[np.isfinite(numbers)]
        low, high = (float(finite[0]), float(finite[-1])) if finite.size else (0.0, 1.0)
    return low, high


def _robust_upper(rule: ThresholdRule, values: NDArray[np.float64], unit: str) -> Suggestion:
    values = values[np.isfinite(values) & (values > 0)]
    if values.size < 1000:
        words = IMAGES[rule.image].words
        return Suggestion(rule.limit, None, f"hardly any pixel of the {words} is above 0")
    median = float(np.median(values))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(values - median)))
    value = _rounded_up(median + SIGMAS * sigma)
    text = f"median {median:.4g} + {SIGMAS:g} σ of {sigma:.3g} {unit} (robust), rounded up"
    return Suggestion(rule.limit, value, text)


def _valley(
    rule: ThresholdRule, values: NDArray[np.float64], unbonded: NDArray[np.bool_], unit: str
) -> Suggestion:
    limit = rule.limit
    dark = values[unbonded & np.isfinite(values)]
    bonded = values[~unbonded & np.isfinite(values)]
    if dark.size < 30 or bonded.size < 1000:
        return Suggestion(limit, None, "too few pixels have a value")
    low = float(np.quantile(dark, 0.995))  # of low gain, those are few and larger
    lit = float(np.median(bonded))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(dark - np.median(dark))))
    if lit <= low or lit - np.median(dark) < 3 * spread:
        return Suggestion(
            limit,
            None,
            f"unbonded ({np.median(dark):.4g} {unit}) and bonded pixels ({lit:.4g} {unit}) are "
            "not apart; take brighter runs or more events",
        )
    # Bins of equal ratio above the unbonded pixels' median, since the valley may be decades wide.
    start = float(np.median(dark))
    edges = start + np.geomspace(max(low - start, 1e-3 * (lit - start)), lit - start, 61)
    counts = np.diff(np.searchsorted(np.sort(bonded), edges)).astype(float)
    smooth = np.convolve(np.pad(counts, 2, mode="edge"), np.array([1, 2, 3, 2, 1]) / 9, "valid")
    width = np.diff(edges)
    density = smooth / width
    lowest = float(density.min())
    if lowest > 0.5 * density.max():
        return Suggestion(limit, None, "there is no valley between unbonded and bonded pixels")
    first = last = int(density.argmin())
    as_empty = smooth <= lowest * width + 1  # to one pixel
    while first > 0 and as_empty[first - 1]:
        first -= 1
    while last < smooth.size - 1 and as_empty[last + 1]:
        last += 1
    middle = start + math.sqrt((edges[first] - start) * (edges[last + 1] - start))
    text = (
        f"valley between unbonded ({start:.4g}, 99.5 % of them below {low:.4g} {unit}) and bonded "
        f"pixels ({lit:.4g} {unit}), rounded"
    )
    return Suggestion(limit, round(middle, _digits(middle)), text)


def _digits(value: float) -> int:
    """Places behind the point with which a value has two digits that count."""
    return 1 - math.floor(math.log10(abs(value))) if value else 0


def _rounded_up(value: float) -> float:
    digits = _digits(value)
    return round(math.ceil(value * 10.0**digits - 1e-9) / 10.0**digits, max(digits, 0))
