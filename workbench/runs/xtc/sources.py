"""Names of sources: ``CxiDs1.0:Cspad.0`` and the number an XTC file holds for it.

Numbers from pdsdata ``xtc/DetInfo.hh`` and ``xtc/BldInfo.hh``.
"""

from __future__ import annotations

import re

from workbench.errors import DetectorNotFoundError

DETECTORS = [
    "NoDetector", "AmoIMS", "AmoGD", "AmoETOF", "AmoITOF", "AmoMBES", "AmoVMI", "AmoBPS",
    "Camp", "EpicsArch", "BldEb", "SxrBeamline", "SxrEndstation", "XppSb1Ipm", "XppSb1Pim",
    "XppMonPim", "XppSb2Ipm", "XppSb3Ipm", "XppSb3Pim", "XppSb4Pim", "XppGon", "XppLas",
    "XppEndstation", "AmoEndstation", "CxiEndstation", "XcsEndstation", "MecEndstation",
    "CxiDg1", "CxiDg2", "CxiDg3", "CxiDg4", "CxiKb1", "CxiDs1", "CxiDs2", "CxiDsu", "CxiSc1",
    "CxiDsd", "XcsBeamline", "CxiSc2", "MecXuvSpectrometer", "MecXrtsForw", "MecXrtsBack",
    "MecFdi", "MecTimeTool", "MecTargetChamber", "FeeHxSpectrometer", "XrayTransportDiagnostic",
    "Lamp", "MfxEndstation", "MfxDg1", "MfxDg2", "XrtDiag", "DetLab",
]  # fmt: skip
DEVICES = [
    "NoDevice", "Evr", "Acqiris", "Opal1000", "TM6740", "pnCCD", "Princeton", "Fccd", "Ipimb",
    "Encoder", "Cspad", "AcqTDC", "Xamps", "Cspad2x2", "Fexamp", "Gsc16ai", "Phasics", "Timepix",
    "Opal2000", "Opal4000", "OceanOptics", "Opal1600", "Opal8000", "Fli", "Quartz4A150", "Andor",
    "USDUSB", "OrcaFl40", "Imp", "Epix", "Rayonix", "EpixSampler", "Pimax", "Fccd960", "Epix10k",
    "Epix100a", "EpixS", "Gotthard", "DualAndor", "Wave8", "LeCroy", "ControlsCamera", "Archon",
    "Jungfrau", "Zyla", "Epix10ka", "Pixis", "Uxi", "Epix10ka2M", "StreakC7700", "Epix10kaQuad",
    "JungfrauSegment", "JungfrauSegmentM2", "JungfrauSegmentM3", "JungfrauSegmentM4", "iStar",
    "QuadAdc", "Alvium",
]  # fmt: skip
BEAMLINE = {0: "EBeam", 1: "PhaseCavity", 2: "FEEGasDetEnergy"}
LEVELS = ("Control", "Source", "Segment", "Event", "Recorder", "Observer", "Reporter")

_ADDRESS = re.compile(r"(\w+)[.-](\d+)[:|](\w+)[.-](\d+)")


def address_of(phy: int) -> str:
    """Name of a detector, e.g. ``CxiDs1.0:Cspad.0`` for 0x20000A00."""
    detector, device = phy >> 24, phy >> 8 & 0xFF
    left = DETECTORS[detector] if detector < len(DETECTORS) else f"Detector{detector}"
    right = DEVICES[device] if device < len(DEVICES) else f"Device{device}"
    return f"{left}.{phy >> 16 & 0xFF}:{right}.{phy & 0xFF}"


def source_name(log: int, phy: int) -> str:
    """Name of any source, by its level."""
    level = log >> 24
    if level == 1:
        return address_of(phy)
    if level == 6:
        return BEAMLINE.get(phy, f"beam line {phy}")
    return LEVELS[level] if level < len(LEVELS) else f"level {level}"


def phy_of(address: str) -> int | None:
    """Number of a detector given by name, None if it does not read as an address.

    ``CxiDs1.0:Cspad.0`` and the spelling ``CxiDs1-0|Cspad-0`` are understood, in any case.

    Raises
    ------
    DetectorNotFoundError
        If it reads as an address but there is no such detector or device.
    """
    match = _ADDRESS.fullmatch(address.strip())
    if match is None:
        return None
    left, detector_number, right, device_number = match.groups()
    detectors = {name.lower(): number for number, name in enumerate(DETECTORS)}
    devices = {name.lower(): number for number, name in enumerate(DEVICES)}
    for kind, name, known in (("location", left, detectors), ("device", right, devices)):
        if name.lower() not in known:
            raise DetectorNotFoundError(
                f"{address}: there is no {kind} {name!r} at LCLS; an address reads like "
                "CxiDs1.0:Cspad.0."
            )
    numbers = int(detector_number), int(device_number)
    if max(numbers) > 255:
        raise DetectorNotFoundError(f"{address}: the numbers in an address are 0 to 255.")
    detector, device = detectors[left.lower()], devices[right.lower()]
    return detector << 24 | numbers[0] << 16 | device << 8 | numbers[1]
