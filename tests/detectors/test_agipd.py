"""AGIPD-1M: frames and geometry of files, mask, and the alignment of a real frame with rings."""

import h5py
import numpy as np
import pytest
from scipy.optimize import curve_fit

import workbench as wb
from workbench.cli import main
from workbench.detectors import AGIPD_1M, JUNGFRAU_1M, find, recognise
from workbench.errors import FileFormatError, WorkbenchError
from workbench.geometry import Geometry
from workbench.geometry.formats import crystfel
from workbench.images import DetectorImage
from workbench.recipe import AlignmentSettings
from workbench.runs import open_frames

FRAME = np.arange(AGIPD_1M.pixels, dtype=np.float32).reshape(16, 512, 128)


def largest_difference_um(one, other):
    return np.abs(one.pixel_positions_um() - other.pixel_positions_um()).max()


@pytest.fixture
def geom(shared_data):
    return shared_data / "rings" / "agipd1m.geom"


def test_it_is_found_by_its_address_at_the_european_xfel():
    assert find("SPB_DET_AGIPD1M-1") is find("MID_DET_AGIPD1M-1") is AGIPD_1M
    assert find((16, 512, 128)) is AGIPD_1M


def test_tiles_of_a_module_are_66_pixels_apart():
    x, y = AGIPD_1M.module_coordinates_um()
    steps = np.diff(y[::-1])
    assert np.allclose(steps[63::64], 3 * 200)
    assert np.allclose(np.delete(steps, np.arange(63, 511, 64)), 200)
    assert np.allclose(np.diff(x), 200)


def test_a_jungfrau_1m_with_as_many_pixels_is_not_mistaken_for_it(tmp_path):
    with pytest.raises(WorkbenchError, match="may be an image of Jungfrau 1M and AGIPD-1M"):
        recognise(np.zeros(AGIPD_1M.pixels))
    for detector in (AGIPD_1M, JUNGFRAU_1M):
        assert recognise(np.zeros(detector.shape))[0] is detector
        Geometry.ideal(detector).write(tmp_path / "a.npy")
        assert Geometry.read(tmp_path / "a.npy").detector is detector
        mask = wb.Mask.from_good(np.ones(detector.shape, bool))
        wb.write_mask(mask, tmp_path / "a.data", "psana-mask")
        assert wb.read_mask(tmp_path / "a.data").detector is detector


# ---- frames ------------------------------------------------------------------------------------


def _npz(path, data):
    np.savez(path, data=data, trains=np.arange(3))


def _npz_compressed(path, data):
    np.savez_compressed(path, data=data)


def _corrected_h5(path, data):
    with h5py.File(path, "w") as file:
        file["entry_1/instrument_1/detector_1/data"] = data
        file["entry_1/trainId"] = np.arange(len(data))


WRITERS = {
    "a.npy": np.save, "a.npz": _npz, "packed.npz": _npz_compressed, "a.h5": _corrected_h5,
    "a.cxi": _corrected_h5,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_a_stack_of_events_is_averaged(tmp_path, name):
    WRITERS[name](tmp_path / name, np.stack([FRAME, FRAME + 2]))
    images = wb.average_run(open_frames(tmp_path / name))
    assert images.count == 2
    assert np.array_equal(images.average, FRAME + 1)
    assert np.array_equal(images.maximum, FRAME + 2)


@pytest.mark.parametrize("name", WRITERS)
def test_a_single_frame_is_an_image(tmp_path, name):
    WRITERS[name](tmp_path / name, FRAME)
    image = wb.read_image(tmp_path / name)
    assert image.detector is AGIPD_1M
    assert np.array_equal(image.data, FRAME)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"a": np.zeros((15, 512, 128))}, r"expected one array .*, found a \(15, 512, 128\)"),
        ({"a": FRAME, "b": FRAME}, r"found a .*, b .*Name one: .*a.npz:a"),
        ({"a": np.array([None])}, "Python objects"),
    ],
)
def test_other_archives_are_refused_in_one_line(tmp_path, arrays, problem):
    np.savez(tmp_path / "a.npz", **arrays)
    for read in (wb.read_image, open_frames):
        with pytest.raises(FileFormatError, match=problem):
            read(tmp_path / "a.npz")
    if "b" in arrays:
        assert np.array_equal(wb.read_image(f"{tmp_path / 'a.npz'}:b").data, FRAME)


# ---- geometry ----------------------------------------------------------------------------------


def test_a_real_geometry_has_its_corners_where_the_file_says(geom):
    from_file = crystfel.read_crystfel(geom)
    assert from_file.geometry.detector is AGIPD_1M
    assert from_file.frame == "-y -x -z"
    assert from_file.distance_mm == 5500
    assert from_file.left_um < 1e-6
    positions = from_file.geometry.pixel_positions_um()
    # p8a1: corner (533.75 - 66, -153.65), fs = +y, ss = -x; the first pixel's centre, CrystFEL x y
    x, y = 533.75 - 66 - 0.5, -153.65 + 0.5
    assert np.allclose(positions[8, 64, 0, :2], [-y * 200, -x * 200])


def test_quadrants_move_and_everything_else_of_the_file_stays(tmp_path, geom):
    present = Geometry.read(geom)
    moved = present.move_quadrants([(1, 2), (0, 0), (-3.5, 0.25), (0, 0)])
    moved.write(tmp_path / "new.geom", like=geom)
    assert largest_difference_um(Geometry.read(tmp_path / "new.geom"), moved) < 1e-6
    before, after = geom.read_text().splitlines(), (tmp_path / "new.geom").read_text().splitlines()
    kept = [line for line in before if "/corner" not in line and "/fs" not in line]
    kept = [line for line in kept if not line.startswith("res") and "/ss" not in line]
    kept = [line for line in kept if "/coffset" not in line]
    assert set(kept) <= set(after)
    assert any(line.startswith("rigid_group_q3 = p12a0,") for line in after)


def test_a_geometry_without_a_template_comes_back_with_its_groups(tmp_path):
    design = Geometry.ideal(AGIPD_1M)
    design.write(tmp_path / "new.geom")
    assert largest_difference_um(Geometry.read(tmp_path / "new.geom"), design) < 1e-6
    lines = (tmp_path / "new.geom").read_text().splitlines()
    assert "rigid_group_p15 = " + ",".join(f"p15a{asic}" for asic in range(8)) in lines
    assert "rigid_group_collection_quadrants = q0,q1,q2,q3" in lines
    assert {"p9a3/dim1 = 9", "p9a3/min_ss = 192", "p9a3/max_fs = 127"} <= set(lines)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("p3a0/dim1 = 3", "p3a0/dim1 = 2", r"p3a0 belongs to module 3, its data to module 2"),
        ("p3a0/max_ss = 63", "p3a0/max_ss = 62", r"128 × 63 pixels, an ASIC of an AGIPD-1M"),
        ("p15", "p16", r"p15a0 is missing"),
    ],
)
def test_modules_reordered_or_missing_are_refused(tmp_path, old, new, problem):
    Geometry.ideal(AGIPD_1M).write(tmp_path / "a.geom")
    text = (tmp_path / "a.geom").read_text().replace(old, new)
    (tmp_path / "b.geom").write_text(text)
    with pytest.raises(FileFormatError, match=problem):
        Geometry.read(tmp_path / "b.geom")


def test_a_geometry_of_another_detector_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="The image is of an AGIPD-1M, its geometry"):
        DetectorImage(FRAME, Geometry.ideal())


def test_the_corrected_geometry_of_the_command_keeps_the_lines_of_the_file(tmp_path, geom, capsys):
    np.save(tmp_path / "frame.npy", FRAME)
    wb.write_mask(wb.Mask.from_good(np.zeros(AGIPD_1M.shape, bool)), tmp_path / "none.h5")
    image, new = str(tmp_path / "frame.npy"), tmp_path / "new.geom"
    options = ["--mask", str(tmp_path / "none.h5"), "--geometry", str(geom)]
    assert main(["align", image, *options, "-o", str(new)]) == 0
    assert "; AGIPD-1M geometry file written by karabo_data 0.2.0" in new.read_text()
    assert Geometry.read(new) == Geometry.read(geom), "no pixels, so nothing moves"
    assert main(["align", image, *options]) == 0
    assert wb.read_image(tmp_path / "frame_cc.h5").geometry == Geometry.read(geom)


def test_a_corrected_geometry_is_a_new_version(tmp_path):
    store = wb.GeometryStore(tmp_path, "SPB_DET_AGIPD1M-1")
    design = Geometry.ideal(AGIPD_1M)
    store.deploy(design, comment="design")
    store.deploy(design.move_quadrants([(1, 0), (0, 0), (0, 0), (0, 0)]), comment="aligned")
    assert [version.number for version in store.history()] == [0, 1]
    assert (
        Geometry.read(
            tmp_path / "Agipd::CalibV1" / "SPB_DET_AGIPD1M-1" / "geometry" / "0-end.data"
        ).detector
        is AGIPD_1M
    )


# ---- mask --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".pickle", ".h5", ".cxi", ".npy", ".nxs", ".geom.h5"])
def test_a_mask_comes_back_from_its_file(tmp_path, ending):
    good = np.random.default_rng(3).random(AGIPD_1M.shape) > 0.1
    formats = {".geom.h5": "crystfel", ".nxs": "nxmx"}
    wb.write_mask(wb.Mask.from_good(good), tmp_path / f"mask{ending}", formats.get(ending))
    again = wb.read_mask(tmp_path / f"mask{ending}")
    assert again.detector is AGIPD_1M
    assert np.array_equal(again.good, good)


@pytest.mark.parametrize("kind", ["crystfel", "nxmx"])
def test_single_frames_are_written_in_the_places_of_their_modules(tmp_path, kind):
    np.save(tmp_path / "frames.npy", np.stack([FRAME, FRAME + 1]))
    Geometry.ideal(AGIPD_1M).write(tmp_path / "a.data")
    files = [str(tmp_path / "frames.npy"), "--geometry", str(tmp_path / "a.data")]
    beam = ["--wavelength", "1.3", "--distance", "200", "--format", kind, "-o", str(tmp_path)]
    assert main(["dump", *files, *beam]) == 0
    (path,) = [path for path in tmp_path.iterdir() if path.suffix in (".cxi", ".nxs")]
    with h5py.File(path) as file:
        if kind == "crystfel":
            assert np.array_equal(file["entry_1/data_1/data"][1], FRAME + 1)
        else:
            frame = file["entry/data/data"][1].reshape(128, 64, 128)
            assert np.array_equal(frame, AGIPD_1M.asic_stack(FRAME + 1))
    if kind == "crystfel":
        geometry = Geometry.read(next(tmp_path.glob("*.geom")))
        assert largest_difference_um(geometry, Geometry.ideal(AGIPD_1M)) < 1e-6


def test_a_recipe_writes_its_results_without_cbf(tmp_path, geom):
    for name, values in (("average", FRAME), ("stddev", FRAME * 0 + 1), ("maximum", FRAME * 0)):
        np.save(tmp_path / f"{name}.npy", values)
    images = "\n".join(f'{name} = "{name}.npy"' for name in ("average", "stddev", "maximum"))
    (tmp_path / "a.calibration.toml").write_text(
        f'[experiment]\naddress = "SPB_DET_AGIPD1M-1"\ngeometry = "{geom}"\n[images]\n{images}\n'
    )
    done = wb.run_recipe(tmp_path / "a.calibration.toml")
    assert done.mask.good.sum() == 0, "the maximum is below its limit everywhere"
    assert wb.read_image(done.files["corrected"]).detector is AGIPD_1M
    assert Geometry.read(done.files["geometry"]) == Geometry.read(geom)


# ---- a real frame ------------------------------------------------------------------------------


def _ring_px(image, geometry, good, near_px):
    """Radius of a ring in each quadrant: a Gaussian through medians of half a pixel.

    Shares nothing with the alignment.
    """
    x, y = np.moveaxis(geometry.pixel_positions_um()[..., :2] / 200, -1, 0)
    radius = np.hypot(x, y)
    bins = np.arange(near_px - 7, near_px + 7, 0.5)
    peaks = []
    for group in AGIPD_1M.groups:
        use = good[group.slice]
        place = np.digitize(radius[group.slice][use], bins)
        values = image[group.slice][use]
        medians = np.array([np.median(values[place == k]) for k in range(1, len(bins))])
        centres = bins[:-1] + 0.25

        def shape(r, height, middle, width, level, slope):
            ring = height * np.exp(-((r - middle) ** 2) / (2 * width**2))
            return ring + level + slope * (r - near_px)

        start = [np.ptp(medians), centres[medians.argmax()], 1.0, medians.min(), 0.0]
        peaks.append(curve_fit(shape, centres, medians, start)[0][1])
    return np.array(peaks)


@pytest.mark.slow
def test_the_quadrants_of_a_real_frame_see_the_same_rings_once_aligned(shared_data, geom):
    image = wb.read_image(shared_data / "rings" / "agipd1m.npz").data
    quiet = np.ones(image.shape)  # one frame has no standard deviation
    limits = wb.Thresholds(avg_max=10_000, stddev_max=2, maxproj_min=1)
    good = wb.make_mask(image, quiet, image, limits).good
    assert 0.9 < good.mean() < 0.95
    assert np.abs(image[good]).max() <= 10_000
    present = Geometry.read(geom)
    assert np.ptp(_ring_px(image, present, good, 159)) > 3
    aligned = wb.align_quadrants(image, present, good)
    assert all(quadrant.accepted for quadrant in aligned.quadrants)
    assert aligned.refinement.held_out.rms_px < 0.45, "modules are off their place by as much"
    assert np.ptp(_ring_px(image, aligned.geometry, good, 160.5)) < 0.45
    assert np.ptp(_ring_px(image, aligned.geometry, good, 334)) < 0.2
    # modules are off their place by as much; on request they are moved too
    moved = wb.align_quadrants(
        image, present, good, settings=AlignmentSettings(sensors=True)
    ).geometry
    held_out = wb.align_quadrants(image, moved, good).refinement.held_out
    assert held_out.rms_px < 0.15
    assert np.ptp(_ring_px(image, moved, good, 160.5)) < 0.15
    assert np.ptp(_ring_px(image, moved, good, 334)) < 0.35
