"""Fields of recipe dataclasses that carry the sentence written beside them in the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Literal, TypeVar, get_args, get_origin, get_type_hints

from workbench.errors import RecipeError

Value = TypeVar("Value")


def setting(default: Value, doc: str) -> Value:
    """Give a dataclass field with a default and its comment (units included)."""
    return field(default=default, metadata={"doc": doc})


def section(factory: Callable[[], Value], doc: str = "") -> Value:
    """Give a dataclass field that is a whole section of the file."""
    return field(default_factory=factory, metadata={"doc": doc})


def require(condition: bool, message: str) -> None:
    """Raise `RecipeError` with `message` unless `condition` holds."""
    if not condition:
        raise RecipeError(message)


def require_choices(settings: object) -> None:
    """Raise `RecipeError` unless each field that is a choice has one of its values."""
    for name, hint in get_type_hints(type(settings)).items():
        if get_origin(hint) is Literal:
            value, values = getattr(settings, name), get_args(hint)
            require(value in values, f"{name} is {value!r}; use {', '.join(map(str, values))}")
