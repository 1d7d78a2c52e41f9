"""A report: executed from a recipe, complete in itself, and honest about failure."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pytest

from workbench.cli import main
from workbench.errors import RecipeError, WorkbenchError
from workbench.geometry import Geometry, GeometryStore
from workbench.images import read_image
from workbench.pipeline import load_recipe, recipe_hash
from workbench.recipe import Corrections, read_recipe, write_recipe
from workbench.report import write_comparison, write_report
from workbench.report.export import find_browser
from workbench.report.reproduce import ReportContent, read_report, starting_file
from workbench.report.verdict import SUMMARY_TYPE

LIMIT = 8_000_000


@pytest.fixture(scope="module")
def page(written):
    return written.html.read_text(encoding="utf-8")


def test_files_are_named_after_the_recipe_and_lie_in_its_output_folder(written):
    assert written.html.name == "powder_report.html"
    assert written.notebook.parent.name == "calibration"
    assert (written.html.parent / "mask.pickle").is_file()


def test_files_are_small_enough_to_keep_and_mail(written):
    assert written.html.stat().st_size < LIMIT
    assert written.notebook.stat().st_size < LIMIT


def test_page_needs_nothing_else(page):
    loaded = re.findall(r"""(?:src|href)\s*=\s*["']([^"']{0,60})""", page)
    assert all(one.startswith(("data:image/png;base64,", "#")) for one in loaded)
    for link in (one[1:] for one in loaded if one.startswith("#")):
        assert f'id="{link}"' in page
    assert "<script" not in page
    assert "@import" not in page
    assert not re.findall(r"url\(", page)


def test_every_picture_has_an_alternative_text(page):
    pictures = re.findall(r"<img[^>]*>", page)
    assert len(pictures) >= 12
    for picture in pictures:
        alt = re.search(r'alt\s*=\s*"([^"]*)"', picture)
        assert alt, picture[-200:]
        assert len(alt[1]) > 30, alt[1]


def test_verdict_comes_first(page):
    assert page.index('class="verdict') < page.index("<h2")


def test_page_has_all_parts(page):
    parts = ["Inputs", "Averages", "Mask", "Alignment", "Geometry", "Provenance", "How to repeat"]
    places = [re.search(rf"<h2[^>]*>{part}", page).start() for part in parts]
    assert places == sorted(places)
    assert "workbench report" in page
    assert "maxproj_min = 300.0" in page
    assert "SHA-256" in page


def test_first_screen_tells_offsets_with_uncertainty_correlations_and_criteria(page):
    first = page[: page.index("<h2")]
    rows = re.findall(r"<tr><td>Q\d</td>.*?</tr>", first)
    assert len(rows) == 4
    for row in rows:
        _, sx, _, sy, before, after, verdict, applied = re.findall(r">([^<>]+)</td>", row)[1:]
        assert 0 < float(sx) < 1
        assert 0 < float(sy) < 1
        assert float(after) > float(before.replace("−", "-"))
        assert (verdict, applied) == ("good", "yes")
    assert first.count("<td>✓</td>") == 5
    assert "It started from the geometry" in first
    assert re.search(r"Made 20\d\d-.* by .* on .* with cspad-workbench \d", first)


def test_page_is_enough_to_install_or_repeat_without_any_other_file(page, written):
    text = (written.html.parent / "0-end.data").read_text(encoding="utf-8")
    assert html.escape(text.rstrip()) in page
    for path in (written.html, written.notebook):
        told = read_report(path)
        assert told.recipe.images.maximum
        assert told.geometry == read_image(told.recipe.images.maximum).geometry.to_text()


@pytest.mark.slow
def test_report_is_repeated_from_its_page_alone(written, tmp_path, monkeypatch, capsys):
    """In an empty folder, with the page and the raw data only: the same results to the byte."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(written.html, "found.html")
    assert main(["report", "found.html", "--output-dir", "repeated", "--no-pdf", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["offsets_px"] == written.summary["offsets_px"]
    assert told["recipe_sha256"] == written.summary["recipe_sha256"]
    for name in ("0-end.data", "mask.pickle"):
        assert Path("repeated", name).read_bytes() == (written.html.parent / name).read_bytes()


def test_a_page_that_is_no_report_is_told_in_one_line(tmp_path, capsys):
    page = tmp_path / "other.html"
    page.write_text("<html><pre>not a recipe</pre></html>")
    assert main(["report", str(page)]) == 1
    assert "it holds no recipe" in capsys.readouterr().err
    book = tmp_path / "other.ipynb"
    for content in ("[]", "{", '{"cells": [{"outputs": [{"data": 3}]}]}'):
        book.write_text(content)
        assert main(["report", str(book)]) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_geometry_the_report_started_from_is_written_only_if_it_is_not_deployed(recipe, tmp_path):
    calib, target = tmp_path / "calib", tmp_path / "start.data"
    started = Geometry.ideal()
    told = ReportContent(recipe.changed("experiment.calib_dir", str(calib)), started.to_text())
    assert starting_file(told, target) == target
    assert Geometry.read(target).to_text() == started.to_text()
    target.unlink()
    calib.mkdir()
    store = GeometryStore(calib, told.recipe.experiment.address)
    store.deploy(started)
    assert starting_file(told, target) is None
    store.deploy(started.move_quadrants([(1, 0)] * 4))
    assert starting_file(told, target) == target


def test_page_has_the_measures_behind_each_verdict(page):
    rows = re.findall(r"<tr><td>Q\d</td>.*?</tr>", page[page.index("second peak / peak") :])[:4]
    assert len(rows) == 4
    for row in rows:
        ratio, apart, pairs, evidence = re.findall(r">([^<>]+)</td>", row)[1:]
        assert 0 <= float(ratio) <= 1
        assert float(apart) < 1
        assert int(pairs.replace(" ", "").replace("\u202f", "")) > 10_000
        assert float(evidence) > 5
    before, after = re.search(r"([\d.]+) px before, ([\d.]+) px after", page).groups()
    assert float(after) < float(before)


def test_long_provenance_is_folded(page):
    after = page[page.index("What the results carry") : page.index("How to repeat</h2>")]
    assert (
        after.index("<details><summary>")
        < after.rindex("recipe_sha256")
        < after.index("</details>")
    )
    assert "<details open" not in page
    assert "details, nav { display: none; }" in page


def test_offsets_are_those_of_the_simulation(written, truth):
    found = np.array(written.summary["offsets_px"])
    assert np.abs(found - truth).max() < 0.5
    assert written.summary["ring_contrast_gain"] > 1.5


def test_notebook_is_executed_without_errors_and_without_widget_state(written):
    notebook = nbformat.read(written.notebook, 4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert "error" not in kinds
    assert any("parameters" in cell.metadata.get("tags", ()) for cell in code)


def test_pdf_is_printed(written, chromium):
    assert find_browser() is not None
    assert written.pdf is not None
    assert written.pdf.read_bytes().startswith(b"%PDF")


def test_without_a_browser_the_report_says_so(recipe_file, monkeypatch, capsys):
    monkeypatch.setattr("workbench.report.write.find_browser", lambda: None)
    monkeypatch.setattr("workbench.report.write.execute", lambda *_: nbformat.v4.new_notebook())
    found = write_report(recipe_file)
    assert found.pdf is None
    assert "No PDF" in found.notes[0]


def test_report_beside_a_version(recipe_file, monkeypatch, tmp_path):
    monkeypatch.setattr("workbench.report.write.execute", lambda *_: nbformat.v4.new_notebook())
    version = tmp_path / "0-end.data.v1"
    version.write_text("a geometry")
    write_report(recipe_file, beside=version, pdf=False)
    assert (tmp_path / "0-end.data.v1.report.html").is_file()
    assert (tmp_path / "0-end.data.v1.report.ipynb").is_file()
    assert version.read_text() == "a geometry"
    with pytest.raises(WorkbenchError, match="not a geometry file"):
        write_report(recipe_file, beside=tmp_path / "missing", pdf=False)


def told(summary):
    """Stand-in for `execute`: a notebook whose verdict carries this summary."""
    output = nbformat.v4.new_output(
        "display_data", data={SUMMARY_TYPE: summary, "text/plain": "verdict"}
    )
    cell = nbformat.v4.new_code_cell(outputs=[output])
    return lambda *_: nbformat.v4.new_notebook(cells=[cell])


@pytest.fixture
def deployed_recipe(recipe, tmp_path, monkeypatch):
    """Recipe file whose result is the geometry in use, and the file of that version."""
    path = tmp_path / "work" / "powder.calibration.toml"
    path.parent.mkdir()
    write_recipe(recipe.changed("experiment.calib_dir", "calib"), path)
    store = GeometryStore(tmp_path / "work" / "calib", "CxiDs1.0:Cspad.0")
    store.deploy(Geometry.ideal(), comment="as delivered")
    version = store.deploy(
        Geometry.ideal().move_quadrants([[1, 0]] * 4), recipe_sha256=recipe_hash(load_recipe(path))
    )
    summary = {"belongs_to": str(version.path)}
    monkeypatch.setattr("workbench.report.write.execute", told(summary))
    return path, version.path


def test_report_is_copied_beside_the_version_made_by_its_recipe(deployed_recipe, capsys):
    path, version = deployed_recipe
    assert main(["report", str(path), "--no-pdf"]) == 0
    copy = version.with_name("0-end.data.v1.report.html")
    assert copy.read_bytes() == (path.parent / "calibration/powder_report.html").read_bytes()
    assert version.with_name("0-end.data.v1.report.ipynb").is_file()
    printed = capsys.readouterr()
    assert f"Saved {copy}" in printed.out
    assert "starts from" in printed.err
    assert "0-end.data.v0, as the calibration did" in printed.err
    assert not list(version.parent.glob("0-end.data.v0.report.*"))
    store = GeometryStore(path.parent / "calib", "CxiDs1.0:Cspad.0")
    assert [one.number for one in store.history()] == [0, 1], "copies are no versions"


@pytest.mark.slow
def test_a_year_later_the_report_repeats_its_version(written, recipe, image_folder, tmp_path):
    """Deployed by command, overtaken by another version: same offsets, copy beside its own."""
    path = tmp_path / "powder.calibration.toml"
    write_recipe(recipe.changed("experiment.calib_dir", "calib"), path)
    calib = tmp_path / "calib"
    calib.mkdir()
    deploy = ["geometry", "deploy", "--calib-dir", str(calib)]
    start = tmp_path / "start.data"
    read_image(image_folder / "maximum.h5").geometry.write(start)
    assert main([*deploy, str(start)]) == 0
    result = written.html.parent / "0-end.data"
    assert main([*deploy, str(result), "--recipe", str(path)]) == 0
    store = GeometryStore(calib, "CxiDs1.0:Cspad.0")
    store.deploy(Geometry.ideal(), comment="another")
    again = write_report(path, tmp_path / "reports", pdf=False)
    assert again.summary["offsets_px"] == written.summary["offsets_px"]
    assert again.summary["installed"] == "0-end.data.v1"
    assert [one.name for one in again.beside] == [
        "0-end.data.v1.report.ipynb", "0-end.data.v1.report.html",
    ]  # fmt: skip
    assert (tmp_path / "reports" / "0-end.data").read_bytes() == result.read_bytes()
    assert not (tmp_path / "calibration").exists(), "results go where the report goes"


def test_recipe_in_a_folder_one_may_not_write_is_told_before_anything_is_run(
    recipe_file, tmp_path, monkeypatch, capsys
):
    def refuse(*_):
        raise AssertionError("nothing must be run")

    monkeypatch.setattr("workbench.report.write.execute", refuse)
    real = os.access
    closed = recipe_file.parent
    monkeypatch.setattr(
        "os.access", lambda path, mode: Path(path) != closed and real(path, mode)
    )  # permissions do not bind root
    assert main(["report", str(recipe_file)]) == 1
    assert "--output-dir" in capsys.readouterr().err
    monkeypatch.setattr("workbench.report.write.execute", told({"verdict": "Fine."}))
    elsewhere = tmp_path.parent / f"{tmp_path.name}-reports"
    assert main(["report", str(recipe_file), "--output-dir", str(elsewhere), "--no-pdf"]) == 0


def test_terminal_tells_the_verdict_with_its_reasons(recipe_file, monkeypatch, capsys):
    summary = {"verdict": "Use with care.", "done": ["Averaged."], "reasons": ["Few events."]}
    monkeypatch.setattr("workbench.report.write.execute", told(summary))
    assert main(["report", str(recipe_file), "--no-pdf"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == ["Use with care.", "- Averaged.", "What to look at:", "- Few events."]


def test_older_pdf_is_told_apart(recipe_file, monkeypatch, tmp_path):
    monkeypatch.setattr("workbench.report.write.execute", told({}))
    (tmp_path / "powder_report.pdf").write_bytes(b"%PDF of last year")
    found = write_report(recipe_file, tmp_path, pdf=False)
    assert found.pdf is None
    assert "of an earlier report" in found.notes[0]


def test_no_copy_when_not_wanted_or_made_by_another_recipe(deployed_recipe, tmp_path, monkeypatch):
    path, version = deployed_recipe
    assert main(["report", str(path), "--no-pdf", "--no-beside"]) == 0
    monkeypatch.setattr("workbench.report.write.execute", told({"belongs_to": None}))
    other = path.with_name("other.toml")
    write_recipe(read_recipe(path).changed("mask.border", 1), other)
    found = write_report(other, tmp_path / "out", pdf=False)
    assert found.beside == ()
    assert found.notes == ()
    assert not list(version.parent.glob("*.report.*"))
    assert main(["report", str(path), "--no-beside", "--beside", str(version)]) == 1


def test_folder_that_cannot_be_written_is_told_and_the_report_kept(
    deployed_recipe, monkeypatch, capsys
):
    path, version = deployed_recipe
    real = tempfile.mkstemp

    def refuse(*args, dir=None, **rest):
        if Path(dir) == version.parent:
            raise PermissionError(13, "Permission denied")
        return real(*args, dir=dir, **rest)

    monkeypatch.setattr("tempfile.mkstemp", refuse)  # permissions do not bind root
    assert main(["report", str(path), "--no-pdf"]) == 0
    told = capsys.readouterr()
    assert "not copied beside" in told.err
    assert "Permission denied" in told.err
    assert (path.parent / "calibration/powder_report.html").is_file()
    assert not list(version.parent.glob("*.report.*"))


def test_a_recipe_in_memory_is_kept_with_its_report(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.report.write.execute", lambda *_: nbformat.v4.new_notebook())
    recipe = recipe.changed("experiment.name", "cxim1416").changed("experiment.bright", (74,))
    found = write_report(recipe, tmp_path, pdf=False)
    assert found.html.name == "cxim1416_r0074_report.html"
    assert read_recipe(tmp_path / "cxim1416_r0074.calibration.toml").images == recipe.images


def test_missing_recipe_is_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path / "no.toml")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no.toml" in error


def test_faulty_setting_is_named_before_a_kernel_starts(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("[mask]\nborder = -1\n")
    with pytest.raises(RecipeError, match="border"):
        write_report(path)


def test_failure_in_the_kernel_is_one_sentence_and_leaves_no_report(recipe, tmp_path, capsys):
    path = tmp_path / "broken.calibration.toml"
    write_recipe(recipe.changed("images.maximum", str(tmp_path / "gone.cbf")), path)
    assert main(["report", str(path), "--no-pdf"]) == 1
    error = capsys.readouterr().err
    assert "gone.cbf" in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.html"))


def test_one_recipe_or_two(recipe_file, capsys):
    assert main(["report"]) == 1
    assert main(["report", str(recipe_file), "--compare", "a", "b"]) == 1
    assert main(["report", "--compare", str(recipe_file), str(recipe_file)]) == 1
    assert "itself" in capsys.readouterr().err


@pytest.mark.slow
def test_comparison_tells_which_is_better(recipe, tmp_path):
    paths = []
    for name, value in (("strict", 430.0), ("loose", 300.0)):
        path = tmp_path / f"{name}.calibration.toml"
        changed = recipe.changed("mask.thresholds.maxproj_min", value)
        changed = changed.changed("alignment.angles_deg", (45.0,))
        write_recipe(changed.changed("bright_corrections", Corrections()), path)
        paths.append(path)
    written = write_comparison(*paths, tmp_path / "out", pdf=False)
    text = written.html.read_text(encoding="utf-8")
    assert "maxproj_min" in text
    assert any(line.startswith("loose masks fewer pixels") for line in written.summary["sentences"])
    assert written.html.stat().st_size < LIMIT
    assert not (tmp_path / "calibration").exists(), "comparing writes no results"


def test_command_prints_json(recipe_file, monkeypatch, capsys):
    monkeypatch.setattr("workbench.report.write.execute", lambda *_: nbformat.v4.new_notebook())
    assert main(["report", str(recipe_file), "--json", "--no-pdf"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [path.rpartition(".")[2] for path in printed["files"]] == ["ipynb", "html"]


def test_importing_the_package_does_not_load_papermill():
    code = "import sys, workbench.report; print('papermill' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_templates_are_stored_without_outputs():
    from importlib.resources import files

    templates = files("workbench.report") / "templates"
    for name in ("calibration", "comparison"):
        notebook = json.loads((templates / f"{name}.ipynb").read_text(encoding="utf-8"))
        assert all(not cell.get("outputs") for cell in notebook["cells"])
