"""Making a report: a recipe in; notebook, HTML page and PDF out."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.files import replacing
from workbench.pipeline import load_recipe, resolve
from workbench.progress import Progress, Silent
from workbench.recipe import Recipe, write_recipe
from workbench.recipe.files import SUFFIX, plain_name
from workbench.report.execution import execute, refuse_without_tools
from workbench.report.export import find_browser, to_html, to_pdf
from workbench.report.reproduce import is_report, read_report, starting_file
from workbench.report.verdict import SUMMARY_TYPE
from workbench.report.versions_table import geometry_before

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass(frozen=True)
class ReportFiles:
    """What a report consists of.

    Attributes
    ----------
    notebook : executed notebook.
    html : self-contained page.
    pdf : printed page, or None.
    summary : verdict, offsets and other plain values.
    notes : sentences, e.g. why there is no PDF.
    beside : copies beside the geometry version the report belongs to.
    """

    notebook: Path
    html: Path
    pdf: Path | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    beside: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return ", ".join(str(path) for path in self.paths())

    def sentence(self) -> str:
        """Where they are, for a line of a log."""
        names = ", ".join(path.name for path in self.paths() if path not in self.beside)
        copies = f"; copies in {self.beside[0].parent}" if self.beside else ""
        return f"{names} written into {self.html.parent}{copies}"

    def paths(self) -> list[Path]:
        """The files, notebook first, then the copies."""
        made = [path for path in (self.notebook, self.html, self.pdf) if path is not None]
        return [*made, *self.beside]


def write_report(
    recipe: Recipe | str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    beside: str | os.PathLike[str] | bool = True,
    pdf: bool = True,
    progress: Progress | None = None,
) -> ReportFiles:
    """Run a recipe in a fresh kernel and write ``NAME.ipynb``, ``NAME.html`` and ``NAME.pdf``.

    If a geometry version was deployed from this very recipe, the report starts from the geometry
    before it, as the calibration did.

    Parameters
    ----------
    recipe : path of a recipe file, or a recipe (with absolute paths; it is written beside the
        report so that the report can be repeated). Or a report (``.html`` or ``.ipynb``) to repeat:
        it holds its recipe and the geometry it started from.
    output_dir : where the report and the results go; default the recipe's output folder.
    name : name of the files without suffix; default the recipe's name and ``_report``.
    beside : the report is copied beside the geometry version that holds its result, as
        ``0-end.data.v1.report.ipynb``, ``.html`` and ``.pdf``. If there is none, no copy is made;
        if the folder cannot be written, a note says so. False: no copy. A file such as
        ``…/geometry/0-end.data.v1``: beside that one.
    pdf : also print to PDF, if a Chromium-like browser is found.
    progress : gets the number of finished cells; can cancel between cells.

    Raises
    ------
    WorkbenchError
        If the recipe or its inputs cannot be used, or the folder cannot be written; no report is
        written then. If `beside` names a file that is none or whose folder cannot be written.

    Examples
    --------
    >>> written = write_report("cxim1416_r0074.calibration.toml")  # doctest: +SKIP
    >>> written.html, written.summary["verdict"]  # doctest: +SKIP
    """
    refuse_without_tools()
    content = None
    if not isinstance(recipe, Recipe) and is_report(recipe):
        content = read_report(recipe)
        stem = Path(recipe).stem
        name = name or (stem if stem.endswith("_report") else None)
        recipe = content.recipe
    if isinstance(recipe, Recipe):
        loaded = resolve(recipe, Path.cwd())
        stem = name or f"{recipe_name(loaded)}_report"
        folder = _folder(output_dir or loaded.output.folder)
        path = folder / f"{stem.removesuffix('_report')}{SUFFIX}"
        write_recipe(loaded, path)
    else:
        path = Path(recipe).absolute()
        loaded = load_recipe(path)
        folder = _folder(output_dir or loaded.output.folder)
        stem = name or f"{plain_name(path)}_report"
    if content is None:
        start = geometry_before(loaded)
    else:
        start = starting_file(content, folder / f"{stem.removesuffix('_report')}_start.data")
    parameters = {"recipe": os.fspath(path), "geometry": _named(start)}
    if output_dir is not None:
        parameters["output_dir"] = os.fspath(folder)
    notebook = execute("calibration", parameters, progress)
    if detector := summary_of(notebook).get("detector"):
        notebook.cells[0].source = f"# {detector} calibration report"
    title = f"Calibration {stem.removesuffix('_report')}"
    written = _write(notebook, folder, stem, title, pdf, progress)
    if parameters["geometry"]:
        why = "as the calibration did whose result is deployed" if content is None else "as it did"
        note = (
            f"The report starts from {parameters['geometry']}, {why}; to start elsewhere set"
            " experiment.geometry."
        )
        written = dataclasses.replace(written, notes=(note, *written.notes))
    if not isinstance(beside, bool):
        return _copied_beside(written, Path(beside))
    version = written.summary.get("belongs_to")
    if not beside or version is None:
        return written
    try:
        return _copied_beside(written, Path(version))
    except WorkbenchError as error:
        note = f"The report is not copied beside the version it belongs to: {error}"
        return dataclasses.replace(written, notes=(*written.notes, note))


def write_comparison(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None = None,
    *,
    pdf: bool = True,
    progress: Progress | None = None,
) -> ReportFiles:
    """Run two recipes and write a report that sets them side by side.

    Each starts from the geometry that it would start from in a report of its own.

    Parameters
    ----------
    first, second : recipe files.
    output_dir : where the report goes; default the first recipe's output folder.
    pdf, progress : as for `write_report`.

    Raises
    ------
    WorkbenchError
        If a recipe or its inputs cannot be used; no report is written then.
    """
    refuse_without_tools()
    paths = [Path(path).absolute() for path in (first, second)]
    loaded = [load_recipe(path) for path in paths]
    folder = _folder(output_dir or loaded[0].output.folder)
    parameters = {}
    for key, path, recipe in zip(("first", "second"), paths, loaded, strict=True):
        parameters[key] = os.fspath(path)
        parameters[f"{key}_geometry"] = _named(geometry_before(recipe))
    notebook = execute("comparison", parameters, progress)
    title = " against ".join(map(plain_name, paths))
    return _write(notebook, folder, title.replace(" against ", "_against_"), title, pdf, progress)


def _named(path: Path | None) -> str:
    return "" if path is None else os.fspath(path)


def _folder(path: str | os.PathLike[str]) -> Path:
    """Absolute folder; refused at once if it cannot be written."""
    folder = Path(path).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise WorkbenchError(
            f"{folder} cannot be written; choose another folder for the report (--output-dir)."
        )
    return folder


def recipe_name(recipe: Recipe) -> str:
    """Give a file name for a recipe that has none: experiment and bright runs."""
    runs = "".join(f"_r{run:04d}" for run in recipe.experiment.bright[:3])
    return f"{recipe.experiment.name.lower() or 'calibration'}{runs}"


def summary_of(notebook: NotebookNode) -> dict[str, Any]:
    """Plain values that the verdict of an executed report carries."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if SUMMARY_TYPE in output.get("data", {}):
                return dict(output["data"][SUMMARY_TYPE])
    return {}


def _write(
    notebook: NotebookNode,
    folder: Path,
    stem: str,
    title: str,
    pdf: bool,
    progress: Progress | None,
) -> ReportFiles:
    import nbformat

    reporter = progress or Silent()
    reporter.update(1, 1, "writing")
    notes: list[str] = []
    page, book = folder / f"{stem}.html", folder / f"{stem}.ipynb"
    with replacing(page) as temporary:
        temporary.write_text(to_html(notebook, title), encoding="utf-8")
    with replacing(book) as temporary:
        temporary.write_text(nbformat.writes(notebook, 4), encoding="utf-8")
    printed: Path | None = None
    browser = find_browser() if pdf else None
    if browser is not None:
        try:
            to_pdf(page, folder / f"{stem}.pdf", browser)
            printed = folder / f"{stem}.pdf"
        except WorkbenchError as error:
            notes.append(str(error))
    elif pdf:
        notes.append("No PDF: no Chromium-like browser was found; print the HTML page instead.")
    if printed is None and (old := folder / f"{stem}.pdf").exists():
        notes.append(f"{old} is of an earlier report.")
    return ReportFiles(book, page, printed, summary_of(notebook), tuple(notes))


def _copied_beside(written: ReportFiles, version: Path) -> ReportFiles:
    """Copy a report beside a geometry version; psana ignores names that end otherwise."""
    if not version.is_file():
        raise WorkbenchError(
            f"{version} is not a geometry file; the report is in {written.html.parent}."
        )
    copies = []
    for path in written.paths():
        copy = version.with_name(f"{version.name}.report{path.suffix}")
        with replacing(copy) as temporary:
            shutil.copyfile(path, temporary)
        copies.append(copy)
    return dataclasses.replace(written, beside=tuple(copies))
