"""The syntax of CIF and of CBF: tables of text, and binary sections between them.

CIF 1.1 grammar (IUCr, International Tables for Crystallography G, 2.2); binary sections as CBFlib
0.9.7 documents them: a MIME header, four marker bytes, then ``X-Binary-Size`` bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from workbench.errors import FileFormatError

MAGIC = b"###CBF"
START = b"--CIF-BINARY-FORMAT-SECTION--"
MARKER = b"\x0c\x1a\x04\xd5"

_TOKEN = re.compile(
    r"^;(?P<text>(?:(?!^;)[^\n]*\n)*)^;(?=\s|\Z)"
    r"|#[^\n]*"
    r"|'(?P<single>(?:[^'\n]|'(?=\S))*)'(?=\s|\Z)"
    r'|"(?P<double>(?:[^"\n]|"(?=\S))*)"(?=\s|\Z)'
    r"|(?P<word>\S+)",
    re.MULTILINE,
)


@dataclass
class Table:
    """One category: columns of text values, all of the same length."""

    columns: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def rows(self) -> list[dict[str, str]]:
        """Rows as dictionaries by column name."""
        names = list(self.columns)
        return [
            dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True)
        ]

    def value(self, column: str, default: str = "?") -> str:
        """First value of a column; `default` where there is none."""
        values = self.columns.get(column)
        return values[0] if values else default


@dataclass(frozen=True)
class Binary:
    """One binary section: its MIME header (lower-case names) and where its bytes are."""

    header: dict[str, str]
    offset: int
    size: int


@dataclass(frozen=True)
class CbfFile:
    """A parsed CBF: block name, tables by category, binary sections in order."""

    name: str
    block: str
    tables: dict[str, Table]
    binaries: list[Binary]

    def table(self, category: str) -> Table:
        """Table of a category; an empty one where it is absent."""
        return self.tables.get(category, Table())


def parse_cbf(content: bytes, name: str) -> CbfFile:
    """Tables and binary sections of a CBF.

    Raises
    ------
    FileFormatError
        If it is not a CBF, or is damaged; the message says where.
    """
    if not content.startswith(MAGIC):
        raise FileFormatError(name, "not a CBF file (it does not start with ###CBF).")
    pieces: list[bytes] = []
    binaries: list[Binary] = []
    end = 0
    while (start := content.find(START, end)) >= 0:
        binary = _binary_section(content, start, name)
        pieces.append(content[end:start] + b"binary %d" % len(binaries))
        binaries.append(binary)
        end = binary.offset + binary.size
        close = content.find(START + b"--", end)
        if close < 0:
            raise FileFormatError(
                name, f"binary section {len(binaries)} does not end; the file is cut short."
            )
        end = close + len(START) + 2
    pieces.append(content[end:])
    text = b"".join(pieces).decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    block, tables = parse_cif(text, name)
    return CbfFile(name, block, tables, binaries)


def _binary_section(content: bytes, start: int, name: str) -> Binary:
    marker = content.find(MARKER, start, start + 8192)
    if marker < 0:
        raise FileFormatError(name, "a binary section has no data.", offset=start)
    lines = content[start + len(START) : marker].decode("latin-1").replace("\r", "")
    header = {}
    for line in re.sub(r"\n[ \t]+", " ", lines).split("\n"):
        key, colon, value = line.partition(":")
        if colon:
            header[key.strip().lower()] = value.strip()
    offset = marker + len(MARKER)
    try:
        size = int(header["x-binary-size"])
    except (KeyError, ValueError):
        raise FileFormatError(
            name, "a binary section has no X-Binary-Size.", offset=start
        ) from None
    if size < 0 or offset + size > len(content):
        problem = f"a binary section should have {size} bytes, the file is cut short."
        raise FileFormatError(name, problem, offset=offset)
    return Binary(header, offset, size)


def check_digest(content: bytes | memoryview, binary: Binary, name: str) -> None:
    """Refuse a binary section whose bytes do not have the MD5 its header states."""
    stated = binary.header.get("content-md5")
    if stated is None:
        return
    payload = memoryview(content)[binary.offset : binary.offset + binary.size]
    actual = base64.b64encode(hashlib.md5(payload, usedforsecurity=False).digest()).decode()
    if actual != stated:
        raise FileFormatError(
            name,
            "the pixel data are damaged (their MD5 is not the one stated).",
            offset=binary.offset,
        )


def parse_cif(text: str, name: str) -> tuple[str, dict[str, Table]]:
    """Name of the data block and its tables by category (lower case) from CIF text."""
    block = ""
    tables: dict[str, Table] = {}
    loop: list[tuple[str, str]] | None = None  # columns of the loop being read
    values: list[str] = []
    pending: tuple[str, str] | None = None  # item whose value comes next
    started = 0

    def line_of(place: int) -> int:
        return text.count("\n", 0, place) + 1

    def finish() -> None:
        if not loop:
            return
        if len(values) % len(loop):
            problem = f"a table of {len(loop)} columns has {len(values)} values."
            raise FileFormatError(name, problem, line=line_of(started))
        for place, (category, column) in enumerate(loop):
            tables.setdefault(category, Table()).columns[column] = values[place :: len(loop)]

    for match in _TOKEN.finditer(text):
        word = match["word"]
        if word is None:
            if match["text"] is not None:
                value = match["text"].removesuffix("\n")
            elif match["single"] is not None:
                value = match["single"]
            elif match["double"] is not None:
                value = match["double"]
            else:
                continue  # comment
        elif word.startswith("_"):
            category, _, column = word[1:].lower().partition(".")
            if loop is not None and not values:
                loop.append((category, column))
                continue
            finish()
            loop, values, pending = None, [], (category, column)
            continue
        elif word.lower() == "loop_":
            finish()
            loop, values, pending, started = [], [], None, match.start()
            continue
        elif word.lower().startswith("data_"):
            finish()
            loop, values, pending = None, [], None
            if block:
                break  # a second block is none of ours
            block = word[5:]
            continue
        else:
            value = word
        if loop is not None:
            values.append(value)
        elif pending is not None:
            table = tables.setdefault(pending[0], Table())
            table.columns[pending[1]] = [value]
            pending = None
        else:
            problem = f"found {value[:40]!r} where the name of an item was expected."
            raise FileFormatError(name, problem, line=line_of(match.start()))
    finish()
    for category, table in tables.items():
        if len({len(column) for column in table.columns.values()}) > 1:
            raise FileFormatError(name, f"the columns of {category} differ in length.")
    return block, tables


def quoted(value: str) -> str:
    """Value as it is written in a CIF."""
    if "\n" in value:
        return f"\n;{value}\n;"
    special = value[:1] in ("", "_", "#", "$", "'", '"', "[", "]", ";") or value.lower().startswith(
        ("data_", "loop_", "save_", "global_", "stop_")
    )
    if not special and not re.search(r"\s", value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return f'"{value}"' if '"' not in value else f"\n;{value}\n;"


def item_text(category: str, items: Mapping[str, str]) -> str:
    """One-row category as CIF text."""
    lines = [f"_{category}.{name} {quoted(value)}" for name, value in items.items()]
    return "\n".join(lines) + "\n\n"


def loop_text(category: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Category as a CIF loop."""
    lines = ["loop_", *(f"_{category}.{column}" for column in columns)]
    lines += [" " + " ".join(quoted(str(value)) for value in row) for row in rows]
    return "\n".join(lines) + "\n\n"


def fold(text: str) -> str:
    """One long line of ASCII as several, for `unfold`.

    CBFlib is safest with short lines, and drops blanks at their ends: each is put between ``>``
    and ``<``.
    """
    chunks = [text[start : start + 74] for start in range(0, len(text), 74)]
    return "\n".join(["", *(f">{chunk}<" for chunk in chunks)])


def unfold(text: str) -> str:
    """Inverse of `fold`; other text comes back without its line breaks."""
    lines = [line.strip() for line in text.split("\n")]
    return "".join(
        line[1:-1] if line.startswith(">") and line.endswith("<") else line for line in lines
    )
