"""Numbers and ways to write numbers that several rooms need."""

from __future__ import annotations

import math
from collections.abc import Iterable

HC_EV_ANGSTROM = 12398.4187
"""Planck's constant times the speed of light: photon energy (eV) times wavelength (Å), with the
digits the LCLS programs use."""
MAD_TO_SIGMA = 1.4826
"""Standard deviation of normal noise over the median of its absolute deviations."""


def thousands(value: float) -> str:
    """Whole number as people read it, ``12 345``, with narrow spaces at which no line ends."""
    return f"{value:,.0f}".replace(",", "\u202f")


def plus_minus(sigmas: Iterable[float]) -> str:
    """Standard deviations as they follow the values, `` ± (0.02, 0.13)``.

    None is printed as 0.00; empty if one is not finite.
    """
    shown = [max(float(sigma), 0.01) for sigma in sigmas]
    if not all(map(math.isfinite, shown)):
        return ""
    return f" ± ({', '.join(f'{sigma:.2f}' for sigma in shown)})"


def size_text(octets: float) -> str:
    """File size for people: ``18.4 MB``."""
    if octets < 1000:
        return f"{octets:.0f} B"
    for unit in ("kB", "MB", "GB"):
        octets /= 1000
        if octets < 1000:
            return f"{octets:.1f} {unit}"
    return f"{octets / 1000:.1f} TB"
