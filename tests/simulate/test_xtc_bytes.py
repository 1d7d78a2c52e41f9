"""The files are XTC to the byte: parsed here by struct alone, with no code of the package."""

import struct
from collections import namedtuple

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.simulate import xtc_format
from workbench.simulate.truth import ENCODER_MM, make_truth
from workbench.simulate.xtc_writer import RunWriter

CONFIGURE, BEGIN_RUN, END_RUN, BEGIN_CYCLE, END_CYCLE, ENABLE, DISABLE, EVENT = (
    4, 6, 7, 8, 9, 10, 11, 12)  # fmt: skip
CSPAD_PHY = 0x20000A00
Datagram = namedtuple("Datagram", "service seconds nanoseconds fiducials vector env objects")
Object = namedtuple("Object", "damage log phy type version payload depth")


def objects_in(data, depth=0):
    """All data objects in a sequence of XTCs; containers are entered."""
    found, place = [], 0
    while place < len(data):
        damage, log, phy, contains, extent = struct.unpack_from("<5I", data, place)
        assert extent >= 20
        assert extent % 4 == 0
        payload = data[place + 20 : place + extent]
        assert len(payload) == extent - 20
        if contains & 0xFFFF == 1:
            assert log >> 24 == (3 if depth == 0 else 2)
            found += objects_in(payload, depth + 1)
        else:
            found.append(
                Object(damage, log, phy, contains & 0xFFFF, contains >> 16, payload, depth)
            )
        place += extent
    assert place == len(data)
    return found


def datagrams_in(path):
    data, place, found = memoryview(path.read_bytes()), 0, []
    while place < len(data):
        nanoseconds, seconds, low, high, env = struct.unpack_from("<5I", data, place)
        (extent,) = struct.unpack_from("<I", data, place + 36)
        assert low >> 28 == 0, "sequence type Event, not extended"
        found.append(
            Datagram(low >> 24, seconds, nanoseconds, high & 0x1FFFF, high >> 17, env,
                     objects_in(data[place + 20 : place + 20 + extent]))
        )  # fmt: skip
        place += 20 + extent
    assert place == len(data)
    return found


def one(datagram, kind):
    found = [item for item in datagram.objects if item.type == kind]
    assert len(found) == 1, f"{len(found)} objects of type {kind}"
    return found[0]


@pytest.fixture(scope="module")
def bright(sample):
    """Datagrams of run 74 by (stream, chunk)."""
    return {
        (stream, chunk): datagrams_in(sample.xtc_dir / f"e780-r0074-s{stream:02d}-c{chunk:02d}.xtc")
        for stream in (0, 1)
        for chunk in (0, 1)
    }


def test_three_runs_of_two_streams_and_two_chunks(sample):
    names = sorted(path.name for path in sample.xtc_dir.iterdir())
    assert names == [
        f"e780-r00{run}-s0{stream}-c0{chunk}.xtc"
        for run in (54, 74, 75)
        for stream in (0, 1)
        for chunk in (0, 1)
    ]


@pytest.mark.parametrize("stream", [0, 1])
def test_configure_stands_in_the_first_chunk_only(bright, stream):
    first = [item.service for item in bright[stream, 0]]
    assert first == [CONFIGURE, BEGIN_RUN, BEGIN_CYCLE, ENABLE, EVENT]
    second = [item.service for item in bright[stream, 1]]
    assert second == [ENABLE, EVENT, DISABLE, END_CYCLE, END_RUN]


def test_both_streams_repeat_the_transitions_with_the_same_clock(bright):
    for chunk, shared in ((0, 4), (1, 3)):
        clocks = []
        for stream in (0, 1):
            transitions = [item for item in bright[stream, chunk] if item.service != EVENT]
            clocks.append([item[:3] for item in transitions[-shared:]])
        assert clocks[0] == clocks[1]


def test_begin_run_tells_the_run_number(bright):
    assert [item.env for item in bright[0, 0] if item.service == BEGIN_RUN] == [74]


def test_clocks_increase_and_events_alternate_between_streams(bright):
    for stream in (0, 1):
        clocks = [d[1:3] for chunk in (0, 1) for d in bright[stream, chunk]]
        assert clocks == sorted(clocks)
    events = sorted(
        (d.seconds, d.nanoseconds, stream, d.fiducials, d.vector)
        for (stream, _), datagrams in bright.items()
        for d in datagrams
        if d.service == EVENT
    )
    assert [event[2] for event in events] == [0, 1, 0, 1]
    assert [event[4] for event in events] == [1, 2, 3, 4]
    steps = np.diff([event[3] for event in events])
    assert set(steps % 131040) == {3}, "120 Hz shots in 360 Hz fiducials"


def test_configuration_is_cspad_config_v5_with_the_gain_map(bright):
    truth = make_truth(7)
    low_gain = truth.sensor.low_gain.reshape(4, 8, 185, 388)
    for stream in (0, 1):
        config = one(bright[stream, 0][0], 29)
        assert (config.version, config.phy, config.log >> 24) == (5, CSPAD_PHY, 1)
        assert len(config.payload) == 287928
        code, payload_per_quad = (
            struct.unpack_from("<I", config.payload, place)[0] for place in (8, 64)
        )
        assert (code, payload_per_quad) == (40, 1148516)
        assert struct.unpack_from("<3I", config.payload, 76) == (0xF, 0xF, 0xFFFFFFFF)
        for quad in range(4):
            start = 88 + 71960 * quad + 180
            words = np.frombuffer(config.payload, "<u2", 185 * 194, start).reshape(185, 194)
            for asic in range(16):
                half = slice(194 * (asic % 2), 194 * (asic % 2) + 194)
                expected = low_gain[quad, asic // 2, :, half]
                assert np.array_equal((words >> asic & 1) == 0, expected)
    assert 10_000 < low_gain.sum() < 200_000
    assert low_gain.any(axis=(1, 2, 3)).all(), "each quadrant has part of the region"


def test_elements_name_their_quadrant_and_hold_14_bits(bright):
    orders = set()
    for datagrams in bright.values():
        for datagram in datagrams:
            if datagram.service != EVENT:
                continue
            element = one(datagram, 28)
            assert (element.version, element.phy, element.damage) == (2, CSPAD_PHY, 0)
            assert len(element.payload) == 4 * 1148516
            quads = []
            for place in range(0, len(element.payload), 1148516):
                word = struct.unpack_from("<I", element.payload, place + 4)[0]
                quads.append(word >> 24 & 3)
                assert (
                    struct.unpack_from("<I", element.payload, place + 16)[0] == datagram.fiducials
                )
                pixels = np.frombuffer(element.payload, "<i2", 8 * 185 * 388, place + 32)
                assert pixels.min() >= 0
                assert pixels.max() <= 16383
            assert sorted(quads) == [0, 1, 2, 3]
            orders.add(tuple(quads))
    assert len(orders) > 1, "quadrants come in any order, as from the real readout"


def test_encoder_is_named_in_configure_and_read_in_events(bright):
    control = one(bright[0, 0][0], 13).payload
    number, kind, count = struct.unpack_from("<3h", control)
    name = bytes(control[6:70]).split(b"\0")[0].decode()
    assert (kind, count, name) == (34, 1, "CXI:DS1:MMS:06.RBV")
    assert struct.unpack_from("<d", control, 152)[0] == ENCODER_MM
    config = one(bright[0, 0][0], 54).payload
    assert struct.unpack_from("<ih", config) == (1, number)
    assert len(config) == 4 + 72
    event = next(d for d in bright[0, 0] if d.service == EVENT)
    time = one(event, 13).payload
    assert struct.unpack_from("<3h", time) == (number, 20, 1)
    assert struct.unpack_from("<I", time, 12)[0] + 631152000 == event.seconds
    assert struct.unpack_from("<d", time, 24)[0] == pytest.approx(ENCODER_MM, abs=0.01)


def test_photon_energy_comes_with_light_only(sample, bright):
    event = next(d for d in bright[1, 0] if d.service == EVENT)
    beam = one(event, 15)
    assert (beam.version, beam.log >> 24, beam.phy, len(beam.payload)) == (7, 6, 0, 164)
    assert struct.unpack_from("<d", beam.payload, 140)[0] == pytest.approx(9500, abs=30)
    assert 14500 < struct.unpack_from("<d", beam.payload, 12)[0] < 14750
    dark = datagrams_in(sample.xtc_dir / "e780-r0054-s00-c00.xtc")
    assert not [item for d in dark for item in d.objects if item.type == 15]


def test_event_codes_carry_the_fiducial_and_tell_beam_from_dark(sample, bright):
    codes = {}
    dark = datagrams_in(sample.xtc_dir / "e780-r0054-s00-c00.xtc")
    for name, datagrams in (("dark", dark), ("bright", bright[0, 0])):
        event = next(d for d in datagrams if d.service == EVENT)
        payload = one(event, 19).payload
        (count,) = struct.unpack_from("<I", payload)
        words = np.frombuffer(payload, "<u4", 3 * count, 4).reshape(count, 3)
        assert (words[:, 0] == event.fiducials).all()
        codes[name] = set(words[:, 2])
    assert codes["bright"] & codes["dark"] == {40, 41}
    assert 140 in codes["bright"]


def test_fiducials_start_again_after_131039(tmp_path):
    with RunWriter(tmp_path, 1, start_s=10**9, streams=1, first_fiducial=131037) as writer:
        writer.event(None)
        writer.event(None)
    events = [d for d in datagrams_in(writer.paths[0]) if d.service == EVENT]
    assert [d.fiducials for d in events] == [131037, 0]


def test_alias_names_the_detector(bright):
    payload = one(bright[0, 0][0], 69).payload
    count, _, phy = struct.unpack_from("<3I", payload)
    assert (count, phy, len(payload)) == (1, CSPAD_PHY, 44)
    assert bytes(payload[12:43]).split(b"\0")[0] == b"DscCsPad"


def test_absent_sensors_are_left_out_of_the_element():
    pixels = np.arange(32, dtype=np.int16)[:, None, None] + np.zeros((32, 185, 388), np.int16)
    payload = b"".join(
        xtc_format.cspad_elements(pixels, fiducials=3, sequence=1, order=(3,), roi_mask=0x81 << 24)
    )
    assert len(payload) == 36 + 143560 * 2
    stored = np.frombuffer(payload, "<i2", 2 * 185 * 388, 32).reshape(2, 185, 388)
    assert stored[:, 0, 0].tolist() == [24, 31]


@pytest.mark.parametrize("address", ["CxiDs1:Cspad", "Nowhere.0:Cspad.0", "CxiDs1.0:Cspad.x", ""])
def test_an_address_it_cannot_encode_is_refused(address):
    with pytest.raises(WorkbenchError, match="CxiDs1"):
        xtc_format.source(address)


def test_files_of_an_interrupted_run_disappear(tmp_path):
    def interrupted():
        with RunWriter(tmp_path, 3, start_s=10**9) as writer:
            writer.event(None)
            assert all(path.name.endswith(".xtc.inprogress") for path in tmp_path.iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())
