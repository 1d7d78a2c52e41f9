"""The mergeable accumulator: any split of the frames gives the same statistics."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.averages import Statistics, merge_all, read_state
from workbench.averages.statistics import FIELDS
from workbench.errors import FileFormatError, WorkbenchError

SHAPE = (2, 3)
frames_of_reals = st.lists(
    arrays(
        np.float64,
        SHAPE,
        elements=st.floats(-1e6, 1e6) | st.just(float("nan")),
    ),
    max_size=12,
)


def of(frames):
    statistics = Statistics.empty(SHAPE)
    for frame in frames:
        statistics.add(frame)
    return statistics


def assert_same(one, other):
    assert one.count == other.count
    for name in ("pixel_count", "maximum", "minimum"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-9, atol=1e-9)
    scale = np.maximum(np.abs(one.maximum), np.abs(one.minimum))
    scale = np.where(np.isfinite(scale), scale, 0)
    assert (np.abs(one.m2 - other.m2) <= 1e-9 * (1 + one.m2 + scale**2 * 1e-3)).all()


@given(frames_of_reals)
def test_statistics_are_those_of_numpy(frames):
    found = of(frames)
    values = np.array(frames).reshape(-1, *SHAPE)
    there = ~np.isnan(values)
    np.testing.assert_array_equal(found.pixel_count, there.sum(0))
    for index in np.ndindex(SHAPE):
        pixel = values[(slice(None), *index)]
        pixel = pixel[~np.isnan(pixel)]
        if not pixel.size:
            assert np.isnan(found.average()[index])
            assert np.isnan(found.stddev()[index])
            continue
        assert found.average()[index] == pytest.approx(pixel.mean(), rel=1e-12, abs=1e-9)
        assert found.stddev()[index] == pytest.approx(pixel.std(), rel=1e-9, abs=1e-9)
        assert found.maximum[index] == pixel.max()
        assert found.minimum[index] == pixel.min()
        if pixel.size > 1:
            assert found.stddev(ddof=1)[index] == pytest.approx(pixel.std(ddof=1), abs=1e-8)


@given(frames_of_reals, st.integers(0, 12), st.integers(0, 12))
def test_merging_is_associative_and_equals_adding(frames, i, j):
    i, j = sorted((min(i, len(frames)), min(j, len(frames))))
    a, b, c = of(frames[:i]), of(frames[i:j]), of(frames[j:])
    assert_same(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert_same(merge_all([a, b, c]), of(frames))


@given(frames_of_reals)
def test_the_empty_one_is_neutral(frames):
    empty, found = Statistics.empty(SHAPE), of(frames)
    for merged in (empty.merge(found), found.merge(empty)):
        for name in ("pixel_count", "mean", "m2", "maximum", "minimum"):
            np.testing.assert_array_equal(getattr(merged, name), getattr(found, name))


@pytest.mark.parametrize("parts", [1, 2, 7, 100])
def test_a_spread_of_1_on_a_mean_of_a_million_holds(parts):
    rng = np.random.default_rng(0)
    values = 1e6 + rng.standard_normal((1000, *SHAPE))
    merged = merge_all([of(chunk) for chunk in np.array_split(values, parts)])
    np.testing.assert_allclose(merged.stddev(), values.std(0), rtol=1e-9)
    assert not np.allclose(
        np.sqrt(np.maximum((values.astype(np.float32) ** 2).mean(0) - values.mean(0) ** 2, 0)),
        values.std(0), rtol=1e-3,
    )  # the usual formula in float32 does not hold  # fmt: skip


def test_constant_pixels_keep_a_stddev_of_exactly_0_when_merged():
    frames = [np.full(SHAPE, 1234.0)] * 30
    assert (merge_all([of(frames[:7]), of(frames[7:20]), of(frames[20:])]).stddev() == 0).all()


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u2", "<f4", ">f4", "f8", "i8", bool])
def test_frames_of_any_number_type_are_added(dtype):
    frame = np.arange(6).reshape(SHAPE).astype(dtype)
    np.testing.assert_array_equal(of([frame, frame]).mean, frame.astype(float))


def test_masked_pixels_do_not_count():
    frame = np.ma.masked_equal(np.arange(6).reshape(SHAPE), 2)
    found = of([frame])
    assert found.pixel_count[0, 2] == 0
    assert found.pixel_count.sum() == 5


def test_saved_statistics_are_resumed(tmp_path):
    frames = np.random.default_rng(1).normal(size=(9, *SHAPE))
    of(frames[:4]).save(tmp_path / "part.npz")
    resumed = Statistics.load(tmp_path / "part.npz")
    for frame in frames[4:]:
        resumed.add(frame)
    assert_same(resumed, of(frames))
    assert_same(pickle.loads(pickle.dumps(resumed)), resumed)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_a_file_that_holds_no_statistics_is_refused(tmp_path, content):
    path = tmp_path / "part.npz"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="expected saved statistics"):
        Statistics.load(path)
    np.savez(path, count=1, mean=np.zeros(2))
    with pytest.raises(FileFormatError):
        Statistics.load(path)


def test_shapes_must_agree():
    with pytest.raises(WorkbenchError, match="shape"):
        of([np.zeros((3, 2))])
    with pytest.raises(WorkbenchError, match="cannot be merged"):
        Statistics.empty((1,)).merge(Statistics.empty((2,)))
    with pytest.raises(WorkbenchError, match="no statistics"):
        merge_all([])


@pytest.mark.parametrize("damage", ["method", "encrypted", "compressed", "nested"])
@pytest.mark.parametrize("read", [Statistics.load, read_state])
def test_damaged_archives_are_one_sentence(tmp_path, damage, read):
    path = tmp_path / "x.npz"
    about = "[" * 100_000 if damage == "nested" else "about"
    np.savez_compressed(path, about=np.array(about), **{FIELDS[0]: np.arange(1000)})
    content = bytearray(path.read_bytes())
    for sign, flags, method in ((b"PK\3\4", 6, 8), (b"PK\1\2", 8, 10)):
        place = -1
        while (place := content.find(sign, place + 1)) >= 0:
            if damage == "method":
                content[place + method] = 99
            elif damage == "encrypted":
                content[place + flags] |= 1
            elif damage == "compressed" and sign == b"PK\3\4":
                name = int.from_bytes(content[place + 26 : place + 28], "little")
                extra = int.from_bytes(content[place + 28 : place + 30], "little")
                content[place + 30 + name + extra] = 0xFF
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="expected") as caught:
        read(path)
    assert "\n" not in str(caught.value)
