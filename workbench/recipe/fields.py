"""Fields of recipe dataclasses that carry the sentence written beside them in the file."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from workbench.errors import RecipeError


def setting(default: Any, doc: str) -> Any:
    """Give a dataclass field with a default and its comment (units included)."""
    return field(default=default, metadata={"doc": doc})


def section(factory: Any, doc: str = "") -> Any:
    """Give a dataclass field that is a whole section of the file."""
    return field(default_factory=factory, metadata={"doc": doc})


def require(condition: bool, message: str) -> None:
    """Raise `RecipeError` with `message` unless `condition` holds."""
    if not condition:
        raise RecipeError(message)
