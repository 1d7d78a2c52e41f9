"""CSPAD configurations and data: every layout, every part that may be missing."""

import numpy as np
import pytest
import xtc_builder as x

from workbench.detectors import CSPAD_2X2
from workbench.errors import DetectorNotFoundError, FileFormatError


def only_event(run):
    (event,) = run.events()
    return event


def modules_of(event):
    return [part.modules for part in event.modules]


def quadrants_of(event):
    return [part.modules[0] // 8 for part in event.modules]


def one(opened, *objects, cfg=None, **kwargs):
    return only_event(opened(x.run_bytes([list(objects)], cfg=cfg), **kwargs))


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_configuration_size_and_gain_map(opened, version):
    gains = np.full((4, 185, 194), 0xFFFF, np.uint16)
    # bit k is ASIC k: section k // 2, left or right half; 0 is low gain
    gains[1, 3, 4] &= ~np.uint16(1 << 5)
    gains[3, 184, 193] &= ~np.uint16(1 << 14)
    run = opened(
        x.run_bytes([[x.full(x.frame(), version=1)]], cfg=[x.config(version, gains=gains)])
    )
    assert len(x.config(version)) - 20 == x.CONFIG[version][0]
    expected = np.zeros((32, 185, 388), bool)
    expected[8 + 2, 3, 194 + 4] = True
    expected[24 + 7, 184, 193] = True
    np.testing.assert_array_equal(run.low_gain, expected)
    assert not run.low_gain.flags.writeable


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_the_masks_of_each_configuration_version(opened, version):
    """AsicMask, quadMask and roiMask lie elsewhere in each version; V1 has no roiMask."""
    frame = x.frame()
    short = [x.element(q, frame[8 * q : 8 * q + 2]) for q in (2, 1)]
    event = one(opened, x.data(short, version=1), cfg=[x.config(version, quad_mask=6, asic_mask=1)])
    assert modules_of(event) == [(8, 9), (16, 17)]
    if version > 1:
        regions = [x.element(3, frame[24:26]), x.element(0, frame[3:4])]
        cfg = [x.config(version, quad_mask=9, roi=0x03000008)]
        event = one(opened, x.data(regions), cfg=cfg)
        assert modules_of(event) == [(3,), (24, 25)]
        np.testing.assert_array_equal(event.raw[[3, 24, 25]], frame[[3, 24, 25]])


def test_sizes_of_a_full_detector():
    payload = x.full(x.frame())[20:]
    assert len(x.element(0, x.frame()[:8])) == 1_148_516
    assert len(payload) == 4_594_064
    assert len(x.dgram(x.L1, x.container(x.full(x.frame())))) == 4_594_144


@pytest.mark.parametrize("field", ["virtual channel", "counters", "frame type"])
def test_only_the_quadrant_of_an_element_header_counts(opened, field):
    frame = x.frame()
    elements = []
    for quad in (1, 0, 3, 2):
        element = bytearray(x.element(quad, frame[8 * quad : 8 * quad + 8]))
        if field == "virtual channel":
            element[0:4] = b"\xff\xff\xff\xff"
        elif field == "counters":
            element[4:7] = b"\xff\xff\xff"  # acq_count and op_code, beside the quadrant
            element[7] = 0xFC | quad  # bits 26-31 are not the quadrant
            element[8:20] = b"\xff" * 12
        else:
            element[20:32] = b"\xff" * 12
        elements.append(bytes(element))
    np.testing.assert_array_equal(one(opened, x.data(elements)).raw, frame)


@pytest.mark.parametrize(
    "kind", [2, 8, 10, 14, 16, 22, 23, 51, 54, 70, 71, 79, 89, 90, 91, 500, 0xFFFF]
)
def test_other_types_are_passed_over_by_their_extent(opened, kind):
    """Also the obsolete CspadCompressedElement (51), and types nobody has seen."""
    frame = x.frame()
    other = x.xtc(3 << 16 | kind, b"\xff" * 40)
    event = one(opened, other, x.container(other, x.full(frame), other), other)
    np.testing.assert_array_equal(event.raw, frame)


@pytest.mark.parametrize("asic", range(16))
def test_each_gain_bit_is_one_asic(opened, asic):
    gains = np.full((4, 185, 194), 0xFFFF ^ 1 << asic, np.uint16)
    run = opened(x.run_bytes([[x.full(x.frame())]], cfg=[x.config(gains=gains)]))
    low = run.low_gain.reshape(4, 8, 185, 2, 194)
    assert low[:, asic // 2, :, asic % 2].all()
    assert low.sum() == 4 * 185 * 194


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
@pytest.mark.parametrize("version", [1, 2])
def test_quadrants_are_told_by_their_header_not_their_place(opened, order, version):
    frame = x.frame()
    event = one(opened, x.full(frame, order, version))
    np.testing.assert_array_equal(event.raw, frame)


def test_sparse_quadrants_and_sections(opened):
    """quadMask 0xB, quad 1 with sections 0-3, quad 3 with section 7: the rest is 0."""
    frame = x.frame()
    roi = 0xFF | 0x0F << 8 | 0xFF << 16 | 0x80 << 24
    parts = [x.element(3, frame[31:32]), x.element(0, frame[:8]), x.element(1, frame[8:12])]
    event = one(opened, x.data(parts), cfg=[x.config(quad_mask=0xB, roi=roi)])
    expected = np.zeros_like(frame)
    expected[:12], expected[31] = frame[:12], frame[31]
    np.testing.assert_array_equal(event.raw, expected)
    assert modules_of(event) == [tuple(range(8)), (8, 9, 10, 11), (31,)]
    assert not event.complete
    out = np.full_like(frame, -5)
    event.copy_raw_into(out)
    np.testing.assert_array_equal(out, expected)


def test_stored_sections_are_the_set_bits_in_ascending_order(opened):
    frame = x.frame()
    kept = [1, 4, 6]
    event = one(
        opened, x.data([x.element(2, frame[[16 + s for s in kept]])]),
        cfg=[x.config(quad_mask=4, roi=0b01010010 << 16)],
    )  # fmt: skip
    assert modules_of(event) == [(17, 20, 22)]
    for section in range(8):
        expected = frame[16 + section] if section in kept else 0
        assert (event.raw[16 + section] == expected).all()


def test_data_v1_with_4_asics_hold_sections_0_and_1(opened):
    frame = x.frame()
    parts = [x.element(q, frame[8 * q : 8 * q + 2]) for q in range(4)]
    event = one(opened, x.data(parts, version=1), cfg=[x.config(asic_mask=1)])
    assert modules_of(event) == [(0, 1), (8, 9), (16, 17), (24, 25)]
    np.testing.assert_array_equal(event.raw[[0, 1, 8, 25]], frame[[0, 1, 8, 25]])
    assert not event.raw[2:8].any()


def test_data_v1_ignore_the_region_of_interest(opened):
    frame = x.frame()
    event = one(opened, x.full(frame, version=1), cfg=[x.config(roi=0x01010101)])
    np.testing.assert_array_equal(event.raw, frame)


def test_data_v2_need_a_region_of_interest(opened):
    run = opened(x.run_bytes([[x.full(x.frame())]], cfg=[x.config(1)]))
    event = only_event(run)
    assert event.raw is None
    assert event.missing == "undecodable"
    assert "without a configuration that describes it" in run.problems[0]


def test_quadrants_left_out_though_the_mask_names_them(opened):
    """The DAQ's sparsifier omits quads with an empty region but keeps their quadMask bit."""
    frame = x.frame()
    parts = [x.element(q, frame[8 * q : 8 * q + 8]) for q in (3, 0)]
    event = one(opened, x.data(parts), cfg=[x.config(roi=0xFF0000FF)])
    np.testing.assert_array_equal(event.raw[:8], frame[:8])
    np.testing.assert_array_equal(event.raw[24:], frame[24:])
    assert not event.raw[8:24].any()


def test_fewer_quadrants_than_announced_are_delivered(opened):
    frame = x.frame()
    event = one(opened, x.full(frame, order=(1, 2)))
    assert quadrants_of(event) == [1, 2]
    assert not event.raw[:8].any()


def test_a_quadrant_cut_off_is_not_delivered(opened):
    frame = x.frame()
    payload = x.full(frame)[20:-3000]
    event = one(opened, x.xtc(0x0002001C, payload))
    assert quadrants_of(event) == [0, 1, 2]


def test_trailing_bytes_after_the_last_quadrant_are_ignored(opened):
    frame = x.frame()
    extra = x.element(0, x.frame(5)[:8])
    event = one(opened, x.xtc(0x0002001C, x.full(frame)[20:] + extra + bytes(17 * 4)))
    np.testing.assert_array_equal(event.raw, frame)


def test_no_more_quadrants_are_read_than_the_configuration_names(opened):
    frame = x.frame()
    event = one(opened, x.full(frame, order=(0, 1, 2)), cfg=[x.config(quad_mask=0b0011)])
    assert quadrants_of(event) == [0, 1]


def test_the_first_of_two_elements_of_one_quadrant_counts(opened):
    parts = [x.element(2, x.frame(1)[:8]), x.element(2, x.frame(2)[:8])]
    event = one(opened, x.data(parts))
    assert quadrants_of(event) == [2]
    np.testing.assert_array_equal(event.raw[16:24], x.frame(1)[:8])


def test_the_four_bytes_after_the_last_quadrant_may_be_missing(opened):
    frame = x.frame()
    event = one(opened, x.xtc(0x0002001C, x.full(frame)[20:-4]))
    np.testing.assert_array_equal(event.raw, frame)


def test_the_first_of_two_copies_counts(opened):
    event = one(opened, x.full(x.frame(1)), x.full(x.frame(2)))
    np.testing.assert_array_equal(event.raw, x.frame(1))


def test_the_second_copy_counts_if_the_first_is_damaged(opened):
    event = one(opened, x.full(x.frame(1), damage=1 << 14), x.full(x.frame(2)))
    np.testing.assert_array_equal(event.raw, x.frame(2))


def test_detectors_are_equal_by_phy_whatever_the_process(opened):
    frame = x.frame()
    event = one(opened, x.full(frame, log=0x01FFFFFF))
    np.testing.assert_array_equal(event.raw, frame)


def test_negative_pixels_stay_negative(opened):
    frame = x.frame() - 9000
    assert (one(opened, x.full(frame)).raw == frame).all()


def test_unaligned_pixels_are_read(opened):
    frame = x.frame()
    odd = x.xtc(0x00010002, b"abc")  # 23 bytes move the data to an odd place
    event = one(opened, odd, x.full(frame))
    np.testing.assert_array_equal(event.raw, frame)
    assert all(pixels.flags.aligned for _, pixels in event.modules)


def test_extents_rounded_up_are_read(opened):
    frame = x.frame()
    run = opened(x.run_bytes([[x.full(frame)]], cfg=[x.config(pad=64)]))
    np.testing.assert_array_equal(only_event(run).raw, frame)


def test_a_configuration_cut_short_is_told(opened):
    short = x.xtc(5 << 16 | 29, bytes(1000))
    with pytest.raises(FileFormatError, match=r"byte \d+: expected 287928 bytes .*V5, found 1000"):
        opened(x.run_bytes([[x.full(x.frame())]], cfg=[short]))


def test_an_unknown_configuration_version_is_told(opened):
    future = x.xtc(6 << 16 | 29, bytes(300000))
    with pytest.raises(
        FileFormatError, match=r"expected CspadConfig version 1 to 5, found version 6"
    ):
        opened(x.run_bytes([[x.full(x.frame())]], cfg=[future]))


def test_an_unknown_data_version_is_told(opened):
    run = opened(x.run_bytes([[x.full(x.frame(), version=3)]]))
    assert only_event(run).raw is None
    assert "expected CSPAD data version 1 or 2, found version 3" in run.problems[0]


def test_data_without_configuration_ask_for_the_first_chunk(opened):
    with pytest.raises(DetectorNotFoundError, match=r"no configuration .*\(c00\)"):
        opened(x.run_bytes([[x.full(x.frame())]], cfg=[x.evr(40)]))


# ---- CsPad2x2 -------------------------------------------------------------------------------


def config_2x2(version, gains):
    size, gain_at = {1: (71996, 44 + 172), 2: (72008, 48 + 180)}[version]
    body = bytearray(size)
    body[gain_at : gain_at + 71780] = gains.astype("<u2").tobytes()
    return x.xtc(version << 16 | 43, bytes(body), phy=x.CXI_2X2)


def data_2x2(frame, trailer=b"", **src):
    interleaved = np.ascontiguousarray(frame.transpose(1, 2, 0))  # section is the fastest index
    body = x.element_header(0) + interleaved.astype("<i2").tobytes() + trailer
    return x.xtc(1 << 16 | 41, body, phy=x.CXI_2X2, **src)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("trailer", [b"", b"\1\2\3\4"])
def test_the_small_detector(opened, version, trailer):
    frame = x.frame()[:2]
    gains = np.full((185, 194), 0xF, np.uint16)
    gains[3, 4] = 0xF & ~2  # ASIC 1: section 0, right half
    gains[7, 8] = 0xF & ~4  # ASIC 2: section 1, left half
    run = opened(
        x.run_bytes([[data_2x2(frame, trailer)]], cfg=[config_2x2(version, gains)]),
        address="CxiDsu.0:Cspad2x2.0",
    )
    assert run.detector is CSPAD_2X2
    event = only_event(run)
    np.testing.assert_array_equal(event.raw, frame)
    assert modules_of(event) == [(0, 1)]
    assert not event.modules[0].pixels.flags.owndata
    low = np.zeros((2, 185, 388), bool)
    low[0, 3, 198] = low[1, 7, 8] = True
    np.testing.assert_array_equal(run.low_gain, low)


def test_the_small_detector_cut_short_is_told(opened):
    short = x.xtc(1 << 16 | 41, bytes(5000), phy=x.CXI_2X2)
    cfg = [config_2x2(2, np.zeros((185, 194)))]
    run = opened(x.run_bytes([[short]], cfg=cfg), address="CxiDsu.0:Cspad2x2.0")
    assert only_event(run).raw is None
    assert "expected 287152 bytes of CsPad2x2 data, found 5000" in run.problems[0]


# ---- finding the detector --------------------------------------------------------------------


def test_a_detector_not_in_the_file_lists_those_that_are(opened):
    content = x.run_bytes([[x.full(x.frame()), x.evr(40)]])
    with pytest.raises(
        DetectorNotFoundError, match=r"XppGon.0:Cspad.0 is not in .*: CxiDs1.0:Cspad.0"
    ):
        opened(content, address="XppGon.0:Cspad.0")


def test_a_source_that_is_no_cspad_is_refused(opened):
    content = x.run_bytes([[x.full(x.frame()), x.evr(40)]])
    with pytest.raises(DetectorNotFoundError, match=r"not a detector .* CxiDs1.0:Cspad.0"):
        opened(content, address="NoDetector.0:Evr.0")


def test_an_address_that_cannot_be_is_told(opened):
    content = x.run_bytes([[x.full(x.frame())]])
    with pytest.raises(DetectorNotFoundError, match="no location 'CxiDs9'"):
        opened(content, address="CxiDs9.0:Cspad.0")
    with pytest.raises(DetectorNotFoundError, match=r"nonsense is not in .* CxiDs1.0:Cspad.0"):
        opened(content, address="nonsense")


def test_one_of_two_detectors_is_read(opened):
    left, right = x.frame(1), x.frame(2)
    cfg = [x.config(), x.config(phy=x.XPPGON)]
    event = one(
        opened, x.full(left), x.full(right, phy=x.XPPGON), cfg=cfg, address="XppGon.0:Cspad.0"
    )
    np.testing.assert_array_equal(event.raw, right)


def test_a_detector_may_be_named_by_its_alias(opened):
    from struct import pack

    alias = x.xtc(1 << 16 | 69, pack("<III31sx", 1, 0x01000000, x.CXIDS1, b"DscCsPad"))
    run = opened(x.run_bytes([[x.full(x.frame())]], cfg=[x.config(), alias]), address="DscCsPad")
    assert run.address == "CxiDs1.0:Cspad.0"
    assert run.aliases == {"DscCsPad": "CxiDs1.0:Cspad.0"}
    assert only_event(run).raw is not None
