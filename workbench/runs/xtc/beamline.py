"""Beam line data of an event: detector encoder (EPICS), photon energy (EBeam), event codes (EVR).

Layouts from psddldata ``epics.ddl.xml``, ``bld.ddl.xml`` and ``evr.ddl.xml``; process variables
and formulas are those of cctbx (``xfel/cxi/cspad_ana/cspad_tbx.py``), so that distance and
wavelength agree with images made by ``cxi.mpi_average``.
"""

from __future__ import annotations

import math
from struct import Struct, unpack_from

from workbench.quantities import HC_EV_ANGSTROM
from workbench.runs.xtc.datagram import USER_DEFINED, TypeId, Xtc, XtcFile

ELECTRON_REST_MEV = 0.51099891
UNDULATOR_PERIOD_ANGSTROM = 3.0e8
UNDULATOR_K = 3.5
MAX_VARIABLES = 65536
MAX_CODES = 1024
LEAST_EV, MOST_EV = 1.0, 1e6

_RBV_DS1, _DS1, _RBV_DS2 = "CXI:DS1:MMS:06.RBV", "CXI:DS1:MMS:06", "CXI:DS2:MMS:06.RBV"
ENCODERS = {
    "CxiDs1": (_RBV_DS1, _DS1, _RBV_DS2),
    "CxiDs2": (_RBV_DS2, _RBV_DS1, _DS1),
    "CxiDsd": (_RBV_DS2, _RBV_DS1, _DS1),
}
"""Process variables that hold the position along the beam (mm), the first known one counts."""
NO_ENCODER = ("XppGon", "XppEndstation", "MfxEndstation")
"""Locations without an encoder: cctbx takes 0 mm, the whole distance is the offset."""

# dbrType = 14 (TIME) or 28 (CTRL) + one of short 1, float 2, enum 3, char 4, long 5, double 6;
# the first value's format and its offset in TIME and CTRL records (EPICS db_access.h, where 8
# and 72 bytes of LCLS header come before the record)
_TIME, _CTRL = 14, 28
_VALUES = {
    1: (Struct("<h"), 22, 100),
    2: (Struct("<f"), 20, 120),
    3: (Struct("<H"), 22, 494),
    4: (Struct("<B"), 23, 93),
    5: (Struct("<i"), 20, 116),
    6: (Struct("<d"), 24, 152),
}
_LONGEST = 512
"""Bytes; no value wanted lies further on in an EPICS object."""
_PV = Struct("<3h")


class Epics:
    """The wanted process variables and their latest values."""

    def __init__(self, location: str) -> None:
        self._wanted = ENCODERS.get(location, ())
        self._fixed = 0.0 if location in NO_ENCODER else None
        self._names: dict[tuple[int, int, int], str] = {}
        self._values: dict[str, float] = {}

    def update(self, file: XtcFile, xtc: Xtc) -> None:
        """Take in one EPICS object: a control record names a variable, a time record is news."""
        if not self._wanted or xtc.size < 8 or xtc.damage:
            return
        payload = file.read(xtc.offset, min(xtc.size, _LONGEST))
        pv, kind, elements = _PV.unpack_from(payload)
        key = (xtc.log >> 24, xtc.phy, pv)
        if kind >= _CTRL:
            name = payload[6:70].split(b"\0")[0].decode("ascii", "replace")
            if name not in self._wanted or len(self._names) >= MAX_VARIABLES:
                self._names.pop(key, None)
                return
            self._names[key] = name
        else:
            known = self._names.get(key)
            if known is None:
                return
            name = known
        layout = _VALUES.get(kind - (_CTRL if kind >= _CTRL else _TIME))
        if layout is None or elements < 1:
            return
        form, time_offset, control_offset = layout
        start = control_offset if kind >= _CTRL else time_offset
        if xtc.size >= start + form.size:
            (value,) = form.unpack_from(payload, start)
            if math.isfinite(value):
                self._values[name] = float(value)

    @property
    def encoder_mm(self) -> float | None:
        """Position of the detector's encoder, mm; None if the run does not tell."""
        for name in self._wanted:
            if name in self._values:
                return self._values[name]
        return self._fixed


def is_ebeam(xtc: Xtc) -> bool:
    """True for usable electron beam data (damage by UserDefined alone is psana's exception)."""
    return (
        xtc.type_id == TypeId.EBEAM
        and xtc.level == 6
        and xtc.phy == 0
        and not xtc.damage & 0xFFFFFF & ~USER_DEFINED
        and not xtc.compressed
    )


def photon_energy(file: XtcFile, xtc: Xtc) -> float | None:
    """Photon energy in eV of an EBeam object; None if unknown.

    The recorded photon energy if it is positive, else from the electron energy E (MeV) by the
    undulator equation: γ = E / 0.51099891, λ = 3e8 Å / (2 γ²) · (1 + K²/2), K = 3.5.
    """
    payload = file.read(xtc.offset, min(xtc.size, 148))
    if xtc.version >= 6 and xtc.size >= 148:
        (energy,) = unpack_from("<d", payload, 140)
        if _plausible(energy):
            return float(energy)
    if xtc.size >= 20:
        (electron,) = unpack_from("<d", payload, 12)
        gamma = min(abs(electron), 1e9) / ELECTRON_REST_MEV
        period = UNDULATOR_PERIOD_ANGSTROM * (1 + UNDULATOR_K**2 / 2)
        energy = HC_EV_ANGSTROM * 2 * gamma**2 / period
        if electron > 0 and _plausible(energy):
            return float(energy)
    return None


def _plausible(energy_ev: float) -> bool:
    """Whether a photon energy can be meant (NaN and 0 mean: not measured)."""
    return LEAST_EV < energy_ev < MOST_EV


def wavelength(energy_ev: float | None) -> float | None:
    """Wavelength in Å of photons of this energy."""
    return None if energy_ev is None else HC_EV_ANGSTROM / energy_ev


def event_codes(file: XtcFile, xtc: Xtc) -> tuple[int, ...]:
    """Event codes of an EvrData object, in order."""
    if xtc.size < 4 or xtc.damage or xtc.compressed:
        return ()
    payload = file.read(xtc.offset, min(xtc.size, 4 + 12 * MAX_CODES))
    (count,) = unpack_from("<I", payload)
    count = min(count, (len(payload) - 4) // 12)
    return unpack_from(f"<{3 * count}I", payload, 4)[2::3]
