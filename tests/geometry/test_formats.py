"""Geometry formats: every one gives back all pixel positions, or says what it cannot hold."""

import dataclasses
import json
import subprocess

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.detectors import CSPAD, CSPAD_2X2, GeometryTree, Placement
from workbench.detectors.base import equal_groups
from workbench.errors import FileFormatError, GeometryError, WorkbenchError
from workbench.geometry import (
    FORMATS,
    Geometry,
    GeometryWarning,
    checks,
    overlapping_modules,
)
from workbench.geometry.formats import coordinates, crystfel
from workbench.geometry.formats.pyfai import pixel_corners_m

READ_BACK = (".data", ".cbf", ".geom", ".npy")


def jittered(seed=2):
    """Design geometry with every object moved and turned a little in all directions."""
    rng = np.random.default_rng(seed)
    geometry = Geometry.ideal()
    for one in geometry.objects[:37]:
        geometry = geometry.move(one, rng.normal(0, 80, 3), frame="parent")
        geometry = geometry.rotate(one, z=rng.normal(0, 0.3), y=rng.normal(0, 0.1), x=0.05)
    return geometry.replace(("RAIL", 0), x0=0, y0=0, z0=0, tilt_z=0, tilt_y=0, tilt_x=0)


def largest_difference_um(found, expected):
    """Largest difference of pixel positions; the depth of the whole detector is not a part."""
    difference = found.pixel_positions_um() - expected.pixel_positions_um()
    difference[..., 2] -= difference[..., 2].mean()
    return np.abs(difference).max()


@pytest.mark.parametrize("suffix", READ_BACK)
def test_all_pixel_positions_come_back(tmp_path, suffix):
    geometry = jittered()
    geometry.write(tmp_path / f"x{suffix}", distance_mm=121.5)
    found = FORMATS.read(tmp_path / f"x{suffix}")
    assert largest_difference_um(found.geometry, geometry) < 1e-6
    if suffix in (".cbf", ".geom"):
        assert found.distance_mm == pytest.approx(121.5, abs=1e-9)


@pytest.mark.parametrize("suffix", READ_BACK)
def test_the_real_trees_come_back(tmp_path, cxi_file, xpp_file, suffix):
    for path in (cxi_file, xpp_file):
        geometry = Geometry.read(path)
        geometry.write(tmp_path / f"x{suffix}")
        assert largest_difference_um(Geometry.read(tmp_path / f"x{suffix}"), geometry) < 1e-6


def test_a_chain_through_every_format_ends_where_it_began(tmp_path):
    start = geometry = jittered(7)
    for suffix in (".geom", ".cbf", ".npy", ".data", ".geom", ".npy"):
        geometry.write(tmp_path / f"x{suffix}")
        geometry = Geometry.read(tmp_path / f"x{suffix}")
    assert largest_difference_um(geometry, start) < 1e-5


def test_a_cbf_carries_the_slac_file_to_the_last_byte(tmp_path, cxi_file):
    Geometry.read(cxi_file).write(tmp_path / "x.cbf")
    assert Geometry.read(tmp_path / "x.cbf").to_text().encode() == cxi_file.read_bytes()


def test_unknown_suffixes_are_refused(tmp_path):
    with pytest.raises(GeometryError, match=r"known are .*\.data \(SLAC geometry\)"):
        Geometry.ideal().write(tmp_path / "x.xyz")


def test_a_cbf_is_made_of_full_detectors_only(tmp_path):
    with pytest.raises(
        GeometryError, match=r"holds a whole detector .CSPAD, .*, this is a CSPAD 2×2"
    ):
        Geometry.ideal(CSPAD_2X2).write(tmp_path / "x.cbf")
    assert list(tmp_path.iterdir()) == []


GRID = dataclasses.replace(
    CSPAD, name="Grid", module_shape=(40, 80), asic_grid=(2, 4), groups=equal_groups("Q", 3, 2),
    unbonded_in_asic=(),
    tree=GeometryTree(
        "GRID:V1", None, "GRIDS:V1",
        tuple(Placement(7000.0 * (i // 2), 12000.0 * (i % 2), 90.0 * (i % 4)) for i in range(6)),
    ),
)  # fmt: skip
"""A detector that nobody has built: six modules of 2 × 4 ASICs, directly below the detector."""


@pytest.fixture
def another_detector(monkeypatch):
    for room in (checks, crystfel, coordinates):
        monkeypatch.setattr(room, "DETECTORS", (CSPAD, CSPAD_2X2, GRID))


@pytest.mark.parametrize("detector", [CSPAD_2X2, GRID], ids=lambda detector: detector.name)
def test_any_detector_can_be_written_moved_and_drawn(tmp_path, detector, another_detector):
    rng = np.random.default_rng(5)
    geometry = Geometry.ideal(detector)
    for module in geometry.modules:
        geometry = geometry.rotate(module, z=rng.normal(0, 0.3), y=rng.normal(0, 0.1))
    geometry = geometry.move_quadrants(rng.normal(0, 3, (len(detector.groups), 2)))
    for suffix in (".data", ".geom", ".npy"):
        geometry.write(tmp_path / f"x{suffix}")
        found = Geometry.read(tmp_path / f"x{suffix}")
        assert found.detector is detector
        assert largest_difference_um(found, geometry) < 1e-6
    for suffix in (".h5", ".expt"):
        geometry.write(tmp_path / f"x{suffix}")
    bare, full = geometry.snapped(fill=False), geometry.snapped()
    shown = bare.index >= 0
    assert np.array_equal(full.index[shown], bare.index[shown])
    assert (full.index >= 0).sum() > shown.sum()


@pytest.mark.parametrize("known", list(FORMATS), ids=lambda known: known.name)
def test_every_ending_is_written_in_its_format(tmp_path, known):
    for ending in known.endings:
        path = tmp_path / f"x{ending}"
        Geometry.ideal().write(path)
        if known.recognises:
            assert known.recognises(path.read_bytes()[:65536])
            assert FORMATS.of_path(path) is known
            assert largest_difference_um(known.read(path).geometry, Geometry.ideal()) < 1e-6
        with pytest.raises(WorkbenchError, match="exists already"):
            Geometry.ideal().write(path, overwrite=False)


# ---- CrystFEL ----------------------------------------------------------------------------------


def test_a_panel_of_the_real_crystfel_file_is_where_the_file_says(crystfel_file):
    found = crystfel.read_crystfel(crystfel_file)
    assert found.offset_mm == pytest.approx(567.409)
    assert found.distance_mm is None  # it is a path in the data
    assert found.frame == "-x +y -z"
    assert found.left_um < 0.2  # the file gives six digits
    pixel = 1e6 / 9097.52
    corner = np.array([449.861, -32.5139])
    centre = corner + 0.5 * np.array([-0.002384, 0.999997]) + 0.5 * np.array([-0.999997, -0.002384])
    position = found.geometry.pixel_positions_um()[0, 0, 0, :2]
    assert position == pytest.approx(centre * [-pixel, pixel], abs=0.2)


def test_a_template_keeps_its_other_lines_frame_and_offset(tmp_path, crystfel_file):
    geometry = crystfel.read_crystfel(crystfel_file).geometry
    geometry.write(tmp_path / "x.geom", like=crystfel_file)
    before = crystfel_file.read_text().splitlines()
    after = (tmp_path / "x.geom").read_text().splitlines()
    places = ("/fs", "/ss", "/corner", "/coffset", "res =")
    others = [line for line in before if not any(place in line for place in places)]
    assert [line for line in others if line not in after] == []
    found = crystfel.read_crystfel(tmp_path / "x.geom")
    assert found.offset_mm == pytest.approx(567.409)
    assert largest_difference_um(found.geometry, geometry) < 1e-5


@pytest.mark.parametrize("frame", crystfel.FRAMES)
def test_every_frame_is_read_back_stated_or_not(frame):
    geometry = jittered()
    text = crystfel.crystfel_text(geometry, frame=frame)
    assert crystfel.parse_crystfel(text).frame == frame
    silent = "\n".join(line for line in text.splitlines() if not line.startswith(";"))
    found = crystfel.parse_crystfel(silent)
    assert found.frame == frame
    assert largest_difference_um(found.geometry, geometry) < 1e-6


def test_data_and_mask_paths_are_written():
    text = crystfel.crystfel_text(
        Geometry.ideal(), data="/d", mask="/m", mask_good=1, mask_bad=6, distance_mm=100.0
    )
    for line in ("data = /d", "mask = /m", "mask_good = 0x0001", "mask_bad = 0x0006", "clen = 0.1"):
        assert line in text.splitlines()
    assert "mask" not in crystfel.crystfel_text(Geometry.ideal(), mask=None)


def test_asics_moved_on_their_own_are_said(tmp_path):
    text = crystfel.crystfel_text(Geometry.ideal())
    line = next(one for one in text.splitlines() if one.startswith("q1a3/corner_x"))
    value = float(line.split("=")[1])
    (tmp_path / "x.geom").write_text(text.replace(line, f"q1a3/corner_x = {value + 0.5}"))
    with pytest.warns(GeometryWarning, match="ASICs do not form rigid modules"):
        Geometry.read(tmp_path / "x.geom")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("q2a7/corner_y =", "q2a7/corner_z =", "q2a7/corner_y should be a number"),
        ("q2a7/min_ss = 555", "q2a7/min_ss = x", "q2a7/min_ss should be a number"),
        ("q2a7/min_ss = 555", "q2a7/min_ss = 550", "q2a7 has 194 × 190 pixels"),
        ("q2a7/fs =", "q2a7/fs = 2x ;", "q2a7/fs has length 2"),
        ("q2a7/fs =", "q2a7/fs = fast ;", "q2a7/fs should be a direction"),
        ("q2a7/", "q7a7/", "q2a7 is missing"),
        ("res = ", "res = -", "res should be pixels per metre"),
        ("res = 9", "res = 8", "its pixels are"),
        ("q2a7/corner_x = ", "q2a7/corner_x = 9", "not side by side"),
        ("clen = ", "clen : ", "expected 'name = value'"),
    ],
)
def test_faults_in_a_crystfel_file_are_named(tmp_path, old, new, says):
    text = crystfel.crystfel_text(Geometry.ideal())
    assert old in text
    (tmp_path / "x.geom").write_text(text.replace(old, new))
    with pytest.raises(FileFormatError) as caught:
        Geometry.read(tmp_path / "x.geom")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


TEXT = crystfel.crystfel_text(Geometry.ideal()).encode()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_to_a_crystfel_file_does_worse_than_a_refusal(data):
    content = bytearray(TEXT)
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=40))
    message = ""
    try:
        crystfel.parse_crystfel(bytes(content).decode("latin-1"), "x")
    except WorkbenchError as error:
        message = str(error)
    assert "\n" not in message


# ---- coordinates, pyFAI, DIALS -----------------------------------------------------------------


def test_coordinates_of_bent_sensors_are_said_and_of_wrong_size_refused(tmp_path):
    positions = np.moveaxis(Geometry.ideal().pixel_positions_um(), -1, 0).copy()
    positions[0, 3, 100:] += 20
    np.save(tmp_path / "bent.npy", positions)
    with pytest.warns(GeometryWarning, match="from those of flat, regular modules"):
        Geometry.read(tmp_path / "bent.npy")
    np.save(tmp_path / "nan.npy", np.where(positions > 90000, np.nan, positions))
    np.save(tmp_path / "flat.npy", positions * 0)
    np.save(tmp_path / "small.npy", positions[:, :3])
    np.save(tmp_path / "text.npy", np.array("abc"))
    for name in ("nan", "flat", "small", "text"):
        with pytest.raises(FileFormatError):
            Geometry.read(tmp_path / f"{name}.npy")


def test_coordinates_too_large_to_add_up_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    positions = np.moveaxis(Geometry.ideal(CSPAD_2X2).pixel_positions_um(), -1, 0).copy()
    positions[0, 0] = 1e308
    np.save(path, positions)
    with np.errstate(all="ignore"), pytest.raises(FileFormatError, match="size of a module"):
        Geometry.read(path)


def test_psana_layouts_of_coordinates_are_understood(tmp_path):
    geometry = jittered()
    xyz = np.moveaxis(geometry.pixel_positions_um(), -1, 0)
    for shape in ((3, 4, 8, 185, 388), (3, 5920, 388)):
        np.save(tmp_path / "x.npy", xyz.reshape(shape))
        assert largest_difference_um(Geometry.read(tmp_path / "x.npy"), geometry) < 1e-6


def test_pixel_corners_for_pyfai_enclose_the_pixels(tmp_path):
    geometry = jittered()
    corners = pixel_corners_m(geometry)
    assert corners.shape == (5920, 388, 4, 3)
    corners = corners[::23].astype(float)
    centres = 1e6 * corners.mean(axis=2)
    positions = geometry.pixel_positions_um(wide_pixel_centre=True).reshape(5920, 388, 3)[::23]
    depth = geometry.transform(("CSPAD:V1", 0)).origin_um[2]
    assert np.abs(centres[..., 1] + positions[..., 0]).max() < 0.02  # float32
    assert np.abs(centres[..., 2] - positions[..., 1]).max() < 0.02
    assert np.abs(centres[..., 0] + positions[..., 2] - depth).max() < 0.02
    edges = 1e6 * np.linalg.norm(corners[:, :, 3] - corners[:, :, 0], axis=-1)
    assert edges[:, [193, 194]] == pytest.approx(274.8, abs=0.02)
    assert np.delete(edges, [193, 194], axis=1) == pytest.approx(109.92, abs=0.02)


def test_the_pyfai_file_has_what_pyfai_reads(tmp_path):
    Geometry.ideal().write(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        group = file["entry_0000/pyFAI/CSPAD"]
        assert file["entry_0000"].attrs["NX_class"] == "NXentry"
        assert group.attrs["NX_class"] == "NXdetector"
        assert group["pixel_corners"].shape == (5920, 388, 4, 3)
        assert tuple(group["shape"][()]) == (5920, 388)
        assert not group["IS_FLAT"][()]


@pytest.mark.dials
def test_dials_loads_the_exported_experiment(tmp_path):
    geometry = jittered()
    geometry.write(tmp_path / "x.expt", distance_mm=121.5, wavelength_angstrom=1.305)
    look = """
import json, sys
from dxtbx.model.experiment_list import ExperimentListFactory
(experiment,) = ExperimentListFactory.from_json_file(sys.argv[1], check_format=False)
detector = experiment.detector
print(json.dumps([[p.get_name(), p.get_origin(), p.get_fast_axis(), p.get_slow_axis()]
                  for p in detector]
                 + [experiment.beam.get_wavelength(), len(detector.hierarchy())]))
"""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", look, tmp_path / "x.expt"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    *panels, wavelength, quadrants = json.loads(done.stdout.splitlines()[-1])
    assert (wavelength, quadrants) == (1.305, 4)
    assert [panel[0] for panel in panels] == CSPAD.panel_names()
    positions = geometry.pixel_positions_um()
    for place, (_, origin, fast, slow) in enumerate(panels):
        sensor, asic = divmod(place, 2)
        for row, column in ((0, 0), (184, 193), (7, 100)):
            at = np.array(origin) + 0.10992 * (
                (column + 0.5) * np.array(fast) + (row + 0.5) * np.array(slow)
            )
            ours = positions[sensor, row, 194 * asic + column]
            assert np.abs(1000 * at - ours)[:2].max() < 1e-6


def test_overlapping_modules_are_found(cxi_file, xpp_file):
    for path in (cxi_file, xpp_file):
        assert overlapping_modules(Geometry.read(path)) == {}
    ideal = Geometry.ideal()
    assert overlapping_modules(ideal) == {}
    moved = ideal.move(("QUAD:V1", 1, "SENS2X1:V1", 0), (0, -2500, 0))
    ((pair, depth),) = overlapping_modules(moved).items()
    assert pair == (8, 9)
    assert 0 < depth < 200
