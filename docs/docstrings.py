"""Docstrings as the documentation needs them.

The house writes ``name : what it is.`` on one line, numpydoc has ``name : type`` there. This
extension of griffe moves such sentences to the description.
"""

import re

import griffe

ENTRY = re.compile(r"^(?P<name>\*{0,2}\w+(?:, \*{0,2}\w+)*) : (?P<text>.+)$")
TYPE = re.compile(r"^(bool|float|int|uint|str|tuple|list|dict|Path|`)[\w`(), |.\[\]×:-]*$")
RETURNS = re.compile(r"^Returns\n-+\n(?P<body>(?:(?!\w+\n-+\n).*\n?)+)", re.M)
SECTIONS = ("Parameters", "Attributes")


class SameLine(griffe.Extension):
    """Rewrites the docstring of every object."""

    def on_object(self, *, obj, **_):
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text):
    """Docstring with the sentences of parameters and attributes on lines of their own."""
    lines = text.splitlines()
    section = ""
    out = []
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if following and set(following) == {"-"}:
            section = line.strip()
        entry = ENTRY.match(line) if section in SECTIONS else None
        if entry and not (TYPE.match(entry["text"]) and following.startswith(" ")):
            out += [entry["name"], f"    {entry['text']}"]
        else:
            out.append(line)
    return RETURNS.sub(_as_paragraph, "\n".join(out))


def _as_paragraph(match):
    """Give what is returned as a paragraph, unless it begins with a type on a line of its own."""
    body = match["body"].strip("\n").splitlines()
    if TYPE.match(body[0]) and len(body) > 1 and body[1].startswith(" "):
        return match[0]
    return "**Returns:** " + " ".join(line.strip() for line in body) + "\n\n"
