"""The pictures: what they show is what the data say, and nothing global is touched."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from workbench import figures
from workbench.alignment.refine import WeakDirection
from workbench.alignment.uncertainty import HeldOut
from workbench.detectors import CSPAD, JUNGFRAU_4M
from workbench.errors import WorkbenchError
from workbench.figures.frame import blocks_with_any, frame_of
from workbench.figures.geometry import motion
from workbench.figures.histograms import ThresholdView
from workbench.figures.profiles import ring_radii
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.mask.suggest import pixels_masked

OFFSETS = np.array([[3.0, -2.0], [-4.0, 5.0], [6.0, 1.0], [-2.0, -7.0]])


@pytest.fixture(scope="module")
def ideal():
    return Geometry.ideal()


@pytest.fixture(scope="module")
def rings(ideal):
    """Noise-free rings at 200, 300 … 700 pixels on a slope."""
    positions = ideal.pixel_positions_um()
    radius = np.hypot(positions[..., 0], positions[..., 1]) / 109.92
    image = 50.0 + 0.02 * radius
    for at in range(200, 701, 100):
        image = image + 40 * np.exp(-(((radius - at) / 3) ** 2))
    return image


@pytest.fixture(scope="module")
def good():
    mask = np.ones(CSPAD.shape, dtype=bool)
    mask[5, :, :194] = False
    mask[:, ::37, ::41] = False
    return mask


def quadrants(sigma=0.05, lost=None):
    trials = np.arange(-10.0, 11.0)
    x, y = np.meshgrid(trials, trials, indexing="ij")
    found = []
    for number, (dx, dy) in enumerate(OFFSETS):
        values = 0.2 + 0.5 * np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / 20)
        if number == lost:
            values, dx, dy = np.full_like(values, np.nan), np.nan, np.nan
        covariance = np.diag([sigma**2, sigma**2])
        found.append(
            SimpleNamespace(
                map=values, trials_px=trials, offset_px=np.array([dx, dy]),
                sigma_px=np.array([sigma, sigma]), covariance_px2=covariance, cc=0.7,
                verdict="not determined" if number == lost else "good",
            )
        )  # fmt: skip
    return found


def residuals():
    picture = np.full((32, 2), np.nan)
    picture[::2] = np.random.default_rng(0).normal(0, 0.1, (16, 2))
    return HeldOut(0.1, np.array([200.0, 400.0]), np.array([0.1, 0.1]), picture, picture[:, 0])


def refinement():
    outwards = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]]) / np.sqrt(2)
    return SimpleNamespace(
        offsets_px=OFFSETS, covariance_px2=0.01 * np.eye(8),
        used=np.array([True, True, False, True]), outwards=outwards,
        weak=WeakDirection(0.3, 0.1, 0.2), sensor_split_px=np.stack([OFFSETS - 0.1, OFFSETS + 0.1]),
    )  # fmt: skip


def every_figure(ideal, rings, good):
    moved = ideal.move_quadrants(OFFSETS)
    profile = figures.radial_profile(rings, ideal, good)
    turned = figures.cake_of(rings, ideal, good)
    view = ThresholdView("average", rings, 60.0, "above")
    values = np.array([40, 44, np.nan, 41], np.float32)
    events = figures.PixelEvents("run 1", np.arange(4), values, [("average", 42)], [("limit", 90)])
    removed = {"average > 60": rings > 60, "border": ~good, "nothing": np.zeros(CSPAD.shape, bool)}
    return {
        "image": lambda **to: figures.detector_image(rings, ideal, good=good, rings_px=[9], **to),
        "images": lambda **to: figures.detector_images({"a": rings, "b": rings}, ideal, **to),
        "histogram": lambda **to: figures.threshold_histogram("a", rings, 60, "below", **to),
        "histograms": lambda **to: figures.threshold_histograms([view, view], **to),
        "curve": lambda **to: figures.threshold_curve("a", rings, 60, "above", **to),
        "curves": lambda **to: figures.threshold_curves([view, view], **to),
        "rules": lambda **to: figures.mask_rules(removed, ideal, **to),
        "fraction": lambda **to: figures.fraction_map(good, ideal, **to),
        "difference": lambda **to: figures.mask_difference(good, ~good, geometry=ideal, **to),
        "maps": lambda **to: figures.correlation_maps(quadrants(), ideal, **to),
        "map": lambda **to: figures.correlation_map(quadrants()[0], "Q0", **to),
        "uncertainty": lambda **to: figures.offset_uncertainty(
            refinement(), "0123", ideal.places(), **to
        ),
        "pixel": lambda **to: figures.pixel_history([events], "a pixel", **to),
        "powder": lambda **to: figures.powder_comparison(rings, moved, ideal, good=good, **to),
        "profiles": lambda **to: figures.radial_profiles(profile, profile, **to),
        "profile": lambda **to: figures.ring_profile(profile, profile, rings=[(300, "4 Å")], **to),
        "cake": lambda **to: figures.cake(turned, turned, **to),
        "residuals": lambda **to: figures.ring_residuals(residuals(), ideal, **to),
        "geometry": lambda **to: figures.geometry_difference(ideal, moved, **to),
        "sensors": lambda **to: figures.sensor_statistics(rings, rings, good, **to),
        "noise": lambda **to: figures.noise_map(rings, ideal, good, **to),
        "layout": lambda **to: figures.detector_layout(ideal, **to),
        "signs": lambda **to: figures.axes_and_signs(**to),
    }


def test_every_figure_renders_small_has_an_alternative_text_and_reuses_a_figure(ideal, rings, good):
    for name, draw in every_figure(ideal, rings, good).items():
        figure = draw()
        assert isinstance(figure, Figure), name
        assert len(figures.alt_text(figure)) > 30, name
        mine = Figure(figsize=(5, 3))
        mine.add_subplot().set_title("left from before")
        assert draw(figure=mine) is mine, name
        assert "left from before" not in [axes.get_title() for axes in mine.axes], name
        picture = figures.to_png(mine, dpi=50)
        assert picture.startswith(b"\x89PNG"), name
        assert 1000 < len(picture) < figures.png.MAX_BYTES, name


def test_a_radius_is_read_as_q_and_d_of_the_same_angle():
    read = figures.radius_reading(109.92, distance_mm=121.0, wavelength_angstrom=1.3)
    text, radius_mm = read(500.0), 500 * 0.10992
    q, d = (float(text.split(f" {name} ")[1].split()[0]) for name in "qd")
    assert q * d == pytest.approx(2 * np.pi, rel=1e-3)
    theta = np.arctan(radius_mm / 121.0) / 2
    assert d == pytest.approx(1.3 / (2 * np.sin(theta)), abs=1e-3)
    assert figures.radius_reading(109.92)(500.0) == "500.0 px"


def test_the_cursor_reads_the_cc_of_the_trial_below_it():
    quadrant = quadrants()[0]
    axes = figures.correlation_map(quadrant, "Q0").axes[0]
    value = quadrant.map[13, 8]
    assert axes.format_coord(-2.2, 3.1) == f"offset x +3.0, y −2.0 px · CC {value:.4f}"


def test_figures_take_images_as_they_take_arrays(ideal, rings, good):
    image = DetectorImage(rings, geometry=ideal)
    for draw in (
        lambda of: figures.radial_profile(of, ideal, good).mean,
        lambda of: figures.cake_of(of, ideal).values,
    ):
        np.testing.assert_array_equal(draw(image), draw(rings))
    for draw in (
        lambda of: figures.threshold_histogram("a", of, 60, "below"),
        lambda of: figures.threshold_curve("a", of, 60, "above"),
        lambda of: figures.powder_comparison(of, ideal, ideal),
        lambda of: figures.detector_image(of),
    ):
        assert figures.alt_text(draw(image)) == figures.alt_text(draw(rings))


def test_a_notebook_shows_a_figure_live_under_matplotlib_widget_and_else_as_a_picture():
    code = (
        "import matplotlib, numpy as np; from workbench import figures\n"
        "draw = lambda: figures.threshold_histogram('a', np.arange(100.0), 60, 'below')\n"
        "data, metadata = draw()._repr_mimebundle_()\n"
        "print(sorted(data), metadata['image/png']['alt'][:9])\n"
        "matplotlib.use('module://ipympl.backend_nbagg'); import ipympl.backend_nbagg\n"
        "print('application/vnd.jupyter.widget-view+json' in draw()._repr_mimebundle_())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["['image/png', 'text/plain'] Histogram", "True"]


def test_pyplot_is_never_imported():
    code = (
        "import sys, numpy as np; from workbench import figures;"
        "figures.to_png(figures.detector_image(np.zeros((32, 185, 388))));"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_settings_of_matplotlib_are_left_as_they_were(ideal, rings):
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.detector_image(rings, ideal)
    assert dict(matplotlib.rcParams) == before


def test_the_beam_is_at_zero_zero_of_the_picture(ideal):
    frame = frame_of(ideal)
    positions = ideal.pixel_positions_um()[..., :2] / 109.92
    left, _, _, top = frame.extent
    snapped = ideal.snapped()
    assert np.abs(snapped.rows + top + 0.5 - positions[..., 0]).max() <= 0.51
    assert np.abs(snapped.columns + left + 0.5 - positions[..., 1]).max() <= 0.51


def test_a_single_masked_pixel_survives_shrinking():
    picture = np.zeros((1723, 1719), dtype=bool)
    picture[1722, 1718] = True
    shrunk = blocks_with_any(picture, 700)
    assert max(shrunk.shape) <= 700
    assert shrunk.sum() == 1


def test_limits_ignore_masked_and_missing_pixels():
    data = np.arange(7000.0)
    data[::3] = np.nan
    data[1::3] = 1e9
    good = np.ones(7000, bool)
    good[1::3] = False
    low, high = figures.percentile_limits(data, good)
    assert 0 <= low < high < 7000
    assert figures.percentile_limits(np.full(10, np.nan)) == (0.0, 1.0)
    assert figures.percentile_limits(np.full(10, 3.0)) == (2.5, 3.5)


@pytest.mark.parametrize("removes", ["above", "below"])
def test_curve_counts_as_the_rule_does(removes):
    values = np.concatenate((np.random.default_rng(0).normal(50, 20, 5000), [0.0, -1.0]))
    view = ThresholdView("x", values, 40.0, removes)
    limits = np.linspace(-10, 120, 400)
    removed = pixels_masked(np.sort(values), limits, removes, positive=removes == "above")
    assert removed.tolist() == [view.removed(limit) for limit in limits]


def test_threshold_view_masks_what_has_no_value():
    values = np.array([np.nan, -1, 0, 5, 10, 11])
    assert ThresholdView("x", values, 10, "above").removed() == 4  # nan, -1, 0, 11
    assert ThresholdView("x", values, 10, "below").removed() == 4  # nan, -1, 0, 5


def test_profile_finds_the_rings(ideal, rings):
    profile = figures.radial_profile(rings, ideal)
    assert ring_radii(profile) == pytest.approx([200, 300, 400, 500, 600, 700], abs=0.6)


def test_quadrant_profiles_move_apart_in_a_wrong_geometry(ideal, rings, good):
    profile = figures.radial_profile(rings, ideal.move_quadrants(OFFSETS), good)
    near = np.abs(profile.radius_px - 400) < 20
    peaks = [profile.radius_px[near][np.nanargmax(q[near])] for q in profile.groups]
    assert max(peaks) - min(peaks) > 3


def test_profile_leaves_out_masked_and_missing_pixels(ideal):
    image = np.full(CSPAD.shape, 7.0)
    image[3] = np.nan
    image[9] = 1e6
    good = np.ones(CSPAD.shape, bool)
    good[9] = False
    profile = figures.radial_profile(image, ideal, good)
    assert np.nanmin(profile.mean) == np.nanmax(profile.mean) == 7.0
    cake = figures.cake_of(image, ideal, good)
    assert np.nanmin(cake.values) == np.nanmax(cake.values) == 7.0


def test_motion_of_quadrants_is_minus_the_offset(ideal):
    found = motion(ideal, ideal.move_quadrants(OFFSETS), "quadrant")
    np.testing.assert_allclose(found.shift_px, -OFFSETS, atol=0.01)
    np.testing.assert_allclose(found.rotation_deg, 0, atol=1e-6)


def test_maps_say_when_a_quadrant_is_not_determined(ideal):
    figure = figures.correlation_maps(quadrants(lost=2), ideal)
    assert "Q2: not determined" in figures.alt_text(figure)
    assert "Q1: x −4.00" in figures.alt_text(figure)
    figures.to_png(figure, dpi=40)


def test_nothing_good_at_all_still_gives_pictures(ideal):
    nothing = np.zeros(CSPAD.shape, bool)
    blank = np.full(CSPAD.shape, np.nan)
    profile = figures.radial_profile(blank, ideal)
    for figure in (
        figures.detector_image(blank, ideal, good=nothing),
        figures.threshold_histogram("x", blank, 10, "above"),
        figures.threshold_curve("x", blank, 10, "above"),
        figures.sensor_statistics(blank, blank, nothing),
        figures.noise_map(blank, ideal, nothing),
        figures.radial_profiles(profile, profile),
        figures.fraction_map(nothing, ideal),
        figures.mask_rules({}, ideal),
        figures.geometry_difference(ideal, ideal),
    ):
        figures.to_png(figure, dpi=40)


def test_an_image_of_another_detector_is_refused(ideal):
    with pytest.raises(WorkbenchError, match=r"2 × 185 × 388.*32 × 185 × 388"):
        figures.detector_image(np.zeros((2, 185, 388)), ideal)


def test_png_stays_below_its_limit(ideal):
    noise = np.random.default_rng(0).random(CSPAD.shape)
    figure = figures.detector_image(noise, ideal)
    assert len(figures.to_png(figure, dpi=150, max_bytes=150_000)) <= 150_000


def test_picture_carries_its_alternative_text(ideal):
    data, metadata = figures.Picture(figures.axes_and_signs())._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert "offset" in metadata["image/png"]["alt"]


def test_maps_and_names_of_eight_modules_stand_where_the_modules_are():
    jungfrau = Geometry.ideal(JUNGFRAU_4M)
    picture = figures.detector_image(np.ones(JUNGFRAU_4M.shape), jungfrau, step=8).axes[0]
    for text, (x, y) in zip(picture.texts, jungfrau.middles_px(), strict=True):
        assert text.get_position() == (y, x)
    drawn = figures.correlation_maps([*quadrants(), *quadrants()], jungfrau)
    titles = [axes.get_title("left").split(":")[0] for axes in drawn.axes]
    assert titles[:8] == [f"M{module}" for module in range(8)]


def test_pictures_of_an_image_in_kev_say_so(ideal, rings):
    in_kev = DetectorImage(rings, ideal, provenance={"unit": "keV"})
    histogram = figures.threshold_histogram("a", in_kev, 60, "below").axes[0]
    assert histogram.get_xlabel() == "keV"
    profile = figures.radial_profile(in_kev, ideal)
    assert figures.ring_profile(profile).axes[0].get_ylabel() == "mean (keV)"
    both = figures.detector_images({"dark": rings, "bright": in_kev}, ideal, step=8)
    assert [axes.get_ylabel() for axes in both.axes[2:]] == ["ADU", "keV"]
    values = np.array([4, 5, 6], np.float32)
    events = figures.PixelEvents("run 1", np.arange(3), values, [("average", 5)], unit="keV")
    drawn, histogram = figures.pixel_history([events]).axes
    assert (drawn.get_ylabel(), histogram.get_xlabel()) == ("keV", "keV")
    assert drawn.format_coord(1, 5.2) == "event 1 · 5.2 keV"
