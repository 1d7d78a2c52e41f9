"""An executed notebook as one HTML page that needs nothing else, and as PDF."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.files import replacing

if TYPE_CHECKING:
    from nbformat import NotebookNode

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PDF_SECONDS = 120


def to_html(notebook: NotebookNode, title: str) -> str:
    """One self-contained page: pictures inside, no scripts, nothing loaded from elsewhere.

    The code of the cells is left out; the notebook itself has it.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    body, _ = exporter.from_notebook_node(notebook)
    body = _with_contents(body)
    style = (files("workbench.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _with_contents(body: str) -> str:
    """Page with links to its parts (headings of the second level) below its title."""
    titles: list[tuple[str, str]] = []

    def mark(heading: re.Match[str]) -> str:
        name = re.sub(r"\W+", "-", html.unescape(heading[1])).strip("-").lower()
        titles.append((name, heading[1]))
        return f'<h2 id="{name}">{heading[1]}</h2>'

    body = re.sub(r"<h2[^>]*>([^<]*)</h2>", mark, body)
    links = " ".join(f'<a href="#{name}">{title}</a>' for name, title in titles)
    nav = f'<nav aria-label="Contents">{links}</nav>'
    return re.sub(r"</h1>", lambda _: f"</h1>{nav}", body, count=1) if titles else body


def find_browser() -> str | None:
    """Path of a Chromium-like browser that can print, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def to_pdf(page: Path, target: Path, browser: str) -> None:
    """Print an HTML page to PDF with a Chromium-like browser.

    Raises
    ------
    WorkbenchError
        If the browser fails or takes longer than two minutes.
    """
    with replacing(target) as temporary, tempfile.TemporaryDirectory() as profile:
        command = [
            browser, "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", "--no-pdf-header-footer",
            f"--print-to-pdf={temporary}", page.resolve().as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # the sandbox refuses to run as root
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_PDF_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise WorkbenchError(
                f"{browser} could not print the report as PDF ({type(error).__name__});"
                " the HTML report is complete."
            ) from error
        if done.returncode or not temporary.read_bytes().startswith(b"%PDF"):
            raise WorkbenchError(
                f"{browser} could not print the report as PDF (exit status {done.returncode});"
                " the HTML report is complete."
            )
