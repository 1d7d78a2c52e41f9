"""Whatever is encoded can be decoded: any order of quadrants, any sensors, any gain map."""

import struct

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from workbench.simulate import xtc_format as form

numbers = some.integers(0, 2**32 - 1)
PIXELS = np.arange(32, dtype=np.int16)[:, None, None] * 100 + np.zeros((32, 185, 388), np.int16)
PIXELS[:, 0, 0] = np.arange(32)


@settings(max_examples=25, deadline=None)
@given(order=some.permutations(range(4)), roi=some.integers(0, 2**32 - 1))
def test_elements_hold_the_chosen_sensors_in_the_given_order(order, roi):
    payload = b"".join(
        form.cspad_elements(PIXELS, fiducials=9, sequence=1, order=order, roi_mask=roi)
    )
    place = 0
    for quadrant in order:
        assert struct.unpack_from("<I", payload, place + 4)[0] >> 24 & 3 == quadrant
        stored = [s for s in range(8) if roi >> (8 * quadrant + s) & 1]
        for number, sensor in enumerate(stored):
            first = struct.unpack_from("<hh", payload, place + 32 + 143560 * number)
            assert first == (8 * quadrant + sensor, 100 * (8 * quadrant + sensor))
        place += 36 + 143560 * len(stored)
    assert place == len(payload)


@settings(max_examples=20, deadline=None)
@given(seed=some.integers(0, 2**32 - 1), fraction=some.floats(0, 1))
def test_gain_map_bits_are_one_for_high_gain(seed, fraction):
    low = np.random.default_rng(seed).random((32, 185, 388)) < fraction
    bits = form.gain_map_bits(low)
    for sensor in (0, 7, 19, 31):
        quadrant, section = divmod(sensor, 8)
        left = bits[quadrant] >> (2 * section) & 1
        right = bits[quadrant] >> (2 * section + 1) & 1
        assert np.array_equal(np.hstack([left, right]) == 0, low[sensor])


@given(
    seconds=numbers,
    nanoseconds=some.integers(0, 10**9 - 1),
    fiducials=some.integers(0, 131039),
    ticks=some.integers(0, 2**24 - 1),
    vector=some.integers(0, 2**20),
    env=numbers,
    transition=some.sampled_from(list(form.Transition)),
    payload=some.binary(max_size=40),
)
def test_header_fields_do_not_leak_into_each_other(
    seconds, nanoseconds, fiducials, ticks, vector, env, transition, payload
):
    root = form.xtc(form.Kind.EPICS, (0x01000007, 0x20000A00), payload, damage=0x4000)
    data = form.datagram(
        transition, root, seconds=seconds, nanoseconds=nanoseconds, fiducials=fiducials,
        ticks=ticks, vector=vector, env=env,
    )  # fmt: skip
    words = struct.unpack_from("<10I", data)
    assert words[:2] == (nanoseconds, seconds), "nanoseconds come first"
    assert (words[2] & 0xFFFFFF, words[2] >> 24) == (ticks, transition)
    assert (words[3] & 0x1FFFF, words[3] >> 17) == (fiducials, vector & 0x7FFF)
    assert words[4:9] == (env, 0x4000, 0x01000007, 0x20000A00, 13 | 1 << 16)
    assert words[9] == 20 + len(payload)
    assert data[40:] == payload


@given(codes=some.lists(some.integers(0, 255), max_size=20), fiducials=some.integers(0, 131039))
def test_event_codes_are_kept(codes, fiducials):
    payload = form.evr_data(codes, fiducials)
    words = struct.unpack(f"<{1 + 3 * len(codes)}I", payload)
    assert words[0] == len(codes)
    assert list(words[3::3]) == codes
    assert set(words[1::3]) <= {fiducials}


@given(energy=some.floats(1000, 25000))
def test_electron_energy_fits_the_photon_energy(energy):
    """The undulator equation gives the recorded photon energy back."""
    electron, photon = (struct.unpack_from("<d", form.ebeam(energy), at)[0] for at in (12, 140))
    gamma = electron / 0.51099891
    wavelength = 3.0e8 / (2 * gamma**2) * (1 + 3.5**2 / 2)
    assert photon == energy
    assert abs(12398.4187 / wavelength / energy - 1) < 1e-9
