"""A report written from the workbench reads no run again whose averages were kept."""

import pytest

from workbench.pipeline import AverageCache, averages_folder, gather_images, load_recipe
from workbench.recipe import write_recipe
from workbench.report import CalibrationReport


@pytest.mark.slow
def test_a_report_reads_no_run_whose_averages_are_kept(sample, tmp_path, monkeypatch):
    recipe = (
        load_recipe(sample.recipe)
        .changed("output.folder", str(tmp_path / "out"))
        .changed("alignment.refine", "none")
    )
    path = tmp_path / "kept.calibration.toml"
    write_recipe(recipe, path)
    images = gather_images(recipe, known=AverageCache(averages_folder(recipe)))
    monkeypatch.setattr("workbench.averages.average_run", lambda *a, **k: pytest.fail("averaged"))
    report = CalibrationReport.of_recipe(path, save=False)
    assert report.calibration.images.dark.count == images.dark.count
    assert (report.calibration.images.maximum.data == images.maximum.data).all()
