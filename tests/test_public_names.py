"""What scripts, notebooks and recipes rely on is there: the public names of ``public_names.txt``.

A name that is gone, an argument that is gone or no longer optional, or another default of a recipe
breaks what users wrote. New names are no failure here; ``python tests/test_public_names.py`` adds
them to the list, which `make release` asks for.
"""

import argparse
import dataclasses
import inspect
import re
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import get_args

import pytest

import workbench as wb

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("public_names.txt")


def described():
    """Names that the reference describes, as ``module.name``."""
    for page in sorted((ROOT / "docs" / "reference").rglob("*.md")):
        yield from re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.M)


def with_arguments(name, value):
    """``name(arguments)`` of a function, the name alone of all else; defaults are marked."""
    if not (inspect.isfunction(value) or inspect.ismethod(value)):
        return name
    taken = []
    for argument in inspect.signature(value).parameters.values():
        if argument.name not in ("self", "cls"):
            mark = {argument.VAR_POSITIONAL: "*", argument.VAR_KEYWORD: "**"}.get(argument.kind, "")
            optional = "=…" if argument.default is not argument.empty else ""
            taken.append(f"{mark}{argument.name}{optional}")
    return f"{name}({', '.join(taken)})"


def members(name, value):
    """Lines of a function, or of a class with all that is public in it."""
    if not inspect.isclass(value):
        yield with_arguments(name, value)
        return
    yield name
    kept = {}
    for kind in reversed(value.__mro__):
        if kind.__module__.startswith("workbench"):
            kept |= dict.fromkeys(inspect.get_annotations(kind)) | vars(kind)
    for key in sorted(kept):
        if not key.startswith("_"):
            function = isinstance(kept[key], FunctionType | classmethod | staticmethod)
            inner = f"{name}.{key}"
            yield with_arguments(inner, getattr(value, key)) if function else inner


def python_names():
    yield from (f"workbench.{name}" for name in wb.__all__)
    for path in described():
        module, _, last = path.rpartition(".")
        value = getattr(import_module(module), last, None) if module != "workbench" else None
        if value is None and path.removeprefix("workbench.") in wb.__all__:
            value = getattr(wb, last)
        if value is not None and not inspect.ismodule(value):
            yield from members(path, value)
            continue
        described_module = import_module(path)
        for name in getattr(described_module, "__all__", None) or [
            key
            for key, value in vars(described_module).items()
            if getattr(value, "__module__", "") == path and not key.startswith("_")
        ]:
            yield from members(f"{path}.{name}", getattr(described_module, name))


def command_options():
    """Every option and positional argument of every verb."""
    from workbench.cli import VERBS, Parser

    def arguments(verb, parser):
        for action in parser._actions:
            if "--help" in action.option_strings:
                continue
            if isinstance(action, argparse._SubParsersAction):
                for name, inner in action.choices.items():
                    yield from arguments(f"{verb} {name}", inner)
            elif action.option_strings:
                yield from (f"workbench {verb} {spelling}" for spelling in action.option_strings)
            else:
                yield f"workbench {verb} <{action.dest}>"
            if isinstance(action.choices, list | tuple):
                spelling = (action.option_strings or [f"<{action.dest}>"])[-1]
                yield from (f"workbench {verb} {spelling} {choice}" for choice in action.choices)

    for verb in VERBS:
        parser = Parser(prog=f"workbench {verb}")
        import_module(f"workbench.cli.{verb}").add_arguments(parser)
        yield from arguments(verb, parser)


def recipe_settings():
    """Every setting of a recipe with its default, and of every kind of layer."""
    from workbench.recipe import Recipe, mask

    def settings(section, prefix):
        for field in dataclasses.fields(section):
            value = getattr(section, field.name)
            if dataclasses.is_dataclass(value):
                yield from settings(value, f"{prefix}{field.name}.")
            else:
                yield f"recipe {prefix}{field.name} = {value!r}"

    yield from settings(Recipe(), "")
    for layer in get_args(mask.Layer):
        for field in dataclasses.fields(layer):
            default = "" if field.default is dataclasses.MISSING else f" = {field.default!r}"
            yield f"recipe mask.layers kind {layer.kind}: {field.name}{default}"


def mask_rules_and_formats():
    """Bits of the reason words, and the names of the file formats."""
    from workbench.geometry import FORMATS as GEOMETRY_FORMATS
    from workbench.mask import FORMATS, RULES

    yield from (f"mask rule {rule.name}: bit {rule.bit}" for rule in RULES.values())
    yield from (f"mask format {name}" for name in FORMATS)
    yield from (f"geometry format {known.name}" for known in GEOMETRY_FORMATS)


KINDS = (python_names, command_options, recipe_settings, mask_rules_and_formats)


def listed():
    return sorted({line for kind in KINDS for line in kind()})


def promised():
    return LIST.read_text(encoding="utf-8").splitlines()


def breaks(lines, there):
    """Lines of a list that are not kept by those that are there.

    A function keeps its line if it takes the same arguments and no new one without a default.
    """
    functions = {line.partition("(")[0]: line for line in there if line.endswith(")")}

    def is_kept(line):
        if line in there:
            return True
        name, bracket, taken = line.removesuffix(")").partition("(")
        if not bracket or name not in functions:
            return False
        before = {*taken.split(", ")} - {""}
        now = {*functions[name].removesuffix(")").partition("(")[2].split(", ")} - {""}
        # an argument that has become optional takes what it took
        lost = {argument for argument in before - now if f"{argument}=…" not in now}
        required = {argument for argument in now - before if not argument.endswith("=…")}
        return not lost and not {argument for argument in required if argument[0] != "*"}

    return [line for line in lines if not is_kept(line)]


def test_no_public_name_is_gone():
    assert breaks(promised(), set(listed())) == []


def test_what_breaks_a_promise_is_noticed():
    there = {"wb.f(a, b=…)", "wb.C.x", "recipe events.skip = 0", "workbench lab --port"}
    kept = ["wb.f(a, b=…)", "wb.f(a)", "wb.f(a, b)", "wb.C.x"]
    assert breaks(kept, there) == []
    broken = ["wb.f(c)", "wb.f()", "wb.f(a, b=…, c=…)", "wb.C.y", "recipe events.skip = 1",
              "workbench lab --dark"]  # fmt: skip
    assert breaks(broken, there) == broken


@pytest.mark.parametrize(
    "line",
    [
        "workbench.open_run",
        "workbench.geometry.GeometryStore.deploy(geometry",
        "workbench.errors.FileFormatError",
        "workbench average --runner",
        "workbench geometry deploy <file>",
        "recipe mask.thresholds.maxproj_min = 300.0",
        "mask rule average_low: bit 0",
    ],
)
def test_the_list_has_names_of_every_kind(line):
    """A list that had nothing of a kind would hold nobody to anything."""
    assert any(known.startswith(line) for known in promised())


if __name__ == "__main__":
    LIST.write_text("\n".join(listed()) + "\n", encoding="utf-8")
