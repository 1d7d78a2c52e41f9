"""Corrections of events agree with psana's, restated in numpy."""

import dataclasses

import numpy as np
import psana_in_numpy as psana
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.corrections import (
    CommonMode,
    Corrector,
    Gain,
    Pedestals,
    PixelGain,
    StatusMask,
)
from workbench.corrections.correction_loops import _count_pixels
from workbench.detectors import CSPAD, CSPAD_2X2
from workbench.detectors.base import equal_groups
from workbench.errors import ConstantsError

SMALL = (3, 185, 388)
TOLERANCE = 1e-5


def sensors(count):
    """Detector of so many CSPAD sensors."""
    return dataclasses.replace(CSPAD, name=f"{count} sensors", groups=equal_groups("Q", 1, count))


THREE = sensors(3)


def event(seed=0, shift=(0.0, 7.3, -12.6), spread=4.0, signal=0.02):
    """Raw pixels and pedestals of a few sections with common mode, noise and some photons."""
    rng = np.random.default_rng(seed)
    pedestals = rng.normal(1200, 60, SMALL).astype(np.float32)
    values = pedestals + rng.normal(0, spread, SMALL) + np.array(shift)[:, None, None]
    values += (rng.random(SMALL) < signal) * rng.exponential(300, SMALL)
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16), pedestals, rng


@pytest.mark.parametrize("seed", range(4))
def test_all_steps_agree_with_the_restatement(seed):
    raw, pedestals, rng = event(seed)
    status = (rng.random(SMALL) < 0.01).astype(np.int64) * 4
    low = rng.random(SMALL) < 0.3
    gains = rng.normal(1, 0.1, SMALL).astype(np.float32)
    parameters = (1, 25, 25, 100, 1)
    corrector = Corrector(
        THREE,
        Pedestals(pedestals),
        CommonMode(parameters, status == 0),
        Gain(6.85, low),
        PixelGain(gains),
        StatusMask(status == 0),
    )
    expected = psana.calibrate(
        raw, pedestals, status, parameters, np.where(low, 6.85, 1), gains, status == 0
    )
    found = corrector.apply(raw)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=3e-7)
    assert (found[status != 0] == 0).all()


def test_a_low_gain_pixel_of_gain_2_with_minus_18_adu_becomes_minus_246_6():
    raw = np.full((1, 185, 388), 1182, np.int16)
    corrector = Corrector(
        sensors(1),
        Pedestals(np.full(raw.shape, 1200, np.float32)),
        gain=Gain(6.85, np.ones(raw.shape, bool)),
        pixel_gain=PixelGain(np.full(raw.shape, 2, np.float32)),
    )
    np.testing.assert_allclose(corrector.apply(raw), -246.6, rtol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "with_status"),
    [
        ((1, 25, 25, 100, 1), True),
        ((1, 5, 25, 100, 1), True),  # beyond the limit: no correction by either algorithm
        ((1, 25, 3, 100, 1), True),  # too wide: the unbonded pixels instead
        ((1, 25, 25, 1e6, 1), True),  # no peak
        ((1, 25, 25, 0, 1), True),  # 100 is meant
        ((1, 25, 25, 100, 0), True),
        ((1, 25, 25, 100, 1), False),  # psana without pixel_status: all pixels bad
        ((1, 25, 25, 100), False),  # and without a fifth number: no correction
        ((1, 25, 25, 100), True),
        ((5, 50), True),
        ((5, 10, 10, 100, 1), False),
        ((0, 1, 2, 3), True),
        ((2, 50, 10, 128), True),
        ((2, 50, 5, 388), True),  # of rows; beyond the limit in one section of the three
        ((2, 50, 10, 0), True),  # 128 is meant
        ((2, 50, 10, 128), False),
        ((3, 50, 10, 128), True),
        ((3, 50, 100, 194, 9), True),
        ((3, 1e9, 5, 100000), True),  # more than a section
        ((3, -1e9, 5, 128), True),  # no pixel is below that
        ((3, 50, 10, 128), False),
    ],
)
def test_each_branch_of_the_common_mode(parameters, with_status):
    raw, pedestals, rng = event(3)
    status = (rng.random(SMALL) < 0.02).astype(np.int64) if with_status else None
    good = None if status is None else status == 0
    corrector = Corrector(THREE, Pedestals(pedestals), CommonMode(parameters, good))
    expected = psana.calibrate(raw, pedestals, status, parameters, None, None, None)
    np.testing.assert_allclose(corrector.apply(raw), expected, atol=TOLERANCE, rtol=3e-7)


def test_the_branches_above_do_different_things():
    raw, pedestals, _ = event(3)
    results = [
        psana.calibrate(raw, pedestals, status, parameters, None, None, None)
        for status, parameters in [
            (np.zeros(SMALL), (1, 25, 25, 100, 1)),
            (None, (1, 25, 25, 100, 1)),
            (None, (1, 25, 25, 100)),
        ]
    ]
    for i, one in enumerate(results):
        for other in results[i + 1 :]:
            assert not np.allclose(one, other, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shift=st.floats(-1300, 2500),
    spread=st.floats(0.01, 60),
    signal=st.floats(0, 1),
    p3=st.integers(-10, 3000),
)
def test_any_histogram_gives_the_restatement_s_common_mode(seed, shift, spread, signal, p3):
    raw, pedestals, _ = event(seed, (shift, shift / 40, 0.5), spread, signal)
    parameters = (1, 3000, 3000, p3, 1)
    good = np.ones(SMALL, bool)
    corrector = Corrector(THREE, Pedestals(pedestals), CommonMode(parameters, good))
    expected = psana.calibrate(raw, pedestals, ~good, parameters, None, None, None)
    np.testing.assert_allclose(corrector.apply(raw), expected, atol=2e-4, rtol=3e-7)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    algorithm=st.sampled_from([2, 3]),
    below=st.floats(-50, 500, width=32),
    limit=st.floats(0, 3000, width=32),
    length=st.integers(90, 80_000),
    shift=st.floats(-1300, 20_000),
)
def test_mean_and_median_of_pixels_in_a_row_are_those_of_the_restatement(
    seed, algorithm, below, limit, length, shift
):
    raw, pedestals, rng = event(seed, (shift, -shift / 40, 0.5))
    good = rng.random(SMALL) < 0.9
    parameters = (algorithm, below, limit, length)
    corrector = Corrector(THREE, Pedestals(pedestals), CommonMode(parameters, good))
    assert not corrector.by_module
    expected = psana.calibrate(raw, pedestals, ~good, parameters, None, None, None)
    np.testing.assert_allclose(corrector.apply(raw), expected, atol=2e-4, rtol=3e-7)


def test_rows_of_a_2x2_go_through_its_interleaved_pixels():
    rng = np.random.default_rng(8)
    raw = rng.integers(0, 60, (2, 185, 388)).astype(np.int16)
    good = rng.random(raw.shape) < 0.9
    corrector = Corrector(CSPAD_2X2, common_mode=CommonMode((2, 50, 100, 130), good))
    expected = np.ascontiguousarray(np.moveaxis(raw, 0, -1)).astype(np.float32)
    psana.subtract_in_rows(expected, np.moveaxis(good, 0, -1), 2, 50, 100, 130)
    found = corrector.apply(raw)
    np.testing.assert_allclose(found, np.moveaxis(expected, -1, 0), atol=TOLERANCE)


def test_halves_are_rounded_away_from_zero():
    raw = np.zeros((1, 185, 388), np.int16)
    half = np.full(raw.shape, 2.5, np.float32)
    half[0, :90] = -2.5
    corrector = Corrector(
        sensors(1), Pedestals(half), CommonMode((1, 25, 25, 100, 0), np.ones(raw.shape, bool))
    )
    expected = psana.calibrate(raw, half, np.zeros(raw.shape), (1, 25, 25, 100, 0), *[None] * 3)
    np.testing.assert_allclose(corrector.apply(raw), expected, atol=TOLERANCE)


def test_integers_find_the_bins_that_float32_finds():
    """Each raw value of int16, on pedestals that are whole, halves, below zero, anything."""
    raw = np.arange(-(2**15), 2**15).astype(np.int16).reshape(1, 1, -1)
    every = np.random.default_rng(5).normal(900, 900, 60).tolist()
    near_half = [3.5 - 1e-6, 700.5 + 6e-5, 2.0**-25 - 0.5, 1500.5 + 1.3e-4]
    pedestals = [0.0, 0.5, -0.5, 1200.25, 1200.5, 1200.75, -7.5, -20.3, 16000.5, 17000.0, np.nan]
    one_module = dataclasses.replace(
        CSPAD, module_shape=raw.shape[1:], groups=equal_groups("Q", 1, 1)
    )
    usable = []
    for pedestal in pedestals + near_half + every:
        offset = np.full(raw.shape, pedestal, np.float32)
        good = np.ones(raw.shape, bool)
        good[..., ::7] = False
        tables = Corrector(one_module, Pedestals(offset), CommonMode(good=good)).tables
        with_integers = _count_pixels(raw.reshape(-1), tables, 0)
        in_float32 = _count_pixels(raw.reshape(-1).astype(np.float32), tables, 0)
        np.testing.assert_array_equal(with_integers, in_float32, f"pedestal {pedestal}")
        usable.append(bool(tables.whole.usable[0]))
    assert usable[:9] == [True] * 9
    # float32 rounds a difference to a half, or the pedestal is none
    assert usable[9:15] == [False] * 5 + [True]


def test_steps_without_common_mode_are_linear_and_exact_in_float64():
    raw, pedestals, rng = event(5)
    low = rng.random(SMALL) < 0.5
    good = rng.random(SMALL) < 0.9
    corrector = Corrector(
        THREE, Pedestals(pedestals), None, Gain(6.85, low), None, StatusMask(good)
    )
    assert corrector.linear
    offset, factor = corrector.offset_and_factor
    np.testing.assert_array_equal(offset, pedestals)
    np.testing.assert_array_equal(factor, np.where(low, 6.85, 1) * good)
    np.testing.assert_allclose(corrector.apply(raw), factor * (raw - offset), rtol=1e-6, atol=1e-3)
    assert Corrector(THREE, Pedestals(pedestals), CommonMode((0, 0, 0, 0))).linear


def test_an_event_of_another_shape_is_refused():
    with pytest.raises(ConstantsError, match=r"shape \(2, 185, 388\)"):
        Corrector(THREE).apply(np.zeros((2, 185, 388), np.int16))


def test_an_unknown_algorithm_is_refused():
    for number in (4, 7, 1.5, -1):
        with pytest.raises(ConstantsError, match="not known"):
            CommonMode((number, 25, 25, 100))


def test_what_psana_does_silently_is_told():
    assert "all pixels as bad" in CommonMode((1, 25, 25, 100, 1), None).warnings[0]
    assert "fifth" in CommonMode((1, 25, 25, 100), None, "file").warnings[1]
    assert CommonMode((1, 25, 25, 100, 1), np.ones(SMALL, bool)).warnings == []
    assert CommonMode((5, 25), None).warnings == []
    assert "none is subtracted" in CommonMode((2, 25, 25, 128), None).warnings[0]
    assert CommonMode((3, 25, 25, 128), np.ones(SMALL, bool)).warnings == []
