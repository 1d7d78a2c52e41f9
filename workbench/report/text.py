"""Words and tables of a report: shown as HTML in a notebook, readable as plain text elsewhere."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_LONG = 24
"""Cells with more characters (paths, hashes) may be broken anywhere."""


class Shown:
    """Something a notebook shows as HTML, with a plain text for other readers."""

    def __init__(self, markup: str, plain: str, data: Mapping[str, Any] | None = None) -> None:
        self.markup = markup
        self.plain = plain
        self.data = dict(data or {})

    def __repr__(self) -> str:
        return self.plain

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/html": self.markup, "text/plain": self.plain, **self.data}


def sentence(*paragraphs: str) -> Shown:
    """Paragraphs of plain text."""
    shown = "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs if text)
    return Shown(shown, "\n\n".join(text for text in paragraphs if text))


def preformatted(text: str, name: str = "") -> Shown:
    """Text as it stands: a recipe, a command; `name` is its id in the page."""
    named = f' id="{html.escape(name)}"' if name else ""
    return Shown(f"<pre{named}>{html.escape(text)}</pre>", text)


def folded(title: str, inner: str | Shown) -> Shown:
    """Something long behind its title: opened with a click, left out in print."""
    shown = preformatted(inner) if isinstance(inner, str) else inner
    return Shown(
        f"<details><summary>{html.escape(title)}</summary>{shown.markup}</details>",
        f"{title}\n{shown.plain}",
    )


def table(header: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> Shown:
    """Build a table; cells that are numbers (int, float) or start with a digit or sign align right.

    Parameters
    ----------
    header : titles of the columns.
    rows : one sequence of cells per row; None becomes an empty cell.
    caption : line above the table.
    """
    cells = [["" if cell is None else cell for cell in row] for row in rows]
    right = [
        bool(cells) and all(_is_number(row[column]) for row in cells)
        for column in range(len(header))
    ]
    lines = [[str(cell) for cell in header], *[[str(cell) for cell in row] for row in cells]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    plain = "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )

    def row(line: Sequence[str], tag: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        cells = (
            f"<{tag}{scope}{_kind(cell, to_right)}>{html.escape(cell)}</{tag}>"
            for cell, to_right in zip(line, right, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    # A head of its own is repeated on each printed page the table goes over.
    head = f"<thead>{row(lines[0], 'th')}</thead>" if any(lines[0]) else ""
    body = "".join(row(line, "td") for line in lines[1:])
    markup = f"<table>{title}{head}<tbody>{body}</tbody></table>"
    return Shown(markup, f"{caption}\n{plain}" if caption else plain)


def by_folder(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """Rows of files (use, path, …) with each folder named once, in a row above them."""
    listed: list[list[object]] = []
    before = ""
    for use, path, *rest in rows:
        folder, name = os.path.split(str(path))
        if folder != before:
            listed.append(["in", folder, *[""] * len(rest)])
            before = folder
        listed.append([use, name, *rest])
    return listed


def together(*parts: Shown) -> Shown:
    """Several things as one output."""
    data: dict[str, Any] = {}
    for part in parts:
        data |= part.data
    return Shown(
        "".join(part.markup for part in parts), "\n\n".join(part.plain for part in parts), data
    )


def beside(*parts: Shown) -> Shown:
    """Several things next to each other where there is room."""
    cells = "".join(f"<div>{part.markup}</div>" for part in parts if part.markup)
    both = together(*parts)
    return Shown(f'<div class="beside">{cells}</div>', both.plain, both.data)


def known(value: float | None, digits: int) -> str:
    """Give a number with its digits, a dash where it is not known."""
    return "–" if value is None or value != value else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """Number with its sign, a dash where it is not known."""
    if value != value:
        return "–"
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def moment(seconds: float | None) -> str:
    """Time (UTC) of seconds since 1970, as people read it; empty where it is not known."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _is_number(cell: object) -> bool:
    if isinstance(cell, bool):
        return False
    if isinstance(cell, int | float):
        return True
    text = str(cell)
    return not text or text[0] in "0123456789+−-–±"


def _kind(cell: str, to_right: bool) -> str:
    if to_right:
        return ' class="number"'
    return ' class="long"' if len(cell) > _LONG else ""
