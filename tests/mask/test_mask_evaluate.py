"""Masks and counts equal the definition of rules and layers, whatever the limits and layers.

`by_definition` restates it step by step with bool arrays.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import workbench as wb
from workbench.detectors import CSPAD, CSPAD_2X2
from workbench.errors import MaskError
from workbench.mask import MaskEvaluator
from workbench.mask.layers import select
from workbench.mask.rules import RULES, count_reasons
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

SHAPE = CSPAD.shape


def pictures(shape=CSPAD.shape):
    random = np.random.default_rng(3)
    average = random.normal(1000, 700, shape)
    stddev = np.round(random.normal(6, 3, shape), 2)  # many equal values
    maximum = np.round(random.normal(900, 400, shape))
    for image in (average, stddev, maximum):
        for value in (0.0, np.nan, np.inf, -np.inf, 1e300):
            image.flat[random.choice(image.size, 500)] = value
    return average, stddev, maximum


def evaluator_of(shape):
    low_gain = np.zeros(shape, bool)
    low_gain[:, :, 250:] = True
    return MaskEvaluator(*pictures(shape), low_gain=low_gain)


@pytest.fixture(scope="module")
def evaluator():
    return evaluator_of(CSPAD.shape)


@pytest.fixture(scope="module")
def small():
    """Of a CSPAD of two sensors: many limits and layers in little time."""
    return evaluator_of(CSPAD_2X2.shape)


def near(masked, pixels, neighbours):
    """Masked pixels and those within some steps, in each module by itself."""
    step = ndimage.generate_binary_structure(2, 1 if neighbours == 4 else 2)[None]
    return ndimage.binary_dilation(masked, step, pixels)


def small_islands(good, smaller_than, neighbours):
    step = np.zeros((3, 3, 3), bool)
    step[1] = ndimage.generate_binary_structure(2, 1 if neighbours == 4 else 2)
    regions, number = ndimage.label(good, step)
    small = np.bincount(regions.ravel(), minlength=number + 1) < smaller_than
    return good & small[regions]


def by_definition(images, wanted):
    """What each part removes, what it would remove but for later layers, what layers keep."""
    shape = images.average.shape
    high, low = wanted.thresholds, wanted.low_gain or wanted.thresholds
    lower = images.low_gain if images.low_gain is not None else np.zeros(shape, bool)
    parts, removed, spared, kept = [], [], [], []

    def remove(rule, pixels):
        parts.append(rule)
        removed.append(pixels.copy())
        spared.append(np.zeros(shape, bool))

    def limit(name):
        return np.where(lower, getattr(low, name), getattr(high, name))

    remove("average_low", images.average <= 0)
    remove("average_high", images.average > limit("avg_max"))
    remove("stddev_low", images.stddev <= 0)
    remove("stddev_high", images.stddev > limit("stddev_max"))
    remove("maximum_low", images.maximum < limit("maxproj_min"))
    remove(
        "not_a_number",
        np.isnan(images.average + images.stddev + images.maximum)
        & (np.isnan(images.average) | np.isnan(images.stddev) | np.isnan(images.maximum)),
    )
    if wanted.border:
        remove("asic_border", select(BorderLayer(pixels=wanted.border, of="asic"), images)[0][1])
    for layer in wanted.layers:
        if not layer.on:
            continue
        masked = np.logical_or.reduce(removed)
        if isinstance(layer, GrowLayer):
            sources = [p for rule, p in zip(parts, removed, strict=True) if rule in layer.of]
            source = np.logical_or.reduce([np.zeros(shape, bool), *sources])
            source = source if layer.of else masked
            remove("grown", near(source, layer.pixels, layer.neighbours) & ~masked)
        elif isinstance(layer, IslandLayer):
            remove("island", small_islands(~masked, layer.smaller_than, layer.neighbours))
        elif layer.mode == "union":
            for rule, pixels in select(layer, images):
                remove(rule, pixels)
        else:
            chosen = np.logical_or.reduce([pixels for _, pixels in select(layer, images)])
            chosen = chosen if layer.mode == "exclude" else ~chosen
            kept.append(masked & chosen)
            for place, pixels in enumerate(removed):
                spared[place] |= pixels & chosen
                removed[place] = pixels & ~chosen
    return parts, removed, spared, kept


def agrees(evaluator, wanted):
    """Counts and pixels are those of the definition; gives the mask."""
    mask, counts = evaluator.mask(wanted), evaluator.evaluate(wanted)
    parts, removed, spared, kept = by_definition(evaluator.images, wanted)
    assert [removal.rule for removal in mask.removals] == parts
    reasons = np.zeros(evaluator.images.average.shape, np.uint32)
    for removal, where, saved in zip(mask.removals, removed, spared, strict=True):
        np.testing.assert_array_equal(removal.where, where)
        np.testing.assert_array_equal(removal.spared, saved)
        reasons[where] |= np.uint32(RULES[removal.rule].flag)
    np.testing.assert_array_equal(mask.reasons, reasons)
    np.testing.assert_array_equal(mask.good, reasons == 0)
    for keeper, where in zip(mask.kept, kept, strict=True):
        np.testing.assert_array_equal(keeper.where, where)
        assert keeper.pixels == where.sum()
    assert [removal.counts for removal in mask.removals] == counted(removed)
    assert mask.counts == counts.counts == count_reasons(reasons)
    assert mask.masked == counts.masked == np.count_nonzero(reasons)
    assert mask.cctbx_counts == counts.cctbx_counts
    assert mask.warnings == counts.warnings

    def told(found):
        return [(removal.rule, removal.label, removal.counts) for removal in found.removals]

    assert told(counts) == told(mask)
    assert [(k.label, k.pixels) for k in counts.kept] == [(k.label, k.pixels) for k in mask.kept]
    return mask


def counted(places):
    """Total, exclusive and cumulative counts by their definition."""
    places = np.array(places)
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


@settings(max_examples=60, deadline=None)
@given(high=limits, low=st.none() | limits, border=st.integers(0, 3))
def test_limits_and_border_equal_their_definition(small, high, low, border):
    wanted = MaskSettings(high, border=border, low_gain=low)
    kept = agrees(small, wanted)
    average, stddev, maximum = small.images.arrays
    lower = small.images.low_gain if low is not None else np.zeros(average.shape, bool)
    low = low or high
    good = (average > 0) & (average <= np.where(lower, low.avg_max, high.avg_max))
    good &= (stddev > 0) & (stddev <= np.where(lower, low.stddev_max, high.stddev_max))
    good &= maximum >= np.where(lower, low.maxproj_min, high.maxproj_min)
    if border:
        inner = np.zeros(average.shape, bool)
        inner[:, border:-border, border : 194 - border] = True
        inner[:, border:-border, 194 + border : 388 - border] = True
        good &= inner
    np.testing.assert_array_equal(kept.good, good)


def test_a_limit_that_is_the_value_of_a_pixel_is_exact(small):
    average = small.images.average
    for value in average[average > 0][:2]:
        for limit in (value, np.nextafter(value, 0), np.nextafter(value, 1e9)):
            agrees(small, MaskSettings(Thresholds(avg_max=limit)))


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


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param(layers, id=name, marks=() if "kept" in name else pytest.mark.slow)
        for name, layers in STACKS.items()
    ],
)
def test_layers_equal_their_definition(evaluator, layers):
    for limit in (250.0, 600.0, 590.0):
        wanted = MaskSettings(Thresholds(maxproj_min=limit), border=1, layers=layers)
        agrees(evaluator, wanted)


part = st.sampled_from(["Q0", "Q0S0", "Q0S1", "Q0S0A1", "Q0S1A0", "Q0S1A1"])
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


@settings(max_examples=60, deadline=None)
@given(layers=st.lists(layer, max_size=5), moved=st.lists(limits, min_size=1, max_size=2))
def test_any_layers_and_movements_equal_their_definition(small, layers, moved):
    for high in moved:
        wanted = MaskSettings(high, layers=tuple(layers))
        agrees(small, wanted)


def test_layers_that_overlap_in_too_many_ways_are_still_exact(tmp_path):
    """17 random masks divide the pixels into 131 072 classes, too many to work all of them out."""
    random = np.random.default_rng(0)
    words = random.integers(0, 1 << 17, CSPAD.shape, np.uint32)
    layers = []
    for bit in range(17):
        np.save(tmp_path / f"{bit}.npy", (words >> bit & 1) == 0)
        layers.append(FileLayer(str(bit), path=f"{bit}.npy"))
    evaluator = MaskEvaluator(*(np.ones(CSPAD.shape) for _ in range(3)), folder=tmp_path)
    wanted = MaskSettings(Thresholds(maxproj_min=0), layers=tuple(layers))
    mask = evaluator.mask(wanted)
    np.testing.assert_array_equal(mask.good, words == 0)
    assert evaluator.evaluate(wanted).counts == mask.counts
    assert [one.counts.total for one in mask.removals[6:]] == [
        np.count_nonzero(words >> bit & 1) for bit in range(17)
    ]


def test_many_grow_layers(small):
    wanted = MaskSettings(Thresholds(maxproj_min=200), layers=(GrowLayer(),) * 6)
    agrees(small, wanted)


def test_each_layer_is_counted_by_name(evaluator):
    layers = (
        PartLayer("left", parts=("Q0", "Q1S0")),
        PartLayer("right", parts=("Q1S0", "Q1S1")),
        PartLayer("trusted", mode="exclude", parts=("Q0S7",)),
    )
    every = MaskSettings(Thresholds(1e9, 1e9, -np.inf), layers=layers)
    blank = MaskEvaluator(*(np.ones(CSPAD.shape) for _ in range(3)))
    for mask in (blank.evaluate(every), blank.mask(every)):
        left, right = mask.removals[-2:]
        sensor = 185 * 388
        assert (left.label, right.label) == ("layer 1 “left”", "layer 2 “right”")
        assert left.counts == (8 * sensor, 7 * sensor, 8 * sensor)
        assert right.counts == (2 * sensor, sensor, 9 * sensor)
        assert mask.counts["part"].total == 9 * sensor
        (trusted,) = mask.kept
        assert (trusted.label, trusted.pixels) == ("layer 3 “trusted”", sensor)
    assert np.array_equal(
        mask.kept[0].where, np.arange(32)[:, None, None] == np.full(CSPAD.shape, 7)
    )


def test_counts_alone_know_no_pixels(evaluator):
    counts = evaluator.evaluate(MaskSettings())
    with pytest.raises(MaskError, match=r"MaskEvaluator\.mask"):
        counts.removals[0].where  # noqa: B018


def test_a_mask_stays_as_it_is(evaluator):
    first = evaluator.mask(MaskSettings())
    before = first.good.copy()
    evaluator.mask(MaskSettings(Thresholds(maxproj_min=2000)))
    np.testing.assert_array_equal(first.good, before)


def test_own_limits_of_low_gain_need_a_gain_map():
    evaluator = MaskEvaluator(*(np.ones(CSPAD.shape) for _ in range(3)))
    wanted = MaskSettings(low_gain=Thresholds(maxproj_min=50))
    for evaluate in (evaluator.mask, evaluator.evaluate):
        with pytest.raises(MaskError, match="gain map"):
            evaluate(wanted)


def test_what_a_layer_lacks_is_said():
    evaluator = MaskEvaluator(*(np.ones(CSPAD.shape) for _ in range(3)))
    with pytest.raises(MaskError, match="geometry"):
        evaluator.mask(MaskSettings(layers=(RadiusLayer(to_mm=3),)))
    with pytest.raises(MaskError, match="no_such"):
        evaluator.mask(MaskSettings(layers=(GrowLayer(of=("no_such",)),)))


def test_the_public_call_is_the_evaluator():
    average, stddev, maximum = pictures()
    mask = wb.make_mask(average, stddev, maximum, wb.Thresholds(maxproj_min=500), border=2)
    wanted = MaskSettings(Thresholds(maxproj_min=500), border=2)
    np.testing.assert_array_equal(
        mask.reasons, agrees(MaskEvaluator(average, stddev, maximum), wanted).reasons
    )
