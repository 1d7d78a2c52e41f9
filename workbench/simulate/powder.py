"""Powder pictures with a known truth: averages and maxima over many simulated frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.calibrants import Ring
from workbench.detectors import CSPAD
from workbench.errors import WorkbenchError
from workbench.quantities import HC_EV_ANGSTROM
from workbench.simulate.physics import Scene, Shadow, expected_photons
from workbench.simulate.sampling import normal_table, on_threads, sample_maximum, sample_mean

if TYPE_CHECKING:
    from workbench.geometry import Geometry

ADU_PER_PHOTON = 28.0


def powder_image(
    geometry_true: Geometry | NDArray[np.float64],
    *,
    rings: str | Sequence[Ring | tuple[float, float]] = "AgBeh",
    photons_per_pixel: float = 20.0,
    background: float = 10.0,
    flat: float = 0.0,
    ring_width_px: float = 1.8,
    bandwidth: float = 5e-4,
    polarisation: float = 0.98,
    spots: int = 0,
    spot_photons: float = 300.0,
    spots_on_rings: bool = True,
    shadow: Shadow | bool | None = None,
    dead_sensors: Sequence[int] = (),
    events: int = 30,
    intensity_spread: float = 0.15,
    noise_adu: float = 4.0,
    distance_mm: float = 121.0,
    wavelength_angstrom: float = HC_EV_ANGSTROM / 9500,
    seed: int = 0,
    kind: Literal["average", "maximum"] = "average",
    plane_z_um: float | None = None,
) -> NDArray[np.float32]:
    """Average or maximum of simulated, perfectly calibrated frames of a powder.

    Photons are Poisson numbers; an event has its own intensity; read noise is added. The same
    arguments give the same picture on every machine.

    Parameters
    ----------
    geometry_true : geometry in which the rings are round about x = y = 0, or its pixel positions,
        float64 ``(32, 185, 388, 3)`` in µm.
    rings : calibrant name or (d in Å, intensity) pairs; few rings: give few.
    photons_per_pixel : per frame on the crest of a ring of intensity 1 (see `Scene`).
    background : photons per pixel and frame on the crest of the water ring.
    flat : photons per pixel and frame of isotropic background.
    spots : Bragg spots in each frame, each about 2 px wide, at random places; on the rings
        (as from coarse grains) or anywhere.
    spot_photons : mean photons of one spot (exponentially distributed).
    shadow : beam stop; True for the usual one.
    dead_sensors : indices 0 … 31 of sensors that see nothing.
    events : frames.
    intensity_spread : relative standard deviation of the shots' intensities.
    kind : ``average`` or ``maximum`` over the frames.

    Returns
    -------
    float32 ``(32, 185, 388)``, ADU at 28 ADU per photon; wide pixels are not rescaled.

    Raises
    ------
    WorkbenchError
        If `kind`, `events` or the positions cannot be used.
    """
    if kind not in ("average", "maximum"):
        raise WorkbenchError(f"kind is {kind!r}; choose 'average' or 'maximum'.")
    if events < 1:
        raise WorkbenchError(f"events is {events}; a picture needs at least 1.")
    positions = (
        geometry_true
        if isinstance(geometry_true, np.ndarray)
        else geometry_true.pixel_positions_um()
    )
    if positions.shape != (*CSPAD.shape, 3):
        raise WorkbenchError(
            f"Pixel positions have the shape {positions.shape}; expected {(*CSPAD.shape, 3)}."
        )
    scene = Scene(
        distance_mm=distance_mm,
        wavelength_angstrom=wavelength_angstrom,
        rings=rings,
        ring_photons=photons_per_pixel,
        ring_width_px=ring_width_px,
        bandwidth=bandwidth,
        background_photons=background,
        flat_photons=flat,
        polarisation=polarisation,
        shadow=Shadow() if shadow is True else shadow or None,
    )
    mean = expected_photons(positions, scene, plane_z_um=plane_z_um)
    mean[list(dead_sensors)] = 0
    random = np.random.RandomState(seed)  # its stream is frozen, unlike that of default_rng
    intensities = shot_intensities(random, events, intensity_spread)
    image = np.empty(CSPAD.shape, dtype=np.float32)
    run, table = int(kind == "average"), normal_table()
    on_threads(
        sample_mean if kind == "average" else sample_maximum,
        (
            (mean[i], intensities, ADU_PER_PHOTON, noise_adu, (seed, run, 0, i), table, image[i])
            for i in range(CSPAD.modules)
        ),
    )
    if spots:
        weights = (
            expected_photons(positions, scene, plane_z_um=plane_z_um, rings_only=True)
            if spots_on_rings
            else np.ones(CSPAD.shape, dtype=np.float32)
        )
        weights[list(dead_sensors)] = 0
        _add_spots(image, mean, random, weights, spots, spot_photons, intensities, kind)
    return image


def shot_intensities(
    random: np.random.RandomState, events: int, spread: float
) -> NDArray[np.float64]:
    """Relative intensities of shots, float64 ``(events,)``: gamma distributed with mean 1."""
    if spread <= 0:
        return np.ones(events)
    return random.gamma(1 / spread**2, spread**2, size=events)


def spot_stamps(
    random: np.random.RandomState, weights: NDArray[np.float32], spots: int, mean_photons: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Photons of Bragg spots in one frame: flat pixel indices and photons, both ``(n,)``.

    `weights` ``(32, 185, 388)`` says how likely each pixel is a spot's middle; a spot is a
    Gaussian of 0.9 px standard deviation, cut at its sensor's edge.
    """
    chances = np.cumsum(weights, dtype=np.float64)
    if spots < 1 or not chances[-1] > 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    middles = np.searchsorted(chances, random.random_sample(spots) * chances[-1], side="right")
    sensor, row, column = np.unravel_index(np.minimum(middles, weights.size - 1), CSPAD.shape)
    shift = random.random_sample((2, spots, 1, 1)) - 0.5
    photons = random.exponential(mean_photons, size=(spots, 1, 1))
    return stamps(random, sensor, row, column, shift, photons)


def stamps(
    random: np.random.RandomState,
    sensor: NDArray[np.int64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    shift: NDArray[np.float64],
    photons: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Photons of spots, Gaussians of 0.9 px standard deviation, cut at their sensor's edge.

    Parameters
    ----------
    sensor, row, column : pixel of each spot, ``(n,)``.
    shift : of the spots' middles from the pixels' along rows and columns, px, ``(2, n, 1, 1)``.
    photons : mean of each spot, ``(n, 1, 1)``.

    Returns
    -------
    Flat pixel indices and photons, both ``(m,)``; a pixel may come more than once.
    """
    steps = np.arange(-3, 4)
    shape = np.exp(
        -((steps[:, None] - shift[0]) ** 2 + (steps[None, :] - shift[1]) ** 2) / (2 * 0.9**2)
    )
    counts = random.poisson(photons * shape / shape.sum(axis=(1, 2), keepdims=True))
    rows = row[:, None, None] + steps[:, None] + np.zeros_like(counts)
    columns = column[:, None, None] + steps[None, :] + np.zeros_like(counts)
    inside = (
        (rows >= 0)
        & (rows < CSPAD.rows)
        & (columns >= 0)
        & (columns < CSPAD.columns)
        & (counts > 0)
    )
    flat = (sensor[:, None, None] * CSPAD.rows + rows) * CSPAD.columns + columns
    return flat[inside].astype(np.int64), counts[inside].astype(np.int64)


def _add_spots(
    image: NDArray[np.float32],
    mean: NDArray[np.float32],
    random: np.random.RandomState,
    weights: NDArray[np.float32],
    spots: int,
    mean_photons: float,
    intensities: NDArray[np.float64],
    kind: str,
) -> None:
    flat_image = image.reshape(-1)
    brightest = np.zeros(image.size, dtype=np.float32)
    for intensity in intensities:
        index, photons = spot_stamps(random, weights, spots, mean_photons * float(intensity))
        if kind == "average":
            np.add.at(flat_image, index, ADU_PER_PHOTON * photons / intensities.size)
        else:
            np.maximum.at(brightest, index, ADU_PER_PHOTON * photons.astype(np.float32))
    if kind == "maximum":
        # a spot stands on the background of its own frame, not on the maximum of all
        struck = brightest > 0
        background = ADU_PER_PHOTON * mean.reshape(-1)[struck]
        flat_image[struck] = np.maximum(flat_image[struck], background + brightest[struck])
