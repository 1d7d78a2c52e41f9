"""Bytes of LCLS-I XTC objects: datagrams, containers, CSPAD, EPICS, EBeam, EVR, aliases.

Layouts from the public sources of pdsdata (``xtc/``, ``psddl/cspad.ddl.xml``, ``epics``, ``bld``,
``evr``, ``alias``). All numbers are little-endian; there is no framing beyond the lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from struct import Struct, pack

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import CSPAD
from workbench.errors import WorkbenchError
from workbench.quantities import HC_EV_ANGSTROM

FIDUCIALS = 131040
"""Fiducials (360 Hz pulse numbers) run from 0 to 131039, then start again."""

EVENT_LEVEL, SEGMENT_LEVEL, SOURCE_LEVEL, REPORTER_LEVEL = 3, 2, 1, 6

_DGRAM = Struct("<5I")
_XTC = Struct("<5I")


class Transition(IntEnum):
    """What a datagram announces."""

    CONFIGURE = 4
    BEGIN_RUN = 6
    END_RUN = 7
    BEGIN_CALIB_CYCLE = 8
    END_CALIB_CYCLE = 9
    ENABLE = 10
    DISABLE = 11
    EVENT = 12


class Kind(IntEnum):
    """Type ids with the version written here in the upper half."""

    CONTAINER = 1 | 1 << 16
    EPICS = 13 | 1 << 16
    EBEAM = 15 | 7 << 16
    EVR_DATA = 19 | 4 << 16
    CSPAD_ELEMENT = 28 | 2 << 16
    CSPAD_CONFIG = 29 | 5 << 16
    EPICS_CONFIG = 54 | 1 << 16
    ALIASES = 69 | 1 << 16
    JUNGFRAU_CONFIG = 107 | 4 << 16
    JUNGFRAU_ELEMENT = 108 | 2 << 16
    EPIX10KA2M_CONFIG = 117 | 2 << 16
    EPIX10KA_ARRAY = 118 | 1 << 16


DETECTORS = {
    "NoDetector": 0, "EpicsArch": 9, "XppGon": 20, "XppEndstation": 22, "CxiEndstation": 24,
    "XcsEndstation": 25, "MecEndstation": 26, "CxiDs1": 32, "CxiDs2": 33, "CxiDsd": 36,
    "MecTargetChamber": 44, "MfxEndstation": 48, "DetLab": 52,
}  # fmt: skip
DEVICES = {
    "NoDevice": 0, "Evr": 1, "Cspad": 10, "Cspad2x2": 13, "Jungfrau": 43, "Epix10ka2M": 48,
}  # fmt: skip


def source(address: str, process: int = 0x2710) -> tuple[int, int]:
    """``log`` and ``phy`` of a detector, e.g. of ``CxiDs1.0:Cspad.0``.

    Raises
    ------
    WorkbenchError
        If the address is not ``<detector>.<n>:<device>.<n>`` with names known here.
    """
    try:
        detector, device = address.split(":")
        (place, place_id), (kind, kind_id) = detector.split("."), device.split(".")
        phy = DETECTORS[place] << 24 | int(place_id) << 16 | DEVICES[kind] << 8 | int(kind_id)
    except (ValueError, KeyError):
        raise WorkbenchError(
            f"Address {address!r} cannot be written; expected e.g. CxiDs1.0:Cspad.0."
        ) from None
    return SOURCE_LEVEL << 24 | process, phy


def node(level: int, process: int, address: int) -> tuple[int, int]:
    """``log`` and ``phy`` of a DAQ process at an IPv4 address."""
    return level << 24 | process, address


EBEAM_SOURCE = (REPORTER_LEVEL << 24 | 0x7A3C, 0)


def xtc(
    kind: int, where: tuple[int, int], payload: bytes | Iterable[bytes] = b"", damage: int = 0
) -> bytes:
    """One XTC object: 20 bytes of header and its payload (parts are joined)."""
    if not isinstance(payload, bytes | bytearray | memoryview):
        payload = b"".join(payload)
    return _XTC.pack(damage, where[0], where[1], kind, 20 + len(payload)) + payload


def datagram(
    transition: int,
    root: bytes,
    *,
    seconds: int,
    nanoseconds: int,
    fiducials: int = FIDUCIALS - 1,
    ticks: int = 0,
    vector: int = 0,
    env: int = 0,
) -> bytes:
    """One datagram: clock, stamp and env before the root XTC. Nanoseconds come first."""
    low = (ticks & 0xFFFFFF) | (transition & 0xF) << 24
    high = (fiducials & 0x1FFFF) | (vector & 0x7FFF) << 17
    return _DGRAM.pack(nanoseconds, seconds, low, high, env & 0xFFFFFFFF) + root


# ---- CSPAD ------------------------------------------------------------------------------------

_CONFIG_HEAD = 88  # CsPad::ConfigV5 before its quadrants
_QUAD_BYTES = 71960  # CsPad::ConfigV3QuadReg
_QUAD_GAIN = 180  # offset of the gain map in it
ELEMENT_BYTES = 36 + 2 * CSPAD.modules_per_group * CSPAD.rows * CSPAD.columns


def cspad_config(low_gain: NDArray[np.bool_] | None = None) -> bytes:
    """Payload of CsPad::ConfigV5 (287928 bytes).

    Parameters
    ----------
    low_gain : bool ``(32, 185, 388)``, True = low gain; None: high gain everywhere.
    """
    head = Struct("<22I").pack(
        0xC1010105,  # concentratorVersion
        21650,  # runDelay, 119 MHz ticks
        40,  # eventCode
        *(80, 1200) * len(CSPAD.groups),  # protection thresholds: ADC value, number of pixels
        1,  # protectionEnable
        1,  # inactiveRunMode: running without trigger
        3,  # activeRunMode: run and send data
        0,  # internalTriggerDelay
        4,  # testDataIndex
        ELEMENT_BYTES,
        0,  # badAsicMask0
        0,  # badAsicMask1
        0xF,  # asicMask
        0xF,  # quadMask
        0xFFFFFFFF,  # roiMask: all sensors
    )
    assert len(head) == _CONFIG_HEAD
    bits = gain_map_bits(low_gain)
    return head + b"".join(
        _quadrant_config(bits[quadrant]) for quadrant in range(len(CSPAD.groups))
    )


def _quadrant_config(gain_map: NDArray[np.uint16]) -> bytes:
    registers = (
        *(4,) * 4, *(0,) * 4,  # shiftSelect, edgeSelect
        2, 1, 4, 3, 280, 530, 480, 0, 0, 3,  # readClkSet … rowColShiftPer
        0, 2, 25, 3, 4,  # ampReset, digCount, digPeriod, biasTuning, pdpmndnmBalance
        *(0x12345678, 0xB0000085),  # read only: shiftTest, version
    )  # fmt: skip
    pots = bytes([0xBA, 0xB8, 0xC8, 0xAC] * 20)
    parts = pack(f"<{len(registers)}I", *registers) + pots
    parts += b"\0" * (_QUAD_GAIN - len(parts))
    return (parts + gain_map.astype("<u2").tobytes()).ljust(_QUAD_BYTES, b"\0")


def gain_map_bits(low_gain: NDArray[np.bool_] | None) -> NDArray[np.uint16]:
    """Gain maps as the configuration holds them: uint16 ``(4, 185, 194)``.

    Bit k belongs to ASIC k of the quadrant (sensor k // 2, left or right half); 1 = high gain.
    """
    bits = np.zeros((len(CSPAD.groups), CSPAD.rows, CSPAD.asic_shape[1]), dtype=np.uint16)
    if low_gain is None:
        return ~bits
    asics = low_gain.reshape(
        len(CSPAD.groups), CSPAD.modules_per_group, CSPAD.rows, 2, CSPAD.asic_shape[1]
    )
    for sensor in range(CSPAD.modules_per_group):
        for half in range(2):
            high = ~asics[:, sensor, :, half, :]
            bits |= (high.astype(np.uint16)) << np.uint16(2 * sensor + half)
    return bits


def cspad_elements(
    pixels: NDArray[np.int16],
    *,
    fiducials: int,
    sequence: int,
    order: Sequence[int] = (0, 1, 2, 3),
    ticks: int = 0,
    roi_mask: int = 0xFFFFFFFF,
) -> list[bytes]:
    """Payload of CsPad::DataV2 in parts: one element per quadrant, in any `order`.

    Parameters
    ----------
    pixels : int16 ``(32, 185, 388)``, values 0 … 16383.
    roi_mask : sensors that are stored; must be that of the configuration.
    """
    quads = np.ascontiguousarray(pixels, dtype="<i2").reshape(
        len(CSPAD.groups), CSPAD.modules_per_group, CSPAD.rows, CSPAD.columns
    )
    parts: list[bytes] = []
    for lane, quadrant in enumerate(order):
        stored = [s for s in range(CSPAD.modules_per_group) if roi_mask >> (8 * quadrant + s) & 1]
        parts.append(
            pack(
                "<5I4HI",
                1 | lane << 6 | (sequence & 0xFFFFFF) << 8,  # virtual channel, lane, tid
                (sequence & 0xFFFF) | quadrant << 24,  # acq_count, op_code, quad
                sequence,
                ticks,
                fiducials,
                *(9230, 9254, 9198, 9241),  # sb_temp: raw thermistor readings
                0,  # frame_type
            )
        )
        parts.append(quads[quadrant][stored].tobytes())
        parts.append(b"\0" * 4)  # two unused words end each element
    return parts


# ---- beam line --------------------------------------------------------------------------------


def epics_config(descriptions: Sequence[str]) -> bytes:
    """Payload of Epics::ConfigV1: description of each variable, by id, sent once a second."""
    records = [
        pack("<h64s2xf", number, _text(words, 64), 1.0) for number, words in enumerate(descriptions)
    ]
    return pack("<i", len(records)) + b"".join(records)


def epics_control(number: int, name: str, value: float) -> bytes:
    """Payload of an EPICS CTRL record of a double in mm: gives the variable `number` its name."""
    limits = (0.0,) * 8
    return pack(
        "<3h64s2x4h8s8dd", number, 34, 1, _text(name, 64), 0, 0, 4, 0, _text("mm", 8), *limits,
        value,
    )  # fmt: skip


def epics_time(number: int, value: float, seconds: int, nanoseconds: int) -> bytes:
    """Payload of an EPICS TIME record of a double; seconds since 1970."""
    return pack("<3h2x2h2Iid", number, 20, 1, 0, 0, seconds - 631152000, nanoseconds, 0, value)


def ebeam(photon_energy_ev: float) -> bytes:
    """Payload of Bld::BldDataEBeamV7 (164 bytes); the electron energy fits the photon energy."""
    # undulator equation: λ = 3 cm / (2 γ²) · (1 + K² / 2), K = 3.5; as cctbx inverts it
    gamma_squared = 3.0e8 * (1 + 3.5**2 / 2) / 2 * photon_energy_ev / HC_EV_ANGSTROM
    electron_mev = 0.51099891 * gamma_squared**0.5
    charge_nc = 0.18
    values = (
        charge_nc, electron_mev, 0.012, -0.031, 0.0004, -0.0002,  # charge, energy, LTU
        4100.0, -0.05, 230.0, 0.02,  # bunch compressors: peak currents and energies
        0.003, -0.007, 0.0001, 0.0003,  # undulator launch
        45.0, 88.0, charge_nc * 0.97,  # XTCAV amplitude and phase, charge at the dump
        photon_energy_ev, 0.11, -0.09,  # photon energy, LTU 250 and 450
    )  # fmt: skip
    return pack("<I20d", 0, *values)


def evr_data(codes: Sequence[int], fiducials: int, ticks: int = 0) -> bytes:
    """Payload of EvrData::DataV4: event codes received with a shot."""
    records = (pack("<3I", fiducials, ticks, code) for code in codes)
    return pack("<I", len(codes)) + b"".join(records)


def aliases(names: Mapping[str, tuple[int, int]]) -> bytes:
    """Payload of Alias::ConfigV1: names of sources given as (log, phy)."""
    records = (pack("<2I31sx", *where, _text(name, 31)) for name, where in names.items())
    return pack("<I", len(names)) + b"".join(records)


def _text(text: str, size: int) -> bytes:
    return text.encode("ascii")[: size - 1]
