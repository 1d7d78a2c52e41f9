"""Where a correlation map peaks, to a fraction of a trial step, and how clear the peak is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from workbench.quantities import MAD_TO_SIGMA


@dataclass(frozen=True)
class PeakSettings:
    """How the peak of a map is found.

    Attributes
    ----------
    fit_radius_px : the paraboloid is fitted to trials this near the peak (at least two steps).
    other_peak_px : a local maximum farther away is another peak.
    away_px : trials farther away tell the scatter of the map.
    """

    fit_radius_px: float = 3.0
    other_peak_px: float = 2.5
    away_px: float = 6.0


PEAK = PeakSettings()


@dataclass(frozen=True)
class Peak:
    """The highest point of a correlation map.

    Attributes
    ----------
    offset_px : float64 ``(2,)``
        Position (x, y): top of a paraboloid fitted by least squares to the trials within 3 px of
        the highest one; the highest trial itself where that fails.
    cc : float
        Correlation at the highest trial.
    trial : (int, int)
        Index of the highest trial in the map.
    curvature : float64 ``(2, 2)``
        Second derivatives of the fitted paraboloid, per px²; NaN where it failed.
    second_ratio : float
        Highest other local maximum over the peak (0 none, 1 as high).
    height_sigmas : float
        Peak above the map's median in robust standard deviations of the map away from the peak.
    at_edge : bool
        The peak lies on the outermost or next to outermost trials.
    """

    offset_px: NDArray[np.float64]
    cc: float
    trial: tuple[int, int]
    curvature: NDArray[np.float64]
    second_ratio: float
    height_sigmas: float
    at_edge: bool


def find_peak(cc: NDArray[np.float64], trials_px: NDArray[np.float64]) -> Peak | None:
    """Peak of a map ``(n, n)`` indexed [x, y]; None if it has no finite positive value."""
    if not np.isfinite(cc).any() or np.nanmax(cc) <= 0:
        return None
    i, j = (int(k) for k in np.unravel_index(np.nanargmax(cc), cc.shape))
    top = float(cc[i, j])
    last = len(trials_px) - 1
    at_edge = min(i, j) <= 1 or max(i, j) >= last - 1
    offset, curvature = _paraboloid(cc, trials_px, i, j)
    second, height = _surroundings(cc, trials_px, i, j)
    return Peak(offset, top, (i, j), curvature, second / top, height, bool(at_edge))


def _paraboloid(
    cc: NDArray[np.float64], trials_px: NDArray[np.float64], i: int, j: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    step = float(trials_px[1] - trials_px[0]) if len(trials_px) > 1 else 1.0
    centre = np.array([trials_px[i], trials_px[j]])
    failed = centre, np.full((2, 2), np.nan)
    radius = max(PEAK.fit_radius_px, 2 * step)
    x, y = np.meshgrid(trials_px - centre[0], trials_px - centre[1], indexing="ij")
    near = (np.hypot(x, y) <= radius) & np.isfinite(cc)
    if np.count_nonzero(near) < 8:
        return failed
    x, y, c = x[near], y[near], cc[near]
    terms = np.column_stack([np.ones_like(x), x, y, x * x / 2, x * y, y * y / 2])
    weight = np.exp(-(x * x + y * y) / radius**2)
    _, gx, gy, hxx, hxy, hyy = np.linalg.lstsq(terms * weight[:, None], c * weight, rcond=None)[0]
    hessian = np.array([[hxx, hxy], [hxy, hyy]])
    if np.linalg.eigvalsh(hessian)[-1] >= 0:
        return failed
    move = -np.linalg.solve(hessian, [gx, gy])
    if np.abs(move).max() > 1.5 * step + 0.5 * radius:
        return failed
    return centre + move, hessian


def _surroundings(
    cc: NDArray[np.float64], trials_px: NDArray[np.float64], i: int, j: int
) -> tuple[float, float]:
    """Highest local maximum elsewhere (0 if none), and the peak's height in sigmas."""
    filled = np.where(np.isfinite(cc), cc, -1.0)
    x, y = np.meshgrid(trials_px - trials_px[i], trials_px - trials_px[j], indexing="ij")
    local = (filled == maximum_filter(filled, size=3, mode="nearest")) & (
        np.hypot(x, y) > PEAK.other_peak_px
    )
    second = float(filled[local].max(initial=0.0))
    away = cc[np.isfinite(cc) & (np.hypot(x, y) > PEAK.away_px)]
    if away.size < 20:
        return second, np.nan
    median = float(np.median(away))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(away - median)))
    return second, float((cc[i, j] - median) / max(spread, 1e-12))
