"""Datagrams and the objects nested in them (layout tables of the XTC format)."""

from struct import pack

import pytest
import xtc_builder as x

from workbench.errors import FileFormatError
from workbench.runs.xtc.datagram import (
    MAX_OBJECTS,
    Truncated,
    XtcFile,
    damage_names,
    read_datagrams,
)
from workbench.runs.xtc.sources import address_of, phy_of, source_name


def datagrams_of(tmp_path, content):
    path = tmp_path / "file.xtc"
    path.write_bytes(content)
    return list(read_datagrams(XtcFile(path)))


def objects_of(tmp_path, *children, **kwargs):
    (datagram,) = datagrams_of(tmp_path, x.dgram(x.L1, *children, **kwargs))
    return list(datagram.objects())


def test_header_fields(tmp_path):
    content = x.dgram(
        x.L1,
        sec=1234,
        ns=999_999_999,
        fid=0x1FFFE,
        ticks=0xABCDEF,
        vector=0x7FFF,
        env=5,
        extra=0x80,
    )
    (datagram,) = datagrams_of(tmp_path, content)
    assert datagram.clock == (1234, 999_999_999)  # nanoseconds come first in the file
    assert datagram.ticks == 0xABCDEF
    assert datagram.service == 12
    assert datagram.is_event
    assert datagram.fiducials == 0x1FFFE
    assert datagram.vector == 0x7FFF
    assert datagram.env == 5
    assert not datagram.trimmed


def test_the_next_datagram_is_20_bytes_plus_extent_further(tmp_path):
    first = x.dgram(x.CONFIGURE, x.xtc(0x00010002, bytes(100)))
    second = x.dgram(x.L1)
    found = datagrams_of(tmp_path, first + second)
    assert [datagram.offset for datagram in found] == [0, len(first)]
    assert found[0].end == len(first)


@pytest.mark.parametrize("control", [0x0C, 0x8C, 0x1C, 0x2C])
def test_the_transition_is_the_low_nibble_of_the_control_byte(tmp_path, control):
    content = pack("<5I", 0, x.T0, 7 | control << 24, 300, 0) + x.container()
    (datagram,) = datagrams_of(tmp_path, content)
    assert datagram.is_event
    assert (datagram.ticks, datagram.fiducials) == (7, 300)


def test_type_id_version_and_compression_flag(tmp_path):
    plain, packed = objects_of(tmp_path, x.xtc(0x0002001C, b""), x.xtc(0x8002001C, b""))
    assert (plain.type_id, plain.version, plain.compressed) == (28, 2, False)
    assert (packed.type_id, packed.version, packed.compressed) == (28, 2, True)


def test_objects_are_found_at_any_depth(tmp_path):
    inner = x.xtc(0x0004001C, b"abcd")
    for _ in range(300):
        inner = x.container(inner)
    first, last = objects_of(tmp_path, inner, x.xtc(0x0001000D, b""))
    assert first.type_id == 28
    assert last.type_id == 13


def test_containers_of_version_0_are_entered(tmp_path):
    (found,) = objects_of(tmp_path, x.container(x.xtc(15, b"", log=0x06000000), contains=1))
    assert found.type_id == 15
    assert found.level == 6


@pytest.mark.parametrize("depth", [0, 1])
def test_an_incomplete_container_is_not_looked_into(tmp_path, depth):
    inner = x.container(x.xtc(0x0002001C, b""), damage=1 << 15)
    for _ in range(depth):
        inner = x.container(inner)
    (found,) = objects_of(tmp_path, inner, x.xtc(0x0001000D, b""))
    assert found.type_id == 13


def test_a_container_that_contains_incomplete_ones_is_looked_into(tmp_path):
    assert len(objects_of(tmp_path, x.xtc(28, b""), damage=1 << 16)) == 1


@pytest.mark.parametrize("extent", [0, 1, 19, 10_000, 0xFFFFFFFF])
def test_an_impossible_extent_ends_its_container_only(tmp_path, extent):
    broken = x.container(x.xtc(1, b""), x.xtc(28, b"", extent=extent), x.xtc(29, b""))
    found = objects_of(tmp_path, broken, x.xtc(13, b""))
    assert [one.type_id for one in found] == [13]


def test_the_number_of_objects_looked_at_is_bounded(tmp_path):
    many = x.xtc(0, b"") * (MAX_OBJECTS + 5)
    assert len(objects_of(tmp_path, many)) <= MAX_OBJECTS


@pytest.mark.parametrize("cut", [1, 39, 40, 59, 100])
def test_a_truncated_last_datagram_is_told_with_its_place(tmp_path, cut):
    whole = x.dgram(x.CONFIGURE)
    path = tmp_path / "file.xtc"
    path.write_bytes(whole + x.dgram(x.L1, x.xtc(0x0002001C, bytes(200)))[:cut])
    datagrams = read_datagrams(XtcFile(path))
    assert next(datagrams).service == x.CONFIGURE
    with pytest.raises(Truncated, match=f"file.xtc, byte {len(whole)}: ") as error:
        next(datagrams)
    assert error.value.offset == len(whole)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89HDF\r\n\x1a\n" + bytes(200),
        b"###CBF: VERSION 1.7.11\r\n" + b"data_image\r\n" * 20,
        bytes(1000),
        bytes(range(256)) * 4,
        x.xtc(0x00020026, bytes(100)),  # an index file
    ],
    ids=["hdf5", "cbf", "zeros", "pattern", "index"],
)
def test_a_foreign_file_is_refused_at_byte_0(tmp_path, content):
    with pytest.raises(FileFormatError, match=r"byte 0: expected an XTC datagram.*not an XTC file"):
        datagrams_of(tmp_path, content)


@pytest.mark.parametrize("extent", [0, 19, (256 << 20) + 1, 0xFFFFFFFF])
def test_an_impossible_datagram_is_told_with_its_place(tmp_path, extent):
    good = x.dgram(x.CONFIGURE)
    bad = pack("<10I", 0, x.T0, 0x0C000000, 5, 0, 0, 0x03000000, 0, 0x00010001, extent) + bytes(80)
    with pytest.raises(FileFormatError, match=f"byte 40: .*found extent {extent}"):
        datagrams_of(tmp_path, good + bad)


def test_an_empty_file_has_no_datagrams(tmp_path):
    assert datagrams_of(tmp_path, b"") == []


@pytest.mark.parametrize(
    ("phy", "address"),
    [
        (0x20000A00, "CxiDs1.0:Cspad.0"),
        (0x14000A00, "XppGon.0:Cspad.0"),
        (0x0B000D02, "SxrBeamline.0:Cspad2x2.2"),
        (21 << 24 | 1 << 16 | 13 << 8, "XppLas.1:Cspad2x2.0"),
        (22 << 24 | 0xA00, "XppEndstation.0:Cspad.0"),
        (24 << 24 | 0xA00, "CxiEndstation.0:Cspad.0"),
        (25 << 24 | 0xA00, "XcsEndstation.0:Cspad.0"),
        (26 << 24 | 0xA00, "MecEndstation.0:Cspad.0"),
        (33 << 24 | 0xA00, "CxiDs2.0:Cspad.0"),
        (34 << 24 | 0xA00, "CxiDsu.0:Cspad.0"),
        (35 << 24 | 0xA00, "CxiSc1.0:Cspad.0"),
        (36 << 24 | 0xA00, "CxiDsd.0:Cspad.0"),
        (38 << 24 | 0xA00, "CxiSc2.0:Cspad.0"),
        (44 << 24 | 0xA00, "MecTargetChamber.0:Cspad.0"),
        (48 << 24 | 0xA00, "MfxEndstation.0:Cspad.0"),
        (52 << 24 | 0xA00, "DetLab.0:Cspad.0"),
        (0x09000000, "EpicsArch.0:NoDevice.0"),
        (0x00000100, "NoDetector.0:Evr.0"),
    ],
)
def test_addresses(phy, address):
    assert address_of(phy) == address
    assert phy_of(address) == phy
    assert phy_of(address.replace(".", "-").replace(":", "|").lower()) == phy


ALL_DETECTORS = """
0 NoDetector,1 AmoIMS,2 AmoGD,3 AmoETOF,4 AmoITOF,5 AmoMBES,6 AmoVMI,7 AmoBPS,8 Camp,9 EpicsArch,
10 BldEb,11 SxrBeamline,12 SxrEndstation,13 XppSb1Ipm,14 XppSb1Pim,15 XppMonPim,16 XppSb2Ipm,
17 XppSb3Ipm,18 XppSb3Pim,19 XppSb4Pim,20 XppGon,21 XppLas,22 XppEndstation,23 AmoEndstation,
24 CxiEndstation,25 XcsEndstation,26 MecEndstation,27 CxiDg1,28 CxiDg2,29 CxiDg3,30 CxiDg4,
31 CxiKb1,
32 CxiDs1,33 CxiDs2,34 CxiDsu,35 CxiSc1,36 CxiDsd,37 XcsBeamline,38 CxiSc2,39 MecXuvSpectrometer,
40 MecXrtsForw,41 MecXrtsBack,42 MecFdi,43 MecTimeTool,44 MecTargetChamber,45 FeeHxSpectrometer,
46 XrayTransportDiagnostic,47 Lamp,48 MfxEndstation,49 MfxDg1,50 MfxDg2,51 XrtDiag,52 DetLab
"""
"""Written out from the table of the format (pdsdata DetInfo), not from the package."""


def test_the_number_of_every_detector_and_device():
    devices = {0: "NoDevice", 1: "Evr", 10: "Cspad", 13: "Cspad2x2", 35: "Epix100a", 43: "Jungfrau"}
    entries = [entry.split() for entry in ALL_DETECTORS.split(",")]
    assert [int(number) for number, _ in entries] == list(range(53))
    for number, name in entries:
        for device, device_name in devices.items():
            phy = int(number) << 24 | 2 << 16 | device << 8 | 5
            assert address_of(phy) == f"{name}.2:{device_name}.5"
            assert phy_of(f"{name}.2:{device_name}.5") == phy


def test_names_of_other_sources():
    assert source_name(0x06000000, 0) == "EBeam"
    assert source_name(0x06000000, 1) == "PhaseCavity"
    assert source_name(0x06000000, 2) == "FEEGasDetEnergy"
    levels = [source_name(level << 24 | 0x1234, 0x7F000001) for level in (0, 2, 3, 4, 5)]
    assert levels == ["Control", "Segment", "Event", "Recorder", "Observer"]
    assert source_name(0x02000000, 0x7F000001) == "Segment"
    assert source_name(0x01001234, 0x20000A00) == "CxiDs1.0:Cspad.0"
    assert address_of(0xFF00FE00) == "Detector255.0:Device254.0"
    assert phy_of("DscCsPad") is None


def test_names_of_damage():
    assert damage_names(1 << 1 | 1 << 15) == ["DroppedContribution", "IncompleteContribution"]
    assert damage_names(0xF1000000 | 1 << 14) == ["UserDefined", "user 0xF1"]
    assert damage_names(1 << 11 | 1 << 12 | 1 << 13 | 1 << 16) == [
        "Uninitialized", "OutOfOrder", "OutOfSynch", "ContainsIncomplete",
    ]  # fmt: skip
