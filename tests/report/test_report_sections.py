"""The judgement, the ring profiles and the tables of a report."""

import dataclasses
import re
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.alignment.result import Measures, QuadrantAlignment
from workbench.detectors import CSPAD
from workbench.figures import radial_profile
from workbench.geometry import Geometry, GeometryStore
from workbench.pipeline import load_recipe, recipe_hash
from workbench.progress import Silent
from workbench.quantities import size_text, thousands
from workbench.recipe import MaskSettings, Recipe, Thresholds, write_recipe
from workbench.recipe.mask import CircleLayer
from workbench.report import masks
from workbench.report.checks import show as show_checks
from workbench.report.execution import _Watcher
from workbench.report.provenance_table import hash_list, input_files
from workbench.report.quadrants import correlations, measures
from workbench.report.ring_comparison import compare_rings, ring_contrast
from workbench.report.text import by_folder, signed, table, together
from workbench.report.verdict import judge, show
from workbench.report.versions_table import (
    geometry_before,
    installed_version,
    version_made_by,
    versions_table,
)
from workbench.ui.widgets.maps_view import title


def quadrant(verdict="good", sigma=0.05, offset=(3.0, 1.0), accepted=True, warnings=()):
    return SimpleNamespace(
        verdict=verdict, sigma_px=np.full(2, sigma), offset_px=np.array(offset), cc=0.5,
        accepted=accepted, warnings=warnings,
    )  # fmt: skip


def calibration(quadrants=None, masked=0.01, warnings=()):
    good = np.ones(CSPAD.shape, bool)
    good.ravel()[: int(masked * good.size)] = False
    found = quadrants or [quadrant() for _ in range(4)]
    alignment = SimpleNamespace(
        quadrants=found, warnings=(), mean_cc=0.5, present=Geometry.ideal(), detector=CSPAD,
        names=("Q0", "Q1", "Q2", "Q3"),
        applied_px=np.array([one.offset_px for one in found]),
    )  # fmt: skip
    images = SimpleNamespace(dark=None, bright=(), average=None, maximum=None)
    return SimpleNamespace(
        recipe=Recipe(), images=images, alignment=alignment, warnings=warnings,
        mask=SimpleNamespace(
            good=good, warnings=(), pixels=good.size, masked=np.count_nonzero(~good),
            masked_fraction=np.mean(~good),
        ),
    )  # fmt: skip


def test_nothing_speaks_against_a_good_calibration():
    assert judge(calibration(), SimpleNamespace(gain=1.8)).level == "good"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"warnings": ("The dark run is partial.",)}, "partial"),
        ({"quadrants": [quadrant("uncertain")] + [quadrant()] * 3}, "quadrant 0 is uncertain"),
        ({"quadrants": [quadrant()] * 3 + [quadrant("overruled")]}, "set by hand"),
        ({"quadrants": [quadrant(sigma=np.nan)] * 4}, "not known"),
        ({"quadrants": [quadrant(warnings=("Peak at the edge.",))] * 4}, "Peak at the edge"),
        ({"quadrants": [quadrant(accepted=False)] + [quadrant()] * 3}, "not applied"),
    ],
)
def test_what_calls_for_care(made, words):
    found = judge(calibration(**made), SimpleNamespace(gain=1.8))
    assert found.level == "care"
    assert any(words in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("made", "gain", "words"),
    [
        ({"masked": 0.6}, 1.5, "60 %"),
        ({"quadrants": [quadrant("not determined", np.nan)] + [quadrant()] * 3}, 1.5, "quadrant 0"),
        ({}, 0.8, "less sharp"),
    ],
)
def test_what_makes_a_calibration_useless(made, gain, words):
    found = judge(calibration(**made), SimpleNamespace(gain=gain))
    assert found.level == "poor"
    assert any(words in reason for reason in found.reasons)


def test_small_moves_need_not_sharpen_the_rings():
    still = [quadrant(offset=(0.1, 0.0))] * 4
    assert judge(calibration(still), SimpleNamespace(gain=0.99)).level == "good"


def test_verdict_escapes_what_it_shows():
    shown = show(judge(calibration(warnings=("<script>",))), {"a": 1})
    assert "<script>" not in shown.markup
    assert "<script>" in shown.plain


def test_rings_stand_out_most_in_the_true_geometry():
    true = Geometry.ideal()
    wrong = true.move_quadrants([[5, 0], [0, 5], [-5, 0], [0, -5]])
    x, y = np.moveaxis(true.pixel_positions_um()[..., :2], -1, 0) / 109.92
    image = 100 + 50 * np.exp(-(((np.hypot(x, y) % 60) - 30) ** 2) / 8)
    found = compare_rings(image, wrong, true)
    assert found.gain > 1.5
    assert found.contrast_after > found.contrast_before > 0


def test_without_pixels_there_is_no_contrast():
    assert np.isnan(ring_contrast(radial_profile(np.full(CSPAD.shape, np.nan), Geometry.ideal())))


def result(corrected, calib_dir, moved=1.0):
    recipe = Recipe().changed("experiment.calib_dir", str(calib_dir))
    alignment = SimpleNamespace(applied_px=np.full((4, 2), moved))
    return SimpleNamespace(corrected=corrected, recipe=recipe, alignment=alignment)


def test_installed_version_is_found_by_its_positions(tmp_path):
    start, corrected = Geometry.ideal(), Geometry.ideal().move_quadrants([[1, 0]] * 4)
    store = GeometryStore(tmp_path, "CxiDs1.0:Cspad.0")
    made = result(corrected, tmp_path)
    assert "not installed" in installed_version(made).sentence
    assert "no versions: there is no 0-end.data" in versions_table(made).plain
    store.deploy(start, comment="as delivered")
    assert "not installed" in installed_version(made).sentence
    store.deploy(corrected, comment="aligned")
    found = installed_version(made)
    assert found.version == "0-end.data.v1"
    assert "is in use" in found.sentence
    told = versions_table(made).plain
    assert "aligned" in told
    assert "leads to v1" in told
    store.deploy(start, comment="back")
    assert "v1 and is kept, another version is in use" in installed_version(made).sentence


def test_a_report_that_moves_nothing_belongs_to_no_version_of_others(tmp_path):
    """Else the report of a failed alignment would lie beside the version it started from."""
    store = GeometryStore(tmp_path, "CxiDs1.0:Cspad.0")
    store.deploy(Geometry.ideal(), comment="as delivered")
    still = result(Geometry.ideal(), tmp_path, moved=0.0)
    assert installed_version(still).path is None
    assert "Nothing was moved" in installed_version(still).sentence
    store.deploy(Geometry.ideal(), recipe_sha256="abc")
    assert installed_version(still, "abc").version == "0-end.data.v1"


def test_version_of_the_same_recipe_with_another_geometry_is_told_and_gets_no_copy(tmp_path):
    store = GeometryStore(tmp_path, "CxiDs1.0:Cspad.0")
    store.deploy(Geometry.ideal().move_quadrants([[1, 0]] * 4), recipe_sha256="abc")
    other = result(Geometry.ideal().move_quadrants([[1.5, 0]] * 4), tmp_path)
    found = installed_version(other, "abc")
    assert found.path is None
    assert "0-end.data.v0 was deployed from this recipe" in found.differs
    assert "0.50 px" in found.differs
    made = judge(calibration(), SimpleNamespace(gain=1.8), other_version=found.differs)
    assert made.level == "care"
    assert found.differs in made.reasons


def test_report_after_deployment_starts_from_the_geometry_before(tmp_path):
    recipe = Recipe().changed("experiment.calib_dir", str(tmp_path))
    store = GeometryStore(tmp_path, "CxiDs1.0:Cspad.0")
    assert geometry_before(recipe) is None
    store.deploy(Geometry.ideal(), comment="as delivered")
    assert geometry_before(recipe) is None
    assert version_made_by(recipe) is None
    corrected = Geometry.ideal().move_quadrants([[1, 0]] * 4)
    store.deploy(corrected, comment="aligned", recipe_sha256=recipe_hash(recipe))
    found = geometry_before(recipe)
    assert found is not None
    assert found.name == "0-end.data.v0"
    assert version_made_by(recipe).path.name == "0-end.data.v1"
    another = recipe.changed("mask.border", 1)
    assert geometry_before(another) is None
    assert version_made_by(another) is None
    pinned = recipe.changed("experiment.geometry", "mine.data")
    assert geometry_before(pinned) is None
    store.deploy(corrected.move_quadrants([[0, 2]] * 4), comment="later, of another recipe")
    assert geometry_before(recipe).name == "0-end.data.v0", "a year later"
    store.rollback(0)
    assert geometry_before(recipe).name == "0-end.data.v0"


def test_deployed_version_is_recognised_from_any_folder(tmp_path, monkeypatch):
    """Recorded with relative paths; found from elsewhere, and through a linked folder."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(work)
    recipe = Recipe().changed("experiment.calib_dir", "calib")
    recipe = recipe.changed("images.maximum", "maximum.h5")
    write_recipe(recipe, work / "a.toml")
    write_recipe(recipe.changed("images.maximum", "other.h5"), work / "b.toml")
    store = GeometryStore(work / "calib", "CxiDs1.0:Cspad.0")
    monkeypatch.chdir(work)
    store.deploy(Geometry.ideal(), recipe_sha256=recipe_hash(recipe))
    ways = [(work, "a.toml"), (tmp_path, "work/a.toml"), (tmp_path, "link/a.toml")]
    ways += [(tmp_path / "elsewhere", "../work/a.toml"), (tmp_path / "link", "./a.toml")]
    for folder, path in ways:
        monkeypatch.chdir(folder)
        assert version_made_by(load_recipe(path)) is not None, (folder, path)
    moved_results = load_recipe(work / "a.toml").changed("output.folder", "/results")
    assert version_made_by(moved_results) is not None
    assert version_made_by(load_recipe(work / "b.toml")) is None
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert recipe_hash(recipe) != recipe_hash(load_recipe(work / "a.toml"))


def test_without_a_calibration_directory_that_is_said():
    made = SimpleNamespace(corrected=Geometry.ideal(), recipe=Recipe(), alignment=None)
    assert "not known" in installed_version(made).sentence


def test_table_escapes_and_aligns_numbers():
    shown = table(["name", "n"], [["<b>", 1], ["c", "22"]], "All")
    assert "&lt;b&gt;" in shown.markup
    assert '<td class="number">22</td>' in shown.markup
    assert shown.plain.splitlines()[2] == "<b>    1"


def test_only_long_cells_may_be_broken():
    markup = table(["a", "b"], [["short", "/a/very/long/path/of/a/file.cbf"]]).markup
    assert "<td>short</td>" in markup
    assert '<td class="long">/a/very' in markup


def test_folder_of_files_is_told_once():
    rows = [["run 54", "/data/xtc/a", 1], ["run 74", "/data/xtc/b", 2], ["geometry", "/calib/c", 3]]
    assert by_folder(rows) == [
        ["in", "/data/xtc", ""], ["run 54", "a", 1], ["run 74", "b", 2],
        ["in", "/calib", ""], ["geometry", "c", 3],
    ]  # fmt: skip


def test_empty_table_has_its_header():
    assert "<th" in table(["a", "b"], []).markup


def test_together_keeps_everything():
    both = together(table(["a"], [[1]]), table(["b"], [[2]]))
    assert both.markup.count("<table>") == 2


def test_head_of_a_table_is_repeated_on_each_printed_page():
    assert "<thead><tr><th" in table(["a"], [[1]]).markup
    assert "<thead>" not in table(["", ""], [["a", 1]]).markup


def test_every_criterion_is_shown_with_what_was_found():
    made = calibration(masked=0.6, quadrants=[quadrant("uncertain")] + [quadrant()] * 3)
    rows = show_checks(judge(made, SimpleNamespace(gain=0.8)).checks).plain.splitlines()
    found = {re.split(r"  +", row[1:].strip())[0]: row[0] for row in rows[1:]}
    assert found == {
        "pixels masked": "✗",
        "quadrant offsets determined": "✓",
        "largest uncertainty (σ)": "!",
        "ring contrast, after / before": "✗",
        "warnings of averages, mask, alignment": "✓",
    }


def test_the_same_warning_of_several_quadrants_is_told_once():
    made = calibration([quadrant(warnings=("Peak at the edge.",))] * 2 + [quadrant()] * 2)
    assert judge(made).reasons == ("Quadrants 0 and 1: Peak at the edge.",)


def test_correlation_before_and_after_is_read_from_the_map_as_in_the_panel():
    trials = np.arange(-5.0, 6.0)
    x, y = np.meshgrid(trials, trials, indexing="ij")
    one = QuadrantAlignment(
        quadrant=0, offset_px=np.array([2.5, -1.0]), covariance_px2=np.eye(2), cc=0.8975,
        map=0.9 - 0.01 * ((x - 2.5) ** 2 + (y + 1) ** 2), trials_px=trials, peak_px=np.zeros(2),
        pairs=9, verdict="good", accepted=True,
    )  # fmt: skip
    before, after = correlations(one)
    assert before == pytest.approx(0.9 - 0.01 * 7.25, abs=1e-4)
    assert after == pytest.approx(0.9, abs=1e-4)
    assert title(one, "Q0").endswith("CC 0.9000")
    assert correlations(dataclasses.replace(one, accepted=False))[1] == before
    unknown = dataclasses.replace(one, map=np.full_like(one.map, np.nan))
    assert np.isnan(correlations(unknown)).all()
    assert title(unknown, "Q0").endswith("CC 0.8975")


def test_border_and_layers_are_told_beside_the_thresholds():
    layer = CircleLayer(name="beam stop", radius_mm=3.0, on=False)
    told = masks.settings(MaskSettings(border=2, layers=(layer,), low_gain=Thresholds(avg_max=9)))
    for words in ("border of 2 pixels", "beam stop", "radius_mm 3.0", "switched off", "low gain"):
        assert words in told.plain


def test_input_files_are_listed_once_with_their_use(tmp_path):
    data, pedestals, start = (tmp_path / name for name in ("a.xtc", "0-end.data", "g.data"))
    for path in (data, pedestals, start):
        path.write_text(path.name)
    run = SimpleNamespace(
        run=74,
        provenance={
            "run": {"files": [{"path": str(data), "bytes": 5, "modified": "now"}]},
            "corrections": [{"step": "pedestals", "source": str(pedestals)},
                            {"step": "gain", "source": "configuration of the run"}],
        },
    )  # fmt: skip
    made = SimpleNamespace(
        images=SimpleNamespace(dark=None, bright=(run, run), files={"average": data}),
        recipe=Recipe().changed("experiment.geometry", str(start)),
    )
    found = input_files(made)
    assert [(one.role, one.path) for one in found] == [
        ("bright run 74", str(data)), ("pedestals", str(pedestals)), ("geometry", str(start)),
    ]  # fmt: skip
    listed = hash_list(found)
    done = subprocess.run(["sha256sum", "--check"], input=listed, text=True, capture_output=True)
    assert done.returncode == 0
    assert done.stdout.count(": OK") == 3
    start.unlink()
    assert input_files(made)[2].octets is None
    assert str(start) not in hash_list(input_files(made))


def test_numbers_for_people():
    assert thousands(1234567) == "1\u202f234\u202f567"
    assert signed(-0.001) == "+0.00"
    assert signed(-3.456) == "−3.46"
    assert signed(float("nan")) == "–"
    assert [size_text(n) for n in (5, 12_345, 18.4e6, 2e14)] == [
        "5 B",
        "12.3 kB",
        "18.4 MB",
        "200.0 TB",
    ]


def test_halves_of_the_events_are_in_the_table_where_they_were_compared():
    def shown(split, **measured):
        one = SimpleNamespace(measures=Measures(sensor_split_px=0.1, **measured), pairs=1000)
        found = SimpleNamespace(
            quadrants=[one] * 4, settings=SimpleNamespace(halves=split), sharpness=None,
            refinement=None, calibrant_line="AgBeh: 31 rings.", sensors_line="", detector=CSPAD,
            names=("Q0", "Q1", "Q2", "Q3"),
        )  # fmt: skip
        return measures(found).plain

    assert "vent halves" not in shown("none")
    assert "AgBeh: 31 rings." in shown("none")
    text = shown("first-last", event_halves_apart_px=0.07)
    assert "event halves apart (px)" in text
    assert "0.07" in text
    assert "other half of the events (first and last)" in text


def test_progress_names_the_stage_until_the_next_one_begins():
    said = []

    class Told(Silent):
        def update(self, done, total=None, message=""):
            said.append((done, message))

    watcher = _Watcher(Told(), 3)
    for metadata in ({"title": "mask"}, {}):
        cell = SimpleNamespace(metadata=metadata)
        watcher.started(cell, 0)
        watcher.finished(cell, 0, None)
    assert said == [(0, "starting a kernel"), (0, "mask"), (1, "mask"), (1, "mask"), (2, "mask")]
