"""Panels driven by values and clicks, without a browser."""

import base64
import dataclasses
import re

import numpy as np
import pytest

from workbench.detectors import CSPAD
from workbench.errors import WorkbenchError
from workbench.geometry import GeometryStore
from workbench.recipe import mask as layers
from workbench.session import State
from workbench.ui import GeometryPanel, MaskPanel, QuadrantsPanel, RunPanel
from workbench.ui.bridge import ring_radii_mm
from workbench.ui.panels.quadrants import RANKING, RESIDUALS, UNCERTAINTY
from workbench.ui.widgets import static_page
from workbench.ui.widgets.limit_control import nice


@pytest.fixture
def mask_panel(session):
    panel = MaskPanel(session)
    session.wait(300)
    return panel


def test_moving_a_limit_changes_recipe_counts_and_mask(mask_panel, session):
    before = mask_panel.counts.value
    mask_panel.limits["maxproj_min"].value = 520.0
    session.wait(300)
    assert session.recipe.mask.thresholds.maxproj_min == 520
    assert mask_panel.counts.value != before
    number = f"{session.mask.masked:,}".replace(",", "\u202f")
    assert f"Masked {number} of" in mask_panel.counts.value


def test_a_refused_limit_is_told_beside_the_controls(mask_panel, session):
    mask_panel.limits["avg_max"].value = 0.0
    assert "avg_max" in mask_panel.message.value
    assert session.recipe.mask.thresholds.avg_max == 2000
    with pytest.raises(WorkbenchError):
        session.wait(300)
    mask_panel.limits["avg_max"].value = 1500.0
    assert mask_panel.message.value == ""


def test_undo_moves_the_slider_back(mask_panel, session):
    mask_panel.limits["stddev_max"].value = 7.5
    session.undo()
    assert mask_panel.limits["stddev_max"].value == 10.0


def test_the_slider_in_the_hand_is_never_pushed_back(mask_panel, session):
    control = mask_panel.limits["maxproj_min"]
    sent = []
    mask_panel.view.observe(lambda change: sent.append(change.new), "maxproj_min")
    control.value = 333.0
    assert sent == []  # the front end has told the view already


def test_histograms_cover_limit_and_image(mask_panel, image_set):
    control = mask_panel.limits["maxproj_min"]
    assert sum(control.counts) > 0.9 * image_set.maximum.data.size
    assert control.max >= np.percentile(image_set.maximum.data, 99)


def test_a_border_out_of_range_is_refused_in_its_field_and_changes_nothing(mask_panel, session):
    border, before = mask_panel.border, session.recipe
    for wrong, text in ((-7, "-7"), (91, "91"), (1e9, "1000000000"), (2.5, "2.5")):
        border.box.value = wrong
        assert border.reason.value == f"{text} is no whole number from 0 to 90; 0 stays."
        assert "cw-refused" in border.box._dom_classes
        assert session.recipe == before
    border.box.value = 2
    assert session.recipe.mask.border == border.value == 2
    assert border.reason.value == ""
    assert "cw-refused" not in border.box._dom_classes


def test_border_and_layers(mask_panel, session):
    mask_panel.border.value = 3
    mask_panel.layers.kind.value = "border of each sensor"
    mask_panel.layers.add.click()
    assert session.recipe.mask.border == 3
    assert isinstance(session.recipe.mask.layers[0], layers.BorderLayer)
    form = mask_panel.layers.form
    form.controls["pixels"].value = 7
    assert session.recipe.mask.layers[0].pixels == 7
    assert type(session.recipe.mask.layers[0].pixels) is int
    form.controls["pixels"].value = 2.5
    assert "2.5 is not a whole number" in mask_panel.message.value
    session.undo()
    assert form.controls["pixels"].value == 1


def test_a_layer_setting_that_makes_no_sense_is_told(mask_panel, session):
    mask_panel.layers.kind.value = "resolution range"
    mask_panel.layers.add.click()
    control = mask_panel.layers.form.controls["from_angstrom"]
    control.value = 9.0
    assert "is not a range" in mask_panel.message.value
    assert session.recipe.mask.layers[0].from_angstrom == 0


def test_a_and_b_change_places(mask_panel, session):
    assert mask_panel.swap.disabled
    mask_panel.keep.click()
    mask_panel.limits["maxproj_min"].value = 600.0
    mask_panel.swap.click()
    assert session.recipe.mask.thresholds.maxproj_min == 300
    mask_panel.swap.click()
    assert session.recipe.mask.thresholds.maxproj_min == 600


def test_the_view_can_blink_between_a_and_b(mask_panel, session, image_set):
    mask_panel.keep.click()
    mask_panel.limits["maxproj_min"].value = 600.0
    session.wait(300)

    def other():
        _, buffers = mask_panel.view._messages["other"]
        return int(np.count_nonzero(np.frombuffer(buffers[0], np.uint32)))

    masked_b, masked_a = other(), session.mask.masked
    assert masked_b == session.results.mask_of(mask_panel._b).masked < masked_a
    mask_panel.swap.click()
    session.wait(300)
    assert (other(), session.mask.masked) == (masked_a, masked_b)


def test_suggestions_change_nothing_until_taken(mask_panel, session):
    before = session.recipe
    mask_panel.suggest.click()
    assert session.recipe == before
    rows = mask_panel.suggestions.children
    assert rows
    buttons = [child for one in rows for child in getattr(one, "children", ())
               if hasattr(child, "click")]  # fmt: skip
    buttons[0].click()
    assert session.recipe != before


def test_a_drawn_circle_masks_what_is_inside(mask_panel, session):
    mask_panel.view._handle_custom_msg(
        {"type": "shape", "kind": "circle", "points": [[20, 20], [30, 20]]}, []
    )
    session.wait(300)
    xy = session.images.geometry.pixel_positions_um()[..., :2] / 1000
    inside = np.hypot(xy[..., 0] - 20, xy[..., 1] - 20) < 9.9
    assert not session.mask.good[inside].any()
    assert mask_panel.view.shapes[0]["kind"] == "circle"
    assert "bits" in mask_panel.view._messages


def test_a_clicked_pixel_is_masked_and_unmasked(mask_panel, session):
    flat = 3 * 185 * 388 + 100 * 388 + 50
    for expected in (False, True):
        mask_panel.view._handle_custom_msg({"type": "pixel", "flat": flat}, [])
        session.wait(300)
        assert session.mask.good[3, 100, 50] == expected


def test_the_mask_is_written(mask_panel, session, tmp_path):
    from workbench.mask import read_mask

    session.change("output.folder", str(tmp_path))
    session.wait(300)
    mask_panel.save.click()
    assert np.array_equal(read_mask(tmp_path / "mask.pickle").good, session.mask.good)


@pytest.fixture
def quadrants(session):
    panel = QuadrantsPanel(session)
    panel.find.click()
    session.wait(300)
    return panel


def test_offsets_are_found_shown_nudged_and_put_back(quadrants, session, offsets):
    for row, expected in zip(quadrants.rows, offsets, strict=True):
        assert (row.x.value, row.y.value) == pytest.approx(expected, abs=0.5)
    assert len(quadrants.maps.maps) == 4
    found = quadrants.rows[1].x.value
    quadrants.rows[1].x.value = found + 0.1
    session.wait(300)
    assert session.alignment.quadrants[1].verdict == "overruled"
    assert "overruled" in quadrants.rows[1].text.value
    quadrants.rows[1].reset.click()
    session.wait(300)
    assert quadrants.rows[1].x.value == pytest.approx(found, abs=1e-3)
    assert session.alignment.quadrants[1].verdict != "overruled"


def test_a_click_in_a_map_overrules_and_keys_nudge(quadrants, session):
    quadrants.maps._handle_custom_msg({"type": "set", "quadrant": 0, "x": 5.0, "y": -2.0}, [])
    quadrants.maps._handle_custom_msg({"type": "nudge", "quadrant": 0, "x": 0.1, "y": 0.0}, [])
    session.wait(300)
    assert session.alignment.quadrants[0].offset_px == pytest.approx([5.1, -2.0])
    assert quadrants.view.group_offsets_px[0] == pytest.approx([5.1, -2.0])


def test_a_quadrant_can_be_left_in_place(quadrants, session):
    quadrants.rows[3].accepted.value = False
    session.wait(300)
    assert session.alignment.applied_px[3].tolist() == [0, 0]


@pytest.mark.slow
def test_offsets_older_than_the_mask_are_said_to_be(quadrants, session):
    assert quadrants.stale.value == ""
    session.change("mask.thresholds.stddev_max", 4.5)
    session.wait(300)
    assert "changed since" in quadrants.stale.value
    quadrants.find.click()
    session.wait(300)
    assert quadrants.stale.value == ""


def test_where_the_images_are_too_old_to_follow_the_panel_says_so(quadrants, session):
    quadrants.form.controls["halves"].value = "odd-even"  # needs other averages
    assert "compute them again in step 1" in quadrants.stale.value
    quadrants.form.controls["halves"].value = "none"
    assert quadrants.stale.value == ""


def test_a_refused_setting_is_not_left_beside_offsets_found_without_it(quadrants, session):
    control = quadrants.form.controls["range_px"]
    control.value = 500
    assert "“range (± px)” is 500" in quadrants.message.value
    quadrants.find.click()
    assert control.value == session.recipe.alignment.range_px
    session.wait(300)


def test_a_refused_offset_is_told_and_not_left_in_its_control(quadrants, session):
    control = quadrants.rows[1].x
    found = control.value
    control.value = 1e9
    assert "below 10000 pixels" in quadrants.message.value
    assert control.value == found
    with pytest.raises(WorkbenchError, match="below 10000"):
        session.wait(300)


def test_dragging_in_a_map_is_one_step_of_undo(quadrants, session):
    found = session.alignment.offsets_px
    quadrants.maps._handle_custom_msg({"type": "set", "quadrant": 0, "x": 5.0, "y": -2.0}, [])
    for x in (4.9, 4.8, 4.7):
        quadrants.maps._handle_custom_msg({"type": "move", "quadrant": 0, "x": x, "y": -2.0}, [])
    session.wait(300)
    assert session.alignment.offsets_px[0] == pytest.approx([4.7, -2.0])
    assert quadrants.view.group_offsets_px[0] == pytest.approx([4.7, -2.0])
    session.undo()
    assert np.array_equal(session.alignment.offsets_px, found)


def test_the_correlation_where_a_person_put_the_offset_is_told(quadrants, session):
    one = session.alignment.quadrants[0]
    assert "of" not in quadrants.maps.maps[0]["title"]
    session.overrule(0, (float(one.trials_px[1]), float(one.trials_px[2])))
    session.wait(300)
    told = f"CC {one.map[1, 2]:.4f} of {one.cc:.4f}"
    assert told in quadrants.maps.maps[0]["title"]
    assert told in quadrants.rows[0].text.value


@pytest.mark.slow
def test_weak_rings_offer_the_maximum_and_rank_the_pictures(session):
    panel = QuadrantsPanel(session)
    images = session.images
    noise = np.random.default_rng(1).normal(20, 5, images.bright_average.data.shape)
    weak = dataclasses.replace(images.bright_average, data=noise)
    session.use_images(dataclasses.replace(images, bright_average=weak))
    panel.find.click()
    session.wait(300)
    assert {one.verdict for one in session.alignment.quadrants} == {"not determined"}
    assert panel.rows[0].accepted.disabled, "there is no offset to use"
    assert panel.brighter.layout.display == ""
    panel.details.selected_index = RANKING
    session.wait(300)
    assert panel.ranking.value.index("maximum of") < panel.ranking.value.index("average of")
    panel.brighter.click()
    session.wait(300)
    assert session.recipe.alignment.image == "maximum"
    assert {one.verdict for one in session.alignment.quadrants} == {"good"}
    assert panel.brighter.layout.display == "none"
    assert not panel.rows[0].accepted.disabled


def test_a_clear_tilt_of_the_detector_is_offered_until_it_is_applied(
    quadrants, session, monkeypatch
):
    from workbench import alignment

    assert quadrants.tilted.layout.display == "none"
    align = alignment.align_quadrants

    def align_and_tilt(*args, **keywords):
        found = align(*args, **keywords)
        tilt = {"tilt_deg": np.array([0.3, 0.0]), "tilt_sigma_deg": np.array([0.02, 0.02])}
        return dataclasses.replace(found, refinement=dataclasses.replace(found.refinement, **tilt))

    monkeypatch.setattr("workbench.alignment.align_quadrants", align_and_tilt)
    session.compute_alignment()
    session.wait(300)
    assert quadrants.tilted.layout.display == ""
    quadrants.tilted.click()
    session.wait(300)
    assert session.recipe.alignment.tilt
    assert quadrants.tilted.layout.display == "none"
    before, after = (
        np.ptp(geometry.pixel_positions_um()[..., 2])
        for geometry in (session.alignment.present, session.alignment.geometry)
    )
    assert after > before + 500, "µm from edge to edge"


def test_how_well_offsets_are_known_can_be_zoomed_into(quadrants, session):
    for part, live in ((UNCERTAINTY, quadrants.uncertainty), (RESIDUALS, quadrants.residuals)):
        quadrants.details.selected_index = part
        session.wait(300)
        assert quadrants.unrefined.value == ""
        assert live.figure.axes
    residuals, held_out = quadrants.residuals.figure.axes[0], session.alignment.refinement.held_out
    module, ring = np.argwhere(np.isfinite(held_out.residual_px))[0]
    middle = session.alignment.present.pixel_positions_um()[module, ..., :2].mean(axis=(0, 1))
    azimuth = np.degrees(np.arctan2(middle[1], middle[0]))
    reading = residuals.format_coord(held_out.ring_radius_px[ring], azimuth)
    assert reading.startswith(CSPAD.module_name(module))
    assert f"{held_out.residual_px[module, ring]:+.3f}".replace("-", "−") in reading
    session.change("alignment", dataclasses.replace(session.recipe.alignment, refine="none"))
    session.compute_alignment()
    session.wait(300)
    assert "Only the joint refinement" in quadrants.unrefined.value
    assert quadrants.residuals.widget.layout.display == "none"


def test_before_and_after(quadrants, session):
    assert quadrants.view.has_map("corrected")
    quadrants.after.click()
    assert quadrants.view.arrangement == "corrected"
    quadrants.before.click()
    assert quadrants.view.arrangement == "assembled"


def test_before_and_after_without_offsets_says_what_to_do(session):
    panel = QuadrantsPanel(session)
    panel.after.click()
    assert "Find the offsets first" in panel.message.value
    with pytest.raises(WorkbenchError):
        session.wait(300)


@pytest.mark.slow
def test_halves_of_the_events_are_told_beside_the_offset(session, image_set):
    half = image_set.bright_average
    session.use_images(dataclasses.replace(image_set, halves={"average": (half, half)}))
    panel = QuadrantsPanel(session)
    panel.find.click()
    session.wait(300)
    assert "two halves of the events differ by 0.00 px" in panel.rows[0].text.value
    assert panel.form.controls["halves"].options == ("none", "odd-even", "first-last")


def test_settings_of_the_search_are_settings_of_the_recipe(session):
    panel = QuadrantsPanel(session)
    panel.form.controls["angles_deg"].value = "40, 50"
    assert session.recipe.alignment.angles_deg == (40.0, 50.0)
    panel.form.controls["angles_deg"].value = "forty"
    assert "is not a list of numbers" in panel.message.value
    assert session.recipe.alignment.angles_deg == (40.0, 50.0)


def test_deploy_shows_before_it_writes_and_rolls_back(quadrants, session, tmp_path):
    session.change("experiment.calib_dir", str(tmp_path))
    session.use_images(session.images)
    session.compute_alignment()
    session.wait(300)
    store = GeometryStore(tmp_path, session.recipe.experiment.address)
    store.deploy(session.images.geometry, comment="first")
    panel = GeometryPanel(session)
    panel.plan.click()
    assert "0-end.data.v1" in panel.plan_text.value
    assert panel.preview_box.layout.display == ""
    assert [version.number for version in store.history()] == [0]
    session.wait(300)  # for the checks
    panel.comment.value, panel.confirm.value = "aligned", True
    panel.deploy.click()
    session.wait(300)
    assert [version.number for version in store.history()] == [0, 1]
    assert store.current().number == 1
    assert store.current().comment == "aligned"
    assert session.status("geometry").state == State.DONE
    assert "aligned" in panel.versions.value
    panel.older.value, panel.newer.value = 1, 0
    panel.compare.click()
    session.wait(300)
    assert "Q0" in panel.diff.value
    panel.make_current[0].click()
    panel.deploy.click()
    assert store.current().number == 0
    assert "psana now reads v0" in panel.done.value


def test_deploying_without_offsets_says_what_to_do(session):
    panel = GeometryPanel(session)
    panel.plan.click()
    assert "find the offsets first" in panel.message.value
    with pytest.raises(WorkbenchError):
        session.wait(300)


@pytest.mark.parametrize(
    "kind",
    [
        GeometryPanel,
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in (RunPanel, MaskPanel, QuadrantsPanel)
        ),
    ],
)
def test_each_panel_works_alone_and_has_a_static_picture(kind, session, image_set):
    session.compute_alignment()
    session.wait(300)
    panel = kind(session)
    bundle = panel._repr_mimebundle_()
    session.wait(300)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert panel.title in bundle["text/plain"]


def test_executed_without_a_browser_there_are_text_and_pictures_and_no_dead_widgets(
    session, image_set, monkeypatch
):
    monkeypatch.setattr(static_page, "nobody_looks", lambda: True)
    session.compute_alignment()
    session.wait(300)
    bundle = QuadrantsPanel(session)._repr_mimebundle_()
    session.wait(300)
    assert set(bundle) == {"text/plain", "text/html"}
    assert "Quadrants: done" in bundle["text/plain"]
    picture = re.search(
        r'<img alt="([^"]+)"[^>]* src="data:image/png;base64,([^"]+)"', bundle["text/html"]
    )
    assert "Q0" in picture[1]
    assert base64.b64decode(picture[2]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/opt/bin/python -m nbconvert --execute a.ipynb", True),
        ("/opt/bin/python /opt/bin/jupyter-nbconvert --execute a.ipynb", True),
        ("/opt/bin/python /opt/bin/papermill a.ipynb b.ipynb", True),
        ("/opt/bin/python /opt/bin/jupyter-lab papermill.ipynb", False),
        ("/opt/bin/python -m voila a.ipynb", False),
    ],
)
def test_programs_without_a_browser_are_known_by_their_command_line(line, expected):
    assert static_page.executes(line.split()) is expected


def test_calibrant_rings_obey_braggs_law():
    for radius, spacing in ring_radii_mm("LaB6", 121.0, 1.3, 140.0):
        angle = np.arctan2(radius, 121.0) / 2
        assert 2 * spacing * np.sin(angle) == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 1), (0.9, 1), (1, 1), (1.01, 1.5), (4100, 5000)]
)
def test_slider_ranges_end_at_round_numbers(value, expected):
    assert nice(value) == pytest.approx(expected)
