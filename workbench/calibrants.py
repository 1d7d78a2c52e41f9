"""Powder rings of calibrants: d-spacings from the lattice, intensities from a simple model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Ring:
    """One powder ring: lattice spacing in Å and intensity relative to the other rings."""

    d_angstrom: float
    intensity: float


BEHENATE_D001 = 58.380
"""Silver behenate, Huang et al., J. Appl. Cryst. 26 (1993) 180."""
LATTICE_ANGSTROM = {
    "LaB6": 4.15689,  # NIST SRM 660a
    "CeO2": 5.41129,  # NIST SRM 674a
    "Si": 5.43102,  # NIST SRM 640
}
CALIBRANTS = ("AgBeh", *LATTICE_ANGSTROM)


def calibrant_rings(name: str, d_min: float = 1.2) -> tuple[Ring, ...]:
    """Rings of ``AgBeh``, ``LaB6``, ``CeO2`` or ``Si`` with spacings of at least `d_min` Å.

    The strongest has the intensity 1. Intensities are multiplicity × |F|² × d² (the Lorentz factor
    of a powder for small angles) with a common fall-off; structure factors count electrons.
    Silver behenate has its (00l) orders only, slowly falling off.

    Raises
    ------
    WorkbenchError
        If the calibrant is not known.
    """
    if name == "AgBeh":
        orders = range(1, int(BEHENATE_D001 / d_min) + 1)
        return tuple(Ring(BEHENATE_D001 / n, 0.955 ** (n - 1)) for n in orders)
    if name not in LATTICE_ANGSTROM:
        raise WorkbenchError(f"Calibrant {name!r} is not known; choose {', '.join(CALIBRANTS)}.")
    lattice = LATTICE_ANGSTROM[name]
    strengths: dict[int, float] = {}
    limit = int(lattice / d_min) + 1
    for h, k, index in product(range(-limit, limit + 1), repeat=3):
        squares = h * h + k * k + index * index
        if 0 < squares <= (lattice / d_min) ** 2:
            strengths[squares] = strengths.get(squares, 0.0) + _structure(name, (h, k, index))
    rings = [
        Ring(lattice / squares**0.5, strength * 0.94**squares / squares)
        for squares, strength in sorted(strengths.items())
        if strength > 0
    ]
    strongest = max(ring.intensity for ring in rings)
    return tuple(Ring(ring.d_angstrom, ring.intensity / strongest) for ring in rings)


def as_rings(rings: str | Sequence[Ring | tuple[float, float]]) -> tuple[Ring, ...]:
    """Rings from a calibrant's name, or from rings or (d in Å, intensity) pairs."""
    if isinstance(rings, str):
        return calibrant_rings(rings)
    return tuple(ring if isinstance(ring, Ring) else Ring(*ring) for ring in rings)


def _structure(name: str, hkl: tuple[int, int, int]) -> float:
    """|F|² in squared electrons, of the cell's heavy atoms (fluorite: all atoms)."""
    if name == "LaB6":  # primitive cubic: every reflection, boron adds little
        return 57.0**2
    if len({index % 2 for index in hkl}) == 2:
        return 0.0  # face-centred: mixed parity is absent
    odd, quarter = hkl[0] % 2 == 1, sum(hkl) % 4 == 0
    if name == "CeO2":  # fluorite
        return (4 * 58.0 if odd else 4 * (58.0 + 16.0) if quarter else 4 * (58.0 - 16.0)) ** 2
    return 32 * 14.0**2 if odd else 64 * 14.0**2 if quarter else 0.0  # diamond
