"""Compressed payloads: a small compressor written here, read back by the package."""

from struct import pack

import numpy as np
import pytest
import xtc_builder as x
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.runs.xtc.decoders.base import PayloadError
from workbench.runs.xtc.decoders.compression import decompress


def runs_of(words):
    """Run-length pairs (count, word)."""
    pairs = []
    for word in words.tolist():
        if pairs and pairs[-1][1] == word and pairs[-1][0] < 0xFFFF:
            pairs[-1][0] += 1
        else:
            pairs.append([1, word])
    return np.array(pairs, "<u2").ravel()


def bitmap_of(near, run_length):
    padded = np.zeros(-(-near.size // 16) * 16, bool)
    padded[: near.size] = near
    words = np.packbits(padded, bitorder="little").view("<u2")
    words = runs_of(words) if run_length else words
    return pack("<I", words.size) + words.astype("<u2").tobytes()


def hist16(pixels, base, flag):
    pixels = np.ascontiguousarray(pixels, "<i2").view("<u2").ravel()
    if flag == 0:
        body = pixels.tobytes()
    else:
        offset = pixels.astype(int) - base
        near = (offset >= 0) & (offset < 256)
        pieces = [
            pack("<B", o) if n else pack("<H", p)
            for o, n, p in zip(offset.tolist(), near.tolist(), pixels.tolist(), strict=True)
        ]
        stream = b"".join(pieces)
        body = pack("<HI", base, len(stream)) + stream + bitmap_of(near, flag == 3)
    return pack("<3I", flag, int(pixels.sum(dtype=np.uint64)) & 0xFFFFFFFF, len(body)) + body


def histn(pixels, base, flag, depth=2, bits=5, full=None):
    """LSB-first bits: `bits` of the difference to base, or all of the pixel."""
    full = full or 8 * depth
    pixels = np.ascontiguousarray(pixels, "<i2").ravel().view("<u2" if depth == 2 else "<u1")
    if flag == 0:
        body = pixels.tobytes()
    else:
        number, used = 0, 0
        offset = pixels.astype(int) - base
        near = (offset >= 0) & (offset < 1 << bits)
        for o, n, p in zip(offset.tolist(), near.tolist(), pixels.tolist(), strict=True):
            number |= (o if n else p) << used
            used += bits if n else full
        stream = number.to_bytes(-(-used // 32) * 4, "little")
        body = pack("<HHII", full, bits, base, len(stream)) + stream + bitmap_of(near, flag == 3)
    return (
        pack("<HHII", flag, depth, int(pixels.sum(dtype=np.uint64)) & 0xFFFFFFFF, len(body)) + body
    )


def block(header, engine, data, dsize):
    raw = pack("<I", len(header)) + header + pack("<4I", engine, 0, dsize, len(data)) + data
    return raw + bytes(-len(raw) % 4)


def noisy(count, seed=1):
    rng = np.random.default_rng(seed)
    pixels = rng.normal(1200, 6, count).astype(np.int16)
    pixels[rng.integers(0, count, count // 50)] = rng.integers(0, 16384, count // 50)
    pixels[: count // 3] = 1200
    return pixels


def unpacked(payload, count, most=1):
    return decompress(payload, 32, 2 * count, most)


@pytest.mark.parametrize("flag", [0, 1, 3])
def test_hist16(flag):
    pixels = noisy(3001)
    payload = block(x.element_header(2), 1, hist16(pixels, 1150, flag), 2 * pixels.size)
    ((header, found),) = unpacked(payload, pixels.size)
    assert header == x.element_header(2)
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("flag", [0, 1, 3])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("bits", [0, 1, 5, 8])
def test_histn(flag, depth, bits):
    pixels = noisy(3002)
    base = 1190 if depth == 2 else 4
    payload = block(x.element_header(2), 2, histn(pixels, base, flag, depth, bits), 2 * pixels.size)
    ((_, found),) = unpacked(payload, pixels.size)
    np.testing.assert_array_equal(found, pixels)


@settings(max_examples=40, deadline=None)
@given(
    pixels=st.lists(st.integers(-32768, 32767), min_size=1, max_size=70),
    base=st.integers(0, 65535),
    flag=st.sampled_from([0, 1, 3]),
    bits=st.integers(0, 15),
)
def test_any_pixels_come_back(pixels, base, flag, bits):
    pixels = np.array(pixels, np.int16)
    for engine, data in ((1, hist16(pixels, base, flag)), (2, histn(pixels, base, flag, 2, bits))):
        ((_, found),) = unpacked(block(bytes(32), engine, data, 2 * pixels.size), pixels.size)
        np.testing.assert_array_equal(found, pixels)


def test_the_bitmap_is_read_lowest_bit_first():
    # written out by hand: pixels 1000 (near), 5 (far), 1001 (near); bitmap 0b101
    body = pack("<HI", 1000, 4) + b"\x00" + pack("<H", 5) + b"\x01" + pack("<IH", 1, 0b101)
    data = pack("<3I", 1, 2006, len(body)) + body
    ((_, found),) = unpacked(block(bytes(32), 1, data, 6), 3)
    assert found.tolist() == [1000, 5, 1001]


@pytest.mark.parametrize("element_version", [1, 2])
@pytest.mark.parametrize("engine", ["none", "hist16", "hist16 rle", "histn"])
def test_a_compressed_event_is_read_like_a_plain_one(opened, element_version, engine):
    frame = np.full((32, 185, 388), 1100, np.int16)
    frame[:, ::7, ::11] += np.arange(32, dtype=np.int16)[:, None, None]
    frame[5, 3, 4] = 16383
    blocks = []
    for quad in (1, 3, 0, 2):
        # the two unused words at the end of an element are coded as pixels
        pixels = np.concatenate([frame[8 * quad : 8 * quad + 8].ravel(), [17, -1]]).astype("<i2")
        data = {
            "none": lambda p: (0, p.tobytes()),
            "hist16": lambda p: (1, hist16(p, 1100, 1)),
            "hist16 rle": lambda p: (1, hist16(p, 1100, 3)),
            "histn": lambda p: (2, histn_of_mostly_near(p, 1100)),
        }[engine](pixels)
        blocks.append(block(x.element_header(quad), *data, pixels.nbytes))
    packed = x.xtc(0x80000000 | element_version << 16 | 28, b"".join(blocks))
    (event,) = opened(x.run_bytes([[packed]])).events()
    np.testing.assert_array_equal(event.raw, frame)


def histn_of_mostly_near(pixels, base):
    """HistN with 16-bit fields throughout, so that whole words stand for bits."""
    words = np.ascontiguousarray(pixels).view("<u2")
    offset = (words.astype(int) - base) & 0xFFFF
    near = words >= base
    stream = np.where(near, offset, words).astype("<u2").tobytes()
    body = pack("<HHII", 16, 16, base, len(stream)) + stream + bitmap_of(near, True)
    return pack("<HHII", 3, 2, int(words.sum(dtype=np.uint64)) & 0xFFFFFFFF, len(body)) + body


def test_a_compressed_small_detector_is_read(opened):
    frame = (x.frame()[:2] & 0xFF) + np.int16(900)
    interleaved = np.ascontiguousarray(frame.transpose(1, 2, 0)).ravel()
    pixels = np.concatenate([interleaved, [0, 0]]).astype("<i2")
    packed = x.xtc(
        0x80000000 | 1 << 16 | 41,
        block(x.element_header(0), 1, hist16(pixels, 900, 1), pixels.nbytes), phy=x.CXI_2X2,
    )  # fmt: skip
    cfg = x.xtc(2 << 16 | 43, bytes(72008), phy=x.CXI_2X2)
    (event,) = opened(x.run_bytes([[packed]], cfg=[cfg]), address="CxiDsu.0:Cspad2x2.0").events()
    np.testing.assert_array_equal(event.raw, frame)


def test_a_partial_region_of_interest_is_decompressed(opened):
    frame = x.frame()
    data = np.concatenate([frame[1].ravel(), frame[6].ravel(), [0, 0]]).astype("<i2")
    packed = block(x.element_header(0), 1, hist16(data, 100, 0), data.nbytes)
    content = x.run_bytes(
        [[x.xtc(0x8002001C, packed)]], cfg=[x.config(quad_mask=1, roi=0b01000010)]
    )
    (event,) = opened(content).events()
    assert event.modules[0].modules == (1, 6)
    np.testing.assert_array_equal(event.raw[[1, 6]], frame[[1, 6]])


def test_the_plain_copy_counts_if_it_comes_first_or_the_packed_one_cannot_be_read(opened):
    frame = x.frame()
    bad = x.xtc(0x8002001C, pack("<I", 31) + bytes(100))
    for objects in ([x.full(frame), bad], [bad, x.full(frame)]):
        (event,) = opened(x.run_bytes([objects])).events()
        np.testing.assert_array_equal(event.raw, frame)


GOOD = block(bytes(32), 1, hist16(noisy(64), 1150, 1), 128)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (pack("<I", 28) + GOOD[4:], "expected a header of 32 bytes, found 28"),
        (GOOD[:40], "a block needs 52 bytes, 40 are left"),
        (GOOD[:60], "expected .* bytes, 8 are left"),
        (GOOD[:36] + pack("<I", 3) + GOOD[40:], "Hist32: this engine is not supported"),
        (GOOD[:36] + pack("<I", 99) + GOOD[40:], "99: this engine is not supported"),
        (GOOD[:44] + pack("<I", 130) + GOOD[48:], "at most 128 bytes of pixels, found 130"),
        (GOOD[:52] + pack("<I", 7) + GOOD[56:], "expected flag 0, 1 or 3, found 7"),
        (GOOD[:56] + pack("<I", 7) + GOOD[60:], "expected checksum 7, found"),
        (GOOD[:60] + pack("<I", 1 << 30) + GOOD[64:], "expected 1073741824 bytes"),
        (GOOD[:66] + pack("<I", 1 << 30) + GOOD[70:], "bytes of pixel stream"),
    ],
)  # fmt: skip
def test_contradictions_are_told_with_their_place(payload, problem):
    with pytest.raises(PayloadError, match=problem):
        unpacked(payload, 64)


def test_a_hostile_run_length_costs_no_memory():
    pairs = np.full(40_000, 0xFFFF, "<u2")  # would unroll to 2.6 GB
    body = pack("<HI", 0, 64) + bytes(64) + pack("<I", pairs.size) + pairs.tobytes()
    data = pack("<3I", 3, 0, len(body)) + body
    ((_, found),) = unpacked(block(bytes(32), 1, data, 128), 64)
    assert found.tolist() == [0] * 64
