"""Still patterns of a protein crystal: which reflections light up, and where on the detector.

A reflection is seen where its point of the reciprocal lattice is near the Ewald sphere: intensity
falls with the distance between them as a Gaussian, whose width comes from the size of the crystal,
its mosaicity and the spectrum. A photon is counted where it is absorbed, on the average some
0.1 mm deep in the sensor. Structure factors are drawn once (Wilson statistics, a Debye-Waller
factor), the same for reflections that are equivalent in 4/mmm. Lattice and absences are those of
lysozyme, P4(3)2(1)2 (PDB 4ET8).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.alignment.cctbx import silicon_attenuation_per_mm
from workbench.geometry import Geometry
from workbench.simulate.powder import stamps

FWHM_TO_SIGMA = 1 / 2.3548


@dataclass(frozen=True)
class Crystal:
    """A tetragonal crystal.

    Parameters
    ----------
    a_angstrom, c_angstrom : edges of the cell.
    d_min_angstrom : resolution to which it diffracts.
    b_factor : Debye-Waller factor, Å².
    size_angstrom : of a mosaic block.
    mosaicity_deg, bandwidth : standard deviations; the latter relative.
    photons : mean of a reflection that is met exactly, before the Debye-Waller factor.
    seed : of the structure factors.
    """

    a_angstrom: float = 79.0
    c_angstrom: float = 38.0
    d_min_angstrom: float = 2.0
    b_factor: float = 20.0
    size_angstrom: float = 2000.0
    mosaicity_deg: float = 0.03
    bandwidth: float = 5e-4
    photons: float = 700.0
    seed: int = 4

    @cached_property
    def reflections(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Indices ``(n, 3)`` and mean photons ``(n,)`` of all reflections, absent ones left out."""
        most_a = int(self.a_angstrom / self.d_min_angstrom)
        most_c = int(self.c_angstrom / self.d_min_angstrom)
        along_a, along_c = np.arange(-most_a, most_a + 1), np.arange(-most_c, most_c + 1)
        hkl = np.stack(np.meshgrid(along_a, along_a, along_c, indexing="ij"), -1).reshape(-1, 3)
        inverse_d = np.linalg.norm(hkl / self.edges, axis=1)
        h, k, l = np.abs(hkl).T  # noqa: E741
        absent = ((h == 0) & (l == 0) & (k % 2 != 0)) | ((k == 0) & (l == 0) & (h % 2 != 0))
        absent |= (h == 0) & (k == 0) & (l % 4 != 0)
        keep = (inverse_d > 0) & (inverse_d <= 1 / self.d_min_angstrom) & ~absent
        h, k, l = np.maximum(h, k)[keep], np.minimum(h, k)[keep], l[keep]  # noqa: E741
        random = np.random.RandomState(self.seed)
        drawn = random.exponential(1.0, (most_a + 1, most_a + 1, most_c + 1))
        damping = np.exp(-self.b_factor * inverse_d[keep] ** 2 / 2)
        return hkl[keep], self.photons * drawn[h, k, l] * damping

    @property
    def edges(self) -> NDArray[np.float64]:
        """Edges of the cell, Å."""
        return np.array([self.a_angstrom, self.a_angstrom, self.c_angstrom])

    def met(
        self, orientation: NDArray[np.float64], wavelength_angstrom: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Directions ``(n, 3)`` of the reflections that light up, and their mean photons ``(n,)``.

        Parameters
        ----------
        orientation : rotation ``(3, 3)`` from the crystal's axes to the psana frame; the beam
            goes along -z.
        """
        hkl, photons = self.reflections
        lattice = (hkl / self.edges) @ orientation.T
        outgoing = lattice + np.array([0, 0, -1 / wavelength_angstrom])
        length = np.linalg.norm(outgoing, axis=1)
        inverse_d = np.linalg.norm(lattice, axis=1)
        depth = inverse_d**2 * wavelength_angstrom / 2  # of the point along the beam
        sigma = np.sqrt(
            (FWHM_TO_SIGMA / self.size_angstrom) ** 2
            + (np.deg2rad(self.mosaicity_deg) * inverse_d) ** 2
            + (self.bandwidth * depth) ** 2
        )
        away = (length - 1 / wavelength_angstrom) / sigma
        near = np.abs(away) < 3.5
        seen = photons[near] * np.exp(-(away[near] ** 2) / 2)
        return outgoing[near] / length[near, None], seen


def absorption_depth_um(
    path_um: NDArray[np.float64], attenuation_per_mm: float
) -> NDArray[np.float64]:
    """Mean way of a photon in the sensor, whose way through it is `path_um`.

    As dxtbx takes it (``attenuation_length``): photons that pass through count as 0.
    """
    mean_um = 1000 / attenuation_per_mm
    return mean_um - (path_um + mean_um) * np.exp(-path_um / mean_um)


def random_orientation(random: np.random.RandomState) -> NDArray[np.float64]:
    """Rotation ``(3, 3)``, uniform among all."""
    from scipy.spatial.transform import Rotation

    quaternion = random.normal(size=4)
    matrix: NDArray[np.float64] = Rotation.from_quat(quaternion).as_matrix()
    return matrix


class CrystalShots:
    """Spots of crystals in random orientations on a detector.

    Parameters
    ----------
    geometry : true geometry of the detector.
    plane_z_um : z of the plane that is `distance_mm` from the sample.
    """

    def __init__(
        self, crystal: Crystal, geometry: Geometry, distance_mm: float, plane_z_um: float
    ) -> None:
        self._crystal, self._detector = crystal, geometry.detector
        self._sample_um = np.array([0.0, 0.0, plane_z_um + 1000 * distance_mm])
        self._modules = [geometry.transform(module) for module in geometry.modules]

    def stamps(
        self, random: np.random.RandomState, wavelength_angstrom: float, intensity: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Photons of one shot of a crystal: flat pixel indices and photons, both ``(n,)``."""
        directions, photons = self._crystal.met(random_orientation(random), wavelength_angstrom)
        places = self._on_detector(directions, silicon_attenuation_per_mm(wavelength_angstrom))
        modules, rows, columns, of = (
            np.concatenate(values) for values in zip(*places, strict=True)
        )
        row, column = np.rint(rows).astype(np.int64), np.rint(columns).astype(np.int64)
        shift = np.stack([rows - row, columns - column])[..., None, None]
        mean = (photons[of] * intensity)[:, None, None]
        return stamps(random, modules, row, column, shift, mean)

    def _on_detector(
        self, directions: NDArray[np.float64], attenuation_per_mm: float
    ) -> list[tuple[NDArray[Any], ...]]:
        """Module, row and column (fractional) of rays from the sample, and which ray it is."""
        detector = self._detector
        rows, columns = detector.asic_shape
        places: list[tuple[NDArray[Any], ...]] = []
        for module, frame in enumerate(self._modules):
            normal = frame.rotation[:, 2]
            along = (frame.origin_um - self._sample_um) @ normal / (directions @ normal)
            path = self._detector.sensor_um / np.abs(directions @ normal)
            along += absorption_depth_um(path, attenuation_per_mm)
            hit = self._sample_um + along[:, None] * directions - frame.origin_um
            x, y = (hit @ frame.rotation).T[:2] / detector.pixel_um
            for asic in range(detector.asics_per_module):
                centre_x, centre_y = detector.asic_centre_px(asic)
                column = x - centre_x + (columns - 1) / 2
                row = (rows - 1) / 2 - (y - centre_y)
                inside = (along > 0) & (row > -0.5) & (row < rows - 0.5)
                ray = np.flatnonzero(inside & (column > -0.5) & (column < columns - 0.5))
                down, across = divmod(asic, detector.asic_grid[1])
                places.append(
                    (
                        np.full(ray.size, module),
                        row[ray] + down * rows,
                        column[ray] + across * columns,
                        ray,
                    )
                )
        return places
