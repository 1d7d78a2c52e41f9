"""The geometry tree: order by index, lossless text, immutable changes, quadrant moves."""

import dataclasses
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.detectors import CSPAD, CSPAD_2X2
from workbench.errors import FileFormatError, GeometryError, WorkbenchError
from workbench.geometry import Geometry
from workbench.geometry.rotations import rotation_matrix
from workbench.geometry.slac import number_text


@pytest.fixture(scope="module")
def ideal():
    return Geometry.ideal()


def flat_text(sensors=32):
    rows = [
        f"CSPAD:V2 0 SENS2X1:V1 {i} {30000 * (i % 6)} {25000 * (i // 6)} 0 {90 * (i % 4)} 0 0 1 0 0"
        for i in range(sensors)
    ]
    return "\n".join([*rows, "IP 0 CSPAD:V2 0 0 0 100000 0 0 0 10.5 0.2 0"])


def test_text_of_an_unchanged_file_is_byte_identical(cxi_file, xpp_file):
    for path in (cxi_file, xpp_file):
        assert Geometry.read(path).to_text().encode() == path.read_bytes()


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_comments_blank_lines_tabs_foreign_bytes_and_line_ends_survive(tmp_path, ideal, ending):
    rows = [line for line in ideal.to_text().splitlines() if line and line[0] != "#"]
    camera = "IP 0 CAMERA:V1 3 1 2 3 0 0 0 0 0 0"
    lines = ["# any KEY: \xb5m", "", "#", *rows[:5], "   \t ", *rows[5:], camera]
    content = ending.join(lines).replace("SENS2X1:V1    3", "SENS2X1:V1\t3").encode("latin-1")
    (tmp_path / "0-end.data").write_bytes(content)
    geometry = Geometry.read(tmp_path / "0-end.data")
    geometry.write(tmp_path / "copy.data")
    assert (tmp_path / "copy.data").read_bytes() == content
    assert geometry.find(("CAMERA:V1", 3)).y0 == 2


def test_first_pixels_of_the_real_files_are_where_psana_puts_them(cxi_file, xpp_file):
    # values printed by psana's GeometryAccess for these files
    cxi = Geometry.read(cxi_file).pixel_positions_um()
    assert cxi[0, 0, 0, :2] == pytest.approx([-48705.897, -2385.225], abs=1e-3)
    assert cxi[..., 2].mean() == pytest.approx(1000045.31, abs=0.01)
    xpp = Geometry.read(xpp_file).with_psana_z().pixel_positions_um()
    assert xpp[0, 0, 0, :2] == pytest.approx([25225.538, 97018.424], abs=1e-3)
    assert xpp[..., 2].mean() == pytest.approx(-999878.19, abs=0.01)


def test_children_go_by_index_not_by_line(cxi_file):
    geometry = Geometry.read(cxi_file)
    assert [(s.parent_index, s.index) for s in geometry.sensors] == [
        (q, s) for q in range(4) for s in range(8)
    ]
    assert not geometry.is_in_index_order
    ordered = geometry.in_index_order()
    assert ordered.is_in_index_order
    assert ordered == geometry
    assert sorted(ordered.to_text().splitlines()) == sorted(geometry.to_text().splitlines())
    assert np.array_equal(ordered.pixel_positions_um(), geometry.pixel_positions_um())


def test_pixel_positions_follow_the_formulas_step_by_step():
    """Rotate about z, then y, then x, then shift; up the tree (PSCalib GeometryObject)."""
    rng = np.random.default_rng(3)
    geometry = Geometry.ideal()
    for one in geometry.objects:
        angles = dict(zip(("tilt_z", "tilt_y", "tilt_x"), rng.normal(0, 3, 3), strict=True))
        geometry = geometry.replace(one, x0=one.x0 + rng.normal(0, 50), **angles)
    places = rng.integers(0, [32, 185, 388], (200, 3))
    found = geometry.pixel_positions_um()[tuple(places.T)]
    for (sensor, row, column), position in zip(places, found, strict=True):
        x = 219.84 + 109.92 * (column - 194) if column >= 194 else -219.84 - 109.92 * (193 - column)
        y, z = (92 - row) * 109.92, 0.0
        one = geometry.sensors[sensor]
        while one is not None:
            a = np.radians(one.rot_z + one.tilt_z)
            x, y = x * np.cos(a) - y * np.sin(a), y * np.cos(a) + x * np.sin(a)
            a = np.radians(one.rot_y + one.tilt_y)
            z, x = z * np.cos(a) - x * np.sin(a), x * np.cos(a) + z * np.sin(a)
            a = np.radians(one.rot_x + one.tilt_x)
            y, z = y * np.cos(a) - z * np.sin(a), z * np.cos(a) + y * np.sin(a)
            x, y, z = x + one.x0, y + one.y0, z + one.z0
            one = geometry.parent(one)
        assert np.abs(position - [x, y, z]).max() < 1e-6


def test_positions_are_cached_and_read_only(ideal):
    positions = ideal.pixel_positions_um()
    assert positions is Geometry.ideal().pixel_positions_um()
    with pytest.raises(ValueError, match="read-only"):
        positions[0, 0, 0] = 0


def test_wide_columns_are_at_their_centre_on_request(ideal):
    usual, centred = ideal.pixel_positions_um(), ideal.pixel_positions_um(wide_pixel_centre=True)
    moved = np.linalg.norm(usual - centred, axis=-1)
    assert np.allclose(moved[:, :, [193, 194]], 219.84 - 137.40)
    assert not np.delete(moved, [193, 194], axis=2).any()


def test_quadrant_moves_are_in_the_lab_frame_whatever_is_above(ideal):
    tilted = ideal.replace(("CSPAD:V1", 0), rot_z=90.0, tilt_z=7.0).replace(
        ("RAIL", 0), tilt_z=3.0, x0=120
    )
    offsets = np.array([(1.25, -2.0), (0, 0), (-14, -3), (6.5, 11)])
    for geometry in (ideal, tilted, Geometry.parse(flat_text())):
        moved = geometry.move_quadrants(offsets)
        shift = (moved.pixel_positions_um() - geometry.pixel_positions_um()) / CSPAD.pixel_um
        by_quadrant = shift.reshape(4, -1, 3)
        expected = np.column_stack([-offsets, np.zeros(4)])[:, None, :]
        assert np.abs(by_quadrant - expected).max() < 1e-7


def test_moving_by_nothing_changes_no_byte(cxi_file):
    geometry = Geometry.read(cxi_file)
    assert geometry.move_quadrants(np.zeros((4, 2))).to_text() == geometry.to_text()


def test_only_changed_rows_are_written_anew_and_read_back_exactly(cxi_file):
    geometry = Geometry.read(cxi_file)
    moved = geometry.move_quadrants([(0.123456, 1), (0, 0), (0, 0), (0, 0)])
    before, after = geometry.to_text().splitlines(), moved.to_text().splitlines()
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert len(changed) == 1
    assert before[changed[0]].split()[:4] == ["CSPAD:V1", "0", "QUAD:V1", "0"]
    assert Geometry.parse(moved.to_text()) == moved
    assert len(after[changed[0]]) == len(before[changed[0]])


@given(st.floats(-1e8, 1e8, allow_nan=False))
def test_numbers_are_written_with_all_their_digits(value):
    text = number_text(value)
    assert float(text) == value
    assert "e" not in text


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 37), st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), st.floats(-9, 9))
def test_any_change_survives_the_file(place, shift, angle):
    ideal = Geometry.ideal()
    one = ideal.objects[place]
    changed = ideal.move(one, shift, frame="parent").rotate(one, z=angle, x=-angle / 3)
    again = Geometry.parse(changed.to_text())
    assert again == changed
    assert hash(again) == hash(changed)


def test_lab_and_parent_frames_of_a_move(ideal):
    sensor = ideal.find(("QUAD:V1", 2, "SENS2X1:V1", 5))
    lab = ideal.move(sensor, (10, 20, 30))
    step = lab.pixel_positions_um()[21] - ideal.pixel_positions_um()[21]
    assert np.allclose(step, (10, 20, 30))
    parent = ideal.move(sensor, (10, 20, 30), frame="parent").find(sensor)
    assert (parent.x0 - sensor.x0, parent.z0) == (10, 30)


def test_the_modules_of_a_tree_tell_the_detector(ideal, cxi_file, xpp_file):
    assert ideal.detector is CSPAD
    assert Geometry.read(cxi_file).detector is CSPAD
    flat = Geometry.read(xpp_file)
    assert flat.detector is CSPAD
    assert flat.quadrants == ()
    assert [len(group) for group in flat.groups] == [8, 8, 8, 8]
    assert flat.groups[1][0] == flat.modules[8]
    assert [len(group) for group in ideal.groups] == [1, 1, 1, 1]
    assert Geometry.ideal(CSPAD_2X2).detector is CSPAD_2X2


def test_the_modules_of_a_2x2_move_together():
    text = "\n".join(
        [*(f"CSPAD2X2:V1 0 SENS2X1:V1 {i} 0 {23000 * i} 0 0 0 0 0 0 0" for i in range(2)),
         "IP 0 CSPAD2X2:V1 0 0 0 100000 0 0 0 0 0 0"]
    )  # fmt: skip
    geometry = Geometry.parse(text)
    assert geometry.pixel_positions_um().shape == (2, 185, 388, 3)
    moved = geometry.move_quadrants([(1.5, -2)])
    shift = (moved.pixel_positions_um() - geometry.pixel_positions_um()) / CSPAD_2X2.pixel_um
    assert np.abs(shift - [-1.5, 2, 0]).max() < 1e-7
    with pytest.raises(GeometryError, match=r"shape \(1, 2\), found \(4, 2\)"):
        geometry.move_quadrants(np.zeros((4, 2)))


def test_rounded_copy_keeps_whole_micrometres(ideal):
    moved = ideal.move_quadrants(np.full((4, 2), 0.3))
    rounded = moved.rounded()
    step = np.abs(rounded.pixel_positions_um() - moved.pixel_positions_um()).max()
    assert 0 < step <= 0.5 * np.sqrt(2)


def test_quarter_turns_are_exact():
    for turn in range(-8, 9):
        assert set(np.abs(rotation_matrix(0, 0, 90.0 * turn)).ravel()) == {0.0, 1.0}


# ---- input that must be refused in one line ---------------------------------------------------


def broken(text, line, replacement):
    lines = text.splitlines()
    lines[line - 1] = replacement
    return "\n".join(lines)


FLAT = flat_text()


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (broken(FLAT, 7, "CSPAD:V2 0 SENS2X1:V1 6 0 0 0 0 0 0 0 0"), 7, "13 columns, found 12"),
        (broken(FLAT, 7, "CSPAD:V2 0 SENS2X1:V1 6 0 0 x 0 0 0 0 0 0"), 7, "z0 should be a number"),
        (broken(FLAT, 7, "CSPAD:V2 0 SENS2X1:V1 6 nan 0 0 0 0 0 0 0 0"), 7, "x0"),
        (broken(FLAT, 7, "CSPAD:V2 0 SENS2X1:V1 6 1e300 0 0 0 0 0 0 0 0"), 7, "x0"),
        (broken(FLAT, 7, "CSPAD:V2 0 SENS2X1:V1 6 0 0 0 0 0 inf 0 0 0"), 7, "rot_x"),
        (broken(FLAT, 7, "CSPAD:V2 0 SENS2X1:V1 6.5 0 0 0 0 0 0 0 0 0"), 7, "index"),
        (broken(FLAT, 7, "CSPAD:V2 0 SENS2X1:V1 5 0 0 0 0 0 0 0 0 0"), 7, "twice (first in line"),
        (broken(FLAT, 7, "CSPAD:V9 0 SENS2X1:V1 6 0 0 0 0 0 0 0 0 0"), 7, "CSPAD:V9 0"),
        (broken(FLAT, 33, "CSPAD:V2 0 CSPAD:V2 0 0 0 0 0 0 0 0 0 0"), 33, "its own parent"),
        (broken(FLAT, 33, "SENS2X1:V1 3 CSPAD:V2 0 0 0 0 0 0 0 0 0 0"), 1, "circle"),
        (broken(FLAT, 7, "\x00\x01\x02"), 7, "binary"),
    ],
)  # fmt: skip
def test_faulty_rows_are_named_with_file_and_line(tmp_path, text, line, says):
    path = tmp_path / "0-end.data"
    path.write_text(text)
    with pytest.raises(FileFormatError) as caught:
        Geometry.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}")
    assert says in message
    assert "\n" not in message


def test_missing_sensors_are_named(ideal):
    text = "".join(
        line
        for line in ideal.to_text().splitlines(keepends=True)
        if line.split()[:4] not in (["QUAD:V1", "2", "SENS2X1:V1", "5"],)
    )
    with pytest.raises(GeometryError, match=r"found 31 \(QUAD:V1 2 lacks 5"):
        Geometry.parse(text, "x.data")


def test_empty_missing_and_foreign_files_are_refused(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "prose").write_text("this is no geometry\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 10)
    for name in ("empty", "prose", "binary", "absent", "."):
        with pytest.raises(FileFormatError, match=r".*"):
            Geometry.read(tmp_path / name)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_to_a_file_does_worse_than_a_refusal(data):
    content = bytearray(Geometry.ideal().to_text().encode())
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=30))
    from workbench.geometry.slac import decode

    with suppress(WorkbenchError):
        geometry = Geometry.parse(decode(bytes(content), "x"), "x")
        assert geometry.to_text().encode("utf-8", "surrogateescape") == bytes(content)


def test_geometries_cannot_be_changed(ideal):
    with pytest.raises(dataclasses.FrozenInstanceError):
        ideal.objects[0].x0 = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        ideal.objects = ()
