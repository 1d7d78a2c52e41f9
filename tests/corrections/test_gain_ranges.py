"""Detectors that choose their gain by pixel and event: held to psana's rule in plain numpy."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.averages.accumulators import make_accumulator
from workbench.constants import constants_folder, write_constants
from workbench.corrections import (
    corrected_unit,
    make_corrector,
    unit_of_steps,
)
from workbench.corrections.gain_range_loops import subtract_common_mode
from workbench.corrections.gain_ranges import BankCommonMode, RangeCorrector, range_tables
from workbench.detectors import CSPAD, EPIX10KA_QUAD, JUNGFRAU_05M
from workbench.errors import ConstantsError, FileFormatError
from workbench.recipe import Corrections
from workbench.runs import ModulePixels

QUAD = dataclasses.replace(EPIX10KA_QUAD, name="small quad", module_shape=(32, 64))
SHAPE = QUAD.shape
FULL = (7, *SHAPE)


def psana_ranges(code, raw):
    """psana's ``gain_maps_epix10ka_any``: control bits 2, 3 and 4 are our gain code."""
    control = code.astype(int) << 2 | (raw & 0x4000).astype(int) >> 9
    maps = np.full(raw.shape, -1)
    for number, (mask, value) in enumerate(
        [(28, 28), (28, 12), (12, 8), (60, 16), (60, 0), (60, 48), (60, 32)]
    ):
        maps[control & mask == value] = number
    return maps


def psana_common_mode(values, member, mode, limit, least):
    """psana's ``UtilsCommonMode`` on one module, with numpy's masked medians."""

    def subtract(block, use, axis):
        median = np.ma.median(np.ma.array(block, mask=~use), axis=axis)
        median = np.where(use.sum(axis=axis) > least, np.ma.filled(median, 0), 0)
        median = np.where(np.abs(median) < limit, median, 0)
        block -= np.where(use, np.expand_dims(median, axis), 0).astype(np.float32)

    halves = [slice(0, 176), slice(176, 352)]
    banks = [slice(48 * bank, 48 * bank + 48) for bank in range(8)]
    if mode & 4:
        for rows in halves:
            for columns in banks:
                block, use = values[rows, columns], member[rows, columns]
                median = np.median(block[use]) if use.sum() >= least else 0
                block[use] -= np.float32(median if abs(median) < limit else 0)
    if mode & 1:
        for columns in banks:
            subtract(values[:, columns], member[:, columns], 1)
    if mode & 2:
        for rows in halves:
            subtract(values[rows], member[rows], 0)
    return values


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(5)
    code = random.integers(0, 8, SHAPE).astype(np.uint8)
    raw = random.integers(0, 1 << 16, SHAPE).astype(np.uint16)
    offset = random.normal(3000, 200, FULL).astype(np.float32)
    factor = random.uniform(0.5, 30, FULL).astype(np.float32)
    return SimpleNamespace(code=code, raw=raw, offset=offset, factor=factor)


def expected(data, raw=None):
    """Corrected data without common mode, NaN where there is no range."""
    raw = data.raw if raw is None else raw
    ranges = psana_ranges(data.code, raw)
    at = (np.maximum(ranges, 0), *np.indices(SHAPE))
    values = ((raw & 0x3FFF).astype(np.float32) - data.offset[at]) * data.factor[at]
    return np.where(ranges < 0, np.nan, values)


def corrector(data, good=None, common_mode=None):
    return RangeCorrector(
        QUAD, range_tables(QUAD, data.code, data.offset, data.factor, good, common_mode)
    )


def test_each_pixel_has_pedestal_and_gain_of_the_range_that_psana_gives_it(data):
    assert set(np.unique(psana_ranges(data.code, data.raw))) == set(range(-1, 7))
    corrected = corrector(data).apply(data.raw)
    np.testing.assert_array_equal(corrected, np.nan_to_num(expected(data)))


@pytest.mark.parametrize("mode", [1, 2, 4, 7])
def test_common_mode_is_the_median_of_banks_rows_and_columns_as_in_psana(mode):
    random = np.random.default_rng(mode)
    values = random.normal(0, 3, (352, 384)).astype(np.float32)
    values[:176, 48:96] += 20  # a bank
    values[:, 5] += 9
    values[7] += 60  # beyond the limit
    member = random.random((352, 384)) < 0.7
    member[:, 100] = False
    member[20, :48] = random.random(48) < 0.2  # about as few as are needed
    wanted = psana_common_mode(values.copy(), member, mode, 50.0, 10)
    subtract_common_mode(
        values.reshape(-1), member.astype(np.uint8).reshape(-1), (352, 384), (2, 8), mode,
        np.float32(50), 10,
    )  # fmt: skip
    np.testing.assert_allclose(values, wanted, atol=2e-6)


def test_only_good_pixels_in_high_and_medium_gain_share_the_common_mode(data):
    code = np.full(SHAPE, 4, np.uint8)  # automatic, high to low
    raw = np.full(SHAPE, 3010, np.uint16)
    raw[:, ::3] = 0x4000 | 5000  # these switched
    good = np.ones(SHAPE, bool)
    good[0, 1], raw[0, 1] = False, 3500
    flat = SimpleNamespace(code=code, offset=3000.0, factor=np.ones(()))
    corrected = corrector(flat, good, BankCommonMode((7, 2, 100, 5))).apply(raw)
    assert (corrected[0, 1] == 500).all()
    assert (corrected[1, ::3] == 2000).all()
    assert (corrected[1, 1::3] == 0).all()


def test_averages_leave_out_a_pixel_whose_gain_bits_stand_for_no_range(data):
    random = np.random.default_rng(2)
    frames = [random.integers(0, 1 << 15, SHAPE).astype(np.uint16) for _ in range(4)]
    events = [
        SimpleNamespace(raw=frame, modules=(ModulePixels((0, 1, 2, 3), frame),)) for frame in frames
    ]
    sums = make_accumulator(events[:2], SHAPE, corrector(data))
    for part in (events[:2], events[2:]):
        pending = make_accumulator(part, SHAPE, corrector(data), sums).load(part)
        pending.add()
        pending.added()
    statistics = sums.statistics()
    stack = np.stack([expected(data, frame) for frame in frames]).astype(np.float64)
    there = ~np.isnan(stack[0])
    assert statistics.count == 4
    np.testing.assert_array_equal(statistics.pixel_count, 4 * there)
    np.testing.assert_allclose(statistics.mean[there], stack.mean(axis=0)[there], rtol=1e-12)
    np.testing.assert_allclose(
        np.sqrt(statistics.variance()[there]), stack.std(axis=0)[there], rtol=1e-9, atol=1e-6
    )
    np.testing.assert_array_equal(statistics.maximum[there], stack.max(axis=0)[there])
    np.testing.assert_array_equal(statistics.minimum[there], stack.min(axis=0)[there])


def test_a_pixel_is_averaged_over_the_events_in_which_it_has_a_value():
    """Tiles of the compiled loops with and without such pixels, in blocks of any size."""
    detector = dataclasses.replace(JUNGFRAU_05M, name="small", module_shape=(64, 192))
    random = np.random.default_rng(8)
    frames = random.integers(2900, 3100, (11, *detector.shape)).astype(np.uint16)
    frames[:, :, 8:40] |= random.integers(0, 2, (11, 1, 32, 192), np.uint16) * 3 << 14
    frames[[0, 6], 0, 3, 5] |= 2 << 14
    frames[:5, 0, 50, 7] |= 2 << 14
    frames[:, 0, 63, 191] |= 2 << 14
    offset = random.normal(3000, 9, (3, *detector.shape)).astype(np.float32)
    factor = np.array([1, -30, -400], np.float32)[:, None, None, None]
    tables = range_tables(detector, np.zeros(detector.shape, np.uint8), offset, factor, None, None)
    whole = RangeCorrector(detector, tables)
    events = [SimpleNamespace(modules=(ModulePixels((0,), frame),)) for frame in frames]
    sums = None
    for part in (events[:1], events[1:6], events[6:]):
        sums = make_accumulator(part, detector.shape, whole, sums)
        pending = sums.load(part)
        pending.add()
        pending.added()
    statistics = sums.statistics()
    there = frames >> 14 != 2
    stack = np.where(there, [whole.apply(frame).astype(np.float64) for frame in frames], np.nan)
    some = there.any(axis=0)
    np.testing.assert_array_equal(statistics.pixel_count, there.sum(axis=0))
    assert statistics.pixel_count[0, 50, 7] == 6
    assert statistics.mean[0, 63, 191] == 0
    mean, stddev = np.nanmean(stack[:, some], axis=0), np.nanstd(stack[:, some], axis=0)
    np.testing.assert_allclose(statistics.mean[some], mean, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(np.sqrt(statistics.variance()[some]), stddev, rtol=1e-9)
    np.testing.assert_array_equal(statistics.maximum[some], np.nanmax(stack[:, some], axis=0))
    np.testing.assert_array_equal(statistics.minimum[some], np.nanmin(stack[:, some], axis=0))


# ---- from a calibration directory -------------------------------------------------------------


def write_kind(calib_dir, kind, of_ranges, form="{}"):
    folder = constants_folder(calib_dir, QUAD.address, kind)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [(f"{form.format(value)} " * 64 + "\n") * (4 * 32) for value in of_ranges]
    (folder / "0-end.data").write_text("".join(lines))
    return folder / "0-end.data"


def run(calib_dir, code=4):
    return SimpleNamespace(
        experiment="mfxtest", number=9, address=QUAD.address, calib_dir=calib_dir, detector=QUAD,
        source="XTC", gain_code=None if code is None else np.full(SHAPE, code, np.uint8),
    )  # fmt: skip


RAW = np.full(SHAPE, 3500, np.uint16)
RAW[0] = 0x4000 | 4000


@pytest.fixture
def calib_dir(tmp_path):
    write_kind(tmp_path, "pedestals", [3000, 3100, 3200, 3300, 3400, 3500, 3600])
    return tmp_path


def test_without_gain_constants_all_ranges_are_on_the_scale_of_high_gain(calib_dir):
    made = make_corrector(Corrections(), run(calib_dir))
    corrected = made.apply(RAW)
    np.testing.assert_allclose(corrected[0], 500 * 100, rtol=1e-6)
    assert (corrected[1:] == 200).all()
    assert [step["step"] for step in made.describe()] == ["pedestals", "gain ranges"]
    assert made.describe()[1]["factors"]["AHL-L"] == pytest.approx(100)


def test_gain_constants_divide_and_status_masks_of_any_range(calib_dir):
    write_kind(calib_dir, "pixel_gain", [16, 5, 0.16, 8, 5, 0.125, 0])
    status = write_kind(calib_dir, "pixel_status", [0, 0, 0, 0, 0, 0, 0])
    lines = status.read_text().splitlines(keepends=True)
    lines[2 * 4 * 32 + 3 * 32] = "2 " + "0 " * 63 + "\n"  # range FL, module 3, row 0, column 0
    status.write_text("".join(lines))
    corrected = make_corrector(
        Corrections(pixel_gain=True, status_mask=True, common_mode=True), run(calib_dir)
    ).apply(RAW)
    assert (corrected[0] == 500 / 0.125).all()
    assert corrected[3, 0, 0] == 0
    assert corrected[3, 0, 1] == 200 / 8


def test_the_unit_is_kev_where_gain_constants_serve_the_run(calib_dir):
    in_kev, without = Corrections(pixel_gain=True), Corrections()
    assert corrected_unit(in_kev, run(calib_dir)) == "ADU"
    write_kind(calib_dir, "pixel_gain", [16, 5, 0.16, 8, 5, 0.125, 1])
    for settings, unit in ((in_kev, "keV"), (without, "ADU")):
        steps = make_corrector(settings, run(calib_dir)).describe()
        assert corrected_unit(settings, run(calib_dir)) == unit_of_steps(QUAD, steps) == unit
    cspad = SimpleNamespace(**vars(run(calib_dir)) | {"detector": CSPAD})
    assert corrected_unit(in_kev, cspad) == "ADU"


def test_raw_data_lose_their_gain_bits_and_nothing_else(tmp_path):
    assert (make_corrector(Corrections.none(), run(None)).apply(RAW)[0] == 4000).all()


def test_the_factor_for_low_gain_is_not_used_and_that_is_said(calib_dir):
    made = make_corrector(Corrections(gain=7.2), run(calib_dir))
    assert (made.apply(RAW)[1] == 200).all()
    assert "7.2" in made.warnings[0]
    assert not make_corrector(Corrections(gain=6.85), run(calib_dir)).warnings


def test_no_common_mode_is_subtracted_without_a_file_and_that_is_said(calib_dir):
    made = make_corrector(Corrections(common_mode=True), run(calib_dir))
    assert "No common_mode file serves run 9" in made.warnings[0]


def test_constants_of_the_wrong_shape_are_told_in_one_sentence(tmp_path):
    path = write_kind(tmp_path, "pedestals", [3000, 3100, 3200])
    with pytest.raises(FileFormatError, match=r"found 24576 numbers; .* 7 gain ranges × 4 × 32"):
        make_corrector(Corrections(), run(tmp_path))
    assert path.exists()


def test_data_whose_files_do_not_tell_the_configuration_are_not_corrected(calib_dir):
    with pytest.raises(ConstantsError, match="do not tell how the pixels"):
        make_corrector(Corrections(), run(calib_dir, code=None))


def test_a_common_mode_file_of_another_form_is_refused(calib_dir):
    folder = constants_folder(calib_dir, QUAD.address, "common_mode")
    folder.mkdir()
    (folder / "0-end.data").write_text("1 25 25 100 1\n")
    with pytest.raises(ConstantsError, match="expected 'algorithm mode limit pixels'"):
        make_corrector(Corrections(common_mode=True), run(calib_dir))


def test_jungfrau_takes_bits_00_01_and_11_and_gives_no_value_for_10():
    """The rule of psana's ``calib_jungfrau_single_panel``."""
    small = dataclasses.replace(JUNGFRAU_05M, name="small", module_shape=(16, 32))
    raw = np.random.default_rng(3).integers(0, 1 << 16, small.shape).astype(np.uint16)
    offset = np.random.default_rng(4).normal(3000, 900, (3, *small.shape)).astype(np.float32)
    factor = np.array([0.024, -0.72, -9.1], np.float32)[:, None, None, None]
    tables = range_tables(small, np.zeros(small.shape, np.uint8), offset, factor, None, None)
    corrected = RangeCorrector(small, tables).apply(raw)
    bits = raw >> 14
    at = (np.array([0, 1, 0, 2])[bits], *np.indices(small.shape))
    factors = np.broadcast_to(factor, offset.shape)
    wanted = ((raw & 0x3FFF).astype(np.float32) - offset[at]) * factors[at]
    np.testing.assert_array_equal(corrected, np.where(bits == 2, 0, wanted))
    assert (bits == 2).any()


def test_constants_of_one_range_are_not_written_as_those_of_all(tmp_path):
    with pytest.raises(ConstantsError, match=r"must have the shape \(7, 4, 352, 384\)"):
        write_constants(
            np.zeros(EPIX10KA_QUAD.shape), tmp_path / "0-end.data", QUAD.address, "pedestals"
        )
