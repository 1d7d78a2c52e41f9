"""Reading and writing a recipe as TOML."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from workbench.detectors import device_name
from workbench.errors import RecipeError, cannot_read, one_line
from workbench.files import read_regular, replacing
from workbench.recipe.model import Recipe

if TYPE_CHECKING:
    from cattrs import Converter

SUFFIX = ".calibration.toml"


def plain_name(path: str | os.PathLike[str]) -> str:
    """Name of a recipe's file without its endings."""
    return Path(path).name.removesuffix(".toml").removesuffix(".calibration")


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe file.

    Raises
    ------
    RecipeError
        If the file cannot be read, is not TOML, holds no setting, or an unknown or unusable one,
        which the message names.
    """
    try:
        text = read_regular(path).decode("utf-8")
    except OSError as error:
        raise RecipeError(f"{path}: {cannot_read('recipe', error)}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not a recipe (it is not a text file).") from error
    settings = _settings(text, os.fspath(path))
    if not any(settings.values()):
        raise RecipeError(
            f"{path}: this recipe is empty; set experiment.name, experiment.dark and "
            "experiment.bright in it, or images.average, images.stddev and images.maximum."
        )
    return _recipe(settings, os.fspath(path))


def recipe_from_text(text: str, name: str = "recipe") -> Recipe:
    """Recipe from TOML text; `name` is used in error messages."""
    return _recipe(_settings(text, name), name)


def _settings(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name}: not a recipe, the TOML is faulty: {error}.") from error
    except RecursionError:
        raise RecipeError(
            f"{name}: not a recipe, it has too many lists or tables within one another."
        ) from None


def _recipe(settings: dict[str, Any], name: str) -> Recipe:
    try:
        result: Recipe = _converter().structure(settings, Recipe)
        return result
    except Exception as error:  # cattrs raises groups of many kinds
        raise RecipeError(one_line(f"{name}: {_first_complaint(error)}.")) from error


def write_recipe(recipe: Recipe, path: str | os.PathLike[str]) -> None:
    """Write a recipe file atomically, with a comment (unit, meaning) beside each setting."""
    text = recipe_to_text(recipe)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def recipe_to_text(recipe: Recipe) -> str:
    """TOML text of a recipe; settings that are None are left out (as a comment)."""
    import tomlkit

    document = tomlkit.document()
    kind = _kind(recipe)
    document.add(tomlkit.comment(f"{kind}. Run it: workbench report THIS_FILE"))
    _write_section(document, recipe, _converter().unstructure(recipe))
    return tomlkit.dumps(document)


def _kind(recipe: Recipe) -> str:
    """What a recipe is for; the detector's name is left out where the recipe does not tell it."""
    images = dataclasses.astuple(recipe.images)
    of_images = any(images) and not recipe.experiment.name
    name = None if of_images else device_name(recipe.experiment.address)
    return "Calibration recipe" if name is None else f"{name} calibration recipe"


def decided(recipe: Recipe) -> dict[str, Any]:
    """Settings that differ from their defaults, as plain nested values.

    What a later version adds, with a default that changes nothing, is not in it, nor are comments.
    """

    def differing(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
        changed = {}
        for name, value in values.items():
            default = defaults[name]
            if isinstance(value, dict) and isinstance(default, dict):
                if inner := differing(value, default):
                    changed[name] = inner
            elif value != default:
                changed[name] = value
        return changed

    return differing(_converter().unstructure(recipe), _converter().unstructure(Recipe()))


def _write_section(table: Any, section: Any, values: dict[str, Any]) -> None:
    import tomlkit

    subsections = []
    for field in dataclasses.fields(section):
        value, doc = values[field.name], field.metadata.get("doc", "")
        if dataclasses.is_dataclass(getattr(section, field.name)):
            subsections.append((field.name, value, doc))
        elif value is None:
            table.add(tomlkit.comment(f"{field.name} = …  # {doc}"))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables = tomlkit.aot()
            for entry in value:
                tables.append(tomlkit.item({k: v for k, v in entry.items() if v is not None}))
            table.add(field.name, tables)
        else:
            item = tomlkit.item(value)
            if doc:
                item.comment(doc)
            table.add(field.name, item)
    for name, value, doc in subsections:
        subtable = tomlkit.table()
        if doc:
            subtable.comment(doc)
        _write_section(subtable, getattr(section, name), value)
        table.add(name, subtable)


@cache
def _converter() -> Converter:
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True, prefer_attrib_converters=False)

    def exactly(kinds: tuple[type, ...], wanted: str) -> Callable[[object, type], object]:
        def structure(value: object, target: type) -> object:
            if (isinstance(value, bool) and bool not in kinds) or not isinstance(value, kinds):
                raise ValueError(f"expected {wanted}, found {value!r}")
            return target(value)

        return structure

    converter.register_structure_hook(bool, exactly((bool,), "true or false"))
    converter.register_structure_hook(int, exactly((int,), "a whole number"))
    converter.register_structure_hook(float, exactly((int, float), "a number"))
    converter.register_structure_hook(str, exactly((str,), "a text in quotes"))
    from workbench.recipe import mask

    _know_layers(converter, {layer.kind: layer for layer in get_args(mask.Layer)}, mask.Layer)
    return converter


def _know_layers(converter: Converter, kinds: dict[str, type], union: object) -> None:
    """Read and write a union of layers by the setting ``kind`` of each."""

    def structure(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise ValueError(f"expected the table of a layer, found {value!r}")
        settings = dict(value)
        kind = settings.pop("kind", None)
        if not isinstance(kind, str) or kind not in kinds:
            raise ValueError(f"there is no kind of layer {kind!r} (known: {', '.join(kinds)})")
        return converter.structure(settings, kinds[kind])

    def unstructure(layer: Any) -> dict[str, Any]:
        return {"kind": layer.kind, **converter.unstructure(layer, type(layer))}

    converter.register_structure_hook(union, structure)
    converter.register_unstructure_hook(union, unstructure)


def _first_complaint(error: BaseException) -> str:
    """Give the first complaint of a group of cattrs errors, with the setting it is about."""
    from cattrs import transform_error

    def tell(problem: BaseException, kind: type | None) -> str:
        from cattrs import ForbiddenExtraKeysError

        if isinstance(problem, ForbiddenExtraKeysError):
            extra = ", ".join(sorted(problem.extra_fields))
            setting_names = ", ".join(field.name for field in dataclasses.fields(problem.cl))
            return f"unknown setting {extra} (known here: {setting_names})"
        return str(problem)

    messages = transform_error(error, format_exception=tell)
    message = messages[0].replace(" @ $.", " in ").replace(" @ $", "")
    return message.rstrip(".")
