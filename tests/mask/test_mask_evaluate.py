"""The engine decides every pixel as float64 does, whatever the limits and layers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.detector import SHAPE
from workbench.errors import MaskError
from workbench.mask import MaskEvaluator
from workbench.mask.coded import CodedImage
from workbench.mask.rules import count_reasons
from workbench.recipe import MaskSettings, Thresholds
from workbench.recipe.mask import (
    BorderLayer,
    FileLayer,
    GrowLayer,
    IslandLayer,
    PartLayer,
    PixelLayer,
    RadiusLayer,
    UnbondedLayer,
    WideLayer,
)


def pictures():
    random = np.random.default_rng(3)
    average = random.normal(1000, 700, SHAPE)
    stddev = np.round(random.normal(6, 3, SHAPE), 2)  # many equal values
    maximum = np.round(random.normal(900, 400, SHAPE))
    for image in (average, stddev, maximum):
        for value in (0.0, np.nan, np.inf, -np.inf, 1e300):
            image.flat[random.choice(image.size, 500)] = value
    return average, stddev, maximum


@pytest.fixture(scope="module")
def engine():
    low_gain = np.zeros(SHAPE, bool)
    low_gain[:, :, 250:] = True
    return MaskEvaluator(*pictures(), low_gain=low_gain)


def same(quick, kept):
    np.testing.assert_array_equal(quick.reasons, kept.reasons)
    np.testing.assert_array_equal(quick.good, kept.good)
    np.testing.assert_array_equal(kept.good, kept.reasons == 0)
    assert quick.counts == kept.counts == count_reasons(kept.reasons)
    assert quick.cctbx_counts == kept.cctbx_counts
    told = lambda mask: [(one.rule, one.label, one.counts) for one in mask.removals]  # noqa: E731
    assert told(quick) == told(kept)
    assert [one.counts for one in kept.removals] == counted(kept.removals)
    kept_by = lambda mask: [(one.label, one.pixels) for one in mask.rescues]  # noqa: E731
    assert kept_by(quick) == kept_by(kept)
    assert quick.warnings == kept.warnings


def counted(removals):
    """Total, exclusive and cumulative counts by their definition."""
    places = np.array([one.where for one in removals])
    hits = places.sum(axis=0)
    together = np.logical_or.accumulate(places, axis=0)
    return [
        (int(where.sum()), int((where & (hits == 1)).sum()), int(so_far.sum()))
        for where, so_far in zip(places, together, strict=True)
    ]


limits = st.builds(
    Thresholds,
    avg_max=st.one_of(st.floats(1e-3, 4000), st.sampled_from([1e300, 1e-300, np.inf])),
    stddev_max=st.one_of(st.floats(1e-3, 20), st.sampled_from([5.0, 6.01, 1e9])),
    maxproj_min=st.one_of(
        st.floats(-2000, 4000), st.integers(0, 2000).map(float), st.sampled_from([-np.inf, np.inf])
    ),
)


@settings(max_examples=12, deadline=None)
@given(high=limits, low=st.none() | limits, border=st.integers(0, 3))
def test_quick_evaluation_equals_numpy(engine, high, low, border):
    wanted = MaskSettings(high, border=border, low_gain=low)
    kept = engine.mask(wanted)
    same(engine.evaluate(wanted), kept)
    average, stddev, maximum = engine.images.arrays
    lower = engine.images.low_gain if low is not None else np.zeros(SHAPE, bool)
    low = low or high
    good = (average > 0) & (average <= np.where(lower, low.avg_max, high.avg_max))
    good &= (stddev > 0) & (stddev <= np.where(lower, low.stddev_max, high.stddev_max))
    good &= maximum >= np.where(lower, low.maxproj_min, high.maxproj_min)
    if border:
        inner = np.zeros(SHAPE, bool)
        inner[:, border:-border, border : 194 - border] = True
        inner[:, border:-border, 194 + border : 388 - border] = True
        good &= inner
    np.testing.assert_array_equal(kept.good, good)


def test_a_limit_that_is_the_value_of_a_pixel_is_exact(engine):
    for value in engine.images.average.flat[:6]:
        if value > 0:
            for limit in (value, np.nextafter(value, 0), np.nextafter(value, 1e9)):
                wanted = MaskSettings(Thresholds(avg_max=limit))
                same(engine.evaluate(wanted), engine.mask(wanted))


STACKS = {
    "union": (UnbondedLayer(neighbours=8), WideLayer(), PartLayer(parts=("Q1S2A0", "Q3"))),
    "exclude": (PartLayer(parts=("Q0",)), PixelLayer(mode="exclude", pixels=((0, 5, 6),))),
    "intersection": (PartLayer(mode="intersection", parts=("Q0", "Q2S1")), WideLayer()),
    "grow in the middle": (
        BorderLayer(pixels=2),
        GrowLayer(pixels=2, neighbours=4, of=("average_high", "unbonded")),
        PartLayer(mode="exclude", parts=("Q2",)),
        WideLayer(),
        IslandLayer(smaller_than=4),
        UnbondedLayer(),
    ),
    "grow twice, kept, grow": (
        PartLayer("first", parts=("Q3S0A0",)),
        PartLayer("kept", mode="exclude", parts=("Q3S0", "Q1S1")),
        GrowLayer(pixels=3),
        GrowLayer(neighbours=4, of=("grown", "stddev_high")),
        PartLayer("kept again", mode="exclude", parts=("Q1",)),
        PartLayer("first again", parts=("Q1S1A1",)),
        GrowLayer(),
        IslandLayer(smaller_than=200, neighbours=8),
    ),
    "off": (GrowLayer(on=False), PartLayer(on=False, parts=("Q0",))),
}


@pytest.mark.parametrize("layers", STACKS.values(), ids=STACKS.keys())
def test_quick_evaluation_equals_numpy_with_layers(engine, layers):
    for limit in (250.0, 600.0, 590.0):
        wanted = MaskSettings(Thresholds(maxproj_min=limit), border=1, layers=layers)
        same(engine.evaluate(wanted), engine.mask(wanted))


part = st.sampled_from(["Q0", "Q1S3", "Q1", "Q2S7A0", "Q2", "Q1S3A1", "Q3"])
mode = st.sampled_from(["union", "intersection", "exclude"])
layer = st.one_of(
    st.builds(PartLayer, mode=mode, parts=st.lists(part, min_size=1, max_size=3)),
    st.builds(BorderLayer, mode=mode, pixels=st.integers(1, 40)),
    st.builds(UnbondedLayer, mode=mode, neighbours=st.sampled_from([0, 4, 8])),
    st.builds(WideLayer, mode=mode),
    st.builds(GrowLayer, pixels=st.integers(1, 4), neighbours=st.sampled_from([4, 8]),
              of=st.sampled_from([(), ("wide", "maximum_low"), ("grown",)])),
    st.builds(IslandLayer, smaller_than=st.integers(2, 80) | st.integers(2, 1000),
              neighbours=st.sampled_from([4, 8])),
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(layers=st.lists(layer, max_size=5), moved=st.lists(limits, min_size=1, max_size=2))
def test_any_layers_and_movements_give_the_same_as_numpy(engine, layers, moved):
    for high in moved:
        wanted = MaskSettings(high, layers=tuple(layers))
        same(engine.evaluate(wanted), engine.mask(wanted))


def test_layers_that_overlap_in_too_many_ways_are_still_exact(tmp_path):
    """17 random masks divide the pixels into 131 072 classes, more than the tables hold."""
    random = np.random.default_rng(0)
    words = random.integers(0, 1 << 17, SHAPE, np.uint32)
    layers = []
    for bit in range(17):
        np.save(tmp_path / f"{bit}.npy", (words >> bit & 1) == 0)
        layers.append(FileLayer(str(bit), path=f"{bit}.npy"))
    engine = MaskEvaluator(*(np.ones(SHAPE) for _ in range(3)), folder=tmp_path)
    wanted = MaskSettings(Thresholds(maxproj_min=0), layers=tuple(layers))
    mask = engine.evaluate(wanted)
    np.testing.assert_array_equal(mask.good, words == 0)
    assert [one.counts.total for one in mask.removals[6:]] == [
        np.count_nonzero(words >> bit & 1) for bit in range(17)
    ]


def test_more_grow_layers_than_the_tables_hold(engine):
    wanted = MaskSettings(Thresholds(maxproj_min=200), layers=(GrowLayer(),) * 6)
    same(engine.evaluate(wanted), engine.mask(wanted))


def test_each_layer_is_counted_by_name(engine):
    layers = (
        PartLayer("left", parts=("Q0", "Q1S0")),
        PartLayer("right", parts=("Q1S0", "Q1S1")),
        PartLayer("trusted", mode="exclude", parts=("Q0S7",)),
    )
    every = MaskSettings(Thresholds(1e9, 1e9, -np.inf), layers=layers)
    blank = MaskEvaluator(*(np.ones(SHAPE) for _ in range(3)))
    for mask in (blank.evaluate(every), blank.mask(every)):
        left, right = mask.removals[-2:]
        sensor = 185 * 388
        assert (left.label, right.label) == ("layer 1 “left”", "layer 2 “right”")
        assert left.counts == (8 * sensor, 7 * sensor, 8 * sensor)
        assert right.counts == (2 * sensor, sensor, 9 * sensor)
        assert mask.counts["part"].total == 9 * sensor
        (trusted,) = mask.rescues
        assert (trusted.label, trusted.pixels) == ("layer 3 “trusted”", sensor)
    assert np.array_equal(mask.rescues[0].where, np.arange(32)[:, None, None] == np.full(SHAPE, 7))
    with pytest.raises(MaskError, match=r"MaskEvaluator\.mask"):
        blank.evaluate(every).removals[0].where  # noqa: B018


def test_evaluate_reuses_its_arrays_and_mask_does_not(engine):
    first, kept = engine.evaluate(MaskSettings()), engine.mask(MaskSettings())
    before = kept.good.copy()
    engine.evaluate(MaskSettings(Thresholds(maxproj_min=2000)))
    assert first.good.sum() < before.sum()
    np.testing.assert_array_equal(kept.good, before)


def test_own_limits_of_low_gain_need_a_gain_map():
    engine = MaskEvaluator(*(np.ones(SHAPE) for _ in range(3)))
    wanted = MaskSettings(low_gain=Thresholds(maxproj_min=50))
    for evaluate in (engine.mask, engine.evaluate):
        with pytest.raises(MaskError, match="gain map"):
            evaluate(wanted)


def test_what_a_layer_lacks_is_said():
    engine = MaskEvaluator(*(np.ones(SHAPE) for _ in range(3)))
    with pytest.raises(MaskError, match="geometry"):
        engine.mask(MaskSettings(layers=(RadiusLayer(to_mm=3),)))
    with pytest.raises(MaskError, match="no_such"):
        engine.mask(MaskSettings(layers=(GrowLayer(of=("no_such",)),)))


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(5, 2, 3000),
        np.full(1000, 7.25),
        np.r_[np.zeros(500), np.ones(500), 1e30, -1e30, np.inf, -np.inf, np.nan],
        np.full(10, np.nan),
        np.random.default_rng(1).integers(0, 30, 2000).astype(float),
    ],
    ids=["normal", "constant", "wild", "nan", "integers"],
)
def test_a_coded_image_counts_exactly(values, above):
    image = CodedImage(values, above)
    for limit in (*values[:50], 0.0, 7.25, 0.5, 1e31, -np.inf, np.inf):
        if np.isnan(limit):
            continue
        exact = values > limit if above else values < limit
        assert image.removed(limit)[0] == exact.sum()
    numbers = np.sort(values[~np.isnan(values)])
    for fraction in (0.0, 0.1, 0.5, 0.9, 1.0):
        expected = (
            numbers[min(int(fraction * numbers.size), numbers.size - 1)] if len(numbers) else np.nan
        )
        np.testing.assert_equal(image.quantile(fraction), expected)


def test_the_public_call_is_the_engine():
    average, stddev, maximum = pictures()
    mask = wb.make_mask(average, stddev, maximum, wb.Thresholds(maxproj_min=500), border=2)
    wanted = MaskSettings(Thresholds(maxproj_min=500), border=2)
    same(mask, MaskEvaluator(average, stddev, maximum).mask(wanted))
