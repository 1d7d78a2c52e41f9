"""Joint refinement on simulated powders with a known truth: accuracy, uncertainty, verdicts."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.alignment import (
    align_quadrants,
    overlaps_px,
    polarisation_check,
    prepare,
    rank_images,
    ring_sharpness,
)
from workbench.alignment.calibrant import CalibrantMismatch, fit_calibrant, with_calibrant
from workbench.alignment.degeneracies import turns_alike_deg
from workbench.alignment.event_halves import compared_halves, origin
from workbench.detectors import CSPAD
from workbench.errors import AlignmentError, Cancelled
from workbench.geometry import Geometry
from workbench.images import DetectorImage
from workbench.recipe import AlignmentSettings, Decisions
from workbench.simulate import powder_image

TRUTH = np.array([[5.36, 1.54], [-3.38, -7.31], [7.58, 1.55], [-4.64, 6.57]])


def seen(truth=TRUTH, **scene):
    """Simulated powder in a geometry whose quadrants are off by `truth`."""
    true = Geometry.ideal()
    data = powder_image(true, **scene)
    return DetectorImage(
        data, true.move_quadrants(-truth), distance_mm=121.0, wavelength_angstrom=1.3051
    )


@pytest.fixture(scope="module")
def many():
    image = seen()
    return image, align_quadrants(image)


def rms(errors):
    return float(np.sqrt(np.mean(np.square(errors))))


def test_many_rings_are_right_to_a_tenth_of_a_pixel(many):
    _, found = many
    assert rms(found.offsets_px - TRUTH) < 0.05
    assert [one.verdict for one in found.quadrants] == ["good"] * 4


@pytest.mark.parametrize(
    "scene",
    [
        {"photons_per_pixel": 0.3, "background": 1.0},
        {"spots": 500, "spots_on_rings": False, "photons_per_pixel": 5, "kind": "maximum"},
        {"shadow": True, "dead_sensors": [1, 8]},
    ],
    ids=["weak", "Bragg spots", "shadow and dead sensors"],
)
@pytest.mark.slow
def test_weak_spotty_and_shadowed_rings_are_right_to_a_quarter(scene):
    image = seen(**scene)
    mask = np.ones(CSPAD.shape, bool)
    mask[scene.get("dead_sensors", [])] = False
    found = align_quadrants(image, mask=mask)
    errors = found.offsets_px - TRUTH
    assert rms(errors) < 0.25
    assert (np.abs(errors) < 5 * found.sigmas_px).all()


def test_the_claimed_uncertainty_covers_the_error(many):
    _, found = many
    assert (np.abs(found.offsets_px - TRUTH) < 4 * found.sigmas_px).all()
    assert found.sigmas_px.max() < 0.1


def test_rings_become_sharper(many):
    image, found = many
    assert found.sharpness.after.explained > found.sharpness.before.explained + 0.2
    prepared = prepare(image)
    assert ring_sharpness(prepared, found.offsets_px).width_px < 6


@pytest.mark.slow
def test_water_and_bragg_spots_without_rings_are_not_taken_for_rings():
    image = seen(rings=[], spots=300, spots_on_rings=False, kind="maximum")
    found = align_quadrants(image)
    assert {one.verdict for one in found.quadrants} <= {"not determined", "uncertain"}
    wrong = np.abs(found.applied_px - TRUTH * found.applied_px.astype(bool)).max()
    assert wrong < 1 or not found.applied_px.any()


@pytest.mark.slow
def test_an_offset_that_puts_sensors_on_one_another_is_not_accepted():
    true = Geometry.ideal()
    assert overlaps_px(true) == {}
    middles = true.pixel_positions_um()[..., :2].reshape(4, -1, 2).mean(axis=1)
    inwards = 9 * np.sign(middles)
    assert overlaps_px(true.move_quadrants(inwards)), "the quadrants now lie on one another"
    # rings that would be round only in that impossible geometry
    image = DetectorImage(powder_image(true.move_quadrants(inwards)), true, distance_mm=121.0)
    found = align_quadrants(image)
    assert not found.applied_px.any()
    assert all("overlap" in " ".join(one.warnings) for one in found.quadrants)


@pytest.mark.slow
def test_images_are_ranked_by_the_clarity_of_their_rings(many):
    image, _ = many
    weak = seen(photons_per_pixel=0.5, background=5.0)
    ranked = rank_images({"weak": weak, "clear": image})
    assert [one.name for one in ranked] == ["clear", "weak"]
    assert ranked[0].clear == 4
    assert ranked[0].mean_cc > ranked[1].mean_cc


@pytest.mark.slow
def test_halves_of_the_events_that_disagree_are_told(many):
    image, whole = many
    data = image.data.copy()
    data[16:24] = powder_image(
        Geometry.ideal().move_quadrants([[0, 0]] * 2 + [[-1.5, 1.0], [0, 0]])
    )[16:24]
    other = dataclasses.replace(image, data=data)
    found = align_quadrants(image, halves=(image, other))
    assert [one.verdict for one in found.quadrants] == ["good", "good", "uncertain", "good"]
    assert "halves of the events" in " ".join(found.quadrants[2].warnings)
    apart = [one.measures.event_halves_apart_px for one in found.quadrants]
    assert apart[2] == pytest.approx(np.hypot(1.5, 1.0), abs=0.1)
    assert np.allclose(found.offsets_px, whole.offsets_px)
    lines = "\n".join(found.lines())
    assert f"uncertain; halves of the events {apart[2]:.2f} px apart" in lines
    assert "halves" not in "\n".join(whole.lines())


def test_what_disagreeing_halves_mean_depends_on_what_they_are(many):
    image, whole = many
    refined = whole.refinement
    moved = dataclasses.replace(refined, offsets_px=refined.offsets_px + np.array([0.8, 0.6]))

    def told(split, counts=(6, 6), other=moved):
        halves = [
            dataclasses.replace(image, provenance={"count": count, "half": {"split": split}})
            for count in counts
        ]
        found = compared_halves(list(whole.quadrants), refined, (refined, other), origin(halves))
        return " ".join(found[0].warnings)

    assert "differ from shot to shot" in told("odd-even")
    assert "1.0 px apart; the detector or the beam may have moved" in told("first-last")
    assert "no usable pixels" in told("first-last", other=None)
    assert not told("odd-even", other=refined)


def test_unequal_halves_may_be_further_apart():
    def factor(*counts):
        images = [DetectorImage(np.zeros(CSPAD.shape), provenance={"count": n}) for n in counts]
        return origin(images).factor

    assert factor(50, 50) == pytest.approx(2)  # each half has half the events
    assert factor(10, 90) == pytest.approx(np.sqrt(10 + 10 / 9))
    assert origin([np.zeros(3), np.zeros(3)]).factor == 2


@pytest.mark.parametrize(
    "settings", [pytest.param({"refine": "none"}, marks=pytest.mark.slow), {"method": "cctbx"}]
)
def test_halves_that_are_not_compared_are_told(many, settings):
    image, _ = many
    quick = AlignmentSettings(range_px=2, multi_angle=False, **settings)
    found = align_quadrants(image, settings=quick, halves=(image, image))
    assert "here they are unused" in " ".join(found.warnings)


def test_halves_are_two(many):
    with pytest.raises(AlignmentError, match="two images, not 3"):
        align_quadrants(many[0], halves=[many[0]] * 3)


def scatter(like):
    return np.random.default_rng(0).poisson(20, like.shape)


@pytest.mark.parametrize(
    ("ruined", "instead"),
    [
        ([1], scatter),
        ([1, 2], scatter),
        ([2], lambda _: powder_image(Geometry.ideal(), rings="LaB6")[16:24]),
    ],
    ids=["scatter", "two with scatter", "rings of another substance"],
)
@pytest.mark.slow
def test_a_quadrant_that_sees_other_rings_is_left_out_and_the_others_are_aligned(ruined, instead):
    image = seen()
    data = image.data.copy()
    for quadrant in ruined:
        part = slice(8 * quadrant, 8 * quadrant + 8)
        data[part] = instead(data[part])
    aligned = align_quadrants(data, image.geometry)
    others = [quadrant for quadrant in range(4) if quadrant not in ruined]
    assert {aligned.quadrants[quadrant].verdict for quadrant in ruined} == {"not determined"}
    assert {aligned.quadrants[quadrant].verdict for quadrant in others} == {"good"}
    assert np.abs(aligned.offsets_px - TRUTH)[others].max() < 0.1


@pytest.fixture(scope="module")
def in_place(many):
    """The image in its corrected geometry."""
    image, found = many
    return dataclasses.replace(image, geometry=found.geometry)


def test_others_are_aligned_to_a_quadrant_that_is_held(in_place):
    offsets = np.array([(0.0, 0.0), (2.0, -1.0), (0.0, 0.0), (0.0, 3.0)])
    moved = in_place.geometry.move_quadrants(-offsets)
    held = align_quadrants(in_place, moved, settings=AlignmentSettings(fixed=(0, 2)))
    assert {quadrant.verdict for quadrant in held.quadrants} == {"good"}
    assert np.abs(held.offsets_px - offsets).max() < 0.05
    assert (held.offsets_px[[0, 2]] == 0).all(), "what is locked stays locked"
    assert not held.sigmas_px[[0, 2]].any()
    assert "Quadrant 0: held where it is" in held.lines()
    assert "the beam moved" not in " ".join(held.notes), "a held quadrant tells where it is"


@pytest.mark.slow
def test_a_held_quadrant_that_is_off_its_place_is_told(in_place):
    def held(step_px):
        present = in_place.geometry.move_quadrants([(-step_px, 0), (0, 0), (0, 0), (0, 0)])
        return align_quadrants(in_place, present, settings=AlignmentSettings(fixed=(0,)))

    near, far = held(0.5), held(5)
    assert [quadrant.verdict for quadrant in near.quadrants] == ["good"] + ["uncertain"] * 3
    assert [quadrant.verdict for quadrant in far.quadrants] == ["good"] + ["not determined"] * 3
    assert not far.applied_px.any()
    for found, offset in ((near, "+0.5"), (far, "+5.0")):
        assert f"Quadrant 0 is held fixed, but its rings have an offset of ({offset}" in " ".join(
            found.warnings
        )


@pytest.mark.parametrize(
    ("fixed", "words"),
    [((7,), "no quadrant 7 to hold fixed; they are 0 to 3"), ((0, 1, 2, 3), "leave at least one")],
)
def test_quadrants_that_cannot_be_held_are_refused(many, fixed, words):
    with pytest.raises(AlignmentError, match=words):
        align_quadrants(many[0], settings=AlignmentSettings(fixed=fixed))


@pytest.mark.parametrize("settings", [{"refine": "none"}, {"method": "cctbx"}])
def test_without_the_joint_refinement_the_held_stay_and_the_unused_is_told(many, settings):
    chosen = AlignmentSettings(
        range_px=2, multi_angle=False, fixed=(1,), tilt=True, calibrant="AgBeh", **settings
    )
    found = align_quadrants(many[0], settings=chosen)
    assert not found.applied_px[1].any()
    assert found.applied_px[0].any()
    assert "these settings are unused: calibrant, tilt." in " ".join(found.warnings)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="step_px"):
        AlignmentSettings(step_px=0.0)
    with pytest.raises(AlignmentError):
        align_quadrants(np.zeros(CSPAD.shape, complex), Geometry.ideal())


def test_cancelling_during_the_joint_refinement_is_obeyed(many, monkeypatch):
    progress = SimpleNamespace(cancelled=False, update=lambda *done: None)
    monkeypatch.setattr(
        "workbench.alignment.align.refine_rings", lambda *_: setattr(progress, "cancelled", True)
    )
    with pytest.raises(Cancelled, match="alignment was cancelled"):
        align_quadrants(many[0], progress=progress)


@pytest.mark.slow
def test_a_calibrant_gives_the_distance_and_steadies_weak_rings():
    image = seen(photons_per_pixel=0.3, background=1.0)
    wrong = dataclasses.replace(image, distance_mm=121.5)
    free = align_quadrants(wrong)
    held = align_quadrants(wrong, settings=AlignmentSettings(calibrant="AgBeh"))
    fit = held.calibrant
    assert fit.distance_mm == pytest.approx(121.0, abs=0.05)
    assert fit.rings > 10
    both = fit.together
    assert abs(both.distance_mm - 121.0) < 4 * both.distance_sigma_mm
    assert abs(both.wavelength_angstrom - 1.3051) < 4 * both.wavelength_sigma_angstrom
    assert both.distance_sigma_mm > 3 * fit.distance_sigma_mm, "rings tell mostly the product"
    assert rms(held.offsets_px - TRUTH) < 0.1
    assert rms(held.sigmas_px) < rms(free.sigmas_px)
    assert held.calibrant_line.startswith("AgBeh: ")
    assert held.calibrant_line in held.lines()
    assert held.calibrant_line not in held.warnings
    assert free.calibrant_line == ""


def test_a_wrong_wavelength_is_found_and_does_not_move_the_quadrants(many):
    image, _ = many
    wrong = dataclasses.replace(image, wavelength_angstrom=1.31)
    held = align_quadrants(wrong, settings=AlignmentSettings(calibrant="AgBeh"))
    fit = held.calibrant
    assert fit.wavelength_angstrom == pytest.approx(1.3051, abs=2e-4)
    assert fit.together.distance_mm == pytest.approx(121.0, abs=0.05)
    assert fit.together.wavelength_angstrom == pytest.approx(1.3051, abs=3e-4)
    assert rms(held.offsets_px - TRUTH) < 0.05


@pytest.mark.slow
def test_rings_of_another_substance_are_not_forced_to_fit(many):
    image, free = many
    found = align_quadrants(image, settings=AlignmentSettings(calibrant="LaB6"))
    assert found.calibrant is None
    assert any("do not fit LaB6" in warning for warning in found.warnings)
    assert np.allclose(found.offsets_px, free.offsets_px)


@pytest.fixture(scope="module")
def of_others():
    """Images of LaB6 and CeO2 aligned without telling what they are."""
    return {name: align_quadrants(seen(rings=name)) for name in ("LaB6", "CeO2")}


@pytest.mark.parametrize("wrong", [0.98, 1.0, 1.02])
@pytest.mark.slow
def test_the_distance_is_found_within_its_uncertainty(many, of_others, wrong):
    for name, found in (("AgBeh", many[1]), *of_others.items()):
        fit = fit_calibrant(found.refinement, name, 121.0 * wrong, 1.3051, CSPAD.pixel_um)
        assert abs(fit.distance_mm - 121.0) < 2.5 * fit.distance_sigma_mm, name
        assert fit.distance_sigma_mm < 0.03, name
        if wrong == 1.0:
            assert abs(fit.wavelength_angstrom - 1.3051) < 2.5 * fit.wavelength_sigma_angstrom


@pytest.mark.slow
def test_few_rings_give_the_distance_and_say_what_they_leave_open(of_others):
    refined = of_others["CeO2"].refinement
    fit = fit_calibrant(refined, "CeO2", 121.0, 1.3051, CSPAD.pixel_um)
    assert fit.rings == 3
    assert np.isnan(fit.outward_px)
    assert fit.together is None
    assert "tell only their product" in fit.line()
    assert with_calibrant(refined, fit) is refined


def test_one_ring_settles_neither_distance_nor_a_common_move():
    radius = np.arange(0, 1200, 0.5)
    profile = np.exp(-((radius - 807) ** 2) / 8)
    refined = SimpleNamespace(radius_px=radius, profile=profile)
    with pytest.raises(CalibrantMismatch, match=r"Only one ring of Si .* cannot be told apart"):
        fit_calibrant(refined, "Si", 200.0, 1.3, CSPAD.pixel_um)


def test_a_ring_that_happens_to_lie_where_a_calibrant_has_one_is_not_called_its_ring():
    radius = np.arange(0, 1200, 0.5)
    profile = np.exp(-((radius - 399) ** 2) / 8)
    refined = SimpleNamespace(radius_px=radius, profile=profile)
    with pytest.raises(CalibrantMismatch, match="do not fit AgBeh"):
        fit_calibrant(refined, "AgBeh", 985.0, 1.3, CSPAD.pixel_um)


@pytest.mark.slow
def test_a_wrong_calibrant_is_told(many, of_others):
    for name, found in (("AgBeh", many[1]), *of_others.items()):
        for other in {"AgBeh", "LaB6", "CeO2", "Si"} - {name}:
            for wrong in (0.98, 1.0, 1.02):
                with pytest.raises(CalibrantMismatch):
                    fit_calibrant(found.refinement, other, 121.0 * wrong, 1.3051, CSPAD.pixel_um)


def test_what_follows_from_an_offset_follows_one_set_by_hand(many):
    _, found = many
    changed = found.decided(Decisions(overruled=((0.0, 10.0, 10.0),)))
    one = changed.quadrants[0]
    expected = turns_alike_deg(changed.offsets_px, found.present.middles_px())[0]
    assert one.measures.turn_alike_deg == pytest.approx(expected, abs=1e-12)
    assert one.measures.cc_here == pytest.approx(one.map[30, 30])
    common = changed.offsets_px.mean(axis=0)
    assert changed.notes[0].startswith(
        f"Common to the quadrants is ({common[0]:+.2f}, {common[1]:+.2f}) px"
    )
    far = found.decided(Decisions(overruled=((0.0, 40.0, 40.0),))).quadrants[0]
    assert any("would overlap by" in warning for warning in far.warnings)
    assert np.isnan(far.measures.cc_here), "outside the map"
    assert far.accepted, "a person's word counts"


def test_swapped_neighbours_show_in_the_polarisation(many):
    image, found = many
    assert polarisation_check(image).warning() == ""
    assert not any("polarisation" in warning for warning in found.warnings)
    data = image.data.reshape(4, 8, 185, 388)[[1, 0, 2, 3]].reshape(CSPAD.shape)
    swapped = polarisation_check(dataclasses.replace(image, data=data))
    assert {frozenset(camp) for camp in swapped.camps} == {frozenset({0, 1}), frozenset({2, 3})}
    assert "swapped" in swapped.warning()
    assert polarisation_check(image.data, image.geometry).warning() == "", "no distance: unknown"
