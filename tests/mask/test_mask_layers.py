"""Layers: which pixels each selects, and what the modes and the order do."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

import workbench as wb
from workbench.detectors import CSPAD, CSPAD_2X2
from workbench.errors import FileFormatError, MaskError, WorkbenchError
from workbench.mask import MaskEvaluator, build_mask
from workbench.mask.images import MaskImages
from workbench.mask.layers import select
from workbench.recipe import MaskSettings
from workbench.recipe import mask as layers

SHAPE = CSPAD.shape


GOOD = [np.ones(SHAPE), np.ones(SHAPE), np.full(SHAPE, 500.0)]


@pytest.fixture(scope="module")
def images(geometry):
    return MaskImages.of(*GOOD, geometry=geometry, distance_mm=121.0, wavelength_angstrom=1.3)


def selected(layer, images):
    return {rule: np.asarray(where) for rule, where in select(layer, images)}


def masked(*stack, geometry=None, **known):
    return ~build_mask(MaskSettings(layers=stack), *GOOD, geometry, **known).good


def test_borders_of_asics_and_sensors(images):
    asic = selected(layers.BorderLayer(pixels=2, of="asic"), images)["asic_border"]
    sensor = selected(layers.BorderLayer(pixels=2), images)["sensor_border"]
    assert asic[0, 90].nonzero()[0].tolist() == [0, 1, 192, 193, 194, 195, 386, 387]
    assert sensor[0, 90].nonzero()[0].tolist() == [0, 1, 386, 387]
    assert sensor[5, :, 200].nonzero()[0].tolist() == [0, 1, 183, 184]


def test_wide_columns(images):
    where = selected(layers.WideLayer(), images)["wide"]
    assert where.sum() == 2 * 185 * 32
    assert where[..., 193:195].all()


@pytest.mark.parametrize(("neighbours", "structure"), [(4, 1), (8, 2)])
def test_unbonded_pixels_and_their_neighbours(images, neighbours, structure):
    where = selected(layers.UnbondedLayer(neighbours=neighbours), images)
    np.testing.assert_array_equal(where["unbonded"], CSPAD.unbonded_pixels())
    around = ndimage.binary_dilation(
        CSPAD.unbonded_pixels()[7], ndimage.generate_binary_structure(2, structure)
    )
    np.testing.assert_array_equal(where["unbonded"][7] | where["unbonded_neighbour"][7], around)
    assert not (where["unbonded"] & where["unbonded_neighbour"]).any()


def test_saturation_and_occupancy():
    maximum = np.zeros(SHAPE)
    maximum[0, 0, :3] = 16382, 16383, np.nan
    occupancy = np.ones(SHAPE)
    occupancy[1, 1, :3] = 0.49, 0.5, np.nan
    known = MaskImages.of(maximum, maximum, maximum, occupancy=occupancy)
    where = selected(layers.SaturatedLayer(), known)["saturated"]
    assert np.argwhere(where).tolist() == [[0, 0, 1]]
    where = selected(layers.OccupancyLayer(at_least=0.5), known)["low_occupancy"]
    assert np.argwhere(where).tolist() == [[1, 1, 0], [1, 1, 2]]


def test_occupancy_without_counts_is_refused(images):
    with pytest.raises(MaskError, match="fraction of events"):
        select(layers.OccupancyLayer(), images)


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("pixels", [1, 3])
def test_growing_stays_within_a_sensor(neighbours, pixels):
    seeds = ((0, 0, 0), (3, 90, 193), (3, 184, 387), (31, 100, 100))
    grown = masked(
        layers.PixelLayer(pixels=seeds), layers.GrowLayer(pixels=pixels, neighbours=neighbours)
    )
    expected = np.zeros(SHAPE, bool)
    for seed in seeds:
        expected[seed] = True
    shape = ndimage.generate_binary_structure(2, 1 if neighbours == 4 else 2)
    for sensor in range(32):
        expected[sensor] = ndimage.binary_dilation(expected[sensor], shape, pixels)
    np.testing.assert_array_equal(grown, expected)


def test_growing_only_what_one_rule_masked():
    grown = masked(
        layers.PixelLayer(pixels=((0, 50, 50),)),
        layers.PartLayer(parts=("Q3S7A1",)),
        layers.GrowLayer(of=("pixel",)),
    )
    assert grown[0].sum() == 9
    assert grown[31].sum() == 185 * 194


@pytest.mark.parametrize("neighbours", [4, 8])
def test_small_islands_are_cleaned_up(neighbours):
    random = np.random.default_rng(2)
    average = np.where(random.random(SHAPE) < 0.55, -1.0, 1.0)
    stack = (layers.IslandLayer(smaller_than=6, neighbours=neighbours),)
    mask = build_mask(MaskSettings(layers=stack), average, GOOD[1], GOOD[2])
    shape = ndimage.generate_binary_structure(2, 1 if neighbours == 4 else 2)
    for sensor in (0, 31):
        regions, number = ndimage.label(average[sensor] > 0, shape)
        sizes = np.bincount(regions.ravel(), minlength=number + 1)
        small = (sizes[regions] < 6) & (regions > 0)
        np.testing.assert_array_equal(mask.good[sensor], (average[sensor] > 0) & ~small)
    assert mask.counts["island"].total == mask.counts["island"].exclusive > 0


def test_local_outliers_equal_their_definition():
    random = np.random.default_rng(5)
    average = random.normal(100, 3, SHAPE)
    average[0, 20, 40:43] = 160, np.nan, 131
    average[0, 30, 193] = 150
    layer = layers.OutlierLayer(sigmas=4.0, radius=2, at_least=5.0)
    where = selected(layer, MaskImages.of(average, average, average))["average_outlier"]
    assert where[0, 20, 40]
    assert where[0, 20, 42]
    assert where[0, 30, 193]
    assert not where[0, 20, 41]
    unbonded = CSPAD.unbonded_pixels()[0]
    for row, column in [(20, 40), (20, 42), (30, 193), (20, 44), (0, 5), (184, 387), (90, 194)]:
        first = column // 194 * 194
        rows = slice(max(row - 2, 0), row + 3)
        columns = slice(max(column - 2, first), min(column + 3, first + 194))
        near = average[0, rows, columns].copy()
        near[unbonded[rows, columns]] = np.nan
        near[row - rows.start, column - columns.start] = np.nan
        middle = np.nanmedian(near)
        spread = 1.4826 * np.nanmedian(np.abs(near - middle))
        difference = abs(average[0, row, column] - middle)
        assert where[0, row, column] == (difference > 5 and difference > 4 * spread)
    assert where.mean() < 0.01


def test_shapes_are_in_the_lab_across_panels(images):
    x, y = images.xy_mm
    circle = selected(layers.CircleLayer(centre_mm=(1.0, -2.0), radius_mm=12.0), images)["shape"]
    np.testing.assert_array_equal(circle, (x - 1) ** 2 + (y + 2) ** 2 <= 144)
    assert len({sensor // 8 for sensor in circle.any(axis=(1, 2)).nonzero()[0]}) == 4
    square = selected(layers.RectangleLayer(x_mm=(-20.0, 5.0), y_mm=(3.0, 30.0)), images)["shape"]
    np.testing.assert_array_equal(square, (x >= -20) & (x <= 5) & (y >= 3) & (y <= 30))
    corners = ((-20.0, 3.0), (5.0, 3.0), (5.0, 30.0), (-20.0, 30.0))
    same = selected(layers.PolygonLayer(points_mm=corners), images)["shape"]
    assert (same ^ square).sum() <= 4  # pixels on a side belong to one of two polygons
    arm = selected(layers.LineLayer(start_mm=(0.0, 0.0), end_mm=(40.0, 0.0), width_mm=3.0), images)[
        "shape"
    ]
    np.testing.assert_array_equal(arm[(x > 0) & (x < 40)], abs(y[(x > 0) & (x < 40)]) <= 1.5)
    assert not arm[x < -1.5].any()


def test_a_polygon_that_crosses_itself_follows_the_even_odd_rule(images):
    x, y = images.xy_mm
    bow = ((-30.0, -30.0), (30.0, 30.0), (30.0, -30.0), (-30.0, 30.0))
    inside = selected(layers.PolygonLayer(points_mm=bow), images)["shape"]
    clear = np.abs(np.abs(x) - np.abs(y)) > 1e-6
    expected = (np.abs(y) < np.abs(x)) & (np.abs(x) < 30)
    np.testing.assert_array_equal(inside[clear], expected[clear])


def test_radius_and_resolution(images):
    radius = np.hypot(*images.xy_mm)
    ring = selected(layers.RadiusLayer(from_mm=20.0, to_mm=25.0), images)["radius"]
    np.testing.assert_array_equal(ring, (radius >= 20) & (radius <= 25))
    ice = selected(layers.ResolutionLayer(from_angstrom=3.6, to_angstrom=3.7), images)
    spacing = 1.3 / (2 * np.sin(np.arctan(radius / 121.0) / 2))
    expected = (spacing >= 3.6) & (spacing <= 3.7)
    assert 0 < expected.sum() < expected.size / 10
    np.testing.assert_array_equal(ice["resolution"], expected)


@pytest.mark.parametrize("missing", ["distance", "wavelength", "geometry"])
def test_a_resolution_without_beam_says_what_is_missing(geometry, missing):
    known = {
        "geometry": geometry, "distance_mm": 121.0, "wavelength_angstrom": 1.3,
    }  # fmt: skip
    del known[next(name for name in known if missing in name)]
    with pytest.raises(MaskError, match=missing):
        masked(layers.ResolutionLayer(from_angstrom=3.0), **known)


def test_parts_and_pixels():
    where = masked(layers.PartLayer(parts=("Q2", "Q0S5", "Q1S3A1")))
    assert where[16:24].all()
    assert where[5].all()
    assert where[11, :, 194:].all()
    assert where.sum() == (8 + 1 + 0.5) * 185 * 388
    where = masked(layers.PixelLayer(pixels=((4, 5, 6), (31, 184, 387))))
    assert np.argwhere(where).tolist() == [[4, 5, 6], [31, 184, 387]]


def test_parts_and_pixels_that_the_detector_lacks_are_named():
    """A recipe cannot know them; the detector of the images does."""
    with pytest.raises(WorkbenchError, match="CSPAD has no part 'Q4'"):
        masked(layers.PartLayer(parts=("Q4",)))
    with pytest.raises(MaskError, match=r"CSPAD has no pixel \(1, 2, 388\)"):
        masked(layers.PixelLayer(pixels=((1, 2, 388),)))


def test_saturation_begins_at_the_level_of_the_adc_unless_a_level_is_set(images):
    assert layers.SaturatedLayer().level is None
    maximum = np.zeros(SHAPE)
    maximum[0, 0, :2] = 15000, 16383
    known = MaskImages.of(maximum, maximum, maximum)
    expected = selected(layers.SaturatedLayer(level=16383.0), known)["saturated"]
    assert expected.sum() == 1
    np.testing.assert_array_equal(selected(layers.SaturatedLayer(), known)["saturated"], expected)


def test_a_mask_of_a_smaller_detector():
    """Nothing in the rules or layers is about a CSPAD alone."""
    flat = np.ones(CSPAD_2X2.shape)
    stack = (
        layers.BorderLayer(of="asic"), layers.UnbondedLayer(neighbours=4), layers.WideLayer(),
        layers.PartLayer(parts=("Q0S1A0",)), layers.GrowLayer(), layers.IslandLayer(),
    )  # fmt: skip
    mask = build_mask(MaskSettings(layers=stack), flat, flat, 500 * flat)
    assert mask.detector is CSPAD_2X2
    assert mask.good.shape == CSPAD_2X2.shape
    assert not mask.good[1, :, :194].any()
    assert mask.good[0, 50:59, 55:59].all()
    assert mask.masked_fraction_by_asic.shape == (1, 2, 2)
    assert str(mask.explain((1, 5, 5))).startswith("Q0 S1 A0 slow 5 fast 5")


def test_an_imported_mask_of_another_detector_is_refused(tmp_path):
    wb.write_mask(wb.Mask.from_good(np.ones(CSPAD_2X2.shape, bool)), tmp_path / "old.npy")
    with pytest.raises(MaskError, match="mask of the CSPAD 2×2"):
        masked(layers.FileLayer(path="old.npy"), folder=tmp_path)


def test_an_imported_mask(tmp_path):
    old = np.ones(SHAPE, bool)
    old[1, 2, 3] = False
    path = tmp_path / "old.pickle"
    wb.write_mask(wb.Mask.from_good(old), path)
    layer = layers.FileLayer(path="old.pickle")
    np.testing.assert_array_equal(masked(layer, folder=tmp_path), ~old)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    masked(layers.FileLayer(path=str(path), sha256=digest))
    with pytest.raises(MaskError, match="not the mask the recipe means"):
        masked(layers.FileLayer(path=str(path), sha256="0" * 64))
    with pytest.raises(FileFormatError, match="cannot be read"):
        masked(layers.FileLayer(path="none.pickle"), folder=tmp_path)


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "old.pickle"
    evaluator = MaskEvaluator(*GOOD)
    settings = MaskSettings(layers=(layers.FileLayer(path=str(path)),))
    for number in (3, 5000):
        good = np.ones(SHAPE, bool)
        good.flat[:number] = False
        wb.write_mask(wb.Mask.from_good(good), path)
        assert evaluator.evaluate(settings).masked == number


def test_modes_and_order():
    half = layers.PartLayer(parts=("Q0", "Q1"))
    part = layers.PartLayer(mode="exclude", parts=("Q1", "Q2"))
    kept = layers.PartLayer(mode="intersection", parts=("Q1", "Q3"))
    quadrants = lambda where: where.reshape(4, -1).all(axis=1).tolist()  # noqa: E731
    assert quadrants(masked(half)) == [True, True, False, False]
    assert quadrants(masked(half, part)) == [True, False, False, False]
    assert quadrants(masked(part, half)) == [True, True, False, False]
    assert quadrants(masked(half, kept)) == [False, True, False, False]
    off = layers.PartLayer(on=False, parts=("Q0",))
    assert quadrants(masked(off)) == [False] * 4


def test_excluding_brings_back_what_the_thresholds_masked():
    average = np.ones(SHAPE)
    average[:16] = 9999
    shadow = layers.PartLayer(mode="exclude", parts=("Q0",))
    mask = build_mask(MaskSettings(layers=(shadow,)), average, *GOOD[1:])
    assert mask.good[:8].all()
    assert not mask.good[8:16].any()
    assert mask.counts["average_high"].total == 8 * 185 * 388
