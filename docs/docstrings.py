"""Docstrings as the documentation needs them.

The house writes ``name : what it is.`` on one line, numpydoc has ``name : type`` there. This
extension of griffe moves such sentences to the description.
"""

import ast
import re

import griffe

ENTRY = re.compile(r"^(?P<name>\*{0,2}\w+(?:, \*{0,2}\w+)*) : (?P<text>.+)$")
TYPE = re.compile(r"^(bool|float|int|uint|str|tuple|list|dict|Path|`)[\w`(), |.\[\]×:-]*$")
RETURNS = re.compile(r"^Returns\n-+\n(?P<body>(?:(?!\w+\n-+\n).*\n?)+)", re.M)
SECTIONS = ("Parameters", "Attributes")


class SameLine(griffe.Extension):
    """Rewrites the docstring of every object; names of a stub are those its package exports."""

    def on_package(self, *, pkg, **_):
        for package in (pkg, *pkg.modules.values()):
            if package.filepath.with_suffix(".pyi").is_file():
                package.exports = [name for name, member in package.members.items()
                                   if member.is_alias and member.is_imported]  # fmt: skip

    def on_attribute_instance(self, *, attr, **_):
        """Show ``setting(2000.0, "what it is")`` as its default and its sentence."""
        value = attr.value
        if not isinstance(value, griffe.ExprCall) or str(value.function) != "setting":
            return
        default, *doc = value.arguments
        attr.value = default
        if doc and attr.docstring is None:
            text = ast.literal_eval(str(doc[0]))
            attr.docstring = griffe.Docstring(text[:1].upper() + text[1:], parent=attr)

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
    text = "\n".join(out)
    found = RETURNS.search(text)
    if found is None:
        return text
    body = found["body"].strip("\n").splitlines()
    if TYPE.match(body[0]) and len(body) > 1 and body[1].startswith(" "):
        return text
    # A sentence where numpydoc has a type becomes a paragraph above all sections.
    told = "**Gives:** " + " ".join(line.strip() for line in body) + "\n\n"
    text = text[: found.start()] + text[found.end() :]
    first = re.search(r"^\w+\n-+$", text, re.M)
    at = len(text) if first is None else first.start()
    return text[:at].rstrip() + "\n\n" + told + text[at:]
