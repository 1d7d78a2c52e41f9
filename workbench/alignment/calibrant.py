"""Known rings: distance or wavelength, and how far all quadrants lie outwards.

The joint refinement leaves the radii of the rings free, so moving all groups outwards together
is what it knows least. A calibrant's rings stand at ``D tan 2θ``: a wrong distance or wavelength
scales all radii, groups lying too far out shift them all by the same length. With four or more
rings both are found, by a weighted straight line through the radii; two or three give the scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.plain import plain
from workbench.alignment.refine import Refinement
from workbench.calibrants import calibrant_rings
from workbench.quantities import MAD_TO_SIGMA


class CalibrantMismatch(Exception):
    """The rings are not those of the calibrant; the message is a sentence for a person."""


@dataclass(frozen=True)
class CalibrantSettings:
    """How a calibrant's rings are fitted.

    Attributes
    ----------
    mean_cosine : mean of cos φ over a group's ±45°: outward shift of a group to mean change of
        radius.
    outward_floor_px : least uncertainty of the outward shift: depth of absorption and overlap of
        rings are ignored.
    fewest_rings, least_rings : rings for the distance alone; rings for the outward shift as well.
    few_sigma_px : what the radius of one ring is taken to be known to where there are too few to
        tell.
    scale_floor : least relative uncertainty of distance and wavelength (shape of the profile).
    faint, strong, clear : height a ring must have of the highest; intensity of a strong one;
        height from which a ring must be the calibrant's.
    most_strong : share of the strong rings that must be there.
    outskirts : part of the detector's radius within which none may be missing of a few.
    most_scatter_px : radii that scatter by more are not the calibrant's.
    better_with_both : if freeing the wavelength too reduces the variance of the radii by more, the
        outward shift is that of the fit with both free.
    most_scale, scale_step : distances tried, relative to the one given.
    window_px : how far from its place a ring is looked for.
    """

    mean_cosine: float = 0.9003
    outward_floor_px: float = 0.05
    fewest_rings: int = 2
    least_rings: int = 4
    few_sigma_px: float = 0.1
    scale_floor: float = 3e-5
    faint: float = 0.05
    strong: float = 0.2
    clear: float = 0.3
    most_strong: float = 0.75
    outskirts: float = 0.9
    most_scatter_px: float = 0.6
    better_with_both: float = 2.0
    most_scale: float = 0.03
    scale_step: float = 0.0005
    window_px: float = 3.0

    def scales(self) -> NDArray[np.float64]:
        """Distances tried, relative to the one given."""
        return np.arange(1 - self.most_scale, 1 + self.most_scale + 1e-4, self.scale_step)


CALIBRANT = CalibrantSettings()

REACHES = "reaches the detector at the image's distance and wavelength"
ONE_RING = (
    "with one ring, distance and a common move of the quadrants outwards cannot be told apart, so "
    "it settles neither"
)


@dataclass(frozen=True)
class FreeFit:
    """Distance and wavelength with both left free, with their sigmas."""

    distance_mm: float
    distance_sigma_mm: float
    wavelength_angstrom: float
    wavelength_sigma_angstrom: float


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
    together : distance and wavelength with both left free, None with fewer than four rings. At
        small angles rings tell only the product; how far they tell more shows in the sigmas.
    outward_px : how far all offsets point outwards too much, and its sigma; NaN with fewer than
        four rings.
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
    together: FreeFit | None
    outward_px: float
    outward_sigma_px: float
    rings: int
    scatter_px: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values: dict[str, Any] = plain(self)
        free = values["together"]
        return values | {"together": list(free.values()) if free else [None] * 4}

    def line(self) -> str:
        """One line for a terminal."""
        both = (
            f"with both free they are known to {self.together.distance_sigma_mm:.2f} mm and "
            f"{self.together.wavelength_sigma_angstrom:.5f} Å"
            if self.together is not None
            else "so few rings tell only their product, and nothing of an outward shift"
        )
        return (
            f"{self.calibrant}: {self.rings} rings, distance {self.distance_mm:.3f} ± "
            f"{self.distance_sigma_mm:.3f} mm at the given wavelength (or wavelength "
            f"{self.wavelength_angstrom:.5f} ± {self.wavelength_sigma_angstrom:.5f} Å at the given "
            f"distance; {both}); radii scatter by {self.scatter_px:.2f} px."
        )


def fit_calibrant(
    refined: Refinement,
    calibrant: str,
    distance_mm: float,
    wavelength_angstrom: float,
    pixel_um: float,
    settings: CalibrantSettings = CALIBRANT,
) -> CalibrantFit:
    """Fit the radii of a calibrant's rings.

    Two or three rings give the distance (or the wavelength) only, with the outward shift as the
    joint refinement leaves it. Rings that are not all of the calibrant, or lack some of its strong
    ones, or need an outward shift the refinement excludes, are not forced to fit.

    Raises
    ------
    CalibrantMismatch
        If the rings are not those of the calibrant, or too few.
    """
    rings = calibrant_rings(calibrant)
    sine = wavelength_angstrom / (2 * np.array([ring.d_angstrom for ring in rings]))
    seen = sine < np.sin(np.pi / 6)
    all_expected = distance_mm * 1e3 * np.tan(2 * np.arcsin(sine[seen])) / pixel_um
    radius, profile = refined.radius_px, np.nan_to_num(refined.profile)
    reached = (all_expected > 15) & (all_expected < radius[-1] - 20)
    expected = all_expected[reached]
    strength = np.array([ring.intensity for ring in rings])[seen][reached]
    if expected.size < settings.fewest_rings:
        raise CalibrantMismatch(
            f"Only one ring of {calibrant} {REACHES}: {ONE_RING}."
            if expected.size
            else f"No ring of {calibrant} {REACHES}."
        )
    scales = settings.scales()
    heights = [np.interp(scale * expected, radius, profile).sum() for scale in scales]
    start = float(scales[int(np.argmax(heights))])
    seen_at = np.array([_ring(radius, profile, start * ring, settings) for ring in expected])
    there = seen_at[:, 1] > settings.faint * seen_at[:, 1].max()
    count = int(np.count_nonzero(there))
    if count == 0:
        raise CalibrantMismatch(
            f"No ring of {calibrant} is seen where distance and wavelength put it, within "
            f"{100 * settings.most_scale:.0f} %."
        )
    strong = strength > settings.strong * strength.max()
    inside = expected * start < settings.outskirts * radius[-1]
    few = count < settings.least_rings
    if (few and (strong & inside & ~there).any()) or there[strong].mean() < settings.most_strong:
        raise CalibrantMismatch(
            f"The rings do not fit {calibrant}: some of its strong rings are not seen (another "
            f"substance, too weak, or a distance wrong by over {100 * settings.most_scale:.0f} %)."
        )
    if count < settings.fewest_rings:
        raise CalibrantMismatch(
            f"Only one ring is where {calibrant} has one, which may be chance: {ONE_RING}."
        )
    beam = Beam(distance_mm, wavelength_angstrom, pixel_um)
    prior = _outward_sigma_px(refined)
    radii = expected[there], seen_at[there, 0]
    if few:
        fit = _few(calibrant, *radii, beam, prior, settings)
    else:
        fit = _line(calibrant, *radii, seen_at[there, 1], beam, settings)
    if abs(np.nan_to_num(fit.outward_px)) > 4 * np.hypot(fit.outward_sigma_px, prior) + 0.5:
        raise CalibrantMismatch(
            f"The rings do not fit {calibrant}: all quadrants would lie {fit.outward_px:+.1f} px "
            "too far out, which the sharpness of the rings excludes."
        )
    shift = -settings.mean_cosine * np.nan_to_num(fit.outward_px)
    predicted = fit.scale * all_expected + shift
    stranger = _stranger(radius, profile, predicted, seen_at[there, 1].max(), settings)
    if stranger is not None:
        raise CalibrantMismatch(
            f"The rings do not fit {calibrant}: a clear ring at {stranger:.0f} px is none of its."
        )
    return fit


@dataclass(frozen=True)
class Beam:
    """Distance and wavelength as given, and the size of a pixel."""

    distance_mm: float
    wavelength_angstrom: float
    pixel_um: float

    def by_wavelength(self, radius_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of rings' radii by the logarithm of the wavelength, pixels."""
        distance = self.distance_mm * 1e3 / self.pixel_um
        two_theta = np.arctan(radius_px / distance)
        return np.asarray(2 * distance * np.tan(two_theta / 2) / np.cos(two_theta) ** 2)


def _outward_sigma_px(refined: Refinement) -> float:
    """How well the joint refinement knows the mean outward shift of the groups."""
    row = refined.outward_row
    return float(np.sqrt(row @ np.nan_to_num(refined.covariance_px2) @ row))


def _stranger(
    radius: NDArray[np.float64],
    profile: NDArray[np.float64],
    predicted: NDArray[np.float64],
    highest: float,
    settings: CalibrantSettings,
) -> float | None:
    """Radius of the highest clear ring that is none of those predicted."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(profile, 6, mode="edge"), 13)
    clear = (profile >= around.max(axis=1)) & (profile > settings.clear * highest) & (radius > 15)
    places = np.flatnonzero(clear & (radius < radius[-1] - 20))
    apart = np.abs(radius[places, None] - predicted[None]).min(axis=1, initial=np.inf)
    strange = places[apart > 2 * settings.window_px]
    return float(radius[strange[np.argmax(profile[strange])]]) if strange.size else None


def _few(
    calibrant: str,
    meant: NDArray[np.float64],
    radii_px: NDArray[np.float64],
    beam: Beam,
    prior_px: float,
    settings: CalibrantSettings,
) -> CalibrantFit:
    """Distance or wavelength from two or three rings; the outward shift is held near zero.

    Each ring counts as known to `few_sigma_px`, as two or three do not tell their own scatter.
    """
    change, held = (
        radii_px - meant,
        np.hypot(settings.mean_cosine * prior_px, settings.outward_floor_px),
    )
    known = np.append(np.full(meant.size, settings.few_sigma_px), held)
    answers = []
    for slope in (meant, beam.by_wavelength(meant)):
        terms = np.vstack([np.column_stack([slope, np.ones_like(slope)]), [0.0, 1.0]])
        answers.append(_fit(terms, np.append(change, 0.0), known**-2.0, 1.0))
    ((larger, shift), (larger_sigma, _)), ((longer, _), (longer_sigma, _)) = answers
    rest = change - larger * meant - shift
    scatter = float(np.sqrt(np.mean(rest**2)))
    if scatter > 1.2 * settings.few_sigma_px or abs(shift) > 4 * held:
        raise CalibrantMismatch(
            f"The rings do not fit {calibrant}: their radii scatter by {scatter:.2f} px."
        )
    nothing = float("nan")
    return CalibrantFit(
        calibrant=calibrant,
        **_known(1 + larger, larger_sigma, 1 + longer, longer_sigma, beam, settings),
        together=None,
        outward_px=nothing,
        outward_sigma_px=nothing,
        rings=meant.size,
        scatter_px=scatter,
    )


def _ring(
    radius: NDArray[np.float64],
    profile: NDArray[np.float64],
    expected: float,
    settings: CalibrantSettings,
) -> tuple[float, float]:
    """Radius of the ring near `expected` (middle of its upper half) and its height, or 0."""
    near = np.flatnonzero(np.abs(radius - expected) <= 2 * settings.window_px)
    if near.size < 5:
        return expected, 0.0
    top = near[int(np.argmax(profile[near]))]
    around = slice(max(top - int(2 * settings.window_px), 0), top + int(2 * settings.window_px) + 1)
    x, y = radius[around], profile[around]
    if y.size < 9 or profile[top] <= 0 or abs(radius[top] - expected) > 1.8 * settings.window_px:
        return expected, 0.0
    upper = y > 0.4 * profile[top]
    if np.count_nonzero(upper) < 4:
        return expected, 0.0
    a, b, _ = np.polyfit(x[upper] - radius[top], np.log(y[upper]), 2)
    if a >= 0 or abs(b / (2 * a)) > settings.window_px:
        return expected, 0.0
    return float(radius[top] - b / (2 * a)), float(profile[top])


def _line(
    calibrant: str,
    meant: NDArray[np.float64],
    radii_px: NDArray[np.float64],
    height: NDArray[np.float64],
    beam: Beam,
    settings: CalibrantSettings,
) -> CalibrantFit:
    """Weighted straight line through the radii; outliers (a neighbour's ring) are left out.

    Besides the distance also the wavelength, and both together, are fitted to the same rings.
    """
    terms = np.column_stack([meant, np.ones_like(meant)])
    use = np.ones(meant.size, bool)
    weight = height**2 * meant  # position variance: noise² / (height² × pixels on the ring)
    for _ in range(4):
        root = np.sqrt(weight[use])[:, None]
        scale, shift = np.linalg.lstsq(terms[use] * root, radii_px[use] * root[:, 0], rcond=None)[0]
        residual = radii_px - terms @ [scale, shift]
        typical = MAD_TO_SIGMA * float(np.median(np.abs(residual[use])))
        use = np.abs(residual) < max(4 * typical, 0.1)
        if np.count_nonzero(use) < settings.least_rings:
            raise CalibrantMismatch(
                f"The rings do not fit {calibrant} (another substance, or too weak)."
            )
    degrees = max(int(np.count_nonzero(use)) - 2, 1)
    w = weight[use] / weight[use].mean()
    scatter = float(np.sqrt(np.sum(w * residual[use] ** 2) / w.sum()))
    if scatter > settings.most_scatter_px or np.count_nonzero(use) < 0.5 * meant.size:
        raise CalibrantMismatch(
            f"The rings do not fit {calibrant}: their radii scatter by {scatter:.1f} px."
        )
    variance = float(np.sum(w * residual[use] ** 2)) / degrees
    ones, change = np.ones(int(np.count_nonzero(use))), (radii_px - meant)[use]
    _, (scale_sigma, shift_sigma) = _fit(terms[use], change, w, variance)
    by_wavelength = beam.by_wavelength(meant)[use]
    (longer, _), (longer_sigma, _) = _fit(
        np.column_stack([by_wavelength, ones]), change, w, variance
    )
    three = np.column_stack([meant[use], by_wavelength, ones])
    (farther, redder, free_shift), _ = _fit(three, change, w, variance)
    rest = change - three @ [farther, redder, free_shift]
    free_variance = float(np.sum(w * rest**2)) / max(len(rest) - 3, 1)
    _, (farther_sigma, redder_sigma, free_sigma) = _fit(three, change, w, free_variance)
    if len(rest) > 3 and variance > settings.better_with_both * free_variance:
        shift, shift_sigma = free_shift, free_sigma  # the given wavelength bends the line
    return CalibrantFit(
        calibrant=calibrant,
        **_known(scale, scale_sigma, 1 + longer, longer_sigma, beam, settings),
        together=FreeFit(
            float((1 + farther) * beam.distance_mm),
            float(farther_sigma * beam.distance_mm),
            float((1 + redder) * beam.wavelength_angstrom),
            float(redder_sigma * beam.wavelength_angstrom),
        ),
        outward_px=float(-shift / settings.mean_cosine),
        outward_sigma_px=float(
            np.hypot(shift_sigma / settings.mean_cosine, settings.outward_floor_px)
        ),
        rings=int(np.count_nonzero(use)),
        scatter_px=scatter,
    )


def _known(
    scale: float,
    scale_sigma: float,
    longer: float,
    longer_sigma: float,
    beam: Beam,
    settings: CalibrantSettings,
) -> dict[str, float]:
    """Distance and wavelength of a `CalibrantFit`, each with the other as given."""
    larger, redder = np.hypot([scale_sigma, longer_sigma], settings.scale_floor)
    return {
        "scale": float(scale),
        "scale_sigma": float(larger),
        "distance_mm": float(scale * beam.distance_mm),
        "distance_sigma_mm": float(larger * beam.distance_mm),
        "wavelength_angstrom": float(longer * beam.wavelength_angstrom),
        "wavelength_sigma_angstrom": float(redder * beam.wavelength_angstrom),
    }


def _fit(
    terms: NDArray[np.float64], seen: NDArray[np.float64], w: NDArray[np.float64], variance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients of a weighted least-squares fit and their standard deviations."""
    inverse = np.linalg.inv((terms * w[:, None]).T @ terms)
    return inverse @ (terms.T @ (w * seen)), np.sqrt(np.diag(inverse) * variance)


def with_calibrant(refined: Refinement, fit: CalibrantFit) -> Refinement:
    """Refinement in which the calibrant's outward shift counts as a further measurement.

    The measurement is the mean of the outward components of the offsets' errors; offsets and
    covariance follow as in a Kalman update. Too few rings say nothing of it.
    """
    if not np.isfinite(fit.outward_px):
        return refined
    own = np.flatnonzero(np.repeat(refined.used, 2))
    present = float(refined.outward_row[own] @ refined.offsets_px.ravel()[own])
    return refined.with_outward(present - fit.outward_px, fit.outward_sigma_px)
