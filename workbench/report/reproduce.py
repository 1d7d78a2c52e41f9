"""Repeating a calibration from nothing but its report."""

from __future__ import annotations

import html
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import RecipeError, WorkbenchError, cannot_read
from workbench.files import parse_json, read_regular, replacing
from workbench.geometry import Geometry
from workbench.pipeline import geometry_store
from workbench.recipe import Recipe
from workbench.recipe.files import recipe_from_text
from workbench.report.text import Shown, preformatted, sentence, together
from workbench.report.versions_table import geometry_before

RECIPE_ID, START_ID = "recipe-as-run", "starting-geometry"
"""Names (HTML ids) under which a report holds the two texts."""
SUFFIXES = (".ipynb", ".html")


@dataclass(frozen=True)
class ReportContent:
    """What a report holds to repeat it.

    Attributes
    ----------
    recipe : the recipe as run, with absolute paths.
    geometry : the geometry it started from, as SLAC text; empty if there was none.
    """

    recipe: Recipe
    geometry: str


def is_report(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a report by its name, not a recipe."""
    return Path(path).suffix in SUFFIXES


def read_report(path: str | os.PathLike[str]) -> ReportContent:
    """Read recipe and starting geometry out of a report.

    Parameters
    ----------
    path : executed notebook (``.ipynb``) or page (``.html``) of a calibration report.

    Raises
    ------
    RecipeError
        If the file cannot be read or is not a report of a calibration.
    """
    try:
        text = read_regular(path).decode("utf-8")
        shown = _shown(text) if Path(path).suffix == ".ipynb" else text
    except OSError as error:
        raise RecipeError(f"{path}: {cannot_read('report', error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecipeError(f"{path}: not a report (it is not a notebook or a page).") from error
    recipe = _held(shown, RECIPE_ID)
    if not recipe:
        raise RecipeError(
            f"{path}: not a report of a calibration, it holds no recipe; give a recipe file, or the"
            " .html or .ipynb file that `workbench report` wrote."
        )
    return ReportContent(recipe_from_text(recipe, os.fspath(path)), _held(shown, START_ID))


def starting_file(content: ReportContent, target: Path) -> Path | None:
    """File with the geometry a report started from; None if it will be started from anyway.

    Parameters
    ----------
    content : what the report holds.
    target : written with that geometry if it is neither the deployed one nor the one before.
    """
    if not content.geometry or content.recipe.experiment.geometry is not None:
        return None
    before = geometry_before(content.recipe)
    try:
        deployed = geometry_store(content.recipe).geometry() if before is None else None
        start = Geometry.read(before) if before is not None else deployed
        if start is not None and start.to_text() == content.geometry:
            return before
    except WorkbenchError:
        pass  # nothing is deployed there any more
    with replacing(target) as temporary:
        temporary.write_text(content.geometry, encoding="utf-8")
    return target


def instructions(recipe: Path, start: Path | None) -> Shown:
    """Give the one command that makes a report again, and that the report itself is enough."""
    words = f"It starts from the geometry {start}. " if start is not None else ""
    return together(
        preformatted(shlex.join(["workbench", "report", os.fspath(recipe)])),
        sentence(
            f"{words}Results that are the same bit for bit have the hashes listed above.",
            "This report does the same by itself: it holds the recipe and the geometry to start"
            " from. Give its page or its notebook in place of the recipe, and a new folder:",
        ),
        preformatted("workbench report REPORT.html --output-dir repeated"),
    )


def _shown(text: str) -> str:
    """HTML outputs of an executed notebook."""
    parts = [
        output.get("data", {}).get("text/html", "")
        for cell in parse_json(text)["cells"]
        for output in cell.get("outputs", ())
    ]
    return "\n".join("".join(part) for part in parts)


def _held(shown: str, name: str) -> str:
    match = re.search(rf'<pre id="{name}">(.*?)</pre>', shown, re.S)
    return "" if match is None else html.unescape(match[1])
