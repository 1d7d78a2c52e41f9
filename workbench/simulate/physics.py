"""Expected photons in each pixel: powder rings, water, polarisation, solid angle, shadow.

Positions are those of `workbench.geometry.Geometry.pixel_positions_um`: SLAC frame, µm, beam at
x = y = 0 and against z, y horizontal in the laboratory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.calibrants import Ring, as_rings
from workbench.detectors import CSPAD
from workbench.quantities import HC_EV_ANGSTROM

# A wide pixel reaches from the seam to 274.80 µm; its nominal position is the outer 1x1 pixel's.
# Five pieces of half a pixel, their distance from that position in pixels (positive: outwards).
_WIDE_PIECES_PX = (-1.75, -1.25, -0.75, -0.25, 0.25)
_WIDE_PIECE_AREA = 0.5


@dataclass(frozen=True)
class Shadow:
    """Shadow of a beam stop: a disc on the beam and the arm that holds it.

    Lengths in pixels of 109.92 µm; `arm_angle_deg` from +x towards +y; no arm if its width is 0.
    """

    radius_px: float = 70.0
    arm_width_px: float = 14.0
    arm_angle_deg: float = 20.0
    edge_px: float = 1.5
    transmission: float = 0.01

    def of(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transmitted fraction at positions given in pixels from the beam."""
        inside = _edge(self.radius_px - np.hypot(x_px, y_px), self.edge_px)
        if self.arm_width_px > 0:
            angle = np.deg2rad(self.arm_angle_deg)
            along = x_px * np.cos(angle) + y_px * np.sin(angle)
            across = np.abs(y_px * np.cos(angle) - x_px * np.sin(angle))
            arm = _edge(self.arm_width_px / 2 - across, self.edge_px) * (along > 0)
            inside = np.maximum(inside, arm)
        return 1 - (1 - self.transmission) * inside


@dataclass(frozen=True)
class Scene:
    """What the beam, the sample and the surroundings send onto the detector.

    Parameters
    ----------
    distance_mm : from the sample to the plane of the detector.
    wavelength_angstrom : of the beam.
    rings : calibrant name (``AgBeh``, ``LaB6``, ``CeO2``, ``Si``), or (d in Å, intensity) pairs.
    ring_photons : per pixel and frame on the crest of a ring of intensity 1, before the factors
        of polarisation and solid angle (both 1 at the centre).
    ring_width_px : standard deviation of the rings at zero angle.
    bandwidth : relative standard deviation of the wavelength; widens the outer rings.
    background_photons : per pixel and frame on the crest of the water ring, before the factors.
    flat_photons : per pixel and frame, isotropic (fluorescence), before the solid angle.
    polarisation : degree of linear polarisation along y, −1 … 1.
    shadow : beam stop, if any.
    """

    distance_mm: float = 121.0
    wavelength_angstrom: float = HC_EV_ANGSTROM / 9500
    rings: str | Sequence[Ring | tuple[float, float]] = "AgBeh"
    ring_photons: float = 20.0
    ring_width_px: float = 1.8
    bandwidth: float = 5e-4
    background_photons: float = 10.0
    flat_photons: float = 0.0
    polarisation: float = 0.98
    shadow: Shadow | None = None


def ring_radii_px(scene: Scene, pixel_um: float = CSPAD.pixel_um) -> NDArray[np.float64]:
    """Radii of the scene's rings in the detector plane, px; NaN where a ring cannot be reached."""
    spacings = np.array([ring.d_angstrom for ring in as_rings(scene.rings)])
    two_theta = _two_theta(spacings, scene.wavelength_angstrom)
    radii = scene.distance_mm * 1000 * np.tan(two_theta) / pixel_um
    return np.where(two_theta < np.pi / 2, radii, np.nan)


def expected_photons(
    positions_um: NDArray[np.float64],
    scene: Scene,
    *,
    plane_z_um: float | None = None,
    rings_only: bool = False,
    pixel_um: float = CSPAD.pixel_um,
) -> NDArray[np.float32]:
    """Mean photons per pixel and frame.

    Parameters
    ----------
    positions_um : float64 ``(…, 185, 388, 3)``, x, y, z of pixels.
    plane_z_um : z at which the distance of the scene applies; default the mean z rounded to
        whole millimetres, which is the z that geometry files give the detector as a whole.
    rings_only : leave the background out.
    pixel_um : size of a pixel; lengths of the scene in px are in these.

    Returns
    -------
    float32 ``(…, 185, 388)``; the wide pixels of columns 193 and 194 collect 2.5 times the area.
    Of modules with another number of columns all pixels collect the same area.
    """
    positions = np.asarray(positions_um, dtype=np.float64)
    if plane_z_um is None:
        plane_z_um = float(np.round(positions[..., 2].mean(), -3))
    farthest = np.hypot(positions[..., 0], positions[..., 1]).max() / pixel_um
    # the distance of a pixel differs by a per mille from the plane's; a wide pixel reaches out
    grid = np.arange(0.0, 1.05 * farthest + 10, 0.02)
    profile = _ring_profile(grid, scene, pixel_um)
    if not rings_only:
        profile += scene.background_photons * _water(grid, scene, pixel_um)

    def radial(radius_px: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.interp(radius_px, grid, profile)

    def density(places: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = 0.0 if rings_only else scene.flat_photons
        return _density(places, scene, plane_z_um, radial, flat, pixel_um)

    photons = density(positions)
    left, right = CSPAD.wide_columns
    for wide, neighbour in ((left, left - 1), (right, right + 1)):
        if positions.shape[-2] != CSPAD.columns:
            break
        place = positions[..., wide, :]
        outwards = positions[..., neighbour, :] - place
        photons[..., wide] = sum(
            _WIDE_PIECE_AREA * density(place + piece * outwards) for piece in _WIDE_PIECES_PX
        )
    return photons.astype(np.float32)


def _density(
    positions: NDArray[np.float64],
    scene: Scene,
    plane_z_um: float,
    radial: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    flat: float,
    pixel_um: float,
) -> NDArray[np.float64]:
    """Photons per pixel of normal size at positions ``(…, 3)``.

    `radial` gives polarised photons at a radius in px in the plane, `flat` is isotropic.
    """
    x, y = positions[..., 0], positions[..., 1]
    along = scene.distance_mm * 1000 - (positions[..., 2] - plane_z_um)
    radius = np.hypot(x, y)
    tangent = radius / along
    cosine_squared = 1 / (1 + tangent**2)

    # unpolarised and polarised parts of Thomson scattering
    sine_squared = 1 - cosine_squared
    with np.errstate(invalid="ignore", divide="ignore"):
        horizontal = np.where(radius > 0, (y / radius) ** 2, 0.5)
    share = (1 + scene.polarisation) / 2
    polarisation = 1 - sine_squared * (share * horizontal + (1 - share) * (1 - horizontal))
    # area seen under the angle: cos of incidence / distance², relative to the centre
    solid_angle = cosine_squared**1.5 * (scene.distance_mm * 1000 / along) ** 2

    radius_px = scene.distance_mm * 1000 * tangent / pixel_um
    photons = (polarisation * radial(radius_px) + flat) * solid_angle
    if scene.shadow is not None:
        photons *= scene.shadow.of(x / pixel_um, y / pixel_um)
    return photons


def _ring_profile(
    radius_px: NDArray[np.float64], scene: Scene, pixel_um: float
) -> NDArray[np.float64]:
    profile = np.zeros_like(radius_px)
    rings = as_rings(scene.rings)
    distance_px = scene.distance_mm * 1000 / pixel_um
    for ring, radius in zip(rings, ring_radii_px(scene, pixel_um), strict=True):
        if not radius < radius_px[-1] + 20:
            continue
        theta = np.arctan(radius / distance_px) / 2
        # dr = D / cos²2θ d2θ, and d2θ = 2 tanθ dλ/λ; 1/12: the pixel's own width
        spread = distance_px / np.cos(2 * theta) ** 2 * 2 * np.tan(theta) * scene.bandwidth
        sigma = np.sqrt(scene.ring_width_px**2 + 1 / 12 + spread**2)
        near = slice(*np.searchsorted(radius_px, (radius - 6 * sigma, radius + 6 * sigma)))
        profile[near] += (
            scene.ring_photons
            * ring.intensity
            * np.exp(-((radius_px[near] - radius) ** 2) / (2 * sigma**2))
        )
    return profile


def _water(radius_px: NDArray[np.float64], scene: Scene, pixel_um: float) -> NDArray[np.float64]:
    """Shape of scattering from a water jet: main peak at q = 2.0 Å⁻¹ (value 1), shoulder at 2.9
    Å⁻¹, rise to small angles from air and solutes."""
    two_theta = np.arctan(radius_px * pixel_um / (scene.distance_mm * 1000))
    q = 4 * np.pi * np.sin(two_theta / 2) / scene.wavelength_angstrom

    def shape(q: NDArray[np.float64]) -> NDArray[np.float64]:
        main = 0.65 * np.exp(-0.5 * ((q - 2.0) / 0.38) ** 2)
        shoulder = 0.22 * np.exp(-0.5 * ((q - 2.9) / 0.5) ** 2)
        return main + shoulder + 0.30 + 0.5 * np.exp(-q / 0.25)

    return shape(q) / shape(np.array(2.0))


def _two_theta(spacings: NDArray[np.float64], wavelength: float) -> NDArray[np.float64]:
    sine = wavelength / (2 * spacings)
    return np.where(sine < 1, 2 * np.arcsin(np.minimum(sine, 1)), np.nan)


def _edge(depth_px: NDArray[np.float64], width_px: float) -> NDArray[np.float64]:
    """Smooth step: 0 far outside, 1 far inside."""
    return 1 / (1 + np.exp(-np.clip(depth_px / max(width_px, 1e-3), -50, 50)))
