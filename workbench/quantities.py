"""Numbers that several rooms need."""

from __future__ import annotations

HC_EV_ANGSTROM = 12398.4187
"""Planck's constant times the speed of light: photon energy (eV) times wavelength (Å)."""
MAD_TO_SIGMA = 1.4826
"""Standard deviation of normal noise over the median of its absolute deviations."""
