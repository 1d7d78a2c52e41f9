"""Known rings: distance or wavelength, and how far all quadrants lie outwards.

The joint refinement leaves the radii of the rings free, so moving all quadrants outwards together
is what it knows least. A calibrant's rings stand at ``D tan 2θ``: a wrong distance or wavelength
scales all radii, quadrants lying too far out shift them all by the same length. With three or
more rings both are found, by a weighted straight line through the radii.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.refine import Refinement, open_combinations
from workbench.calibrants import calibrant_rings
from workbench.detector import PIXEL_SIZE_UM, QUADRANTS

MEAN_COSINE = 0.9003
"""Mean of cos φ over a quadrant's ±45°: outward shift of a quadrant to mean change of radius."""
OUTWARD_FLOOR_PX = 0.05
"""Least uncertainty of the outward shift: depth of absorption and overlap of rings are ignored."""
MIN_RINGS = 4
MAX_SCATTER_PX = 0.6
BETTER_WITH_BOTH = 2.0
"""If freeing the wavelength too reduces the variance of the radii by more, the outward shift is
that of the fit with both free."""
_SCALES = np.arange(0.97, 1.0301, 0.0005)
_WINDOW_PX = 3.0


@dataclass(frozen=True)
class CalibrantFit:
    """A calibrant's rings in the radial profile.

    Attributes
    ----------
    calibrant : its name.
    scale : fitted over expected radii of the rings; sigma beside it.
    distance_mm : distance of the sensors' mean plane that goes with the given wavelength, and its
        sigma.
    wavelength_angstrom : wavelength that goes with the given distance instead, and its sigma.
    together : distance (mm), its sigma, wavelength (Å), its sigma with both left free. At small
        angles rings tell only the product; how far they tell more shows in the sigmas.
    outward_px : how far all offsets point outwards too much, and its sigma.
    rings : rings used.
    scatter_px : weighted RMS of the ring radii about the line.
    """

    calibrant: str
    scale: float
    scale_sigma: float
    distance_mm: float
    distance_sigma_mm: float
    wavelength_angstrom: float
    wavelength_sigma_angstrom: float
    together: tuple[float, float, float, float]
    outward_px: float
    outward_sigma_px: float
    rings: int
    scatter_px: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    def line(self) -> str:
        """One line for a terminal."""
        return (
            f"{self.calibrant}: {self.rings} rings, distance {self.distance_mm:.3f} ± "
            f"{self.distance_sigma_mm:.3f} mm at the given wavelength (or wavelength "
            f"{self.wavelength_angstrom:.4f} ± {self.wavelength_sigma_angstrom:.4f} Å at the given "
            f"distance; with both free they are known to {self.together[1]:.2f} mm and "
            f"{self.together[3]:.4f} Å); radii scatter by {self.scatter_px:.2f} px."
        )


def fit_calibrant(
    refined: Refinement, calibrant: str, distance_mm: float, wavelength_angstrom: float
) -> CalibrantFit | str:
    """Fit the radii of a calibrant's rings; a sentence where that is not possible."""
    spacings = np.array([ring.d_angstrom for ring in calibrant_rings(calibrant)])
    sine = wavelength_angstrom / (2 * spacings)
    two_theta = 2 * np.arcsin(sine[sine < np.sin(np.pi / 6)])
    expected = distance_mm * 1e3 * np.tan(two_theta) / PIXEL_SIZE_UM
    radius, profile = refined.radius_px, np.nan_to_num(refined.profile)
    expected = expected[(expected > 15) & (expected < radius[-1] - 20)]
    if expected.size < MIN_RINGS:
        return f"Only {expected.size} rings of {calibrant} reach the detector; 4 are needed."
    heights = [np.interp(scale * expected, radius, profile).sum() for scale in _SCALES]
    start = float(_SCALES[int(np.argmax(heights))])
    found, weights, meant = [], [], []
    for ring in expected:
        place, weight = _ring(radius, profile, start * ring)
        if weight > 0:
            found.append(place)
            weights.append(weight)
            meant.append(ring)
    if len(found) < MIN_RINGS:
        return f"Only {len(found)} rings of {calibrant} were found; 4 are needed."
    return _line(calibrant, np.array(meant), np.array(found), np.array(weights),
                 distance_mm, wavelength_angstrom)  # fmt: skip


def _ring(
    radius: NDArray[np.float64], profile: NDArray[np.float64], expected: float
) -> tuple[float, float]:
    """Radius of the ring near `expected` (middle of its upper half) and its height, or 0."""
    near = np.flatnonzero(np.abs(radius - expected) <= 2 * _WINDOW_PX)
    if near.size < 5:
        return expected, 0.0
    top = near[int(np.argmax(profile[near]))]
    around = slice(max(top - int(2 * _WINDOW_PX), 0), top + int(2 * _WINDOW_PX) + 1)
    x, y = radius[around], profile[around]
    if y.size < 9 or profile[top] <= 0 or abs(radius[top] - expected) > 1.8 * _WINDOW_PX:
        return expected, 0.0
    upper = y > 0.4 * profile[top]
    if np.count_nonzero(upper) < 4:
        return expected, 0.0
    a, b, _ = np.polyfit(x[upper] - radius[top], np.log(y[upper]), 2)
    if a >= 0 or abs(b / (2 * a)) > _WINDOW_PX:
        return expected, 0.0
    return float(radius[top] - b / (2 * a)), float(profile[top])


def _line(
    calibrant: str,
    meant: NDArray[np.float64],
    found: NDArray[np.float64],
    height: NDArray[np.float64],
    distance_mm: float,
    wavelength: float,
) -> CalibrantFit | str:
    """Weighted straight line through the radii; outliers (a neighbour's ring) are left out.

    Besides the distance also the wavelength, and both together, are fitted to the same rings.
    """
    terms = np.column_stack([meant, np.ones_like(meant)])
    use = np.ones(meant.size, bool)
    weight = height**2 * meant  # position variance: noise² / (height² × pixels on the ring)
    for _ in range(4):
        root = np.sqrt(weight[use])[:, None]
        scale, shift = np.linalg.lstsq(terms[use] * root, found[use] * root[:, 0], rcond=None)[0]
        residual = found - terms @ [scale, shift]
        typical = 1.4826 * float(np.median(np.abs(residual[use])))
        use = np.abs(residual) < max(4 * typical, 0.1)
        if np.count_nonzero(use) < MIN_RINGS:
            return f"The rings do not fit {calibrant}."
    degrees = max(int(np.count_nonzero(use)) - 2, 1)
    w = weight[use] / weight[use].mean()
    scatter = float(np.sqrt(np.sum(w * residual[use] ** 2) / w.sum()))
    if scatter > MAX_SCATTER_PX or np.count_nonzero(use) < 0.5 * meant.size:
        return f"The rings do not fit {calibrant}: their radii scatter by {scatter:.1f} px."
    variance = float(np.sum(w * residual[use] ** 2)) / degrees
    ones, change = np.ones(int(np.count_nonzero(use))), (found - meant)[use]
    _, (scale_sigma, shift_sigma) = _fit(terms[use], change, w, variance)
    by_wavelength = _by_wavelength(meant, distance_mm)[use]
    (longer, _), (longer_sigma, _) = _fit(
        np.column_stack([by_wavelength, ones]), change, w, variance
    )
    three = np.column_stack([meant[use], by_wavelength, ones])
    (farther, redder, free_shift), _ = _fit(three, change, w, variance)
    rest = change - three @ [farther, redder, free_shift]
    free_variance = float(np.sum(w * rest**2)) / max(len(rest) - 3, 1)
    _, (farther_sigma, redder_sigma, free_sigma) = _fit(three, change, w, free_variance)
    if len(rest) > 3 and variance > BETTER_WITH_BOTH * free_variance:
        shift, shift_sigma = free_shift, free_sigma  # the given wavelength bends the line
    return CalibrantFit(
        calibrant=calibrant,
        scale=float(scale),
        scale_sigma=float(scale_sigma),
        distance_mm=float(scale * distance_mm),
        distance_sigma_mm=float(scale_sigma * distance_mm),
        wavelength_angstrom=float((1 + longer) * wavelength),
        wavelength_sigma_angstrom=float(longer_sigma * wavelength),
        together=(
            float((1 + farther) * distance_mm),
            float(farther_sigma * distance_mm),
            float((1 + redder) * wavelength),
            float(redder_sigma * wavelength),
        ),
        outward_px=float(-shift / MEAN_COSINE),
        outward_sigma_px=float(np.hypot(shift_sigma / MEAN_COSINE, OUTWARD_FLOOR_PX)),
        rings=int(np.count_nonzero(use)),
        scatter_px=scatter,
    )


def _by_wavelength(radius_px: NDArray[np.float64], distance_mm: float) -> NDArray[np.float64]:
    """Derivative of rings' radii by the logarithm of the wavelength, pixels."""
    distance = distance_mm * 1e3 / PIXEL_SIZE_UM
    two_theta = np.arctan(radius_px / distance)
    return np.asarray(2 * distance * np.tan(two_theta / 2) / np.cos(two_theta) ** 2)


def _fit(
    terms: NDArray[np.float64], seen: NDArray[np.float64], w: NDArray[np.float64], variance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients of a weighted least-squares fit and their standard deviations."""
    inverse = np.linalg.inv((terms * w[:, None]).T @ terms)
    return inverse @ (terms.T @ (w * seen)), np.sqrt(np.diag(inverse) * variance)


def with_calibrant(refined: Refinement, fit: CalibrantFit) -> Refinement:
    """Refinement in which the calibrant's outward shift counts as a further measurement.

    The measurement is the mean of the outward components of the offsets' errors; offsets and
    covariance follow as in a Kalman update.
    """
    outwards = refined.extra["outwards"] * refined.used[:, None]
    row = (outwards / float(np.count_nonzero(refined.used))).ravel()
    own = np.flatnonzero(np.repeat(refined.used, 2))
    row, covariance = row[own], refined.covariance_px2[np.ix_(own, own)]
    gain = covariance @ row / (row @ covariance @ row + fit.outward_sigma_px**2)
    offsets = refined.offsets_px.copy().ravel()
    offsets[own] -= gain * fit.outward_px
    better = refined.covariance_px2.copy()
    better[np.ix_(own, own)] = covariance - np.outer(gain, row @ covariance)
    return dataclasses.replace(
        refined,
        offsets_px=offsets.reshape(QUADRANTS, 2),
        covariance_px2=better,
        undetermined=open_combinations(better, refined.used, refined.extra["outwards"]),
    )
