"""ePix10k2M and quad: files written byte by byte from psddldata's ``epix.ddl``, then read."""

import numpy as np
import pytest
from epix10ka_builder import ADDRESS, MFX_QUAD, config, data, frame
from xtc_builder import run_bytes, write, xtc

import workbench as wb
from workbench.averages.collect import BESIDE_PIXELS_BYTES
from workbench.errors import DetectorNotFoundError, FileFormatError


def open_run(folder, events, cfg, modules=16, address=None):
    write(folder, run_bytes(events, cfg=cfg), prefix="mfxtest")
    return wb.open_run("mfxtest", 74, address or ADDRESS[modules], xtc_dir=folder)


@pytest.mark.parametrize(("modules", "version"), [(16, 1), (16, 2), (4, 1), (4, 2)])
def test_every_pixel_is_where_the_description_of_the_format_puts_it(tmp_path, modules, version):
    frames = [frame(modules, seed) for seed in range(2)]
    run = open_run(tmp_path, [[data(each)] for each in frames], [config(modules, version)], modules)
    events = list(run.events())
    assert run.detector.shape == (modules, 352, 384)
    np.testing.assert_array_equal([event.raw for event in events], frames)
    assert events[0].raw.dtype == np.uint16
    assert run.describe()["configuration"].endswith(f"ConfigV{version}")


def test_gain_codes_are_bits_2_and_3_of_the_pixel_and_the_trbit_of_its_asic(tmp_path):
    bits = np.zeros((4, 352, 384), int)
    bits[0, 3, 5], bits[1, 200, 300], bits[2, 351, 383] = 4, 8, 0xF
    run = open_run(tmp_path, [[data(frame(4))]], [config(4, 2, bits, (0, 1, 0, 0))], 4)
    code = np.zeros((4, 352, 384), int)
    code[0, 3, 5], code[1, 200, 300], code[2, 351, 383] = 1, 2, 3
    code[:, :176, 192:] += 4  # ASIC 1 is the one at the top right, psana UtilsEpix10ka
    assert np.array_equal(run.gain_code, code)


@pytest.mark.parametrize(
    ("trbits", "rows", "columns"),
    [((1, 0, 0, 0), slice(176, 352), slice(192, 384)), ((0, 0, 1, 0), slice(176), slice(192)),
     ((0, 0, 0, 1), slice(176, 352), slice(192))],
)  # fmt: skip
def test_each_asic_has_its_quarter_of_the_module(tmp_path, trbits, rows, columns):
    run = open_run(tmp_path, [[data(frame(4))]], [config(4, 1, trbits=trbits)], 4)
    expected = np.full((4, 352, 384), 3)
    expected[:, rows, columns] += 4
    assert np.array_equal(run.gain_code, expected)


def test_pixels_fixed_in_low_gain_count_as_such(tmp_path):
    bits = np.full((4, 352, 384), 0xC)
    bits[2] = 8
    run = open_run(tmp_path, [[data(frame(4))]], [config(4, 2, bits)], 4)
    assert run.low_gain.all(axis=(1, 2)).tolist() == [False, False, True, False]
    assert not run.low_gain[[0, 1, 3]].any()


@pytest.mark.parametrize(
    ("cfg", "message"),
    [(config(4, version=3), "expected Epix10kaQuadConfig version 1 or 2, found version 3"),
     (xtc(2 << 16 | 120, bytes(1000), phy=MFX_QUAD), "expected 1087292 bytes .* found 1000")],
    ids=["version", "short"],
)  # fmt: skip
def test_a_configuration_that_cannot_be_read_is_told_in_one_sentence(tmp_path, cfg, message):
    with pytest.raises(FileFormatError, match=message):
        open_run(tmp_path, [[data(frame(4))]], [cfg], 4)


@pytest.mark.parametrize(
    ("element", "message"),
    [(lambda: data(frame(4)[:3], phy=MFX_QUAD), "expected 4 modules of an ePix10ka quad"),
     (lambda: data(frame(16), phy=MFX_QUAD), "16 modules"),
     (lambda: data(frame(4), version=2), "expected Epix10kaArray version 1, found version 2")],
    ids=["module missing", "of another detector", "version"],
)  # fmt: skip
def test_data_that_contradict_their_configuration_are_left_out_and_said(tmp_path, element, message):
    run = open_run(tmp_path, [[element()], [data(frame(4))]], [config(4)], 4)
    first, second = run.events()
    assert [event.raw is None for event in (first, second)] == [True, False]
    assert message in " ".join(run.problems)


def test_averages_read_an_event_into_memory_that_is_used_again(tmp_path):
    run = open_run(tmp_path, [[data(frame(16))]], [config(16)])
    memory = np.empty(2 * run.detector.pixels + BESIDE_PIXELS_BYTES, np.uint8)
    event = next(iter(run.events()))
    assert event.load(memoryview(memory))
    assert np.shares_memory(event.modules[0].pixels, memory)


def test_of_two_detectors_in_a_run_each_is_read_by_its_address(tmp_path):
    pair = [config(16), config(4)]
    both = [data(frame(16)), data(frame(4))]
    quad = open_run(tmp_path, [both], pair, 4)
    large = wb.open_run("mfxtest", 74, ADDRESS[16], xtc_dir=tmp_path)
    assert [next(iter(run.events())).raw.shape[0] for run in (quad, large)] == [4, 16]
    with pytest.raises(DetectorNotFoundError, match=r"there are: .*Epix10ka2M.0, .*Epix10kaQuad"):
        wb.open_run("mfxtest", 74, "CxiDs1.0:Cspad.0", xtc_dir=tmp_path)
