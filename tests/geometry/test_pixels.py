"""The snapped picture: each pixel in its cell, axes as psana draws them."""

import numpy as np
import pytest

from workbench.detectors import CSPAD, JUNGFRAU_4M
from workbench.errors import GeometryError
from workbench.geometry import Geometry


@pytest.fixture(scope="module")
def ideal():
    return Geometry.ideal()


def test_cells_follow_psanas_rule(ideal):
    snapped = ideal.snapped(fill=False)
    x = ideal.pixel_positions_um()[..., 0]
    rows = ((x - x.min() + CSPAD.pixel_um / 2) / CSPAD.pixel_um).astype(int)
    assert np.array_equal(snapped.rows, rows)
    assert snapped.columns.max() + 1 == snapped.shape[1]
    assert np.unique(snapped.index).size == CSPAD.pixels + 1  # a design geometry hides no pixel


def test_picture_shape_of_the_real_files(cxi_file, xpp_file):
    assert Geometry.read(cxi_file).snapped().shape == (1718, 1719)
    assert Geometry.read(xpp_file).snapped().shape == (1942, 1940)


def test_assembled_values_are_those_of_the_pixels(ideal):
    values = np.arange(CSPAD.pixels, dtype=float).reshape(ideal.shape)
    for fill in (False, True):
        snapped = ideal.snapped(fill=fill)
        picture = snapped.assemble(values)
        assert picture[snapped.rows[3, 100, 20], snapped.columns[3, 100, 20]] == values[3, 100, 20]
        assert np.isnan(picture[snapped.index < 0]).all()


def test_filling_leaves_no_holes_inside_a_tilted_sensor_and_moves_no_pixel(ideal):
    tilted = ideal.rotate(("QUAD:V1", 0, "SENS2X1:V1", 0), z=3.0)
    bare, full = tilted.snapped(fill=False), tilted.snapped()
    shown = bare.index >= 0
    assert np.array_equal(full.index[shown], bare.index[shown])
    area = np.s_[bare.rows[0, 20:160, 20:370].min() + 60 : bare.rows[0, 20:160, 20:370].max() - 60,
                 bare.columns[0, 20:160, 20:370].min() + 30 :
                 bare.columns[0, 20:160, 20:370].max() - 30]  # fmt: skip
    assert (bare.index[area] < 0).any()
    assert (full.index[area] >= 0).all()


def test_wide_columns_are_drawn_over_the_seam(ideal):
    snapped = ideal.snapped()
    sensor, row = 8, 50  # a sensor that is turned by 0 degrees: fast along psana x, so down
    column = snapped.columns[sensor, row, 193]
    rows = slice(snapped.rows[sensor, row, 193], snapped.rows[sensor, row, 194] + 1)
    shown = snapped.index[rows, column] % 388
    assert list(shown) == [193, 193, 194, 194, 194] or list(shown) == [193, 193, 193, 194, 194]


@pytest.mark.parametrize("kind", [np.int16, np.float32, bool, np.uint8])
def test_the_type_of_an_array_survives_where_the_fill_allows(ideal, kind):
    picture = ideal.snapped().assemble(np.ones(ideal.shape, dtype=kind), fill=0)
    assert picture.dtype == kind


def test_integers_with_nan_fill_become_floats(ideal):
    assert ideal.snapped().assemble(np.ones(ideal.shape, np.int16)).dtype.kind == "f"


def test_a_wrong_shape_is_refused(ideal):
    with pytest.raises(GeometryError, match="expected an array of shape"):
        ideal.snapped().assemble(np.zeros((3, 3)))


def test_sensors_flung_far_away_are_refused(ideal):
    with pytest.raises(GeometryError, match="not a usable geometry"):
        ideal.replace(("QUAD:V1", 0), x0=9e8).snapped()


@pytest.mark.parametrize(
    ("detector", "as_drawn"),
    [
        (CSPAD, ["Q3 Q0", "Q2 Q1"]),
        (JUNGFRAU_4M, ["M0 M1 M2 M3", "M4 M5 M6 M7"]),
        (JUNGFRAU_4M.grouped("sides"), ["SIDE0", "SIDE1"]),
    ],
    ids=["CSPAD", "modules", "sides"],
)
def test_groups_stand_where_the_geometry_has_them(detector, as_drawn):
    places = Geometry.ideal(detector).places(detector.groups)
    by_place = dict(zip(places, detector.groups, strict=True))
    rows = [
        " ".join(by_place[row, column].name for row, column in sorted(by_place) if row == number)
        for number in sorted({row for row, _ in by_place})
    ]
    assert rows == as_drawn
