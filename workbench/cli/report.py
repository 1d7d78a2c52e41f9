"""``workbench report``: run a recipe and write an executed notebook, an HTML page and a PDF."""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "recipe", nargs="?", metavar="RECIPE.toml",
        help="recipe to run; or a report (.html, .ipynb) to repeat",
    )  # fmt: skip
    parser.add_argument(
        "--compare", nargs=2, metavar=("A.toml", "B.toml"),
        help="run two recipes and set their results side by side",
    )  # fmt: skip
    parser.add_argument(
        "--output-dir", "--outputdir", metavar="DIR",
        help="folder of the report and of the results (default: the recipe's output folder)",
    )  # fmt: skip
    parser.add_argument(
        "--beside", metavar="FILE",
        help="copy the report beside this geometry version, e.g. 0-end.data.v1 (default: beside"
        " the version that holds its result, if there is one)",
    )  # fmt: skip
    parser.add_argument(
        "--no-beside", action="store_true", help="do not copy the report beside a version"
    )
    parser.add_argument("--no-pdf", action="store_true", help="do not print a PDF")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the verb; gives the exit status."""
    from workbench.errors import WorkbenchError
    from workbench.progress import Terminal
    from workbench.report.comparison import require_two_files
    from workbench.report.verdict import lines
    from workbench.report.write import write_comparison, write_report

    if (options.recipe is None) == (options.compare is None):
        raise WorkbenchError("Give one recipe file, or two after --compare.")
    if options.compare and options.beside:
        raise WorkbenchError("--beside belongs to the report of one recipe, not to --compare.")
    if options.beside and options.no_beside:
        raise WorkbenchError("Give --beside or --no-beside, not both.")
    with Terminal("report", unit="step") as progress:
        if options.compare:
            require_two_files(options.compare)
            written = write_comparison(
                options.compare[0],
                options.compare[1],
                options.output_dir,
                pdf=not options.no_pdf,
                progress=progress,
            )
        else:
            written = write_report(
                options.recipe,
                options.output_dir,
                beside=options.beside or not options.no_beside,
                pdf=not options.no_pdf,
                progress=progress,
            )
    for text in written.notes:
        print(f"workbench report: {text}", file=sys.stderr)
    if options.json:
        files = [str(path) for path in written.paths()]
        print(json.dumps({**written.summary, "files": files}, indent=1))
        return 0
    for line in lines(dict(written.summary)):
        print(line)
    for path in written.paths():
        print(f"Saved {path}")
    return 0
