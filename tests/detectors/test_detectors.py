"""What a detector is: layouts of arrays, names of parts, coordinates."""

import dataclasses
import pickle

import numpy as np
import pytest

from workbench.detectors import CSPAD, CSPAD_2X2, DETECTORS, JUNGFRAU_4M, find, recognise
from workbench.errors import WorkbenchError

each = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)


@pytest.fixture
def numbered():
    return np.arange(CSPAD.pixels).reshape(CSPAD.shape)


@each
def test_groups_and_asics_divide_the_detector(detector):
    numbered = np.arange(detector.pixels).reshape(detector.shape)
    assert detector.by_asic(numbered).shape == (
        detector.modules, detector.asics_per_module, *detector.asic_shape,
    )  # fmt: skip
    assert np.array_equal(detector.from_asic_stack(detector.asic_stack(numbered)), numbered)
    for group in detector.groups:
        index = detector.groups.index(group)
        assert np.array_equal(detector.by_group(numbered)[index], numbered[group.slice])
    assert len(set(detector.panel_names())) == detector.asics


@each
def test_every_named_asic_is_the_one_in_the_stack(detector):
    numbered = np.arange(detector.pixels).reshape(detector.shape)
    for name, panel in zip(detector.asic_names(), detector.asic_stack(numbered), strict=True):
        assert np.array_equal(numbered[detector.part(name)][0], panel)


@pytest.mark.parametrize(
    "shape", [(32, 185, 388), (1, 32, 185, 388), (4, 8, 185, 388), (5920, 388), (2296960,)]
)
def test_layouts_in_the_order_of_the_pixels_are_views(numbered, shape):
    detector, image = recognise(numbered.reshape(shape))
    assert detector is CSPAD
    assert np.array_equal(image, numbered)
    assert np.shares_memory(image, numbered)


def test_a_slab_has_the_sensors_of_a_quadrant_below_one_another(numbered):
    slab = CSPAD.to_slab(numbered)
    assert slab.shape == (1480, 1552)
    assert np.array_equal(slab[185:370, 388:776], numbered[9])
    assert np.array_equal(recognise(slab)[1], numbered)


@pytest.mark.parametrize("shape", [(31, 185, 388), (185, 388), (), (2, 32, 185, 388)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(WorkbenchError, match="expected a detector image"):
        recognise(np.zeros(shape))


def test_texts_are_no_image():
    with pytest.raises(WorkbenchError, match="real numbers"):
        recognise(np.full(CSPAD.shape, "a"))


def test_the_two_columns_at_the_seam_are_wide():
    assert CSPAD.wide_columns == (193, 194)
    assert CSPAD.wide_rows == ()
    x, y = CSPAD.module_coordinates_um()
    assert x[194] == pytest.approx(2 * 109.92)
    assert x[0] == pytest.approx(-195 * 109.92)
    assert (y[0], y[92], y[184]) == pytest.approx((92 * 109.92, 0, -92 * 109.92))
    true_x, _ = CSPAD.module_coordinates_um(wide_pixel_centre=True)
    assert true_x[194] == pytest.approx(274.80 / 2)
    assert np.array_equal(np.delete(true_x, [193, 194]), np.delete(x, [193, 194]))


def test_the_diagonal_of_each_asic_is_unbonded():
    unbonded = CSPAD.unbonded_pixels()
    assert unbonded.sum() == 64 * 19
    assert unbonded[3, 180, 180]
    assert unbonded[3, 180, 374]


@pytest.mark.parametrize("name", ["Q4", "Q0S8", "Q0S0A2", "S0", "", "Q1S", "q0"])
def test_parts_that_do_not_exist_are_named(name):
    with pytest.raises(WorkbenchError, match="has no part") as caught:
        CSPAD.part(name)
    assert "Q0S0A0-Q3S7A1" in str(caught.value)


def test_detectors_are_found_by_name_address_or_shape():
    assert find("CSPAD") is CSPAD
    assert find("CxiDs1.0:Cspad.0") is CSPAD
    assert find("cxisc1.0:cspad2x2.1") is CSPAD_2X2
    assert find((2, 185, 388)) is CSPAD_2X2
    with pytest.raises(WorkbenchError, match=r"known are CSPAD \(CxiDs1"):
        find("Princeton")


@each
def test_another_process_gets_the_same_detector(detector):
    assert pickle.loads(pickle.dumps(detector)) is detector


def test_modules_can_be_taken_as_other_groups_that_move_as_one():
    sides = JUNGFRAU_4M.grouped("sides")
    assert [list(group.modules) for group in sides.groups] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (sides.group_word, JUNGFRAU_4M.group_word) == ("side", "module")
    assert list(sides.by_module(np.array([5, 6]))) == [5] * 4 + [6] * 4
    assert pickle.loads(pickle.dumps(sides)) == sides
    with pytest.raises(WorkbenchError, match=r"CSPAD has no groups 'sides'; set .* to 'default'"):
        CSPAD.grouped("sides")


FOUR_BY_TWO = dataclasses.replace(
    CSPAD, name="grid", module_shape=(40, 80), asic_grid=(2, 4), unbonded_in_asic=()
)


@pytest.mark.parametrize("detector", [CSPAD, FOUR_BY_TWO], ids=["CSPAD", "2 × 4 ASICs"])
def test_every_place_of_a_module_belongs_to_the_pixel_between_its_edges(detector):
    x_edges, y_edges = detector.module_edges_um()
    assert (x_edges.size, y_edges.size) == (detector.columns + 1, detector.rows + 1)
    widths = np.diff(x_edges)
    assert widths[[*detector.wide_columns]] == pytest.approx(detector.wide_um)
    assert np.delete(widths, detector.wide_columns) == pytest.approx(detector.pixel_um)
    true_x, true_y = detector.module_coordinates_um(wide_pixel_centre=True)
    assert (x_edges[:-1] + x_edges[1:]) / 2 == pytest.approx(true_x)
    assert (y_edges[:-1] + y_edges[1:]) / 2 == pytest.approx(true_y)
    inset = 1e-3 * widths
    for x in (x_edges[:-1] + inset, x_edges[1:] - inset):
        columns = detector.pixel_at_um(x, np.zeros(x.size))[1]
        assert np.array_equal(columns, np.arange(detector.columns))
    rows = detector.pixel_at_um(np.zeros(detector.rows), true_y)[0]
    assert np.array_equal(rows, np.arange(detector.rows))
    outside = np.array([x_edges[0] - 1, x_edges[-1] + 1])
    assert (detector.pixel_at_um(outside, np.zeros(2))[1] == -1).all()
    assert (detector.pixel_at_um(np.zeros(2), np.array([y_edges[0] + 1, y_edges[-1] - 1]))[0]
            == -1).all()  # fmt: skip


def test_asics_stand_on_regular_grids_about_their_centres():
    assert [CSPAD.asic_centre_px(asic) for asic in (0, 1)] == [(-98.5, 0), (98.5, 0)]
    centres = [FOUR_BY_TWO.asic_centre_px(asic) for asic in range(8)]
    gap = FOUR_BY_TWO.seam_gap_px
    assert [x for x, _ in centres[:4]] == [-1.5 * (20 + gap), -0.5 * (20 + gap),
                                           0.5 * (20 + gap), 1.5 * (20 + gap)]  # fmt: skip
    assert [y for _, y in centres[::4]] == [(20 + gap) / 2, -(20 + gap) / 2]


@each
def test_each_pixel_knows_its_asic_and_each_group_its_asics(detector):
    number = np.broadcast_to(detector.asic_of_pixel(), detector.shape)
    for asic, pixels in enumerate(np.moveaxis(detector.by_asic(number), 1, 0)):
        assert (pixels == asic).all()
    together = np.concatenate(
        [np.arange(detector.asics)[detector.asics_of(g)] for g in detector.groups]
    )
    assert np.array_equal(together, np.arange(detector.asics))
